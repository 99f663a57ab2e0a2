"""A real Trino reads the lake through Glue's API and S3's, writes the helper views there, and answers from them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from ddb_export.aws.glue_indexes import ensure_partition_index
from ddb_export.domain.attribute_value import items_equal
from ddb_export.domain.entities import Entities, EntityMatch
from ddb_export.pipeline.raw_tables import RawTables
from tests.readers.lake import ReadersLake, same
from tests.readers.trino_server import Trino, TrinoError

pytestmark = pytest.mark.slow


def test_snapshots_give_back_every_item(lake: ReadersLake, trino: Trino) -> None:
    lake.check_snapshot(trino.rows("SELECT * FROM orders_snapshots"))


def test_old_and_new_partitions_read_together(lake: ReadersLake, trino: Trino) -> None:
    lake.check_changes(trino.rows("SELECT * FROM orders_changes"))


def test_times_keep_their_microseconds(trino: Trino) -> None:
    rows = trino.rows("SELECT CAST(_written_at AS varchar) AS at FROM orders_changes ORDER BY 1")
    assert rows[0]["at"] == "2026-03-01 02:06:00.000000"


def test_declared_columns_are_queried_by_their_types(trino: Trino) -> None:
    (row,) = trino.rows(
        "SELECT address.geo.lat AS lat, total, CAST(created AS varchar) AS created, CAST(seen AS varchar) AS seen, order_reference"
        " FROM orders_snapshots WHERE address.floor = -3 AND total > DECIMAL '9.89'"
    )
    assert (row["lat"], row["total"], row["order_reference"]) == (Decimal("50.061947"), Decimal("9.90"), "A-1")
    assert row["created"].startswith("2026-03-01 00:00:00.25")
    assert row["seen"] == "2026-03-01 00:00:00.123456"


def test_partitions_are_pruned_by_their_keys(trino: Trino) -> None:
    rows = trino.rows("SELECT count(*) AS n FROM orders_changes WHERE export_window = '20260301T0100Z-20260301T0300Z'")
    assert rows == [{"n": 2}]


def test_an_index_changes_no_answer(lake: ReadersLake, trino: Trino) -> None:
    ensure_partition_index(lake.table.glue, "lake", "orders_changes", ["dt", "export_window"])
    lake.check_changes(trino.rows("SELECT * FROM orders_changes"))


def test_latest_state(lake: ReadersLake, trino: Trino, views: list[str]) -> None:
    assert views == ["orders_latest", "orders_history", "orders_overflow"]
    same(lake.items(trino.rows("SELECT * FROM orders_latest")), lake.latest)


def test_history(trino: Trino, views: list[str]) -> None:
    rows = trino.rows("SELECT _version, _op, n FROM orders_history WHERE pk = 'item 0' ORDER BY 1")
    assert [(row["_version"], row["_op"]) for row in rows] == [(1, "SNAPSHOT"), (2, "MODIFY"), (3, "MODIFY")]


def test_overflow(trino: Trino, views: list[str]) -> None:
    rows = trino.rows("SELECT _attribute, _type, _value FROM orders_overflow WHERE sk = 2 ORDER BY 1")
    found = {row["_attribute"]: (row["_type"], json.loads(row["_value"])) for row in rows}
    assert found["n"] == ("S", {"S": "a word"})
    assert found["map"] == ("M", {"M": {"set": {"NS": ["1"]}}})
    assert found["text"] == ("NULL", {"NULL": True})


def test_views_are_known_again_in_trinos_format(lake: ReadersLake, views: list[str]) -> None:
    assert lake.views() == []


def test_views_of_entities(lake: ReadersLake, trino: Trino) -> None:
    by_key = Entities(
        "pk",
        (
            EntityMatch("first", "item 0"),
            EntityMatch("item", "it*m *", is_pattern=True),
            EntityMatch("odd", "item_%*", is_pattern=True),
        ),
    )
    for entities in (by_key, Entities("text", (EntityMatch("blank", ""),))):
        for view in lake.views(entities):
            trino.rows(view.statement)
        assert [view for view in lake.views(entities) if "_first" in view.name or "_blank" in view.name] == []
    same(lake.items(trino.rows("SELECT * FROM orders_item_snapshots")), lake.snapshot[1:])
    same(lake.items(trino.rows("SELECT * FROM orders_first")), [lake.latest[-2]])
    assert trino.rows("SELECT * FROM orders_odd_snapshots") == []
    assert trino.rows("SELECT _op, pk FROM orders_blank_changes") == [{"_op": "REMOVE", "pk": "item 1"}]


def test_raw_exports_are_read_as_they_are(lake: ReadersLake, trino: Trino) -> None:
    table = lake.table
    chain = table.ledger.read()
    for entry in chain.verified.values():
        RawTables(table.ledger, table.store).publish(entry, table.glue, "lake", datetime.now(UTC))
    rows = trino.rows("SELECT item FROM orders_raw_snapshots")
    items, changes = lake.written
    same([json.loads(row["item"]) for row in rows], items)
    rows = trino.rows("SELECT keys, newimage FROM orders_raw_changes ORDER BY export_window, keys")
    images = [json.loads(row["newimage"] or row["keys"]) for row in rows]
    assert all(items_equal(image, item) for image, item in zip(images, changes, strict=True))


def test_tables_made_by_sql_are_left_alone(lake: ReadersLake, trino: Trino) -> None:
    with pytest.raises(TrinoError, match=r"TABLE_ALREADY_EXISTS|already exists"):
        trino.rows("CREATE TABLE orders_changes (x bigint)")
    described: list[dict[str, Any]] = trino.rows("DESCRIBE orders_changes")
    comments = {row["Column"]: row["Comment"] for row in described}
    assert comments["later"] == "DynamoDB type S, attribute later"
