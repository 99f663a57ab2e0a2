"""Exports that the lab wrote: asked for through the gateway, verified against what was asked, converted."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ddb_export.aws.dynamodb import DynamoDBGateway
from ddb_export.aws.object_store import S3ObjectStore
from ddb_export.conversion.inverse import read_rows
from ddb_export.domain.export import ExportDescription, ExportRequest, ExportStatus, ExportViewType
from ddb_export.domain.window import Window
from ddb_export.exceptions import UsageError
from ddb_export.pipeline.verification import (
    VerificationLevel,
    VerificationReport,
    locate_export,
    read_manifests,
    verify_export,
)
from ddb_export.pipeline.whole_export import Destination, convert_export
from local_aws.client import Lab

START = datetime(2026, 3, 1, tzinfo=UTC)
BUCKET = "lake"
TABLE = "orders"


@dataclass
class Table:
    """A table of the lab with half an hour of history, and its exports."""

    lab: Lab
    account: str
    gateway: DynamoDBGateway
    store: S3ObjectStore
    table_id: str

    @property
    def arn(self) -> str:
        return f"arn:aws:dynamodb:us-east-1:{self.account}:table/{TABLE}"

    def export(self, request: ExportRequest) -> ExportDescription:
        started = self.gateway.start_export(request, request.s3_prefix.replace("/", "-"))
        deadline = time.monotonic() + 20
        while (description := self.gateway.describe_export(started.export_arn)).status is ExportStatus.IN_PROGRESS:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert description.status is ExportStatus.COMPLETED
        return description

    def full(self, prefix: str = "raw/full") -> ExportRequest:
        return ExportRequest(self.arn, BUCKET, prefix, export_time=at(20))

    def window(self, prefix: str = "raw/window", view: ExportViewType | None = None) -> ExportRequest:
        return ExportRequest(self.arn, BUCKET, prefix, window=Window(at(20), at(40)), view=view)

    def verify(self, request: ExportRequest, description: ExportDescription, level: str) -> VerificationReport:
        manifests = read_manifests(self.store, locate_export(self.store, request.s3_prefix))
        return verify_export(
            self.store,
            manifests,
            level=VerificationLevel(level),
            expected=request,
            table_id=self.table_id,
            description=description,
        )


def at(minute: int) -> datetime:
    return START + timedelta(minutes=minute)


@pytest.fixture
def table(lab: Lab, account: str, aws: Callable[..., Any]) -> Table:
    lab.set_clock(START, account)
    dynamodb, s3 = aws("dynamodb"), aws("s3")
    s3.create_bucket(Bucket=BUCKET)
    dynamodb.create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.update_continuous_backups(
        TableName=TABLE, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )

    def put(minute: int, key: str, number: str) -> dict[str, Any]:
        item = {"id": {"S": key}, "n": {"N": number}}
        return {"time": at(minute), "operation": "PutItem", "request": {"TableName": TABLE, "Item": item}}

    removed = {"TableName": TABLE, "Key": {"id": {"S": "a"}}}
    history = [put(5, "a", "1"), put(6, "b", "2"), put(7, "c", "0.5"), put(25, "b", "3"), put(26, "d", "1E+3")]
    lab.write_history(account, [*history, {"time": at(27), "operation": "DeleteItem", "request": removed}])
    lab.set_clock(at(60), account)
    gateway = DynamoDBGateway(dynamodb)
    return Table(lab, account, gateway, S3ObjectStore(s3, BUCKET), gateway.identify(TABLE).table_id)


@pytest.mark.parametrize("level", ["bytes", "manifest"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"manifest_key_includes_prefix": False},
        pytest.param({"checksum_suffix": "checksum"}, marks=pytest.mark.scenario("F15")),
        pytest.param({"checksum_suffix": "none"}, marks=pytest.mark.scenario("F15")),
        {"full_summary_has_export_type": True},
        {"write_timestamp_bare_string": True, "numbers_with_exponents": True},
        {"started_marker": False, "data_files": 1},
    ],
    ids=lambda settings: ",".join(settings) or "default",
)
def test_what_was_asked_is_what_there_is(table, settings, level):
    if settings:
        table.lab.settings(table.account, **settings)
    for request in (table.full(), table.window()):
        report = table.verify(request, table.export(request), level)
        assert report.findings == ()
        assert report.manifests.md5 == ("absent" if settings.get("checksum_suffix") == "none" else "ok")


def test_windows_of_one_prefix_are_told_apart(table):
    first, second = table.window("shared"), table.window("shared", ExportViewType.NEW_IMAGE)
    table.export(first)
    description = table.gateway.start_export(second, "another-token")
    while table.gateway.describe_export(description.export_arn).status is ExportStatus.IN_PROGRESS:
        time.sleep(0.05)
    with pytest.raises(UsageError, match="2 exports"):
        locate_export(table.store, "shared")
    location = locate_export(table.store, f"shared/AWSDynamoDB/{description.export_id}")
    manifests = read_manifests(table.store, location)
    assert verify_export(table.store, manifests, expected=second).ok
    (finding,) = verify_export(table.store, manifests, expected=first).findings
    assert finding.cause == "ExportViewType is NEW_IMAGE, asked for was NEW_AND_OLD_IMAGES"


@pytest.mark.scenario("F16")
@pytest.mark.parametrize(
    ("target", "damage", "file", "levels"),
    [
        ("data:largest", "flip_byte", ".json.gz", ["bytes"]),
        ("data:largest", "truncate", ".json.gz", ["bytes"]),
        ("data:largest", "drop", ".json.gz", ["bytes", "manifest"]),
        ("manifest-files.json", "wrong_count", "manifest-files.json", ["bytes", "manifest"]),
        ("manifest-files.json", "drop", "manifest-files.json", ["bytes", "manifest"]),
        ("manifest-files.json", "truncate", "manifest-files.json", ["bytes", "manifest"]),
        ("manifest-summary.json", "flip_byte", "manifest-summary.json", ["bytes", "manifest"]),
        ("manifest-summary.json", "drop", "manifest-summary.json", ["bytes", "manifest"]),
        ("manifest-summary.md5", "flip_byte", "manifest-summary.json", ["bytes", "manifest"]),
    ],
)
def test_damage_is_found_and_named(table, target, damage, file, levels):
    table.lab.add_fault("damage_file", account=table.account, target=target, damage=damage)
    request = table.window()
    description = table.export(request)
    for level in levels:
        report = table.verify(request, description, level)
        assert not report.ok
        assert file in " ".join(finding.file for finding in report.findings)


@pytest.mark.scenario("F17")
def test_window_without_changes(table, tmp_path):
    request = ExportRequest(table.arn, BUCKET, "raw/empty", window=Window(at(40), at(55)))
    assert table.verify(request, table.export(request), "bytes").manifests.summary.item_count == 0
    convert_export(table.store, locate_export(table.store, "raw/empty"), Destination(table.store, "lake"))
    (part,) = [each.key for each in table.store.list_objects("lake/") if each.key.endswith(".parquet")]
    (tmp_path / "part").write_bytes(table.store.read(part).content)
    assert list(read_rows(tmp_path / "part")) == []


def test_changes_in_the_lake_are_the_changes_of_the_table(table, tmp_path):
    request = table.window()
    table.export(request)
    convert_export(table.store, locate_export(table.store, request.s3_prefix), Destination(table.store, "lake"))
    rows = {}
    for entry in table.store.list_objects("lake/changes/"):
        if entry.key.endswith(".parquet"):
            (tmp_path / "part").write_bytes(table.store.read(entry.key).content)
            rows |= {
                item["id"]["S"]: (contract["_op"], item.get("n")) for contract, item in read_rows(tmp_path / "part")
            }
    assert rows == {"a": ("REMOVE", None), "b": ("MODIFY", {"N": "3"}), "d": ("INSERT", {"N": "1000"})}
