"""What goes wrong on the way and heals: an export that FAILED, an answer that was lost, one window among others."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from ddb_export.operators.export import DynamoDBExportOperator
from ddb_export.operators.verify import VerifyExportOperator
from tests.airflow.airflow_runs import run_again, run_manually, run_scheduled
from tests.airflow.runs import ONE_LINE, Table

pytestmark = [pytest.mark.airflow, pytest.mark.filterwarnings("ignore")]


SOON = timedelta(seconds=0.3)


def export_dag(table: Table, **changes: Any) -> Any:
    """Export a table and verify that, in a DAG whose tasks all have the changed arguments."""
    with table.own_dag(**{"retries": 1, **changes}) as dag:
        export = DynamoDBExportOperator(
            task_id="export", table=table.name, export_time=table.midnights[1], poll_interval=SOON
        )
        VerifyExportOperator(task_id="verify", export=export.output)
    return dag


def test_a_failed_export_heals_by_a_second_attempt(table):
    table.lab.add_fault("fail_export", account=table.account, code="UNKNOWN", message="it broke")
    run = run_manually(export_dag(table))
    assert (run.state, run.tries_of("export")) == ("success", 2)
    first, second = table.started()
    assert [first["status"], second["status"]] == ["FAILED", "COMPLETED"]
    claims = table.claims()
    assert [claim["attempt"] for claim in claims] == [1, 2]
    assert claims[0]["client_token"] != claims[1]["client_token"]
    assert [claim["request"]["s3_prefix"][-3:] for claim in claims] == ["-a1", "-a2"]
    failed = table.document(f"ledger/failed/{claims[0]['export']}.json")
    verified = table.document(f"ledger/verified/{claims[1]['export']}.json")
    assert [failed["export_arn"], verified["export_arn"]] == [each["export_arn"] for each in (first, second)]
    message = run.error("export")
    assert ONE_LINE.fullmatch(message)
    assert "UNKNOWN: it broke" in message


def test_a_permanent_failure_is_not_tried_again_until_a_person_clears_the_task(table):
    table.lab.add_fault("fail_export", account=table.account, code="S3NoSuchBucket", message="no bucket")
    failed = run_manually(export_dag(table))
    assert (failed.state, failed.tries_of("export")) == ("failed", 1)
    assert "create the bucket" in failed.error("export")
    healed = run_again(failed)
    assert (healed.state, healed.xcom("export")["attempt"]) == ("success", 2)


@pytest.mark.scenario("F3")
def test_an_answer_that_was_lost_costs_no_second_export(table):
    operation = {"service": "dynamodb", "operation": "ExportTableToPointInTime"}
    table.lab.add_fault("drop_connection", account=table.account, after_bytes=0, **operation)
    run = run_manually(export_dag(table, botocore_config={"retries": {"total_max_attempts": 1}}))
    assert (run.state, run.tries_of("export")) == ("success", 2)
    assert len(table.lab.calls(table.account, operation="ExportTableToPointInTime")) == 1, "it is found by its folder"
    assert len(table.started()) == 1


@pytest.mark.scenario("F3")
def test_after_the_tokens_life_the_export_is_found_again(table):
    operation = {"service": "dynamodb", "operation": "ExportTableToPointInTime"}
    table.lab.add_fault("drop_connection", account=table.account, after_bytes=0, **operation)
    dag = export_dag(table, retries=0, botocore_config={"retries": {"total_max_attempts": 1}})
    assert run_manually(dag).state == "failed"
    table.lab.advance_clock(20 * 3600, table.account)
    again = run_manually(export_dag(table))
    assert (again.state, len(table.started())) == ("success", 1)


def test_throttling_does_not_end_the_wait(table):
    table.lab.add_fault("delay_export", account=table.account, seconds=1)
    fault = table.lab.add_fault(
        "throttle", account=table.account, service="dynamodb", operation="DescribeExport", times=4
    )
    config = {"retries": {"total_max_attempts": 1}}
    run = run_manually(export_dag(table, retries=0, botocore_config=config))
    assert (run.state, run.failures) == ("success", [])
    assert table.lab.fault(fault)["fired"] == 4


def test_one_window_fails_while_the_others_are_published_and_the_next_run_heals_it(table):
    m = table.midnights
    assert run_scheduled(table.dag(), m[0], m[1]).state == "success"
    start = f"{m[2]:%Y%m%dT%H%MZ}"
    table.lab.add_fault(
        "fail_export",
        account=table.account,
        code="S3AccessDenied",
        message="no",
        match={"prefix": f".*raw/{start}-.*"},
    )
    run = run_scheduled(table.dag(retries=0), m[1], m[4])
    assert run.state == "failed"
    assert [run.states[f"window.export[{index}]"] for index in (0, 1, 2)] == ["success", "failed", "success"]
    assert run.states["publish"] == "success"
    assert f"export {start}-" in run.error("check")
    assert "(2 of 3 are)" in run.error("check")
    assert run.xcom("hand_over", "export_end") == f"{m[2]:%Y-%m-%dT%H:%M:%SZ}"
    assert len(table.partitions()) == 3
    healed = run_manually(table.dag(retries=0))
    assert (healed.state, healed.failures) == ("success", [])
    assert f"{start}-{m[3]:%Y%m%dT%H%MZ}-a2" in [claim["export"] for claim in table.claims()]
    assert any(key.startswith(f"ledger/verified/{start}-") for key in table.keys("ledger/verified/"))


@pytest.mark.scenario("F2")
def test_no_window_runs_on_a_base_that_failed(table):
    table.lab.add_fault("fail_export", account=table.account, code="S3AccessDenied", message="no")
    m = table.midnights
    run = run_scheduled(table.dag(base_time=m[1]), m[2], m[3])
    assert (run.state, run.states["export_base"]) == ("failed", "failed")
    assert run.states["verify_base"] == "upstream_failed"
    assert {state for task, state in run.states.items() if task.startswith("window")} == {"upstream_failed"}
    assert len(table.started()) == 1
    assert table.visible() == []


@pytest.mark.scenario("F30")
def test_a_bucket_of_another_account(table, lab):
    other = str(int(table.account) ^ 1).zfill(12)
    theirs = table.aws("s3", account=other)
    bucket = f"theirs-{other}"
    theirs.create_bucket(Bucket=bucket)
    refused = run_manually(export_dag(table, bucket=bucket, bucket_owner=other, retries=3))
    assert (refused.state, refused.tries_of("export")) == ("failed", 1)
    assert ONE_LINE.fullmatch(refused.error("export"))
    assert "AccessDenied" in refused.error("export")
    allow(theirs, bucket, table.account)
    ownerless = run_manually(export_dag(table, bucket=bucket, retries=3))
    assert (ownerless.state, ownerless.tries_of("export")) == ("failed", 1)
    assert "S3AccessDenied" in ownerless.error("export")
    assert "set bucket_owner if the bucket is another account's" in ownerless.error("export")
    corrected = run_manually(export_dag(table, bucket=bucket, bucket_owner=other))
    assert (corrected.state, corrected.failures) == ("success", [])
    assert corrected.xcom("export")["attempt"] == 2
    assert corrected.xcom("export")["bucket_owner"] == other
    lab.reset(other)


def allow(s3, bucket, account):
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
        "Action": ["s3:PutObject", "s3:PutObjectAcl", "s3:AbortMultipartUpload", "s3:GetObject", "s3:ListBucket"],
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
    }
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
