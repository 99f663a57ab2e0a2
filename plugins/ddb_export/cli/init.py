"""``ddb-export init``: declares a table by its three lines; asks nothing, overwrites nothing, and says what is missing."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from ddb_export.cli.command import Command
from ddb_export.cli.console import Console
from ddb_export.cli.tables import TABLES_HELP, tables_folder
from ddb_export.exceptions import ConfigurationError, UsageError

EMPTY_DOCUMENT: dict[str, Any] = {
    "ok": False,
    "file": None,
    "dag_id": None,
    "lines": [],
    "missing": [],
    "errors": [],
}

_SAMPLES = {"bucket": "my-lake", "prefix": "dynamodb", "database": "lake"}
"""What the keys that are the same for all tables look like; they are shown, never written."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("table", metavar="TABLE", help="name or ARN of the DynamoDB table")
    parser.add_argument("--into", metavar="DIR", type=Path, default=tables_folder(), help=TABLES_HELP)
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        type=_key_and_value,
        help="one more key with its value as YAML has it, such as bucket=my-lake; may be repeated",
    )


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Write the file and print it, with what is missing."""
    from ddb_export.config.loader import keys_with_defaults
    from ddb_export.config.model import DAG_ID_PREFIX

    folder: Path = arguments.into
    given = {"table": arguments.table, **dict(arguments.set)}
    name = given.get("name") or given["table"].rpartition("/")[2]
    file = folder / f"{name}.yaml"
    if file.exists():
        raise UsageError(str(file), "it exists", "edit it, or declare the table under another name: --set name=NAME")
    shared = keys_with_defaults(folder)
    text_lines = three_lines(given, shared, datetime.now(UTC).date())
    missing = missing_keys([*given, "schedule", "start_date"], shared)
    _require_valid(file, [*text_lines, *(f"{key}: {_SAMPLES[key]}" for key in missing if key in _SAMPLES)])
    folder.mkdir(parents=True, exist_ok=True)
    with file.open("x", encoding="utf-8") as stream:
        stream.write("".join(f"{line}\n" for line in text_lines))
    document = {
        "ok": not missing,
        "file": str(file),
        "dag_id": DAG_ID_PREFIX + name,
        "lines": text_lines,
        "missing": missing,
        "errors": [_missing_error(file, missing)] if missing else [],
    }
    return console.result(document, lines(document))


def three_lines(given: Mapping[str, str], shared: frozenset[str], today: date) -> list[str]:
    """Return the lines of a table's YAML: what was given, and a schedule and a first day unless the folder's defaults have them.

    :param given: values by key, as YAML text; ``table`` is one of them.
    :param shared: keys that have a default for all tables of the folder.
    :param today: UTC date, from which on the schedule covers the table.
    """
    usual = {"schedule": "@daily", "start_date": today.isoformat()}
    keys = {**given, **{key: value for key, value in usual.items() if key not in given and key not in shared}}
    return [f"{key}: {_as_yaml(key, value)}" for key, value in keys.items()]


def missing_keys(given: Sequence[str], shared: frozenset[str]) -> list[str]:
    """Return the required keys that neither the table nor the folder's defaults have."""
    from ddb_export.config.model import TableConfiguration

    required = [key for key, field in TableConfiguration.model_fields.items() if field.is_required()]
    return [key for key in required if key not in given and key not in shared]


def lines(document: dict[str, Any]) -> list[str]:
    """Return a report for people."""
    folder = Path(document["file"]).parent
    report = [f"wrote {document['file']}", *(f"  {line}" for line in document["lines"])]
    if document["missing"]:
        report.append(
            f"missing: write these once for all tables into {folder / '_defaults.yaml'}, with your own values"
        )
        report += [f"  {key}: {_SAMPLES.get(key, '...')}" for key in document["missing"]]
    name = document["dag_id"].removeprefix("ddb_export__")
    return [*report, f"next: ddb-export check {folder}, then ddb-export doctor {name}"]


def _key_and_value(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key.strip(), value.strip()


def _as_yaml(key: str, value: str) -> str:
    """Return a value as it can stand behind a key: as it is, or in quotes where YAML would read another one."""
    import yaml

    try:
        read = yaml.safe_load(f"key: {value}")["key"]
    except (yaml.YAMLError, ValueError, TypeError, KeyError):
        read = None
    is_text = key in ("table", "name")
    as_it_is = isinstance(read, str) if is_text else read is not None or value == "null"
    return value if as_it_is else "'" + value.replace("'", "''") + "'"


def _require_valid(file: Path, text_lines: Sequence[str]) -> None:
    """Refuse what would not load, or would collide with a table that is declared.

    :raises ConfigurationError: nothing was written.
    """
    from ddb_export.config.loader import try_file
    from ddb_export.config.problems import InvalidFileError

    tried = try_file(file, "".join(f"{line}\n" for line in text_lines))
    for error in tried.errors:
        if isinstance(error, InvalidFileError) and error.path == str(file):
            first = error.errors[0]
            raise ConfigurationError(f"table {file.stem}, not written", first.cause, first.remedy)


def _missing_error(file: Path, missing: Sequence[str]) -> dict[str, str]:
    remedy = f"write them into {file.parent / '_defaults.yaml'}, or into this file"
    return {"file": str(file), "cause": f"still missing: {', '.join(missing)}", "remedy": remedy}


COMMAND = Command(
    name="init",
    summary="declare a table: write its three lines of YAML",
    description=(
        "Write TABLE.yaml with the table's name, a daily schedule from today on (both only\n"
        "where the folder's _defaults.yaml has none) and whatever --set gives. An existing\n"
        "file is never overwritten. Exit 0: the table is ready for check and doctor. 1: it\n"
        "is written, but required keys are still missing. 2: it cannot be declared so."
    ),
    example="ddb-export init orders\n  ddb-export init orders --into dags/tables --set bucket=my-lake",
    add_arguments=add_arguments,
    run=run,
    empty_document=EMPTY_DOCUMENT,
)
