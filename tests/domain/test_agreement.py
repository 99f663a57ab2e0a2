"""An export is the one that was asked for, in every point, or it is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ddb_export.domain.agreement import disagreements
from ddb_export.domain.export import (
    ExportDescription,
    ExportFormat,
    ExportRequest,
    ExportStatus,
    ExportType,
    ExportViewType,
)
from ddb_export.domain.export_filter import ExportFilter
from ddb_export.domain.window import Window

START = datetime(2026, 1, 1, tzinfo=UTC)
END = START + timedelta(days=1)
ARN = "arn:aws:dynamodb:us-east-1:111122223333:table/orders"
REQUEST = ExportRequest(ARN, "bucket", "raw/window-a1", window=Window(START, END))
DESCRIPTION = ExportDescription(
    export_arn=f"{ARN}/export/01767225600000-0123abcd",
    status=ExportStatus.COMPLETED,
    table_arn=ARN,
    table_id="id",
    export_type=ExportType.INCREMENTAL_EXPORT,
    start=START,
    end=END,
    view=ExportViewType.NEW_AND_OLD_IMAGES,
    bucket="bucket",
    s3_prefix="raw/window-a1",
)


def test_the_export_that_was_asked_for_agrees():
    assert disagreements(REQUEST, DESCRIPTION, "id") == ()
    assert disagreements(REQUEST, replace(DESCRIPTION, s3_prefix="raw/window-a1/"), "id") == ()


@pytest.mark.parametrize(
    ("change", "point"),
    [
        ({"table_arn": ARN + "2"}, "TableArn"),
        pytest.param({"table_id": "other"}, "TableId", marks=pytest.mark.scenario("F13")),
        ({"table_id": None}, "TableId"),
        ({"export_type": ExportType.FULL_EXPORT}, "ExportType"),
        ({"export_time": START}, "ExportTime"),
        ({"start": START + timedelta(minutes=1)}, "ExportFromTime"),
        ({"end": END + timedelta(microseconds=1)}, "ExportToTime"),
        ({"end": None}, "ExportToTime"),
        ({"view": ExportViewType.NEW_IMAGE}, "ExportViewType"),
        ({"export_format": ExportFormat.ION}, "ExportFormat"),
        ({"bucket": "other"}, "S3Bucket"),
        ({"s3_prefix": "raw/window-a2"}, "S3Prefix"),
        ({"s3_prefix": None}, "S3Prefix"),
        ({"export_filter": ExportFilter.of("attribute_exists(a)")}, "FilterSpecification"),
    ],
)
def test_each_point_counts_alone(change, point):
    (difference,) = disagreements(REQUEST, replace(DESCRIPTION, **change), "id")
    assert difference.point == point
    assert str(difference).startswith(f"{point} is ")


def test_table_id_is_compared_only_if_it_is_known():
    assert disagreements(REQUEST, DESCRIPTION) == ()
