"""DuckDB and pyarrow.dataset read what Glue shows: the items come back exactly, old partitions and new ones together."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from tests.readers.hive_ddl import arrow_schema
from tests.readers.lake import DROPPED, SECRET, ReadersLake, Shown
from tests.readers.reading import with_dataset, with_duckdb

READERS = [with_duckdb, with_dataset]


@pytest.mark.scenario("F19", "F20", "F21", "F22", "F23")
@pytest.mark.parametrize("read", READERS)
def test_snapshots_give_back_every_item(lake: ReadersLake, shown: Shown, read: Any) -> None:
    lake.check_snapshot(read(shown, "orders_snapshots"))


@pytest.mark.scenario("F23", "F24")
@pytest.mark.parametrize("read", READERS)
def test_old_and_new_partitions_read_together(lake: ReadersLake, shown: Shown, read: Any) -> None:
    rows = read(shown, "orders_changes")
    lake.check_changes(rows)
    assert {"later", "measured"} <= rows[0].keys()


@pytest.mark.parametrize("read", READERS)
def test_declared_columns_have_the_types_that_were_declared(shown: Shown, read: Any) -> None:
    types = {each["Name"]: each["Type"] for each in shown.tables["orders_snapshots"]["StorageDescriptor"]["Columns"]}
    assert types["address"] == "struct<city:string,floor:bigint,geo:struct<lat:decimal(9,6),a_b:string>>"
    assert (types["total"], types["created"], types["seen"]) == ("decimal(12,2)", "timestamp", "timestamp")
    assert (types["marks"], types["order_reference"], types["email"]) == ("array<bigint>", "string", "string")
    assert "card" not in types
    assert pa.types.is_struct(arrow_schema(shown.tables["orders_snapshots"]).field("address").type)
    rows = read(shown, "orders_snapshots")
    (row,) = [row for row in rows if row["pk"] == "item 0"]
    geo = {"lat": Decimal("50.061947"), "a_b": ""}
    assert row["address"] == {"city": "Kraków", "floor": -3, "geo": geo}
    assert (row["total"], row["marks"], row["order_reference"]) == (Decimal("9.90"), [1, -2], "A-1")
    assert [f"{row[name]:%Y-%m-%d %H:%M:%S.%f}" for name in ("created", "seen")] == [
        "2026-03-01 00:00:00.250000",
        "2026-03-01 00:00:00.123456",
    ]
    assert not [each for each in (SECRET, DROPPED) if each in str(rows) + str(read(shown, "orders_changes"))]
