"""``ddb-export doctor``: will this table's runs work? Each line is ok, a warning or a failure with its remedy.

Nothing is changed and nothing is billed, unless ``--fix`` names what is to be put right.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ddb_export.cli.clients import client_of
from ddb_export.cli.command import Command
from ddb_export.cli.console import Console
from ddb_export.cli.tables import add_table_arguments, named_table
from ddb_export.exceptions import UsageError

if TYPE_CHECKING:
    from ddb_export.config.model import TableConfiguration
    from ddb_export.domain.doctor import Declared, Finding
    from ddb_export.pipeline.doctor import Clients

EMPTY_DOCUMENT: dict[str, Any] = {
    "ok": False,
    "table": None,
    "level": None,
    "findings": [],
    "fixed": [],
    "errors": [],
}
_FIXES = ("pitr", "database", "bucket")
_WIDTH = 14


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_table_arguments(parser)
    parser.add_argument(
        "--fix",
        metavar="WHAT",
        nargs="+",
        default=[],
        choices=_FIXES,
        help="put these right first, where they are not: pitr, database, bucket; nothing else is ever changed",
    )


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Fix what is asked for, examine the table, and print what was found."""
    from ddb_export.domain.doctor import Fix
    from ddb_export.pipeline.doctor import Doctor

    configuration = named_table(arguments).configuration
    if configuration is None:
        raise UsageError(arguments.table, "a folder does not say what is configured", "name a table of your YAML")
    doctor = Doctor(_clients(arguments), declared_of(configuration))
    findings = doctor.examine()
    wanted = [Fix(each) for each in dict.fromkeys(arguments.fix)]
    fixed = [doctor.fix(each) for each in wanted if any(finding.fix is each for finding in findings)]
    if fixed:
        findings = doctor.examine()
    document = document_of(configuration.name, findings, fixed)
    return console.result(document, lines(document))


def declared_of(table: TableConfiguration) -> Declared:
    """Return what a configuration says, as far as AWS has a say in it."""
    from ddb_export.domain.doctor import Declared

    return Declared.of(
        glue_name=table.glue_name,
        outputs=table.outputs,
        views=table.views,
        entity_views=table.contract.entity_views,
        name=table.name,
        table=table.table,
        bucket=table.bucket,
        folder=table.folder,
        database=table.database,
        partition_index=table.glue.partition_index,
        bucket_owner=table.bucket_owner,
        kms_key=table.kms_key,
        schedule=table.schedule,
        timezone=table.timezone,
        workgroup=table.athena.workgroup,
        athena_output=table.athena_output_location,
        windows_at_once=table.max_active_windows,
        retention=table.retention.retention,
    )


def document_of(name: str, findings: list[Finding], fixed: list[str]) -> dict[str, Any]:
    """Return what the command says, as plain data."""
    from ddb_export.domain.doctor import Level
    from ddb_export.domain.doctor_rules import worst

    failed = [each for each in findings if each.level is Level.FAIL]
    errors = [{"file": f"{name}, {each.check}", "cause": each.found, "remedy": each.remedy} for each in failed]
    level = worst(findings)
    return {
        "ok": level is not Level.FAIL,
        "table": name,
        "level": str(level),
        "findings": [each.to_json() for each in findings],
        "fixed": fixed,
        "errors": errors,
    }


def lines(document: dict[str, Any]) -> list[str]:
    """Return a report for people."""
    findings = document["findings"]
    number = {level: sum(each["level"] == level for each in findings) for level in ("ok", "warn", "fail")}
    verdict = {"ok": "runs will work", "warn": "runs will work, but see the warnings", "fail": "RUNS WILL NOT WORK"}
    counted = ", ".join(f"{many} {level}" for level, many in number.items() if many)
    report = [f"{document['table']}: {verdict[document['level']]} ({counted})"]
    report += [f"  fixed {' ' * _WIDTH}{each}" for each in document["fixed"]]
    for each in findings:
        report.append(f"  {each['level']:<5} {each['check']:<{_WIDTH}}{each['found']}")
        if each["remedy"]:
            report.append(f"        {'':<{_WIDTH}}Remedy: {each['remedy']}")
    return report


def _clients(arguments: argparse.Namespace) -> Clients:
    """Return what makes the clients of one identity, in the table's region if no other is asked for."""

    def client(service: str, region: str | None = None, /) -> Any:
        return client_of(argparse.Namespace(**{**vars(arguments), "region": region or arguments.region}), service)

    return client


COMMAND = Command(
    name="doctor",
    summary="say whether a table's runs will work, before the first one",
    description=(
        "Ask AWS for the table, recovery, the bucket and its settings, keys, the catalog,\n"
        "permissions, clock and quota. Each line is ok, warn or fail, with one remedy.\n"
        "Nothing is changed but what --fix names: pitr (switch recovery on), database\n"
        "(create it in Glue), bucket (create it, with Block Public Access and encryption).\n"
        "Exit 0: runs will work. 1: something fails. 3: neither STS nor DynamoDB is reachable."
    ),
    example="ddb-export doctor orders\n  ddb-export doctor orders --fix pitr database\n  ddb-export doctor orders --json",
    add_arguments=add_arguments,
    run=run,
    empty_document=EMPTY_DOCUMENT,
)
