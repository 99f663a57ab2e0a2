"""A lake with everything in it that a reader could stumble over, and what its rows must say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ddb_export.conversion.inverse import to_item
from ddb_export.domain.attribute_value import items_equal
from ddb_export.domain.entities import Entities
from ddb_export.pipeline.views import OUTPUTS, views_to_write
from local_aws.client import Lab
from tests.pipeline.tables import BUCKET, LakeTable

Item = dict[str, Any]
Row = Mapping[str, Any]

KEYS = ("pk", "sk")
WIDE = "12345678901234567890123456789012345678"
FIRST: list[Item] = [
    {
        "n": {"N": "1"},
        "price": {"N": "12.50"},
        "wide": {"N": WIDE},
        "tiny": {"N": "1E-130"},
        "flag": {"BOOL": False},
        "text": {"S": 'ü "quoted" \\ \n 😀'},
        "bytes": {"B": "AAEC/w=="},
        "words": {"SS": ["x", ""]},
        "numbers": {"NS": ["1", "-2.25"]},
        "blobs": {"BS": ["AA==", "/w=="]},
        "list": {"L": [{"N": "1.10"}, {"S": ""}, {"NULL": True}, {"M": {}}]},
        "map": {"M": {"S": {"S": "tag"}, "a.b": {"L": []}}},
        "ID": {"S": "upper"},
        "id": {"S": "lower"},
        "select": {"S": "reserved"},
        "a b": {"S": "space"},
        "_op": {"S": "ours"},
    },
    {"n": {"N": "999999999999999999"}, "price": {"N": "-0.01"}, "text": {"S": ""}, "list": {"L": []}, "map": {"M": {}}},
    {"n": {"S": "a word"}, "price": {"N": "1E+40"}, "text": {"NULL": True}, "map": {"M": {"set": {"NS": ["1"]}}}},
    {},
]
SECOND: Item = {"n": {"N": "2"}, "later": {"S": "a new column"}, "measured": {"N": "0.125"}, "tags": {"SS": ["late"]}}
THIRD: Item = {"n": {"N": "12345678901234567890"}, "later": {"N": "5"}, "price": {"N": "3"}}


@dataclass
class ReadersLake:
    """The lake, with a snapshot, two windows and the helper views.

    :param snapshot: each item of the snapshot. :param changes: operation, and new item or key, of each row of the windows.
    :param latest: each item of the latest state.
    """

    table: LakeTable
    snapshot: list[Item]
    changes: list[tuple[str, Item]]
    latest: list[Item]

    def glue_table(self, name: str) -> dict[str, Any]:
        """Return a table as Glue has it."""
        return dict(self.table.aws("glue").get_table(DatabaseName="lake", Name=name)["Table"])

    def glue_partitions(self, name: str) -> list[dict[str, Any]]:
        """Return its partitions as Glue has them."""
        return list(self.table.aws("glue").get_partitions(DatabaseName="lake", TableName=name)["Partitions"])

    def download(self, folder: Path) -> dict[str, Path]:
        """Copy the files of every partition; return the copy of each partition's location."""
        client, copies = self.table.aws("s3"), {}
        for name in OUTPUTS:
            for partition in self.glue_partitions(f"orders_{name}"):
                location = partition["StorageDescriptor"]["Location"]
                prefix = location.removeprefix(f"s3://{BUCKET}/")
                copies[location] = folder / prefix.strip("/").replace("=", "-")
                copies[location].mkdir(parents=True, exist_ok=True)
                for each in client.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]:
                    content = client.get_object(Bucket=BUCKET, Key=each["Key"])["Body"].read()
                    (copies[location] / each["Key"].rpartition("/")[2]).write_bytes(content)
        return copies

    def views(self, entities: Entities | None = None) -> list[Any]:
        """Return the helper views that are not written yet, and those of entities."""
        table = self.table
        keys = table.dynamodb.key_attributes(table.name)
        return views_to_write(table.ledger, keys, table.glue, "lake", entities)

    def items(self, rows: Iterable[Row]) -> list[Item]:
        """Rebuild the items of rows that a reader gave."""
        columns = self.table.ledger.read_schema().columns
        return [to_item(row, [column for column in columns if column.name in row]) for row in rows]

    def check_snapshot(self, rows: Sequence[Row]) -> None:
        """Compare what a reader saw of the snapshots."""
        same(self.items(rows), self.snapshot)
        assert {row["export_time"] for row in rows} == {"20260301T0100Z"}

    def check_changes(self, rows: Sequence[Row]) -> None:
        """Compare what a reader saw of the changes."""
        assert len(rows) == len(self.changes)
        in_order = sorted(rows, key=lambda row: (row["export_window"], row["pk"]))
        for row, item, (operation, wanted) in zip(in_order, self.items(in_order), self.changes, strict=True):
            assert row["_op"] == operation
            same([item], [wanted])
        assert {row["dt"] for row in rows} == {"2026-03-01"}
        old = [json.loads(row["_old_image"]) for row in rows if row["_op"] == "REMOVE"]
        same(old, [self.snapshot[1]])


def same(found: list[Item], wanted: list[Item]) -> None:
    """Compare items by value, whatever their order."""
    by_key = {json.dumps([item[key] for key in KEYS]): item for item in found}
    assert len(found) == len(by_key) == len(wanted)
    for item in wanted:
        assert items_equal(by_key[json.dumps([item[key] for key in KEYS])], item)


def make_lake(lab: Lab, account: str, aws: Callable[..., Any]) -> ReadersLake:
    """Write the histories, and publish a base and two windows."""
    table = LakeTable(lab, account, aws)
    snapshot = [{"pk": {"S": f"item {number}"}, "sk": {"N": str(number)}, **item} for number, item in enumerate(FIRST)]
    for number, item in enumerate(FIRST):
        table.put(0.1 + number / 100, f"item {number}", number, **item)
    table.until(2)
    table.published(1)
    table.put(2.1, "item 0", 0, **SECOND)
    table.delete(2.2, "item 1", 1)
    table.until(4)
    table.published(1, 3)
    table.put(4.1, "item 0", 0, **THIRD)
    table.put(4.2, "item 9", 9, **SECOND)
    table.until(6)
    table.published(3, 5)
    key = {"pk": snapshot[0]["pk"], "sk": snapshot[0]["sk"]}
    third = {**key, **THIRD}
    added = {"pk": {"S": "item 9"}, "sk": {"N": "9"}, **SECOND}
    changes = [
        ("MODIFY", {**key, **SECOND}),
        ("REMOVE", {"pk": snapshot[1]["pk"], "sk": snapshot[1]["sk"]}),
        ("MODIFY", third),
        ("INSERT", added),
    ]
    return ReadersLake(table, snapshot, changes, [snapshot[2], snapshot[3], third, added])
