"""The objects of one native export, as genuine exports of 2024 and 2026 show them: data files and manifests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from local_aws.exports.package import DataFile, data_file, gzipped, manifest_files, md5_base64
from tests.model.table import NetChange

PART_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True)
class RawObject:
    """One object of an export with the ETag that S3 gives it."""

    key: str
    body: bytes
    etag: str | None = None


def full_lines(items: Iterable[dict[str, Any]]) -> list[bytes]:
    """Return the lines of a full export."""
    return [_line({"Item": item}) for item in items]


def incremental_lines(changes: Iterable[NetChange], view: str) -> list[bytes]:
    """Return the lines of an incremental export (genuine order: Metadata, Keys, OldImage, NewImage)."""
    lines = []
    for change in changes:
        record: dict[str, Any] = {
            "Metadata": {"WriteTimestampMicros": {"N": str(micros(change.at))}},
            "Keys": {"id": {"S": change.key}},
        }
        if change.old is not None and view == "NEW_AND_OLD_IMAGES":
            record["OldImage"] = change.old
        if change.new is not None:
            record["NewImage"] = change.new
        lines.append(_line(record))
    return lines


def data_objects(lines: list[bytes], folder: str, name: str) -> list[DataFile]:
    """Return two data files; a table without items has empty ones."""
    halves = (lines[::2], lines[1::2])
    return [
        data_file(f"{folder}{digit * 4}{_base32(name)}.json.gz", gzipped(b"".join(half)), len(half), PART_BYTES)
        for digit, half in zip("ab", halves, strict=True)
    ]


def manifests(description: dict[str, Any], folder: str, files: list[DataFile]) -> list[RawObject]:
    """Return the manifests and their checksum files.

    :param description: AWS's ExportDescription of the COMPLETED export.
    :param folder: key of the export's folder, with a final slash.
    """
    incremental = description.get("IncrementalExportSpecification")
    times: dict[str, Any] = {"exportTime": _millis(description["ExportTime"])} if not incremental else {}
    if incremental:
        times["exportFromTime"] = _millis(incremental["ExportFromTime"])
        times["exportToTime"] = _millis(incremental["ExportToTime"])
        times |= {"outputView": incremental["ExportViewType"], "exportType": "INCREMENTAL_EXPORT"}
    summary = {
        "version": "2023-08-01" if incremental else "2020-06-30",
        "exportArn": description["ExportArn"],
        "startTime": _millis(description["StartTime"]),
        "endTime": _millis(description["EndTime"]),
        "tableArn": description["TableArn"],
        "tableId": description["TableId"],
        **times,
        "s3Bucket": description["S3Bucket"],
        "s3Prefix": description["S3Prefix"],
        "s3SseAlgorithm": description["S3SseAlgorithm"],
        "s3SseKmsKeyId": None,
        "manifestFilesS3Key": f"{folder}manifest-files.json",
        "billedSizeBytes": description["BilledSizeBytes"],
        "itemCount": description["ItemCount"],
        "outputFormat": description["ExportFormat"],
    }
    found = []
    for name, body in (("manifest-files", manifest_files(files)), ("manifest-summary", _line(summary))):
        found.append(RawObject(f"{folder}{name}.json", body))
        found.append(RawObject(f"{folder}{name}.md5", md5_base64(body).encode()))
    return found


def micros(moment: datetime) -> int:
    """Return a moment in microseconds since 1970, without a float on the way."""
    whole = int(moment.replace(microsecond=0).timestamp())
    return whole * 1_000_000 + moment.microsecond


def _base32(name: str) -> str:
    digits = "abcdefghijklmnopqrstuvwxyz234567"
    return "".join(digits[byte % 32] for byte in hashlib.sha256(name.encode()).digest())[:22]


def _millis(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def _line(document: Any) -> bytes:
    return (json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n").encode()
