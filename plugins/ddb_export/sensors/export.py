"""The sensor for exports that were started elsewhere: by hand, by another tool, by AWS itself."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator, PokeReturnValue

from ddb_export.domain.export import ExportDescription, ExportStatus
from ddb_export.domain.waiting import pause_between_questions, turn
from ddb_export.exceptions import DdbExportError, ExportThrottledError
from ddb_export.pipeline.waiting import failed, passes, refusal, refusal_event
from ddb_export.retry_policy import DdbExportRetryPolicy
from ddb_export.triggers.export import DynamoDBExportTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from ddb_export.hooks.lake import LakeHook

_NO_TIME_CAP = timedelta(days=365)
"""Airflow's own default is seven days."""

_UNANSWERED_SINCE = "unanswered_since"


class DynamoDBExportSensor(BaseSensorOperator):
    """Waits until an export has ended; deferred by default, so that no worker slot is held.

    Returns the description of the COMPLETED export, flat. Poking has the same outcomes; neither has a time cap unless ``timeout``
    is given.

    :param export_arn: what to wait for. Templated.
    :param deferrable: wait in the triggerer; else poke.
    :param poll_interval: time between two questions at least; an export that runs for long is asked after less often.
    :param aws_conn_id: Airflow connection. :param region_name: region of the table.
    :param verify: whether and how TLS certificates are checked. :param botocore_config: settings of the client.
    :param role_arn: role of the table's account to assume over the connection; None for what the connection says.
    """

    template_fields: Sequence[str] = ("export_arn", "aws_conn_id", "region_name", "role_arn")

    def __init__(
        self,
        *,
        export_arn: str,
        deferrable: bool = True,
        poll_interval: timedelta = timedelta(seconds=30),
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        role_arn: str | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("poke_interval", poll_interval.total_seconds())
        kwargs.setdefault("retry_policy", DdbExportRetryPolicy())
        capped = "timeout" in kwargs
        kwargs.setdefault("timeout", _NO_TIME_CAP.total_seconds())
        super().__init__(**kwargs)
        self.time_cap = timedelta(seconds=self.timeout) if capped else None
        self.export_arn = export_arn
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config
        self.role_arn = role_arn

    @cached_property
    def hook(self) -> LakeHook:
        """The hook that makes the client."""
        from ddb_export.hooks.lake import LakeHook

        return LakeHook(self.aws_conn_id, self.region_name, self.verify, self.botocore_config, self.role_arn)

    def execute(self, context: Context) -> Any:
        """Wait, deferred or poking."""
        if self.deferrable:
            self.defer(
                trigger=DynamoDBExportTrigger(
                    export_arn=self.export_arn,
                    poll_interval=self.poll_interval.total_seconds(),
                    aws_conn_id=self.aws_conn_id,
                    region_name=self.region_name,
                    verify=self.verify,
                    botocore_config=self.botocore_config,
                    role_arn=self.role_arn,
                ),
                method_name="execute_complete",
                timeout=self.time_cap,
            )
        return super().execute(context)

    def poke(self, context: Context) -> PokeReturnValue:
        """Ask once. Throttling and passing faults of the network do not end the wait.

        :raises ExportFailedError: the export FAILED. :raises NotReachableError: it could not be asked after for 15 minutes.
        """
        try:
            description = self.hook.dynamodb.describe_export(self.export_arn)
        except DdbExportError as error:
            if not passes(error, self._unanswered_for(context, error)):
                raise refusal(refusal_event(self.export_arn, error)) from error
            self.log.info("asking again: %s", error)
            return PokeReturnValue(is_done=False)
        context["task_state_store"].delete(_UNANSWERED_SINCE)
        if description.status is ExportStatus.IN_PROGRESS:
            return PokeReturnValue(is_done=False)
        return PokeReturnValue(is_done=True, xcom_value=_completed(description))

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Go on after the trigger fired.

        :raises ExportFailedError: the export FAILED. :raises NotReachableError: it could no longer be asked after.
        """
        if event["status"] == "error":
            raise refusal(event)
        return self.look_again(context)

    def look_again(self, context: Context, event: Any = None, turns: int = 0) -> dict[str, Any]:
        """Describe the export that has ended; where DynamoDB is too busy, wait for a turn, deferred.

        :param turns: how many turns were waited so far.
        """
        from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger

        try:
            description = self.hook.dynamodb.describe_export(self.export_arn)
        except ExportThrottledError as error:
            delay = turn(turns, random.random())  # noqa: S311  # no secret
            self.log.info("turn %s: waiting %s for AWS to have room again: %s", turns + 1, delay, error)
            self.defer(
                trigger=TimeDeltaTrigger(delay),
                method_name="look_again",
                kwargs={"turns": turns + 1},
                timeout=self.time_cap,
            )
        return _completed(description)

    def _get_next_poke_interval(self, started_at: Any, run_duration: Callable[[], float], poke_count: int) -> float:
        """Return the seconds until the next poke: as in the triggerer, where Airflow's own back-off is not asked for."""
        interval = super()._get_next_poke_interval(started_at, run_duration, poke_count)
        return interval if self.exponential_backoff else pause_between_questions(interval, run_duration())

    def _unanswered_for(self, context: Context, error: DdbExportError) -> timedelta:
        """Return for how long nothing was answered; it outlives the process, as each poke of a rescheduled sensor has its own."""
        if isinstance(error, ExportThrottledError):
            context["task_state_store"].delete(_UNANSWERED_SINCE)
            return timedelta()
        now = datetime.now(UTC)
        since = context["task_state_store"].get(_UNANSWERED_SINCE)
        if since is None:
            context["task_state_store"].set(_UNANSWERED_SINCE, now.isoformat())
        return now - (datetime.fromisoformat(str(since)) if since else now)


def _completed(description: ExportDescription) -> dict[str, Any]:
    if description.status is ExportStatus.FAILED:
        remedy = "start the export again"
        raise failed(description, "it", after=remedy, passing=remedy)
    return description.to_xcom()
