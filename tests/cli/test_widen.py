"""``ddb-export widen`` as a person runs it whose numbers have grown."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ddb_export.cli import main
from ddb_export.cli.widen import EMPTY_DOCUMENT
from ddb_export.domain.policy import Variant
from ddb_export.domain.widening import Widening
from ddb_export.domain.wider_columns import ColumnChange
from ddb_export.pipeline.rebuild import rebuild_ledger
from ddb_export.pipeline.widening_records import WideningRecords
from tests.cli.policies import policy_of
from tests.pipeline.tables import BUCKET, LakeTable

URI = f"s3://{BUCKET}/tables/orders"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def table(lab, account, aws, monkeypatch: pytest.MonkeyPatch) -> LakeTable:
    """A base of integers, and a window with a fraction, a set inside of a map, and a text."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", account)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "lab")
    made = LakeTable(lab, account, aws)
    made.put(1, "a", price={"N": "1"}, detail={"M": {}})
    made.put(13, "b", price={"N": "2.25"}, detail={"M": {"tags": {"SS": ["x"]}}})
    made.put(14, "c", price={"S": "free"})
    made.until(60)
    made.ledger.own(made.arn, made.now)
    made.published(12)
    made.published(12, 24)
    return made


@pytest.fixture
def command(lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command on the configured table; give the exit code and both streams."""

    def run(name: str, *arguments: str, more: str = "") -> tuple[int, str, str]:
        lines = f"table: orders\nbucket: {BUCKET}\nprefix: tables\ndatabase: lake\nregion: us-east-1\n"
        (tmp_path / "orders.yaml").write_text(f"{lines}schedule: '@daily'\nstart_date: 2026-01-01\n{more}\n")
        code = main([name, "orders", "--tables", str(tmp_path), "--endpoint-url", lab.endpoint_url, *arguments])
        return (code, *capsys.readouterr())

    return run


def test_from_gaps_over_the_plan_to_wider_columns(table, command):
    code, out, _ = command("gaps")
    assert code == 0
    assert "  overflow   price (column price, bigint): 1 of another type, 1 too wide; 20260301T1200Z-2" in out
    assert out.endswith(
        "next: ddb-export widen orders --plan says what rewriting partitions changes, and what it costs\n"
    )
    before = {each.key: each.etag for each in table.store.list_objects("")}
    code, out, err = command("widen", "--plan")
    assert (code, err) == (0, "")
    assert out.startswith("orders: would be widened\n  column     price: bigint becomes decimal(38,2)\n")
    assert "  rewrite    2 partitions from" in out
    assert "raw files" in out
    assert "detail: 1 with a set or binary inside; plain JSON has no sets" in out
    assert "price: 1 of another type; the column holds one type; --retype" in out
    assert {each.key: each.etag for each in table.store.list_objects("")} == before
    assert "VIEW_IS_STALE" not in out, "there are no views"
    code, out, err = command("widen", more="views: true")
    assert (code, err) == (0, "")
    assert out.startswith("orders: widened, columns of version 2\n")
    assert (
        "  views      the table's next run writes them again; until then Athena refuses them (VIEW_IS_STALE)\n" in out
    )
    assert table.query("SELECT CAST(price AS varchar) FROM orders_changes WHERE pk = 'b'") == [["2.25"]]
    code, out, _ = command("widen")
    assert code == 0
    assert out.startswith("orders: nothing to widen\n  stays      ")


def test_json_has_every_key(table, command):
    code, out, _ = command("widen", "--plan", "--json")
    document = json.loads(out)
    assert (code, set(document)) == (0, set(EMPTY_DOCUMENT))
    assert document["changes"] == [
        {"column": "price", "attribute": "price", "from": "bigint", "to": "decimal(38,2)"},
    ]
    assert (document["partitions"], document["planned_only"], document["scanned"]) == (2, True, 0)
    assert float(document["usd"]) > 0
    code, out, _ = command("widen", "--json")
    document = json.loads(out)
    assert (code, set(document)) == (0, set(EMPTY_DOCUMENT))
    assert (document["state"], document["schema_version"]) == ("done", 2)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--retype",), 2, "--retype: it names no column"),
        (("--column", "prize"), 2, "column prize: neither a column nor an attribute that overflowed. Remedy: see"),
    ],
)
def test_mistakes_are_one_line(table, command, arguments, code, words):
    found, out, err = command("widen", *arguments)
    assert (found, out) == (code, "")
    assert err.count("\n") == 1
    assert words in err


def test_no_ledger_ends_with_3(table, lab, capsys):
    arguments = ["--region", "us-east-1", "--endpoint-url", lab.endpoint_url]
    assert main(["widen", f"s3://{BUCKET}/tables/nothing", "--plan", *arguments]) == 3
    assert "there is no ledger" in capsys.readouterr().err


def test_dearer_than_the_budget_is_refused(table, command):
    assert command("widen", "--plan", more="budget: {run: 0}")[0] == 0
    code, _, err = command("widen", more="budget: {run: 0}")
    assert code == 1
    assert "more than the budget of 0.00 USD a run. Remedy: set budget.run" in err
    assert table.ledger.read_schema().version == 1


def test_without_the_yaml_there_is_a_plan_only(table, lab, capsys):
    arguments = ["widen", URI, "--region", "us-east-1", "--endpoint-url", lab.endpoint_url]
    assert main(arguments) == 2
    assert "needs the contract of the table's YAML" in capsys.readouterr().err
    assert main([*arguments, "--plan"]) == 0


def test_a_contract_that_contradicts_what_is_published_is_carried_out(table, command):
    contract = "contract: {columns: {price: {type: string}}}"
    code, out, _ = command("widen", more=contract)
    assert code == 0
    assert "  column     price: bigint becomes string\n" in out
    assert table.query("SELECT pk, price FROM orders_snapshots") == [["a", "1"]]
    assert table.query("SELECT pk, price FROM orders_changes ORDER BY pk") == [["b", "2.25"], ["c", None]]
    assert command("widen", more=contract)[1].startswith("orders: nothing to widen")


def test_the_plan_says_what_would_be_lost_to_quarantine_and_it_is_not_done(table, command):
    strict = "contract: {columns: {price: {type: bigint}}, on_violation: quarantine, quarantine_limit: '0'}"
    command("widen")
    code, out, err = command("widen", "--plan", more=strict)
    risk = "price: up to 3 of the values that were counted do not fit bigint; their rows go to quarantine, as on_violation says"
    assert (code, err, f"  at risk    {risk}\n" in out) == (0, "", True)
    document = json.loads(command("widen", "--plan", "--json", more=strict)[1])
    assert document["at_risk"] == [
        {"column": "price", "type": "bigint", "values": 3, "exact": False, "becomes": "quarantine"},
        {"column": "detail", "type": "string", "values": 1, "exact": True, "becomes": "quarantine"},
    ]
    assert "  stays  " not in out
    code, out, err = command("widen", more=strict)
    assert (code, out) == (1, "")
    assert "2 of 2 lines were quarantined, more than contract.quarantine_limit (0) allows" in err
    assert "is given up, and what it has not switched stays. Remedy: look at the reasons in quarantine/" in err
    assert table.query("SELECT count(*), count(price) FROM orders_changes") == [["2", "1"]]
    assert command("widen")[1].startswith("orders: nothing to widen")


def test_one_that_nobody_asks_for_any_more_is_given_up(table, command):
    records = WideningRecords(table.ledger)
    column = table.ledger.read_schema().columns[2]
    narrow = ColumnChange(column, replace(column, arrow_type="timestamp[us, tz=UTC]", unit="s"))
    records.begin(Widening(1, 1, (narrow,), (), (), table.now, declared=("price",)))
    code, out, _ = command("widen", "--plan")
    said = "  given up   widening 1, which was begun before: no contract declares timestamp for column price any more\n"
    assert (code, said in out) == (0, True)
    document = json.loads(command("widen", "--json")[1])
    assert (document["given_up"], document["widening"], document["state"]) == (1, 2, "done")
    assert document["changes"][0]["to"] == "decimal(38,2)"
    records.begin(Widening(3, 1, (narrow,), (), (), table.now, declared=("price",)))
    document = json.loads(command("widen", "--json")[1])
    assert (document["ok"], document["given_up"], document["widening"], document["state"]) == (
        True,
        3,
        None,
        "abandoned",
    )
    assert json.loads(command("widen", "--json")[1])["given_up"] is None


def test_a_rule_of_the_contract_that_came_later_is_named_and_carried_out(table, command, lab, account):
    drop = "contract: {columns: {price: {drop: true}}}"
    code, out, _ = command("gaps", more=drop)
    assert (code, "  contract   price: plain, and the contract drops it; 2 exports, 20260301T1200Z-" in out) == (
        0,
        True,
    )
    document = json.loads(command("gaps", "--json", more=drop)[1])
    assert [(each["attribute"], each["made"], each["contract"], each["exports"]) for each in document["contract"]] == [
        ("price", "plain", "dropped", 2)
    ]
    code, out, _ = command("widen", "--plan", more=drop)
    assert (code, "  column     price: plain, and the contract drops it; 2 partitions" in out) == (0, True)
    assert "  rewrite    2 partitions from" in out
    assert command("widen", more=drop)[0] == 0
    assert table.query("SELECT count(*), count(price) FROM orders_changes") == [["2", "0"]]
    assert "contract" not in command("gaps", more=drop)[1]
    assert command("prune")[:2] == (0, "orders: no older generation\n")
    code, out, _ = command("prune", "--hours", "0")
    assert (code, out.startswith("orders: 2 older generations, ")) == (0, True)
    live = next(each.key for each in table.store.list_objects("") if each.key.endswith("/_live.json"))
    shown = table.store.read(live).content
    partition = table.ledger.lake.uri(live).rsplit("/", 1)[0].split(f"/{table.name}/")[-1]
    older = json.loads(command("prune", "--hours", "0", "--json")[1])["generations"]
    (back,) = (each["generation"] for each in older if partition == each["partition"])
    table.store.put(live, json.dumps({"generation": back}).encode())
    assert f"  {partition}/{back}/: older by the ledger, but Glue or" in command("prune", "--hours", "0")[1]
    table.store.put(live, shown)
    for action in ("s3:GetObject", "s3:ListBucket", "s3:DeleteObject", "glue:GetTable", "glue:BatchGetPartition"):
        lab.allow_only(account, policy_of(account, Variant.PRUNE, action))
        code, out, err = command("prune", "--delete", "--hours", "0")
        assert (code, out, "AccessDenied" in err) == (3, "", True), action
    lab.allow_only(account, policy_of(account, Variant.PRUNE))
    document = json.loads(command("prune", "--delete", "--hours", "0", "--json")[1])
    lab.allow_only(account)
    assert (document["deleted"], document["files"] > 1, len(document["generations"])) == (True, True, 2)
    assert command("prune", "--hours", "0")[1] == "orders: no older generation\n"
    assert command("prune", "--hours", "-1")[0] == 2
    for each in list(table.store.list_objects(table.ledger.lake.ledger)):
        table.store.delete(each.key)
    rebuild_ledger(table.store, table.ledger.lake, table.now, apply=True, database="lake")
    assert json.loads(command("gaps", "--json", more=drop)[1])["contract"] == []
    (line,) = json.loads(command("gaps", "--json")[1])["contract"]
    assert (line["made"], line["contract"]) == ("dropped", "plain")
