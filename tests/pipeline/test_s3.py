"""Exports that lie in S3, and lakes that do: against the lab, over HTTP."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ddb_export.aws.object_store import LocalObjectStore, S3ObjectStore, parse_place
from ddb_export.exceptions import NotReachableError, PermissionDeniedError
from ddb_export.pipeline.verification import (
    VerificationLevel,
    VerificationReport,
    locate_export,
    read_manifests,
    verify_export,
)
from ddb_export.pipeline.whole_export import Destination, convert_export
from tests.pipeline.handmade_exports import Writing, change, full_export, incremental_export

ITEMS = [[{"id": {"S": "a"}}], [], [{"id": {"S": "b"}}, {"id": {"S": "c"}}]]
CHANGES = [[change("a", new={})], [change("b", old={})]]
BUCKET = "exports"
PREFIX = "deep/prefix"


@pytest.fixture
def store(aws) -> S3ObjectStore:
    client = aws("s3")
    client.create_bucket(Bucket=BUCKET)
    return S3ObjectStore(client, BUCKET)


def upload(store: S3ObjectStore, root: Path, prefix: str, part_bytes: int | None = None) -> None:
    """Put files into S3 as DynamoDB does: data files as multipart uploads, which gives them their ETag."""
    for path in sorted(each for each in root.rglob("*") if each.is_file()):
        key = f"{prefix}/{path.relative_to(root)}"
        if not path.name.endswith(".gz"):
            store.put(key, path.read_bytes())
            continue
        where = {"Bucket": store.bucket, "Key": key}
        upload_id = store.client.create_multipart_upload(**where)["UploadId"]
        part = store.client.upload_part(**where, UploadId=upload_id, PartNumber=1, Body=path.read_bytes())
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        store.client.complete_multipart_upload(**where, UploadId=upload_id, MultipartUpload=parts)


def verify(store: S3ObjectStore, path: str, level: str = "bytes") -> VerificationReport:
    manifests = read_manifests(store, locate_export(store, path))
    return verify_export(store, manifests, level=VerificationLevel(level))


@pytest.mark.parametrize("level", ["bytes", "manifest"])
@pytest.mark.parametrize("keys_with_prefix", [True, False])
def test_export_in_s3(store, tmp_path, level, keys_with_prefix):
    export = full_export(tmp_path, ITEMS, Writing(prefix=PREFIX, keys_with_prefix=keys_with_prefix))
    upload(store, export.root, PREFIX)
    for path in ("", "deep", f"{PREFIX}/AWSDynamoDB/{export.export_id}/manifest-summary.json"):
        report = verify(store, path, level)
        assert report.findings == ()
        assert (len(report.files), report.bytes) == (3, sum(each.stat().st_size for each in export.data))
        assert {each.etag_agrees for each in report.files} == {True}


@pytest.mark.parametrize("place", [f"/{PREFIX}", f"//{PREFIX}"])
def test_prefix_that_begins_with_a_slash(store, tmp_path, place):
    export = incremental_export(tmp_path, CHANGES, Writing(prefix=f"/{PREFIX}"))
    upload(store, export.root, place.removeprefix("/"))
    path = parse_place(f"s3://{BUCKET}{place}").path
    for each in ("", path, f"{path}/"):
        assert verify(store, each, "manifest").ok
        assert verify(store, each, "bytes").ok


def test_manifest_level_needs_no_permission_to_read_data(store, tmp_path, lab, account):
    export = incremental_export(tmp_path, CHANGES, Writing(prefix=PREFIX))
    upload(store, export.root, PREFIX)
    lab.deny(account, f"s3:GetObject arn:aws:s3:::{BUCKET}/{PREFIX}/AWSDynamoDB/data/*")
    assert verify(store, PREFIX, "manifest").ok
    with pytest.raises(PermissionDeniedError, match=r"s3://exports/.*grant the permission for GetObject"):
        verify(store, PREFIX, "bytes")


@pytest.mark.scenario("F16")
def test_manifest_level_sees_another_etag_and_a_missing_file(store, tmp_path):
    export = incremental_export(tmp_path, CHANGES, Writing(prefix=PREFIX))
    upload(store, export.root, PREFIX)
    keys = [f"{PREFIX}/{path.relative_to(export.root)}" for path in export.data]
    store.put(keys[0], b"something else that is longer than 20 bytes")
    store.delete(keys[1])
    first, second = verify(store, PREFIX, "manifest").findings
    assert (first.file, "ETag" in first.cause) == (f"s3://{BUCKET}/{keys[0]}", True)
    assert (second.file, "no such file" in second.cause) == (f"s3://{BUCKET}/{keys[1]}", True)


def test_object_copied_in_one_piece_keeps_a_comparable_etag(store, tmp_path):
    export = incremental_export(tmp_path, CHANGES)
    for path in (each for each in tmp_path.rglob("*") if each.is_file()):
        store.put(f"copy/{path.relative_to(tmp_path)}", path.read_bytes())
    assert verify(store, "copy", "manifest").ok
    assert len(export.data) == 2


@pytest.mark.scenario("F18")
def test_dropped_connection_is_taken_up_where_it_dropped(store, tmp_path, lab, account):
    import random

    noise = random.Random(1)
    items = [{"id": {"S": str(n)}, "noise": {"S": f"{noise.getrandbits(8000):x}"}} for n in range(800)]
    export = full_export(tmp_path, [items], Writing(prefix=PREFIX))
    assert export.data[0].stat().st_size > 600_000
    upload(store, export.root, PREFIX)
    data = f".*{export.data[0].name}"
    lab.add_fault(
        "drop_connection", account=account, operation="GetObject", after_bytes=300_000, times=2, match={"Key": data}
    )
    lab.clear_calls(account)
    assert verify(store, PREFIX).ok
    gets = [each for each in lab.calls(account, operation="GetObject") if export.data[0].name in json.dumps(each)]
    assert len(gets) >= 2


class TestLakeInS3:
    def test_parts_come_first_and_the_live_file_last(self, store, tmp_path, lab, account):
        export = incremental_export(tmp_path, CHANGES, Writing(prefix=PREFIX))
        upload(store, export.root, PREFIX)
        lab.clear_calls(account)
        result = convert_export(store, locate_export(store, PREFIX), Destination(store, "lake/orders"))
        partition = "lake/orders/changes/dt=2026-01-14/export_window=20260114T1020Z-20260114T1035Z"
        keys = [each.key for each in store.list_objects("lake/")]
        assert keys == [
            f"{partition}/_live.json",
            *(f"{partition}/{result.published.generation}/part-{index:05d}.parquet" for index in (0, 1)),
        ]
        assert store.stat(keys[1]).size == result.published.files[0][2]
        puts = [json.dumps(each) for each in lab.calls(account, operation="PutObject")]
        assert ["_live.json" in each for each in puts] == [False, False, True]

    def test_an_identical_generation_is_left_alone(self, store, tmp_path, lab, account):
        export = incremental_export(tmp_path, CHANGES)
        local = LocalObjectStore("/")
        location = locate_export(local, str(export.root))
        first = convert_export(local, location, Destination(store, ""))
        lab.clear_calls(account)
        assert convert_export(local, location, Destination(store, "")) == first
        assert lab.calls(account, operation="PutObject") == []

    def test_s3_and_disk_get_the_same_bytes(self, store, tmp_path):
        export = full_export(tmp_path / "export", ITEMS)
        local = LocalObjectStore("/")
        location = locate_export(local, str(export.root))
        convert_export(local, location, Destination(store, "lake"))
        result = convert_export(local, location, Destination(local, str(tmp_path / "lake").strip("/")))
        for path, _, _ in result.published.files:
            assert store.read(f"lake/{path}").content == (tmp_path / "lake" / path).read_bytes()

    def test_nothing_is_read_for_a_bucket_that_does_not_exist(self, store, tmp_path, aws):
        export = full_export(tmp_path / "export", ITEMS)
        local = LocalObjectStore("/")
        missing = Destination(S3ObjectStore(aws("s3"), "no-such-bucket"), "lake")
        with pytest.raises(NotReachableError, match=r"s3://no-such-bucket.*NoSuchBucket"):
            convert_export(local, locate_export(local, str(export.root)), missing)
