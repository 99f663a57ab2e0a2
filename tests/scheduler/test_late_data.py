"""A deadline fires; then, with the table's DAG paused and the scheduler dead for a while, the freshness DAG tells, once, and that it is over."""

from __future__ import annotations

import time

import pytest

from ddb_export.domain.utc import compact
from tests.scheduler.mailbox import Mailbox
from tests.scheduler.real_airflow import wait_for
from tests.scheduler.world import ACCOUNT

pytestmark = pytest.mark.slow
FRESHNESS = "ddb_export_freshness"


def check(stage):
    """Let the freshness DAG look once, by hand; its schedule goes on beside it."""
    run_id = stage.api.trigger(FRESHNESS)
    assert stage.wait_for_run(FRESHNESS, run_id)["state"] == "success"


def checking(stage):
    """Tell whether a task of the freshness DAG runs."""
    runs = [run["dag_run_id"] for run in stage.runs(FRESHNESS)]
    states = [each["state"] for run_id in runs for each in stage.api.task_instances(FRESHNESS, run_id)]
    return {"queued", "scheduled", "running"} & set(states)


def called_back_for_a_backfill(stage):
    """Tell whether the callback of a deadline has said in its log that it is a backfill's."""
    logs = (stage.folder / "airflow").rglob("*.log")
    return any("the run is a backfill's: it has no deadline" in log.read_text(errors="replace") for log in logs)


def let_a_backfill_miss_its_deadline_while_the_data_is_late(stage, lake, mailbox):
    """A day passes by AWS's clock while nobody looks but a backfill, whose export hangs."""
    m, told = stage.world.midnights, mailbox.subjects()
    stage.api.set_paused(FRESHNESS, paused=True)
    wait_for("the checks to end", lambda: not checking(stage))
    stage.lab.advance_clock(25 * 3600, ACCOUNT)
    window = {"prefix": f".*/parcels/raw/{compact(m[2])}.*"}
    held = stage.lab.add_fault("delay_export", account=ACCOUNT, match=window, hold=True)
    backfill = stage.api.backfill(lake.dag_id, m[2], m[2])
    stage.lab.wait_until_held(held, timeout=240)
    wait_for("the callback of the backfill's deadline", lambda: called_back_for_a_backfill(stage), timeout=300)
    stage.lab.release(held)
    stage.wait_for_backfill(backfill)
    assert mailbox.subjects() == told
    return "a backfill whose export hung missed its deadline while the data was late: Airflow called back, and nobody was told"


@pytest.mark.scenario("F36")
@pytest.mark.scenario("F37")
def test_a_deadline_and_the_freshness_dag_tell_once_what_nobody_else_would(stage, say):
    api, m, lake = stage.api, stage.world.midnights, stage.world.lake("parcels")
    # The freshness DAG has looked at the paused table already. There was no topic yet, so it would wait longer and longer between tries.
    api.set_paused(FRESHNESS, paused=True)
    wait_for("the checks to end", lambda: not checking(stage))
    lake.forget_incidents()
    mailbox = Mailbox(stage.world.aws)

    # The export hangs, so that the run misses its deadline.
    held = stage.lab.add_fault("delay_export", account=ACCOUNT, match={"prefix": ".*/parcels/raw/full-.*"}, hold=True)
    begun = time.monotonic()
    api.set_paused(lake.dag_id, paused=False)
    stage.lab.wait_until_held(held, timeout=240)
    told = wait_for("the deadline's notice", mailbox.subjects, timeout=300)
    assert told == ["parcels: no-base"]
    say(
        f"a run past its deadline, its export hanging: told by SNS {time.monotonic() - begun:.0f} s after the DAG was unpaused"
    )

    # The freshness DAG knows that it was told, and tells when it is over.
    api.set_paused(FRESHNESS, paused=False)
    check(stage)
    assert mailbox.subjects() == ["parcels: no-base"]
    stage.lab.release(held)
    assert stage.wait_for_runs(lake.dag_id, [m[3]]) == {m[3]: "success"}
    check(stage)
    assert mailbox.subjects() == ["parcels: no-base", "parcels: no-base (over)"]
    say("the freshness DAG did not tell it again, and told that it was over when the run had ended")

    say(let_a_backfill_miss_its_deadline_while_the_data_is_late(stage, lake, mailbox))

    # Nothing runs: the DAG is paused, the scheduler is dead, the data is late.
    api.set_paused(lake.dag_id, paused=True)
    stage.airflow.kill("scheduler")
    time.sleep(5)
    assert len(mailbox.subjects()) == 2
    stage.airflow.start_again("scheduler")
    api.set_paused(FRESHNESS, paused=False)
    check(stage)
    check(stage)
    assert mailbox.subjects()[2:] == ["parcels: late"]
    say("table's DAG paused, scheduler killed (SIGKILL) for a while, the data a day older: two checks told 'late' once")

    # One run by hand catches up.
    api.set_paused(lake.dag_id, paused=False)
    caught_up = stage.wait_for_run(lake.dag_id, api.trigger(lake.dag_id))
    assert caught_up["state"] == "success"
    check(stage)
    check(stage)
    assert mailbox.subjects()[2:] == ["parcels: late", "parcels: late (over)"]
    say("one run by hand caught up: told that it was over, once")

    # All the while Airflow told its metrics.
    lags = stage.metrics.told("lag_seconds.parcels")
    troubles = stage.metrics.told("troubles.parcels")
    assert max(lags) > 86_400 > min(lags)
    assert {0.0, 1.0} <= set(troubles)
    assert sum(stage.metrics.told("items.parcels")) > 0
    assert sum(stage.metrics.told("billed_bytes.parcels")) > 0
    say(
        f"StatsD heard {len(lags)} lags, from {min(lags):.0f} s to {max(lags):.0f} s, and items and bytes of each verified export"
    )
