"""The operator that proves an export whole before anyone may rely on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ddb_export.domain.cost import size_in_words
from ddb_export.domain.export import ExportStatus
from ddb_export.domain.metrics import BILLED_BYTES, BYTES, ITEMS, Stage
from ddb_export.domain.planning import RunKind
from ddb_export.domain.progress import counted
from ddb_export.domain.search_words import words_of_entry
from ddb_export.domain.utc import iso
from ddb_export.exceptions import ExportError, TableMissingError, UsageError
from ddb_export.metrics import tell_count
from ddb_export.operators.base import LakeOperator
from ddb_export.operators.runs import EXPORT_END_KEY, own_key, run_kind
from ddb_export.pipeline.exports import Exports
from ddb_export.pipeline.standing import noting_damage
from ddb_export.pipeline.tasks import TableWork
from ddb_export.pipeline.verification import VerificationLevel

if TYPE_CHECKING:
    from airflow.sdk import Context

    from ddb_export.domain.export import ExportDescription
    from ddb_export.domain.ledger import Claim


class VerifyExportOperator(LakeOperator):
    """Verifies a COMPLETED export against what was claimed, and writes the evidence into the ledger.

    Level ``bytes`` reads every file (MD5, lines); level ``manifest`` needs no permission to read data: MD5s of the manifests, counts, and
    each file's size and ETag from a listing. Nothing is recorded unless everything holds.

    Returns a flat summary: ``export, export_arn, level, files, items, bytes, billed_bytes, export_end``; ``export_end`` is an XCom of
    its own too.

    :param export: what :class:`~ddb_export.operators.export.DynamoDBExportOperator` returned, or the name of the attempt.
    :param level: ``bytes`` or ``manifest``.
    """

    template_fields: Sequence[str] = (*LakeOperator.template_fields, "export", "level")
    ui_color = "#9ecae1"
    stage = Stage.VERIFY

    def __init__(self, *, export: Any, level: str = VerificationLevel.BYTES, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.export = export
        self.level = level

    def execute(self, context: Context) -> dict[str, Any]:
        """Verify, record, and hand over the end of what was verified.

        :raises VerificationError: something does not hold. :raises ExportError: the attempt has no export yet.
        """
        name = self.export.get("export") if isinstance(self.export, Mapping) else self.export
        if not name:
            raise UsageError(f"task {self.task_id}", "no export was handed over", "run the export task first")
        claim = self.claim_of(str(name))
        entry = self.ledger.verified_entry(claim.export)
        if entry is None:
            dynamodb = self.hook.dynamodb
            description = self._description(claim)
            if description.status is not ExportStatus.COMPLETED:
                raise ExportError(
                    f"export {description.export_arn}",
                    f"it is {description.status}, and only a COMPLETED export can be verified",
                    "wait for it with the export operator or the sensor, then clear this task",
                )
            ttl_attribute = self._ttl_attribute(claim)
            work = TableWork(self.ledger, self.store)
            now = dynamodb.answered_at
            with noting_damage(self.ledger, claim, now):
                entry = work.verify(claim, description, ttl_attribute, now, VerificationLevel(self.level))
            tell_count(ITEMS, entry.item_count, table=self.lake_name)
            tell_count(BYTES, entry.bytes_read, table=self.lake_name)
            tell_count(BILLED_BYTES, entry.billed_bytes, table=self.lake_name)
        end = entry.end or entry.export_time
        key = EXPORT_END_KEY if run_kind(context) is RunKind.SCHEDULED else own_key(context, EXPORT_END_KEY)
        if end:
            context["ti"].xcom_push(key=key, value=iso(end))
        size, billed = size_in_words(entry.bytes_read), size_in_words(entry.billed_bytes)
        amount = f"{counted(entry.files, 'file')}, {counted(entry.item_count, 'item')}, {size}, {billed} billed"
        self.say(f"verified at level {entry.level}: {amount}", words_of_entry(self.lake_name, entry))
        return {
            "export": entry.export,
            "export_arn": entry.export_arn,
            "level": entry.level,
            "files": entry.files,
            "items": entry.item_count,
            "bytes": entry.bytes_read,
            "billed_bytes": entry.billed_bytes,
            "export_end": iso(end) if end else None,
        }

    def _ttl_attribute(self, claim: Claim) -> str | None:
        """Return the table's TTL attribute; an export outlives its table, whose TTL nobody can tell any more."""
        try:
            return self.hook.dynamodb.ttl_attribute(claim.request.table_arn)
        except TableMissingError:
            self.log.info("%s is gone; its exports are verified without knowing its TTL", claim.request.table_arn)
            return None

    def _description(self, claim: Claim) -> ExportDescription:
        """Describe the export, found by its claim where only the name of the attempt was handed over."""
        if isinstance(self.export, Mapping) and self.export.get("export_arn"):
            return self.hook.dynamodb.describe_export(str(self.export["export_arn"]))
        description = Exports(self.hook.dynamodb, self.store).find(claim)
        if description is None:
            raise ExportError(
                f"export {claim.export}", "DynamoDB has no export for its claim", "run the export task first"
            )
        return description
