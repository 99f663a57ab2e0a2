"""One lake for all readers, forgotten before another test makes its bucket: making it takes longer than reading it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config

from local_aws.client import Lab
from tests.conftest import REGION
from tests.readers.lake import ReadersLake, make_lake


@pytest.fixture(scope="package")
def lake(lab: Lab, boto3_session: Any) -> Iterator[ReadersLake]:
    """The lake, in an account of its own."""
    account = f"{random.randrange(10**11, 10**12)}"

    def client(service: str) -> Any:
        return boto3_session.client(
            service,
            endpoint_url=lab.endpoint_url,
            region_name=REGION,
            aws_access_key_id=account,
            aws_secret_access_key="lab",
            config=Config(s3={"addressing_style": "path"}),
        )

    yield make_lake(lab, account, client)
    lab.reset(account)


@pytest.fixture(scope="package")
def copies(lake: ReadersLake, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Local copies of the files, by the location of their partition in Glue."""
    return lake.download(tmp_path_factory.mktemp("lake"))
