"""Triggerer and scheduler are killed while runs are in the middle; started again, they end in the same lake, with one bill."""

from __future__ import annotations

import time

import pytest

from ddb_export.domain.utc import compact
from tests.scheduler.world import ACCOUNT

pytestmark = pytest.mark.slow
_DEAD_SECONDS = 3.0


@pytest.mark.scenario("F3")
@pytest.mark.scenario("F6")
def test_triggerer_and_scheduler_are_killed_and_started_again(stage, say):
    api, m, lake = stage.api, stage.world.midnights, stage.world.lake("payments")
    dag_id = lake.dag_id

    # The triggerer dies while a task waits, deferred; the export ends while nobody looks.
    held = stage.lab.add_fault(
        "delay_export", account=ACCOUNT, match={"prefix": f".*/payments/raw/{compact(m[3])}.*"}, hold=True
    )
    api.set_paused(dag_id, paused=False)
    stage.lab.wait_until_held(held, timeout=240)
    run_id = stage.run_of(dag_id, m[3])["dag_run_id"]
    stage.wait_for_task(dag_id, run_id, "window.export", "deferred", map_index=1)
    stage.airflow.kill("triggerer")
    stage.lab.release(held)
    time.sleep(_DEAD_SECONDS)
    assert api.instance(dag_id, run_id, "window.export", 1)["state"] == "deferred"
    stage.airflow.start_again("triggerer")
    assert stage.wait_for_run(dag_id, run_id)["state"] == "success"
    assert api.instance(dag_id, run_id, "window.export", 1)["try_number"] == 1
    assert lake.asked() == 3
    lake.require_equal_to_table(2, 3)
    say(
        "triggerer killed (SIGKILL) while a task was deferred, started again: the same try went on; 3 exports; lake = table"
    )

    # Scheduler and workers die at once: one task between DynamoDB's yes and its answer, the others wherever they are.
    asked = stage.lab.add_fault(
        "hold",
        account=ACCOUNT,
        service="dynamodb",
        operation="ExportTableToPointInTime",
        when="after",
        match={"prefix": f".*/payments/raw/{compact(m[0])}.*"},
    )
    writing = stage.lab.add_fault(
        "hold",
        account=ACCOUNT,
        service="s3",
        operation="PutObject",
        when="before",
        match={"key": rf".*/payments/changes/dt={m[1]:%Y-%m-%d}/.*\.parquet"},
    )
    backfill = api.backfill(dag_id, m[0], m[1], max_active_runs=2)
    stage.lab.wait_until_held(asked, timeout=240)
    stage.lab.wait_until_held(writing, timeout=240)
    stage.airflow.kill("scheduler")
    for fault in (asked, writing):
        stage.lab.release(fault)
    time.sleep(_DEAD_SECONDS)
    stage.airflow.start_again("scheduler")
    assert stage.wait_for_runs(dag_id, m[:2], timeout=400) == {m[0]: "success", m[1]: "success"}
    run_ids = [stage.run_of(dag_id, day)["dag_run_id"] for day in m[:2]]
    tries = [api.instance(dag_id, run_ids[0], "window.export", 0)["try_number"]]
    # Whichever of the mapped tasks wrote the file that was held.
    converted = [each for each in api.task_instances(dag_id, run_ids[1]) if each["task_id"] == "convert"]
    tries += [max(each["try_number"] for each in converted)]
    assert min(tries) > 1, tries
    stage.wait_for_backfill(backfill)
    assert lake.asked() == 5
    assert set(lake.exports().values()) == {1}
    lake.require_equal_to_table(0, 1, 2, 3)
    assert lake.head() == m[4]
    say(
        "scheduler and workers killed (SIGKILL) after DynamoDB took an export on and before it answered, and while another task"
        f" wrote a file: tries {tries}; 5 exports, each once; lake = table"
    )
