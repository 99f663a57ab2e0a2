"""The sensor for exports that were started elsewhere: by hand, by another tool, by AWS itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator, PokeReturnValue

from ddb_export.domain.export import ExportDescription, ExportStatus
from ddb_export.exceptions import ExportFailedError, ExportThrottledError
from ddb_export.retry_policy import DdbExportRetryPolicy
from ddb_export.triggers.export import DynamoDBExportTrigger, refusal

if TYPE_CHECKING:
    from airflow.sdk import Context

    from ddb_export.hooks.lake import LakeHook


class DynamoDBExportSensor(BaseSensorOperator):
    """Waits until an export has ended; deferred by default, so that no worker slot is held.

    Returns the description of the COMPLETED export, flat.

    :param export_arn: what to wait for. Templated.
    :param deferrable: wait in the triggerer; else poke.
    :param poll_interval: how often DynamoDB is asked.
    :param aws_conn_id: Airflow connection. :param region_name: region of the table.
    :param verify: whether and how TLS certificates are checked. :param botocore_config: settings of the client.
    """

    template_fields: Sequence[str] = ("export_arn", "aws_conn_id", "region_name")

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
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("poke_interval", poll_interval.total_seconds())
        kwargs.setdefault("retry_policy", DdbExportRetryPolicy())
        super().__init__(**kwargs)
        self.export_arn = export_arn
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config

    @cached_property
    def hook(self) -> LakeHook:
        """The hook that makes the client."""
        from ddb_export.hooks.lake import LakeHook

        return LakeHook(self.aws_conn_id, self.region_name, self.verify, self.botocore_config)

    def execute(self, context: Context) -> Any:
        """Ask once; then wait, deferred or poking."""
        if not self.deferrable:
            return super().execute(context)
        description = self.hook.dynamodb.describe_export(self.export_arn)
        if description.status is ExportStatus.IN_PROGRESS:
            self.defer(
                trigger=DynamoDBExportTrigger(
                    export_arn=self.export_arn,
                    poll_interval=self.poll_interval.total_seconds(),
                    aws_conn_id=self.aws_conn_id,
                    region_name=self.region_name,
                    verify=self.verify,
                    botocore_config=self.botocore_config,
                ),
                method_name="execute_complete",
                timeout=None,
            )
        return _completed(description)

    def poke(self, context: Context) -> PokeReturnValue:
        """Ask once; throttling does not end the wait.

        :raises ExportFailedError: the export FAILED.
        """
        try:
            description = self.hook.dynamodb.describe_export(self.export_arn)
        except ExportThrottledError as error:
            self.log.info("asking again in %s s: %s", self.poke_interval, error)
            return PokeReturnValue(is_done=False)
        if description.status is ExportStatus.IN_PROGRESS:
            return PokeReturnValue(is_done=False)
        return PokeReturnValue(is_done=True, xcom_value=_completed(description))

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Go on after the trigger fired.

        :raises ExportFailedError: the export FAILED. :raises NotReachableError: it could no longer be asked after.
        """
        if event["status"] == "error":
            raise refusal(event)
        return _completed(self.hook.dynamodb.describe_export(self.export_arn))


def _completed(description: ExportDescription) -> dict[str, Any]:
    if description.status is ExportStatus.FAILED:
        raise ExportFailedError(
            description.export_arn,
            f"DynamoDB ended it as FAILED with {description.failure_code}: {description.failure_message}",
            "remove the cause, then start the export again",
            code=description.failure_code,
        )
    return description.to_xcom()
