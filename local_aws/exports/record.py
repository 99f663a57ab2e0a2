"""The lab's own record of an export, and how DescribeExport, ListExports and the lab's controls show it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from local_aws.clock import SECOND, format_micros
from local_aws.exports.request import FULL, INCREMENTAL, ExportRequest
from local_aws.exports.windows import Period

IN_PROGRESS, COMPLETED, FAILED = "IN_PROGRESS", "COMPLETED", "FAILED"


@dataclass
class Export:
    """One export, from the accepted request to its terminal state; times in microseconds by the account's clock."""

    arn: str
    table_id: str
    region: str
    account: str
    request: ExportRequest
    period: Period
    token: str
    start: int
    folder: str
    status: str = IN_PROGRESS
    end: int | None = None
    manifest: str | None = None
    billed: int | None = None
    items: int | None = None
    failure_code: str | None = None
    failure_message: str | None = None
    files: list[str] = field(default_factory=list)

    @property
    def export_id(self) -> str:
        """The last part of the ARN: start time in milliseconds and eight hex digits."""
        return self.arn.rpartition("/")[2]

    def for_manifest(self) -> dict[str, Any]:
        """What manifest-summary.json is made of."""
        return {
            "ExportArn": self.arn,
            "ExportType": self.request.export_type,
            "StartTime": self.start,
            "TableArn": self.request["TableArn"],
            "TableId": self.table_id,
            "ExportTime": self.period.export_time,
            "ExportFromTime": self.period.from_time,
            "ExportToTime": self.period.to_time,
            "ExportViewType": self.request.view,
            "S3Bucket": self.request["S3Bucket"],
            "S3Prefix": self.request["S3Prefix"],
            "S3SseAlgorithm": self.request["S3SseAlgorithm"] or "AES256",
            "S3SseKmsKeyId": self.request["S3SseKmsKeyId"],
            "Folder": self.folder,
            "BilledSizeBytes": self.billed,
            "ItemCount": self.items,
            "ExportFormat": self.request["ExportFormat"] or "DYNAMODB_JSON",
            "FilterSpecification": self.request["FilterSpecification"],
        }

    def description(self) -> dict[str, Any]:
        """ExportDescription as it goes over the wire; members that have no value are left out.

        Probes of the live service: nothing of the result while IN_PROGRESS; ExportType only if it was sent; no
        ExportTime for incrementals; DestinationType is on the wire, in no SDK model.
        """
        request = self.request
        described: dict[str, Any] = {
            "ExportArn": self.arn,
            "ExportStatus": self.status,
            "StartTime": self.start / SECOND,
            "EndTime": self.end / SECOND if self.end is not None else None,
            "ExportManifest": self.manifest,
            "TableArn": request["TableArn"],
            "TableId": self.table_id,
            "ClientToken": self.token,
            "S3Bucket": request["S3Bucket"],
            "S3BucketOwner": request["S3BucketOwner"],
            "S3Prefix": request["S3Prefix"],
            "S3SseAlgorithm": request["S3SseAlgorithm"] or "AES256",
            "S3SseKmsKeyId": request["S3SseKmsKeyId"],
            "FailureCode": self.failure_code,
            "FailureMessage": self.failure_message,
            "ExportFormat": request["ExportFormat"] or "DYNAMODB_JSON",
            "BilledSizeBytes": self.billed if self.status == COMPLETED else None,
            "ItemCount": self.items if self.status == COMPLETED else None,
            "ExportType": request["ExportType"],
            "FilterSpecification": request["FilterSpecification"],
            "DestinationType": "S3",
        }
        if request.export_type == INCREMENTAL:
            described["IncrementalExportSpecification"] = {
                "ExportFromTime": self.period.from_time / SECOND,
                "ExportToTime": self.period.to_time / SECOND,
                "ExportViewType": request.view,
            }
        else:
            described["ExportTime"] = (self.period.export_time or 0) / SECOND
        return {name: value for name, value in described.items() if value is not None}

    def summary(self) -> dict[str, Any]:
        """The line of ListExports; it says FULL_EXPORT also where the request did not."""
        return {
            "ExportArn": self.arn,
            "ExportStatus": self.status,
            "ExportType": self.request.export_type or FULL,
        }

    def for_lab(self) -> dict[str, Any]:
        """What ``GET /_lab/exports`` tells: all of the description, and what AWS does not tell."""
        window = self.request.export_type == INCREMENTAL
        return {
            "export_arn": self.arn,
            "account": self.account,
            "region": self.region,
            "table_arn": self.request["TableArn"],
            "table_id": self.table_id,
            "export_type": self.request.export_type,
            "status": self.status,
            "client_token": self.token,
            "bucket": self.request["S3Bucket"],
            "prefix": self.request["S3Prefix"],
            "start_time": format_micros(self.start),
            "end_time": format_micros(self.end) if self.end is not None else None,
            "export_time": None if window else format_micros(self.period.export_time or 0),
            "from_time": format_micros(self.period.from_time) if window else None,
            "to_time": format_micros(self.period.to_time) if window else None,
            "item_count": self.items if self.status == COMPLETED else None,
            "billed_size_bytes": self.billed if self.status == COMPLETED else None,
            "failure_code": self.failure_code,
            "failure_message": self.failure_message,
            "files": list(self.files),
        }
