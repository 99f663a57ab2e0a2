"""The hook of everything that a lake needs: DynamoDB's exports, the bucket, the Glue catalog, Athena.

One set of connection parameters serves all services, as a table's export, its bucket and its catalog are reached with one
identity. The hook has no rules of its own: it makes clients and gives them to the gateways.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from botocore.config import Config

from ddb_export.aws.dynamodb import DynamoDBGateway
from ddb_export.aws.glue import GlueGateway
from ddb_export.aws.object_store import S3ObjectStore
from ddb_export.hooks.assumed_role import AssumedRoleHook, assuming

if TYPE_CHECKING:
    from airflow.providers.amazon.aws.hooks.athena import AthenaHook
    from botocore.client import BaseClient


class LakeHook(AssumedRoleHook):
    """Makes the gateways to DynamoDB's exports, S3, Glue and Athena from one Airflow connection.

    :param aws_conn_id: Airflow connection; None for boto3's own search for credentials.
    :param region_name: region; None for that of the connection.
    :param verify: whether and how TLS certificates are checked.
    :param botocore_config: settings of botocore's clients, as keywords of ``botocore.config.Config``.
    :param role_arn: role to assume over the connection, in the place of the connection's own; None for none but that.
    """

    def __init__(
        self,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,  # noqa: FBT001  # the order of AwsBaseHook
        botocore_config: dict[str, Any] | None = None,
        role_arn: str | None = None,
    ) -> None:
        defaults: dict[str, Any] = {"retries": {"mode": "standard", "max_attempts": 5}, "max_pool_connections": 32}
        super().__init__(
            aws_conn_id=aws_conn_id,
            region_name=region_name,
            verify=verify,
            client_type="dynamodb",
            config=Config(**{**defaults, **(botocore_config or {})}),
            table_role_arn=role_arn,
        )
        self._clients: dict[tuple[str, str | None], BaseClient] = {}

    def client(self, service: str, region: str | None = None) -> BaseClient:
        """Return the boto3 client of a service; one per service, region and hook.

        :param region: for what lies elsewhere, such as a bucket's key; None for the hook's.
        :raises PermissionDeniedError: the role cannot be assumed.
        """
        if (service, region) not in self._clients:
            with assuming(self.table_role_arn, self.aws_conn_id):
                self._clients[service, region] = self.sibling(service).client_in(region)
        return self._clients[service, region]

    @cached_property
    def dynamodb(self) -> DynamoDBGateway:
        """The gateway to tables and exports."""
        return DynamoDBGateway(self.client("dynamodb"))

    @cached_property
    def glue(self) -> GlueGateway:
        """The gateway to the catalog."""
        return GlueGateway(self.client("glue"))

    @cached_property
    def athena(self) -> AthenaHook:
        """Airflow's own hook for Athena, with the connection and the client settings of this one."""
        from ddb_export.hooks.athena import AssumedRoleAthenaHook

        with assuming(self.table_role_arn, self.aws_conn_id):
            return AssumedRoleAthenaHook(
                aws_conn_id=self.aws_conn_id,
                region_name=self._region_name,
                verify=self._verify,
                config=self._config,
                table_role_arn=self.table_role_arn,
                eldest=self,
                log_query=False,
            )

    def bucket(self, name: str, owner: str | None = None) -> S3ObjectStore:
        """Return a bucket as a place of objects.

        :param name: name of the bucket.
        :param owner: account that must own it, if that is to be checked with every call.
        """
        return S3ObjectStore(self.client("s3"), name, owner)
