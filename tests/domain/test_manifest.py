"""Manifests as pure values: tolerant of form, strict about content."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime

import pytest

from ddb_export.domain.export import ExportFormat, ExportType, ExportViewType
from ddb_export.domain.manifest import (
    Finding,
    ManifestFile,
    check_counts,
    check_md5,
    etag_agrees,
    path_below_exports,
    read_files,
    read_summary,
)

INCREMENTAL = (
    '{"version":"2023-08-01","exportArn":"arn:aws:dynamodb:eu-north-1:123456789123:table/test/export/'
    '01768386924000-d339e52d","startTime":"2026-01-14T10:35:24.000Z","endTime":"2026-01-14T10:40:27.622Z",'
    '"tableArn":"arn:aws:dynamodb:eu-north-1:123456789123:table/test","tableId":"cf263806",'
    '"exportFromTime":"2026-01-14T10:20:00.000Z","exportToTime":"2026-01-14T10:35:00.000Z","s3Bucket":"b",'
    '"s3Prefix":null,"s3SseAlgorithm":"AES256","s3SseKmsKeyId":null,'
    '"manifestFilesS3Key":"AWSDynamoDB/01768386924000-d339e52d/manifest-files.json","billedSizeBytes":10000000,'
    '"itemCount":6,"outputFormat":"DYNAMODB_JSON","outputView":"NEW_AND_OLD_IMAGES","exportType":"INCREMENTAL_EXPORT"}'
)
MD5 = "rzAeIrtALbOlNdK5Hh8tgA=="


def changed(**changes: object) -> bytes:
    document = {**json.loads(INCREMENTAL), **changes}
    return json.dumps({name: value for name, value in document.items() if value != "drop"}).encode()


def test_summary_of_an_incremental_export():
    summary, findings = read_summary(INCREMENTAL.encode() + b"\n", "f")
    assert findings == []
    assert summary.export_type is ExportType.INCREMENTAL_EXPORT
    assert summary.export_id == "01768386924000-d339e52d"
    assert summary.from_time == datetime(2026, 1, 14, 10, 20, tzinfo=UTC)
    assert summary.to_time == datetime(2026, 1, 14, 10, 35, tzinfo=UTC)
    assert (summary.item_count, summary.billed_bytes) == (6, 10_000_000)
    assert summary.output_view is ExportViewType.NEW_AND_OLD_IMAGES
    assert summary.output_format is ExportFormat.DYNAMODB_JSON
    assert summary.prefix is None
    description = summary.as_description()
    assert (description.start, description.end) == (summary.from_time, summary.to_time)
    assert description.export_time is None


@pytest.mark.parametrize(
    "content",
    [
        changed(exportType="drop"),
        changed(exportTime="2026-01-14T10:35:24.000Z"),
        changed(unknown={"x": 1}),
        changed(s3Prefix="drop", s3SseAlgorithm="drop", billedSizeBytes="drop", outputFormat="drop"),
        b"\xef\xbb\xbf" + INCREMENTAL.encode(),
        json.dumps(json.loads(INCREMENTAL), indent=4).encode(),
    ],
)
def test_summary_is_read_tolerantly(content):
    summary, findings = read_summary(content, "f")
    assert findings == []
    assert summary.export_type is ExportType.INCREMENTAL_EXPORT


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"exportArn": "drop"}, "exportArn is missing"),
        ({"tableArn": None}, "tableArn is missing"),
        ({"tableId": ""}, "tableId is missing"),
        ({"itemCount": "drop"}, "itemCount is missing"),
        ({"itemCount": -1}, "itemCount is not a count"),
        ({"itemCount": True}, "itemCount is not a count"),
        ({"itemCount": 1.5}, "itemCount is not a count"),
        ({"exportFromTime": "drop"}, "exportFromTime is missing"),
        ({"exportToTime": "2026-01-14T10:35:00"}, "exportToTime is not a time with a zone"),
        ({"exportToTime": 5}, "exportToTime is not a text"),
        ({"exportToTime": "2026-01-14T10:20:00Z"}, "exportToTime is not after exportFromTime"),
        ({"outputView": "OLD_IMAGE"}, "outputView is 'OLD_IMAGE', which this version does not know"),
        ({"outputFormat": "CSV"}, "outputFormat is 'CSV', which this version does not know"),
        ({"exportType": "FULL_EXPORT"}, "exportTime is missing"),
    ],
)
def test_damaged_summary(changes, cause):
    _, findings = read_summary(changed(**changes), "f")
    assert cause in [each.cause for each in findings]
    assert all(each.file == "f" and each.remedy for each in findings)


def test_export_arn_of_another_table():
    _, (finding,) = read_summary(changed(tableArn="arn:aws:dynamodb:eu-north-1:1:table/other"), "f")
    assert finding.cause.endswith("is not an export of tableArn arn:aws:dynamodb:eu-north-1:1:table/other")


def test_view_as_the_prose_of_the_guide_spells_it():
    """The guide says NEW_IMAGES where the API says NEW_IMAGE."""
    summary, findings = read_summary(changed(outputView="NEW_IMAGES"), "f")
    assert (summary and summary.output_view, findings) == (ExportViewType.NEW_IMAGE, [])


@pytest.mark.parametrize("content", [b"", b"nonsense", b"[]", b"\xff", b"3"])
def test_summary_that_is_none(content):
    summary, (finding,) = read_summary(content, "f")
    assert summary is None
    assert finding.cause.startswith("it is not")


def test_files_in_every_form():
    entries = [{"itemCount": n, "md5Checksum": MD5, "etag": '"e-1"', "dataFileS3Key": f"k{n}"} for n in range(3)]
    forms = [
        "\n".join(map(json.dumps, entries)),
        "\n".join(map(json.dumps, entries)) + "\n",
        "\r\n".join(map(json.dumps, entries)),
        "\n\n".join(json.dumps(each, indent=2) for each in entries),
        "".join(map(json.dumps, entries)),
    ]
    for form in forms:
        files, findings = read_files(form.encode(), "f")
        assert findings == []
        assert files == [ManifestFile(n, n, MD5, "e-1", f"k{n}") for n in range(3)]
    assert read_files(b"", "f") == ([], [])


@pytest.mark.parametrize(
    ("entry", "cause"),
    [
        ({"itemCount": 1, "md5Checksum": MD5}, "entry at line 2: dataFileS3Key is missing"),
        ({"md5Checksum": MD5, "dataFileS3Key": "k"}, "entry at line 2: itemCount is missing"),
        ({"itemCount": 1, "dataFileS3Key": "k"}, "entry at line 2: md5Checksum is missing"),
        (
            {"itemCount": 1, "md5Checksum": "abc", "dataFileS3Key": "k"},
            "entry at line 2: md5Checksum is not the base64 of an MD5",
        ),
        ({"itemCount": 1, "md5Checksum": MD5, "dataFileS3Key": "first"}, "it names first 2 times"),
        ([1], "entry at line 2: it is not a JSON object"),
    ],
)
def test_damaged_files(entry, cause):
    first = {"itemCount": 1, "md5Checksum": MD5, "etag": None, "dataFileS3Key": "first"}
    files, findings = read_files(f"{json.dumps(first)}\n{json.dumps(entry)}\n".encode(), "f")
    assert [each.cause for each in findings] == [cause]
    assert files[0] == ManifestFile(0, 1, MD5, None, "first")


def test_counts():
    summary, _ = read_summary(INCREMENTAL.encode(), "f")
    assert summary is not None
    files = [ManifestFile(0, 4, MD5, None, "a"), ManifestFile(1, 2, MD5, None, "b")]
    assert check_counts(summary, files, "f") == []
    (finding,) = check_counts(summary, files[:1], "f")
    assert "4 items in all" in finding.cause
    assert "says 6" in str(finding)


def test_checksums():
    digest = hashlib.md5(b"x").digest()
    for said in (base64.b64encode(digest), base64.b64encode(digest) + b"\n", digest.hex().encode()):
        assert check_md5(b"x", said) == "ok"
    assert check_md5(b"x", None) == "absent"
    for said in (b"", b"\xff", base64.b64encode(b"0" * 16)):
        assert check_md5(b"x", said) == "wrong"


def test_etags():
    file = ManifestFile(0, 1, base64.b64encode(b"0" * 16).decode(), "abc-1", "k")
    assert etag_agrees("abc-1", file)
    assert etag_agrees((b"0" * 16).hex(), file)
    assert not etag_agrees("abc-2", file)


@pytest.mark.parametrize(
    ("key", "prefix", "path"),
    [
        ("AWSDynamoDB/id/data/f", None, "id/data/f"),
        ("AWSDynamoDB/data/f", "", "data/f"),
        ("p/q/AWSDynamoDB/data/f", "p/q", "data/f"),
        ("p/q/AWSDynamoDB/data/f", "p/q/", "data/f"),
        ("/p/AWSDynamoDB/data/f", "/p", "data/f"),
        ("p//AWSDynamoDB/data/f", "p/", "data/f"),
        ("AWSDynamoDB/data/f", "p/q", "data/f"),
        ("p/AWSDynamoDB/data/f", None, "data/f"),
        ("AWSDynamoDB/AWSDynamoDB/data/f", "AWSDynamoDB", "data/f"),
        ("p/data/f", "p", None),
        ("AWSDynamoDB/../secret", None, None),
        ("AWSDynamoDB//f", None, None),
        ("", None, None),
    ],
)
def test_place_of_a_data_file(key, prefix, path):
    assert path_below_exports(key, prefix) == path


def test_finding_as_json():
    assert Finding("f", "c", "r").to_json() == {"file": "f", "cause": "c", "remedy": "r"}
