"""The peer of our trigger: Airflow's amazon provider has none for exports, but all parts of one, and this is what people make of them.

``AwsBaseWaiterTrigger`` is the base of the provider's deferrable operators, ``export_table`` the waiter that it ships for exports.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from airflow.providers.amazon.aws.triggers.base import AwsBaseWaiterTrigger


class ExportWaiterTrigger(AwsBaseWaiterTrigger):
    """Waits with the provider's own waiter and its own numbers: 30 seconds between two questions."""

    def __init__(self, export_arn: str, aws_conn_id: str | None, **_: Any) -> None:
        super().__init__(
            serialized_fields={"export_arn": export_arn},
            waiter_name="export_table",
            waiter_args={"ExportArn": export_arn},
            failure_message="the export failed",
            status_message="status",
            status_queries=["ExportDescription.ExportStatus"],
            return_value=export_arn,
            waiter_delay=30,
            waiter_max_attempts=60,
            aws_conn_id=aws_conn_id,
        )
        self.export_arn = export_arn

    def hook(self) -> Any:
        """Return a hook of the low-level client, as the provider's own DynamoDBValueSensorTrigger does."""
        return AwsBaseHook(client_type="dynamodb", **self._hook_parameters)
