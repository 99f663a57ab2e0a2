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
    "overflow": [],
    "overflow_unknown": 0,
    "errors": [],
}


_MOST_LINES = 20


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Derive the report from the ledger and print it."""
    from ddb_export.domain.gaps import find_gaps
    from ddb_export.domain.overflow import overflow_lines
    from ddb_export.domain.shown import shown_entries
    from ddb_export.exceptions import NotReachableError
    from ddb_export.pipeline.ledger import Ledger

    table = named_table(arguments)
    ledger = Ledger(table.store, table.lake)
    chain = ledger.read_every_object()
    if not chain.claims:
        raise NotReachableError(
            table.store.uri(table.lake.ledger), "there is no ledger", "check the table's bucket, prefix and name"
        )
    report = find_gaps(chain, datetime.now(UTC))
    shown = shown_entries(chain, ledger.published_entries(("snapshots", "changes")))
    document = {
        **report.to_json(),
        "table": table.lake.name,
        "overflow": [line.to_json() for line in overflow_lines(shown, ledger.read_schema())],
        "overflow_unknown": sum(entry.overflowed is None for entry in shown),
    }
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
    return [*report, *_overflow(document)]


def _overflow(document: dict[str, Any]) -> list[str]:
    """Return what the columns could not hold; it is kept exactly in ``_overflow``, so no exit code speaks of it."""
    from ddb_export.domain.overflow import reason_words

    lines = []
    for each in document["overflow"][:_MOST_LINES]:
        column = f" (column {each['column']}, {each['type']})" if each["column"] else ""
        where = (
            each["first"] if each["exports"] == 1 else f"{each['exports']} exports, {each['first']} to {each['last']}"
        )
        attribute = each["attribute"] or "other attributes"
        lines.append(f"  overflow   {attribute}{column}: {reason_words(each['reasons'])}; {where}")
    if len(document["overflow"]) > _MOST_LINES:
        lines.append(f"  overflow   {len(document['overflow']) - _MOST_LINES} more attributes; --json has them all")
    if lines:
        lines.append(f"next: ddb-export widen {document['table']} --plan says what columns that hold it cost")
    return lines


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
