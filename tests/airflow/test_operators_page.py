"""The example DAGs of docs/operators.md parse and run as they are written; its tables name what the operators have."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

import ddb_export
from tests.airflow.airflow_runs import run_manually, run_scheduled
from tests.airflow.runs import Table

pytestmark = [pytest.mark.airflow, pytest.mark.filterwarnings("ignore")]

PAGE = (Path(__file__).parents[2] / "docs" / "operators.md").read_text(encoding="utf-8")
EXPORTING, WAITING, PUBLISHING = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def dag_of(source: str, table: Table, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run an example as a DAG file, with the table and the bucket of the test in the place of the page's."""
    extra = {"region_name": "us-east-1", "endpoint_url": table.lab.endpoint_url}
    document = {"conn_type": "aws", "login": table.account, "password": "lab", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(document))
    names: dict[str, Any] = {}
    exec(source.replace('"orders"', f'"{table.name}"').replace('"my-lake"', f'"{table.bucket}"'), names)  # noqa: S102
    return next(value for value in names.values() if isinstance(value, DAG))


def test_exporting_verifying_and_publishing(table, monkeypatch):
    dag = dag_of(EXPORTING + PUBLISHING, table, monkeypatch)
    run = run_scheduled(dag, table.midnights[0], table.midnights[1])
    assert (run.state, run.failures) == ("success", [])
    returned = run.xcom("export")
    assert f"`{'`, `'.join(['export', 'attempt', 'covers'])}`" in PAGE
    for key in set(returned) - {"export", "attempt", "covers"}:
        assert re.search(rf"\b{key}\b", PAGE), key
    assert run.xcom("verify", "export_end") == returned["export_time"]
    assert [each["rows"] for each in run.xcom("publish")] == [2]


def test_waiting(table, monkeypatch):
    dynamodb = table.aws("dynamodb")
    arn = dynamodb.describe_table(TableName=table.name)["Table"]["TableArn"]
    started = dynamodb.export_table_to_point_in_time(TableArn=arn, S3Bucket=table.bucket)["ExportDescription"]
    run = run_manually(dag_of(WAITING, table, monkeypatch), arn=started["ExportArn"])
    assert (run.state, run.failures) == ("success", [])


@pytest.mark.parametrize(
    "name", sorted(name for name in ddb_export.__all__ if name.endswith(("Operator", "Sensor", "Trigger")))
)
def test_every_parameter_is_on_the_page(name):
    assert f"{name}`" in PAGE or f"`{name}(" in PAGE
    for parameter in set(inspect.signature(getattr(ddb_export, name)).parameters) - {"kwargs"}:
        assert re.search(rf"\b{parameter}\b", PAGE), parameter
