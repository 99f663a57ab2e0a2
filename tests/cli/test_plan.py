"""``ddb-export plan`` as a person runs it, on a table of the lab."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ddb_export.cli import main
from ddb_export.cli.plan import EMPTY_DOCUMENT
from tests.pipeline.tables import BUCKET, LakeTable

CONFIGURATION = {
    "table": "orders",
    "bucket": BUCKET,
    "prefix": "tables",
    "database": "lake",
    "schedule": "'@daily'",
    "start_date": "2026-03-01",
    "region": "us-east-1",
}
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def table(lab, account, aws, monkeypatch: pytest.MonkeyPatch) -> LakeTable:
    """A table with two items, and the credentials of its account in the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", account)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "lab")
    made = LakeTable(lab, account, aws)
    made.put(1, "a")
    made.put(2, "b")
    made.until(30)
    return made


@pytest.fixture
def plan(lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command; give the exit code and both streams."""

    def run(*arguments: str, **keys: str) -> tuple[int, str, str]:
        lines = [f"{key}: {value}\n" for key, value in {**CONFIGURATION, **keys}.items()]
        (tmp_path / "orders.yaml").write_text("".join(lines))
        code = main(["plan", *arguments, "--tables", str(tmp_path), "--endpoint-url", lab.endpoint_url])
        return (code, *capsys.readouterr())

    return run


def with_chain(table: LakeTable) -> None:
    """Give the table a verified base at 06:00 and a verified window behind it; it is 2026-03-04, 08:00 then."""
    table.ledger.own(table.arn, table.now)
    table.verified(6)
    table.verified(6, 24)
    table.until(80)


def earliest(table: LakeTable) -> str:
    """The time that recovery reaches back to, as AWS tells it."""
    recovery, _ = table.dynamodb.recovery(table.name)
    return f"{recovery.earliest:%Y-%m-%dT%H:%M:%SZ}"


def document(result: tuple[int, str, str]) -> dict[str, Any]:
    """The one JSON object, with exactly the keys that are promised."""
    code, out, err = result
    parsed: dict[str, Any] = json.loads(out)
    assert list(parsed) == list(EMPTY_DOCUMENT)
    assert parsed["ok"] == (code == 0) == (not parsed["errors"])
    assert len(err.splitlines()) == len(parsed["errors"])
    return parsed


def test_first_run(table, plan):
    code, out, err = plan("orders")
    assert (code, err) == (0, "")
    assert out.startswith("orders: 1 export to pay, about 0.0002 USD\n")
    assert "\n  run          scheduled, 2026-03-01T00:00:00Z to 2026-03-02T00:00:00Z\n" in out
    assert "\n  base         none yet\n" in out
    assert f"\n  recovery     {earliest(table)} to 2026-03-02T05:55" in out
    assert "\n  export       base         2026-03-02T00:00:00Z        " in out
    assert "1 full export: 400 B at 0.10 USD per GB" in out
    assert out.endswith("  budget       none is set\n")
    assert table.started() == []
    assert table.ledger.read().claims == ()


def test_what_is_covered_what_is_not_and_until_when_it_can_be_exported(table, plan):
    with_chain(table)
    parsed = document(plan("orders", "--json"))
    assert parsed["table_arn"] == table.arn
    assert parsed["run"] == {
        "kind": "scheduled", "start": "2026-03-03T00:00:00Z", "end": "2026-03-04T00:00:00Z", "runs": 1,
    }  # fmt: skip
    assert (parsed["base"], parsed["head"]) == ("2026-03-01T06:00:00Z", "2026-03-02T00:00:00Z")
    assert parsed["lag_seconds"] == pytest.approx(56 * 3600, abs=60)
    assert parsed["deadline"] == "2026-04-06T00:00:00Z"
    assert parsed["covered"] == [{"start": "2026-03-01T06:00:00Z", "end": "2026-03-02T00:00:00Z"}]
    assert [(each["action"], each["kind"], each["end"]) for each in parsed["exports"]] == [
        ("publish", "base", None),
        ("publish", "window", "2026-03-02T00:00:00Z"),
        ("export", "window", "2026-03-03T00:00:00Z"),
        ("export", "window", "2026-03-04T00:00:00Z"),
    ]
    assert sum(Decimal(each["usd"]) for each in parsed["exports"]) == Decimal(parsed["usd"]) > 0
    # One window of 18 hours was billed the least, 10 MB; so a day is expected to be a third more.
    assert parsed["exports"][-1]["estimated_bytes"] == 13_333_334
    assert len(table.started()) == 2


@pytest.mark.scenario("F34")
def test_a_budget_stops_it_and_the_sum_is_named(table, plan):
    with_chain(table)
    code, out, err = plan("orders", budget="{run: 0.002}")
    assert code == 1
    assert out.startswith("orders: OVER BUDGET: 2 exports to pay, about 0.00")
    assert "\n  budget       0.0020 USD a run: NOT KEPT\n" in out
    assert "ddb-export: scheduled run of orders: 2 exports would cost about 0.00" in err
    assert "more than the budget of 0.0020 USD a run; the dearest is window [2026-03-02T00:00:00Z, " in err
    assert err.count("\n") == 1
    code, out, _ = plan("orders", budget="{run: 0.01}")
    assert code == 0
    assert "\n  budget       0.01 USD a run: kept\n" in out


def test_prices_of_the_configuration_are_used(table, plan):
    cheap, dear = (
        document(plan("orders", "--full-export", "--json", prices=f"{{s3_put_per_thousand: {price}}}"))["usd"]
        for price in ("0.01", "10")
    )
    assert Decimal(dear) > Decimal(cheap) * 500


@pytest.mark.scenario("F34")
class TestBackfill:
    def test_all_its_runs_with_what_is_covered_and_what_is_not(self, table, plan):
        with_chain(table)
        parsed = document(plan("orders", "--backfill", "--from", "2026-03-01", "--to", "2026-03-02", "--json"))
        assert parsed["run"]["runs"] == 2
        assert [(each["action"], each["start"]) for each in parsed["exports"] if each["start"]] == [
            ("export", "2026-03-01T00:00:00Z"),
            ("publish", "2026-03-01T06:00:00Z"),
            ("export", "2026-03-02T00:00:00Z"),
        ]
        assert parsed["exports"][-1]["reason"] == "no export covers it yet"

    def test_the_budget_is_each_runs(self, table, plan):
        with_chain(table)
        days = ["--backfill", "--from", "2026-03-01", "--to", "2026-03-03"]
        parsed = document(plan("orders", *days, "--json", budget="{run: 0.002}"))
        assert (
            Decimal(parsed["usd"]) > Decimal(parsed["budget"]["run_usd"]) > Decimal(parsed["budget"]["dearest_run_usd"])
        )
        code, _, err = plan("orders", *days, budget="{run: 0.0012}")
        assert code == 1
        assert "backfill run of orders: window [2026-03-0" in err

    def test_before_recovery_it_is_refused_with_the_part_named(self, table, plan):
        with_chain(table)
        code, out, err = plan("orders", "--backfill", "--from", "2026-02-20", "--to", "2026-03-02")
        assert code == 1
        assert out.startswith("orders: REFUSED\n")
        assert f"\n  recovery     {earliest(table)} to " in out
        assert "\n  problem      window [2026-02-20T00:00:00Z, 2026-03-01T00:00:00Z) of arn:aws:" in out
        assert f"point-in-time recovery reaches back to {earliest(table)} only" in err
        parsed = document(plan("orders", "--backfill", "--from", "2026-02-20", "--to", "2026-03-02", "--json"))
        assert (parsed["usd"], parsed["exports"]) == (None, [])
        assert parsed["recovery"]["earliest"] == earliest(table)

    def test_without_a_base_it_is_refused(self, table, plan):
        code, _, err = plan("orders", "--backfill", "--from", "2026-03-01", "--to", "2026-03-01")
        assert code == 1
        assert "the table has no base yet" in err

    def test_many_runs_are_shown_in_few_lines(self, table, plan):
        with_chain(table)
        _, out, _ = plan("orders", "--backfill", "--from", "2026-03-02", "--to", "2026-03-03", schedule="'@hourly'")
        assert "\n  run          backfill, 2026-03-02T00:00:00Z to 2026-03-03T01:00:00Z, 25 runs\n" in out
        assert "\n  export       25 windows   2026-03-02T00:00:00Z to 2026-03-03T01:00:00Z   0.02" in out


def test_a_claimed_export_costs_until_it_is_started(table, plan):
    with_chain(table)
    claim = table.claim(24, 48)
    assert [each["action"] for each in document(plan("orders", "--json"))["exports"]][2:] == ["continue", "export"]
    before = Decimal(document(plan("orders", "--json"))["usd"])
    table.export(claim)
    parsed = document(plan("orders", "--json"))
    assert Decimal(parsed["usd"]) == before / 2
    assert parsed["exports"][2]["basis"] == "the export exists"


def test_nothing_to_pay_and_waiting(table, plan):
    with_chain(table)
    table.published(6)
    table.published(6, 24)
    code, out, _ = plan("orders", "--interval", "2026-03-01", "2026-03-02", budget="{run: 0}")
    assert code == 0
    assert out.startswith("orders: nothing to do\n")
    assert "\n  price        nothing\n  basis        DynamoDB is asked for nothing new" in out
    _, out, _ = plan("orders", "--interval", "2026-03-04", "2026-03-05")
    assert "\n  waits        until 2026-03-05T00:05:00Z, so that the last writes are in\n" in out


def test_a_folder_in_the_lake_is_enough(table, plan):
    uri = f"s3://{BUCKET}/tables/orders"
    code, _, err = plan(uri)
    assert code == 2
    assert err.endswith("Remedy: give --table NAME\n")
    assert document(plan(uri, "--table", "orders", "--region", "us-east-1", "--json"))["run"]["kind"] == "manual"
    with_chain(table)
    assert document(plan(uri, "--json"))["table_arn"] == table.arn
    assert plan("orders", "--table", "orders")[0] == 2


def test_a_lost_ledger_is_no_first_run(table, plan, aws):
    with_chain(table)
    s3 = aws("s3")
    for each in s3.list_objects_v2(Bucket=BUCKET, Prefix="tables/orders/ledger/")["Contents"]:
        s3.delete_object(Bucket=BUCKET, Key=each["Key"])
    code, out, err = plan("orders")
    assert code == 1
    assert out.startswith("orders: REFUSED\n")
    assert "it is empty, but an earlier chain existed" in err


def test_recovery_that_is_off(table, plan, aws):
    off = {"PointInTimeRecoveryEnabled": False}
    aws("dynamodb").update_continuous_backups(TableName="orders", PointInTimeRecoverySpecification=off)
    code, out, err = plan("orders")
    assert code == 1
    assert "\n  recovery     OFF: DynamoDB cannot export the table\n" in out
    assert "point-in-time recovery is off" in err


@pytest.mark.scenario("F10")
def test_recovery_that_has_passed_a_hole(table, plan):
    with_chain(table)
    table.until(40 * 24 + 1)
    code, out, err = plan("orders")
    assert code == 1
    assert (
        "\n  deadline     PASSED: recovery begins after 2026-03-02T00:00:00Z, up to which the data is complete\n" in out
    )
    assert "window [2026-03-02T00:00:00Z, 2026-03-07T00:00:00Z)" in err
    code, out, _ = plan("orders", on_chain_end="new_base")
    assert code == 0
    assert "\n  export       base         2026-04-10T00:00:00Z " in out
    assert plan("orders", on_chain_end="new_base", budget="{run: 0}")[0] == 1


def test_exit_codes_of_usage_and_of_what_is_not_there(table, plan):
    code, _, err = plan("orders", "--re-export")
    assert (code, err.count("\n")) == (2, 1)
    assert plan("orders", "--from", "soon", "--json")[0] == 2
    code, out, err = plan("orders", "--json", table="other", name="orders")
    assert code == 3
    assert list(json.loads(out)) == list(EMPTY_DOCUMENT)
    assert "check the name, account and region" in err


def test_the_page_names_every_key_of_the_document():
    page = (Path(__file__).parents[2] / "docs" / "cost.md").read_text(encoding="utf-8")
    promised = page.split("stdout is one object: `", 1)[1].split("`", 1)[0]
    outer = re.sub(r"\{[^}]*\}|\[|\]|:", "", promised)
    assert re.split(r",\s+", outer) == list(EMPTY_DOCUMENT)


def test_budget_of_the_month(table, plan):
    with_chain(table)
    refused = plan("orders", "--manual", "--json", budget="{month: 0}")
    found = document(refused)
    assert refused[0] == 1
    assert "that this month's exports cost, more than the budget of 0.00 USD a month" in found["errors"][0]["cause"]
    assert Decimal(found["budget"]["spent_this_month_usd"]) > 0
    assert found["budget"]["month_usd"] == "0"
    code, out, _ = plan("orders", "--manual", budget="{run: 1, month: 1}")
    assert code == 0
    assert "budget       1.00 USD a run and 1.00 USD a month: kept; this month's exports cost 0.00" in out
    assert list(table.store.list_objects(f"{table.ledger.lake.ledger}/spent/")) == [], "plan writes nothing"
