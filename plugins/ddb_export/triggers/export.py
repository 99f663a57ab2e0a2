"""Waits in the triggerer until DynamoDB has ended an export.

The class path ``ddb_export.triggers.export.DynamoDBExportTrigger`` and the keys that it serializes are a contract: tasks that are
deferred while this package is upgraded come back through them. What is behind them may change.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from ddb_export.aws.errors import aws_errors
from ddb_export.exceptions import DdbExportError, NotReachableError, PermissionDeniedError

_PASSING_FAULTS = 10
"""How many unanswered questions in a row are taken for a passing fault of the network."""


def refusal(event: Mapping[str, Any]) -> NotReachableError:
    """Return the error of an event that says that the export could no longer be asked after.

    :param event: an event of :class:`DynamoDBExportTrigger` with the status ``error``.
    :return: a :class:`~ddb_export.exceptions.PermissionDeniedError` where a person has to grant something.
    """
    code = event.get("code")
    denied = str(code).startswith("AccessDenied")
    error_type = PermissionDeniedError if denied else NotReachableError
    remedy = (
        "allow this role dynamodb:DescribeExport, then clear this task"
        if denied
        else "see the cause; a retry asks again"
    )
    return error_type(f"export {event['export_arn']}", str(event["cause"]), remedy, code=code)


class DynamoDBExportTrigger(BaseTrigger):
    """Fires once, when an export is COMPLETED or FAILED, or when it can no longer be asked after.

    It has no time cap: an export may take 30 hours. The event is ``{"status": "COMPLETED" | "FAILED", "export_arn"}``, or
    ``{"status": "error", "export_arn", "cause", "code"}``; whoever resumes asks DynamoDB itself for the rest.

    :param export_arn: what to wait for.
    :param poll_interval: seconds between two questions.
    :param aws_conn_id: Airflow connection.
    :param region_name: region of the table.
    :param verify: whether and how TLS certificates are checked.
    :param botocore_config: settings of the client.
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
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's base has no annotations
        self.export_arn = export_arn
        self.poll_interval = poll_interval
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config

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
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Ask until the export has ended. Throttling and passing faults of the network do not end the wait."""
        from ddb_export.hooks.lake import LakeHook

        hook = LakeHook(self.aws_conn_id, self.region_name, self.verify, self.botocore_config)
        unanswered = 0
        async with await hook.get_async_conn() as client:  # type: ignore[no-untyped-call]  # as above
            while True:
                try:
                    with aws_errors(self.export_arn):
                        answer = await client.describe_export(ExportArn=self.export_arn)
                    unanswered = 0
                except DdbExportError as refusal:
                    unanswered += isinstance(refusal, NotReachableError)
                    passing = refusal.retryable and unanswered < _PASSING_FAULTS
                    if isinstance(refusal, PermissionDeniedError) or not passing:
                        yield self._event("error", cause=refusal.cause, code=refusal.code)
                        return
                    self.log.info("export %s: asked again in %s s: %s", self.export_arn, self.poll_interval, refusal)
                else:
                    status = answer["ExportDescription"]["ExportStatus"]
                    if status != "IN_PROGRESS":
                        yield self._event(status)
                        return
                await asyncio.sleep(self.poll_interval)

    def _event(self, status: str, **more: str | None) -> TriggerEvent:
        payload = {"status": status, "export_arn": self.export_arn, **more}
        return TriggerEvent(payload)  # type: ignore[no-untyped-call]  # as above
