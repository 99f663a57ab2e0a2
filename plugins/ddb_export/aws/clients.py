"""boto3 clients for who has no Airflow connection: the command line.

Credentials and region are found as the AWS CLI finds them: environment variables, configuration files, roles.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

from ddb_export.aws.errors import aws_errors
from ddb_export.exceptions import UsageError

_ATTEMPTS = 4
_CONNECT_SECONDS = 5
_READ_SECONDS = 60
_CONNECTIONS = 16


def make_client(
    service: str,
    *,
    profile: str | None = None,
    region: str | None = None,
    endpoint_url: str | None = None,
) -> Any:
    """Make a boto3 client with botocore's standard retries.

    :param service: boto3's name of the service, such as ``s3``.
    :param profile: profile in the AWS configuration files; None for the default.
    :param region: None for the configured one.
    :param endpoint_url: another address for the service; None for AWS's own, or ``AWS_ENDPOINT_URL``.
    :raises UsageError: the endpoint's URL is none.
    :raises ConfigurationError: there is no such profile, or no region where one is needed.
    """
    import boto3
    from botocore.config import Config

    config = Config(
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        max_pool_connections=_CONNECTIONS,
        s3={"addressing_style": "path"} if _is_local(endpoint_url) else None,
    )
    with aws_errors("AWS configuration"):
        session = boto3.session.Session(profile_name=profile, region_name=region)
        try:
            return session.client(service, endpoint_url=endpoint_url, config=config)
        except ValueError as error:
            remedy = "write it with its scheme, such as http://127.0.0.1:4566"
            raise UsageError("endpoint URL", str(error), remedy) from error


def _is_local(endpoint_url: str | None) -> bool:
    """A bucket's name cannot be put before the name of this machine."""
    url = endpoint_url or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    try:
        return urlsplit(url).hostname == "localhost"
    except ValueError:
        return False
