"""Helper views and raw tables in a table's DAG, as Airflow runs it."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from tests.airflow.airflow_runs import run_scheduled
from tests.airflow.runs import HOUR, make_table

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.filterwarnings("ignore"),  # Airflow and its libraries warn about themselves
]


@pytest.fixture
def busy(lab, account, aws, connection):
    table = make_table(lab, account, aws, connection)
    first, second, third, _, _ = table.midnights
    table.write(first + HOUR, {"id": {"S": "a"}, "price": {"N": "1.50"}}, {"id": {"S": "b"}, "note": {"NULL": True}})
    table.write(second + HOUR, {"id": {"S": "a"}, "price": {"N": "2"}})
    table.delete(third + HOUR, {"id": {"S": "b"}})
    table.now()
    return table


def asked(table, sql: str) -> list[list[str | None]]:
    """Ask the lab's Athena, through Airflow's own hook."""
    from airflow.providers.amazon.aws.hooks.athena import AthenaHook

    hook = AthenaHook(aws_conn_id=table.connection)
    place = {"OutputLocation": f"s3://{table.bucket}/athena/"}
    query: Any = hook.run_query(sql, {"Database": "lake"}, place)
    assert hook.poll_query_status(query, sleep_time=1) == "SUCCEEDED"
    rows: Any = hook.get_query_results(query)
    return [[cell.get("VarCharValue") for cell in row["Data"]] for row in rows["ResultSet"]["Rows"][1:]]


def test_views_are_written_once_and_show_the_latest_state(busy):
    m = busy.midnights
    contract = {"entities": {"attribute": "id", "tables": {"first": {"equals": "a"}}}}
    dag = busy.dag(views=True, glue={"partition_index": True}, contract=contract)
    # A run's state is that of its last tasks: views are written even where a check failed, and must not hide it.
    assert dag.get_task("plan_views").trigger_rule == "all_done"
    assert not dag.get_task("compact").downstream_task_ids
    base = run_scheduled(dag, m[0], m[1])
    assert (base.state, base.failures) == ("success", [])
    assert base.states["views[0]"] == "success"
    run = run_scheduled(dag, m[1], m[2])
    assert (run.state, run.failures) == ("success", [])
    third = run_scheduled(dag, m[2], m[3])
    assert (third.state, third.states["views"]) == ("success", "skipped")
    name = busy.name
    assert asked(busy, f"SELECT id, price FROM {name}_latest") == [["a", "2.0"]]
    assert asked(busy, f"SELECT * FROM {name}_first_snapshots WHERE false") == []
    assert asked(busy, f"SELECT id, price FROM {name}_first") == [["a", "2.0"]]
    view = busy.aws("glue").get_table(DatabaseName="lake", Name=f"{name}_first_changes")["Table"]
    columns = [each["Name"] for each in view["StorageDescriptor"]["Columns"]]
    assert columns[6:] == ["id", "price", "dt", "export_window"], "only its own"
    assert asked(busy, f"SELECT id, _attribute, _value FROM {name}_overflow") == [["b", "note", '{"NULL":true}']]
    indexes = busy.aws("glue").get_partition_indexes(DatabaseName="lake", TableName=f"{name}_changes")
    assert [index["IndexName"] for index in indexes["PartitionIndexDescriptorList"]] == ["ddb_export"]


def test_raw_exports_need_no_permission_to_read_them(busy, lab, account):
    m = busy.midnights
    lab.deny(account, f"s3:GetObject arn:aws:s3:::{busy.bucket}/*/data/*")
    dag = busy.dag(outputs=["raw"])
    for start, end in pairwise(m[:-1]):
        run = run_scheduled(dag, start, end)
        assert (run.state, run.failures) == ("success", [])
        assert run.states["register_raw"] == "success"
        assert run.states["publish"] in ("skipped", "upstream_failed")
    assert {entry["level"] for entry in map(busy.document, busy.keys("ledger/verified/"))} == {"manifest"}
    again = run_scheduled(dag, m[-2], m[-1])
    assert again.state == "success"
    lab.deny(account)
    rows = asked(busy, f"SELECT keys, newimage FROM {busy.name}_raw_changes ORDER BY dt")
    assert [json.loads(row[0] or "") for row in rows] == [{"id": {"S": "a"}}, {"id": {"S": "b"}}]
    assert rows[1][1] is None


def test_raw_and_typed_tables_stand_side_by_side(busy):
    m = busy.midnights
    dag = busy.dag(outputs=["snapshots", "changes", "raw"])
    assert run_scheduled(dag, m[0], m[1]).failures == []
    counted = [asked(busy, f"SELECT count(*) FROM {busy.name}_{each}") for each in ("snapshots", "raw_snapshots")]
    assert counted == [[["2"]], [["2"]]]


def test_an_output_that_is_asked_for_later_is_made_without_another_export(busy):
    m = busy.midnights
    assert run_scheduled(busy.dag(outputs=["raw"]), m[0], m[1]).failures == []
    run = run_scheduled(busy.dag(), m[1], m[2])
    assert run.failures == []
    assert asked(busy, f"SELECT count(*) FROM {busy.name}_snapshots") == [["2"]]
    assert len(busy.started()) == 2
