"""Fixtures for tests that run real DAGs in this process: Airflow's database, a connection to the lab, a table with a past."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local_aws.client import Lab
from tests.airflow.runs import HOUR, Table, make_table
from tests.clients import name_no_caller


@pytest.fixture(scope="session")
def airflow_database() -> None:
    """Make Airflow's database once per process."""
    from airflow.utils import db

    db.initdb()


@pytest.fixture(scope="session", autouse=True)
def callers() -> Iterator[None]:
    """Let hooks make clients without a look at the stack."""
    with pytest.MonkeyPatch.context() as patch:
        name_no_caller(patch)
        yield


@pytest.fixture
def connection(airflow_database: None, lab: Lab, account: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An Airflow connection to the test's account in the lab."""
    extra = {"region_name": "us-east-1", "endpoint_url": lab.endpoint_url}
    document = {"conn_type": "aws", "login": account, "password": "lab", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_LAB", json.dumps(document))
    return "lab"


@pytest.fixture
def table(lab: Lab, account: str, aws: Callable[..., Any], connection: str) -> Table:
    """A table with point-in-time recovery since four days, a bucket, a Glue database and two items."""
    table = make_table(lab, account, aws, connection)
    table.write(table.midnights[0] + HOUR, {"id": {"S": "a"}, "price": {"N": "1.50"}}, {"id": {"S": "b"}})
    table.now()
    return table


@pytest.fixture
def dag(table: Table) -> Any:
    """The table's DAG; a task is tried once more after a failure."""
    return table.dag(retries=1)
