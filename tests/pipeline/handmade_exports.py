"""Exports made by hand, as real ones look, with a switch for everything on which sources disagree."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GENUINE = Path(__file__).parents[1] / "fixtures" / "real-full-export"
GENUINE_ARN = "arn:aws:dynamodb:eu-central-1:164221962816:table/S3ExportTest/export/01715685260608-c488b4e1"

TABLE_ARN = "arn:aws:dynamodb:eu-north-1:123456789012:table/orders"
TABLE_ID = "cf263806-1111-2222-3333-444455556666"
FULL_ID = "01768386900123-a339e52d"
INCREMENTAL_ID = "01768386924000-d339e52d"
NAME_LENGTH = 26


@dataclass(frozen=True)
class HandmadeExport:
    """Where it lies on disk."""

    root: Path
    export_id: str
    data: tuple[Path, ...]

    @property
    def folder(self) -> Path:
        return self.root / "AWSDynamoDB" / self.export_id

    @property
    def summary(self) -> Path:
        return self.folder / "manifest-summary.json"

    @property
    def files(self) -> Path:
        return self.folder / "manifest-files.json"

    @property
    def arn(self) -> str:
        return f"{TABLE_ARN}/export/{self.export_id}"

    def change_summary(self, **changes: Any) -> None:
        """Change members of the summary; its checksum file goes, as it would be wrong."""
        document = {**json.loads(self.summary.read_text()), **changes}
        self.summary.write_text(json.dumps({name: value for name, value in document.items() if value != "drop"}))
        self.summary.with_suffix(".md5").unlink(missing_ok=True)

    def change_files(self, index: int, **changes: Any) -> None:
        """Change members of one line of the manifest of files, likewise."""
        lines = [json.loads(line) for line in self.files.read_text().splitlines()]
        lines[index].update(changes)
        self.files.write_text("".join(json.dumps(line) + "\n" for line in lines))
        self.files.with_suffix(".md5").unlink(missing_ok=True)


@dataclass(frozen=True)
class Writing:
    """How manifests are written; the defaults are what real exports show."""

    prefix: str | None = None
    keys_with_prefix: bool = True
    checksum_suffix: str | None = ".md5"
    names_export_type: bool | None = None
    names_export_time: bool | None = None
    indent: int | None = None
    final_newline: bool = True
    unknown_keys: bool = False
    empty_as_no_bytes: bool = False


def genuine(folder: Path) -> Path:
    """A copy of the genuine export that may be changed."""
    shutil.copytree(GENUINE, folder)
    return folder


def full_export(root: Path, files: Sequence[Sequence[Any]], writing: Writing | None = None) -> HandmadeExport:
    """A full export of items, one list a data file."""
    return full_export_of_records(root, [[{"Item": item} for item in items] for items in files], writing)


def full_export_of_records(
    root: Path, files: Sequence[Sequence[Any]], writing: Writing | None = None
) -> HandmadeExport:
    """A full export of lines of any shape, one list a data file."""
    writing = writing or Writing()
    times = {"exportTime": "2026-01-14T10:30:00.000Z"}
    if writing.names_export_type:
        times["exportType"] = "FULL_EXPORT"
    return _write(root, FULL_ID, f"{FULL_ID}/data", files, times, writing)


def incremental_export(
    root: Path,
    files: Sequence[Sequence[Any]],
    writing: Writing | None = None,
    view: str = "NEW_AND_OLD_IMAGES",
) -> HandmadeExport:
    """An incremental export of records, one list a data file, from 10:20 to 10:35."""
    writing = writing or Writing()
    times = {
        "exportFromTime": "2026-01-14T10:20:00.000Z",
        "exportToTime": "2026-01-14T10:35:00.000Z",
        "outputView": view,
    }
    if writing.names_export_type is not False:
        times["exportType"] = "INCREMENTAL_EXPORT"
    if writing.names_export_time:
        times["exportTime"] = "2026-01-14T10:35:24.000Z"
    return _write(root, INCREMENTAL_ID, "data", files, times, writing)


def change(key: str, *, new: Any = None, old: Any = None, micros: int = 1768386096366933) -> dict[str, Any]:
    """One record of an incremental export on a table whose key is ``id``."""
    record: dict[str, Any] = {"Metadata": {"WriteTimestampMicros": {"N": str(micros)}}, "Keys": {"id": {"S": key}}}
    for name, image in (("OldImage", old), ("NewImage", new)):
        if image is not None:
            record[name] = {"id": {"S": key}, **image}
    return record


def _write(
    root: Path, export_id: str, data: str, files: Sequence[Sequence[Any]], times: dict[str, str], writing: Writing
) -> HandmadeExport:
    below = root / "AWSDynamoDB"
    (below / export_id).mkdir(parents=True)
    (below / data).mkdir(parents=True, exist_ok=True)
    start = f"{writing.prefix}/AWSDynamoDB" if writing.prefix and writing.keys_with_prefix else "AWSDynamoDB"
    entries, paths = [], []
    for index, records in enumerate(files):
        name = f"{data}/{chr(ord('a') + index) * NAME_LENGTH}.json.gz"
        content = gzip.compress(b"".join(json.dumps(each).encode() + b"\n" for each in records), mtime=0)
        if not records and writing.empty_as_no_bytes:
            content = b""
        (below / name).write_bytes(content)
        paths.append(below / name)
        entries.append(_entry(content, len(records), f"{start}/{name}"))
    manifest: dict[str, Any] = {
        "version": "2020-06-30",
        "exportArn": f"{TABLE_ARN}/export/{export_id}",
        "startTime": "2026-01-14T10:35:24.000Z",
        "endTime": "2026-01-14T10:40:27.622Z",
        "tableArn": TABLE_ARN,
        "tableId": TABLE_ID,
        **times,
        "s3Bucket": "exports",
        "s3Prefix": writing.prefix,
        "s3SseAlgorithm": "AES256",
        "s3SseKmsKeyId": None,
        "manifestFilesS3Key": f"{start}/{export_id}/manifest-files.json",
        "billedSizeBytes": 10000000,
        "itemCount": sum(len(records) for records in files),
        "outputFormat": "DYNAMODB_JSON",
    }
    if writing.unknown_keys:
        manifest |= {"filterSpecification": None, "future": {"a": [1]}}
        entries = [{**entry, "future": True} for entry in entries]
    _write_manifest(below / export_id / "manifest-files.json", entries, writing)
    _write_manifest(below / export_id / "manifest-summary.json", [manifest], writing)
    return HandmadeExport(root, export_id, tuple(paths))


def _entry(content: bytes, count: int, key: str) -> dict[str, Any]:
    md5 = hashlib.md5(content).digest()
    return {
        "itemCount": count,
        "md5Checksum": base64.b64encode(md5).decode(),
        "etag": hashlib.md5(md5).hexdigest() + "-1",
        "dataFileS3Key": key,
    }


def _write_manifest(path: Path, documents: Sequence[Any], writing: Writing) -> None:
    text = "\n".join(json.dumps(document, indent=writing.indent) for document in documents)
    text += "\n" if writing.final_newline and text else ""
    path.write_text(text)
    if writing.checksum_suffix:
        checksum = base64.b64encode(hashlib.md5(text.encode()).digest()).decode()
        path.with_suffix(writing.checksum_suffix).write_text(checksum)
