"""Verification of exports on disk: what holds is found to hold, and each damage is named."""

from __future__ import annotations

import gzip
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ddb_export.aws.object_store import LocalObjectStore
from ddb_export.domain.export import ExportDescription, ExportRequest, ExportStatus, ExportType, ExportViewType
from ddb_export.domain.window import Window
from ddb_export.exceptions import NotReachableError, UsageError, VerificationError
from ddb_export.pipeline.location import ExportLocation
from ddb_export.pipeline.verification import (
    VerificationLevel,
    VerificationReport,
    locate_export,
    read_manifests,
    verify_export,
    verify_files,
)
from tests.pipeline.handmade_exports import (
    GENUINE,
    GENUINE_ARN,
    TABLE_ARN,
    TABLE_ID,
    HandmadeExport,
    Writing,
    change,
    full_export,
    genuine,
    incremental_export,
)

ITEMS = [[{"id": {"S": "a"}}, {"id": {"S": "b"}}], [], [{"id": {"S": "c"}}]]
CHANGES = [[change("a", new={"n": {"N": "1"}})], [], [change("b", old={"n": {"N": "2"}}), change("c", new={})]]


def verify(path: Path, level: str = "bytes", **options: Any) -> VerificationReport:
    store = LocalObjectStore("/")
    manifests = read_manifests(store, locate_export(store, str(path)))
    return verify_export(store, manifests, level=VerificationLevel(level), **options)


def findings(path: Path, level: str = "bytes", **options: Any) -> list[tuple[str, str]]:
    report = verify(path, level, **options)
    assert report.ok == (not report.findings)
    return [(Path(each.file).name, each.cause) for each in report.findings]


def test_genuine_export():
    assert verify(GENUINE).to_json() == {
        "ok": True,
        "export_arn": GENUINE_ARN,
        "export_type": "FULL_EXPORT",
        "table_arn": "arn:aws:dynamodb:eu-central-1:164221962816:table/S3ExportTest",
        "table_id": "11991185-e7ab-4da5-8bab-03f0db0b7bfd",
        "export_time": "2024-05-14T11:14:20.608Z",
        "from": None,
        "to": None,
        "files": 1,
        "items": 3,
        "bytes": 253,
        "level": "bytes",
        "manifest_md5": "absent",
        "errors": [],
    }


@pytest.mark.parametrize("level", ["bytes", "manifest"])
def test_incremental_export(tmp_path, level):
    export = incremental_export(tmp_path, CHANGES)
    report = verify(export.summary, level).to_json()
    assert report["ok"]
    assert report["export_type"] == "INCREMENTAL_EXPORT"
    assert (report["from"], report["to"]) == ("2026-01-14T10:20:00Z", "2026-01-14T10:35:00Z")
    assert report["export_time"] is None
    assert (report["files"], report["items"], report["level"], report["manifest_md5"]) == (3, 3, level, "ok")
    assert report["bytes"] == sum(each.stat().st_size for each in export.data)


@pytest.mark.parametrize("make", [full_export, incremental_export])
@pytest.mark.parametrize(
    ("writing", "md5"),
    [
        (Writing(prefix="exports/2026"), "ok"),
        (Writing(prefix="exports/2026", keys_with_prefix=False), "ok"),
        (Writing(prefix="a/AWSDynamoDB/b"), "ok"),
        (Writing(prefix="exports/"), "ok"),
        pytest.param(Writing(checksum_suffix=".checksum"), "ok", marks=pytest.mark.scenario("F15")),
        pytest.param(Writing(checksum_suffix=None), "absent", marks=pytest.mark.scenario("F15")),
        (Writing(names_export_type=True), "ok"),
        (Writing(names_export_type=False), "ok"),
        (Writing(names_export_time=True), "ok"),
        (Writing(indent=2), "ok"),
        (Writing(final_newline=False), "ok"),
        (Writing(unknown_keys=True), "ok"),
        (Writing(empty_as_no_bytes=True), "ok"),
    ],
)
def test_every_reading_of_what_sources_disagree_on(tmp_path, make, writing, md5):
    export = make(tmp_path, ITEMS if make is full_export else CHANGES, writing)
    for level in ("bytes", "manifest"):
        report = verify(export.root, level)
        assert report.findings == ()
        assert report.manifests.md5 == md5
        incremental = report.manifests.summary.export_type is ExportType.INCREMENTAL_EXPORT
        assert incremental == (make is incremental_export)


@pytest.mark.scenario("F17")
@pytest.mark.parametrize("files", [[], [[]], [[], []]])
def test_export_without_items(tmp_path, files):
    assert verify(incremental_export(tmp_path, files).root).to_json()["items"] == 0


@pytest.mark.scenario("F14")
def test_data_of_other_exports_in_the_shared_folder_does_not_matter(tmp_path):
    export = incremental_export(tmp_path, CHANGES)
    (tmp_path / "AWSDynamoDB/data/zzzzzzzzzzzzzzzzzzzzzzzzzz.json.gz").write_bytes(b"of another export")
    assert verify(export.root).ok


def test_export_moved_to_another_folder(tmp_path):
    export = full_export(tmp_path / "old", ITEMS, Writing(prefix="deep/prefix"))
    moved = tmp_path / "new" / "place"
    shutil.copytree(export.root, moved)
    shutil.rmtree(export.root)
    assert verify(tmp_path / "new").ok


def test_downloaded_folder_without_its_parents(tmp_path):
    export = full_export(tmp_path / "bucket", ITEMS)
    shutil.copytree(export.folder, tmp_path / "download")
    assert verify(tmp_path / "download").ok


class TestDamage:
    @pytest.fixture(params=[full_export, incremental_export], ids=["full", "incremental"])
    def export(self, request, tmp_path) -> HandmadeExport:
        return request.param(tmp_path, ITEMS if request.param is full_export else CHANGES)

    @pytest.mark.scenario("F16")
    @pytest.mark.parametrize("place", [0, 12, -6, -1])
    def test_one_changed_byte(self, export, place):
        content = bytearray(export.data[2].read_bytes())
        content[place] ^= 0x20
        export.data[2].write_bytes(content)
        ((file, cause),) = findings(export.root)
        assert file == export.data[2].name
        assert "MD5" in cause

    @pytest.mark.scenario("F16")
    def test_truncated_file(self, export):
        export.data[0].write_bytes(export.data[0].read_bytes()[:-4])
        ((file, cause),) = findings(export.root)
        assert (file, "MD5" in cause) == (export.data[0].name, True)

    @pytest.mark.scenario("F16")
    @pytest.mark.parametrize("level", ["bytes", "manifest"])
    def test_missing_file(self, export, level):
        export.data[2].unlink()
        ((file, cause),) = findings(export.root, level)
        assert (file, "no such file" in cause) == (export.data[2].name, True)

    def test_file_that_is_no_gzip_although_the_manifest_agrees(self, export):
        content = gzip.compress(b'{"Item":{}}\n')[:-5]
        export.data[2].write_bytes(content)
        import base64
        import hashlib

        export.change_files(2, md5Checksum=base64.b64encode(hashlib.md5(content).digest()).decode())
        assert any("damaged" in cause for _, cause in findings(export.root))

    @pytest.mark.scenario("F16")
    def test_counts_that_do_not_add_up(self, export):
        export.change_summary(itemCount=4)
        assert findings(export.root) == [
            ("manifest-files.json", "its files hold 3 items in all, but manifest-summary.json says 4")
        ]

    def test_count_of_one_file(self, export):
        counts = [len(gzip.decompress(each.read_bytes()).splitlines()) for each in export.data]
        export.change_files(0, itemCount=counts[0] + 1)
        export.change_files(2, itemCount=counts[2] - 1)
        names = {file for file, _ in findings(export.root)}
        assert names == {export.data[0].name, export.data[2].name}
        assert findings(export.root, "manifest") == []

    @pytest.mark.parametrize("manifest", ["summary", "files"])
    @pytest.mark.parametrize("suffix", [".md5", ".checksum"])
    def test_wrong_md5_of_a_manifest(self, export, manifest, suffix):
        path = getattr(export, manifest)
        path.with_suffix(".md5").unlink()
        path.with_suffix(suffix).write_text("FjvgqIxwymKf1RbbqtrZag==")
        assert findings(export.root) == [(path.name, "its MD5 is not the one in its checksum file")]
        assert verify(export.root).manifests.md5 == "wrong"

    @pytest.mark.parametrize("manifest", ["summary", "files"])
    @pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b'"x"', b"{}", b"null", b'{"itemCount": "x"}'])
    def test_manifest_that_is_none(self, export, manifest, content):
        path = getattr(export, manifest)
        path.write_bytes(content)
        path.with_suffix(".md5").unlink()
        assert path.name in {file for file, _ in findings(export.root)} or (manifest, content) == ("files", b"")
        assert not verify(export.root).ok

    @pytest.mark.parametrize("manifest", ["summary", "files"])
    def test_missing_manifest(self, export, manifest):
        path = getattr(export, manifest)
        path.unlink()
        assert (path.name, "there is no such file") in findings(export.root)
        assert (path.name, "there is no such file") in findings(export.summary)

    @pytest.mark.parametrize("key", ["elsewhere/x.json.gz", "AWSDynamoDB/../../../etc/passwd", "/", "AWSDynamoDB/"])
    def test_key_that_leads_elsewhere(self, export, key):
        export.change_files(0, dataFileS3Key=key)
        assert [cause for file, cause in findings(export.root)] == [
            "the manifest names a data file that does not lie below its export's folder"
        ]

    def test_file_named_twice(self, export):
        lines = export.files.read_text().splitlines()
        export.files.write_text("\n".join([*lines, lines[0]]))
        assert any("2 times" in cause for _, cause in findings(export.root))

    def test_manifest_level_sees_a_file_that_is_too_small(self, export):
        export.data[2].write_bytes(b"")
        assert [file for file, _ in findings(export.root, "manifest")] == [export.data[2].name]

    def test_error_for_a_task(self, export):
        for path in export.data[::2]:
            path.unlink()
        with pytest.raises(VerificationError, match=r"no such file \(and 1 more findings\)\. Remedy: "):
            verify(export.root).require_ok()


class TestExpectation:
    request = ExportRequest(
        TABLE_ARN,
        "exports",
        "p",
        window=Window(datetime(2026, 1, 14, 10, 20, tzinfo=UTC), datetime(2026, 1, 14, 10, 35, tzinfo=UTC)),
    )

    @pytest.fixture
    def export(self, tmp_path) -> HandmadeExport:
        return incremental_export(tmp_path, CHANGES, Writing(prefix="p"))

    def description(self, export: HandmadeExport) -> ExportDescription:
        return ExportDescription(
            export.arn,
            ExportStatus.COMPLETED,
            table_arn=TABLE_ARN,
            table_id=TABLE_ID,
            export_type=ExportType.INCREMENTAL_EXPORT,
            start=self.request.window.start,
            end=self.request.window.end,
            view=ExportViewType.NEW_AND_OLD_IMAGES,
            bucket="exports",
            s3_prefix="p",
            item_count=3,
            billed_bytes=10000000,
        )

    def test_what_was_asked(self, export):
        description = self.description(export)
        assert verify(export.root, expected=self.request, table_id=TABLE_ID, description=description).ok

    @pytest.mark.parametrize(
        ("changes", "point"),
        [
            ({"tableArn": TABLE_ARN + "2", "exportArn": f"{TABLE_ARN}2/export/01768386924000-d339e52d"}, "TableArn"),
            ({"tableId": "another"}, "TableId"),
            ({"exportFromTime": "2026-01-14T10:19:00.000Z"}, "ExportFromTime"),
            ({"exportToTime": "2026-01-14T10:36:00.000Z"}, "ExportToTime"),
            ({"outputView": "NEW_IMAGE"}, "ExportViewType"),
            ({"outputFormat": "ION"}, "ExportFormat"),
            ({"s3Bucket": "other"}, "S3Bucket"),
            ({"s3Prefix": "q"}, "S3Prefix"),
        ],
    )
    def test_each_point_is_compared(self, export, changes, point):
        export.change_summary(**changes)
        causes = [cause for _, cause in findings(export.root, expected=self.request, table_id=TABLE_ID)]
        assert len(causes) == 1
        assert causes[0].startswith(point)
        assert findings(export.root, description=self.description(export))

    def test_export_that_is_not_completed(self, export):
        description = ExportDescription(export.arn, ExportStatus.IN_PROGRESS)
        assert any("IN_PROGRESS" in cause for _, cause in findings(export.root, description=description))


class TestLocation:
    def test_by_every_name(self, tmp_path):
        genuine(tmp_path / "a" / "b")
        folder = tmp_path / "a/b/AWSDynamoDB/01715685260608-c488b4e1"
        for path in (tmp_path, tmp_path / "a/b", folder.parent, folder, folder / "manifest-summary.json"):
            assert verify(path).ok

    def test_several(self, tmp_path):
        genuine(tmp_path / "a")
        incremental_export(tmp_path / "b", CHANGES)
        with pytest.raises(UsageError, match=r"2 exports: .*c488b4e1, .*d339e52d.*Remedy: name the manifest-summary"):
            verify(tmp_path)

    @pytest.mark.scenario("F14")
    def test_export_in_progress_beside_a_finished_one(self, tmp_path):
        export = full_export(tmp_path, ITEMS)
        other = tmp_path / "AWSDynamoDB" / "01768386999999-00000000"
        other.mkdir()
        (other / "_started").touch()
        with pytest.raises(UsageError, match="2 exports"):
            verify(tmp_path)
        assert verify(export.folder).ok
        assert not verify(other).ok

    def test_none(self, tmp_path):
        (tmp_path / "x").mkdir()
        with pytest.raises(UsageError, match=r"no manifest-summary\.json"):
            verify(tmp_path)

    def test_nothing(self, tmp_path):
        for name in ("nowhere", "nowhere/manifest-summary.json"):
            with pytest.raises(NotReachableError, match="nowhere"):
                verify(tmp_path / name)

    def test_another_file(self, tmp_path):
        with pytest.raises(UsageError, match="it is a file"):
            verify(full_export(tmp_path, ITEMS).files)


def test_files_shared_among_tasks(tmp_path):
    export = full_export(tmp_path, [[{"id": {"S": str(n)}}] for n in range(20)])
    store = LocalObjectStore("/")
    manifests = read_manifests(store, locate_export(store, str(export.root)))
    seen = [each.index for part in ([3, 1], [0]) for each in verify_files(store, manifests, indexes=part)]
    assert seen == [1, 3, 0]
    assert len(verify_files(store, manifests)) == 20


def test_empty_folder_is_no_export_and_not_unreachable(tmp_path):
    """An empty folder is there: a person named the wrong one (exit 2), nothing is out of reach (exit 3)."""
    with pytest.raises(UsageError, match="lies in it"):
        locate_export(LocalObjectStore("/"), str(tmp_path))


@pytest.mark.scenario("F14")
def test_data_file_in_the_folder_of_another_export_is_refused(tmp_path):
    """A manifest that borrows another export's file, with the right MD5 and count, does not verify."""
    export = full_export(tmp_path / "export", [[{"id": {"S": "a"}}]])
    other = "01715685260608-0badc0de"
    listing = next(export.root.rglob("manifest-files.json"))
    document = json.loads(listing.read_text())
    own = document["dataFileS3Key"].split("/data/")[0].rsplit("/", 1)[1]
    data = next(export.root.rglob("*.json.gz"))
    stolen = data.parents[2] / other / "data" / data.name
    stolen.parent.mkdir(parents=True)
    stolen.write_bytes(data.read_bytes())
    document["dataFileS3Key"] = document["dataFileS3Key"].replace(own, other)
    listing.write_text(json.dumps(document) + "\n")
    for checksum in listing.parent.glob("manifest-files.m*5"):
        checksum.unlink()
    store = LocalObjectStore("/")
    location = ExportLocation(str(listing.parent).strip("/"))
    report = verify_export(store, read_manifests(store, location))
    assert [finding.cause for finding in report.findings] == [
        "the manifest names a data file that does not lie below its export's folder"
    ]
