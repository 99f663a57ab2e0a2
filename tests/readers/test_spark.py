"""PySpark reads the lake by Hive DDL that is made from what Glue says."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.readers.lake import ReadersLake, Shown
from tests.readers.reading import with_spark

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def rows(shown: Shown, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What Spark answers."""
    queries = {
        "counted": "SELECT export_window, count(later) AS n FROM lake.orders_changes GROUP BY 1 ORDER BY 1",
        "declared": "SELECT address.geo.lat, total, CAST(created AS string) AS created, order_reference"
        " FROM lake.orders_snapshots WHERE address.floor = -3",
    }
    return with_spark(shown, tmp_path_factory.mktemp("spark"), queries)


def test_snapshots_give_back_every_item(lake: ReadersLake, rows: Any) -> None:
    lake.check_snapshot(rows["orders_snapshots"])


def test_old_and_new_partitions_read_together(lake: ReadersLake, rows: Any) -> None:
    lake.check_changes(rows["orders_changes"])
    assert [row["n"] for row in rows["counted"]] == [1, 1]


def test_declared_columns_are_queried_by_their_types(rows: Any) -> None:
    (row,) = rows["declared"]
    assert (row["lat"], row["total"]) == (Decimal("50.061947"), Decimal("9.90"))
    assert (row["created"], row["order_reference"]) == ("2026-03-01 00:00:00.25", "A-1")
