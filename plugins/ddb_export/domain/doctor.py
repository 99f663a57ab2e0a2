"""What a check of a table before its first run looks at, and what it can say of it.

Facts come in as they were answered: a value, or the error that the question ended with. :mod:`ddb_export.domain.doctor_rules` turns
them into findings, one for each thing that has to be right; nothing here asks AWS, and nothing reads a clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from ddb_export.domain.lifecycle import LifecycleRule
from ddb_export.domain.plan import PointInTimeRecovery
from ddb_export.domain.retention import Retention
from ddb_export.exceptions import DdbExportError


class Level(StrEnum):
    """How a finding stands: ``ok``; ``warn``: runs will work, or it could not be found out; ``fail``: runs will not work."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Fix(StrEnum):
    """What can be put right on request; nothing else ever is."""

    PITR = "pitr"
    DATABASE = "database"
    BUCKET = "bucket"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the answer.

    :param check: what was looked at, in one or two words. :param found: what was found, in words.
    :param remedy: the one thing to do about it; empty if it is ok. :param fix: what ``--fix`` could do about it.
    """

    check: str
    level: Level
    found: str
    remedy: str = ""
    fix: Fix | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a flat object; ``remedy`` and ``fix`` are null where there is none."""
        return {
            "check": self.check,
            "level": str(self.level),
            "found": self.found,
            "remedy": self.remedy or None,
            "fix": str(self.fix) if self.fix else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What the configuration says of a table, as far as AWS has a say in it.

    :param name: the configuration's name of it. :param table: name or ARN. :param bucket: the lake's bucket; ``folder`` the key prefix of the table's folder in it.
    :param bucket_owner: account that owns the bucket, if it is another than the table's.
    :param kms_key: key of the exported files. :param database: Glue database.
    :param typed_tables: ``snapshots`` and ``changes`` → Glue table, as far as the lake publishes them; ``raw_tables``, ``views`` likewise.
    :param partition_index: whether Glue tables get an index of their partitions.
    :param schedule: cron expression; None for a table that runs by hand. :param timezone: its IANA time zone.
    :param workgroup: Athena workgroup. :param athena_output: ``s3://`` folder of Athena's results.
    :param windows_at_once: windows of one run that are exported side by side.
    :param retention: which tags raw data files get, and which storage class they are tiered to.
    """

    name: str
    table: str
    bucket: str
    folder: str
    database: str
    typed_tables: Mapping[str, str] = field(default_factory=dict)
    raw_tables: tuple[str, ...] = ()
    views: tuple[str, ...] = ()
    partition_index: bool = False
    bucket_owner: str | None = None
    kms_key: str | None = None
    schedule: str | None = None
    timezone: str = "UTC"
    workgroup: str = "primary"
    athena_output: str = ""
    windows_at_once: int = 4
    retention: Retention = field(default_factory=Retention)

    @classmethod
    def of(
        cls,
        *,
        glue_name: str,
        outputs: Sequence[str],
        views: bool = False,
        entity_views: Sequence[str] = (),
        **rest: Any,
    ) -> Self:
        """Return what is declared, with the names of its tables in Glue; the command and the operator ask by the same.

        :param glue_name: what the names begin with. :param outputs: as in YAML. :param views: whether there are helper views.
        :param entity_views: what follows ``glue_name`` in the names of the views of entities. :param rest: the other fields, as they are.
        """
        shown = ("latest", "history", "overflow", *entity_views) if views else ()
        return cls(
            typed_tables={each: f"{glue_name}_{each}" for each in ("snapshots", "changes") if each in outputs},
            raw_tables=(f"{glue_name}_raw_snapshots", f"{glue_name}_raw_changes") if "raw" in outputs else (),
            views=tuple(f"{glue_name}_{each}" for each in shown),
            **rest,
        )

    @property
    def bucket_uri(self) -> str:
        """``s3://`` and the bucket."""
        return f"s3://{self.bucket}"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks AWS.

    :param arn: as STS names it. :param account: its account.
    """

    arn: str
    account: str


@dataclass(frozen=True, slots=True)
class TableFacts:
    """A DynamoDB table.

    :param status: TableStatus. :param size: bytes of table and local indexes, as DynamoDB measured them last.
    """

    arn: str
    status: str
    size: int

    @property
    def region(self) -> str:
        """The region of its ARN."""
        return self.arn.split(":")[3]

    @property
    def account(self) -> str:
        """The account of its ARN."""
        return self.arn.split(":")[4]


@dataclass(frozen=True, slots=True)
class BucketFacts:
    """A bucket that answers.

    :param region: its region; None if S3 did not say.
    :param owned_as_expected: it belongs to the account that the configuration names, else the table's.
    """

    region: str | None
    owned_as_expected: bool


@dataclass(frozen=True, slots=True)
class Encryption:
    """A bucket's default encryption.

    :param algorithm: ``AES256``, ``aws:kms`` or ``aws:kms:dsse``. :param key: KMS key; None for S3's own.
    """

    algorithm: str
    key: str | None


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """A KMS key.

    :param state: KeyState. :param by_aws: it is managed by AWS, so that its policy cannot be changed. :param account: its owner.
    :param usable: a data key can be made with it (asked by a dry run of GenerateDataKey); None if KMS did not say.
    :param refusal: what KMS answered where it is not usable.
    """

    arn: str
    state: str
    by_aws: bool
    account: str
    usable: bool | None
    refusal: DdbExportError | None = None

    @property
    def region(self) -> str:
        """The region of its ARN; S3 uses keys of the bucket's own region only."""
        return self.arn.split(":")[3]


@dataclass(frozen=True, slots=True)
class RunningExports:
    """Exports that are in progress in the account and region.

    :param count: how many were seen. :param all_seen: the list was read to its end.
    """

    count: int
    all_seen: bool


@dataclass(frozen=True, slots=True)
class Grants:
    """Which permissions the caller has.

    :param allowed: as ``action on resource``; ``denied`` and ``unknown`` likewise. :param simulated: IAM was asked; else the calls that
        do nothing were made.
    """

    allowed: Sequence[str] = ()
    denied: Sequence[str] = ()
    unknown: Sequence[str] = ()
    simulated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The world as a check of a table found it: each a value, or the error that the question ended with.

    None stands for what was not asked, because an earlier answer left nothing to ask.

    :param skew: this machine's clock less AWS's (positive: it is ahead); None if nothing answered. :param now: AWS's time, as far as it is known.
    :param public_access: the settings of Block Public Access that are on.
    :param database: the Glue database exists. :param workgroup: the Athena workgroup's state.
    """

    caller: Caller | DdbExportError
    table: TableFacts | DdbExportError
    recovery: PointInTimeRecovery | DdbExportError
    now: datetime
    skew: timedelta | None
    running: RunningExports | DdbExportError
    bucket: BucketFacts | DdbExportError
    public_access: frozenset[str] | DdbExportError | None
    encryption: Encryption | DdbExportError | None
    lifecycle: tuple[LifecycleRule, ...] | DdbExportError | None
    key: KeyFacts | DdbExportError | None
    database: bool | DdbExportError
    workgroup: str | DdbExportError
    grants: Grants
