"""Fixtures for tests of the lab itself: a table with recovery, its exports, and what they wrote."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local_aws.client import Lab

START = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass
class Written:
    """What one export left in S3."""

    description: dict[str, Any]
    objects: dict[str, bytes]
    summary: dict[str, Any]
    files: list[dict[str, Any]]
    records: list[dict[str, Any]]

    @property
    def folder(self) -> str:
        """The key of the export's own folder."""
        return str(self.summary["manifestFilesS3Key"]).removesuffix("manifest-files.json")


class Exporting:
    """One table (keys ``pk`` and ``sk``) with recovery on, one bucket, and exports of it."""

    def __init__(self, lab: Lab, account: str, aws: Callable[..., Any]) -> None:
        self.lab = lab
        self.account = account
        self.dynamodb = aws("dynamodb")
        self.s3 = aws("s3")
        self.bucket = f"lake-{account}"
        self.table = "orders"
        self.table_arn = f"arn:aws:dynamodb:us-east-1:{account}:table/orders"
        self.begin()

    def begin(self) -> None:
        """Forget everything of the account, and make bucket and table at START."""
        self.lab.reset(self.account)
        self.s3.create_bucket(Bucket=self.bucket)
        # Last, because the clock goes on: on a busy machine the table would be a second younger than START.
        self.lab.set_clock(START, self.account)
        self.create_table()

    def create_table(self, *, recovery: bool = True) -> None:
        """Create the table (again)."""
        self.dynamodb.create_table(
            TableName=self.table,
            KeySchema=[
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
            AttributeDefinitions=[
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "N"},
            ],
            BillingMode="PAY_PER_REQUEST",
        )
        if recovery:
            self.recovery(enabled=True)

    def recovery(self, *, enabled: bool, **specification: Any) -> dict[str, Any]:
        """Switch recovery on or off."""
        answer = self.dynamodb.update_continuous_backups(
            TableName=self.table,
            PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": enabled, **specification},
        )
        return dict(answer["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"])

    def write(self, minute: float, operation: str, pk: str, sk: int = 0, **values: Any) -> dict[str, Any]:
        """A line of history, ``minute`` minutes after the table's creation; values are attribute values."""
        key = {"pk": {"S": pk}, "sk": {"N": str(sk)}}
        request: dict[str, Any] = {"TableName": self.table}
        request |= {"Item": {**key, **values}} if operation == "PutItem" else {"Key": key}
        return {"time": at(minute).isoformat(), "operation": operation, "request": request}

    def lay_down(self, *writes: dict[str, Any], until: float) -> None:
        """Apply history, then set the clock ``until`` minutes after the table's creation."""
        self.lab.write_history(self.account, writes)
        self.lab.set_clock(at(until), self.account)

    def request_full(self, **parameters: Any) -> dict[str, Any]:
        """Ask for a full export."""
        return self._request(ExportType="FULL_EXPORT", **parameters)

    def request_window(self, start: float, end: float, view: str = "NEW_AND_OLD_IMAGES", **more: Any) -> dict[str, Any]:
        """Ask for the window of these minutes."""
        window = {"ExportFromTime": at(start), "ExportToTime": at(end), "ExportViewType": view}
        return self._request(ExportType="INCREMENTAL_EXPORT", IncrementalExportSpecification=window, **more)

    def _request(self, **parameters: Any) -> dict[str, Any]:
        given = {"TableArn": self.table_arn, "S3Bucket": self.bucket, **parameters}
        answer = self.dynamodb.export_table_to_point_in_time(**given)
        return dict(answer["ExportDescription"])

    def wait(self, arn: str, timeout: float = 10.0) -> dict[str, Any]:
        """The description of an export when it has ended."""
        end = time.monotonic() + timeout
        while True:
            description = dict(self.dynamodb.describe_export(ExportArn=arn)["ExportDescription"])
            if description["ExportStatus"] != "IN_PROGRESS":
                return description
            assert time.monotonic() < end, f"{arn} did not end within {timeout} s"
            time.sleep(0.02)

    def written(self, requested: dict[str, Any]) -> Written:
        """What a requested export wrote, when it is COMPLETED."""
        description = self.wait(requested["ExportArn"])
        assert description["ExportStatus"] == "COMPLETED", description
        folder = description["ExportManifest"].rpartition("/")[0] + "/"
        objects = self.objects()
        summary = json.loads(objects[folder + "manifest-summary.json"])
        lines = objects[folder + "manifest-files.json"].decode().splitlines()
        files = [json.loads(line) for line in lines]
        records = [
            json.loads(line)
            for file in files
            for line in gzip.decompress(objects[file["dataFileS3Key"]]).decode().splitlines()
        ]
        return Written(description, objects, summary, files, records)

    def full(self, minute: float, **parameters: Any) -> Written:
        """A COMPLETED full export at this minute."""
        return self.written(self.request_full(ExportTime=at(minute), **parameters))

    def window(self, start: float, end: float, view: str = "NEW_AND_OLD_IMAGES", **parameters: Any) -> Written:
        """A COMPLETED incremental export of these minutes."""
        return self.written(self.request_window(start, end, view, **parameters))

    def objects(self) -> dict[str, bytes]:
        """All objects of the bucket."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        return {key: self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read() for key in keys}

    def live_items(self) -> list[dict[str, Any]]:
        """The table's items in DynamoDB JSON, read through Scan."""
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=self.table, ConsistentRead=True)
        return [item for page in pages for item in page["Items"]]


def at(minute: float) -> datetime:
    """The time this many minutes after the table's creation."""
    return START + timedelta(minutes=minute)


@pytest.fixture(name="at")
def at_fixture() -> Callable[[float], datetime]:
    """The time this many minutes after the table's creation."""
    return at


@pytest.fixture
def exporting(lab: Lab, account: str, aws: Callable[..., Any]) -> Exporting:
    """A table with recovery on, made at START, and a bucket."""
    return Exporting(lab, account, aws)
