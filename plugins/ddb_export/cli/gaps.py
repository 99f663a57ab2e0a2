"""``ddb-export gaps``: the proof that a table's chain has no hole, or where it has one."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ddb_export.cli.command import Command
from ddb_export.cli.console import Console, count
from ddb_export.cli.tables import NamedTable, add_table_arguments, contract_of, named_table

if TYPE_CHECKING:
    from ddb_export.domain.evidence import PublishedEntry

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
    "contract": None,
    "quarantine": [],
    "raw_removed": [],
    "errors": [],
}


_MOST_LINES = 20


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Derive the report from the ledger and print it."""
    from ddb_export.domain.gaps import find_gaps
    from ddb_export.domain.overflow import overflow_lines
    from ddb_export.domain.quarantine import quarantined_lines
    from ddb_export.domain.shown import shown_entries
    from ddb_export.exceptions import NotReachableError
    from ddb_export.pipeline.ledger import Ledger
    from ddb_export.pipeline.retention_records import RetentionRecords

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
        "contract": _stale(table, shown),
        "quarantine": [lines.to_json() for lines in quarantined_lines(shown, table.lake)],
        "raw_removed": sorted(RetentionRecords(table.store, table.lake).removals()),
    }
    return console.result(document, lines(document))


def _stale(table: NamedTable, shown: Sequence[PublishedEntry]) -> list[dict[str, Any]] | None:
    """Return what partitions show in another way than the contract says; None where no YAML says what the contract is."""
    from ddb_export.domain.redaction import stale_lines

    if table.configuration is None:
        return None
    return [line.to_json() for line in stale_lines(shown, contract_of(table.configuration).redaction)]


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
    if gone := document["raw_removed"]:
        names = gone[0] if len(gone) == 1 else f"{len(gone)} exports, {gone[0]} to {gone[-1]}"
        report.append(f"  no raw     {names}: removed by retention; what is published of it stays")
    report += _quarantine(document["quarantine"])
    found = [*_contract(document), *_overflow(document)]
    if found:
        found.append(
            f"next: ddb-export widen {document['table']} --plan says what rewriting partitions changes, and what it costs"
        )
    return [*report, *found]


def _quarantine(found: Sequence[dict[str, Any]]) -> list[str]:
    """Return what is kept in quarantine, the newest exports first. The chain is whole nevertheless: no exit code speaks of it."""
    from ddb_export.domain.quarantine import REMEDY

    if not found:
        return []
    lines = [
        f"  quarantine {count(each['lines'], 'line')} of {each['of_lines']} of {each['export']} not in {each['glue_table']}: {each['folder']}"
        for each in reversed(found[-_MOST_LINES:])
    ]
    if len(found) > _MOST_LINES:
        rest = sum(each["lines"] for each in found[:-_MOST_LINES])
        lines.append(
            f"  quarantine {count(rest, 'line')} of {len(found) - _MOST_LINES} older exports; --json has them all"
        )
    return [*lines, f"next: {REMEDY}"]


def _contract(document: dict[str, Any]) -> list[str]:
    """Return what is readable in another way than the contract says. The chain is whole nevertheless: no exit code speaks of it."""
    from ddb_export.domain.redaction import difference_words

    return [
        f"  contract   {difference_words(each['attribute'], each['made'], each['contract'])}; {_where(each)}"
        for each in (document["contract"] or ())
    ]


def _where(line: dict[str, Any]) -> str:
    if line["exports"] == 1:
        return str(line["first"])
    return f"{line['exports']} exports, {line['first']} to {line['last']}"


def _overflow(document: dict[str, Any]) -> list[str]:
    """Return what the columns could not hold; it is kept exactly in ``_overflow``, so no exit code speaks of it."""
    from ddb_export.domain.overflow import reason_words

    lines = []
    for each in document["overflow"][:_MOST_LINES]:
        column = f" (column {each['column']}, {each['type']})" if each["column"] else ""
        attribute = each["attribute"] or "other attributes"
        lines.append(f"  overflow   {attribute}{column}: {reason_words(each['reasons'])}; {_where(each)}")
    if len(document["overflow"]) > _MOST_LINES:
        lines.append(f"  overflow   {len(document['overflow']) - _MOST_LINES} more attributes; --json has them all")
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
