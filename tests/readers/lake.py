"""A lake with everything in it that a reader could stumble over, and what its rows must say."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ddb_export.conversion.inverse import to_item
from ddb_export.domain.attribute_value import items_equal
from ddb_export.domain.contract import ColumnRule, Contract
from ddb_export.domain.entities import Entities
from ddb_export.pipeline.tasks import TableWork
from ddb_export.pipeline.views import views_to_write
from local_aws.client import Lab
from tests.pipeline.tables import BUCKET, LakeTable

Item = dict[str, Any]
Row = Mapping[str, Any]

KEYS = ("pk", "sk")
TABLES = ("orders_snapshots", "orders_changes")
KEY = b"the owner's key"
SECRET, DROPPED = "jane@example.com", "4111-1111-1111"
CONTRACT = Contract(
    (
        ColumnRule("address", "struct<City:string,floor:bigint,geo:struct<lat:decimal(9,6),a_b:string>>"),
        ColumnRule("card", drop=True),
        ColumnRule("created", "timestamp", "s"),
        ColumnRule("Customer Ref", name="order_reference"),
        ColumnRule("email", hash=True),
        ColumnRule("marks", "array<bigint>"),
        ColumnRule("seen", "timestamp", "us"),
        ColumnRule("total", "decimal(12,2)"),
    ),
    key=KEY,
)
"""Everything that a contract can declare about a column."""

PERSON: Item = {"email": {"S": SECRET}, "card": {"S": DROPPED}}
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
        "address": {
            "M": {
                "City": {"S": "Kraków"},
                "floor": {"N": "-3"},
                "geo": {"M": {"lat": {"N": "50.061947"}, "a_b": {"S": ""}}},
            }
        },
        "created": {"N": "1772323200.25"},
        "Customer Ref": {"S": "A-1"},
        "marks": {"L": [{"N": "1"}, {"N": "-2"}]},
        "seen": {"N": "1772323200123456"},
        "total": {"N": "9.9"},
        **PERSON,
    },
    {"n": {"N": "999999999999999999"}, "price": {"N": "-0.01"}, "text": {"S": ""}, "list": {"L": []}, "map": {"M": {}}},
    {"n": {"S": "a word"}, "price": {"N": "1E+40"}, "text": {"NULL": True}, "map": {"M": {"set": {"NS": ["1"]}}}},
    {
        "address": {"M": {"City": {"S": "Oslo"}, "door": {"S": "not declared"}}},
        "created": {"S": "yesterday"},
        "marks": {"L": [{"S": "good"}]},
        "seen": {"N": "0.5"},
        "total": {"N": "9.999"},
        "email": {"NULL": True},
    },
    {},
]
SECOND: Item = {"n": {"N": "2"}, "later": {"S": "a new column"}, "measured": {"N": "0.125"}, "tags": {"SS": ["late"]}}
SECOND |= {"address": {"M": {"geo": {"M": {}}}}, "created": {"N": "-1"}, "total": {"N": "1234567890.12"}, **PERSON}
THIRD: Item = {
    "n": {"N": "12345678901234567890"},
    "later": {"N": "5"},
    "price": {"N": "3"},
    "measured": {"N": "-0.00001"},
}


def redacted(item: Item) -> Item:
    """Return what the contract lets readers see of an item."""
    digest = hmac.digest(KEY, json.dumps({"S": SECRET}, separators=(",", ":")).encode(), "sha256").hex()
    return {
        name: {"S": digest} if value == PERSON["email"] else value for name, value in item.items() if name != "card"
    }


class ContractedTable(LakeTable):
    """A table whose work follows the contract."""

    @property
    def work(self) -> TableWork:
        """The steps of its exports."""
        return replace(super().work, contract=CONTRACT)


@dataclass(frozen=True)
class Shown:
    """What readers are shown at one moment: tables and partitions as Glue had them, and a copy of the files.

    :param tables: by name. :param partitions: of each table. :param copies: location of a partition → the copy of its files.
    """

    tables: Mapping[str, dict[str, Any]]
    partitions: Mapping[str, list[dict[str, Any]]]
    copies: Mapping[str, Path]


@dataclass
class ReadersLake:
    """The lake, with a snapshot, two windows and the helper views.

    :param snapshot: each item of the snapshot. :param changes: operation, and new item or key, of each row of the windows.
    :param latest: each item of the latest state. :param written: each item and change as it was written, for who reads raw exports.
    """

    table: ContractedTable
    snapshot: list[Item]
    changes: list[tuple[str, Item]]
    latest: list[Item]
    written: tuple[list[Item], list[Item]]

    def show(self, folder: Path) -> Shown:
        """Copy what readers are shown now."""
        glue, names = self.table.aws("glue"), TABLES
        tables = {name: dict(glue.get_table(DatabaseName="lake", Name=name)["Table"]) for name in names}
        partitions = {
            name: list(glue.get_partitions(DatabaseName="lake", TableName=name)["Partitions"]) for name in names
        }
        return Shown(tables, partitions, self._download(partitions, folder))

    def _download(self, partitions: Mapping[str, list[dict[str, Any]]], folder: Path) -> dict[str, Path]:
        client, copies = self.table.aws("s3"), {}
        for each_table in partitions.values():
            for partition in each_table:
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
        """Rebuild the items of rows that a reader gave; times may have come as text, and without a time zone."""
        columns = self.table.ledger.read_schema().columns
        times = {column.name for column in columns if column.unit}
        found = [{name: _time(each) if name in times else each for name, each in row.items()} for row in rows]
        return [to_item(row, [column for column in columns if column.name in row]) for row in found]

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


def _time(value: datetime | str | None) -> datetime | None:
    if value is None:
        return None
    read = datetime.fromisoformat(value) if isinstance(value, str) else value
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def same(found: list[Item], wanted: list[Item]) -> None:
    """Compare items by value, whatever their order."""
    by_key = {json.dumps([item[key] for key in KEYS]): item for item in found}
    assert len(found) == len(by_key) == len(wanted)
    for item in wanted:
        other = by_key[json.dumps([item[key] for key in KEYS])]
        different = {name: (other.get(name), item.get(name)) for name in {*other, *item}}
        assert items_equal(other, item), {name: pair for name, pair in different.items() if pair[0] != pair[1]}


def make_lake(lab: Lab, account: str, aws: Callable[..., Any]) -> ReadersLake:
    """Write the histories, and publish a base and two windows."""
    table = ContractedTable(lab, account, aws)
    first = [{"pk": {"S": f"item {number}"}, "sk": {"N": str(number)}, **item} for number, item in enumerate(FIRST)]
    snapshot = [redacted(item) for item in first]
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
    written = [{**key, **SECOND}, {"pk": snapshot[1]["pk"], "sk": snapshot[1]["sk"]}, third, added]
    changes = [
        ("MODIFY", redacted({**key, **SECOND})),
        ("REMOVE", {"pk": snapshot[1]["pk"], "sk": snapshot[1]["sk"]}),
        ("MODIFY", third),
        ("INSERT", redacted(added)),
    ]
    latest = [*snapshot[2:], third, redacted(added)]
    return ReadersLake(table, snapshot, changes, latest, (first, written))
