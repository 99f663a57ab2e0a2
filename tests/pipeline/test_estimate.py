"""Estimates from a table and a ledger as they are: in few requests, and with what was billed before."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from ddb_export.domain.cost import Budget, Estimate, estimate, prices_of
from ddb_export.domain.export import ExportViewType
from ddb_export.domain.ledger import ClaimKind, FailedEntry, VerifiedEntry
from ddb_export.domain.plan import Action, Plan, PlannedExport, PlanRequest, RunKind
from ddb_export.domain.window import Stretch, Window
from ddb_export.pipeline.estimate import MOST_HISTORY, MOST_LOOKED_FOR, estimate_run, explain_estimate
from ddb_export.pipeline.planning import PlannedRun, plan_run
from tests.pipeline.tables import LakeTable, at


@pytest.fixture
def table(lab, account, aws) -> LakeTable:
    made = LakeTable(lab, account, aws)
    made.put(1, "a")
    made.until(30)
    return made


def planned(table: LakeTable, start: float, end: float) -> PlannedRun:
    request = PlanRequest(
        RunKind.SCHEDULED,
        table.now,
        timedelta(minutes=5),
        Stretch(at(start), at(end)),
        ExportViewType.NEW_AND_OLD_IMAGES,
        ("snapshots", "changes"),
    )
    return plan_run(table.dynamodb, table.ledger, "orders", request, lambda *_: [])


def estimated(table: LakeTable, run: PlannedRun) -> Estimate:
    return estimate_run(table.dynamodb, table.ledger, table.store, run)


def verified(table: LakeTable, base: VerifiedEntry, windows: dict[Window, int]) -> None:
    """Record verified windows that were billed so much each."""
    wanted = [table.wanted(0, 1) for _ in windows]
    wanted = [
        replace(each, request=replace(each.request, window=window))
        for each, window in zip(wanted, windows, strict=True)
    ]
    for claim, billed in zip(table.ledger.claim(wanted, table.table_id, table.now), windows.values(), strict=True):
        window = claim.window
        entry = replace(base, export=claim.export, kind=claim.kind, export_time=None, billed_bytes=billed, files=2)
        table.ledger.record_verified(replace(entry, start=window.start, end=window.end))


def test_size_of_the_table_is_what_dynamodb_says(table):
    assert table.dynamodb.size("orders") == table.dynamodb.size(table.arn) == 200


def test_base_is_estimated_by_the_size(table):
    (line,) = estimated(table, planned(table, 0, 24)).lines
    assert (line.planned.kind, line.billed_bytes) == (ClaimKind.BASE, 200)


def test_windows_are_estimated_by_what_was_billed_before(table):
    verified(table, table.verified(2), {Window(at(2), at(8)): 60_000_000, Window(at(8), at(10)): 60_000_000})
    line = estimated(table, planned(table, 10, 14)).lines[-1]
    assert (line.planned.window, line.billed_bytes) == (Window(at(10), at(14)), 60_000_000)
    assert line.usd == Decimal("0.006") + (2 * 3 + 5) * Decimal("0.000005") + Decimal("0.00005")


def test_history_is_bounded(table):
    quarters = [Window(at(2 + number / 4), at(2.25 + number / 4)) for number in range(MOST_HISTORY + 4)]
    billed = [10**12] * 4 + [10_000_000] * MOST_HISTORY
    verified(table, table.verified(2), dict(zip(quarters, billed, strict=True)))
    line = estimated(table, planned(table, 2, 24)).lines[-1]
    assert line.planned.window == Window(at(7), at(24))
    assert line.billed_bytes == 17 * 4 * 10_000_000


def test_failed_export_is_paid_again(table):
    table.verified(2)
    claim = table.claim(2, 24)
    run = planned(table, 2, 24)
    assert [each.action for each in run.plan.windows] == [Action.CONTINUE]
    not_started = estimated(table, run).total
    assert not_started > 0
    description = table.export(claim)
    assert estimated(table, run).total == 0
    table.ledger.record_failed(FailedEntry(claim.export, description.export_arn, "UNKNOWN", None, None))
    assert estimated(table, run).total == not_started


def test_many_claims_are_not_all_looked_for(table):
    table.verified(2)
    run = planned(table, 2, 24)
    windows = tuple(
        PlannedExport(ClaimKind.WINDOW, Action.CONTINUE, "test", window=Window(at(hour), at(hour + 1)))
        for hour in range(MOST_LOOKED_FOR + 10)
    )
    result = estimated(table, replace(run, plan=replace(run.plan, windows=windows)))
    assert len(result.billed) == MOST_LOOKED_FOR + 10


def test_plan_that_asks_for_nothing_needs_no_call(table):
    run = planned(table, 0, 24)
    table.lab.reset(table.account)
    nothing = replace(run, plan=Plan(None, (), at(24)))
    assert explain_estimate(estimated(table, nothing), Budget(Decimal(0))) == [
        "estimated price: nothing; DynamoDB is asked for nothing new, so it bills nothing"
    ]


def test_estimate_in_words(table):
    run = planned(table, 0, 24)
    lines = explain_estimate(estimated(table, run), Budget(Decimal(25)))
    assert lines[0] == "estimated price: 0.0002 USD; within the budget of 25.00 USD a run"
    assert lines[-1] == "prices: AWS's of us-east-1 as of 2026-11-21"
    dear = estimate(run.plan, 10**12, (), prices_of("us-east-1"))
    assert explain_estimate(dear, Budget(Decimal(25)))[0] == (
        "estimated price: 100.01 USD; MORE THAN the budget of 25.00 USD a run"
    )
    assert explain_estimate(dear, Budget())[0] == "estimated price: 100.01 USD; no budget is set"
