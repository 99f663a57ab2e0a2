"""The table is deleted while its last export is not verified yet: the export outlives it, and only a verified one counts."""

from __future__ import annotations

import pytest

from ddb_export.operators.export import DynamoDBExportOperator
from ddb_export.operators.verify import VerifyExportOperator
from tests.airflow.airflow_runs import run_manually

pytestmark = [pytest.mark.airflow, pytest.mark.filterwarnings("ignore")]


@pytest.mark.scenario("F40")
def test_an_export_is_proven_whole_after_its_table_is_gone_or_does_not_count(table):
    moments = table.midnights[1:3]
    table.lab.add_fault("damage_file", account=table.account, target="data:largest", damage="flip_byte")
    with table.own_dag() as dag:
        for number, moment in enumerate(moments):
            DynamoDBExportOperator(task_id=f"export_{number}", table=table.name, export_time=moment)
    run = run_manually(dag)
    assert run.state == "success"
    assert table.keys("ledger/verified/") == [], "a COMPLETED export is no evidence"
    table.aws("dynamodb").delete_table(TableName=table.name)
    verify = [run.xcom(f"export_{number}")["export"] for number in (0, 1)]
    with table.own_dag() as dag:
        for number, export in enumerate(verify):
            VerifyExportOperator(task_id=f"verify_{number}", export=export)
    proven = run_manually(dag)
    damaged = [number for number in (0, 1) if proven.states[f"verify_{number}"] == "failed"]
    assert len(damaged) == 1
    assert "MD5" in proven.error(f"verify_{damaged[0]}")
    assert table.keys("ledger/verified/") == [f"ledger/verified/{verify[1 - damaged[0]]}.json"]
