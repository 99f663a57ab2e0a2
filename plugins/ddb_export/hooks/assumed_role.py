"""A role that is assumed over an Airflow connection: many accounts behind one set of credentials.

The Amazon provider assumes the role that a connection's extra names (``role_arn``). Here the role comes from whoever uses the connection, so that
one connection serves tables of many accounts; everything else, ``assume_role_kwargs`` with an ``ExternalId`` above all, stays as the
connection has it, and the provider's own session does the assuming and the renewing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from airflow.providers.amazon.aws.utils.connection_wrapper import AwsConnectionWrapper

from ddb_export.aws.errors import aws_errors

if TYPE_CHECKING:
    from botocore.config import Config

DEFAULT_CREDENTIALS = "default_credentials"
"""What the session is named after where no connection is used."""


class AssumedRoleHook(AwsBaseHook):
    """A hook of the Amazon provider that assumes a role of its user's choice.

    Its siblings for other services share its session: a role is assumed once, and not once a service.

    :param table_role_arn: role to assume, in the place of the connection's own; None for whatever the connection says.
    """

    def __init__(
        self, *args: Any, table_role_arn: str | None = None, eldest: AssumedRoleHook | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.table_role_arn = table_role_arn
        self._eldest = eldest
        self._session: Any = None

    @cached_property
    def conn_config(self) -> AwsConnectionWrapper:
        """The connection, with the role in its extra; read once for all siblings."""
        if self._eldest is not None:
            return self._eldest.conn_config
        found = super().conn_config
        return found if self.table_role_arn is None else _with_role(found, self.table_role_arn, self._config)

    def get_session(self, region_name: str | None = None, deferrable: bool = False) -> Any:  # noqa: FBT001, FBT002  # the provider's
        """Return the session that all siblings make their clients with; an asynchronous one is new each time."""
        if deferrable:
            return super().get_session(region_name=region_name, deferrable=True)
        if self._eldest is not None:
            return self._eldest.get_session(region_name)
        if self._session is None:
            self._session = super().get_session(region_name=region_name)
        return self._session

    def client_in(self, region: str | None) -> Any:
        """Return the client of the hook's service in a region, None for the hook's own; the session, and so the role, stays the same."""
        if region is None:
            return self.get_conn()
        endpoint = self.conn_config.get_service_endpoint_url(service_name=str(self.client_type))
        return self.get_session().client(
            self.client_type, region_name=region, endpoint_url=endpoint, config=self.config, verify=self.verify
        )

    def sibling(self, service: str) -> AssumedRoleHook:
        """Return a hook for another service, over the same connection and role."""
        return AssumedRoleHook(
            aws_conn_id=self.aws_conn_id,
            client_type=service,
            region_name=self._region_name,
            config=self._config,
            verify=self._verify,
            table_role_arn=self.table_role_arn,
            eldest=self,
        )


@contextmanager
def assuming(role_arn: str | None, aws_conn_id: str | None) -> Iterator[None]:
    """Say of errors inside what they are about: the provider assumes a role where it makes a client.

    :raises DdbExportError: the role could not be assumed, or the connection cannot be used.
    """
    if role_arn is None:
        with aws_errors(f"connection {aws_conn_id}"):
            yield
        return
    remedy = (
        f"let the role's trust policy name the identity of connection {aws_conn_id} (and its ExternalId), allow that sts:AssumeRole,"
        " or correct role_arn"
    )
    with aws_errors(role_arn, remedy=remedy):
        yield


def _with_role(found: AwsConnectionWrapper, role_arn: str, config: Config | None) -> AwsConnectionWrapper:
    from airflow.sdk import Connection

    connection = Connection(
        conn_id=str(found.conn_id) if found else DEFAULT_CREDENTIALS,
        conn_type="aws",
        login=found.login,
        password=found.password,
        schema=found.schema,
        extra=json.dumps({**found.extra_config, "role_arn": role_arn}),
    )
    return AwsConnectionWrapper(
        conn=connection, region_name=found.region_name, botocore_config=config, verify=found.verify
    )
