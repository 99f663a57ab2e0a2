"""The life of an export as DescribeExport and ListExports tell it: IN_PROGRESS, COMPLETED, late FAILED."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

RESULT = {"EndTime", "ExportManifest", "ItemCount", "BilledSizeBytes", "FailureCode", "FailureMessage"}


@pytest.fixture
def ready(exporting):
    """The table with an item, a day old."""
    exporting.lay_down(exporting.write(1, "PutItem", "a"), until=24 * 60)
    return exporting


def failure(exporting, **parameters: Any):
    """The failure code and message of an export that turns FAILED."""
    requested = exporting.request_window(0, 30, **parameters)
    assert requested["ExportStatus"] == "IN_PROGRESS"
    description = exporting.wait(requested["ExportArn"])
    assert description["ExportStatus"] == "FAILED", description
    assert not {"ExportManifest", "ItemCount", "BilledSizeBytes"} & description.keys()
    return description["FailureCode"], description["FailureMessage"]


@pytest.mark.scenario("F14")
def test_nothing_of_the_result_shows_while_in_progress(ready):
    fault = ready.lab.add_fault("delay_export", account=ready.account, hold=True)
    arn = ready.request_window(0, 30)["ExportArn"]
    ready.lab.wait_until_held(fault)
    description = ready.dynamodb.describe_export(ExportArn=arn)["ExportDescription"]
    assert description["ExportStatus"] == "IN_PROGRESS"
    assert not RESULT & description.keys()
    keys = list(ready.objects())
    assert any(key.endswith("_started") for key in keys)
    assert any(key.startswith("AWSDynamoDB/data/") for key in keys)
    assert not any("manifest" in key for key in keys)
    ready.lab.release(fault)
    done = ready.wait(arn)
    assert done["ExportStatus"] == "COMPLETED"
    assert {"EndTime", "ExportManifest", "ItemCount", "BilledSizeBytes"} <= done.keys()
    assert done["ExportManifest"].endswith("/manifest-summary.json")


def test_what_a_description_echoes(ready, at):
    incremental = ready.window(0, 30).description
    assert "ExportTime" not in incremental
    assert incremental["ExportType"] == "INCREMENTAL_EXPORT"
    assert incremental["S3SseAlgorithm"] == "AES256"
    assert incremental["IncrementalExportSpecification"] == {
        "ExportFromTime": at(0),
        "ExportToTime": at(30),
        "ExportViewType": "NEW_AND_OLD_IMAGES",
    }
    untyped = ready.dynamodb.export_table_to_point_in_time(TableArn=ready.table_arn, S3Bucket=ready.bucket)
    description = untyped["ExportDescription"]
    assert "ExportType" not in description
    assert description["ClientToken"]
    summaries = ready.dynamodb.list_exports(TableArn=ready.table_arn)["ExportSummaries"]
    assert {entry["ExportArn"]: entry["ExportType"] for entry in summaries}[description["ExportArn"]] == "FULL_EXPORT"


def test_times_follow_the_clock_of_the_account(ready, at):
    export = ready.window(0, 30)
    for name in ("StartTime", "EndTime"):
        assert 0 <= (export.description[name] - at(24 * 60)).total_seconds() < 30
    assert export.summary["endTime"].startswith("2026-03-02T00:00")


@pytest.mark.scenario("F22")
def test_missing_bucket_fails_late(ready):
    code, message = failure(ready, S3Bucket="no-such-bucket-here")
    assert code == "S3NoSuchBucket"
    assert message.startswith("The specified bucket does not exist (Service: Amazon S3; Status Code: 404; ")


@pytest.mark.scenario("F30")
def test_foreign_and_wrongly_owned_buckets_fail_late(ready, aws, lab):
    other = str(int(ready.account) ^ 1).zfill(12)
    foreign = aws("s3", account=other)
    bucket = f"theirs-{other}"
    foreign.create_bucket(Bucket=bucket)
    denied = "Access Denied (Service: Amazon S3; Status Code: 403; "
    assert failure(ready, S3BucketOwner=other)[1].startswith(denied)
    code, message = failure(ready, S3Bucket=bucket)
    assert (code, message.startswith(denied)) == ("S3AccessDenied", True)
    code, message = failure(ready, S3Bucket=bucket, S3BucketOwner=other)
    assert (code, message.startswith(denied)) == ("S3AccessDenied", True)
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ready.account}:root"},
        "Action": ["s3:PutObject", "s3:PutObjectAcl", "s3:AbortMultipartUpload"],
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    foreign.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    assert failure(ready, S3Bucket=bucket)[0] == "S3AccessDenied"
    requested = ready.request_window(0, 30, S3Bucket=bucket, S3BucketOwner=other)
    assert ready.wait(requested["ExportArn"])["ExportStatus"] == "COMPLETED"
    assert foreign.list_objects_v2(Bucket=bucket)["KeyCount"] > 4
    lab.reset(other)


def test_bucket_in_another_region_works(ready, aws):
    bucket = f"far-{ready.account}"
    far = aws("s3", region="eu-west-1")
    far.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    requested = ready.request_window(0, 30, S3Bucket=bucket)
    assert ready.wait(requested["ExportArn"])["ExportStatus"] == "COMPLETED"


@pytest.mark.scenario("F30")
def test_encryption_keys(ready, aws):
    key = aws("kms").create_key()["KeyMetadata"]["Arn"]
    export = ready.window(0, 30, S3SseAlgorithm="KMS", S3SseKmsKeyId=key)
    assert export.summary["s3SseKmsKeyId"] == key
    head = ready.s3.head_object(Bucket=ready.bucket, Key=export.files[0]["dataFileS3Key"])
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", key)
    keyless = ready.window(0, 30, S3SseAlgorithm="KMS")
    assert "S3SseKmsKeyId" not in keyless.description
    missing = key[:-4] + "0000"
    code, message = failure(ready, S3SseAlgorithm="KMS", S3SseKmsKeyId=missing)
    assert (code, message) == ("KmsNotFoundException", f"Key '{missing}' does not exist")
    elsewhere = key.replace("us-east-1", "eu-west-1")
    assert failure(ready, S3SseAlgorithm="KMS", S3SseKmsKeyId=elsewhere)[0] == "KmsNotFoundException"


def test_denied_permissions_fail_late_and_leave_partial_files(ready):
    fault = ready.lab.add_fault("delay_export", account=ready.account, hold=True)
    requested = ready.request_window(0, 30)
    ready.lab.wait_until_held(fault)
    ready.lab.deny(ready.account, f"s3:PutObject arn:aws:s3:::{ready.bucket}/*")
    ready.lab.release(fault)
    description = ready.wait(requested["ExportArn"])
    assert description["FailureCode"] == "S3AccessDenied"
    assert "is not authorized to perform: s3:PutObject" in description["FailureMessage"]
    ready.lab.deny(ready.account)
    assert any(key.startswith("AWSDynamoDB/data/") for key in ready.objects())


@pytest.mark.scenario("F12")
def test_listing_is_newest_first_in_pages_and_ends_after_90_days(ready):
    arns = [ready.request_window(0, 30)["ExportArn"] for _ in range(5)]
    arns.append(ready.request_window(0, 30, S3Bucket="no-such-bucket-here")["ExportArn"])
    for arn in arns:
        ready.wait(arn)
    listed: list[dict[str, str]] = []
    token = None
    while True:
        more: dict[str, str] = {"NextToken": token} if token else {}
        page = ready.dynamodb.list_exports(TableArn=ready.table_arn, MaxResults=4, **more)
        listed += page["ExportSummaries"]
        token = page.get("NextToken")
        if token is None:
            break
    assert [entry["ExportArn"] for entry in listed] == sorted(arns, reverse=True)
    assert {tuple(entry) for entry in listed} == {("ExportArn", "ExportStatus", "ExportType")}
    assert {entry["ExportStatus"] for entry in listed} == {"COMPLETED", "FAILED"}
    with pytest.raises(ClientError, match="less than or equal to 25"):
        ready.dynamodb.list_exports(MaxResults=26)
    ready.lab.advance_clock(90 * 86400 + 60, ready.account)
    assert ready.dynamodb.list_exports(TableArn=ready.table_arn)["ExportSummaries"] == []
    with pytest.raises(ClientError, match="Export not found"):
        ready.dynamodb.describe_export(ExportArn=arns[0])


@pytest.mark.scenario("F13")
def test_a_table_made_again_is_another_table(ready):
    export = ready.window(0, 30)
    arn, table_id = export.description["ExportArn"], export.description["TableId"]
    ready.dynamodb.delete_table(TableName=ready.table)
    assert ready.dynamodb.list_exports(TableArn=ready.table_arn)["ExportSummaries"] == []
    ready.create_table(recovery=False)
    table = ready.dynamodb.describe_table(TableName=ready.table)["Table"]
    assert table["TableArn"] == ready.table_arn
    assert table["TableId"] != table_id
    backups = ready.dynamodb.describe_continuous_backups(TableName=ready.table)["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "DISABLED"
    assert ready.dynamodb.list_exports(TableArn=ready.table_arn)["ExportSummaries"] == []
    assert ready.dynamodb.describe_export(ExportArn=arn)["ExportDescription"]["TableId"] == table_id


@pytest.mark.parametrize("ending", ["COMPLETED", "FAILED"])
def test_a_table_deleted_during_its_export(ready, ending):
    ready.lab.settings(ready.account, deleted_table_export=ending)
    requested = ready.request_window(0, 30)
    ready.dynamodb.delete_table(TableName=ready.table)
    assert ready.wait(requested["ExportArn"])["ExportStatus"] == ending


def test_wrong_arns(ready, aws):
    arn = ready.window(0, 30).description["ExportArn"]
    for wrong in (ready.table_arn, arn.replace("/export/", "/import/")):
        with pytest.raises(ClientError, match="Invalid Export ARN"):
            ready.dynamodb.describe_export(ExportArn=wrong)
    with pytest.raises(ClientError) as caught:
        aws("dynamodb", region="eu-west-1").describe_export(ExportArn=arn)
    assert caught.value.response["Error"]["Code"] == "ExportNotFoundException"


def test_the_lab_keeps_a_record_of_its_own(ready):
    ready.window(0, 30)
    failure(ready, S3Bucket="no-such-bucket-here")
    completed, failed = ready.lab.exports(ready.account)
    assert (completed["status"], completed["billed_size_bytes"], completed["item_count"]) == (
        "COMPLETED",
        10_000_000,
        1,
    )
    assert (failed["status"], failed["billed_size_bytes"]) == ("FAILED", None)
    assert completed["from_time"] == "2026-03-01T00:00:00.000000Z"
