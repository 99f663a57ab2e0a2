"""Fixtures that all tests share: the lab (the embedded AWS), and an account of its own for each test."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

import tests.airflow_home  # noqa: F401  # first: Airflow reads its settings when it is imported
from local_aws.client import Lab
from tests.clients import keep_service_models

REGION = "us-east-1"
EXPORT_SECONDS = 0.1


@pytest.fixture(scope="session", autouse=True)
def no_aws_environment() -> Iterator[None]:
    """Take the caller's AWS settings away, so that no test can reach anything but the lab."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


@pytest.fixture(scope="session", autouse=True)
def ctrl_c() -> None:
    """Let Ctrl-C end the programs that tests start, though the tests themselves run in the background, where shells have it ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def service_models() -> Iterator[None]:
    """Let botocore read its service models once per process."""
    with pytest.MonkeyPatch.context() as patch:
        keep_service_models(patch)
        yield


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """One lab for each pytest process; tests keep apart by their accounts."""
    with Lab.start(export_seconds=EXPORT_SECONDS) as running:
        yield running


@pytest.fixture
def account(lab: Lab) -> Iterator[str]:
    """A fresh account, forgotten after the test."""
    number = f"{random.randrange(10**11, 10**12)}"
    yield number
    lab.reset(number)


@pytest.fixture(scope="session")
def boto3_session() -> boto3.Session:
    """One session for all clients, because loading the service models is what makes a client slow."""
    return boto3.Session()


@pytest.fixture
def aws(lab: Lab, account: str, boto3_session: boto3.Session) -> Callable[..., Any]:
    """Make boto3 clients of the lab: ``aws("dynamodb")``, or ``aws("s3", account="…", region="…")``."""

    def client(service: str, *, account: str = account, region: str = REGION, **options: Any) -> Any:
        config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
        given = {
            "endpoint_url": lab.endpoint_url,
            "region_name": region,
            "aws_access_key_id": account,
            "aws_secret_access_key": "lab",
            "config": config,
        }
        return boto3_session.client(service, **{**given, **options})

    return client
