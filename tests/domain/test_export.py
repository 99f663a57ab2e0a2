"""Requests and descriptions of exports: what is sent, what is remembered, and the token that keeps it one export."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ddb_export.domain.export import (
    ExportDescription,
    ExportFormat,
    ExportRequest,
    ExportStatus,
    ExportType,
    ExportViewType,
    client_token,
    export_name,
)
from ddb_export.domain.window import Window

START = datetime(2026, 1, 1, tzinfo=UTC)
ARN = "arn:aws:dynamodb:us-east-1:111122223333:table/orders"
FULL = ExportRequest(ARN, "bucket", "raw/full", export_time=START)
WINDOW = ExportRequest(ARN, "bucket", "raw/window", window=Window(START, START + timedelta(days=1)))


def test_full_request():
    assert FULL.to_api("token") == {
        "TableArn": ARN,
        "S3Bucket": "bucket",
        "S3Prefix": "raw/full",
        "ExportFormat": "DYNAMODB_JSON",
        "ExportType": "FULL_EXPORT",
        "ClientToken": "token",
        "S3SseAlgorithm": "AES256",
        "ExportTime": START,
    }


def test_incremental_request():
    request = replace(WINDOW, kms_key="alias/lake", bucket_owner="444455556666", view=ExportViewType.NEW_IMAGE)
    sent = request.to_api("token")
    assert sent["IncrementalExportSpecification"] == {
        "ExportFromTime": START,
        "ExportToTime": START + timedelta(days=1),
        "ExportViewType": "NEW_IMAGE",
    }
    assert (sent["S3SseAlgorithm"], sent["S3SseKmsKeyId"], sent["S3BucketOwner"]) == (
        "KMS",
        "alias/lake",
        "444455556666",
    )
    assert "ExportTime" not in sent
    assert sent["ExportType"] == "INCREMENTAL_EXPORT"


def test_a_window_has_old_images_unless_asked_otherwise():
    assert WINDOW.view is ExportViewType.NEW_AND_OLD_IMAGES
    assert FULL.view is None


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"export_time": START, "window": Window(START, START + timedelta(hours=1))},
        {"export_time": START, "view": ExportViewType.NEW_IMAGE},
    ],
)
def test_what_is_no_request_is_refused(fields):
    with pytest.raises(ValueError, match=r"."):
        ExportRequest(ARN, "bucket", "raw", **fields)


@pytest.mark.parametrize(
    "request_",
    [FULL, WINDOW, replace(WINDOW, kms_key="k", bucket_owner="444455556666", export_format=ExportFormat.ION)],
)
def test_request_survives_json(request_):
    assert ExportRequest.from_json(request_.to_json()) == request_


@pytest.mark.scenario("F3")
def test_token_is_the_same_for_everyone_who_makes_the_same_attempt():
    again = ExportRequest.from_json(WINDOW.to_json())
    assert client_token("id", WINDOW, 1) == client_token("id", again, 1)
    assert len(client_token("id", WINDOW, 1)) == 64


@pytest.mark.scenario("F31")
def test_token_differs_wherever_anything_differs():
    tokens = [
        client_token("id", WINDOW, 1),
        client_token("id", WINDOW, 2),
        client_token("other", WINDOW, 1),
        client_token("id", FULL, 1),
        *(
            client_token("id", replace(WINDOW, **change), 1)
            for change in (
                {"s3_prefix": "elsewhere"},
                {"bucket": "other"},
                {"table_arn": ARN + "2"},
                {"view": ExportViewType.NEW_IMAGE},
                {"kms_key": "k"},
                {"bucket_owner": "444455556666"},
                {"window": Window(START, START + timedelta(hours=1))},
                {"export_format": ExportFormat.ION},
            )
        ),
    ]
    assert len(set(tokens)) == len(tokens)


def test_names_of_attempts():
    assert export_name(FULL, 1) == "full-20260101T0000Z-a1"
    assert export_name(WINDOW, 12) == "20260101T0000Z-20260102T0000Z-a12"


def test_description_survives_xcom():
    description = ExportDescription(
        export_arn=f"{ARN}/export/01767225600000-0123abcd",
        status=ExportStatus.COMPLETED,
        table_arn=ARN,
        table_id="id",
        export_type=ExportType.INCREMENTAL_EXPORT,
        start=START,
        end=START + timedelta(days=1),
        view=ExportViewType.NEW_IMAGE,
        item_count=0,
        billed_bytes=5,
        start_time=START + timedelta(milliseconds=5),
    )
    document = description.to_xcom()
    assert all(value is None or type(value) in (str, int, bool) for value in document.values())
    assert ExportDescription.from_xcom(document) == description
    assert description.export_id == "01767225600000-0123abcd"
