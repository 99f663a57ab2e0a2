"""What all operators of a lake have in common: where the table and its lake are, and how they are reached."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator

from ddb_export.domain.layout import Lake
from ddb_export.domain.metrics import RETRIES, STAGE_DURATION
from ddb_export.exceptions import LedgerError, UsageError
from ddb_export.metrics import tell_count, tell_duration
from ddb_export.operators.runs import begins_again, plain
from ddb_export.retry_policy import DdbExportRetryPolicy

if TYPE_CHECKING:
    from airflow.sdk import Context

    from ddb_export.aws.object_store import S3ObjectStore
    from ddb_export.domain.ledger import Claim, VerifiedEntry
    from ddb_export.domain.metrics import Stage
    from ddb_export.hooks.lake import LakeHook
    from ddb_export.pipeline.ledger import Ledger


class LakeOperator(BaseOperator):
    """Base of the operators that work on one table's folder in the lake.

    :param bucket: bucket of the lake.
    :param prefix: key prefix common to all tables of the lake; may be empty.
    :param lake_name: the table's name in the lake, which names its folder and its Glue tables.
    :param bucket_owner: account that owns the bucket, if it is another than the table's.
    :param aws_conn_id: Airflow connection; None for boto3's own search for credentials.
    :param region_name: region of the table; None for that of the connection.
    :param verify: whether and how TLS certificates are checked.
    :param botocore_config: settings of the clients, as keywords of ``botocore.config.Config``.
    :param role_arn: role of the table's account to assume over the connection; None for what the connection says.
    """

    template_fields: Sequence[str] = (
        "bucket",
        "prefix",
        "lake_name",
        "bucket_owner",
        "aws_conn_id",
        "region_name",
        "role_arn",
    )
    stage: ClassVar[Stage | None] = None
    """What the task's metrics call it; None for one that has none of its own."""
    _began: float | None = None

    def __init__(
        self,
        *,
        bucket: str,
        prefix: str,
        lake_name: str,
        bucket_owner: str | None = None,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        role_arn: str | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("retry_policy", DdbExportRetryPolicy())
        super().__init__(**kwargs)
        self.bucket = bucket
        self.prefix = prefix
        self.lake_name = lake_name
        self.bucket_owner = bucket_owner
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config
        self.role_arn = role_arn

    def pre_execute(self, context: Context) -> None:
        """Tell that the stage is tried again, if it is. Airflow calls it before each try, and when a deferred task comes back."""
        super().pre_execute(context)
        self._began = time.monotonic()
        if self.stage and begins_again(context):
            tell_count(RETRIES, 1, table=self.lake_name, stage=self.stage)

    def post_execute(self, context: Context, result: Any = None) -> None:
        """Tell how long the stage took. Airflow calls it where the task succeeds."""
        super().post_execute(context, result)
        if self._began is not None:
            self.tell_stage_duration(timedelta(seconds=time.monotonic() - self._began))

    def tell_stage_duration(self, length: timedelta) -> None:
        """Tell how long the stage took, if it has a name."""
        if self.stage:
            tell_duration(STAGE_DURATION, length, table=self.lake_name, stage=self.stage)

    def say(self, words: str, about: str) -> None:
        """Write the stage's line into the log.

        :param words: what is so, without item data. :param about: the ids that a person searches for.
        """
        self.log.info("%s: %s; %s", self.stage or self.task_id, words, about)

    @property
    def lake(self) -> Lake:
        """The table's folder."""
        return Lake(self.bucket, self.prefix.strip("/"), self.lake_name)

    @cached_property
    def hook(self) -> LakeHook:
        """The hook that makes clients and gateways."""
        from ddb_export.hooks.lake import LakeHook

        return LakeHook(self.aws_conn_id, self.region_name, self.verify, self.botocore_config, self.role_arn)

    @cached_property
    def store(self) -> S3ObjectStore:
        """The bucket of the lake."""
        return self.hook.bucket(self.bucket, self.bucket_owner)

    @cached_property
    def clock(self) -> Callable[[], datetime]:
        """What tells the present by the lake's clock (UTC, whole seconds)."""
        from ddb_export.pipeline.clock import clock_of

        return clock_of(self.store)

    @cached_property
    def ledger(self) -> Ledger:
        """The table's ledger."""
        from ddb_export.pipeline.ledger import Ledger

        return Ledger(self.store, self.lake)

    def claim_of(self, export: str) -> Claim:
        """Return the claim of an attempt.

        :raises LedgerError: nothing was claimed under this name.
        """
        return self.ledger.claim_of(export)

    def verified_entry(self, export: str) -> VerifiedEntry:
        """Return the evidence of an attempt.

        :raises LedgerError: the attempt is not verified.
        """
        entry = self.ledger.verified_entry(export)
        if entry is None:
            raise LedgerError(
                f"export {export}",
                f"it is not verified in the ledger {self.lake.uri('ledger/')}",
                "run the verify task first",
            )
        return entry


def instant(value: object, name: str) -> datetime | None:
    """Read a templated time: ISO 8601 with a zone, a datetime, or nothing.

    :raises UsageError: it is no time, or has no zone; a naive time is never taken for the worker's.
    """
    if value is None or value in ("", "None"):
        return None
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError as error:
        raise UsageError(name, f"{value!r} is no ISO 8601 time", "write it like 2026-01-31T00:00:00Z") from error
    if moment.tzinfo is None:
        raise UsageError(name, f"{value!r} has no time zone", "write it in UTC, like 2026-01-31T00:00:00Z")
    return plain(moment)
