"""The operator that says whether a table's runs will work: ``ddb-export doctor`` as a task of one's own DAG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ddb_export.config.contract import ContractConfiguration
from ddb_export.config.retention import RetentionConfiguration
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
    :param outputs: outputs that are published, ``raw`` among them, as in YAML.
    :param views: whether helper views are kept. :param contract: what is fixed about the columns, as in YAML: its entities have views too.
    :param partition_index: whether Glue tables get an index of their partitions.
    :param kms_key: KMS key of the exported files.
    :param workgroup: Athena workgroup that checks what was published.
    :param output_location: ``s3://`` folder of Athena's results; empty for ``athena-results/`` below the table's folder.
    :param windows_at_once: windows of one run that are exported side by side.
    :param retention: how long raw exports are kept and how they are tagged, as in YAML: the bucket's rules may be about these tags.
    """

    template_fields: Sequence[str] = (
        *LakeOperator.template_fields,
        "table",
        "database",
        "kms_key",
        "workgroup",
        "output_location",
    )
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
        views: bool = False,
        contract: Mapping[str, Any] | None = None,
        partition_index: bool = False,
        workgroup: str = "primary",
        output_location: str = "",
        windows_at_once: int = 4,
        retention: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.database = database
        self.schedule = schedule
        self.timezone = timezone
        self.outputs = tuple(outputs)
        self.kms_key = kms_key
        self.views = views
        self.contract = dict(contract or {})
        self.partition_index = partition_index
        self.workgroup = workgroup
        self.output_location = output_location
        self.windows_at_once = windows_at_once
        self.retention = dict(retention or {})

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Examine the table.

        :raises PreflightError: something fails; the first of it, with its remedy.
        :raises NotReachableError: neither STS nor DynamoDB can be reached, so that nothing can be said of the table.
        """
        from ddb_export.domain.doctor import Level
        from ddb_export.pipeline.doctor import Doctor

        findings = Doctor(self.hook.client, self.declared).examine()
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
    def declared(self) -> Declared:
        """What is examined.

        :raises ConfigurationError: the contract, or the retention, cannot be used.
        """
        from ddb_export.domain.doctor import Declared

        return Declared.of(
            glue_name=glue_name(self.lake_name),
            outputs=self.outputs,
            views=self.views,
            entity_views=ContractConfiguration.declare(self.contract).entity_views,
            name=self.lake_name,
            table=self.table,
            bucket=self.bucket,
            folder=self.lake.root,
            database=self.database,
            partition_index=self.partition_index,
            bucket_owner=self.bucket_owner,
            kms_key=self.kms_key,
            schedule=self.schedule,
            timezone=self.timezone,
            workgroup=self.workgroup,
            athena_output=self.output_location,
            windows_at_once=self.windows_at_once,
            retention=RetentionConfiguration.declare(self.retention).retention,
        )
