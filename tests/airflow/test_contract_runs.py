"""A contract that cannot be kept is refused by the plan task of a real DAG, before anything is claimed or paid for."""

from __future__ import annotations

import pytest

from ddb_export.aws.object_store import S3ObjectStore
from ddb_export.domain.layout import Lake
from ddb_export.domain.statistics import AttributeStatistics, ExportStatistics, NumberWidth
from ddb_export.operators.plan import PlanExportsOperator
from ddb_export.pipeline.ledger import Ledger
from tests.airflow.airflow_runs import run_manually

pytestmark = [pytest.mark.airflow, pytest.mark.filterwarnings("ignore")]


@pytest.mark.parametrize(
    ("contract", "cause"),
    [
        ({"columns": {"total": {"type": "decimal(38,2)"}}}, "published as column total bigint"),
        (
            {"columns": {"total": {"hash": True}}, "hash_conn_id": "nobody"},
            "Airflow connection nobody: it does not exist",
        ),
    ],
)
def test_nothing_is_exported_for_a_contract_that_cannot_be_kept(table, contract, cause):
    with table.own_dag() as dag:
        plan = PlanExportsOperator(task_id="plan", table=table.name, contract=contract)
    ledger = Ledger(S3ObjectStore(table.aws("s3"), table.bucket), Lake(plan.bucket, plan.prefix, plan.lake_name))
    ledger.extend_schema(ExportStatistics(1, 1, {"total": AttributeStatistics({"N": 1}, NumberWidth(3, 0))}))
    run = run_manually(dag)
    assert run.state == "failed"
    assert cause in run.error("plan")
    assert " Remedy: " in run.error("plan")
    assert (table.started(), table.claims()) == ([], [])
