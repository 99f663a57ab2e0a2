"""The manifests of an export: what DynamoDB says that it wrote, read with tolerance and checked without mercy.

An export has two: ``manifest-summary.json`` says what was exported, ``manifest-files.json`` names each data file with its count
of items and MD5 (AWS DynamoDB Developer Guide, "DynamoDB table export output format"). What the guide and real exports say
differently is read either way: ``exportType`` may be missing, keys may come with or without the prefix, JSON may be on one
line or on many. What is damaged becomes a :class:`Finding`, never a traceback.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeVar

from ddb_export.domain.export import (
    ExportDescription,
    ExportFormat,
    ExportStatus,
    ExportType,
    ExportViewType,
    export_id,
)
from ddb_export.domain.utc import parse_utc

SUMMARY = "manifest-summary.json"
FILES = "manifest-files.json"
STARTED = "_started"
EXPORTS_FOLDER = "AWSDynamoDB"
CHECKSUM_SUFFIXES = (".md5", ".checksum")
"""Real exports write ``.md5``; the Developer Guide says ``.checksum``."""

EXPORT_ID = re.compile(r"\d{14}-[0-9a-f]{8}")
"""The name of an export's folder: 14 digits of its start in ms, a dash, 8 hexadecimal digits (seen in all real exports)."""

COPY_AGAIN = "copy it again from the bucket that DynamoDB wrote to; if it is the same there, export again"
"""The remedy for whatever is damaged."""

Md5State = Literal["ok", "absent", "wrong"]

_Choice = TypeVar("_Choice", ExportType, ExportFormat, ExportViewType)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not hold.

    :param file: the file or setting that it is about.
    :param cause: what is wrong with it, in words.
    :param remedy: the one action that a person should take.
    """

    file: str
    cause: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}: {self.cause}. Remedy: {self.remedy}"

    def to_json(self) -> dict[str, str]:
        """Return ``{file, cause, remedy}``."""
        return {"file": self.file, "cause": self.cause, "remedy": self.remedy}


@dataclass(frozen=True, slots=True)
class ManifestSummary:
    """What ``manifest-summary.json`` says. A field is None where the manifest has none, or one that cannot be read.

    :param export_type: where the manifest names none (real full exports do not), it follows from the times.
    :param export_time: the moment of a full export, UTC, with its fraction of a second.
    :param from_time: inclusive start of an incremental export's window, UTC; ``to_time`` its exclusive end.
    :param start_time: when the export began, UTC; ``end_time`` when it ended.
    :param billed_bytes: bytes that AWS bills.
    :param manifest_files_key: key of ``manifest-files.json`` below the bucket's root.
    """

    export_type: ExportType
    version: str | None = None
    export_arn: str | None = None
    table_arn: str | None = None
    table_id: str | None = None
    export_time: datetime | None = None
    from_time: datetime | None = None
    to_time: datetime | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    bucket: str | None = None
    prefix: str | None = None
    sse_algorithm: str | None = None
    kms_key: str | None = None
    manifest_files_key: str | None = None
    billed_bytes: int | None = None
    item_count: int | None = None
    output_format: ExportFormat | None = None
    output_view: ExportViewType | None = None

    @property
    def export_id(self) -> str | None:
        """The last part of the export's ARN, which names its folder."""
        return export_id(self.export_arn) if self.export_arn else None

    def as_description(self) -> ExportDescription:
        """Return it in the shape of DescribeExport's answer, for comparison with one or with a request."""
        incremental = self.export_type is ExportType.INCREMENTAL_EXPORT
        return ExportDescription(
            export_arn=self.export_arn or "",
            status=ExportStatus.COMPLETED,
            table_arn=self.table_arn,
            table_id=self.table_id,
            export_type=self.export_type,
            export_format=self.output_format or ExportFormat.DYNAMODB_JSON,
            export_time=None if incremental else self.export_time,
            start=self.from_time,
            end=self.to_time,
            view=self.output_view,
            bucket=self.bucket,
            s3_prefix=self.prefix,
            item_count=self.item_count,
            billed_bytes=self.billed_bytes,
        )


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """One data file, as ``manifest-files.json`` names it.

    :param index: its place in the manifest, 0 for the first; output files are named by it.
    :param item_count: number of records, one a line.
    :param md5: base64 of the MD5 of the compressed bytes.
    :param etag: S3's ETag when DynamoDB wrote it, without quotes; None if the manifest has none.
    :param key: object key below the bucket's root, as it was written.
    """

    index: int
    item_count: int
    md5: str
    etag: str | None
    key: str


def read_summary(content: bytes, file: str) -> tuple[ManifestSummary | None, list[Finding]]:
    """Read ``manifest-summary.json``.

    :param content: its bytes.
    :param file: what to call it in findings.
    :return: the summary, or None if it is no JSON object; and what is wrong with it.
    """
    try:
        document = json.loads(content.decode("utf-8-sig"))
    except ValueError as error:
        return None, [Finding(file, f"it is not JSON: {error}", COPY_AGAIN)]
    if not isinstance(document, dict):
        return None, [Finding(file, "it is not a JSON object", COPY_AGAIN)]
    fields = _Fields(document, file)
    from_time, to_time = fields.time("exportFromTime"), fields.time("exportToTime")
    summary = ManifestSummary(
        export_type=fields.choice("exportType", ExportType)
        or (ExportType.INCREMENTAL_EXPORT if from_time or to_time else ExportType.FULL_EXPORT),
        version=fields.text("version"),
        export_arn=fields.text("exportArn", required=True),
        table_arn=fields.text("tableArn", required=True),
        table_id=fields.text("tableId", required=True),
        export_time=fields.time("exportTime"),
        from_time=from_time,
        to_time=to_time,
        start_time=fields.time("startTime"),
        end_time=fields.time("endTime"),
        bucket=fields.text("s3Bucket"),
        prefix=fields.text("s3Prefix"),
        sse_algorithm=fields.text("s3SseAlgorithm"),
        kms_key=fields.text("s3SseKmsKeyId"),
        manifest_files_key=fields.text("manifestFilesS3Key"),
        billed_bytes=fields.count("billedSizeBytes"),
        item_count=fields.count("itemCount", required=True),
        output_format=fields.choice("outputFormat", ExportFormat) or ExportFormat.DYNAMODB_JSON,
        output_view=fields.choice("outputView", ExportViewType),
    )
    return summary, [*fields.findings, *_check_times(summary, file), *_check_arns(summary, file)]


def read_files(content: bytes, file: str) -> tuple[list[ManifestFile], list[Finding]]:
    """Read ``manifest-files.json``: one JSON object after the other, each on one line or on several.

    :param content: its bytes.
    :param file: what to call it in findings.
    :return: the data files in the manifest's order, and what is wrong.
    """
    files: list[ManifestFile] = []
    findings: list[Finding] = []
    try:
        for index, (line, document) in enumerate(_documents(content.decode("utf-8-sig"))):
            fields = _Fields(document, file, f"entry at line {line}: ")
            item_count = fields.count("itemCount", required=True)
            md5 = fields.text("md5Checksum", required=True)
            key = fields.text("dataFileS3Key", required=True)
            etag = fields.text("etag")
            if md5 and not is_md5(md5):
                fields.add("md5Checksum is not the base64 of an MD5")
            findings += fields.findings
            if item_count is not None and md5 and key:
                files.append(ManifestFile(index, item_count, md5, etag.strip('"') if etag else None, key))
    except ValueError as error:
        findings.append(Finding(file, f"it is not JSON: {error}", COPY_AGAIN))
    for key, count in Counter(each.key for each in files).items():
        if count > 1:
            findings.append(Finding(file, f"it names {key} {count} times", COPY_AGAIN))
    return files, findings


def check_counts(summary: ManifestSummary, files: Sequence[ManifestFile], file: str) -> list[Finding]:
    """Check that the data files' counts of items add up to the summary's.

    :param file: what to call ``manifest-files.json`` in findings.
    """
    total = sum(each.item_count for each in files)
    if summary.item_count is None or total == summary.item_count:
        return []
    cause = f"its files hold {total} items in all, but {SUMMARY} says {summary.item_count}"
    return [Finding(file, cause, COPY_AGAIN)]


def check_md5(content: bytes, checksum: bytes | None) -> Md5State:
    """Compare a manifest with the content of its ``.md5`` or ``.checksum`` file.

    :param checksum: base64 (as real exports write it) or hexadecimal MD5, with or without a final newline; None if
        there is no such file.
    """
    if checksum is None:
        return "absent"
    digest = hashlib.md5(content, usedforsecurity=False).digest()
    said = checksum.decode("ascii", "replace").strip()
    return "ok" if said == base64.b64encode(digest).decode() or said.lower() == digest.hex() else "wrong"


def is_md5(text: str) -> bool:
    """Tell whether a text is the base64 of 16 bytes."""
    try:
        return len(base64.b64decode(text, validate=True)) == hashlib.md5(usedforsecurity=False).digest_size
    except (binascii.Error, ValueError):
        return False


def etag_agrees(etag: str, file: ManifestFile) -> bool:
    """Tell whether an object's ETag is one that the file, unchanged, can have.

    That is the manifest's own, or the MD5 of the bytes, which S3 gives to an object that was copied in one piece.

    :param etag: from a listing, without quotes.
    """
    return etag == file.etag or etag == base64.b64decode(file.md5).hex()


def path_below_exports(key: str, prefix: str | None) -> str | None:
    """Return the part of a manifest's key after ``{prefix}/AWSDynamoDB/``.

    :param key: a key below the bucket's root, as a manifest writes it; the Developer Guide's example leaves the prefix out.
    :param prefix: the summary's s3Prefix, with or without slashes at its ends.
    :return: for example ``01715685260608-c488b4e1/data/x.json.gz``, or ``data/x.json.gz`` for an incremental export;
        None if the key lies elsewhere.
    """
    key = key.lstrip("/")
    start = f"{(prefix or '').strip('/')}/{EXPORTS_FOLDER}/".lstrip("/")
    if key.startswith(start):
        path = key.removeprefix(start)
    else:
        _, found, path = f"/{key}".rpartition(f"/{EXPORTS_FOLDER}/")
        if not found:
            return None
    parts = path.split("/")
    return path if path and not {"", ".", ".."} & set(parts) else None


_SPELLINGS = {"NEW_IMAGES": "NEW_IMAGE"}
"""AWS's prose says NEW_IMAGES where its API says NEW_IMAGE; a manifest may say either."""


class _Fields:
    """Reads the members of one JSON object and collects what is wrong with them."""

    def __init__(self, document: Any, file: str, where: str = "") -> None:
        self.findings: list[Finding] = []
        self._file = file
        self._where = where
        self._document: dict[str, Any] = document if isinstance(document, dict) else {}
        if not isinstance(document, dict):
            self.add("it is not a JSON object")

    def add(self, cause: str) -> None:
        self.findings.append(Finding(self._file, f"{self._where}{cause}", COPY_AGAIN))

    def text(self, name: str, *, required: bool = False) -> str | None:
        value = self._document.get(name)
        if isinstance(value, str) and value:
            return value
        if value not in (None, ""):
            self.add(f"{name} is not a text")
        elif required and self._document:
            self.add(f"{name} is missing")
        return None

    def count(self, name: str, *, required: bool = False) -> int | None:
        value = self._document.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
        if value is not None:
            self.add(f"{name} is not a count")
        elif required and self._document:
            self.add(f"{name} is missing")
        return None

    def time(self, name: str) -> datetime | None:
        text = self.text(name)
        try:
            return parse_utc(text) if text else None
        except ValueError:
            self.add(f"{name} is not a time with a zone")
            return None

    def choice(self, name: str, choices: type[_Choice]) -> _Choice | None:
        text = self.text(name)
        try:
            text = _SPELLINGS.get(text, text) if text else text
            return choices(text) if text else None
        except ValueError:
            self.add(f"{name} is {text!r}, which this version does not know")
            return None


def _check_arns(summary: ManifestSummary, file: str) -> list[Finding]:
    """An export's ARN is its table's, with ``/export/`` and the id behind it (every real export)."""
    if not summary.export_arn or not summary.table_arn:
        return []
    if summary.export_arn == f"{summary.table_arn}/export/{summary.export_id}":
        return []
    cause = f"exportArn {summary.export_arn} is not an export of tableArn {summary.table_arn}"
    return [Finding(file, cause, COPY_AGAIN)]


def _check_times(summary: ManifestSummary, file: str) -> list[Finding]:
    if summary.export_type is ExportType.FULL_EXPORT:
        missing = [] if summary.export_time else ["exportTime"]
    else:
        times = {"exportFromTime": summary.from_time, "exportToTime": summary.to_time}
        missing = [name for name, time in times.items() if time is None]
    findings = [Finding(file, f"{name} is missing", COPY_AGAIN) for name in missing]
    if summary.from_time and summary.to_time and summary.from_time >= summary.to_time:
        findings.append(Finding(file, "exportToTime is not after exportFromTime", COPY_AGAIN))
    return findings


def _documents(text: str) -> Iterator[tuple[int, Any]]:
    """Yield each JSON value of a text with the number of the line on which it begins."""
    decoder = json.JSONDecoder()
    blanks = re.compile(r"\s*")
    line, counted, position = 1, 0, 0
    while True:
        gap = blanks.match(text, position)
        position = gap.end() if gap else position
        if position == len(text):
            return
        line += text.count("\n", counted, position)
        counted = position
        value, position = decoder.raw_decode(text, position)
        yield line, value
