"""The boto3 clients of a command: one identity and endpoint for all of them, as the arguments say."""

from __future__ import annotations

import argparse
from typing import Any


def client_of(arguments: argparse.Namespace, service: str, region: str | None = None) -> Any:
    """Return a client of a service.

    :param arguments: with ``profile``, ``region``, ``endpoint_url`` and ``assumed_role``.
    :param region: where the arguments name none.
    :raises ConfigurationError: there is no such profile. :raises UsageError: the endpoint's URL cannot be used.
    """
    from ddb_export.aws.clients import make_client

    return make_client(
        service,
        profile=arguments.profile,
        region=arguments.region or region,
        endpoint_url=arguments.endpoint_url,
        role_arn=arguments.assumed_role,
    )
