"""A table's DAG, run after run: what is exported, handed over, published, and what a second time changes (nothing)."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from ddb_export.domain.attribute_value import items_equal
from tests.airflow.airflow_runs import replace_xcom, run_again, run_backfill, run_manually, run_scheduled
from tests.airflow.runs import HOUR, Table, make_table

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.filterwarnings("ignore"),  # Airflow and its libraries warn about themselves
]


def iso(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def days(table):
    return [iso(midnight) for midnight in table.midnights]


@pytest.fixture
def busy(lab, account, aws, connection):
    """A table that changes on each of three days."""
    table = make_table(lab, account, aws, connection)
    first, second, third, fourth, _ = table.midnights
    table.write(first + HOUR, {"id": {"S": "a"}, "price": {"N": "1.50"}}, {"id": {"S": "b"}})
    table.write(second + HOUR, {"id": {"S": "a"}, "price": {"N": "2"}}, {"id": {"S": "c"}})
    table.delete(third + HOUR, {"id": {"S": "b"}})
    table.write(fourth + HOUR, {"id": {"S": "d"}})
    table.now()
    return table


@pytest.mark.scenario("F38")
def test_base_then_daily_windows_at_the_schedules_boundaries(busy, capsys):
    m, text = busy.midnights, days(busy)
    dag = busy.dag()
    base = run_scheduled(dag, m[0], m[1])
    assert (base.state, base.states["window.export"]) == ("success", "skipped")
    assert base.xcom("hand_over", "export_end") == text[1]
    assert base.xcom("plan", "base_time") == text[1]
    for day in (1, 2, 3):
        capsys.readouterr()
        run = run_scheduled(dag, m[day], m[day + 1])
        assert (run.state, run.failures) == ("success", [])
        assert run.states["export_base"] == "skipped"
        assert run.xcom("window.verify", "export_end", 0) == text[day + 1]
        assert run.xcom("hand_over", "export_end") == text[day + 1]
        log = capsys.readouterr().out
        assert f"going on from {text[day]}, which the previous run handed over and the ledger proves" in log
    assert busy.windows() == [(text[day], text[day + 1]) for day in (1, 2, 3)]
    changes = sorted((row["_op"], item["id"]["S"]) for row, item in busy.rows("changes"))
    assert changes == [("INSERT", "c"), ("INSERT", "d"), ("MODIFY", "a"), ("REMOVE", "b")]
    assert len(busy.partitions()) == 4
    summary = run.xcom("check")
    assert (summary["head"], summary["rows"]) == (text[4], [1])
    assert len(busy.started()) == 4


def test_catches_up_in_one_run_after_days_of_pause_and_the_ledger_wins(busy, capsys):
    m, text = busy.midnights, days(busy)
    dag = busy.dag()
    base = run_scheduled(dag, m[0], m[1])
    replace_xcom(base, "hand_over", "export_end", text[3])
    capsys.readouterr()
    late = run_scheduled(dag, m[3], m[4])
    assert (late.state, late.failures) == ("success", [])
    said = f"the previous run handed over {text[3]}, the ledger proves {text[1]}; the ledger wins"
    assert said in capsys.readouterr().out
    assert busy.windows() == [(text[day], text[day + 1]) for day in (1, 2, 3)]
    assert late.xcom("hand_over", "export_end") == text[4]


def test_a_cleared_run_exports_nothing_again_and_ends_in_the_same_lake(table, dag, capsys):
    m = table.midnights
    run_scheduled(dag, m[0], m[1])
    run = run_scheduled(dag, m[1], m[2])
    before, keys, exports = table.lake_files(), table.keys(), len(table.started())
    billed = len(table.lab.calls(table.account, operation="ExportTableToPointInTime"))
    cleared = run_again(run)
    assert (cleared.state, cleared.failures) == ("success", [])
    # 10 MB at 0.10 USD per GB, the requests that wrote the files, a count; a cleared run says the same of what it paid once.
    for each in (run, cleared):
        bill = each.xcom("check")
        assert Decimal(bill["billed_usd"]) >= Decimal("0.00113")
        assert Decimal(bill["estimated_usd"]) >= Decimal("0.00113")
    assert run.xcom("check")["billed_usd"] == cleared.xcom("check")["billed_usd"]
    assert "this run's exports: 1 billed 10.0 MB, about 0.0" in capsys.readouterr().out
    assert table.lake_files() == before
    assert sorted(table.keys("ledger/")) == sorted(key for key in keys if key.startswith("ledger/"))
    assert len(table.started()) == exports
    assert len(table.lab.calls(table.account, operation="ExportTableToPointInTime")) == billed


@pytest.mark.scenario("F8")
def test_a_run_too_early_waits_deferred_and_declares_no_gap(table, dag, capsys):
    m = table.midnights
    table.lab.set_clock(m[3] + timedelta(minutes=4, seconds=40), table.account)
    run = run_scheduled(dag, m[0], m[3])
    assert (run.state, run.failures) == ("success", [])
    log = capsys.readouterr().out
    assert f"windows settle at {iso(m[3] + timedelta(minutes=5))} by AWS's clock" in log
    assert "DEFERRED" in log
    asked = [call for call in table.lab.calls(table.account) if call["operation"] == "ExportTableToPointInTime"]
    assert all(call["time"] >= iso(m[3] + timedelta(minutes=5))[:19] for call in asked)
    assert len(asked) == 1


def test_manual_runs_dry_run_catch_up_and_new_base(table, dag, capsys):
    m = table.midnights
    dry = run_manually(dag, dry_run=True)
    assert (dry.state, dry.failures) == ("success", [])
    assert "full export at the" in capsys.readouterr().out
    assert (table.keys(), table.started()) == ([], [])
    assert run_scheduled(table.dag(), m[2], m[3]).state == "success"
    manual = run_manually(table.dag())
    assert (manual.state, manual.failures) == ("success", [])
    assert "export_end_manual" in manual.xcom_keys("hand_over")
    assert "export_end" not in manual.xcom_keys("hand_over")
    renewed = run_manually(table.dag(), new_base=True)
    assert (renewed.state, renewed.failures) == ("success", [])
    assert [(claim["kind"], claim["chain"]) for claim in table.claims()][-1] == ("base", 2)


def test_backfill_rebuilds_what_is_covered_and_exports_what_is_not(table, dag):
    m, text = table.midnights, days(table)
    early = run_backfill(dag, m[0], m[1])
    assert early.state == "failed"
    assert "no base yet" in early.error("plan")
    run_scheduled(dag, m[1], m[2])
    run_scheduled(dag, m[3], m[4])
    before, exports = table.lake_files(), len(table.started())
    rebuilt = run_backfill(dag, m[2], m[3])
    assert (rebuilt.state, rebuilt.failures) == ("success", [])
    assert rebuilt.xcom("publish")[0]["rows"] == 0
    assert rebuilt.xcom("check")["billed_usd"] == "0"
    assert (table.lake_files(), len(table.started())) == (before, exports)
    history = run_again(early)
    assert (history.state, history.failures) == ("success", [])
    assert (text[0], text[1]) in table.windows()
    assert len(table.started()) == exports + 1
    assert history.xcom("hand_over", "export_end_backfill") == text[4], "history before the base moves no head"
    assert before.items() <= table.lake_files().items()


@pytest.mark.scenario("F17")
def test_an_empty_table_and_windows_without_changes(lab, account, aws, connection):
    table: Table = make_table(lab, account, aws, connection)
    table.now()
    m = table.midnights
    dag = table.dag(retries=0)
    runs = [run_scheduled(dag, m[0], m[1]), run_scheduled(dag, m[1], m[2])]
    assert [(run.state, run.failures) for run in runs] == [("success", [])] * 2
    assert runs[1].xcom("check")["rows"] == [0]
    assert len(table.partitions()) == 2


@pytest.mark.scenario("F20")
@pytest.mark.scenario("F21")
@pytest.mark.scenario("F22")
@pytest.mark.scenario("F25")
@pytest.mark.scenario("F15")
def test_every_item_can_be_rebuilt_from_what_a_run_published(lab, account, aws, connection):
    table: Table = make_table(lab, account, aws, connection, sort_key="sort")
    lab.settings(account, checksum_suffix="checksum")
    wild: dict[str, Any] = {
        "id": {"S": "same"},
        "sort": {"S": "1"},
        "digits": {"N": "12345678901234567890123456789012345678"},
        "tiny": {"N": "-1.5E-100"},
        "beyond": {"N": "9007199254740993"},
        "tags": {"SS": ["x", "y"]},
        "sizes": {"NS": ["1", "2.5"]},
        "blobs": {"BS": ["AAE=", "/w=="]},
        "M": {"B": "AAE="},
        "L": {"S": "not a list"},
        "S": {"M": {"N": {"B": "AA=="}, "deep": {"NS": ["1"]}}},
        "Id": {"S": "beside id"},
        "none": {"NULL": True},
        "empty": {"S": ""},
        "empty_list": {"L": []},
        "empty_map": {"M": {}},
        "flag": {"BOOL": False},
    }
    other = {"id": {"S": "same"}, "sort": {"S": "2"}, "digits": {"N": "0.1"}}
    table.write(table.midnights[0] + HOUR, wild, other)
    changed = {**other, "digits": {"N": "0.2"}}
    table.write(table.midnights[1] + HOUR, changed)
    table.now()
    run = run_scheduled(table.dag(retries=0, base_time=table.midnights[1]), table.midnights[1], table.midnights[2])
    assert (run.state, run.failures) == ("success", [])
    snapshot = sorted((item for _, item in table.rows("snapshots")), key=lambda item: item["sort"]["S"])
    assert len(snapshot) == 2
    assert items_equal(snapshot[0], wild)
    assert items_equal(snapshot[1], other)
    assert [item for _, item in table.rows("changes")] == [changed]
