"""boto3 clients for who has no Airflow connection: the command line.

Credentials and region are found as boto3 finds them: environment variables, configuration files, roles. The region is that of ``AWS_DEFAULT_REGION``,
else of the profile; boto3 does not look at ``AWS_REGION``, which the AWS CLI knows (botocore's ``configprovider``, ``BOTOCORE_DEFAUT_SESSION_VARIABLES``).
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
    role_arn: str | None = None,
) -> Any:
    """Make a boto3 client with botocore's standard retries.

    :param service: boto3's name of the service, such as ``s3``.
    :param profile: profile in the AWS configuration files; None for the default.
    :param region: None for the configured one.
    :param endpoint_url: another address for the service; None for AWS's own, or ``AWS_ENDPOINT_URL``.
    :param role_arn: role to assume with the credentials that were found; None to use them as they are. It is assumed with the first
        call, whose errors name it.
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
        if role_arn:
            session = _assuming(session, role_arn, endpoint_url)
        try:
            return session.client(service, endpoint_url=endpoint_url, config=config)
        except ValueError as error:
            remedy = "write it with its scheme, such as http://127.0.0.1:4566"
            raise UsageError("endpoint URL", str(error), remedy) from error


def configured_region(profile: str | None = None) -> str | None:
    """Return the region of clients for which nobody names one; None if this machine is configured for none. AWS is not asked.

    :param profile: profile in the AWS configuration files; None for the default.
    :raises ConfigurationError: there is no such profile.
    """
    import boto3

    with aws_errors("AWS configuration"):
        region: str | None = boto3.session.Session(profile_name=profile).region_name
    return region


def _assuming(session: Any, role_arn: str, endpoint_url: str | None) -> Any:
    """Return a session of a role, which botocore assumes when it is needed, and again before it expires."""
    import boto3
    from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
    from botocore.session import get_session

    own = session.get_credentials()
    if own is None:
        return session  # who needs no answer of AWS needs no credentials; the first call says that there are none

    def client(service: str, **options: Any) -> Any:
        return boto3.session.Session(region_name=session.region_name).client(
            service, **{**options, "endpoint_url": endpoint_url}
        )

    fetcher = AssumeRoleCredentialFetcher(client, own, role_arn, extra_args={"RoleSessionName": "ddb-export"})
    assumed = get_session()
    # botocore has no public way to credentials that renew themselves; the Amazon provider sets them so, too.
    assumed._credentials = DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")  # noqa: SLF001
    return boto3.session.Session(botocore_session=assumed, region_name=session.region_name)


def _is_local(endpoint_url: str | None) -> bool:
    """A bucket's name cannot be put before the name of this machine."""
    url = endpoint_url or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    try:
        return urlsplit(url).hostname == "localhost"
    except ValueError:
        return False
