"""The operator that says whether a table's runs will work: ``ddb-export doctor`` as a task of one's own DAG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ddb_export.domain.layout import glue_name
from ddb_export.exceptions import PreflightError
from ddb_export.operators.base import LakeOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from ddb_export.domain.doctor import Declared


class PreflightOperator(LakeOperator):
    """Asks AWS for everything that has to be right, logs each finding, and fails if one of them keeps runs from working.

    It changes nothing and costs nothing. Returns the findings, a flat object each: ``check, level, found, remedy, fix``.

    :param table: name or ARN of the DynamoDB table.
    :param database: Glue database of the tables.
    :param schedule: cron expression of the runs; None for a table that runs by hand.
    :param timezone: IANA time zone of the cron expression.
    :param outputs: typed outputs that are published.
    :param kms_key: KMS key of the exported files.
    :param workgroup: Athena workgroup that checks what was published.
    :param windows_at_once: windows of one run that are exported side by side.
    """

    template_fields: Sequence[str] = (*LakeOperator.template_fields, "table", "database", "kms_key", "workgroup")
    ui_color = "#dbe9f6"

    def __init__(
        self,
        *,
        table: str,
        database: str,
        schedule: str | None = None,
        timezone: str = "UTC",
        outputs: Sequence[str] = ("snapshots", "changes"),
        kms_key: str | None = None,
        workgroup: str = "primary",
        windows_at_once: int = 4,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.database = database
        self.schedule = schedule
        self.timezone = timezone
        self.outputs = tuple(outputs)
        self.kms_key = kms_key
        self.workgroup = workgroup
        self.windows_at_once = windows_at_once

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Examine the table.

        :raises PreflightError: something fails; the first of it, with its remedy.
        """
        from ddb_export.domain.doctor import Level
        from ddb_export.pipeline.doctor import Doctor

        findings = Doctor(self.hook.client, self._declared).examine()
        say = {Level.OK: self.log.info, Level.WARN: self.log.warning, Level.FAIL: self.log.error}
        for finding in findings:
            remedy = f". Remedy: {finding.remedy}" if finding.remedy else ""
            say[finding.level]("%s %s: %s%s", finding.level, finding.check, finding.found, remedy)
        failed = [finding for finding in findings if finding.level is Level.FAIL]
        if failed:
            more = f" (and {len(failed) - 1} more, see the log)" if len(failed) > 1 else ""
            raise PreflightError(f"{self.lake_name}, {failed[0].check}", failed[0].found + more, failed[0].remedy)
        return [finding.to_json() for finding in findings]

    @property
    def _declared(self) -> Declared:
        from ddb_export.domain.doctor import Declared

        return Declared(
            name=self.lake_name,
            table=self.table,
            bucket=self.bucket,
            folder=self.lake.root,
            database=self.database,
            typed_tables={output: f"{glue_name(self.lake_name)}_{output}" for output in self.outputs},
            bucket_owner=self.bucket_owner,
            kms_key=self.kms_key,
            schedule=self.schedule,
            timezone=self.timezone,
            workgroup=self.workgroup,
            windows_at_once=self.windows_at_once,
        )
