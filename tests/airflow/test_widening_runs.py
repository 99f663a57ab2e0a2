"""Wider columns as a table's DAG makes them: by a run by hand that asks for it, or by policy."""

from __future__ import annotations

import pytest

from tests.airflow.airflow_runs import run_manually, run_scheduled
from tests.airflow.runs import HOUR, Table, make_table

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.filterwarnings("ignore"),  # Airflow and its libraries warn about themselves
]


@pytest.fixture
def growing(lab, account, aws, connection) -> Table:
    """An integer at first, a fraction on the second day."""
    table = make_table(lab, account, aws, connection)
    first, second, *_ = table.midnights
    table.write(first + HOUR, {"id": {"S": "a"}, "price": {"N": "1"}})
    table.write(second + HOUR, {"id": {"S": "a"}, "price": {"N": "2.25"}})
    table.now()
    return table


def price(table: Table, output: str = "changes") -> str:
    """The type of the column in Glue."""
    found = table.aws("glue").get_table(DatabaseName="lake", Name=f"{table.name}_{output}")["Table"]
    return next(each["Type"] for each in found["StorageDescriptor"]["Columns"] if each["Name"] == "price")


def test_overflow_is_said_by_publish_and_widened_when_a_run_asks_for_it(growing, capsys):
    m, dag = growing.midnights, growing.dag(views=True)
    assert run_scheduled(dag, m[0], m[1]).state == "success"
    capsys.readouterr()
    run = run_scheduled(dag, m[1], m[2])
    assert (run.state, run.failures, run.states["widen"]) == ("success", [], "skipped")
    (published,) = run.xcom("publish")
    assert (published["overflowed"], published["overflow"]) == (1, "price: 1 too wide")
    assert (
        f"price: 1 too wide; to see what a wider column costs: ddb-export widen {growing.name} --plan"
        in capsys.readouterr().out
    )
    assert price(growing) == "bigint"
    dry = run_manually(growing.dag(views=True), widen=True, dry_run=True)
    assert (dry.states["widen"], dry.states["plan_views"], price(growing)) == ("skipped", "skipped", "bigint")
    assert price(growing, "latest") == "bigint"
    asked = run_manually(growing.dag(views=True), widen=True)
    assert (asked.state, asked.failures) == ("success", [])
    done = asked.xcom("widen")
    assert (done["changes"], done["schema_version"]) == ("price: bigint becomes decimal(38,2)", 2)
    assert done["partitions"] == len(growing.partitions()) == len(growing.started())
    assert price(growing) == price(growing, "latest") == "decimal(38,2)", "views are written in the same run"
    again = run_manually(growing.dag(), widen=True)
    assert (again.state, again.states["widen"]) == ("success", "skipped")


def test_policy_widens_by_itself_within_the_budget(growing, capsys):
    m = growing.midnights
    dear = growing.dag(widening="automatic", prices={"s3_put_per_thousand": "1000000"})
    assert run_scheduled(dear, m[0], m[1]).state == "success"
    dear = growing.dag(widening="automatic", budget={"run": "99999"}, prices={"s3_put_per_thousand": "1000000"})
    assert run_scheduled(growing.dag(), m[1], m[2]).state == "success"
    capsys.readouterr()
    run = run_manually(dear)
    assert (run.states["widen"], price(growing)) == ("skipped", "bigint")
    assert "more than the budget of 99999.00 USD a run" in capsys.readouterr().out
    cheap = run_manually(growing.dag(widening="automatic"))
    assert (cheap.state, cheap.states["widen"], price(growing)) == ("success", "success", "decimal(38,2)")


def test_a_rule_of_the_contract_that_came_later_is_said_by_publish_and_carried_out_by_a_run_that_asks(growing, capsys):
    m, contract = growing.midnights, {"columns": {"price": {"drop": True}}}
    assert run_scheduled(growing.dag(), m[0], m[1]).state == "success"
    capsys.readouterr()
    assert run_scheduled(growing.dag(contract=contract), m[1], m[2]).state == "success"
    said = f"older partitions of {growing.name} are still readable as they were made: price: plain, and the contract drops it"
    assert capsys.readouterr().out.count(said) == 1
    asked = run_manually(growing.dag(contract=contract), widen=True)
    assert asked.state == "success"
    assert "price: plain, and the contract drops it" in asked.xcom("widen")["changes"]
    assert run_manually(growing.dag(contract=contract)).state == "success"
    assert said not in capsys.readouterr().out.rpartition("is done; the columns have version")[2]
