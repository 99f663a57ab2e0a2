"""Airflow's own operator for Athena, over the role of a table's account."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.providers.amazon.aws.operators.athena import AthenaOperator

from ddb_export.hooks.athena import AssumedRoleAthenaHook


class AssumedRoleAthenaOperator(AthenaOperator):
    """:class:`AthenaOperator` that assumes a role over its connection.

    :param aws_conn_id: Airflow connection. :param region_name: region; None for that of the connection.
    :param verify: whether and how TLS certificates are checked. :param botocore_config: settings of the client.
    :param role_arn: role to assume; None for what the connection says.
    """

    aws_hook_class = AssumedRoleAthenaHook
    template_fields: Sequence[str] = (*AthenaOperator.template_fields, "role_arn")

    def __init__(
        self,
        *,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        role_arn: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            aws_conn_id=aws_conn_id, region_name=region_name, verify=verify, botocore_config=botocore_config, **kwargs
        )
        self.role_arn = role_arn

    @property
    def _hook_parameters(self) -> dict[str, Any]:
        return {**super()._hook_parameters, "table_role_arn": self.role_arn}
