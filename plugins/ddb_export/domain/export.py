"""What is asked of DynamoDB's ExportTableToPointInTime, and what DescribeExport answers.

Names and values are AWS's own. Times that we ask for are whole minutes in UTC; times that AWS reports keep their fraction.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from ddb_export.domain.export_filter import ExportFilter, filter_of
from ddb_export.domain.utc import compact, iso, parse_utc
from ddb_export.domain.window import Window


class ExportType(StrEnum):
    """AWS's ExportType."""

    FULL_EXPORT = "FULL_EXPORT"
    INCREMENTAL_EXPORT = "INCREMENTAL_EXPORT"


class ExportViewType(StrEnum):
    """AWS's ExportViewType. The prose of AWS's guide says NEW_IMAGES; the service takes only NEW_IMAGE."""

    NEW_IMAGE = "NEW_IMAGE"
    NEW_AND_OLD_IMAGES = "NEW_AND_OLD_IMAGES"


class ExportFormat(StrEnum):
    """AWS's ExportFormat."""

    DYNAMODB_JSON = "DYNAMODB_JSON"
    ION = "ION"


class ExportStatus(StrEnum):
    """AWS's ExportStatus."""

    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """One request to export a table, complete: sending it again says exactly the same.

    :param table_arn: ARN of the table.
    :param bucket: name of the bucket that receives the export.
    :param s3_prefix: key prefix in the bucket, without a slash at either end.
    :param export_time: for a full export, the moment whose state is exported (UTC).
    :param window: for an incremental export, the stretch whose changes are exported.
    :param view: what images an incremental export holds.
    :param bucket_owner: account id of the bucket's owner; needed for a bucket of another account.
    :param kms_key: id, ARN or alias of the KMS key that encrypts the files; none for SSE-S3 (AES256).
    :param export_format: format of the data files.
    :param export_filter: what of the table it holds; None for all of it.
    :raises ValueError: neither or both of ``export_time`` and ``window``.
    """

    table_arn: str
    bucket: str
    s3_prefix: str
    export_time: datetime | None = None
    window: Window | None = None
    view: ExportViewType | None = None
    bucket_owner: str | None = None
    kms_key: str | None = None
    export_format: ExportFormat = ExportFormat.DYNAMODB_JSON
    export_filter: ExportFilter | None = None

    def __post_init__(self) -> None:
        if (self.export_time is None) == (self.window is None):
            raise ValueError("an export is asked for either at an export_time or for a window")
        if self.window is not None and self.view is None:
            object.__setattr__(self, "view", ExportViewType.NEW_AND_OLD_IMAGES)
        if self.window is None and self.view is not None:
            raise ValueError("a full export has no view")

    @property
    def export_type(self) -> ExportType:
        """FULL_EXPORT for a moment, INCREMENTAL_EXPORT for a window."""
        return ExportType.INCREMENTAL_EXPORT if self.window else ExportType.FULL_EXPORT

    def to_api(self, client_token: str) -> dict[str, Any]:
        """Return the parameters of ExportTableToPointInTime.

        ExportType is always sent: DescribeExport does not name it otherwise.
        """
        parameters: dict[str, Any] = {
            "TableArn": self.table_arn,
            "S3Bucket": self.bucket,
            "S3Prefix": self.s3_prefix,
            "ExportFormat": str(self.export_format),
            "ExportType": str(self.export_type),
            "ClientToken": client_token,
            "S3SseAlgorithm": "KMS" if self.kms_key else "AES256",
        }
        if self.bucket_owner:
            parameters["S3BucketOwner"] = self.bucket_owner
        if self.kms_key:
            parameters["S3SseKmsKeyId"] = self.kms_key
        if self.export_filter:
            parameters["FilterSpecification"] = self.export_filter.to_api()
        if self.window:
            parameters["IncrementalExportSpecification"] = {
                "ExportFromTime": self.window.start,
                "ExportToTime": self.window.end,
                "ExportViewType": str(self.view),
            }
        else:
            parameters["ExportTime"] = self.export_time
        return parameters

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object that :meth:`from_json` reads back; a filter is in it only if there is one.

        Tokens are made of it: what it says of a request without a filter must never change.
        """
        document = {
            "table_arn": self.table_arn,
            "bucket": self.bucket,
            "s3_prefix": self.s3_prefix,
            "export_type": str(self.export_type),
            "export_time": iso(self.export_time) if self.export_time else None,
            "start": iso(self.window.start) if self.window else None,
            "end": iso(self.window.end) if self.window else None,
            "view": str(self.view) if self.view else None,
            "bucket_owner": self.bucket_owner,
            "kms_key": self.kms_key,
            "export_format": str(self.export_format),
        }
        return {**document, "filter": self.export_filter.to_json()} if self.export_filter else document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ExportRequest:
        """Read what :meth:`to_json` wrote."""
        window = None
        if document.get("start"):
            window = Window(parse_utc(document["start"]), parse_utc(document["end"]))
        return cls(
            table_arn=document["table_arn"],
            bucket=document["bucket"],
            s3_prefix=document["s3_prefix"],
            export_time=parse_utc(document["export_time"]) if document.get("export_time") else None,
            window=window,
            view=ExportViewType(document["view"]) if document.get("view") else None,
            bucket_owner=document.get("bucket_owner"),
            kms_key=document.get("kms_key"),
            export_format=ExportFormat(document["export_format"]),
            export_filter=filter_of(document.get("filter")),
        )


def client_token(table_id: str, request: ExportRequest, attempt: int) -> str:
    """Return the ClientToken of an attempt: equal for equal attempts, whoever makes them.

    DynamoDB answers a repeated token with the export that it started first, for 8 hours after that one ended, also when
    it FAILED; so the attempt is part of the token. The prefix is part of it too: two deployments that export
    one table to two places must not meet in one token (ExportConflictException).

    :param table_id: TableId of the table; a table made again under the same name has another.
    :param request: what is asked.
    :param attempt: 1 for the first.
    :return: 64 hexadecimal digits.
    """
    text = json.dumps({"table_id": table_id, "attempt": attempt, **request.to_json()}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class ExportDescription:
    """What DescribeExport says of one export.

    :param export_arn: its ARN, whose last part is the export id.
    :param status: IN_PROGRESS, COMPLETED or FAILED.
    :param table_arn: ARN of the table; ``table_id`` its TableId.
    :param export_type: FULL_EXPORT where AWS says nothing (it does so when the request said nothing).
    :param export_time: moment of a full export; None for an incremental one.
    :param start: inclusive start of the window of an incremental export; ``end`` its exclusive end.
    :param view: view of an incremental export.
    :param item_count: number of records, known when COMPLETED; ``billed_bytes`` likewise.
    :param manifest_key: object key of manifest-summary.json as DynamoDB gives it.
    :param failure_code: for FAILED; an open set. ``failure_message`` in AWS's words.
    :param export_filter: what of the table it holds; None for all of it.
    """

    export_arn: str
    status: ExportStatus
    table_arn: str | None = None
    table_id: str | None = None
    export_type: ExportType = ExportType.FULL_EXPORT
    export_format: ExportFormat = ExportFormat.DYNAMODB_JSON
    export_time: datetime | None = None
    start: datetime | None = None
    end: datetime | None = None
    view: ExportViewType | None = None
    bucket: str | None = None
    s3_prefix: str | None = None
    bucket_owner: str | None = None
    client_token: str | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    item_count: int | None = None
    billed_bytes: int | None = None
    manifest_key: str | None = None
    failure_code: str | None = None
    failure_message: str | None = None
    export_filter: ExportFilter | None = None

    @property
    def filtered(self) -> bool:
        """Whether it holds a part of the table only."""
        return self.export_filter is not None

    @property
    def export_id(self) -> str:
        """The last part of the ARN: 14 digits of its start in ms, a dash, 8 hexadecimal digits."""
        return export_id(self.export_arn)

    def to_xcom(self) -> dict[str, Any]:
        """Return a flat JSON object for XCom: strings, numbers, booleans and nulls only; times in ISO 8601 UTC.

        Of a filter it says that there is one; the claim has all of it.
        """
        values = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "export_filter"}
        document = {
            name: iso(value) if isinstance(value, datetime) else str(value) if isinstance(value, StrEnum) else value
            for name, value in values.items()
        }
        return {**document, "filtered": self.filtered}

    @classmethod
    def from_xcom(cls, document: Mapping[str, Any]) -> ExportDescription:
        """Read what :meth:`to_xcom` wrote, its filter aside."""
        times = ("export_time", "start", "end", "start_time", "end_time")
        values: dict[str, Any] = {name: document.get(name) for name in cls.__dataclass_fields__}
        values.update({name: parse_utc(document[name]) for name in times if document.get(name)})
        values["status"] = ExportStatus(document["status"])
        values["export_type"] = ExportType(document["export_type"])
        values["export_format"] = ExportFormat(document["export_format"])
        values["view"] = ExportViewType(document["view"]) if document.get("view") else None
        return cls(**values)


def export_id(export_arn: str) -> str:
    """Return the export id, the last part of an export ARN."""
    return export_arn.rsplit("/", 1)[-1]


def export_name(request: ExportRequest, attempt: int) -> str:
    """Return the name of an attempt's raw folder: ``full-{time}-a{attempt}`` or ``{start}-{end}-a{attempt}``."""
    if request.window:
        return f"{request.window.key}-a{attempt}"
    if request.export_time is None:
        raise ValueError("a full export needs an export_time")
    return f"full-{compact(request.export_time)}-a{attempt}"
