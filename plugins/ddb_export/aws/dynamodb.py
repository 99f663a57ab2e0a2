"""The gateway to DynamoDB: one method per action, domain types in and out, AWS's refusals as our own errors.

No policy and no loops live here, and no method reads items: exporting needs no permission on the table's data. The client comes from
outside (an Airflow hook, or the command line), with retries and credentials set there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ddb_export.aws.answer_time import answer_time, date_header
from ddb_export.aws.errors import aws_errors
from ddb_export.domain.doctor import RunningExports, TableFacts
from ddb_export.domain.export import (
    ExportDescription,
    ExportFormat,
    ExportRequest,
    ExportStatus,
    ExportType,
    ExportViewType,
)
from ddb_export.domain.export_filter import ExportFilter
from ddb_export.domain.plan import PointInTimeRecovery, TableIdentity
from ddb_export.domain.utc import require_utc
from ddb_export.exceptions import ConfigurationError, DdbExportError

if TYPE_CHECKING:
    from botocore.client import BaseClient


_FIRST_WITH_FILTERS = "1.43.106"
"""The oldest botocore that is known to know FilterSpecification; 1.43.67 did not."""


class DynamoDBGateway:
    """DynamoDB's tables and exports, as one account and region sees them.

    :param client: a boto3 DynamoDB client.
    """

    def __init__(self, client: BaseClient) -> None:
        self._client: Any = client
        self._answered_at: datetime | None = None
        self._skew: timedelta | None = None

    @property
    def answered_at(self) -> datetime:
        """AWS's time of the newest answer, refusals included, from its Date header; the worker's clock before the first."""
        return self._answered_at or datetime.now(UTC)

    @property
    def skew(self) -> timedelta | None:
        """This machine's clock less AWS's when the newest answer came (positive: it is ahead); None before the first.

        Refusals count: to a clock that is five minutes off AWS answers nothing else (IAM User Guide, "Signature Version 4").
        """
        return self._skew

    def identify(self, table: str) -> TableIdentity:
        """Return which table stands behind a name or ARN.

        :raises TableMissingError: there is none.
        """
        description = self._call("describe_table", table, TableName=table)["Table"]
        return TableIdentity(description["TableArn"], description["TableId"], _key_attributes(description))

    def key_attributes(self, table: str) -> tuple[str, ...]:
        """Return the names of the table's key attributes, the partition key first.

        :raises TableMissingError: there is no such table.
        """
        return _key_attributes(self._call("describe_table", table, TableName=table)["Table"])

    def size(self, table: str) -> int:
        """Return the bytes of the table and its local secondary indexes, which is what a full export is billed by.

        DynamoDB measures them about every six hours (API reference, TableDescription).

        :raises TableMissingError: there is no such table.
        """
        description = self._call("describe_table", table, TableName=table)["Table"]
        return int(description.get("TableSizeBytes", 0)) + _index_bytes(description)

    def recovery(self, table: str) -> tuple[PointInTimeRecovery, datetime]:
        """Return the table's recovery window, and AWS's time as the answer's Date header gives it.

        AWS always reports ContinuousBackupsStatus as ENABLED; what counts is PointInTimeRecoveryStatus.

        :raises TableMissingError: there is no such table.
        """
        answer = self._call("describe_continuous_backups", table, TableName=table)
        status = answer["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
        recovery = PointInTimeRecovery(
            enabled=status.get("PointInTimeRecoveryStatus") == "ENABLED",
            earliest=_utc(status.get("EarliestRestorableDateTime")),
            latest=_utc(status.get("LatestRestorableDateTime")),
            period=timedelta(days=days) if (days := status.get("RecoveryPeriodInDays")) else None,
        )
        return recovery, answer_time(answer)

    def look(self, table: str) -> TableFacts:
        """Return a table's ARN, state and size.

        :raises TableMissingError: there is no such table.
        """
        found = self._call("describe_table", table, TableName=table)["Table"]
        size = int(found.get("TableSizeBytes", 0))
        return TableFacts(found["TableArn"], found["TableStatus"], size + _index_bytes(found))

    def running_exports(self, pages: int) -> RunningExports:
        """Return how many exports of all tables of the account and region are in progress.

        :param pages: most answers of 25 exports each that are read. They come in reverse order of their ARNs (API reference,
            ListExports): table by table from the end of the alphabet, the newest of each first.
        """
        token: dict[str, str] = {}
        running = 0
        for _ in range(pages):
            answer = self._call("list_exports", "exports of the account", MaxResults=25, **token)
            summaries = answer.get("ExportSummaries", ())
            running += sum(each.get("ExportStatus") == ExportStatus.IN_PROGRESS for each in summaries)
            if not answer.get("NextToken"):
                return RunningExports(running, all_seen=True)
            token = {"NextToken": answer["NextToken"]}
        return RunningExports(running, all_seen=False)

    def enable_recovery(self, table: str) -> None:
        """Switch point-in-time recovery on; where it is on, nothing changes.

        :raises TableMissingError: there is no such table.
        """
        wanted = {"PointInTimeRecoveryEnabled": True}
        self._call("update_continuous_backups", table, TableName=table, PointInTimeRecoverySpecification=wanted)

    def ttl_attribute(self, table: str) -> str | None:
        """Return the name of the TTL attribute, None while TTL is off."""
        description = self._call("describe_time_to_live", table, TableName=table)["TimeToLiveDescription"]
        if description.get("TimeToLiveStatus") in ("ENABLED", "ENABLING"):
            return str(description["AttributeName"])
        return None

    def require_filters(self) -> None:
        """Refuse where the installed botocore cannot ask for a filter: it would drop it without a word from the answers.

        :raises ConfigurationError: its model of ExportTableToPointInTime has no FilterSpecification.
        """
        model = self._client.meta.service_model.operation_model("ExportTableToPointInTime")
        if "FilterSpecification" not in model.input_shape.members:
            from botocore import __version__

            raise ConfigurationError(
                f"botocore {__version__}",
                "its model of ExportTableToPointInTime has no FilterSpecification, so no filtered export can be asked for",
                f"upgrade boto3 and botocore to {_FIRST_WITH_FILTERS} or newer where the DAG runs",
            )

    def start_export(self, request: ExportRequest, client_token: str) -> ExportDescription:
        """Ask for an export; with a token that DynamoDB knows, get the export that it started first.

        :raises PointInTimeRecoveryError: recovery is off, or does not reach the times asked for.
        :raises TableMissingError: no such table. :raises PermissionDeniedError: not allowed.
        :raises ExportThrottledError: to be tried again later. :raises ExportRefusedError: any other refusal.
        """
        answer = self._call("export_table_to_point_in_time", request.table_arn, **request.to_api(client_token))
        return describe(answer["ExportDescription"])

    def describe_export(self, export_arn: str) -> ExportDescription:
        """Return what DynamoDB says of an export.

        :raises ExportRefusedError: DynamoDB does not know it (any more).
        """
        return describe(self._call("describe_export", export_arn, ExportArn=export_arn)["ExportDescription"])

    def list_exports(self, table_arn: str) -> Iterator[str]:
        """Yield the ARNs of the table's exports of the last 90 days, newest first."""
        token: dict[str, str] = {}
        while True:
            answer = self._call("list_exports", table_arn, TableArn=table_arn, MaxResults=25, **token)
            yield from (summary["ExportArn"] for summary in answer.get("ExportSummaries", ()))
            if not answer.get("NextToken"):
                return
            token = {"NextToken": answer["NextToken"]}

    def _call(self, operation: str, thing: str, **parameters: Any) -> dict[str, Any]:
        try:
            with aws_errors(thing):
                answer: dict[str, Any] = getattr(self._client, operation)(**parameters)
        except DdbExportError as error:
            # Errors of AWS have a response; those of connections have none, or None.
            self._hear(getattr(error.__cause__, "response", None) or {})
            raise
        self._hear(answer)
        return answer

    def _hear(self, answer: Mapping[str, Any]) -> None:
        """Note what time it is by an answer that says so; a connection that broke brought none."""
        if date_header(answer):
            self._answered_at = answer_time(answer)
            self._skew = datetime.now(UTC) - self._answered_at


def describe(description: Mapping[str, Any]) -> ExportDescription:
    """Turn AWS's ExportDescription into ours.

    ExportType is missing where the request did not name it; then it is FULL_EXPORT.
    """
    incremental = description.get("IncrementalExportSpecification") or {}
    view = incremental.get("ExportViewType")
    specification = description.get("FilterSpecification")
    return ExportDescription(
        export_arn=description["ExportArn"],
        status=ExportStatus(description["ExportStatus"]),
        table_arn=description.get("TableArn"),
        table_id=description.get("TableId"),
        export_type=ExportType(description.get("ExportType") or ExportType.FULL_EXPORT),
        export_format=ExportFormat(description.get("ExportFormat") or ExportFormat.DYNAMODB_JSON),
        export_time=_utc(description.get("ExportTime")),
        start=_utc(incremental.get("ExportFromTime")),
        end=_utc(incremental.get("ExportToTime")),
        view=ExportViewType(view) if view else None,
        bucket=description.get("S3Bucket"),
        s3_prefix=description.get("S3Prefix"),
        bucket_owner=description.get("S3BucketOwner"),
        client_token=description.get("ClientToken"),
        start_time=_utc(description.get("StartTime")),
        end_time=_utc(description.get("EndTime")),
        item_count=description.get("ItemCount"),
        billed_bytes=description.get("BilledSizeBytes"),
        manifest_key=description.get("ExportManifest"),
        failure_code=description.get("FailureCode"),
        failure_message=description.get("FailureMessage"),
        export_filter=ExportFilter.from_api(specification) if specification else None,
    )


def _key_attributes(description: Mapping[str, Any]) -> tuple[str, ...]:
    # AWS gives HASH before RANGE; who relied on the order of an answer would not see it change.
    schema = sorted(description["KeySchema"], key=lambda each: str(each["KeyType"]))
    return tuple(each["AttributeName"] for each in schema)


def _index_bytes(description: Mapping[str, Any]) -> int:
    return sum(int(each.get("IndexSizeBytes", 0)) for each in description.get("LocalSecondaryIndexes", ()))


def _utc(moment: datetime | None) -> datetime | None:
    return require_utc(moment) if moment else None
