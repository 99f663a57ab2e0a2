"""Each operator and the sensor alone, in a DAG that anyone could have written."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from typing import Any

import pytest

from ddb_export.operators.check import CheckPublishedOperator
from ddb_export.operators.convert import ConvertDataFilesOperator, MergeSchemaOperator, ScanDataFilesOperator
from ddb_export.operators.export import DynamoDBExportOperator
from ddb_export.operators.plan import PlanExportsOperator
from ddb_export.operators.publish import PublishExportsOperator
from ddb_export.operators.verify import VerifyExportOperator
from ddb_export.sensors.export import DynamoDBExportSensor
from tests.airflow.airflow_runs import run_manually
from tests.airflow.runs import Table

pytestmark = [pytest.mark.airflow, pytest.mark.filterwarnings("ignore")]


def flat(value):
    return all(each is None or isinstance(each, str | int | float | bool) for each in value.values())


def run_one(table: Table, operator: Any, /, **parameters: Any):
    """Run an operator alone in a DAG; return the run, which succeeded."""
    with table.own_dag() as dag:
        operator(task_id="alone", **parameters)
    run = run_manually(dag)
    assert (run.state, run.failures) == ("success", [])
    return run


def test_every_operator_alone_from_a_full_export_to_athena(table):
    full = run_one(table, DynamoDBExportOperator, table=table.name, export_time=table.midnights[1]).xcom("alone")
    assert flat(full)
    assert (full["status"], full["item_count"], full["attempt"]) == ("COMPLETED", 2, 1)
    verified = run_one(table, VerifyExportOperator, export=full, level="manifest")
    assert flat(verified.xcom("alone"))
    assert verified.xcom("alone")["level"] == "manifest"
    assert verified.xcom("alone", "export_end_manual") == verified.xcom("alone")["export_end"]
    start, end = (f"{midnight:%Y-%m-%dT%H:%M:%SZ}" for midnight in table.midnights[1:3])
    window = run_one(table, DynamoDBExportOperator, table=table.name, start=start, end=end).xcom("alone")
    assert (window["export_type"], window["start"], window["end"]) == ("INCREMENTAL_EXPORT", start, end)
    run_one(table, VerifyExportOperator, export=window["export"])

    scanned = run_one(table, ScanDataFilesOperator, export=full["export"]).xcom("alone")
    assert scanned == {"export": full["export"], "group": 0, "groups": 1, "lines": 2, "attributes": 2}
    groups = run_one(table, MergeSchemaOperator, file_groups=[scanned]).xcom("alone")
    assert groups == [{"export": full["export"], "group": 0, "groups": 1, "schema_version": 1}]
    converted = run_one(table, ConvertDataFilesOperator, **groups[0]).xcom("alone")
    assert flat(converted)
    assert (converted["rows"], converted["quarantined"]) == (2, 0)
    assert table.partitions() == [], "converted files are not seen before they are published"
    published = run_one(table, PublishExportsOperator, file_groups=groups, database="lake").xcom("alone")
    assert flat(published[0])
    assert (published[0]["rows"], len(table.partitions())) == (2, 1)
    checked = run_one(
        table,
        CheckPublishedOperator,
        exports=json.dumps([full["export"]]),
        outputs=["snapshots"],
        output_location=f"s3://{table.bucket}/athena/",
    ).xcom("alone")
    assert (checked["rows"], checked["items"], checked["paths"]) == ([2], [2], [published[0]["location"]])


def test_the_key_of_hashes_is_the_password_of_a_connection(table, monkeypatch):
    full = run_one(table, DynamoDBExportOperator, table=table.name, export_time=table.midnights[1]).xcom("alone")
    run_one(table, VerifyExportOperator, export=full)
    scanned = run_one(table, ScanDataFilesOperator, export=full["export"]).xcom("alone")
    columns = {"id": {"hash": True}, "price": {"type": "decimal(10,2)"}}
    contract = {"columns": columns, "hash_conn_id": "pii"}
    merged = run_one(table, MergeSchemaOperator, file_groups=[scanned], contract={"columns": columns | {"id": {}}})
    group = merged.xcom("alone")[0]

    def convert(contract: Any) -> Any:
        with table.own_dag() as dag:
            ConvertDataFilesOperator(task_id="alone", contract=contract, **group)
        return run_manually(dag)

    missing = "Airflow connection pii: it does not exist, and contract.hash_conn_id names it. Remedy: add a connection"
    assert missing in convert(contract).error("alone")
    monkeypatch.setenv("AIRFLOW_CONN_PII", json.dumps({"conn_type": "generic"}))
    assert "contract: it hashes 'id', and the key is not at hand" in convert(contract).error("alone")
    wrong = {"columns": {"price": {"type": "double"}}}
    assert "contract: columns.price.type 'double' is not a type that a column can have" in convert(wrong).error("alone")
    generations = []
    for key in ("first", "second"):
        monkeypatch.setenv("AIRFLOW_CONN_PII", json.dumps({"conn_type": "generic", "password": key}))
        assert convert(contract).state == "success"
        published = run_one(
            table, PublishExportsOperator, file_groups=[group], database="lake", contract=contract
        ).xcom("alone")
        generations.append(published[0]["generation"])
    assert generations[0] != generations[1]


def test_plan_alone_claims_what_it_hands_over(table):
    run = run_one(table, PlanExportsOperator, table=table.name, base_time=table.midnights[3], schedule="0 0 * * *")
    assert run.xcom("alone", "base_time") == f"{table.midnights[3]:%Y-%m-%dT%H:%M:%SZ}"
    windows = run.xcom("alone")
    assert [(each["start"], each["end"]) for each in windows] == table.windows()
    assert run.xcom("alone", "exports") == [claim["export"] for claim in table.claims()]
    assert table.started() == []


@pytest.mark.parametrize("deferrable", [True, False])
def test_the_sensor_waits_for_exports_of_others(table, deferrable):
    table.lab.add_fault("throttle", account=table.account, service="dynamodb", operation="DescribeExport", times=2)
    fault = table.lab.add_fault("delay_export", account=table.account, seconds=1)
    arn = start_elsewhere(table)
    run = run_one(
        table,
        DynamoDBExportSensor,
        export_arn=arn,
        deferrable=deferrable,
        poll_interval=timedelta(seconds=0.3),
    )
    assert (run.xcom("alone")["export_arn"], run.xcom("alone")["status"]) == (arn, "COMPLETED")
    assert flat(run.xcom("alone"))
    assert table.lab.fault(fault)["fired"] == 1


@pytest.mark.parametrize("deferrable", [True, False])
def test_the_sensor_fails_with_the_export(table, deferrable):
    table.lab.add_fault("fail_export", account=table.account, code="S3NoSuchBucket", message="gone")
    with table.own_dag(retries=2) as dag:
        DynamoDBExportSensor(
            task_id="wait", export_arn=start_elsewhere(table), deferrable=deferrable, poke_interval=0.2
        )
    run = run_manually(dag)
    assert (run.state, run.tries_of("wait")) == ("failed", 1)
    assert "FAILED with S3NoSuchBucket: gone: the bucket does not exist. Remedy: create the" in run.error("wait")


def start_elsewhere(table):
    dynamodb = table.aws("dynamodb")
    arn = dynamodb.describe_table(TableName=table.name)["Table"]["TableArn"]
    started = dynamodb.export_table_to_point_in_time(TableArn=arn, S3Bucket=table.bucket)
    return started["ExportDescription"]["ExportArn"]


@pytest.mark.scenario("F7")
def test_an_export_that_takes_thirty_hours(table):
    fault = table.lab.add_fault("delay_export", account=table.account, hold=True)

    def thirty_hours_later() -> None:
        table.lab.wait_until_held(fault, timeout=60)
        table.lab.advance_clock(30 * 3600, table.account)
        table.lab.release(fault)

    later = threading.Thread(target=thirty_hours_later)
    later.start()
    run = run_one(
        table,
        DynamoDBExportOperator,
        table=table.name,
        export_time=table.midnights[1],
        poll_interval=timedelta(seconds=0.5),
    )
    later.join()
    assert run.xcom("alone")["status"] == "COMPLETED"
    assert len(table.started()) == 1


def test_a_second_full_export_is_a_snapshot_of_its_own(table):
    run_one(table, DynamoDBExportOperator, table=table.name, export_time=table.midnights[1])
    with table.own_dag() as dag:
        DynamoDBExportOperator(task_id="other", table=table.name, export_time=table.midnights[2])
    run = run_manually(dag)
    assert run.state == "success"
    assert len(table.started()) == 2
    assert [claim["kind"] for claim in table.claims()] == ["base", "snapshot"]
