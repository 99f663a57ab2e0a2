"""Waits in the triggerer until DynamoDB has ended an export.

The class path ``ddb_export.triggers.export.DynamoDBExportTrigger`` and the keys that it serializes are a contract: tasks that are
deferred while this package is upgraded come back through them. What is behind them may change.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from ddb_export.exceptions import DdbExportError
from ddb_export.pipeline.waiting import end_event, refusal_event
from ddb_export.triggers.poller import ClientSettings, export_ended


class DynamoDBExportTrigger(BaseTrigger):
    """Fires once, when an export is COMPLETED or FAILED, or when it can no longer be asked after.

    It has no time cap: an export may take 30 hours. All waits of a triggerer over one connection, role and region share one poller
    (:mod:`ddb_export.triggers.poller`), all of one account and region one pace; a triggerer that is started again asks at once. The event is
    ``{"status": "COMPLETED" | "FAILED", "export_arn"}``, or ``{"status": "error", "export_arn", "cause", "code"}``; whoever
    resumes asks DynamoDB itself for the rest.

    :param export_arn: what to wait for.
    :param poll_interval: seconds between two questions at least; an export that runs for long is asked after less often.
    :param aws_conn_id: Airflow connection.
    :param region_name: region of the table.
    :param verify: whether and how TLS certificates are checked.
    :param botocore_config: settings of the client.
    :param role_arn: role to assume over the connection.
    """

    def __init__(
        self,
        export_arn: str,
        *,
        poll_interval: float = 30.0,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        role_arn: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's base has no annotations
        self.export_arn = export_arn
        self.poll_interval = poll_interval
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config
        self.role_arn = role_arn

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the keys that make this trigger again in a triggerer."""
        return (
            "ddb_export.triggers.export.DynamoDBExportTrigger",
            {
                "export_arn": self.export_arn,
                "poll_interval": self.poll_interval,
                "aws_conn_id": self.aws_conn_id,
                "region_name": self.region_name,
                "verify": self.verify,
                "botocore_config": self.botocore_config,
                **({"role_arn": self.role_arn} if self.role_arn else {}),
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait until the export has ended. Throttling and passing faults of the network do not end the wait."""
        settings = ClientSettings.of(
            self.export_arn,
            self.aws_conn_id,
            self.region_name,
            self.verify,
            self.botocore_config,
            role_arn=self.role_arn,
        )
        try:
            event = end_event(self.export_arn, await export_ended(settings, self.export_arn, self.poll_interval))
        except DdbExportError as error:
            event = refusal_event(self.export_arn, error)
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]  # as above
