"""Export files and manifests against a genuine export and the facts known of genuine ones."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

GENUINE = Path(__file__).parents[1] / "fixtures" / "real-full-export" / "AWSDynamoDB"
SUMMARY = next(GENUINE.glob("*/manifest-summary.json")).read_bytes()
FILES = next(GENUINE.glob("*/manifest-files.json")).read_bytes()
DATA = next(GENUINE.glob("*/data/*.json.gz")).read_bytes()
INCREMENTAL_KEYS = [
    "version",
    "exportArn",
    "startTime",
    "endTime",
    "tableArn",
    "tableId",
    "exportFromTime",
    "exportToTime",
    "s3Bucket",
    "s3Prefix",
    "s3SseAlgorithm",
    "s3SseKmsKeyId",
    "manifestFilesS3Key",
    "billedSizeBytes",
    "itemCount",
    "outputFormat",
    "outputView",
    "exportType",
]


def shape(text: str) -> str:
    """``text`` with the digits, hex digits and letters of identifiers made equal, to compare forms."""
    return re.sub(r"[a-z0-9]", "x", text.lower())


def md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data).digest()).decode()


def genuine_items() -> list[dict[str, Any]]:
    return [json.loads(line)["Item"] for line in gzip.decompress(DATA).decode().splitlines()]


@pytest.fixture
def lake(exporting):
    """A table with the genuine export's items (under this table's keys), some changes after, and time to export."""
    writes = [
        exporting.write(5, "PutItem", item["id"]["S"], **{name: value for name, value in item.items() if name != "id"})
        for item in genuine_items()
    ]
    exporting.lay_down(*writes, exporting.write(30, "PutItem", "later", n={"N": "1"}), until=60)
    return exporting


def test_full_export_looks_like_the_genuine_one(lake):
    export = lake.full(20, S3Prefix="dynamodb-export")
    genuine = json.loads(SUMMARY)
    raw = export.objects[export.folder + "manifest-summary.json"]
    assert list(export.summary) == list(genuine)
    assert raw.endswith(b"}\n")
    assert raw.count(b"\n") == SUMMARY.count(b"\n") == 1
    for name in ("version", "s3Prefix", "s3SseAlgorithm", "s3SseKmsKeyId", "itemCount", "outputFormat"):
        assert export.summary[name] == genuine[name]
    for name in ("startTime", "endTime", "exportTime", "tableId", "manifestFilesS3Key"):
        assert shape(export.summary[name]) == shape(genuine[name])
    assert [list(file) for file in export.files] == [list(json.loads(FILES))] * len(export.files)
    assert shape(export.files[0]["dataFileS3Key"]) == shape(json.loads(FILES)["dataFileS3Key"])
    assert export.objects[export.folder + "manifest-files.json"].endswith(b"}\n")
    items = {record["Item"].pop("pk")["S"]: record["Item"] for record in export.records}
    for item in genuine_items():
        assert items[item.pop("id")["S"]] == {**item, "sk": {"N": "0"}}


def test_checksums_and_etags_follow_the_rules_of_the_genuine_export(lake):
    genuine = json.loads(FILES)
    digest = hashlib.md5(DATA).digest()
    assert genuine["md5Checksum"] == md5(DATA)
    assert genuine["etag"] == hashlib.md5(digest).hexdigest() + "-1"
    export = lake.full(20)
    for file in export.files:
        body = export.objects[file["dataFileS3Key"]]
        assert file["md5Checksum"] == md5(body)
        assert file["etag"] == hashlib.md5(hashlib.md5(body).digest()).hexdigest() + "-1"
        assert lake.s3.head_object(Bucket=lake.bucket, Key=file["dataFileS3Key"])["ETag"] == f'"{file["etag"]}"'
        assert body[:10] == DATA[:10]
        assert len(gzip.decompress(body).decode().splitlines()) == file["itemCount"]
    for name in ("manifest-summary", "manifest-files"):
        assert export.objects[f"{export.folder}{name}.md5"].decode() == md5(
            export.objects[f"{export.folder}{name}.json"]
        )


def test_objects_are_written_in_the_order_of_aws(lake):
    export = lake.full(20)
    listed = lake.s3.list_objects_v2(Bucket=lake.bucket, Prefix=export.folder)["Contents"]
    written = [
        entry["Key"].removeprefix(export.folder) for entry in sorted(listed, key=lambda entry: entry["LastModified"])
    ]
    assert set(written[-4:]) == {
        "manifest-files.json",
        "manifest-files.md5",
        "manifest-summary.json",
        "manifest-summary.md5",
    }
    assert "_started" in written[:-4]
    assert export.objects[export.folder + "_started"] == b""


def test_empty_partitions_are_the_twenty_bytes_that_aws_writes(lake):
    lake.lab.settings(lake.account, data_files=40)
    export = lake.full(20)
    empty = [file for file in export.files if file["itemCount"] == 0]
    assert len(export.files) == 40
    assert empty
    assert {file["md5Checksum"] for file in empty} == {"FjvgqIxwymKf1RbbqtrZag=="}
    assert {file["etag"] for file in empty} == {"7deb4078f238dd87d6af0538152c04e9-1"}
    assert {len(export.objects[file["dataFileS3Key"]]) for file in empty} == {20}


@pytest.mark.scenario("F14")
def test_incrementals_share_one_data_folder(lake):
    first, second = lake.window(0, 20, S3Prefix="a/b/"), lake.window(20, 40, S3Prefix="a/b/")
    assert list(first.summary) == INCREMENTAL_KEYS
    assert first.summary["version"] == "2023-08-01"
    assert first.summary["s3Prefix"] == "a/b/"
    assert first.summary["startTime"].endswith(".000Z")
    folders = {file["dataFileS3Key"].rpartition("/")[0] for export in (first, second) for file in export.files}
    assert folders == {"a/b/AWSDynamoDB/data"}
    assert re.fullmatch(r"a/b/AWSDynamoDB/data/[a-z2-7]{26}\.json\.gz", first.files[0]["dataFileS3Key"])
    assert first.folder == f"a/b/AWSDynamoDB/{first.description['ExportArn'].rpartition('/')[2]}/"
    assert re.fullmatch(r"\d{11}000-[0-9a-f]{8}", first.description["ExportArn"].rpartition("/")[2])


@pytest.mark.scenario("F17")
def test_window_without_changes_is_completed_and_bills_the_minimum(lake):
    export = lake.window(40, 55)
    assert export.records == []
    assert export.description["ItemCount"] == export.summary["itemCount"] == 0
    assert export.description["BilledSizeBytes"] == export.summary["billedSizeBytes"] == 10_000_000
    assert len(export.files) == 4
    assert lake.full(20).description["BilledSizeBytes"] == 0


def test_records_of_both_views(exporting):
    exporting.lay_down(
        exporting.write(1, "PutItem", "kept", v={"S": "old"}),
        exporting.write(1, "PutItem", "gone", v={"S": "old"}),
        exporting.write(1, "PutItem", "replaced", v={"S": "old"}),
        exporting.write(30, "PutItem", "new", v={"S": "1"}),
        exporting.write(31, "PutItem", "kept", v={"S": "middle"}),
        exporting.write(32, "PutItem", "kept", v={"S": "last"}),
        exporting.write(33, "DeleteItem", "gone"),
        exporting.write(34, "PutItem", "brief", v={"S": "1"}),
        exporting.write(35, "DeleteItem", "brief"),
        exporting.write(36, "DeleteItem", "replaced"),
        exporting.write(37, "PutItem", "replaced", v={"S": "again"}),
        until=60,
    )
    both = {record["Keys"]["pk"]["S"]: record for record in exporting.window(20, 40).records}
    assert both.keys() == {"new", "kept", "gone", "replaced"}
    assert list(both["kept"]) == ["Metadata", "Keys", "OldImage", "NewImage"]
    assert both["kept"]["OldImage"]["v"] == {"S": "old"}
    assert both["kept"]["NewImage"]["v"] == {"S": "last"}
    assert both["kept"]["Keys"] == {"pk": {"S": "kept"}, "sk": {"N": "0"}}
    assert list(both["new"]) == ["Metadata", "Keys", "NewImage"]
    assert list(both["gone"]) == ["Metadata", "Keys", "OldImage"]
    assert both["replaced"]["OldImage"]["v"] == {"S": "old"}
    assert both["replaced"]["NewImage"]["v"] == {"S": "again"}
    micros = int(exporting.lab.clock(exporting.account).timestamp() - 28 * 60) // 60 * 60 * 1_000_000
    assert both["kept"]["Metadata"] == {"WriteTimestampMicros": {"N": str(micros)}}
    new = {record["Keys"]["pk"]["S"]: list(record) for record in exporting.window(20, 40, "NEW_IMAGE").records}
    assert new["kept"] == new["new"] == ["Metadata", "Keys", "NewImage"]
    assert new["gone"] == ["Metadata", "Keys"]


def test_window_takes_its_start_and_leaves_its_end(exporting):
    exporting.lay_down(*(exporting.write(minute, "PutItem", f"at{minute}") for minute in (19, 20, 39, 40)), until=60)
    assert {record["Keys"]["pk"]["S"] for record in exporting.window(20, 40).records} == {"at20", "at39"}
    assert {record["Item"]["pk"]["S"] for record in exporting.full(20).records} == {"at19"}


def test_switches_turn_what_is_not_known(lake):
    lab, account = lake.lab, lake.account
    lake.lab.write_history(
        account,
        [
            {
                **lake.write(61, "PutItem", "big"),
                "request": {
                    "TableName": lake.table,
                    "Item": {"pk": {"S": "big"}, "sk": {"N": "0"}, "n": {"N": "1E+120"}, "ns": {"NS": ["5", "1E+100"]}},
                },
            }
        ],
    )
    lab.set_clock("2026-03-01T02:00:00Z", account)
    plain = {record["Keys"]["pk"]["S"]: record for record in lake.window(50, 70).records}["big"]
    assert plain["NewImage"]["n"] == {"N": "1" + "0" * 120}
    lab.settings(
        account,
        numbers_with_exponents=True,
        write_timestamp_bare_string=True,
        checksum_suffix="checksum",
        manifest_key_includes_prefix=False,
    )
    asked = lake.request_window(50, 70, S3Prefix="p")
    description = lake.wait(asked["ExportArn"])
    export_id = asked["ExportArn"].rpartition("/")[2]
    assert description["ExportManifest"] == f"AWSDynamoDB/{export_id}/manifest-summary.json"
    objects = lake.objects()
    assert f"p/AWSDynamoDB/{export_id}/manifest-summary.checksum" in objects
    assert f"p/AWSDynamoDB/{export_id}/manifest-summary.md5" not in objects
    records = [
        line
        for key, body in objects.items()
        if key.startswith("p/AWSDynamoDB/data/")
        for line in gzip.decompress(body).splitlines()
    ]
    (record,) = map(json.loads, records)
    assert isinstance(record["Metadata"]["WriteTimestampMicros"], str)
    assert record["NewImage"]["n"] == {"N": "1E+120"}
    assert sorted(record["NewImage"]["ns"]["NS"]) == ["1E+100", "5"]
    lab.settings(account, full_summary_has_export_type=True, checksum_suffix="none", manifest_key_includes_prefix=True)
    export = lake.full(20, S3Prefix="q")
    assert export.summary["exportType"] == "FULL_EXPORT"
    assert not [key for key in export.objects if key.startswith("q/") and key.endswith((".md5", ".checksum"))]


def test_unchanged_items_are_written_or_not(exporting):
    exporting.lay_down(
        exporting.write(1, "PutItem", "a", v={"S": "1"}),
        exporting.write(30, "PutItem", "a", v={"S": "2"}),
        exporting.write(31, "PutItem", "a", v={"S": "1"}),
        until=60,
    )
    assert len(exporting.window(20, 40).records) == 1
    exporting.lab.settings(exporting.account, emit_unchanged_items=False)
    assert exporting.window(20, 40).records == []


def test_several_parts_give_the_etag_of_several_parts(lake):
    lake.lab.settings(lake.account, data_files=1, part_bytes=5 * 1024 * 1024)
    noise = hashlib.shake_256(b"noise").hexdigest(6 * 1024 * 1024)
    step = 350_000
    pieces = [noise[start : start + step] for start in range(0, len(noise), step)]
    writes = [lake.write(61, "PutItem", f"noise{number}", s={"S": piece}) for number, piece in enumerate(pieces)]
    lake.lay_down(*writes, until=200)
    export = lake.full(70)
    (file,) = export.files
    assert file["etag"].endswith("-2")
    assert file["md5Checksum"] == md5(export.objects[file["dataFileS3Key"]])
    assert lake.s3.head_object(Bucket=lake.bucket, Key=file["dataFileS3Key"])["ETag"] == f'"{file["etag"]}"'


def test_ion_lines(exporting):
    values: dict[str, Any] = {
        "s": {"S": 'quote " and é'},
        "n": {"N": "103"},
        "d": {"N": "1.5"},
        "b": {"B": "aGVsbG8="},
        "t": {"BOOL": True},
        "z": {"NULL": True},
        "ss": {"SS": ["a", "b"]},
        "l": {"L": [{"N": "1"}, {"M": {"odd name": {"S": "x"}}}]},
    }
    exporting.lay_down(exporting.write(30, "PutItem", "a", **values), until=60)
    exporting.lab.settings(exporting.account, data_files=1)
    asked = exporting.request_window(20, 40, ExportFormat="ION")
    assert exporting.wait(asked["ExportArn"])["ExportStatus"] == "COMPLETED"
    (body,) = [gzip.decompress(data) for key, data in exporting.objects().items() if key.endswith(".ion.gz")]
    assert body.decode() == (
        '$ion_1_0 {Record:{Keys:{pk:"a",sk:0.},Metadata:{WriteTimestampMicros:1772325000000000.},'
        'NewImage:{pk:"a",sk:0.,s:"quote \\" and é",n:103.,d:1.5,b:{{aGVsbG8=}},t:true,z:null,'
        'ss:$dynamodb_SS::["a","b"],l:[1.,{\'odd name\':"x"}]}}}\n'
    )


def test_filtered_export(exporting):
    exporting.lay_down(
        exporting.write(30, "PutItem", "a", v={"N": "1"}, w={"S": "x"}),
        exporting.write(30, "PutItem", "b", v={"N": "2"}, w={"S": "y"}),
        until=60,
    )
    chosen = {
        "FilterExpression": "v > :one",
        "ProjectionExpression": "v",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }
    export = exporting.window(20, 40, FilterSpecification=chosen)
    assert [record["NewImage"] for record in export.records] == [
        {"pk": {"S": "b"}, "sk": {"N": "0"}, "v": {"N": "2"}},
    ]
