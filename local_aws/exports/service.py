"""The three export operations and the life of an export: accepted, running, COMPLETED or FAILED.

An export runs by real time (``--export-seconds``), whatever the lab's clock says, and tells times by that clock.
"""

from __future__ import annotations

import asyncio
import secrets
import uuid
from typing import Any

from local_aws import hooks
from local_aws.clock import DAY, HOUR, Clock, whole_seconds
from local_aws.continuous_backups import ContinuousBackups
from local_aws.exports import request as requests
from local_aws.exports.destination import Permitted, joined_prefix
from local_aws.exports.record import IN_PROGRESS, Export
from local_aws.exports.request import TABLE_ARN, ExportRequest
from local_aws.exports.run import ExportRun
from local_aws.exports.windows import full_period, incremental_period
from local_aws.faults import Faults
from local_aws.history import Histories, TableHistory
from local_aws.settings import SettingsByAccount
from local_aws.tables import Answer, ApiError, json_answer
from local_aws.time_to_live import TimeToLive

TOKEN_LIFETIME = 8 * HOUR
DESCRIPTION_LIFETIME = 90 * DAY
PAGE = 25


class Exports:
    """All exports of all accounts."""

    def __init__(
        self,
        *,
        clock: Clock,
        histories: Histories,
        backups: ContinuousBackups,
        time_to_live: TimeToLive,
        settings: SettingsByAccount,
        faults: Faults,
        permitted: Permitted,
        export_seconds: float,
    ) -> None:
        self._clock = clock
        self._histories = histories
        self._backups = backups
        self._time_to_live = time_to_live
        self._settings = settings
        self._faults = faults
        self._permitted = permitted
        self._export_seconds = export_seconds
        self._exports: dict[str, Export] = {}
        self._running: dict[str, asyncio.Task[None]] = {}

    def install(self) -> None:
        """Replace ministack's three operations. Call once."""
        dynamodb = hooks.dynamodb()
        dynamodb._export_table_to_point_in_time = self.start
        dynamodb._describe_export = self.describe
        dynamodb._list_exports = self.list_exports

    def of(self, account: str | None) -> list[Export]:
        """The exports of one account (None: of all), in the order in which they were accepted."""
        return [export for export in self._exports.values() if account in (None, export.account)]

    def forget(self, account: str | None) -> None:
        """Drop the exports of one account (None: of all) and stop those that run."""
        for export in self.of(account):
            del self._exports[export.arn]
            task = self._running.pop(export.arn, None)
            if task is not None:
                task.cancel()

    def start(self, data: dict[str, Any]) -> Answer:
        """ExportTableToPointInTime."""
        try:
            export = self._accept(requests.checked(data))
        except ApiError as error:
            return error.answer()
        return json_answer({"ExportDescription": export.description()})

    def describe(self, data: dict[str, Any]) -> Answer:
        """DescribeExport."""
        arn = data.get("ExportArn") or ""
        table_arn, separator, _export_id = arn.partition("/export/")
        if not separator or not TABLE_ARN.match(table_arn):
            return ApiError("ValidationException", "Invalid Export ARN").answer()
        export = self._exports.get(arn)
        account, region = hooks.responses().get_account_id(), hooks.responses().get_region()
        if export is None or (export.account, export.region) != (account, region) or self._is_old(export):
            return ApiError("ExportNotFoundException", f"Export not found: {arn}").answer()
        return json_answer({"ExportDescription": export.description()})

    def list_exports(self, data: dict[str, Any]) -> Answer:
        """ListExports: newest first; by table only while that very table exists."""
        size = data.get("MaxResults", PAGE)
        if not isinstance(size, int) or not 1 <= size <= PAGE:
            bound = (
                "less than or equal to 25" if isinstance(size, int) and size > PAGE else "greater than or equal to 1"
            )
            return ApiError(
                "ValidationException",
                f"1 validation error detected: Value '{size}' at 'maxResults' failed to satisfy constraint: "
                f"Member must have value {bound}",
            ).answer()
        found = self._listed(data.get("TableArn"))
        after = data.get("NextToken")
        if after is not None:
            # ASSUMPTION: the token is opaque; here it is the last ARN of the page before.
            found = [export for export in found if export.arn < after]
        answer: dict[str, Any] = {"ExportSummaries": [export.summary() for export in found[:size]]}
        if len(found) > size:
            answer["NextToken"] = found[size - 1].arn
        return json_answer(answer)

    def _listed(self, table_arn: str | None) -> list[Export]:
        account, region = hooks.responses().get_account_id(), hooks.responses().get_region()
        found = [
            export
            for export in self.of(account)
            if export.region == region
            and not self._is_old(export)
            and (table_arn is None or self._belongs_to(export, table_arn))
        ]
        return sorted(found, key=lambda export: export.arn, reverse=True)

    def _belongs_to(self, export: Export, table_arn: str) -> bool:
        if export.request["TableArn"] != table_arn:
            return False
        table = hooks.dynamodb()._tables.get(export.request.table_name)
        return table is not None and str(table["TableId"]) == export.table_id

    def _is_old(self, export: Export) -> bool:
        return self._clock.now(export.account) - export.start > DESCRIPTION_LIFETIME

    def _accept(self, request: ExportRequest) -> Export:
        account = str(hooks.responses().get_account_id())
        region = str(hooks.responses().get_region())
        if request.account != account:
            raise ApiError("AccessDeniedException", "Access is denied")
        # ASSUMPTION: the token is looked at before the table, so that a replay also answers after DeleteTable.
        replayed = self._replayed(request, account, region)
        if replayed is not None:
            return replayed
        # The region in the ARN is ignored (probe of the live service).
        table = hooks.dynamodb()._tables.get(request.table_name)
        if table is None:
            raise ApiError("TableNotFoundException", f"Table not found: {request['TableArn']}")
        self._time_to_live.sweep(account)
        history = self._histories.of(table)
        settings = self._settings.of(account)
        recovery = self._backups.of(history.table_id)
        now = self._clock.now(account)
        rules = incremental_period if request.incremental else full_period
        period = rules(request, history, recovery, settings, now)
        self._check_limit(request, account, region, settings.concurrent_exports)
        start = whole_seconds(now) if request.incremental else now - now % 1000
        export_id = f"{start // 1000:014d}-{secrets.token_hex(4)}"
        export = Export(
            arn=f"{history.table_arn}/export/{export_id}",
            table_id=history.table_id,
            region=region,
            account=account,
            request=request,
            period=period,
            token=request["ClientToken"] or str(uuid.uuid4()),
            start=start,
            folder=f"{joined_prefix(request['S3Prefix'])}AWSDynamoDB/{export_id}/",
        )
        self._exports[export.arn] = export
        self._run(export, history)
        return export

    def _replayed(self, request: ExportRequest, account: str, region: str) -> Export | None:
        """The export that this token began, unless it ended more than eight hours ago."""
        token = request["ClientToken"]
        for export in reversed(self.of(account)):
            if token is None or export.token != token or export.region != region:
                continue
            if export.end is not None and self._clock.now(account) - export.end > TOKEN_LIFETIME:
                return None
            # ASSUMPTION: a default that is spelled out counts as another parameter.
            if export.request.parameters != request.parameters:
                raise ApiError(
                    "ExportConflictException",
                    "Export conflict: Duplicate request detected with conflicting parameters",
                )
            return export
        return None

    def _check_limit(self, request: ExportRequest, account: str, region: str, limit: int) -> None:
        running = sum(
            export.status == IN_PROGRESS
            and export.region == region
            and export.request.incremental == request.incremental
            for export in self.of(account)
        )
        if running >= limit:
            # ASSUMPTION: the text; the quota is 300 full and again 300 incremental exports at once.
            raise ApiError(
                "LimitExceededException",
                f"Subscriber limit exceeded: There is a limit of {limit} concurrent exports per account and region",
            )

    def _run(self, export: Export, history: TableHistory) -> None:
        settings = self._settings.of(export.account)
        seconds = self._export_seconds if settings.export_seconds is None else settings.export_seconds
        run = ExportRun(
            export=export,
            history=history,
            settings=settings,
            clock=self._clock,
            faults=self._faults,
            permitted=self._permitted,
            seconds=seconds,
        )
        task = asyncio.get_running_loop().create_task(run.run(), name=f"export {export.export_id}")
        self._running[export.arn] = task
        task.add_done_callback(lambda _done: self._running.pop(export.arn, None))
