"""XComs between runs on PostgreSQL, where runs without a logical date sort first; and clearing every task of a run."""

from __future__ import annotations

import pytest

from ddb_export.domain.utc import compact, iso
from tests.scheduler.world import ACCOUNT

pytestmark = pytest.mark.slow
_TASKS = (
    "plan",
    "export_base",
    "verify_base",
    "window.export",
    "window.verify",
    "hand_over",
    "scan",
    "merge_schema",
    "convert",
    "publish",
    "check",
    "announce_changes",
)


def ids(stage, dag_id, run_id, task_id):
    return {each["id"] for each in stage.api.task_instances(dag_id, run_id) if each["task_id"] == task_id}


@pytest.mark.scenario("F4")
@pytest.mark.scenario("F5")
def test_a_run_by_hand_does_not_disturb_the_hand_over_and_clearing_bills_nothing(stage, say):
    api, m, lake = stage.api, stage.world.midnights, stage.world.lake("returns")
    dag_id = lake.dag_id

    # The last scheduled run is kept from planning, so that a run by hand comes between it and the one before.
    held = stage.lab.add_fault(
        "delay_export", account=ACCOUNT, match={"prefix": f".*/returns/raw/{compact(m[2])}.*"}, hold=True
    )
    api.set_paused(dag_id, paused=False)
    stage.lab.wait_until_held(held, timeout=240)
    second = stage.run_of(dag_id, m[2])["dag_run_id"]
    stage.wait_for_task(dag_id, second, "window.export", "deferred", map_index=0)
    stage.lab.deny(ACCOUNT, "dynamodb:DescribeContinuousBackups")
    stage.lab.release(held)
    assert stage.wait_for_runs(dag_id, [m[1], m[2], m[3]]) == {m[1]: "success", m[2]: "success", m[3]: "failed"}
    stage.lab.deny(ACCOUNT)
    by_hand = api.trigger(dag_id, **{"from": iso(m[0]), "to": iso(m[1])})
    run = stage.wait_for_run(dag_id, by_hand)
    assert (run["state"], run["logical_date"]) == ("success", None)
    assert api.xcom(dag_id, by_hand, "hand_over", "export_end_manual") == iso(m[3])
    third = stage.run_of(dag_id, m[3])["dag_run_id"]
    api.clear(dag_id, third)
    assert stage.wait_for_run(dag_id, third)["state"] == "success"
    log = api.log(api.instance(dag_id, third, "plan"))
    assert f"going on from {iso(m[3])}, which the previous run handed over and the ledger proves" in log
    assert api.xcom(dag_id, third, "hand_over", "export_end") == iso(m[4])
    lake.require_equal_to_table(0, 2, 3)
    assert lake.asked() == 4
    say(
        "a run by hand (logical date NULL) between two scheduled ones: the hand-over is the scheduled run's; 4 exports; lake = table"
    )

    # Each task by itself, then the whole run.
    files = lake.files()
    for task_id in _TASKS:
        before = ids(stage, dag_id, third, task_id)
        api.clear(dag_id, third, [task_id])
        assert stage.wait_for_run(dag_id, third)["state"] == "success"
        assert not before & ids(
            stage, dag_id, third, task_id
        )  # Airflow gives a task instance that runs again a new one
        assert (lake.asked(), lake.files()) == (4, files), task_id
    api.clear(dag_id, third)
    assert stage.wait_for_run(dag_id, third)["state"] == "success"
    assert (lake.asked(), lake.files()) == (4, files)
    lake.require_equal_to_table(0, 2, 3)
    assert set(lake.exports().values()) == {1}
    say(
        f"each of the {len(_TASKS)} tasks cleared by REST, then the whole run: success each time, 0 exports, the same files"
    )
