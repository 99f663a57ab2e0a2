"""What readers of the lake see, held against the table's history: partitions → location → files → items.

Nothing of the pipeline is used here but the exact inverse of the conversion: what Athena would read is read.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from ddb_export.conversion.inverse import read_rows, to_old_image
from ddb_export.domain.attribute_value import items_equal
from tests.model.glue import Partition
from tests.model.raw_export import micros
from tests.model.table import Item, Table
from tests.model.world import Export, World


class BrokenPromiseError(AssertionError):
    """The lake is not what it promises to be."""


def promise(holds: object, *words: object) -> None:
    """Raise unless something holds."""
    if not holds:
        raise BrokenPromiseError(" ".join(map(str, words)))


@dataclass
class Readers:
    """Everyone who reads the lake.

    :param holes: partitions whose files a person deleted; nothing is expected of them until they are rebuilt.
    """

    world: World
    holes: set[tuple[str, ...]] = field(default_factory=set)
    _seen: dict[str, tuple[Any, list[tuple[dict[str, Any], Item]]]] = field(default_factory=dict)
    _compared: set[tuple[str, Any]] = field(default_factory=set)

    def rows(self, location: str) -> list[tuple[dict[str, Any], Item]]:
        """Return the rows of all files below a location, as Athena reads them."""
        files = [
            each
            for each in self.world.bucket.listing(location)
            if not each.key.rsplit("/", 1)[-1].startswith(("_", "."))
        ]
        mark = tuple((each.key, each.etag) for each in files)
        if self._seen.get(location, (None,))[0] != mark:
            contents = (self.world.bucket.objects[each.key].content for each in files)
            self._seen[location] = (mark, [row for content in contents for row in read_rows(io.BytesIO(content))])
        return self._seen[location][1]

    def row_count(self, location: str) -> int:
        """Return what a count says."""
        return len(self.rows(location))

    def check(self) -> None:
        """Compare every visible partition with the table's history, and look for changes that are seen twice.

        :raises BrokenPromiseError: something else is seen than what happened.
        """
        windows: dict[str, list[tuple[datetime, datetime]]] = {}
        for output in ("changes", "snapshots"):
            for partition in self.world.catalog.visible(output):
                export = self._export(partition)
                if partition.values not in self.holes or self._is_rebuilt(partition, export):
                    self._compare(partition, export)
                if export.window:
                    windows.setdefault(export.table.table_id, []).append(export.window)
        self.holes &= {partition.values for partition in self.world.catalog.visible("changes")}
        for found in windows.values():
            found.sort()
            for one, other in pairwise(found):
                promise(one[1] <= other[0], "changes are seen twice: partitions", one, "and", other)

    def replayed(self, table: Table, base_time: datetime, head: datetime) -> dict[str, Item]:
        """Return the items that the base and the changes up to ``head`` give, replayed in order of time."""
        items: dict[str, Item] = {}
        reached = base_time
        for partition in self.world.catalog.visible("snapshots"):
            export = self._export(partition)
            if export.table is table and export.moment == base_time:
                items = {item["id"]["S"]: item for _, item in self.rows(partition.location)}
        for start, end, partition in sorted(self._windows(table), key=lambda each: each[0]):
            if end <= base_time or start >= head:
                continue
            promise(start <= reached, "no partition of", table.table_id, "covers", reached, "to", start)
            reached = max(reached, end)
            for contract, item in sorted(self.rows(partition.location), key=lambda row: row[0]["_written_at"]):
                if contract["_op"] == "REMOVE":
                    items.pop(item["id"]["S"], None)
                else:
                    items[item["id"]["S"]] = item
        promise(reached >= head, "partitions reach", reached, "only, the head is", head)
        return items

    def _windows(self, table: Table) -> Iterator[tuple[datetime, datetime, Partition]]:
        for partition in self.world.catalog.visible("changes"):
            export = self._export(partition)
            if export.table is table and export.window:
                yield *export.window, partition

    def _export(self, partition: Partition) -> Export:
        arn = partition.parameters.get("ddb_export.export_arn", "")
        export = self.world.export_of(arn)
        promise(export, "partition", partition.values, "was made of", arn, "which is no export")
        assert export is not None
        times = export.window or (export.moment,)
        name = "-".join(f"{moment:%Y%m%dT%H%MZ}" for moment in times if moment)
        promise(partition.values[-1] == name, "partition", partition.values, "was made of", name)
        return export

    def _is_rebuilt(self, partition: Partition, export: Export) -> bool:
        """Tell whether a partition whose files were deleted is whole again."""
        try:
            self._compare(partition, export)
        except BrokenPromiseError:
            return False
        if not self.world.bucket.listing(partition.location):
            return False
        self.holes.discard(partition.values)
        return True

    def _compare(self, partition: Partition, export: Export) -> None:
        rows = self.rows(partition.location)
        mark = (partition.location, self._seen[partition.location][0])
        if mark in self._compared:
            return
        where = f"partition {partition.values}"
        promise(export.status == "COMPLETED", where, "is of an export that is", export.status)
        if export.window:
            _compare_changes(where, export, rows)
        else:
            assert export.moment is not None
            items = export.table.state_at(export.moment)
            expected = {key: item for key, item in items.items() if export.keeps(key)}
            _same_items(where, expected, {item["id"]["S"]: item for _, item in rows}, len(rows))
        promise(all(row["_table_id"] == export.table.table_id for row, _ in rows), where, "has another _table_id")
        self._compared.add(mark)


def _compare_changes(where: str, export: Export, rows: list[tuple[dict[str, Any], Item]]) -> None:
    assert export.window is not None
    changes = export.table.net_changes(*export.window)
    expected = {change.key: change for change in changes if export.keeps(change.key)}
    found = {item["id"]["S"]: (row, item) for row, item in rows}
    promise(len(found) == len(rows), where, "holds a key twice")
    promise(expected.keys() == found.keys(), where, "holds", sorted(found), "not", sorted(expected))
    with_old = export.view == "NEW_AND_OLD_IMAGES"
    for key, change in expected.items():
        row, item = found[key]
        operation = "REMOVE" if change.new is None else "PUT" if not with_old else "MODIFY" if change.old else "INSERT"
        promise(row["_op"] == operation, where, key, "is", row["_op"], "not", operation)
        written = row["_written_at"].astimezone(UTC)
        promise(micros(written) == micros(change.at), where, key, "was written at", change.at, "not", written)
        promise(items_equal(item, change.new or {"id": {"S": key}}), where, key, "is", item, "not", change.new)
        old = to_old_image(row)
        expected_old = change.old if with_old else None
        promise(old == expected_old or items_equal(old or {}, expected_old or {}), where, key, "was", old)


def _same_items(where: str, expected: dict[str, Item], found: dict[str, Item], count: int) -> None:
    promise(count == len(found), where, "holds a key twice")
    promise(expected.keys() == found.keys(), where, "holds", sorted(found), "not", sorted(expected))
    for key, item in expected.items():
        promise(items_equal(item, found[key]), where, key, "is", found[key], "not", item)


def same_state(where: str, expected: dict[str, Item], found: dict[str, Item]) -> None:
    """Compare the items of two moments.

    :raises BrokenPromiseError: they differ.
    """
    _same_items(where, expected, found, len(found))
