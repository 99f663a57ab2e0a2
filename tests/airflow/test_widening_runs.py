"""Wider columns as a table's DAG makes them: by a run by hand that asks for it, or by policy."""

from __future__ import annotations

import hmac
import io
import json

import pyarrow.parquet as pq
import pytest

from tests.airflow.airflow_runs import run_manually, run_scheduled
from tests.airflow.runs import HOUR, Table, make_table

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.filterwarnings("ignore"),  # Airflow and its libraries warn about themselves
]


KEY = b"the owner's key"


@pytest.fixture
def hash_key(monkeypatch: pytest.MonkeyPatch) -> str:
    """An Airflow connection that has the key of the hashes."""
    monkeypatch.setenv("AIRFLOW_CONN_PII", json.dumps({"conn_type": "generic", "password": KEY.decode()}))
    return "pii"


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
    assert said not in capsys.readouterr().out.rpartition("done; the columns have version")[2]


def shown(table: Table, output: str = "changes") -> str:
    """Everything that readers by path are shown of an output, old images and ``_overflow`` included."""
    live = [key for key in table.keys(f"{output}/") if key.endswith("/_live.json")]
    files = [f"{key.removesuffix('_live.json')}{each['path']}" for key in live for each in table.document(key)["files"]]
    return "".join(str(pq.read_table(io.BytesIO(table.content(file))).to_pylist()) for file in files)


def test_a_type_of_the_contract_is_carried_out_by_a_run_that_asks(growing, capsys):
    """The run's own window has a value that the published type does not hold, and the declared one does."""
    m = growing.midnights
    assert run_scheduled(growing.dag(), m[0], m[1]).state == "success"
    contract = {"columns": {"price": {"type": "decimal(10,2)"}}, "on_violation": "quarantine", "quarantine_limit": "0"}
    refused = run_scheduled(growing.dag(contract=contract), m[1], m[2])
    assert "published as column price bigint, and the contract says decimal(10,2)" in refused.error("plan")
    assert "or a run by hand with widen: true" in refused.error("plan")
    capsys.readouterr()
    asked = run_manually(growing.dag(contract=contract), widen=True, to=m[2].isoformat())
    assert (asked.state, [str(each) for each in asked.failures]) == ("success", [])
    assert "this run publishes it so" in capsys.readouterr().out
    assert asked.xcom("publish")[0]["overflow"] == "price: 1 too wide"
    assert asked.xcom("widen")["changes"] == "price: bigint becomes decimal(10,2)"
    assert price(growing) == price(growing, "snapshots") == "decimal(10,2)"
    assert "'price': Decimal('2.25')" in shown(growing)
    assert run_scheduled(growing.dag(contract=contract), m[2], m[3]).state == "success"


def test_a_hash_of_a_number_holds_in_what_a_run_publishes_and_is_carried_out_when_it_can_be_paid(growing, hash_key):
    m = growing.midnights
    assert run_scheduled(growing.dag(), m[0], m[1]).state == "success"
    contract = {"columns": {"price": {"hash": True}}, "hash_conn_id": hash_key, "on_violation": "fail"}
    dear = growing.dag(contract=contract, widening="automatic")
    dear.get_task("widen").budget = "0"
    first = run_scheduled(dear, m[1], m[2])
    assert (first.state, first.states["publish"], first.states["widen"]) == ("success", "success", "skipped")
    assert (price(growing), "2.25" in shown(growing)) == ("bigint", False), "redacted, with the type of before"
    asked = run_scheduled(growing.dag(contract=contract, widening="automatic"), m[2], m[3])
    assert (asked.state, [str(each) for each in asked.failures]) == ("success", [])
    assert price(growing) == "string"
    digests = [hmac.digest(KEY, b'{"N":"%s"}' % number, "sha256").hex() for number in (b"1", b"2.25")]
    assert [f"'price': '{digest}'" in shown(growing) for digest in digests] == [False, True]
    assert f"'price': '{digests[0]}'" in shown(growing, "snapshots")
