"""The hook of everything that a lake needs: DynamoDB's exports, the bucket, the Glue catalog, Athena.

One set of connection parameters serves all services, as a table's export, its bucket and its catalog are reached with one
identity. The hook has no rules of its own: it makes clients and gives them to the gateways.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from botocore.config import Config

from ddb_export.aws.dynamodb import DynamoDBGateway
from ddb_export.aws.glue import GlueGateway
from ddb_export.aws.object_store import S3ObjectStore

if TYPE_CHECKING:
    from airflow.providers.amazon.aws.hooks.athena import AthenaHook
    from botocore.client import BaseClient


class LakeHook(AwsBaseHook):
    """Makes the gateways to DynamoDB's exports, S3, Glue and Athena from one Airflow connection.

    :param aws_conn_id: Airflow connection; None for boto3's own search for credentials.
    :param region_name: region; None for that of the connection.
    :param verify: whether and how TLS certificates are checked.
    :param botocore_config: settings of botocore's clients, as keywords of ``botocore.config.Config``.
    """

    def __init__(
        self,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,  # noqa: FBT001  # the order of AwsBaseHook
        botocore_config: dict[str, Any] | None = None,
    ) -> None:
        defaults: dict[str, Any] = {"retries": {"mode": "standard", "max_attempts": 5}, "max_pool_connections": 32}
        super().__init__(
            aws_conn_id=aws_conn_id,
            region_name=region_name,
            verify=verify,
            client_type="dynamodb",
            config=Config(**{**defaults, **(botocore_config or {})}),
        )
        self._clients: dict[str, BaseClient] = {}

    def client(self, service: str) -> BaseClient:
        """Return the boto3 client of a service; one per service and hook."""
        if service not in self._clients:
            sibling = AwsBaseHook(
                aws_conn_id=self.aws_conn_id,
                client_type=service,
                region_name=self._region_name,
                config=self._config,
                verify=self._verify,
            )
            self._clients[service] = sibling.get_conn()
        return self._clients[service]

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
        from airflow.providers.amazon.aws.hooks.athena import AthenaHook

        return AthenaHook(
            aws_conn_id=self.aws_conn_id, region_name=self._region_name, verify=self._verify, config=self._config
        )

    def bucket(self, name: str, owner: str | None = None) -> S3ObjectStore:
        """Return a bucket as a place of objects.

        :param name: name of the bucket.
        :param owner: account that must own it, if that is to be checked with every call.
        """
        return S3ObjectStore(self.client("s3"), name, owner)
