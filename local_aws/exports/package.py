"""The objects of one export, as bytes and in the order in which AWS writes them: data files and manifests.

Sources: genuine exports of 2024 and 2026 (keys, their order, final newlines, md5 and ETag rules, the empty file).
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from local_aws.clock import format_millis
from local_aws.exports.contents import Record, ion_line, json_line, partition_of
from local_aws.settings import Settings

FILE_NAME_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
MINIMUM_INCREMENTAL_BILL = 10_000_000
# Java's GZIPOutputStream: no time, no extra flags, unknown operating system. Its empty file has 20 bytes.
GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


@dataclass
class DataFile:
    """One data file: what the manifest says of it, and its bytes."""

    key: str
    body: bytes
    item_count: int
    md5: str
    etag: str

    def manifest_line(self) -> dict[str, Any]:
        """Its line in manifest-files.json."""
        return {
            "itemCount": self.item_count,
            "md5Checksum": self.md5,
            "etag": self.etag,
            "dataFileS3Key": self.key,
        }


def gzipped(data: bytes) -> bytes:
    """``data`` as the gzip file that DynamoDB writes."""
    deflate = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = deflate.compress(data) + deflate.flush()
    return GZIP_HEADER + body + struct.pack("<LL", zlib.crc32(data), len(data) & 0xFFFFFFFF)


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def md5_base64(data: bytes) -> str:
    """Base64 of the MD5 of ``data``, as manifests and ``.md5`` files hold it."""
    return base64.b64encode(_md5(data)).decode()


def parts_of(body: bytes, part_bytes: int) -> list[bytes]:
    """``body`` in the parts that it is uploaded in (at least one)."""
    return [body[start : start + part_bytes] for start in range(0, max(len(body), 1), part_bytes)]


def multipart_etag(body: bytes, part_bytes: int) -> str:
    """The ETag of a multipart upload: MD5 of the parts' MD5s, a hyphen, and the number of parts."""
    digests = [_md5(part) for part in parts_of(body, part_bytes)]
    return f"{_md5(b''.join(digests)).hex()}-{len(digests)}"


def new_file_name() -> str:
    """A data file's name without its suffix: 26 characters of base32."""
    return "".join(secrets.choice(FILE_NAME_ALPHABET) for _ in range(26))


def data_file(key: str, body: bytes, item_count: int, part_bytes: int) -> DataFile:
    """A data file with its md5 and ETag."""
    return DataFile(key, body, item_count, md5_base64(body), multipart_etag(body, part_bytes))


def data_files(
    records: Iterable[Record], folder: str, export_format: str, view: str, settings: Settings
) -> tuple[list[DataFile], int]:
    """The data files of an export below ``folder`` (one per partition, some perhaps empty) and their uncompressed size."""
    write_line = ion_line if export_format == "ION" else json_line
    suffix = "ion.gz" if export_format == "ION" else "json.gz"
    lines: list[list[str]] = [[] for _ in range(settings.data_files)]
    for record in records:
        lines[partition_of(record, settings.data_files)].append(write_line(record, view, settings))
    files, size = [], 0
    for partition in lines:
        text = "".join(partition).encode()
        size += len(text)
        key = f"{folder}{new_file_name()}.{suffix}"
        files.append(data_file(key, gzipped(text), len(partition), settings.part_bytes))
    return files, size


def manifest_files(files: Iterable[DataFile]) -> bytes:
    """manifest-files.json: one line per data file, with a final newline."""
    return "".join(_compact(file.manifest_line()) + "\n" for file in files).encode()


def manifest_summary(description: dict[str, Any], end_time: int, settings: Settings) -> bytes:
    """manifest-summary.json of the finished export ``description`` (the lab's record, times in microseconds)."""
    incremental = description["ExportType"] == "INCREMENTAL_EXPORT"
    summary: dict[str, Any] = {
        "version": "2023-08-01" if incremental else "2020-06-30",
        "exportArn": description["ExportArn"],
        "startTime": format_millis(description["StartTime"]),
        "endTime": format_millis(end_time),
        "tableArn": description["TableArn"],
        "tableId": description["TableId"],
    }
    if incremental:
        summary["exportFromTime"] = format_millis(description["ExportFromTime"])
        summary["exportToTime"] = format_millis(description["ExportToTime"])
    else:
        summary["exportTime"] = format_millis(description["ExportTime"])
    summary |= {
        "s3Bucket": description["S3Bucket"],
        "s3Prefix": description["S3Prefix"],
        "s3SseAlgorithm": description["S3SseAlgorithm"],
        "s3SseKmsKeyId": description["S3SseKmsKeyId"],
        "manifestFilesS3Key": description["Folder"] + "manifest-files.json",
        "billedSizeBytes": description["BilledSizeBytes"],
        "itemCount": description["ItemCount"],
        "outputFormat": description["ExportFormat"],
    }
    if incremental:
        summary |= {"outputView": description["ExportViewType"], "exportType": "INCREMENTAL_EXPORT"}
    elif settings.full_summary_has_export_type:
        summary["exportType"] = "FULL_EXPORT"
    if settings.filtered_summary_has_filter and description["FilterSpecification"]:
        summary["filterSpecification"] = description["FilterSpecification"]
    return (_compact(summary) + "\n").encode()


def billed_bytes(size: int, *, incremental: bool) -> int:
    """What an export of ``size`` uncompressed bytes bills: incrementals at least 10,000,000 bytes.

    Genuine exports: a tiny full export bills 0 or a few bytes, a tiny or empty incremental 10,000,000.
    """
    if incremental:
        return max(size, MINIMUM_INCREMENTAL_BILL)
    # ASSUMPTION: a table that AWS has not measured yet bills 0; from 1,000,000 bytes on the size is billed.
    return size if size >= 1_000_000 else 0


def checksum_objects(name: str, md5_of: bytes, settings: Settings) -> list[tuple[str, bytes]]:
    """The checksum files of the manifest ``name`` (without suffix) by the setting ``checksum_suffix``."""
    suffixes = {"md5": ["md5"], "checksum": ["checksum"], "both": ["md5", "checksum"], "none": []}
    return [(f"{name}.{suffix}", md5_base64(md5_of).encode()) for suffix in suffixes[settings.checksum_suffix]]


def _compact(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
