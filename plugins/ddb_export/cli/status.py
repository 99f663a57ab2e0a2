"""``ddb-export status``: on one screen how fresh every table is: state, head, lag against its SLA, last run, holes, cost of the month.

It looks at what the freshness DAG looks at (ledger, point-in-time recovery, YAML), by AWS's clock, and tells the same troubles; it writes
nothing.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ddb_export.cli.arguments import add_aws_arguments
from ddb_export.cli.clients import client_of
from ddb_export.cli.command import Command
from ddb_export.cli.console import Console, count
from ddb_export.cli.tables import (
    NamedTable,
    add_tables_argument,
    named_table,
    opened_table,
    prices_for,
    unknown_table,
)
from ddb_export.exceptions import ConfigurationError, DdbExportError, UsageError

if TYPE_CHECKING:
    from ddb_export.config.model import TableConfiguration
    from ddb_export.domain.evidence import VerifiedEntry
    from ddb_export.domain.freshness import Finding
    from ddb_export.domain.ledger import Chain
    from ddb_export.domain.plan import PointInTimeRecovery

_log = logging.getLogger(__name__)

EMPTY_DOCUMENT: dict[str, Any] = {"ok": False, "as_of": None, "tables": [], "configuration": [], "errors": []}

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
        asked, problems = _asked(arguments)
        document = document_of([_status(each, arguments) for each in asked], problems)
        if arguments.watch and not console.as_json:
            print(_CLEAR, end="")
        code = console.result(document, lines(document))
        if not arguments.watch:
            return code
        time.sleep(arguments.watch)


def document_of(tables: list[dict[str, Any]], problems: Sequence[ConfigurationError] = ()) -> dict[str, Any]:
    """Return what the command says as plain data: times in ISO 8601, lengths in seconds, amounts as text in USD.

    :param problems: files that cannot be used.
    """
    from ddb_export.domain.freshness import Trouble
    from ddb_export.domain.utc import iso

    configuration = [
        {"trouble": str(Trouble.CONFIGURATION), "cause": f"{each.thing}: {each.cause}", "remedy": each.remedy}
        for each in problems
    ]
    errors = [
        {"file": f"table {table['table']}", "cause": each["cause"], "remedy": each["remedy"]}
        for table in tables
        for each in table["troubles"]
    ] + [{"file": each.thing, "cause": each.cause, "remedy": each.remedy} for each in problems]
    # Where no table could be asked for the time, this machine's clock has to do.
    local = iso(datetime.now(UTC).replace(microsecond=0))
    as_of = max((table["as_of"] for table in tables if table["as_of"]), default=local)
    return {"ok": not errors, "as_of": as_of, "tables": tables, "configuration": configuration, "errors": errors}


def lines(document: dict[str, Any]) -> list[str]:
    """Return a table for people, a line each."""
    width = max([5, *(len(table["table"]) for table in document["tables"])])
    report = [
        f"as of {document['as_of']}, {count(len(document['tables']), 'table')}",
        f"  {'table':<{width}}  {'state':<16}{'complete to':<22}{'lag':<12}{'sla':<10}{'last run':<30}{'holes':>5}{'month':>12}",
    ]
    for table in document["tables"]:
        state = table["troubles"][0]["trouble"] if table["troubles"] else "ok"
        cells = f"{state:<16}{table['head'] or '-':<22}{_length(table['lag_seconds']):<12}{_length(table['sla_seconds']):<10}"
        amount = "-" if table["month_usd"] is None else f"{table['month_usd']} USD"
        last = table["last_run"]
        ran = f"{last['verified_at']} {last['kind']}" if last else "-"
        report.append(f"  {table['table']:<{width}}  {cells}{ran:<30}{len(table['holes']):>5}{amount:>12}")
        report += [f"    {each['cause']}. Remedy: {each['remedy']}" for each in table["troubles"]]
    report += [f"  {each['trouble']}: {each['cause']}. Remedy: {each['remedy']}" for each in document["configuration"]]
    return report


def _seconds(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        message = f"{text!r} is no number of seconds"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def _asked(
    arguments: argparse.Namespace,
) -> tuple[list[str | TableConfiguration], tuple[ConfigurationError, ...]]:
    """Return the tables that are asked for, URIs as they are, and what is wrong with files where all are asked for.

    :raises ConfigurationError: there is no table, or the one that is asked for may be in a file that cannot be used.
    :raises UsageError: no file names a table that is asked for.
    """
    if arguments.names and all("/" in name for name in arguments.names):
        return list(arguments.names), ()
    from ddb_export.config.loader import load_tables
    from ddb_export.config.problems import InvalidFileError

    tables, errors = load_tables(arguments.tables, on_error="collect")
    known = {table.name: table for table in tables}
    missing = [name for name in arguments.names if "/" not in name and name not in known]
    if missing and not errors:
        raise unknown_table(missing[0], known, arguments.tables)
    if missing or any(not isinstance(error, InvalidFileError) for error in errors):
        raise errors[0]
    if arguments.names:
        return [known.get(name, name) for name in arguments.names], ()
    if not tables and not errors:
        raise ConfigurationError(
            str(arguments.tables), "no YAML below it declares a table", "name a table, or another folder with --tables"
        )
    return list(tables), errors


def _status(asked: str | TableConfiguration, arguments: argparse.Namespace) -> dict[str, Any]:
    """Look at one table; that it cannot be looked at is a state too, unless it was named wrongly."""
    from ddb_export.pipeline.alerting import unforeseen

    own = argparse.Namespace(**vars(arguments))
    name = asked.rstrip("/").rpartition("/")[2] if isinstance(asked, str) else asked.name
    try:
        if isinstance(asked, str):
            own.table = asked
            table = named_table(own)
        else:
            table = opened_table(asked, own)
        return _looked_at(table, own)
    except (UsageError, ConfigurationError):
        raise
    except Exception as error:  # noqa: BLE001  # one table's trouble, foreseen or not, hides no other's
        if not isinstance(error, DdbExportError):
            _log.error("table %s: it could not be looked at", name, exc_info=error)
        return {
            "table": name,
            "as_of": None,
            "head": None,
            "lag_seconds": None,
            "sla_seconds": None,
            "last_run": None,
            "holes": [],
            "month_usd": None,
            "troubles": [_unreadable(unforeseen(name, error)).to_json()],
        }


def _unreadable(error: DdbExportError) -> Finding:
    from ddb_export.domain.freshness import Finding, Trouble

    return Finding(Trouble.UNREADABLE, f"{error.thing}: {error.cause}", error.remedy)


def _looked_at(table: NamedTable, arguments: argparse.Namespace) -> dict[str, Any]:
    from ddb_export.domain.freshness import HORIZON_WARNING, data_age, find_troubles
    from ddb_export.domain.gaps import find_gaps
    from ddb_export.domain.utc import iso
    from ddb_export.pipeline.freshness import facts_of, last_verified
    from ddb_export.pipeline.ledger import Ledger

    ledger = Ledger(table.store, table.lake)
    now = table.store.now()
    chain = ledger.read()
    configured = table.configuration
    recovery, unasked = _recovery(table, chain, arguments)
    facts = facts_of(ledger, chain, configured.start_date if configured else now, now, recovery, note_it=False)
    sla = configured.sla if configured else None
    horizon = configured.alerts.horizon if configured else HORIZON_WARNING
    muted = configured.alerts.mute if configured else ()
    troubles = find_troubles(facts, now, sla=sla, horizon=horizon, muted=muted)
    last = last_verified(ledger, chain)
    return {
        "table": table.lake.name,
        "as_of": iso(now.replace(microsecond=0)),
        "head": iso(facts.head) if facts.head else None,
        "lag_seconds": int(data_age(facts, now).total_seconds()) if facts.head else None,
        "sla_seconds": int(sla.total_seconds()) if sla is not None else None,
        "last_run": _run(last) if last else None,
        "holes": [hole.to_json() for hole in find_gaps(chain, now).holes],
        "month_usd": _month(table, ledger, chain, now),
        "troubles": [each.to_json() for each in (*unasked, *troubles)],
    }


def _run(last: VerifiedEntry) -> dict[str, str]:
    from ddb_export.domain.utc import iso

    verified_at = iso(last.verified_at.replace(microsecond=0))
    return {"kind": str(last.kind), "export": last.export, "verified_at": verified_at}


def _recovery(
    table: NamedTable, chain: Chain, arguments: argparse.Namespace
) -> tuple[PointInTimeRecovery | None, tuple[Finding, ...]]:
    """Ask for a table's point-in-time recovery; that it cannot be asked for is a trouble beside those of the ledger.

    A lake on a disk is looked at without AWS, and one that was named by URI says in its ledger which table it is of.
    """
    from ddb_export.aws.dynamodb import DynamoDBGateway

    asked = table.configuration.table if table.configuration else chain.owner and chain.owner.table_arn
    if not table.lake.bucket or not asked:
        return None, ()
    region = asked.split(":")[3] if asked.startswith("arn:") else None
    try:
        return DynamoDBGateway(client_of(arguments, "dynamodb", region)).recovery(asked)[0], ()
    except (UsageError, ConfigurationError):
        raise
    except DdbExportError as error:
        return None, (_unreadable(error),)


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
