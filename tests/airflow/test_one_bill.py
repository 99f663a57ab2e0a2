"""Deployments that are repeated and resets that stop half-way: no second full export starts, and nothing of the first is lost."""

from __future__ import annotations

import pytest

from tests.airflow.airflow_runs import Finished, run_scheduled
from tests.airflow.by_hand import forget_runs
from tests.airflow.runs import ONE_LINE, Table

pytestmark = [pytest.mark.airflow, pytest.mark.filterwarnings("ignore")]


def full_exports(table: Table) -> int:
    """Count the full exports that DynamoDB took on."""
    return sum(each["export_type"] == "FULL_EXPORT" for each in table.started())


def delete(table: Table, folder: str) -> None:
    for key in table.keys(folder):
        table.aws("s3").delete_object(Bucket=table.bucket, Key=f"lake/{table.name}/{key}")


@pytest.mark.scenario("F41")
@pytest.mark.scenario("F6")
def test_a_deployment_that_is_repeated_while_its_first_export_runs_goes_on_with_it(table):
    m = table.midnights
    fault = table.lab.add_fault("delay_export", account=table.account, hold=True)
    table.lab.deny(table.account, "dynamodb:DescribeExport")  # whoever waits is thrown out while the export runs
    first = run_scheduled(table.dag(retries=0), m[0], m[1])
    assert (first.state, first.states["export_base"], full_exports(table)) == ("failed", "failed", 1)
    forget_runs(first.dag)
    table.lab.deny(table.account)
    table.lab.release(fault)
    repeated = run_scheduled(table.dag(retries=0), m[1], m[2])
    assert (repeated.state, repeated.failures) == ("success", [])
    assert full_exports(table) == 1
    assert table.windows() == [(f"{m[1]:%Y-%m-%dT%H:%M:%SZ}", f"{m[2]:%Y-%m-%dT%H:%M:%SZ}")]


@pytest.mark.scenario("F41")
def test_a_reset_that_deletes_one_thing_after_the_other_starts_no_second_full_export(table):
    m = table.midnights
    first = run_scheduled(table.dag(retries=0), m[0], m[1])
    assert (first.state, full_exports(table)) == ("success", 1)
    delete(table, "ledger/")
    require_refusal(run_scheduled(table.dag(retries=0), m[1], m[2]), "handed over")
    forget_runs(first.dag)
    require_refusal(run_scheduled(table.dag(retries=0), m[1], m[2]), f"Glue table lake.{table.name}_snapshots")
    forget_runs(first.dag)
    table.aws("glue").delete_table(DatabaseName="lake", Name=f"{table.name}_snapshots")
    require_refusal(run_scheduled(table.dag(retries=0), m[1], m[2]), "raw export s3://")
    assert full_exports(table) == 1
    assert table.keys("ledger/") == [], "what is refused leaves no ledger behind"


def require_refusal(run: Finished, sign: str) -> None:
    """The plan was refused, for this sign of an earlier chain."""
    message = run.error("plan")
    assert run.state == "failed"
    assert ONE_LINE.fullmatch(message)
    assert "it is empty, but an earlier chain existed: " in message
    assert sign in message
    assert "ddb-export ledger rebuild" in message
