"""One lake for all readers, forgotten before another test makes its bucket: making it takes longer than reading it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.config import Config

from local_aws.client import Lab
from tests.conftest import REGION
from tests.readers.lake import ReadersLake, Shown, make_lake
from tests.readers.trino_server import Trino, running_trino


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
def shown(lake: ReadersLake, tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """What readers are shown before anything changes."""
    return lake.show(tmp_path_factory.mktemp("lake"))


@pytest.fixture(scope="package")
def trino(lab: Lab, lake: ReadersLake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trino]:
    """A server over the lake."""
    with running_trino(tmp_path_factory.mktemp("trino"), lab.endpoint_url, lake.table.account) as server:
        print(f"readers: Trino {server.info()['nodeVersion']['version']} with Glue and S3 of the lab")
        yield server


@pytest.fixture(scope="package")
def views(trino: Trino, lake: ReadersLake) -> list[str]:
    """The helper views, written by Trino."""
    wanted = lake.views()
    for view in wanted:
        trino.rows(view.statement)
    return [view.name for view in wanted]
