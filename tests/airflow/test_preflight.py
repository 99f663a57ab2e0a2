"""The doctor as a task of one's own DAG."""

from __future__ import annotations

from typing import Any

import pytest

from ddb_export.operators.preflight import PreflightOperator
from tests.airflow.airflow_runs import run_manually

pytestmark = [pytest.mark.airflow, pytest.mark.filterwarnings("ignore")]


def preflight(table, **parameters: Any):
    """Run the operator alone in a DAG."""
    with table.own_dag() as dag:
        PreflightOperator(
            task_id="preflight", table=table.name, **{"database": "lake", "schedule": "@daily", **parameters}
        )
    return run_manually(dag)


def test_preflight_returns_its_findings(table):
    run = preflight(table)
    assert (run.state, run.failures) == ("success", [])
    findings = {each["check"]: each["level"] for each in run.xcom("preflight")}
    assert findings["recovery"] == findings["bucket"] == findings["database"] == "ok"
    assert "fail" not in findings.values()


@pytest.mark.scenario("F42")
def test_preflight_fails_with_the_first_remedy(table):
    run = preflight(table, database="nowhere", kms_key="11111111-2222-3333-4444-555555555555")
    assert run.state == "failed"
    words = run.error("preflight")
    assert "kms key" in words
    assert "(and 1 more, see the log)" in words
