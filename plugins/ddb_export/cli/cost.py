"""``ddb-export cost``: what exports were billed, by the ledgers' evidence: per run, table and month; with a plot if wanted."""

from __future__ import annotations

import argparse
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddb_export.cli.arguments import add_aws_arguments
from ddb_export.cli.command import Command
from ddb_export.cli.console import Console, count, readable_bytes
from ddb_export.cli.tables import NamedTable, add_tables_argument, named_table, prices_for
from ddb_export.exceptions import NotReachableError

if TYPE_CHECKING:
    from ddb_export.domain.spending import BilledExport

EMPTY_DOCUMENT: dict[str, Any] = {"ok": False, "usd": None, "months": [], "tables": [], "errors": []}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "table", metavar="TABLE", nargs="?", help="a configured name, or s3://bucket/prefix/name; default: all tables"
    )
    add_tables_argument(parser)
    parser.add_argument("--plot", metavar="FILE.svg", type=Path, help="draw the months as a picture, too")
    add_aws_arguments(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Read the ledgers, add up, print, and plot."""
    tables = [_table_document(each) for each in _tables(arguments)]
    if arguments.table and not tables[0]["has_ledger"]:
        remedy = "check the table's bucket, prefix and name"
        raise NotReachableError(f"table {arguments.table}", "there is no ledger, so nothing was exported", remedy)
    document = document_of(tables)
    if arguments.plot:
        from ddb_export.cli.cost_plot import svg

        arguments.plot.write_text(svg(document), encoding="utf-8")
    return console.result(document, lines(document))


def document_of(tables: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the command says, as plain data: amounts as text in USD, sizes in bytes, months as ``YYYY-MM`` (UTC)."""
    spent: dict[str, Decimal] = {}
    for table in tables:
        for month in table["months"]:
            spent[month["month"]] = spent.get(month["month"], Decimal(0)) + Decimal(month["usd"])
    return {
        "ok": True,
        "usd": f"{sum(spent.values(), Decimal(0)):f}",
        "months": [{"month": month, "usd": f"{spent[month]:f}"} for month in sorted(spent)],
        "tables": tables,
        "errors": [],
    }


def lines(document: dict[str, Any]) -> list[str]:
    """Return a report for people: a line for each table and month."""
    from ddb_export.domain.cost import usd

    billed = sum(len(table["exports"]) for table in document["tables"])
    width = max([12, *(len(table["table"]) for table in document["tables"])])
    report = [f"{count(billed, 'export')} billed, about {usd(Decimal(document['usd']))}"]
    if billed:
        report.append(f"  {'table':<{width}}  {'month':<8}{'exports':>8}{'full':>12}{'incremental':>13}{'about':>16}")
    for table in document["tables"]:
        for month in table["months"]:
            sizes = f"{readable_bytes(month['full_bytes']):>12}{readable_bytes(month['incremental_bytes']):>13}"
            amount = f"{usd(Decimal(month['usd'])):>16}"
            report.append(f"  {table['table']:<{width}}  {month['month']:<8}{month['exports']:>8}{sizes}{amount}")
        if table["pending"]:
            report.append(
                f"  {table['table']:<{width}}  {count(table['pending'], 'export')} not verified yet, not counted"
            )
        if not table["has_ledger"]:
            report.append(f"  {table['table']:<{width}}  no ledger: nothing was exported yet")
    return [
        *report,
        *(f"  prices     {each}" for each in sorted({table["prices"] for table in document["tables"]} - {""})),
    ]


def _tables(arguments: argparse.Namespace) -> list[NamedTable]:
    if arguments.table:
        return [named_table(arguments)]
    from ddb_export.config.loader import load_tables

    names = [table.name for table in load_tables(arguments.tables)]
    # Each table may lie in a region of its own, which naming it writes into the arguments.
    return [named_table(argparse.Namespace(**{**vars(arguments), "table": name})) for name in names]


def _table_document(table: NamedTable) -> dict[str, Any]:
    from ddb_export.domain.spending import billed_exports, months
    from ddb_export.pipeline.ledger import Ledger

    chain = Ledger(table.store, table.lake).read_every_object()
    document: dict[str, Any] = {"table": table.lake.name, "has_ledger": chain.owner is not None, "usd": "0"}
    if chain.owner is None:
        return {**document, "prices": "", "pending": 0, "months": [], "exports": []}
    prices = prices_for(table, chain.owner.table_arn)
    exports: list[BilledExport] = billed_exports(chain.claims, chain.verified, prices)
    return {
        **document,
        "usd": f"{sum((each.usd for each in exports), Decimal(0)):f}",
        "prices": prices.source,
        "pending": sum(claim.export not in chain.verified for claim in chain.newest_attempts.values()),
        "months": [
            {
                "month": each.month,
                "exports": each.exports,
                "full_bytes": each.full_bytes,
                "incremental_bytes": each.window_bytes,
                "usd": f"{each.usd(prices):f}",
            }
            for each in months(chain.claims, chain.verified)
        ],
        "exports": [each.to_json() for each in exports],
    }


COMMAND = Command(
    name="cost",
    summary="say what exports were billed, per table and month",
    description=(
        "Add up what each verified export was billed (BilledSizeBytes), at the configured\n"
        "prices, with the S3 requests that wrote its files and Athena's count. --json has every export.\n"
        "What a run would cost is said by plan."
    ),
    example="ddb-export cost\n  ddb-export cost orders --json\n  ddb-export cost --plot cost.svg",
    add_arguments=add_arguments,
    run=run,
    empty_document=EMPTY_DOCUMENT,
)
