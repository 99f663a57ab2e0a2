"""Histories of a table, its exports and its runs against the fast model of AWS; the same ones each time (see ``make soak`` for others)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from ddb_export.exceptions import ExportFailedError, TableIdentityError
from tests.model.machine import TableLife
from tests.model.runs import State
from tests.model.workers import Death, Fault
from tests.model.world import Damage, Ending, Fate, utc

pytestmark = pytest.mark.filterwarnings("ignore")

HISTORIES = 160
"""About two minutes on one core."""


@pytest.mark.scenario("F5", "F6")
def test_whatever_happens_the_lake_is_the_tables_history():
    run_state_machine_as_test(
        TableLife,
        settings=settings(
            max_examples=HISTORIES,
            stateful_step_count=40,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=False,
            report_multiple_bugs=False,
        ),
    )
    print(TableLife.report())


@pytest.mark.scenario("F3", "F5")
@pytest.mark.parametrize("calls", range(1, 60, 2))
def test_a_run_that_stands_still_at_any_call_until_the_others_next_attempt_has_ended(calls):
    life = TableLife()
    life.begin(
        start=utc(2026, 3, 27),
        schedule=("0 0 * * *", "UTC"),
        catchup=True,
        on_chain_end="fail",
        level="bytes",
        days=2,
        retries=1,
    )
    life.scheduled_run(faults={}, patient=True)
    life.exports_will([Fate(600, Ending.FAILED, "UNKNOWN", Damage.FLIPPED)])
    life.race(back=0, faults={}, first=1, intervals=2, kinds=("scheduled", "scheduled"), segments=[calls])
    life.promises_hold()
    errors = [error for run in life.runs[-2:] for _, error in run.errors]
    assert {type(error) for error in errors} <= {ExportFailedError, Death}
    life.teardown()


@pytest.mark.scenario("F4", "F13")
def test_a_full_export_that_was_planned_for_a_table_that_is_gone_is_not_made_of_the_next_one():
    life = TableLife()
    life.begin(
        start=utc(2026, 3, 27),
        schedule=("0 0 * * *", "UTC"),
        catchup=False,
        on_chain_end="new_base",
        level="bytes",
        days=2,
        retries=0,
    )
    life.scheduled_run(faults={}, patient=True)
    life.manual_run(wish="full_export", back=0, length=1, minutes=0, faults={23: Fault.DIES_BEFORE}, patient=False)
    wanted = life.runs[-1]
    life.disaster("table again")
    life.outage(days=2)
    life.scheduled_run(faults={}, patient=True)
    life.promises_hold()
    life.run_is_cleared(back=life.runs[::-1].index(wanted), from_hand_over=False, faults={})
    life.promises_hold()
    assert TableIdentityError in {type(error) for _, error in wanted.errors}
    life.teardown()


@pytest.mark.scenario("F6")
@pytest.mark.parametrize("ending", [Ending.FAILED, Ending.DAMAGED])
def test_a_re_export_that_comes_to_nothing_keeps_runs_red_until_recovery_has_passed_it(
    ending,
):
    life = daily_life(retries=0)
    first = life.runs[-1]
    life.exports_will([Fate(600, ending, "UNKNOWN", Damage.FLIPPED)])
    life.manual_run(wish="re_export", back=1, length=1, minutes=0, faults={}, patient=True)
    asked = life.runs[-1]
    assert asked.state is State.FAILED
    assert "readers still see 20260329T0000Z-20260330T0000Z-a1" in str(asked.errors[-1][1])
    if ending is Ending.DAMAGED:
        life.schedule_goes_on(intervals=1, faults={})
        assert life.runs[-1].state is State.FAILED
    assert life.world.table
    life.world.table.period = timedelta(days=2, hours=12)
    for _ in range(2):
        life.schedule_goes_on(intervals=1, faults={})
        assert (life.runs[-1].state, life.runs[-1].failed) == (State.SUCCESS, [])
    life.backfill_run(back=4 if ending is Ending.DAMAGED else 3, length=1, faults={}, patient=True)
    rebuilt = life.runs[-1]
    assert (rebuilt.state, rebuilt.failed) == (State.SUCCESS, [])
    assert rebuilt.xcoms["plan", "exports"] == ["20260329T0000Z-20260330T0000Z-a1"]
    for run, state in ((first, State.SUCCESS), (asked, State.FAILED)):
        life.run_is_cleared(back=life.runs[::-1].index(run), from_hand_over=False, faults={})
        assert run.state is state
    assert "Remedy: nothing is left to do" in str(asked.errors[-1][1])
    life.promises_hold()
    life.teardown()


def daily_life(*, retries, on_chain_end="fail", runs=2):
    """A table whose daily runs have verified some windows."""
    life = TableLife()
    life.begin(
        start=utc(2026, 3, 27),
        schedule=("0 0 * * *", "UTC"),
        catchup=True,
        on_chain_end=on_chain_end,
        level="bytes",
        days=2,
        retries=retries,
    )
    life.scheduled_run(faults={}, patient=True)
    for _ in range(runs):
        life.schedule_goes_on(intervals=1, faults={})
    return life
