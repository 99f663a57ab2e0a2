"""Backfills by REST beside the schedule: what is covered, what is not, what cannot be, in any order and any number at once."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from itertools import pairwise

import httpx
import pytest

from ddb_export.domain.utc import compact, iso
from tests.airflow.runs import ONE_LINE
from tests.scheduler.world import ACCOUNT, DAY

pytestmark = pytest.mark.slow
_ONCE = 1


def started(run):
    return datetime.fromisoformat(run["start_date"])


def ended(run):
    return datetime.fromisoformat(run["end_date"])


@pytest.mark.scenario("F1")
@pytest.mark.scenario("F34")
def test_a_backfill_exports_what_is_not_covered_rebuilds_what_is_and_refuses_what_cannot_be(stage, say):
    lake = stage.world.lake("orders")
    say(catch_up_with_a_failed_export(stage, lake))
    say(look_before_with_a_dry_run(stage, lake))
    say(backfill_one_at_a_time(stage, lake))
    say(backfill_backwards_and_side_by_side(stage, lake))
    say(backfill_what_recovery_does_not_reach(stage, lake))
    say(backfill_what_failed(stage, lake))
    lake.require_equal_to_table(0, 1, 2, 3)
    assert set(lake.exports().values()) == {_ONCE}


def catch_up_with_a_failed_export(stage, lake):
    m = stage.world.midnights
    first_window = {"prefix": f".*/orders/raw/{compact(m[2])}.*"}
    stage.lab.add_fault("fail_export", account=ACCOUNT, match=first_window, code="InternalServerError")
    stage.api.set_paused(lake.dag_id, paused=False)
    assert stage.wait_for_runs(lake.dag_id, [m[3]]) == {m[3]: "success"}
    assert (lake.failed_exports(), lake.asked()) == (1, 4)
    assert sorted(name[-2:] for name in lake.exports()) == ["a1", "a1", "a2"]
    lake.require_equal_to_table(2, 3)
    assert lake.head() == m[4]
    return "scheduled run: base and 2 windows; 1 export FAILED, the retry of its task made attempt 2; lake = table"


def look_before_with_a_dry_run(stage, lake):
    api, m = stage.api, stage.world.midnights
    preview = api.backfill_dry_run(lake.dag_id, m[0], m[2])
    assert [datetime.fromisoformat(each) for each in preview] == list(m[:3])
    backfill = api.backfill(lake.dag_id, m[0], m[1], dag_run_conf={"dry_run": True})
    with pytest.raises(httpx.HTTPStatusError, match="409"):
        api.backfill(lake.dag_id, m[0], m[1])
    stage.wait_for_backfill(backfill)
    assert stage.wait_for_runs(lake.dag_id, m[:2]) == dict.fromkeys(m[:2], "success")
    said = stage.log_of_plan(lake.dag_id, m[0])
    assert f"export window [{iso(m[0])}, {iso(m[1])})" in said
    assert "estimated price" in said
    assert lake.asked() == 4
    return (
        "backfill with dry_run over 2 uncovered days: plan and price in the log, 0 exports; another POST meanwhile: 409"
    )


def backfill_one_at_a_time(stage, lake):
    api, m, files = stage.api, stage.world.midnights, lake.files()
    # Without a conf of its own, a run that is done again keeps the one it had: a dry run.
    options = {"max_active_runs": 1, "reprocess_behavior": "completed", "dag_run_conf": {}}
    backfill = api.backfill(lake.dag_id, m[0], m[2], **options)
    stage.wait_for_backfill(backfill)
    runs = [stage.run_of(lake.dag_id, day) for day in m[:3]]
    assert [run["state"] for run in runs] == ["success"] * 3
    assert all(ended(first) <= started(second) for first, second in pairwise(runs))
    assert lake.asked() == 6
    assert files.items() <= lake.files().items()
    said = stage.log_of_plan(lake.dag_id, m[2])
    assert "covered by a verified export" in said
    assert "DynamoDB is asked for nothing new" in said
    lake.require_equal_to_table(0, 1, 2, 3)
    assert lake.head() == m[4]
    return (
        "backfill of 3 days, max_active_runs 1: 2 uncovered days before the base exported as history, 1 covered day rebuilt"
        " without an export; head stays; lake = table"
    )


def backfill_backwards_and_side_by_side(stage, lake):
    api, m, files = stage.api, stage.world.midnights, lake.files()
    runs = {run["dag_run_id"] for run in stage.runs(lake.dag_id)}
    options = {"max_active_runs": 3, "run_backwards": True, "reprocess_behavior": "completed"}
    stage.wait_for_backfill(api.backfill(lake.dag_id, m[0], m[3], **options))
    again = stage.runs(lake.dag_id)
    assert {run["dag_run_id"] for run in again} == runs
    assert {(run["run_type"], run["state"]) for run in again} == {("backfill", "success")}
    assert (lake.asked(), lake.files()) == (6, files)
    lake.require_equal_to_table(0, 1, 2, 3)
    assert lake.head() == m[4]
    return "backfill of 4 days, run_backwards, max_active_runs 3, reprocess completed: the same runs, 0 exports, the same files"


def backfill_what_recovery_does_not_reach(stage, lake):
    api, m, files = stage.api, stage.world.midnights, lake.files()
    beyond = [m[0] - 2 * DAY, m[0] - DAY]  # recovery began in the last quarter of the second
    before = stage.ends(lake.dag_id)
    stage.wait_for_backfill(api.backfill(lake.dag_id, beyond[0], m[1], max_active_runs=4))
    assert stage.wait_for_runs(lake.dag_id, beyond) == dict.fromkeys(beyond, "failed")
    for day in beyond:
        message = stage.errors(lake.dag_id, stage.run_of(lake.dag_id, day)["dag_run_id"])["plan"]
        assert ONE_LINE.search(message), message
        assert f"window [{iso(day)}, {iso(day + DAY)})" in message
        assert "point-in-time recovery reaches back to" in message
    assert before.items() <= stage.ends(lake.dag_id).items()
    assert (lake.asked(), lake.files()) == (6, files)
    return "backfill before recovery began: 2 runs refused, each names the part, 0 exports; reprocess none: 2 other days left alone"


def backfill_what_failed(stage, lake):
    api, m, files = stage.api, stage.world.midnights, lake.files()
    before, beyond = stage.ends(lake.dag_id), [m[0] - 2 * DAY, m[0] - DAY]
    stage.wait_for_backfill(api.backfill(lake.dag_id, beyond[0], m[3], reprocess_behavior="failed"))
    changed = {run_id for run_id, end in stage.ends(lake.dag_id).items() if end != before[run_id]}
    assert changed == {stage.run_of(lake.dag_id, day)["dag_run_id"] for day in beyond}
    assert (lake.asked(), lake.files()) == (6, files)
    return "backfill with reprocess failed over 6 days: only the 2 failed runs again, refused again; lake = table, each claim billed once"


@pytest.mark.scenario("F5")
def test_the_schedule_goes_on_beside_a_backfill_that_runs_backwards(stage, say):
    api, m, lake = stage.api, stage.world.midnights, stage.world.lake("shipments")
    api.set_paused(lake.dag_id, paused=False)
    stage.wait_for_runs(lake.dag_id, [m[0]])
    backfill = api.backfill(
        lake.dag_id, m[0], m[3], max_active_runs=3, run_backwards=True, reprocess_behavior="completed"
    )
    states = stage.wait_for_runs(lake.dag_id, m[:4], timeout=400)
    stage.wait_for_backfill(backfill)
    assert stage.wait_for_runs(lake.dag_id, m[:4]) == states == dict.fromkeys(m[:4], "success")
    types = Counter(run["run_type"] for run in stage.runs(lake.dag_id))
    # A run that the schedule was in the middle of when the backfill came stays the schedule's (Airflow: "in flight"), and
    # before the base a scheduled run has nothing to do.
    days = [day for day in range(4) if day >= 2 or stage.run_of(lake.dag_id, m[day])["run_type"] == "backfill"]
    lake.require_equal_to_table(*days)
    assert lake.head() == m[4]
    assert lake.asked() == len(days) + 1
    assert set(lake.exports().values()) == {_ONCE}
    restarts = stage.airflow.restarts
    say(
        f"catchup beside a backwards backfill, 3 at once: runs {dict(types)}, {len(days) + 1} exports, each once; head at the last midnight;"
        f" lake = table (scheduler ended by its own race and started again: {restarts})"
    )
