"""The paths of the lake: a contract that other people's queries rely on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from ddb_export.domain.layout import (
    Lake,
    changes_partition,
    generation,
    glue_name,
    part_name,
    snapshot_partition,
    window_partition,
)
from ddb_export.domain.window import Window

START = datetime(2026, 1, 31, 23, 30, tzinfo=UTC)


def test_lake_paths():
    lake = Lake("bucket", "a/b", "orders")
    assert (lake.root, lake.ledger) == ("a/b/orders", "a/b/orders/ledger")
    assert lake.raw("full-20260101T0000Z-a1") == "a/b/orders/raw/full-20260101T0000Z-a1"
    assert lake.uri("changes") == "s3://bucket/a/b/orders/changes"
    assert lake.uri() == "s3://bucket/a/b/orders"


def test_lake_without_prefix_has_no_slash_in_front():
    lake = Lake("bucket", "", "orders")
    assert (lake.root, lake.key("raw"), lake.uri()) == ("orders", "orders/raw", "s3://bucket/orders")


def test_partitions():
    window = Window(START, START + timedelta(hours=1))
    assert window_partition(window) == "changes/dt=2026-01-31/export_window=20260131T2330Z-20260201T0030Z"
    assert snapshot_partition(START) == "snapshots/export_time=20260131T2330Z"
    assert snapshot_partition(START + timedelta(seconds=5)) == "snapshots/export_time=20260131T233005Z"


def test_dt_is_the_utc_date_of_the_start():
    east = datetime(2026, 2, 1, 1, 0, tzinfo=timezone(timedelta(hours=2)))
    assert changes_partition(east, east + timedelta(hours=1)).startswith("changes/dt=2026-01-31/")


def test_generation_follows_from_its_inputs_alone():
    assert generation("arn", "schema", "1") == generation("arn", "schema", "1")
    names = {generation("arn", "schema", "1"), generation("arn", "schema", "2"), generation("ar", "nschema", "1")}
    assert len(names) == 3
    assert all(name.startswith("g-") and len(name) == 18 for name in names)


@pytest.mark.parametrize(
    ("name", "glue"), [("Orders", "orders"), ("my-table.v2", "my_table_v2"), ("a_b", "a_b"), ("ä", "_")]
)
def test_glue_names(name, glue):
    assert glue_name(name) == glue


def test_part_names_sort_as_they_count():
    assert [part_name(0), part_name(12), part_name(3, "jsonl")] == [
        "part-00000.parquet",
        "part-00012.parquet",
        "part-00003.jsonl",
    ]
