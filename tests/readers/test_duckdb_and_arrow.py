"""DuckDB and pyarrow.dataset read what Glue shows: the items come back exactly, old partitions and new ones together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pyarrow.dataset as ds
import pytest

from tests.readers.hive_ddl import arrow_schema
from tests.readers.lake import ReadersLake


def with_duckdb(lake: ReadersLake, copies: dict[str, Path], name: str) -> list[dict[str, Any]]:
    """Read each partition's files as one table, by the names of the columns."""
    rows: list[dict[str, Any]] = []
    table = lake.glue_table(name)
    keys = [key["Name"] for key in table["PartitionKeys"]]
    partitions = lake.glue_partitions(name)
    files = {str(copies[each["StorageDescriptor"]["Location"]]): each["Values"] for each in partitions}
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        paths = [f"{folder}/*.parquet" for folder in files]
        relation = connection.sql(
            "SELECT * REPLACE (_written_at::TIMESTAMP AS _written_at) FROM"
            " read_parquet($paths, union_by_name = true, hive_partitioning = false, filename = true)"
            if name.endswith("changes")
            else "SELECT * FROM read_parquet($paths, union_by_name = true, hive_partitioning = false, filename = true)",
            params={"paths": paths},
        )
        for values in relation.fetchall():
            row = dict(zip(relation.columns, values, strict=True))
            folder = str(Path(row.pop("filename")).parent)
            rows.append({**row, **dict(zip(keys, files[folder], strict=True))})
    return rows


def with_dataset(lake: ReadersLake, copies: dict[str, Path], name: str) -> list[dict[str, Any]]:
    """Read with the columns that Glue declares, one dataset for all partitions."""
    table = lake.glue_table(name)
    keys = [key["Name"] for key in table["PartitionKeys"]]
    rows: list[dict[str, Any]] = []
    for partition in lake.glue_partitions(name):
        folder = copies[partition["StorageDescriptor"]["Location"]]
        found = ds.dataset(folder, schema=arrow_schema(table), format="parquet").to_table().to_pylist()
        rows += [{**row, **dict(zip(keys, partition["Values"], strict=True))} for row in found]
    return rows


@pytest.mark.scenario("F19", "F20", "F21", "F22", "F23")
@pytest.mark.parametrize("read", [with_duckdb, with_dataset])
def test_snapshots_give_back_every_item(lake: ReadersLake, copies: dict[str, Path], read: Any) -> None:
    lake.check_snapshot(read(lake, copies, "orders_snapshots"))


@pytest.mark.scenario("F23", "F24")
@pytest.mark.parametrize("read", [with_duckdb, with_dataset])
def test_old_and_new_partitions_read_together(lake: ReadersLake, copies: dict[str, Path], read: Any) -> None:
    rows = read(lake, copies, "orders_changes")
    lake.check_changes(rows)
    assert {"later", "measured"} <= rows[0].keys()
