"""Runs by hand that are told what to do: from and to, exports made again, one more full export; and runs that are told too much."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from tests.airflow.airflow_runs import run_again, run_backfill, run_manually, run_scheduled
from tests.airflow.runs import HOUR, ONE_LINE, make_table

pytestmark = [pytest.mark.airflow, pytest.mark.filterwarnings("ignore")]


def iso(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def chained(lab, account, aws, connection):
    """A table with a base at the second midnight and a window for the day after it."""
    table = make_table(lab, account, aws, connection)
    for day, midnight in enumerate(table.midnights):
        if midnight + HOUR < table.midnights[-1]:
            table.write(midnight + HOUR, {"id": {"S": f"day-{day}"}})
    table.now()
    dag = table.dag(retries=0)
    assert run_scheduled(dag, table.midnights[0], table.midnights[1]).state == "success"
    assert run_scheduled(dag, table.midnights[1], table.midnights[2]).state == "success"
    return table


def inserted(table):
    return sorted(item["id"]["S"] for row, item in table.rows("changes"))


def test_a_stretch_of_time_is_exported_once_and_clearing_the_run_exports_nothing(chained):
    first, second = chained.midnights[0], chained.midnights[1]
    dag = chained.dag(retries=0)
    run = run_manually(dag, **{"from": iso(first), "to": iso(second)})
    assert (run.state, run.failures) == ("success", [])
    assert inserted(chained) == ["day-0", "day-1"]
    assert run.xcom("hand_over", "export_end_manual") == iso(chained.midnights[2])
    started = len(chained.started())
    again = run_again(run)
    assert (again.state, len(chained.started())) == ("success", started)
    covered = run_manually(dag, **{"from": iso(first), "to": iso(second)})
    assert (covered.state, covered.xcom("plan", "exports"), len(chained.started())) == ("success", [], started)


@pytest.mark.scenario("F4")
def test_windows_are_exported_again_and_the_new_attempt_takes_their_place(chained):
    start, end = chained.midnights[1], chained.midnights[2]
    before = chained.partitions()
    run = run_manually(chained.dag(retries=0), **{"from": iso(start), "to": iso(end), "re_export": True})
    assert (run.state, run.failures) == ("success", [])
    (name,) = run.xcom("plan", "exports")
    assert name.endswith("-a2")
    assert chained.partitions() == before
    day = f"dt={start:%Y-%m-%d}"
    (live,) = [key for key in chained.keys(f"changes/{day}/") if key.endswith("_live.json")]
    (export_arn,) = [each["ExportArn"] for each in chained.aws("dynamodb").list_exports()["ExportSummaries"][:1]]
    assert chained.document(live)["export_arn"] == export_arn
    started = len(chained.started())
    assert run_again(run).state == "success"
    assert len(chained.started()) == started


def test_one_more_full_export_becomes_a_snapshot_and_the_chain_goes_on(chained):
    run = run_manually(chained.dag(retries=0), full_export=True)
    assert (run.state, run.failures) == ("success", [])
    kinds = Counter(claim["kind"] for claim in chained.claims())
    assert kinds == {"base": 1, "window": 1, "snapshot": 1}
    assert len([key for key in chained.keys("snapshots/") if key.endswith("_live.json")]) == 2
    following = run_scheduled(chained.dag(), chained.midnights[2], chained.midnights[3])
    assert following.xcom("hand_over", "export_end") == iso(chained.midnights[3])


@pytest.mark.scenario("F34")
def test_what_cannot_be_done_is_refused_before_anything_is_claimed(chained):
    claims = len(chained.claims())
    noon = iso(chained.midnights[1] + 12 * HOUR)
    later = iso(chained.midnights[-1] + timedelta(days=300))
    for params, cause in (
        ({"from": noon, "to": iso(chained.midnights[3])}, "'from' lies inside"),
        ({"to": later}, "ends after"),
        ({"from": noon}, "'from' lies inside"),
        ({"from": iso(chained.midnights[3]), "to": noon}, "not after 'from'"),
        ({"re_export": True}, "does not say which windows"),
        ({"full_export": True, "new_base": True}, "give one of them only"),
    ):
        run = run_manually(chained.dag(retries=0), **params)
        message = run.error("plan")
        assert (run.state, cause in message) == ("failed", True), message
        assert ONE_LINE.fullmatch(message)
    assert len(chained.claims()) == claims


@pytest.mark.scenario("F5")
def test_a_backfill_rebuilds_the_window_that_was_exported_again(chained):
    stretch = chained.midnights[2], chained.midnights[3]
    for more in ({}, {"re_export": True}):
        run_manually(chained.dag(retries=0), **{"from": iso(stretch[0]), "to": iso(stretch[1]), **more})
    started = len(chained.started())
    run = run_backfill(chained.dag(retries=0), *stretch)
    assert (run.state, len(chained.started())) == ("success", started)
    assert any(name.endswith("-a2") for name in run.xcom("plan", "exports"))


@pytest.mark.scenario("F34")
def test_a_budget_stops_a_run_before_anything_is_claimed_and_a_dry_run_names_the_price(chained, capsys):
    stretch = {"from": iso(chained.midnights[0]), "to": iso(chained.midnights[1])}
    claims = len(chained.claims())
    dag = chained.dag(retries=0, budget={"run": "0.0001"})
    refused = run_manually(dag, **stretch)
    message = refused.error("plan")
    assert (refused.state, len(chained.claims())) == ("failed", claims)
    assert "more than the budget of" in message
    assert ONE_LINE.fullmatch(message)
    capsys.readouterr()
    dry = run_manually(chained.dag(retries=0, budget={"run": "0.0001"}), **stretch, dry_run=True)
    assert (dry.state, len(chained.claims())) == ("success", claims)
    assert "MORE THAN the budget" in capsys.readouterr().out


@pytest.mark.scenario("F34")
def test_a_backfill_that_takes_over_a_scheduled_run_does_what_the_backfill_asks(chained):
    """Airflow turns the run that exists into the backfill's and keeps its task states, the plan among them."""
    from airflow.utils.session import create_session
    from airflow.utils.types import DagRunType

    from tests.airflow.airflow_runs import Finished, _dag_run

    first = Finished(chained.dag(retries=0), f"scheduled__{chained.midnights[0].isoformat()}")
    assert inserted(chained) == ["day-1"]
    with create_session() as session:
        _dag_run(first, session).run_type = DagRunType.BACKFILL_JOB
    again = run_again(first)
    assert again.state == "success"
    assert sorted(name[:4] for name in again.xcom("plan", "exports")) == [f"{chained.midnights[0]:%Y}", "full"]
    assert inserted(chained) == ["day-0", "day-1"]
