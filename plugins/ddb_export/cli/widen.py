"""``ddb-export widen``: columns that hold what overflowed, at a price that is named first."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ddb_export.cli.clients import client_of
from ddb_export.cli.command import Command
from ddb_export.cli.console import Console, count, readable_bytes
from ddb_export.cli.tables import NamedTable, add_table_arguments, contract_of, named_table, owned_ledger, prices_for
from ddb_export.exceptions import UsageError

if TYPE_CHECKING:
    from ddb_export.domain.widening import Widening, WideningEstimate
    from ddb_export.exceptions import BudgetError
    from ddb_export.pipeline.widening import TableWidening, WideningPlan

EMPTY_DOCUMENT: dict[str, Any] = {
    "ok": False,
    "table": None,
    "planned_only": None,
    "widening": None,
    "under_way": None,
    "state": None,
    "changes": [],
    "added": [],
    "refilled": [],
    "left": [],
    "at_risk": [],
    "given_up": None,
    "contract": [],
    "partitions": None,
    "files": None,
    "bytes": None,
    "requests": None,
    "usd": None,
    "basis": [],
    "scanned": None,
    "schema_version": None,
    "errors": [],
}

_MOST_LINES = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``widen``."""
    add_table_arguments(parser)
    parser.add_argument("--plan", action="store_true", help="say what would be done and what it costs; write nothing")
    parser.add_argument(
        "--column",
        metavar="NAME",
        action="append",
        default=[],
        help="only this column, or attribute without one, which it then gets; can be repeated",
    )
    parser.add_argument(
        "--retype",
        action="store_true",
        help="let the columns that --column names take the DynamoDB type of most of their values",
    )


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Plan, and unless only that was asked for, widen."""
    from ddb_export.domain.widening import estimate_widening
    from ddb_export.domain.wider_columns import Wish
    from ddb_export.pipeline.clock import clock_of

    if arguments.retype and not arguments.column:
        raise UsageError("--retype", "it names no column", "add --column NAME for each column that may change so")
    table = named_table(arguments)
    if table.configuration is None and not arguments.plan:
        raise UsageError(
            arguments.table,
            "rewriting its partitions needs the contract of the table's YAML, which says what they may show",
            "name the table as it is configured, or add --plan",
        )
    widening, arn = _widening(arguments, table)
    now = clock_of(table.store)
    plan = widening.plan(Wish(names=tuple(arguments.column), retype=arguments.retype), now())
    estimated = estimate_widening(plan.entries, prices_for(table, arn))
    document = _document(plan, estimated, table.lake.name)
    if plan.is_empty and not arguments.plan:
        widening.note_what_is_shown()
    if arguments.plan or plan.is_empty:
        lines = _lines(document, plan, done=None) + _line_of_views(table, plan)
        return console.result({**document, "ok": True, "planned_only": True}, lines)
    if dear := _over_budget(table, plan, estimated):
        document["errors"] = [{"file": dear.thing, "cause": dear.cause, "remedy": dear.remedy}]
        return console.result({**document, "planned_only": True}, _lines(document, plan, done=None))
    done = widening.run(plan, now, _progress(console))
    document.update(ok=True, planned_only=False, state=done.ended, schema_version=done.to_version)
    return console.result(document, _lines(document, plan, done=done) + _line_of_views(table, plan))


def _widening(arguments: argparse.Namespace, table: NamedTable) -> tuple[TableWidening, str]:
    from ddb_export.aws.glue import GlueGateway
    from ddb_export.domain.contract import NO_CONTRACT
    from ddb_export.pipeline.tasks import TableWork
    from ddb_export.pipeline.widening import TableWidening

    ledger, owner = owned_ledger(table)
    client = client_of(arguments, "glue", owner.table_arn.split(":")[3])
    contract = contract_of(table.configuration) if table.configuration else NO_CONTRACT
    return TableWidening(TableWork(ledger, table.store, contract), GlueGateway(client)), owner.table_arn


def _over_budget(table: NamedTable, plan: WideningPlan, estimated: WideningEstimate) -> BudgetError | None:
    from ddb_export.domain.widening import budget_error

    budget = table.configuration.budget.run if table.configuration else None
    return None if plan.under_way else budget_error(table.lake.name, estimated, budget)


def _progress(console: Console) -> Callable[[str, int, int], None]:
    advance: dict[str, tuple[Callable[[int, int], None], int]] = {}

    def step(what: str, done: int, of: int) -> None:
        told, before = advance.get(what, (None, 0))
        if told is None or done < before:
            told, before = console.phase(what, of), 0
        told(done - before, 0)
        advance[what] = (told, done)

    return step


def _document(plan: WideningPlan, estimated: WideningEstimate, name: str) -> dict[str, Any]:
    decision = plan.decision
    return {
        **EMPTY_DOCUMENT,
        "table": name,
        "widening": plan.widening.number if plan.rewrites else None,
        "under_way": plan.under_way,
        "changes": [
            {
                "column": each.before.name,
                "attribute": each.before.attribute,
                "from": each.before.glue_type,
                "to": each.after.glue_type,
            }
            for each in decision.changes
        ],
        "added": [
            {"column": each.name, "attribute": each.attribute, "type": each.glue_type} for each in decision.added
        ],
        "refilled": list(decision.refilled),
        "left": [left.to_json() for left in decision.left],
        "at_risk": [risk.to_json() for risk in plan.risks],
        "given_up": plan.outdated.number if plan.outdated else None,
        "contract": [line.to_json() for line in decision.stale],
        "partitions": estimated.partitions,
        "files": estimated.files,
        "bytes": estimated.bytes_read,
        "requests": estimated.reads + estimated.writes,
        "usd": f"{estimated.usd:f}",
        "basis": list(estimated.basis),
        "scanned": plan.scanned,
        "schema_version": plan.widening.from_version,
    }


def _lines(document: dict[str, Any], plan: WideningPlan, *, done: Widening | None) -> list[str]:
    from ddb_export.domain.cost import usd
    from ddb_export.domain.overflow import reason_words
    from ddb_export.pipeline.widening import change_words

    state = "would be widened"
    if not plan.rewrites:
        state = "nothing to widen"
    elif done is not None:
        state = f"widened, columns of version {done.to_version}"
    elif plan.under_way:
        state = f"widening {plan.widening.number} is under way; without --plan it goes on"
    report = [f"{document['table']}: {state}"]
    report += [f"  column     {words}" for words in change_words(plan.decision)]
    report += [f"  at risk    {risk.words}" for risk in plan.risks]
    if plan.outdated:
        report.append(f"  given up   widening {plan.outdated.number}, which was begun before: {plan.outdated_because}")
    if plan.rewrites:
        size, files = readable_bytes(document["bytes"]), count(document["files"], "raw file")
        price = usd(Decimal(document["usd"]))
        report.append(f"  rewrite    {count(document['partitions'], 'partition')} from {files}, {size}; about {price}")
        report += [f"  basis      {line}" for line in document["basis"]]
    taken_out = {risk.column for risk in plan.risks if risk.becomes != "overflow"}
    left = [each for each in plan.decision.left if each.line.column is None or each.line.column.name not in taken_out]
    report += [
        f"  stays      {each.line.attribute or 'other attributes'}: {reason_words({each.reason: each.line.reasons[each.reason]})};"
        f" {each.cause}"
        for each in left[:_MOST_LINES]
    ]
    if len(left) > _MOST_LINES:
        report.append(f"  stays      {len(left) - _MOST_LINES} more; --json has them all")
    return report


def _line_of_views(table: NamedTable, plan: WideningPlan) -> list[str]:
    """Say who writes the helper views again, which Athena refuses once their columns have other types."""
    if table.configuration is None or not table.configuration.views or not plan.decision.changes:
        return []
    return ["  views      the table's next run writes them again; until then Athena refuses them (VIEW_IS_STALE)"]


COMMAND = Command(
    name="widen",
    summary="rewrite partitions so that columns hold what overflowed",
    description=(
        "Give published columns types that hold what is in _overflow, and rewrite the\n"
        "older partitions from their raw exports; also those that show what the contract\n"
        "drops or hashes by now. Nothing is exported. Readers see the old columns until\n"
        "all is rewritten. Interrupted, the same command goes on."
    ),
    example="ddb-export widen orders --plan\n  ddb-export widen orders --column price",
    add_arguments=add_arguments,
    run=run,
    empty_document=EMPTY_DOCUMENT,
)
