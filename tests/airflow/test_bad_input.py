"""Bad input: one line that names thing, cause and remedy, at the right task, and nothing half-visible behind it."""

from __future__ import annotations

from typing import Any

import pytest

from ddb_export.operators.export import DynamoDBExportOperator
from ddb_export.operators.verify import VerifyExportOperator
from tests.airflow.airflow_runs import Finished, run_manually, run_scheduled
from tests.airflow.runs import ONE_LINE, Table

pytestmark = [pytest.mark.airflow, pytest.mark.filterwarnings("ignore")]


def require_failure(run: Finished, task: str, *, thing: str, cause: str, remedy: str, tries: int = 1) -> None:
    """The run failed at a task, after so many tries, with one line that has these words in these places."""
    assert run.state == "failed"
    assert run.states[task] == "failed"
    assert run.tries_of(task) == tries
    line = ONE_LINE.fullmatch(run.error(task))
    assert line, run.error(task)
    for place, words in {"thing": thing, "cause": cause, "remedy": remedy}.items():
        assert words in line[place], f"{place}: {line[place]}"


def export_and_verify(table: Table, **changes: Any) -> Finished:
    """Export the table as of its second midnight and verify that, in a DAG that is not of our making."""
    with table.own_dag() as dag:
        given = {"table": table.name, "export_time": table.midnights[1], **changes}
        export = DynamoDBExportOperator(task_id="export", **given)
        VerifyExportOperator(task_id="verify", export=export.output)
    return run_manually(dag)


def test_unknown_table(table):
    run = run_scheduled(table.dag(table="no_such_table", name="other"), table.midnights[0], table.midnights[1])
    require_failure(run, "plan", thing="no_such_table", cause="not found", remedy="check the")
    assert run.states["window.export"] == "upstream_failed"
    assert table.lab.exports(table.account) == []


def test_recovery_is_off(table):
    off = {"PointInTimeRecoveryEnabled": False}
    table.aws("dynamodb").update_continuous_backups(TableName=table.name, PointInTimeRecoverySpecification=off)
    run = run_scheduled(table.dag(), table.midnights[0], table.midnights[1])
    require_failure(
        run, "plan", thing=table.name, cause="recovery is off", remedy="aws dynamodb update-continuous-backups"
    )
    assert table.keys() == []


def test_missing_bucket(table, dag):
    run = run_scheduled(table.dag(bucket="no-such-bucket-1", retries=0), table.midnights[0], table.midnights[1])
    require_failure(run, "plan", thing="s3://no-such-bucket-1", cause="NoSuchBucket", remedy="check the bucket")


def test_no_permission_to_write_the_export(table):
    table.lab.deny(table.account, f"s3:PutObject arn:aws:s3:::{table.bucket}/*/raw/*")
    run = export_and_verify(table)
    require_failure(run, "export", thing="/export/", cause="S3AccessDenied", remedy="s3:PutObject")
    assert table.visible() == []


def test_no_permission_to_read_the_data(table):
    table.lab.deny(table.account, f"s3:GetObject arn:aws:s3:::{table.bucket}/*/data/*")
    run = export_and_verify(table)
    require_failure(run, "verify", thing="s3://", cause="GetObject", remedy="grant the permission")
    assert table.visible() == []


@pytest.mark.parametrize("action", ["glue:CreateTable", "glue:BatchCreatePartition"])
def test_no_permission_in_the_catalog(table, dag, action):
    table.lab.deny(table.account, action)
    run = run_scheduled(dag, table.midnights[0], table.midnights[1])
    require_failure(run, "publish", thing="lake", cause=action.removeprefix("glue:"), remedy="permission")
    assert "not published" in run.error("check")
    assert table.partitions() == []
    assert table.keys("ledger/published/") == []
    if action == "glue:CreateTable":
        assert not any(name.endswith("_live.json") for name in table.lake_keys())


@pytest.mark.scenario("F14")
def test_no_permission_to_ask_after_a_running_export(table):
    fault = table.lab.add_fault("delay_export", account=table.account, hold=True)
    table.lab.deny(table.account, "dynamodb:DescribeExport")
    run = export_and_verify(table)
    require_failure(run, "export", thing="/export/", cause="AccessDenied", remedy="dynamodb:DescribeExport")
    link = run.xcom("export", "dynamodb_export")
    assert link["table_name"] == table.name, "the link is there before the wait begins"
    table.lab.deny(table.account)
    assert [key for key in table.keys("raw/") if "/data/" in key or key.endswith("_started")]
    early = verify_alone(table)
    require_failure(early, "verify", thing="export", cause="IN_PROGRESS", remedy="wait")
    assert table.visible() == []
    table.lab.release(fault)
    again = export_and_verify(table)
    assert (again.state, len(table.started())) == ("success", 1)
    assert verify_alone(table).state == "success"


def verify_alone(table: Table) -> Finished:
    """Verify an attempt that someone else exported, by its name."""
    with table.own_dag() as dag:
        VerifyExportOperator(task_id="verify", export=table.claims()[0]["export"])
    return run_manually(dag)


MANIFEST = "manifest-summary.json"


@pytest.mark.scenario("F16")
@pytest.mark.parametrize(
    ("damage", "cause"),
    [
        ({"target": "data:largest", "damage": "flip_byte"}, "MD5"),
        ({"target": "data:largest", "damage": "drop"}, "there is no such file"),
        ({"target": MANIFEST, "damage": "drop"}, "there is no such file"),
        ({"target": MANIFEST, "damage": "wrong_count", "consistent": True}, "2"),
        ({"target": "data:largest", "damage": "wrong_count", "consistent": True}, "lines"),
        (
            {"target": MANIFEST, "damage": "replace_text", "old": "orders_", "new": "elders_", "consistent": True},
            "table",
        ),
    ],
    ids=["damaged", "missing", "no manifest", "count", "count of a file", "another table"],
)
def test_damaged_exports(table, damage, cause):
    table.lab.add_fault("damage_file", account=table.account, **damage)
    run = export_and_verify(table)
    require_failure(run, "verify", thing="s3://", cause=cause, remedy="")
    assert table.visible() == []


def test_a_run_on_a_damaged_export_shows_nothing_and_stops_behind_it(table, dag):
    table.lab.add_fault("damage_file", account=table.account, target="data:all", damage="flip_byte")
    run = run_scheduled(dag, table.midnights[0], table.midnights[1])
    require_failure(run, "verify_base", thing="s3://", cause="MD5", remedy="again")
    assert {run.states[task] for task in ("scan", "convert", "publish")} == {"skipped"}
    assert "not verified" in run.error("check")
    assert table.visible() == []


@pytest.mark.scenario("F30")
def test_wrong_owner_of_the_bucket_is_not_tried_again(table):
    run = export_and_verify(table, bucket_owner="999988887777", retries=3)
    require_failure(run, "export", thing="s3://", cause="AccessDenied", remedy="permission")


@pytest.mark.scenario("F31")
def test_a_token_that_stands_for_another_export(table):
    table.lab.deny(table.account, "dynamodb:ExportTableToPointInTime")
    require_failure(
        export_and_verify(table), "export", thing=table.name, cause="AccessDenied", remedy="ExportTableToPointInTime"
    )
    table.lab.deny(table.account)
    claim = table.claims()[0]
    table.aws("dynamodb").export_table_to_point_in_time(
        TableArn=claim["request"]["table_arn"], S3Bucket=table.bucket, ClientToken=claim["client_token"]
    )
    run = export_and_verify(table, retries=3)
    require_failure(run, "export", thing=table.name, cause="ExportConflictException", remedy="another token")
    assert len(table.started()) == 1


@pytest.mark.parametrize(
    ("given", "cause"),
    [
        ({"export_time": "yesterday"}, "no ISO 8601 time"),
        ({"export_time": "2026-01-01T00:00:00"}, "has no time zone"),
        ({"export_time": None}, "neither one moment nor one window"),
        ({"export_time": None, "start": "2026-01-01T00:00:00Z", "end": "2026-01-03T00:00:00Z"}, "24 hours"),
    ],
)
def test_what_an_operator_is_given(table, given, cause):
    run = export_and_verify(table, **given)
    require_failure(run, "export", thing="", cause=cause, remedy="")
    assert table.keys() == []
