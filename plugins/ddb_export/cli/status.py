"""``ddb-export status``: on one screen how fresh every table is: state, head, lag against its SLA, holes, cost of the month."""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ddb_export.cli.arguments import add_aws_arguments
from ddb_export.cli.command import Command
from ddb_export.cli.console import Console, count
from ddb_export.cli.tables import NamedTable, add_tables_argument, named_table, prices_for
from ddb_export.exceptions import ConfigurationError, DdbExportError, UsageError

if TYPE_CHECKING:
    from ddb_export.domain.ledger import Chain

EMPTY_DOCUMENT: dict[str, Any] = {"ok": False, "as_of": None, "tables": [], "errors": []}

_WATCH_SECONDS = 30
_CLEAR = "\x1b[H\x1b[2J"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "names", metavar="TABLE", nargs="*", help="configured names, or s3://bucket/prefix/name; default: all tables"
    )
    add_tables_argument(parser)
    parser.add_argument(
        "--watch",
        metavar="SECONDS",
        type=_seconds,
        nargs="?",
        const=_WATCH_SECONDS,
        help=f"look again every so many seconds (default {_WATCH_SECONDS}), until Ctrl-C",
    )
    add_aws_arguments(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Look at the tables and print, once or for ever."""
    while True:
        now = datetime.now(UTC)
        document = document_of([_status(each, arguments, now) for each in _names(arguments)], now)
        if arguments.watch and not console.as_json:
            print(_CLEAR, end="")
        code = console.result(document, lines(document))
        if not arguments.watch:
            return code
        time.sleep(arguments.watch)


def document_of(tables: list[dict[str, Any]], now: datetime) -> dict[str, Any]:
    """Return what the command says as plain data: times in ISO 8601, lengths in seconds, amounts as text in USD."""
    from ddb_export.domain.utc import iso

    errors = [
        {"file": f"table {table['table']}", "cause": each["cause"], "remedy": each["remedy"]}
        for table in tables
        for each in table["troubles"]
    ]
    return {"ok": not errors, "as_of": iso(now.replace(microsecond=0)), "tables": tables, "errors": errors}


def lines(document: dict[str, Any]) -> list[str]:
    """Return a table for people, a line each."""
    width = max([5, *(len(table["table"]) for table in document["tables"])])
    report = [
        f"as of {document['as_of']}, {count(len(document['tables']), 'table')}",
        f"  {'table':<{width}}  {'state':<16}{'complete to':<22}{'lag':<12}{'sla':<10}{'last verified':<22}{'holes':>5}{'month':>12}",
    ]
    for table in document["tables"]:
        state = table["troubles"][0]["trouble"] if table["troubles"] else "ok"
        cells = f"{state:<16}{table['head'] or '-':<22}{_length(table['lag_seconds']):<12}{_length(table['sla_seconds']):<10}"
        amount = "-" if table["month_usd"] is None else f"{table['month_usd']} USD"
        verified = table["last_verified"] or "-"
        report.append(f"  {table['table']:<{width}}  {cells}{verified:<22}{len(table['holes']):>5}{amount:>12}")
        report += [f"    {each['cause']}. Remedy: {each['remedy']}" for each in table["troubles"]]
    return report


def _seconds(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        message = f"{text!r} is no number of seconds"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def _names(arguments: argparse.Namespace) -> list[str]:
    if arguments.names:
        return list(arguments.names)
    from ddb_export.config.loader import load_tables

    names = [table.name for table in load_tables(arguments.tables)]
    if not names:
        raise ConfigurationError(
            str(arguments.tables), "no YAML below it declares a table", "name a table, or another folder with --tables"
        )
    return names


def _status(name: str, arguments: argparse.Namespace, now: datetime) -> dict[str, Any]:
    """Look at one table; that it cannot be looked at is a state too, unless it was named wrongly."""
    from ddb_export.domain.freshness import Trouble

    try:
        return _looked_at(named_table(argparse.Namespace(**{**vars(arguments), "table": name})), now)
    except (UsageError, ConfigurationError):
        raise
    except DdbExportError as error:
        trouble = {
            "trouble": str(Trouble.UNREADABLE),
            "cause": f"{error.thing}: {error.cause}",
            "remedy": error.remedy,
            "last_good": None,
        }
        return {
            "table": name.rstrip("/").rpartition("/")[2],
            "head": None,
            "lag_seconds": None,
            "sla_seconds": None,
            "last_verified": None,
            "holes": [],
            "month_usd": None,
            "troubles": [trouble],
        }


def _looked_at(table: NamedTable, now: datetime) -> dict[str, Any]:
    from ddb_export.domain.freshness import data_age, find_troubles
    from ddb_export.domain.gaps import find_gaps
    from ddb_export.domain.utc import iso
    from ddb_export.pipeline.freshness import facts_of
    from ddb_export.pipeline.ledger import Ledger

    ledger = Ledger(table.store, table.lake)
    chain = ledger.read()
    configured = table.configuration
    since = configured.start_date if configured else now
    facts = facts_of(ledger, chain, since, now, note_it=False)
    sla = configured.sla if configured else None
    newest = max((volume.end for volume in facts.volumes), default=chain.base.verified_at if chain.base else None)
    return {
        "table": table.lake.name,
        "head": iso(facts.head) if facts.head else None,
        "lag_seconds": int(data_age(facts, now).total_seconds()) if facts.head else None,
        "sla_seconds": int(sla.total_seconds()) if sla is not None else None,
        "last_verified": iso(newest.replace(microsecond=0)) if newest else None,
        "holes": [hole.to_json() for hole in find_gaps(chain, now).holes],
        "month_usd": _month(table, ledger, chain, now),
        "troubles": [found.to_json() for found in find_troubles(facts, now, sla=sla)],
    }


def _month(table: NamedTable, ledger: Any, chain: Chain, now: datetime) -> str | None:
    from ddb_export.pipeline.spending import month_so_far

    if chain.owner is None:
        return None
    spending = month_so_far(ledger, chain, now, note_it=False)
    return f"{spending.spent.usd(prices_for(table, chain.owner.table_arn)):.2f}"


def _length(seconds: int | None) -> str:
    from ddb_export.domain.freshness import in_words

    return "-" if seconds is None else in_words(timedelta(seconds=seconds))


COMMAND = Command(
    name="status",
    summary="say how fresh every table is, what troubles it, and what the month cost",
    description=(
        "Derive from the ledgers, without Airflow, how far each table's data is complete, how old\n"
        "that is against its SLA, and what a person should hear of. Exit 0: no trouble. 1: some."
    ),
    example="ddb-export status\n  ddb-export status orders users --json\n  ddb-export status --watch 60",
    add_arguments=add_arguments,
    run=run,
    empty_document=EMPTY_DOCUMENT,
)
