"""One export at work: files and manifests into S3 in AWS's order, then COMPLETED; or FAILED, late, with its code."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from local_aws import hooks
from local_aws.clock import Clock
from local_aws.exports import contents, package
from local_aws.exports.damage import Damages
from local_aws.exports.destination import Destination, ExportFailureError, Permitted
from local_aws.exports.package import DataFile
from local_aws.exports.record import COMPLETED, FAILED, Export
from local_aws.faults import Faults
from local_aws.history import TableHistory
from local_aws.settings import Settings

logger = logging.getLogger("local_aws.exports")


class ExportRun:
    """Runs one accepted export; changes its record only at the end (a finished record never changes)."""

    def __init__(
        self,
        *,
        export: Export,
        history: TableHistory,
        settings: Settings,
        clock: Clock,
        faults: Faults,
        permitted: Permitted,
        seconds: float,
    ) -> None:
        self._export = export
        self._history = history
        self._settings = settings
        self._clock = clock
        self._faults = faults
        self._due = time.monotonic() + seconds
        request = export.request
        self._subject: dict[str, Any] = {
            "table": request.table_name,
            "export_type": request.export_type,
            "bucket": request["S3Bucket"],
            "prefix": request["S3Prefix"] or "",
            "client_token": export.token,
            "export_arn": export.arn,
        }
        self._destination = Destination(
            account=export.account,
            region=export.region,
            bucket=request["S3Bucket"],
            bucket_owner=request["S3BucketOwner"],
            sse_algorithm=request["S3SseAlgorithm"] or "AES256",
            kms_key=request["S3SseKmsKeyId"],
            part_bytes=settings.part_bytes,
            permitted=permitted,
        )

    async def run(self) -> None:
        """Carry the export to its terminal state."""
        try:
            await self._write()
        except ExportFailureError as failure:
            await self._wait_until_due()
            self._fail(failure)
        except Exception as error:
            logger.exception("the lab could not make the export %s", self._export.arn)
            self._fail(ExportFailureError("UNKNOWN", f"the lab could not make this export: {error!r}"))

    async def _write(self) -> None:
        planned_failure = self._claim("fail_export")
        self._destination.check_access()
        if self._settings.started_marker:
            await self._destination.put(self._export.folder + "_started", b"")
        files, size = await asyncio.to_thread(self._data_files)
        limit = planned_failure.get("after_files", 0) if planned_failure else len(files)
        damages = Damages(self._faults.claim_all("damage_file", self._export.account, self._subject), files)
        for number, file in enumerate(files[:limit]):
            body = damages.data_body(number, file)
            if body is not None:
                await self._destination.put_in_parts(file.key, body)
        await self._wait_until_due()
        if planned_failure is not None:
            # ASSUMPTION: FailureMessage is free text.
            message = planned_failure.get("message") or "The lab was asked to fail this export"
            raise ExportFailureError(planned_failure.get("code") or "UNKNOWN", message)
        self._check_table_still_there()
        await self._finish(files, size, damages)

    def _data_files(self) -> tuple[list[DataFile], int]:
        export, settings = self._export, self._settings
        if export.request.incremental:
            folder = export.folder.removesuffix(export.export_id + "/") + "data/"
            records = contents.incremental_records(self._history, export.period, settings)
        else:
            folder = export.folder + "data/"
            records = contents.full_records(self._history, export.period)
        specification = export.request["FilterSpecification"]
        if specification:
            records = contents.filtered(records, specification)
        export_format = export.request["ExportFormat"] or "DYNAMODB_JSON"
        return package.data_files(records, folder, export_format, export.request.view, settings)

    async def _finish(self, files: list[DataFile], size: int, damages: Damages) -> None:
        export, settings = self._export, self._settings
        export.items = sum(file.item_count for file in files)
        export.billed = package.billed_bytes(size, incremental=export.request.incremental)
        end = max(self._clock.now(export.account), export.start)
        lines = damages.manifest_files(package.manifest_files(files))
        summary = damages.manifest_summary(package.manifest_summary(export.for_manifest(), end, settings))
        for name, manifest in (("manifest-files", lines), ("manifest-summary", summary)):
            if manifest.stored is not None:
                await self._destination.put(f"{export.folder}{name}.json", manifest.stored)
            for object_name, body in package.checksum_objects(name, manifest.hashed, settings):
                stored = damages.checksum_body(object_name, body)
                if stored is not None:
                    await self._destination.put(export.folder + object_name, stored)
        export.files = [file.key for file in files]
        prefix_in_key = settings.manifest_key_includes_prefix
        folder = export.folder if prefix_in_key else f"AWSDynamoDB/{export.export_id}/"
        export.manifest = f"{folder}manifest-summary.json"
        export.end = end
        export.status = COMPLETED

    def _fail(self, failure: ExportFailureError) -> None:
        export = self._export
        export.failure_code, export.failure_message = failure.code, failure.message
        export.end = max(self._clock.now(export.account), export.start)
        export.status = FAILED

    def _check_table_still_there(self) -> None:
        if self._settings.deleted_table_export == "COMPLETED":
            return
        table = hooks.dynamodb()._tables.get_scoped(
            self._export.account, self._export.region, self._export.request.table_name
        )
        if table is None or str(table["TableId"]) != self._export.table_id:
            # ASSUMPTION: code and text; probes saw such exports end either way.
            raise ExportFailureError("UNKNOWN", "The table was deleted while the export was running")

    async def _wait_until_due(self) -> None:
        delay = self._claim("delay_export")
        if delay is not None:
            self._due += delay.get("seconds", 0)
            if delay.get("hold"):
                await delay.wait_for_release()
        await asyncio.sleep(max(0.0, self._due - time.monotonic()))

    def _claim(self, kind: str) -> Any:
        return self._faults.claim(kind, self._export.account, self._subject)
