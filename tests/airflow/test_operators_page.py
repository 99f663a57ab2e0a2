"""The example of docs/operators.md runs as it is written, and the page names every parameter and XCom key."""

from __future__ import annotations

import inspect
import json
import re
import runpy
from pathlib import Path

import pytest

import ddb_export
from tests.airflow.airflow_runs import run_scheduled

pytestmark = [pytest.mark.airflow, pytest.mark.filterwarnings("ignore")]

PAGE = (Path(__file__).parents[2] / "docs" / "operators.md").read_text(encoding="utf-8")
CLASSES = sorted(name for name in ddb_export.__all__ if name.endswith(("Operator", "Sensor", "Trigger")))


def test_the_example_runs_and_returns_what_the_page_says(table, monkeypatch, tmp_path):
    extra = {"region_name": "us-east-1", "endpoint_url": table.lab.endpoint_url}
    document = {"conn_type": "aws", "login": table.account, "password": "lab", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(document))
    example = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]
    file = tmp_path / "orders_changes.py"
    file.write_text(example.replace('"orders"', f'"{table.name}"').replace('"my-lake"', f'"{table.bucket}"'))
    dag = runpy.run_path(str(file))["export"].dag
    run = run_scheduled(dag, table.midnights[1], table.midnights[2])
    assert (run.state, run.failures) == ("success", [])
    returned = {**run.xcom("export"), **run.xcom("verify_export")}
    assert returned["export_end"] == run.xcom("verify_export", "export_end") == returned["end"]
    assert [key for key in returned if f"`{key}`" not in PAGE] == []


@pytest.mark.parametrize("name", CLASSES)
def test_every_parameter_is_on_the_page(name):
    assert re.search(rf"`{name}\b", PAGE)
    parameters = inspect.signature(getattr(ddb_export, name)).parameters.values()
    named = [each.name for each in parameters if each.kind is not inspect.Parameter.VAR_KEYWORD]
    assert [parameter for parameter in named if not re.search(rf"`[^`]*\b{parameter}\b[^`]*`", PAGE)] == []
