"""What Airflow is told of published windows: one event each, with its partition key, and none of what is not published."""

from __future__ import annotations

import json
import runpy
from datetime import UTC, datetime
from pathlib import Path

import pytest
from airflow.models.asset import AssetEvent, AssetModel
from airflow.utils.session import create_session
from sqlalchemy import select

from ddb_export import PartitionKey, UsageError, asset_name, lake_asset, output_asset
from ddb_export.config.model import TableConfiguration
from tests.airflow.airflow_runs import run_again, run_backfill, run_manually, run_scheduled
from tests.airflow.runs import HOUR

pytestmark = [pytest.mark.airflow, pytest.mark.filterwarnings("ignore")]

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "assets.md").read_text(encoding="utf-8")


def iso(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def events(table, output):
    """Return partition key and metadata of each event of an output, in order."""
    query = select(AssetEvent).join(AssetModel, AssetModel.id == AssetEvent.asset_id)
    wanted = query.where(AssetModel.name == asset_name(table.name, output)).order_by(AssetEvent.id)
    with create_session() as session:
        return [(event.partition_key, event.extra) for event in session.scalars(wanted)]


def test_an_event_for_each_published_window_and_full_export_and_none_for_what_is_not_published(table):
    m = table.midnights
    table.write(m[1] + HOUR, {"id": {"S": "a"}, "note": {"S": "never told"}})
    table.now()
    outputs = ["snapshots", "changes", "raw"]
    dag = table.dag(retries=0, outputs=outputs, base_time=m[1])
    base, first, second = (
        f"{table.name}|{when}" for when in (iso(m[1]), *(f"{iso(m[i])}/{iso(m[i + 1])}" for i in (1, 2)))
    )

    # Of two windows one cannot be converted; the other one is told of all the same.
    table.lab.deny(table.account, f"s3:PutObject arn:aws:s3:::{table.bucket}/*/changes/dt={m[1]:%Y-%m-%d}/*")
    late = run_scheduled(dag, m[2], m[3])
    assert late.state == "failed"
    assert [[key for key, _ in events(table, output)] for output in outputs] == [
        [base],
        [second],
        [base, first, second],
    ]
    ((_, told),) = events(table, "snapshots")
    assert (told["kind"], told["export_time"], told["from"], told["rows"]) == ("base", iso(m[1]), None, 2)
    assert PartitionKey.parse(base).partition == told["partition"]

    # What is published again is told again, of what is there by then; so by a backfill.
    table.lab.deny(table.account)
    assert run_again(late, "convert", "publish", "announce_changes", "check", "widen", "compact").state == "success"
    assert [key for key, _ in events(table, "changes")] == [second, first, second]
    assert run_backfill(dag, m[1], m[2]).state == "success"
    assert [key for key, _ in events(table, "changes")] == [second, first, second, first]
    key, told = events(table, "changes")[-1]
    (evidence,) = (table.document(each) for each in table.keys(f"ledger/published/changes/{told['export']}/"))
    assert (told["from"], told["to"], told["partition"]) == (iso(m[1]), iso(m[2]), PartitionKey.parse(key).partition)
    same = ("generation", "rows", "files", "schema_version")
    assert {name: told[name] for name in same} == {name: evidence[name] for name in same}
    assert (told["rows"], told["verification"], told["bytes"]) == (1, "bytes", evidence["output_bytes"])
    assert "never told" not in json.dumps([events(table, output) for output in outputs])
    assert [name for name in told if f"`{name}`" not in PAGE] == []

    # A next attempt that comes to nothing fails its run, and the attempt before it is not told of in its place.
    table.lab.deny(table.account, f"s3:GetObject arn:aws:s3:::{table.bucket}/*-a2/*")
    again = run_manually(dag, **{"from": iso(m[1]), "to": iso(m[2]), "re_export": True})
    assert again.state == "failed"
    assert "readers still see" in again.error("check")
    table.lab.deny(table.account)
    assert [key for key, _ in events(table, "changes")] == [second, first, second, first]


def test_nothing_is_told_where_nothing_is_published(table):
    assert run_manually(table.dag(retries=0), dry_run=True).state == "success"
    assert [events(table, output) for output in ("snapshots", "changes")] == [[], []]
    table.lab.deny(table.account, "dynamodb:DescribeContinuousBackups")
    run = run_scheduled(table.dag(retries=0), table.midnights[0], table.midnights[1])
    assert run.state == "failed"
    assert (run.states["announce_snapshots"], run.states["announce_changes"]) == ("skipped", "upstream_failed")
    assert events(table, "snapshots") == []


def test_names_and_addresses_that_stay():
    table = TableConfiguration.declare(
        table="orders",
        bucket="lake",
        prefix="p",
        database="lake",
        schedule="@daily",
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
    )
    assets = [lake_asset(table), *(output_asset(table, output) for output in ("snapshots", "changes", "raw"))]
    assert [(each.name, each.uri) for each in assets] == [
        ("ddb_export__orders", "s3://lake/p/orders"),
        ("ddb_export__orders/snapshots", "s3://lake/p/orders/snapshots"),
        ("ddb_export__orders/changes", "s3://lake/p/orders/changes"),
        ("ddb_export__orders/raw", "s3://lake/p/orders/raw"),
    ]
    assert [name for name in (each.name for each in assets[1:]) if name not in PAGE] == []
    with pytest.raises(UsageError, match="output 'change' of orders: there is none"):
        asset_name("orders", "change")


def test_the_example_is_the_pages_and_its_dag_is_paused_and_waits_for_one_asset():
    file = ROOT / "docs" / "examples" / "orders_each_window.py"
    assert file.read_text(encoding="utf-8").partition('"""\n\n')[2].strip() in PAGE
    dag = runpy.run_path(str(file))["orders_each_window"]()
    assert (dag.dag_id, dag.is_paused_upon_creation, sorted(dag.task_ids)) == (
        "orders_each_window",
        True,
        ["count", "window"],
    )
    assert dag.timetable.asset_condition.name == "ddb_export__orders/changes"
