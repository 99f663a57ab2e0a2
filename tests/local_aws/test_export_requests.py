"""What ExportTableToPointInTime accepts, and how it refuses the rest."""

from __future__ import annotations

import re
from typing import Any

import pytest
from botocore.exceptions import ClientError


def refused(call, **parameters: Any):
    """The code and message with which a call is refused."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    error = caught.value.response["Error"]
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return error["Code"], error["Message"]


@pytest.fixture
def ready(exporting):
    """The table, two days old."""
    exporting.lab.set_clock("2026-03-03T00:00:00Z", exporting.account)
    return exporting


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"TableArn": "orders"}, "tableArn is not a valid ARN"),
        ({"TableArn": "arn:aws:dynamodb:us-east-1:111122223333:table/orders/index/by"}, "tableArn is not a valid ARN"),
        ({"S3Bucket": "arn:aws:s3:::lake"}, "'s3Bucket' failed to satisfy constraint: Member must satisfy regular"),
        ({"ExportFormat": "CSV"}, "'exportFormat' failed to satisfy constraint: Member must satisfy enum value set"),
        ({"S3SseAlgorithm": "aws:kms"}, "'s3SseAlgorithm' failed to satisfy constraint"),
        ({"S3SseKmsKeyId": "k"}, "KMS Key Id is not supported for this encryption type"),
        ({"ClientToken": "a$b"}, "'clientToken' failed to satisfy constraint"),
        ({"FilterSpecification": {}}, "FilterSpecification must contain"),
        ({"FilterSpecification": {"FilterExpression": "attribute_exists("}}, "Invalid FilterExpression"),
        ({"FilterSpecification": {"FilterExpression": "total > :v"}}, "reserved keyword: total"),
        (
            {"FilterSpecification": {"ProjectionExpression": "a", "ExpressionAttributeNames": {"#b": "b"}}},
            "ExpressionAttributeNames unused in expressions",
        ),
        (
            {"IncrementalExportSpecification": {"ExportFromTime": 0}},
            "Export Type expected to be Incremental Export when incremental export specification is provided",
        ),
        (
            {"IncrementalExportSpecification": {"ExportFromTime": 0}, "ExportType": "FULL_EXPORT"},
            "When Export Type is Full Export , Incremental Export Specification should not be provided",
        ),
        (
            {"ExportType": "INCREMENTAL_EXPORT"},
            "Incremental Export Specification expected when export type is set as Incremental Export",
        ),
        (
            {"ExportType": "INCREMENTAL_EXPORT", "IncrementalExportSpecification": {}},
            "ExportFromTime must be provided",
        ),
        (
            {
                "ExportType": "INCREMENTAL_EXPORT",
                "IncrementalExportSpecification": {"ExportFromTime": 0, "ExportViewType": "NEW_IMAGES"},
            },
            "'incrementalExportSpecification.exportViewType' failed to satisfy constraint",
        ),
    ],
)
def test_parameters_are_validated(ready, parameters, message):
    call = ready.dynamodb.export_table_to_point_in_time
    code, text = refused(call, **{"TableArn": ready.table_arn, "S3Bucket": ready.bucket, **parameters})
    assert code == "ValidationException"
    assert message in text
    assert ready.lab.exports(ready.account) == []


def test_prefix_must_not_be_empty(ready):
    code, text = refused(ready.request_full, S3Prefix="")
    assert code == "ValidationException"
    assert "greater than or equal to 1" in text


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (-1, 60, r"cannot be less than the table creation time : 2026-03-01T00:00:00.000Z"),
        (60, 74, r"is less than 15 minutes"),
        (60, 60, r"is less than 15 minutes"),
        (60, 30, r"is less than 15 minutes"),
        (60, 60 + 24 * 60 + 1, r"more than 24 hours"),
        (2860, 2890, r"to time cannot be greater than the current time : 2026-03-03T00:0"),
    ],
)
def test_windows_keep_the_rules(ready, start, end, message):
    code, text = refused(ready.request_window, start=start, end=end)
    assert code == "InvalidExportTimeException"
    assert re.search(message, text)


@pytest.mark.scenario("F8")
def test_a_window_may_end_almost_now_and_last_15_minutes_or_24_hours(ready):
    assert ready.request_window(2865, 2880)["ExportStatus"] == "IN_PROGRESS"
    assert ready.request_window(0, 24 * 60)["ExportStatus"] == "IN_PROGRESS"


def test_a_window_without_end_ends_now(ready, at):
    window = {"ExportFromTime": at(2000)}
    requested = ready._request(ExportType="INCREMENTAL_EXPORT", IncrementalExportSpecification=window)
    specification = requested["IncrementalExportSpecification"]
    assert specification["ExportViewType"] == "NEW_AND_OLD_IMAGES"
    assert 0 <= (specification["ExportToTime"] - at(2880)).total_seconds() < 30
    assert specification["ExportToTime"].microsecond == 0


def test_full_export_times(ready, at):
    assert refused(ready.request_full, ExportTime=at(-1)) == ("InvalidExportTimeException", "Export Time is invalid")
    assert refused(ready.request_full, ExportTime=at(2900)) == ("InvalidExportTimeException", "Export Time is invalid")
    unavailable = "Point in Time Recovery is not available for specified export time"
    assert refused(ready.request_full, ExportTime=at(2879)) == ("InvalidExportTimeException", unavailable)
    ready.lab.settings(ready.account, full_export_lag_seconds=30)
    assert ready.request_full(ExportTime=at(2879))["ExportTime"] == at(2879)
    defaulted = ready.request_full()
    assert defaulted["ExportTime"] == defaulted["StartTime"]


@pytest.mark.scenario("F10")
def test_recovery_off_then_on_again(ready):
    ready.recovery(enabled=False)
    unavailable = (
        "PointInTimeRecoveryUnavailableException",
        "Point in time recovery is not enabled for table 'orders'",
    )
    assert refused(ready.request_full, S3Bucket="no-such-bucket") == unavailable
    assert refused(ready.request_window, start=100, end=200) == unavailable
    code, text = refused(ready.request_window, start=-100, end=200)
    assert code == "InvalidExportTimeException"
    assert "table creation time" in text
    ready.lab.settings(ready.account, incremental_pitr_off_error="InvalidExportTimeException")
    assert refused(ready.request_window, start=100, end=200)[0] == "InvalidExportTimeException"
    ready.recovery(enabled=True)
    code, text = refused(ready.request_window, start=100, end=200)
    assert code == "InvalidExportTimeException"
    assert "earliest restorable time" in text


@pytest.mark.scenario("F11")
def test_the_recovery_window_slides(ready):
    ready.lab.set_clock("2026-05-01T00:00:00Z", ready.account)
    assert refused(ready.request_window, start=100, end=200)[0] == "InvalidExportTimeException"
    days = (61 - 35) * 24 * 60
    assert ready.request_window(days + 60, days + 120)["ExportStatus"] == "IN_PROGRESS"


def test_tables_that_are_not_there(ready):
    missing = ready.table_arn.replace("orders", "missing")
    found = refused(ready.request_full, TableArn=missing)
    assert found == ("TableNotFoundException", f"Table not found: {missing}")
    foreign = ready.table_arn.replace(ready.account, "999988887777")
    assert refused(ready.request_full, TableArn=foreign) == ("AccessDeniedException", "Access is denied")


@pytest.mark.scenario("F3")
@pytest.mark.scenario("F31")
def test_a_token_finds_its_export_again(ready, at):
    first = ready.request_window(0, 30, ClientToken="claim-1")
    assert ready.request_window(0, 30, ClientToken="claim-1")["ExportArn"] == first["ExportArn"]
    assert ready.wait(first["ExportArn"])["ExportStatus"] == "COMPLETED"
    assert ready.request_window(0, 30, ClientToken="claim-1")["ExportArn"] == first["ExportArn"]
    conflict = (
        "ExportConflictException",
        "Export conflict: Duplicate request detected with conflicting parameters",
    )
    assert refused(ready.request_window, start=0, end=31, ClientToken="claim-1") == conflict
    assert refused(ready.request_window, start=0, end=30, view="NEW_IMAGE", ClientToken="claim-1") == conflict
    assert refused(ready.request_window, start=0, end=30, S3Prefix="x", ClientToken="claim-1") == conflict
    assert refused(ready.request_full, ClientToken="claim-1") == conflict
    assert len(ready.lab.exports(ready.account)) == 1
    ready.lab.advance_clock(8 * 3600 + 60, ready.account)
    assert ready.request_window(0, 30, ClientToken="claim-1")["ExportArn"] != first["ExportArn"]


def test_a_token_of_a_failed_export_stays_with_it(ready):
    first = ready.request_window(0, 30, ClientToken="claim-1", S3Bucket="no-such-bucket")
    assert ready.wait(first["ExportArn"])["ExportStatus"] == "FAILED"
    again = ready.request_window(0, 30, ClientToken="claim-1", S3Bucket="no-such-bucket")
    assert again["ExportArn"] == first["ExportArn"]
    assert again["ExportStatus"] == "FAILED"


def test_a_refused_request_does_not_use_up_its_token(ready):
    refused(ready.request_window, start=0, end=1, ClientToken="claim-1")
    assert ready.request_window(0, 30, ClientToken="claim-1")["ExportStatus"] == "IN_PROGRESS"


def test_without_a_token_each_call_is_an_export(ready):
    assert ready.request_window(0, 30)["ExportArn"] != ready.request_window(0, 30)["ExportArn"]


@pytest.mark.scenario("F32")
def test_the_quota_of_running_exports_is_counted_by_kind(ready):
    ready.lab.settings(ready.account, concurrent_exports=2)
    fault = ready.lab.add_fault("delay_export", account=ready.account, times=None, hold=True)
    running = [ready.request_window(0, 30), ready.request_window(30, 60)]
    assert refused(ready.request_window, start=60, end=90)[0] == "LimitExceededException"
    assert ready.request_full()["ExportStatus"] == "IN_PROGRESS"
    ready.lab.release(fault)
    for export in running:
        ready.wait(export["ExportArn"])
    assert ready.request_window(60, 90)["ExportStatus"] == "IN_PROGRESS"
