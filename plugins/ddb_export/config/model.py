"""One table as its users declare it: every key, its default and its limits, and the names that follow.

The names are a contract: other people's queries, dashboards and permissions rely on the DAG id, the lake's
folder and the Glue tables that are derived here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ddb_export.config import fields
from ddb_export.config.alerts import AlertConfiguration
from ddb_export.config.catalog import GlueConfiguration
from ddb_export.config.compaction import CompactionConfiguration
from ddb_export.config.contract import ContractConfiguration
from ddb_export.config.durations import format_duration
from ddb_export.config.explain import explain
from ddb_export.config.filters import FilterConfiguration
from ddb_export.config.problems import refuse
from ddb_export.config.retention import RetentionConfiguration
from ddb_export.domain.cost import AMOUNT_PATTERN
from ddb_export.domain.export_filter import ExportFilter
from ddb_export.domain.schedule import longest_interval
from ddb_export.exceptions import ConfigurationError

DAG_ID_PREFIX = "ddb_export__"
GLUE_SUFFIXES: Mapping[str, str] = {
    "snapshots": "_snapshots",
    "changes": "_changes",
    "current": "",
    "archive": "_archive",
    "raw_snapshots": "_raw_snapshots",
    "raw_changes": "_raw_changes",
    "latest": "_latest",
    "history": "_history",
    "overflow": "_overflow",
}
"""What follows a table's Glue name, for each output and helper view of the lake; taken whether they are asked for or not."""

NULL_MEANS_DEFAULT = ("name", "region")
"""Keys whose default follows from the table, written as null."""

_ARN = re.compile(r"arn:[^:]+:dynamodb:([^:]+):([^:]+):table/(.+)")


def _name_of(table: str) -> str:
    match = _ARN.fullmatch(table)
    return match.group(3) if match else table


def _region_of(table: str) -> str | None:
    match = _ARN.fullmatch(table)
    return match.group(1) if match else None


def _account_of(table: str) -> str | None:
    match = _ARN.fullmatch(table)
    return match.group(2) if match else None


class AthenaConfiguration(BaseModel):
    """How Athena is asked about what was published."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)

    workgroup: fields.Workgroup = Field("primary", description="Athena workgroup that runs the queries.")
    output_location: fields.OutputLocation = Field(
        None,
        description="Folder in S3 for Athena's results; by default athena-results/ in the table's folder.",
    )


class BudgetConfiguration(BaseModel):
    """What exports may cost; a run that would cost more is stopped before it starts any."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)

    run: fields.Amount | None = Field(None, description="Most that one run may cost, in USD; null for no limit.")
    month: fields.Amount | None = Field(
        None, description="Most that the table's exports of a month (UTC) may cost, in USD; null for no limit."
    )

    @model_validator(mode="before")
    @classmethod
    def _says_of_what(cls, data: Any) -> Any:
        if re.fullmatch(AMOUNT_PATTERN, str(data)):
            refuse("does not say what it limits", f"write budget: {{run: {data}}}")
        return data


class PriceConfiguration(BaseModel):
    """Prices in USD that replace those which the package knows."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)

    full_export_per_gb: fields.Amount | None = Field(
        None, description="A full export, in USD per GB of table and local secondary indexes."
    )
    incremental_export_per_gb: fields.Amount | None = Field(
        None, description="An incremental export, in USD per GB processed."
    )
    s3_put_per_thousand: fields.Amount | None = Field(None, description="A thousand requests that write to S3, in USD.")
    athena_per_tb: fields.Amount | None = Field(None, description="Athena, in USD per TB that a query reads.")


class TableConfiguration(BaseModel):
    """One DynamoDB table, where its exports go and when.

    All times are aware UTC. Made from YAML by :func:`ddb_export.config.loader.load_tables`, or in Python by
    :meth:`declare`, whose errors are one line each; the constructor raises pydantic's own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)

    table: fields.TableReference = Field(description="Name or ARN of the DynamoDB table.")
    bucket: fields.Bucket = Field(description="S3 bucket of the lake.")
    prefix: fields.Prefix = Field(description="Folder of the lake inside the bucket; '' for none.")
    database: fields.Database = Field(description="Glue database that the tables are registered in.")
    schedule: fields.Schedule = Field(
        description="Cron expression or preset that cuts the windows (at least 15 minutes); null: by hand only."
    )
    start_date: fields.Instant = Field(description="First time that the schedule may cover; without a zone it is UTC.")

    name: fields.LakeName = Field(
        default_factory=lambda given: _name_of(given["table"]),
        description="Name in DAG id, folder and Glue; unique over all tables. Default: the table's own name.",
    )
    timezone: fields.TimeZone = Field("UTC", description="IANA time zone of the schedule's wall clock.")
    catchup: fields.Switch = Field(
        False,
        description="Make a run for every interval since start_date; without it one run covers them all.",
    )
    base_time: fields.WholeMinute = Field(
        None, description="Time of the first full export; default: the end of the first run's interval."
    )
    export_view: fields.View = Field(
        "NEW_AND_OLD_IMAGES", description="What an incremental export holds of each changed item."
    )
    filter: FilterConfiguration | None = Field(
        None, description="What of the table is exported; null: all of it. A filtered lake is no replica of its table."
    )
    region: fields.Region = Field(
        default_factory=lambda given: _region_of(given["table"]),
        description="AWS region of the table; default: that of its ARN, else that of the connection.",
    )
    bucket_owner: fields.AccountId = Field(
        None, description="Account that owns the bucket; needed if it is another than the table's."
    )
    kms_key: fields.KmsKey = Field(
        None, description="KMS key for the exported objects (SSE-KMS); default: S3's own keys (AES256)."
    )
    aws_conn_id: fields.ConnectionId = Field(
        "aws_default", description="Airflow connection; null: the AWS default credentials."
    )
    role_arn: fields.RoleArn = Field(
        None,
        description="Role of the table's account to assume over the connection; null: what the connection says.",
    )
    settle: fields.Settle = Field(timedelta(minutes=5), description="How long after its end a window is asked for.")
    poll_interval: fields.PollInterval = Field(
        timedelta(seconds=30), description="How often a waiting run asks for an export's state."
    )
    outputs: fields.Outputs = Field(
        ("snapshots", "changes"),
        description="What the lake publishes; raw registers the exports as they are, without reading them.",
    )
    contract: ContractConfiguration = Field(
        ContractConfiguration(), description="What is fixed about the columns; default: all follows from the data."
    )
    glue: GlueConfiguration = Field(GlueConfiguration(), description="How tables stand in the Glue catalog.")
    views: fields.Switch = Field(
        False, description="Keep helper views in Athena: the latest state, the history of a key, and what overflowed."
    )
    athena: AthenaConfiguration = Field(AthenaConfiguration(), description="How Athena is asked.")
    budget: BudgetConfiguration = Field(BudgetConfiguration(), description="What exports may cost.")
    prices: PriceConfiguration = Field(
        PriceConfiguration(), description="Prices of estimates; default: AWS's, as the package knows them."
    )
    retention: RetentionConfiguration = Field(
        RetentionConfiguration(), description="How long raw exports are kept, and where; default: all stays as it is."
    )
    sla: fields.Sla = Field(
        None, description="How old the data may become, by how far it is complete; null: nothing is promised."
    )
    alerts: AlertConfiguration = Field(
        AlertConfiguration(), description="Who is told of data that is late, and of what threatens it."
    )
    on_chain_end: fields.WhenChainEnds = Field(
        "fail",
        description="What to do where windows cannot follow any more: fail, or begin anew with a full export.",
    )
    widening: fields.WideningPolicy = Field(
        "by_request",
        description="When columns that have become too narrow are widened: by request, or by each run within the budget.",
    )
    compaction: CompactionConfiguration = Field(
        CompactionConfiguration(), description="When many small files become few large ones, and how large."
    )
    pool: fields.Text = Field("default_pool", description="Airflow pool of the tasks.")
    queue: fields.Text | None = Field(None, description="Executor queue of the tasks; null: Airflow's default.")
    retries: fields.Retries = Field(3, description="How often Airflow tries a failed task again.")
    retry_delay: fields.RetryDelay = Field(timedelta(minutes=5), description="How long Airflow waits before it does.")
    owner: fields.Text = Field("airflow", description="Owner of the DAG, as Airflow shows it.")
    tags: fields.Tags = Field((), description="Tags of the DAG.")
    paused_at_creation: fields.Switch = Field(True, description="Whether a new DAG waits for its first unpause.")
    file_groups: fields.FileGroups = Field(
        4, description="Mapped tasks that convert the files of one export side by side."
    )
    max_active_windows: fields.ActiveWindows = Field(
        4, description="Windows of one run that are exported side by side."
    )

    @classmethod
    def declare(cls, **keys: object) -> Self:
        """Make a table in Python, with the errors of the YAML files.

        :param keys: the fields of this class; durations also as text, times as aware datetimes or text.
        :raises ConfigurationError: the first thing that is wrong, in one line.
        """
        try:
            return cls.model_validate(keys)
        except ValidationError as error:
            found = explain(cls, error, lambda _: None)[0]
            raise ConfigurationError(f"table {keys.get('table')!r}", found.cause, found.remedy) from None

    @model_validator(mode="before")
    @classmethod
    def _null_table_name_means_default(cls, data: Any) -> Any:
        if isinstance(data, dict):
            return {key: value for key, value in data.items() if value is not None or key not in NULL_MEANS_DEFAULT}
        return data

    @model_validator(mode="after")
    def _regions_agree(self) -> Self:
        region = _region_of(self.table)
        if region is not None and region != self.region:
            refuse(
                f"is not the region of the table's ARN, '{region}'",
                "leave out the key 'region', or write the ARN of the table in that region",
                key="region",
            )
        return self

    @model_validator(mode="after")
    def _sla_can_be_kept(self) -> Self:
        if self.sla is not None and self.schedule is not None:
            longest = longest_interval(self.schedule)
            if self.sla <= longest + self.settle:
                shown = format_duration(longest)
                refuse(
                    f"cannot be kept: with schedule '{self.schedule}' the data is {shown} old before the next run begins",
                    f"write more than {shown}, and time enough for a run, or run more often",
                    key="sla",
                )
        return self

    @model_validator(mode="after")
    def _accounts_agree(self) -> Self:
        account, role_account = _account_of(self.table), self.role_arn.split(":")[4] if self.role_arn else None
        if account is not None and role_account is not None and account != role_account:
            # Developer guide, "API operations supported by resource-based policies": exports are not among them.
            refuse(
                f"is in account {role_account}, the table's ARN in {account}, and DynamoDB exports no table of another account",
                f"write a role of account {account}",
                key="role_arn",
            )
        return self

    @model_validator(mode="after")
    def _entities_have_views(self) -> Self:
        if not self.contract.entities:
            return self
        if not self.views:
            refuse("declares entities, which are shown by views", "add views: true", key="contract")
        if missing := [output for output in ("snapshots", "changes") if output not in self.outputs]:
            refuse(
                f"declares entities, whose latest state is made of snapshots and changes, and outputs has no {missing[0]}",
                "write outputs: [snapshots, changes], or leave out the entities",
                key="contract",
            )
        if taken := sorted(set(self.contract.entity_views) & GLUE_SUFFIXES.keys()):
            refuse(
                f"names entities so that a view would be called {self.glue_name}_{taken[0]}, as one of the lake's own is",
                "give the entity another name",
                key="contract",
            )
        return self

    @property
    def dag_id(self) -> str:
        """``ddb_export__{name}``: stable for the life of the table's lake."""
        return DAG_ID_PREFIX + self.name

    @property
    def table_name(self) -> str:
        """The name of the DynamoDB table, without the ARN around it."""
        return _name_of(self.table)

    @property
    def table_arn(self) -> str | None:
        """The ARN, if that is how the table was declared."""
        return self.table if _ARN.fullmatch(self.table) else None

    @property
    def folder(self) -> str:
        """Key prefix of everything that belongs to this table: ``{prefix}/{name}``, no slash at either end."""
        return f"{self.prefix}/{self.name}" if self.prefix else self.name

    @property
    def lake_uri(self) -> str:
        """``s3://{bucket}/{prefix}/{name}``, without a slash at the end."""
        return f"s3://{self.bucket}/{self.folder}"

    @property
    def glue_name(self) -> str:
        """The name in lower case, with whatever is not in ``[a-z0-9_]`` replaced by ``_``."""
        return re.sub(r"[^a-z0-9_]", "_", self.name.lower())

    @property
    def glue_tables(self) -> dict[str, str]:
        """The Glue table of each output, and the name of each helper view, by the words of :data:`GLUE_SUFFIXES`."""
        names = {output: self.glue_name + suffix for output, suffix in GLUE_SUFFIXES.items()}
        return {**names, **{view: f"{self.glue_name}_{view}" for view in self.contract.entity_views}}

    @property
    def view_names(self) -> tuple[str, ...]:
        """The keys of :attr:`glue_tables` that are views."""
        return ("latest", "history", "overflow", *self.contract.entity_views)

    @property
    def own_prices(self) -> dict[str, str]:
        """The prices that are declared, by name, as plain digits; what is not is left to the package."""
        return {name: f"{amount:f}" for name, amount in self.prices if amount is not None}

    @property
    def export_filter(self) -> ExportFilter | None:
        """What of the table is exported; None for all of it."""
        return self.filter.export_filter if self.filter else None

    @property
    def athena_output_location(self) -> str:
        """Where Athena writes its results, with a slash at the end."""
        return self.athena.output_location or f"{self.lake_uri}/athena-results/"
