"""A month's budget stops a run of a real DAG before anything is claimed or billed."""

from __future__ import annotations

import pytest

from ddb_export.aws.object_store import S3ObjectStore
from ddb_export.domain.layout import Lake
from ddb_export.operators.plan import PlanExportsOperator
from ddb_export.pipeline.estimate import noted_estimates
from ddb_export.pipeline.ledger import Ledger
from tests.airflow.airflow_runs import run_manually

pytestmark = [pytest.mark.airflow, pytest.mark.filterwarnings("ignore")]


def test_a_month_that_is_used_up_stops_the_run(table):
    with table.own_dag() as dag:
        PlanExportsOperator(task_id="plan", table=table.name, month_budget="0")
    run = run_manually(dag)
    assert run.state == "failed"
    assert "a month. Remedy: set budget.month of the table to" in run.error("plan")
    assert table.started() == []
    with table.own_dag() as dag:
        PlanExportsOperator(task_id="plan", table=table.name, month_budget="5")
    assert run_manually(dag).state == "success"
    ledger = Ledger(S3ObjectStore(table.aws("s3"), table.bucket), Lake(table.bucket, "lake", table.name))
    assert list(noted_estimates(ledger)) == [claim.subject for claim in ledger.read().claims]
