"""The files below dags/: one table's mistake is one readable import error, and takes down no other table's DAG."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag

from tests.airflow.airflow_runs import run_scheduled
from tests.airflow.runs import HOUR, make_table

pytestmark = [pytest.mark.airflow, pytest.mark.filterwarnings("ignore")]

DAGS = Path(__file__).parents[2] / "dags"
GOOD = """\
table: {table}
bucket: lake
prefix: data
database: lake
schedule: "0 0 * * *"
start_date: 2026-01-01
"""


@pytest.fixture
def tables(tmp_path, monkeypatch):
    monkeypatch.setenv("DDB_EXPORT_TABLES_DIR", str(tmp_path))
    (tmp_path / "orders.yaml").write_text(GOOD.format(table="orders"))
    (tmp_path / "users.yaml").write_text(GOOD.format(table="users"))
    return tmp_path


def load(airflow_database) -> DagBag:
    return DagBag(DAGS)


def test_one_dag_per_table_with_ids_that_stay(airflow_database, tables):
    bag = load(airflow_database)
    assert bag.import_errors == {}
    assert sorted(bag.dags) == ["ddb_export__orders", "ddb_export__users"]
    assert sorted(load(airflow_database).dags) == sorted(bag.dags)
    dag = bag.dags["ddb_export__orders"]
    assert dag.is_paused_upon_creation
    assert (dag.catchup, dag.max_active_runs) == (False, 1)
    assert sorted(dag.task_ids) == [
        "announce_changes",
        "announce_snapshots",
        "check",
        "compact",
        "convert",
        "export_base",
        "hand_over",
        "merge_schema",
        "plan",
        "publish",
        "scan",
        "verify_base",
        "widen",
        "window.export",
        "window.verify",
    ]


def test_a_worker_builds_the_dag_of_its_task_only(airflow_database, tables, monkeypatch):
    """Airflow's workers parse the file for each task; the variable is how they tell it of which DAG the task is."""
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "ddb_export__users")
    bag = load(airflow_database)
    assert (sorted(bag.dags), bag.import_errors) == (["ddb_export__users"], {})


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("settle: soon", ["settle"]),
        ("bukket: lake", ["bukket", "bucket"]),
        ("catchup: maybe", ["catchup"]),
        ("bucket: [1", []),
    ],
    ids=["type", "key", "switch", "yaml"],
)
def test_a_mistake_in_one_file_leaves_the_other_tables(airflow_database, tables, line, words):
    (tables / "users.yaml").write_text(GOOD.format(table="users") + line + "\n")
    bag = load(airflow_database)
    assert sorted(bag.dags) == ["ddb_export__orders", "ddb_export_freshness"]
    (file, error), *more = bag.import_errors.items()
    assert more == []
    assert Path(file).name == "ddb_export_configuration.py"
    last = error.strip().splitlines()[-1]
    assert "users.yaml:" in last
    assert ". Remedy: " in last
    for word in words:
        assert word in last


def test_removing_a_table_keeps_its_lake(airflow_database, tables, lab, account, aws, connection):
    """Nothing calls AWS for a file that is gone; put back, the table has its DAG id again and its chain goes on."""
    table = make_table(lab, account, aws, connection)
    table.write(table.midnights[0] + HOUR, {"id": {"S": "a"}})
    table.now()
    file = tables / f"{table.name}.yaml"
    # JSON is YAML.
    text = json.dumps({**table.configuration, "outputs": ["raw"]}, default=str)
    dag_id = f"ddb_export__{table.name}"
    others = ["ddb_export__orders", "ddb_export__users"]

    def objects() -> list[tuple[str, str, str]]:
        pages = aws("s3").get_paginator("list_objects_v2").paginate(Bucket=table.bucket)
        return [(each["Key"], each["ETag"], str(each["LastModified"])) for page in pages for each in page["Contents"]]

    file.write_text(text)
    run = run_scheduled(load(airflow_database).dags[dag_id], table.midnights[0], table.midnights[1])
    assert (run.state, run.failures) == ("success", [])
    before, partitions = objects(), table.partitions()

    file.unlink()
    lab.clear_calls(account)
    bag = load(airflow_database)
    assert (sorted(bag.dags), bag.import_errors, lab.calls(account)) == (others, {}, [])
    assert (objects(), table.partitions()) == (before, partitions)

    file.write_text(text)
    bag = load(airflow_database)
    assert sorted(bag.dags) == sorted([*others, dag_id])
    run = run_scheduled(bag.dags[dag_id], table.midnights[1], table.midnights[2])
    assert (run.state, run.failures) == ("success", [])
    # The note of estimates is disposable, and grows by the second run's.
    kept = {each for each in before if not each[0].endswith("/ledger/estimates.json")}
    assert kept <= set(objects())
    assert [export["export_type"] for export in table.completed()] == ["FULL_EXPORT", "INCREMENTAL_EXPORT"]


PARSE = """
import json, os, socket, sys, time
import airflow.sdk, airflow.models  # what the DAG processor has loaded before it parses anything
before = set(sys.modules)
def refuse(*arguments, **options):
    raise AssertionError("a network call while parsing")
socket.socket.connect = refuse
socket.create_connection = refuse
import runpy
names = runpy.run_path(sys.argv[1])
heavy = ["pyarrow", "pyiceberg", "aiobotocore", "duckdb", "msgspec", "isal"]
print(json.dumps({
    "dags": sorted(name for name in names if name.startswith("ddb_export__")),
    "heavy": [name for name in heavy if name in set(sys.modules) - before],
}))
"""


def test_parsing_calls_no_aws_and_loads_no_data_library(airflow_database, tables):
    answer = subprocess.run(
        [sys.executable, "-c", PARSE, str(DAGS / "ddb_export_tables.py")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    seen = json.loads(answer.stdout.splitlines()[-1])
    assert seen == {"dags": ["ddb_export__orders", "ddb_export__users"], "heavy": []}
