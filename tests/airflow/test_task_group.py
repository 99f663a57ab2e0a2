"""A table's tasks as a group in a DAG of one's own: the same as its DAG, with tasks before and behind it."""

from __future__ import annotations

import re
import runpy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, CronDataIntervalTimetable
from airflow.timetables.interval import CronDataIntervalTimetable as CoreCron
from airflow.timetables.trigger import CronTriggerTimetable as CoreCronTrigger

from ddb_export import ConfigurationError, TableConfiguration, UsageError, build_dag, export_task_group
from ddb_export.exceptions import PlanError
from ddb_export.operators.runs import data_interval
from tests.airflow.airflow_runs import run_scheduled

pytestmark = [pytest.mark.airflow, pytest.mark.filterwarnings("ignore")]

PAGE = (Path(__file__).parents[2] / "docs" / "operators.md").read_text(encoding="utf-8")
KEYS: dict[str, Any] = {"bucket": "my-lake", "prefix": "dynamodb", "database": "lake"}
START = datetime(2026, 11, 1, tzinfo=UTC)


def test_the_pages_dag_runs_beside_its_own_tasks(table, tmp_path):
    """Two runs: the second goes on from what the first handed over, inside the group."""
    (example,) = (each for each in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "export_task_group" in each)
    changes = {'"my-lake"': f'"{table.bucket}"', '"orders"': f'"{table.name}"', 'prefix="dynamodb"': 'prefix="lake"'}
    for old, new in changes.items():
        assert old in example
        example = example.replace(old, new)
    example = example.replace(
        'database="lake"', f'database="lake", aws_conn_id="{table.connection}", poll_interval="1s"'
    )
    (tmp_path / "own.py").write_text(example)
    dag = runpy.run_path(str(tmp_path / "own.py"))["dag"]
    first = run_scheduled(dag, table.midnights[0], table.midnights[1])
    second = run_scheduled(dag, table.midnights[1], table.midnights[2])
    for run in (first, second):
        assert (run.state, run.failures) == ("success", [])
        assert run.states["report"] == run.states[f"{table.name}.done"] == "success"
    assert second.states[f"{table.name}.widen"] == "skipped"
    assert second.xcom("report") == table.midnights[2].strftime("%Y-%m-%dT%H:%M:%SZ")
    assert len(table.windows()) == 1
    assert dag.get_task(f"{table.name}.plan").dry_run_only == "{{ params.dry_run }}"


def test_a_group_has_the_tasks_of_the_dag():
    table = TableConfiguration.declare(table="orders", schedule="0 0 * * *", start_date=START, **KEYS, views=True)
    with DAG("own", schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"), start_date=START) as dag:
        export_task_group(table)
        export_task_group("flights", **KEYS, group_id="planes", owner="ann")
    orders = {task.removeprefix("orders.") for task in dag.task_ids if task.startswith("orders.")}
    assert orders == {*build_dag(table).task_ids, "done"}
    assert dag.get_task("planes.plan").schedule == "0 0 * * *"
    assert dag.get_task("planes.plan").owner == "ann"


@pytest.mark.parametrize(
    ("schedule", "table", "keys", "message"),
    [
        (
            "@daily",
            "orders",
            KEYS,
            r"DAG own: its schedule .*write schedule=CronDataIntervalTimetable\('0 0 \* \* \*', timezone='UTC'\)",
        ),
        (CoreCronTrigger("0 6 * * *", timezone="UTC"), "orders", KEYS, r"CronDataIntervalTimetable\('0 6 \* \* \*'"),
        (
            timedelta(days=1),
            "orders",
            KEYS,
            r"its schedule \(DeltaTriggerTimetable\) gives runs without data intervals",
        ),
        ("@once", "orders", KEYS, r"its schedule \(OnceTimetable\)"),
        (CoreCron("*/5 * * * *", timezone="UTC"), "orders", KEYS, "schedule .*cuts windows of 5|15 minutes"),
        (
            None,
            "orders",
            {**KEYS, "sla": "26h"},
            r"sla would say nothing in a group. Remedy: .*declare sla and alerts in YAML",
        ),
        (None, "orders", {**KEYS, "shedule": None}, "table 'orders': unknown key 'shedule'. Remedy: write 'schedule'"),
    ],
)
def test_what_cannot_work_is_refused_when_the_dag_is_written(schedule, table, keys, message):
    with (
        DAG("own", schedule=schedule, start_date=START),
        pytest.raises((ConfigurationError, UsageError), match=message),
    ):
        export_task_group(table, **keys)


def test_the_dags_default_args_count_where_the_declaration_is_silent():
    ours = {"retries": 9, "pool": "big", "owner": "ann"}
    with DAG("own", schedule=None, start_date=START, default_args=ours) as dag:
        export_task_group("orders", **KEYS, owner="bob")
    plan = dag.get_task("orders.plan")
    assert (plan.retries, plan.pool, plan.owner) == (9, "big", "bob")


ARN = "arn:aws:dynamodb:eu-central-1:111122223333:table/orders"
DECLARED = {"schedule": None, "start_date": START, **KEYS}


@pytest.mark.parametrize(
    ("table", "keys", "region"),
    [
        ("orders", {**KEYS, "region": "eu-west-1"}, "eu-west-1"),
        (ARN, KEYS, "eu-central-1"),
        (TableConfiguration.declare(table="orders", region="ap-south-1", **DECLARED), {}, "ap-south-1"),
        (TableConfiguration.declare(table=ARN, **DECLARED), {}, "eu-central-1"),
        ("orders", KEYS, "us-east-1"),
        ("orders", {**KEYS, "region": None}, "us-east-1"),
    ],
    ids=["key", "ARN", "declared key", "declared ARN", "silent", "null"],
)
def test_what_the_declaration_says_under_another_name_than_the_operators_counts_too(table, keys, region):
    """``region`` is the operators' ``region_name``, ``name`` their ``lake_name``; a name is never the DAG's matter."""
    ours = {"region_name": "us-east-1", "lake_name": "of_another", "role_arn": "arn:aws:iam::111122223333:role/dag"}
    with DAG("own", schedule=None, start_date=START, default_args=ours) as dag:
        export_task_group(table, **keys)
    told = [getattr(task, "partial_kwargs", None) or vars(task) for task in dag.tasks]
    told = [each for each in told if "region_name" in each]
    assert len(told) == 12
    assert {each["region_name"] for each in told} == {region}
    assert {each["role_arn"] for each in told} == {ours["role_arn"]}
    assert {each["lake_name"] for each in told} == {"orders"}


def test_a_queue_that_is_declared_null_is_airflows_own():
    with DAG("own", schedule=None, start_date=START, default_args={"queue": "big"}) as dag:
        export_task_group("orders", **KEYS)
        export_task_group("flights", **KEYS, queue=None)
    assert (dag.get_task("orders.plan").queue, dag.get_task("flights.plan").queue) == ("big", "default")


def test_a_declared_table_takes_no_keys():
    table = TableConfiguration.declare(table="orders", schedule=None, start_date=START, **KEYS)
    with DAG("own", schedule=None, start_date=START), pytest.raises(UsageError, match="give one of them"):
        export_task_group(table, owner="ann")


def test_a_run_whose_interval_is_not_of_whole_minutes_says_what_to_change():
    odd = START.replace(second=30)
    context: Any = {"data_interval_start": START, "data_interval_end": odd, "dag_run": SimpleNamespace(run_id="r")}
    with pytest.raises(
        PlanError, match=r"run r: its data interval .* Remedy: give the DAG a start_date .* whole minutes"
    ):
        data_interval(context)
