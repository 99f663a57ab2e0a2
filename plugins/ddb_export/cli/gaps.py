"""``ddb-export gaps``: the proof that a table's chain has no hole, or where it has one."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta
from typing import Any

from ddb_export.cli.command import Command
from ddb_export.cli.console import Console
from ddb_export.cli.tables import add_table_arguments, named_table

EMPTY_DOCUMENT: dict[str, Any] = {
    "ok": False,
    "table": None,
    "table_arn": None,
    "chains": [],
    "base": None,
    "head": None,
    "lag_seconds": None,
    "holes": [],
    "islands": [],
    "history": [],
    "overlaps": [],
    "pending": [],
    "errors": [],
}


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Derive the report from the ledger and print it."""
    from ddb_export.domain.gaps import find_gaps
    from ddb_export.exceptions import NotReachableError
    from ddb_export.pipeline.ledger import Ledger

    table = named_table(arguments)
    chain = Ledger(table.store, table.lake).read_every_object()
    if not chain.claims:
        raise NotReachableError(
            table.store.uri(table.lake.ledger), "there is no ledger", "check the table's bucket, prefix and name"
        )
    report = find_gaps(chain, datetime.now(UTC))
    document = {**report.to_json(), "table": table.lake.name}
    return console.result(document, lines(document))


def lines(document: dict[str, Any]) -> list[str]:
    """Return a report for people."""
    if document["head"] is None:
        state = "NO VERIFIED BASE"
    else:
        state = "no hole" if document["ok"] else f"{len(document['holes'])} HOLE{'S' * (len(document['holes']) > 1)}"
    report = [f"{document['table']}: {state}", f"  base       {document['base']}"]
    if document["head"]:
        lag = timedelta(seconds=document["lag_seconds"])
        report.append(f"  complete   to {document['head']}, {lag} ago")
    report += [f"  hole       {hole['start']} to {hole['end']}: {hole['cause']}" for hole in document["holes"]]
    for name, label in (("islands", "beyond"), ("pending", "pending"), ("history", "before"), ("overlaps", "twice")):
        report += [f"  {label:<10} {each['start']} to {each['end']}" for each in document[name]]
    closed = [chain for chain in document["chains"] if not chain["current"]]
    report += [f"  closed     chain {chain['number']}, base {chain['base']}" for chain in closed]
    return report


COMMAND = Command(
    name="gaps",
    summary="prove that a table's chain has no hole, or name the holes",
    description=(
        "Derive from the ledger's evidence alone how far a table's data is complete.\n"
        "Exit 0: no hole. 1: a hole, or no verified base."
    ),
    example="ddb-export gaps orders\n  ddb-export gaps s3://my-lake/dynamodb/orders --json",
    add_arguments=add_table_arguments,
    run=run,
    empty_document=EMPTY_DOCUMENT,
)
