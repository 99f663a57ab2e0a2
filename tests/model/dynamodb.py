"""DynamoDB's actions that the provider uses, in the shape of a boto3 client: same parameters, same answers, same refusals.

Rules and texts are those that probes of the live service and AWS's Developer Guide show (ExportTableToPointInTime, point-in-time recovery).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from email.utils import format_datetime
from functools import cache
from typing import Any

from botocore.exceptions import ClientError
from botocore.session import get_session

from tests.model.store import Caller
from tests.model.table import TTL_ATTRIBUTE, Table
from tests.model.world import LATEST_LAG, REMEMBERED, TABLE_ARN, TABLE_NAME, TOKEN_LIFETIME, Export, World

_SHORTEST = timedelta(minutes=15)
_LONGEST = timedelta(hours=24)


@cache
def _meta() -> Any:
    """Return what botocore itself says of DynamoDB's actions."""
    return get_session().create_client("dynamodb", "us-east-1").meta


class DynamoDBClient:
    """A client of the model, as one worker has it.

    :param world: what is behind it. :param caller: who calls.
    """

    def __init__(self, world: World, caller: Caller) -> None:
        self._world = world
        self._caller = caller
        self.meta = _meta()

    def describe_table(self, TableName: str) -> dict[str, Any]:  # noqa: N803  # boto3's
        def effect() -> dict[str, Any]:
            table = self._table(TableName, "DescribeTable")
            description = {
                "TableArn": TABLE_ARN,
                "TableId": table.table_id,
                "TableSizeBytes": 1000,
                "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            }
            return self._answer(Table=description)

        return self._call("DescribeTable", effect)

    def describe_continuous_backups(self, TableName: str) -> dict[str, Any]:  # noqa: N803
        def effect() -> dict[str, Any]:
            table = self._table(TableName, "DescribeContinuousBackups")
            earliest = table.earliest_restorable(self._world.now)
            status: dict[str, Any] = {"PointInTimeRecoveryStatus": "ENABLED" if earliest else "DISABLED"}
            if earliest:
                status["EarliestRestorableDateTime"] = _whole(earliest)
                status["LatestRestorableDateTime"] = _whole(self._world.now - LATEST_LAG)
                status["RecoveryPeriodInDays"] = table.period.days
            return self._answer(
                ContinuousBackupsDescription={
                    "ContinuousBackupsStatus": "ENABLED",
                    "PointInTimeRecoveryDescription": status,
                }
            )

        return self._call("DescribeContinuousBackups", effect)

    def describe_time_to_live(self, TableName: str) -> dict[str, Any]:  # noqa: N803
        def effect() -> dict[str, Any]:
            self._table(TableName, "DescribeTimeToLive")
            description = {"TimeToLiveStatus": "ENABLED", "AttributeName": TTL_ATTRIBUTE}
            return self._answer(TimeToLiveDescription=description)

        return self._call("DescribeTimeToLive", effect)

    def export_table_to_point_in_time(self, **parameters: Any) -> dict[str, Any]:
        def effect() -> dict[str, Any]:
            return self._answer(ExportDescription=dict(self._start(parameters).description))

        return self._call("ExportTableToPointInTime", effect)

    def describe_export(self, ExportArn: str) -> dict[str, Any]:  # noqa: N803
        def effect() -> dict[str, Any]:
            export = self._world.export_of(ExportArn)
            if export is None or export.started < self._world.now - REMEMBERED:
                raise refusal("DescribeExport", "ExportNotFoundException", f"Export not found: {ExportArn}")
            return self._answer(ExportDescription=dict(export.description))

        return self._call("DescribeExport", effect)

    def list_exports(self, TableArn: str, MaxResults: int, NextToken: str | None = None) -> dict[str, Any]:  # noqa: N803
        def effect() -> dict[str, Any]:
            oldest = self._world.now - REMEMBERED
            known = [each for each in self._world.exports if each.table is self._world.table and each.started >= oldest]
            arns = sorted((each.arn for each in known if each.parameters), reverse=True)
            first = int(NextToken or 0)
            page = [{"ExportArn": arn} for arn in arns[first : first + MaxResults]]
            more = {"NextToken": str(first + MaxResults)} if len(arns) > first + MaxResults else {}
            return self._answer(ExportSummaries=page, **more)

        return self._call("ListExports", effect)

    def _call(self, operation: str, effect: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self._caller.call("dynamodb", operation, effect)
        return answer

    def _answer(self, **members: Any) -> dict[str, Any]:
        date = format_datetime(_whole(self._world.now), usegmt=True)
        return {**members, "ResponseMetadata": {"HTTPHeaders": {"date": date}}}

    def _table(self, name: str, operation: str) -> Table:
        if name not in (TABLE_NAME, TABLE_ARN) or self._world.table is None:
            raise refusal(
                operation, "ResourceNotFoundException", f"Requested resource not found: Table: {name} not found"
            )
        return self._world.table

    def _start(self, parameters: dict[str, Any]) -> Export:
        world = self._world
        asked = {name: value for name, value in parameters.items() if name != "TableArn"}
        token = asked["ClientToken"]
        expires, known = world.tokens.get(token, (world.now, None))
        if known and world.now < expires:
            if known.parameters != asked:
                raise _export_refusal(
                    "ExportConflictException", "Export conflict: Duplicate request detected with conflicting parameters"
                )
            return known
        if world.refusals:
            raise _export_refusal(world.refusals.pop(0), "Subscriber limit exceeded, or rate exceeded")
        self._require_times(asked)
        export = world.accept(asked)
        world.tokens[token] = (world.now + TOKEN_LIFETIME, export)
        return export

    def _require_times(self, asked: dict[str, Any]) -> None:
        world, table = self._world, self._table(TABLE_ARN, "ExportTableToPointInTime")
        earliest = table.earliest_restorable(world.now)
        specification = asked.get("IncrementalExportSpecification")
        if earliest is None:
            raise _export_refusal(
                "PointInTimeRecoveryUnavailableException",
                f"Point in time recovery is not enabled for table '{TABLE_NAME}'",
            )
        if specification is None:
            if not _whole(earliest) <= asked["ExportTime"] <= world.now - LATEST_LAG:
                raise _bad_time("Point in Time Recovery is not available for specified export time")
            return
        start, end = specification["ExportFromTime"], specification["ExportToTime"]
        if start < _whole(earliest):
            raise _bad_time("Incremental export period from time is before the earliest restorable time")
        if end > world.now:
            raise _bad_time("Incremental export period to time cannot be greater than the current time")
        if not _SHORTEST <= end - start <= _LONGEST:
            raise _bad_time("Difference between export period from time and export period to time is not allowed")


def refusal(operation: str, code: str, message: str, status: int = 400) -> ClientError:
    """Return what botocore raises for a refusal."""
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(response, operation)


def _export_refusal(code: str, message: str) -> ClientError:
    return refusal("ExportTableToPointInTime", code, message)


def _bad_time(message: str) -> ClientError:
    return _export_refusal("InvalidExportTimeException", message)


def _whole(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)
