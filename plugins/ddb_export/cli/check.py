"""``ddb-export check``: all that is wrong with a folder of tables, without AWS and without Airflow; for a team's CI."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddb_export.cli.command import Command
from ddb_export.cli.console import EXIT_OK, Console, count
from ddb_export.cli.tables import TABLES_HELP, tables_folder
from ddb_export.domain.export_filter import NO_REPLICA

if TYPE_CHECKING:
    from ddb_export.config.loader import LoadedTables
    from ddb_export.exceptions import ConfigurationError

EMPTY_DOCUMENT: dict[str, Any] = {"ok": False, "folder": None, "tables": [], "notes": [], "errors": []}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the folder, and the question for the schema."""
    parser.add_argument("folder", metavar="DIR", type=Path, nargs="?", default=tables_folder(), help=TABLES_HELP)
    parser.add_argument(
        "--schema", action="store_true", help="print the JSON schema of the files, for editors, and check nothing"
    )


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Read the folder as a DAG file would, and print every problem of every file; or print the schema of such files."""
    if arguments.schema:
        return _print_schema()
    from ddb_export.config.loader import load_tables, unread_files

    folder: Path = arguments.folder
    unread = unread_files(folder)
    loaded = load_tables(folder, on_error="collect")
    document = document_of(folder, loaded)
    document["notes"] = [
        *(f"{file} is not read: tables stand in the folder itself" for file in unread),
        *(f"table '{each.name}' is filtered; {NO_REPLICA}" for each in loaded.tables if each.filter),
    ]
    return console.result(document, lines(document))


def _print_schema() -> int:
    from ddb_export.config.json_schema import export_json_schema

    print(json.dumps(export_json_schema(), indent=2))
    return EXIT_OK


def document_of(folder: Path, loaded: LoadedTables) -> dict[str, Any]:
    """Return what the command says, as plain data.

    :return: the keys of :data:`EMPTY_DOCUMENT`; each error has ``file`` (``path:line:column``), ``cause``, ``remedy``, and ``path``,
        ``line``, ``column`` apart.
    """
    errors = [each for error in loaded.errors for each in _errors_of(error)]
    if not loaded.tables and not errors:
        errors.append(_error(str(folder), "no file declares a table", "declare one: ddb-export init TABLE"))
    tables = [
        {"name": each.name, "table": each.table, "dag_id": each.dag_id, "lake": each.lake_uri} for each in loaded.tables
    ]
    return {**EMPTY_DOCUMENT, "ok": not errors, "folder": str(folder), "tables": tables, "errors": errors}


def lines(document: dict[str, Any]) -> list[str]:
    """Return a report for people: a line for each problem, which editors and CI systems can link to its place."""
    errors = document["errors"]
    verdict = count(len(errors), "problem") if errors else "no problem"
    report = [f"{document['folder']}: {count(len(document['tables']), 'table')}, {verdict}"]
    report += [f"{each['file']}: {each['cause']}. Remedy: {each['remedy']}" for each in errors]
    return [*report, *(f"  note       {note}" for note in document["notes"])]


def _errors_of(error: ConfigurationError) -> list[dict[str, Any]]:
    from ddb_export.config.problems import InvalidFileError

    if isinstance(error, InvalidFileError):
        return [
            {**_error(each.place, each.cause, each.remedy), "path": each.path, "line": each.line, "column": each.column}
            for each in error.errors
        ]
    return [_error(error.thing, error.cause, error.remedy)]


def _error(file: str, cause: str, remedy: str) -> dict[str, Any]:
    return {"file": file, "cause": cause, "remedy": remedy, "path": None, "line": None, "column": None}


COMMAND = Command(
    name="check",
    summary="validate the tables' YAML without AWS, for CI",
    description=(
        "Read a folder of tables as the DAG processor does and print every problem with\n"
        "file, line and remedy. AWS is not asked; doctor does that for one table.\n"
        "Exit 0: every file can be used. 1: some cannot, or no table is declared."
    ),
    example="ddb-export check\n  ddb-export check dags/tables --json\n  ddb-export check --schema > dags/tables/ddb_export.schema.json",
    add_arguments=add_arguments,
    run=run,
    empty_document=EMPTY_DOCUMENT,
)
