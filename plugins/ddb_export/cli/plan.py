"""``ddb-export plan``: what a run would do and cost, before it does; nothing is written and nothing is exported.

The plan is made by the code that the DAG's plan task runs, from the same ledger and the same table.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ddb_export.cli.clients import client_of
from ddb_export.cli.command import Command
from ddb_export.cli.console import Console
from ddb_export.cli.plan_request import Asked, add_run_arguments, asked_run, check_run_arguments
from ddb_export.cli.tables import NamedTable, add_table_arguments, named_table
from ddb_export.exceptions import (
    BudgetError,
    DdbExportError,
    EmptyLedgerError,
    PlanError,
    PointInTimeRecoveryError,
    TableIdentityError,
    UsageError,
)

if TYPE_CHECKING:
    from ddb_export.aws.dynamodb import DynamoDBGateway
    from ddb_export.domain.planning import Boundaries
    from ddb_export.pipeline.ledger import Ledger
    from ddb_export.pipeline.planning import PlannedRun

EMPTY_DOCUMENT: dict[str, Any] = {
    "ok": False,
    "table": None,
    "table_arn": None,
    "run": None,
    "now": None,
    "base": None,
    "head": None,
    "lag_seconds": None,
    "recovery": None,
    "deadline": None,
    "covered": [],
    "exports": [],
    "wait_until": None,
    "notes": [],
    "usd": None,
    "basis": [],
    "budget": None,
    "errors": [],
}

REFUSALS = (BudgetError, EmptyLedgerError, PlanError, PointInTimeRecoveryError, TableIdentityError)
"""What keeps the run from beginning. It is the answer that was asked for, so the rest of the report is given too."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_table_arguments(parser)
    parser.add_argument(
        "--table",
        dest="source",
        metavar="NAME",
        help="name or ARN of the DynamoDB table behind s3://…, if its ledger does not name it yet",
    )
    add_run_arguments(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Make the plan and print it."""
    from ddb_export.aws.dynamodb import DynamoDBGateway
    from ddb_export.cli.plan_report import lines
    from ddb_export.pipeline.ledger import Ledger

    check_run_arguments(arguments)
    table = named_table(arguments)
    ledger = Ledger(table.store, table.lake)
    source = _source(arguments, table, ledger)
    client = client_of(arguments, "dynamodb", source.split(":")[3] if source.startswith("arn:") else None)
    document = _answer(arguments, table, ledger, DynamoDBGateway(client), source)
    return console.result({**EMPTY_DOCUMENT, **document}, lines({**EMPTY_DOCUMENT, **document}))


def _source(arguments: argparse.Namespace, table: NamedTable, ledger: Ledger) -> str:
    """Return the name or ARN of the DynamoDB table."""
    if table.configuration:
        if arguments.source:
            raise UsageError(
                "--table", "the configuration names the table", "leave it out, or give s3://bucket/prefix/name"
            )
        return table.configuration.table
    if arguments.source:
        return str(arguments.source)
    owner = ledger.read().owner
    if owner is None:
        raise UsageError(table.lake.uri(), "there is no ledger that says of which table it is", "give --table NAME")
    return owner.table_arn


def _answer(
    arguments: argparse.Namespace, table: NamedTable, ledger: Ledger, dynamodb: DynamoDBGateway, source: str
) -> dict[str, Any]:
    from ddb_export.cli.plan_report import dearest_run, document_of_plan, document_of_run, document_of_world
    from ddb_export.domain.cost import Budget, require_within_budget, require_within_month
    from ddb_export.pipeline.estimate import estimate_run
    from ddb_export.pipeline.spending import spent_this_month

    configuration = table.configuration
    budget = Budget(configuration.budget.run, configuration.budget.month) if configuration else Budget()
    identity = dynamodb.identify(source)
    recovery, now = dynamodb.recovery(source)
    chain = ledger.read(tuple(configuration.outputs) if configuration else ())
    asked = asked_run(arguments, configuration, now, chain.head, is_first=chain.base_claim is None)
    if configuration is None and chain.base_claim:
        # Without its YAML, the chain says what its exports hold.
        asked = asked.with_filter(chain.base_claim.request.export_filter)
    document = {
        "table": table.lake.name,
        "table_arn": identity.table_arn,
        "run": document_of_run(asked),
        **document_of_world(chain, recovery, now),
    }
    try:
        planned = _planned(ledger, table, dynamodb, source, asked)
        own_prices = configuration.own_prices if configuration else {}
        estimated = estimate_run(dynamodb, ledger, table.store, planned, own_prices)
        spent = None
        if budget.month is not None:
            spent = spent_this_month(dynamodb, ledger, planned, estimated, own_prices, note_it=False)
        document |= document_of_plan(planned.plan, estimated, asked, budget, spent)
        require_within_budget(dearest_run(estimated, asked), budget, f"{asked.kind} run of {table.lake.name}")
        require_within_month(estimated, budget, spent or Decimal(0), f"{asked.kind} run of {table.lake.name}")
    except REFUSALS as error:
        return {**document, "errors": [_document_of(error)]}
    return {**document, "ok": True}


def _planned(ledger: Ledger, table: NamedTable, dynamodb: DynamoDBGateway, source: str, asked: Asked) -> PlannedRun:
    """Plan the run, or all runs of a backfill."""
    from ddb_export.pipeline.planning import plan_run, require_first_run

    boundaries = _boundaries(table)
    runs = [plan_run(dynamodb, ledger, source, request, boundaries) for request in asked.requests]
    if not runs[0].chain.claims and not asked.requests[0].new_base:
        require_first_run(ledger, table.store, ())
    whole = replace(
        runs[-1].plan,
        base=next((each.plan.base for each in runs if each.plan.base), None),
        windows=tuple(window for each in runs for window in each.plan.windows),
        notes=tuple(note for each in runs for note in each.plan.notes),
    )
    return replace(runs[-1], plan=whole)


def _boundaries(table: NamedTable) -> Boundaries:
    from ddb_export.domain.schedule import schedule_boundaries

    configuration = table.configuration

    def between(start: datetime, end: datetime) -> list[datetime]:
        if configuration is None or configuration.schedule is None:
            return []
        return schedule_boundaries(configuration.schedule, configuration.timezone, start, end)

    return between


def _document_of(error: DdbExportError) -> dict[str, str]:
    return {"file": error.thing, "cause": error.cause, "remedy": error.remedy}


COMMAND = Command(
    name="plan",
    summary="say what a run would do and cost, before it does",
    description=(
        "Make the plan of a run or a backfill from the table's ledger and the table as\n"
        "they are: windows, what is covered, how far back recovery reaches, the price\n"
        "and its basis, and whether the budget allows it. Nothing is written, exported\n"
        "or billed. Exit 0: it can run. 1: it is refused, or over its budget."
    ),
    example=(
        "ddb-export plan orders\n"
        "  ddb-export plan orders --backfill --from 2026-03-01 --to 2026-03-07\n"
        "  ddb-export plan s3://my-lake/dynamodb/orders --full-export --json"
    ),
    add_arguments=add_arguments,
    run=run,
    empty_document=EMPTY_DOCUMENT,
)
