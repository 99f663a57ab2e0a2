"""All readers again, while a widening is half switched and after it. The last module that reads the lake: it changes its columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from ddb_export.domain.wider_columns import Wish
from ddb_export.pipeline.widening import TableWidening
from tests.readers.lake import ReadersLake, Shown, same
from tests.readers.reading import with_dataset, with_duckdb, with_spark
from tests.readers.trino_server import Trino, TrinoError

READERS = [with_duckdb, with_dataset]


class DiedError(Exception):
    """The process that switched partitions is gone."""


class DiesHalfway:
    """A catalog whose caller dies after one of several partitions was switched."""

    def __init__(self, glue: Any) -> None:
        self._glue = glue

    def __getattr__(self, name: str) -> Any:
        return getattr(self._glue, name)

    def upsert_partitions(self, table: Any, partitions: Sequence[Any]) -> Any:
        """Switch all partitions of a table that has one, else one."""
        self._glue.upsert_partitions(table, partitions[:1])
        if len(partitions) > 1:
            raise DiedError


def columns_of(described: Any) -> dict[str, str]:
    return {each["Name"]: each["Type"] for each in described["StorageDescriptor"]["Columns"]}


@pytest.mark.slow
def test_views_answer_before(lake: ReadersLake, trino: Trino, views: list[str]) -> None:
    same(lake.items(trino.rows("SELECT * FROM orders_latest")), lake.latest)


@pytest.fixture(scope="module")
def half(lake: ReadersLake, tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """What is shown after snapshots and one of two windows were switched."""
    table = lake.table
    widening = TableWidening(table.work, DiesHalfway(table.glue))  # type: ignore[arg-type]
    plan = widening.plan(Wish(), table.now)
    assert {"n", "measured"} == {change.before.name for change in plan.decision.changes}
    with pytest.raises(DiedError):
        widening.run(plan, lambda: table.now)
    return lake.show(tmp_path_factory.mktemp("half"))


@pytest.fixture(scope="module")
def after(lake: ReadersLake, half: Shown, tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """What is shown after the next run has finished it."""
    table = lake.table
    assert TableWidening(table.work, table.glue).finish_switch(lambda: table.now)
    return lake.show(tmp_path_factory.mktemp("after"))


@pytest.mark.parametrize("read", READERS)
def test_switched_partitions_and_others_read_right_together(lake: ReadersLake, half: Shown, read: Any) -> None:
    first, second = half.partitions["orders_changes"]
    kinds = [{columns_of(each)[name] for each in (first, second)} for name in ("n", "measured")]
    assert kinds == [{"bigint", "decimal(38,0)"}, {"decimal(38,3)", "decimal(38,5)"}]
    lake.check_snapshot(read(half, "orders_snapshots"))
    lake.check_changes(read(half, "orders_changes"))


@pytest.mark.parametrize("read", READERS)
def test_widened_partitions_are_read(lake: ReadersLake, after: Shown, read: Any) -> None:
    assert "bigint" not in {columns_of(each)["n"] for each in after.partitions["orders_changes"]}
    lake.check_snapshot(read(after, "orders_snapshots"))
    lake.check_changes(read(after, "orders_changes"))


@pytest.mark.slow
def test_spark_reads_widened_partitions(
    lake: ReadersLake, after: Shown, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows = with_spark(after, tmp_path_factory.mktemp("spark"), {})
    lake.check_snapshot(rows["orders_snapshots"])
    lake.check_changes(rows["orders_changes"])


@pytest.mark.slow
def test_trino_reads_widened_partitions(lake: ReadersLake, after: Shown, trino: Trino) -> None:
    lake.check_snapshot(trino.rows("SELECT * FROM orders_snapshots"))
    lake.check_changes(trino.rows("SELECT * FROM orders_changes"))


@pytest.mark.slow
def test_views_are_refused_after_a_widening_until_they_are_written_again(
    lake: ReadersLake, after: Shown, trino: Trino, views: list[str]
) -> None:
    with pytest.raises(TrinoError, match=r"is stale or in invalid state"):
        trino.rows("SELECT * FROM orders_latest")
    for view in lake.views():
        trino.rows(view.statement)
    same(lake.items(trino.rows("SELECT * FROM orders_latest")), lake.latest)
    assert lake.views() == []
