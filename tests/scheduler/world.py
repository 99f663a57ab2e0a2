"""Tables with days of known history, their lakes, and what must be in them: the truth that every run is held against."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from ddb_export.domain.ledger import Chain
from local_aws.client import Lab

ACCOUNT = "424242424242"
REGION = "us-east-1"
CONNECTION = "lab"
BUCKET = "company-lake"
DATABASE = "lake"
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
Item = Mapping[str, Any]
Change = tuple[str, Item]
"""What a window has of a key: the operation, and the new image (of a REMOVE: the key)."""

_HISTORY: tuple[tuple[Mapping[str, int | None], ...], ...] = (
    ({"a": 1, "b": 1, "c": 1}, {"c": 2}),
    ({"a": 2, "b": None, "d": 1}, {"a": 3}),
    ({"c": 3, "e": 1, "d": None},),
    ({"b": 2, "a": 4, "e": None}, {"f": 1}),
)
"""For each day, hour by hour: key and version that is put, or None where it is deleted."""


def midnights() -> tuple[datetime, ...]:
    """Return the last five midnights, UTC, oldest first; the last is a quarter of an hour ago at least."""
    last = (datetime.now(UTC) - timedelta(minutes=15)).replace(hour=0, minute=0, second=0, microsecond=0)
    return tuple(last - days * DAY for days in range(4, -1, -1))


@dataclass
class World:
    """One account of the lab with some tables of the same history.

    :param midnights: the last five midnights, UTC, oldest first; recovery began six hours before the first.
    :param account: the clients' account. :param unchanged: items that each table has besides, put in the first hour.
    """

    lab: Lab
    aws: Callable[[str], Any]
    names: tuple[str, ...]
    midnights: tuple[datetime, ...] = field(default_factory=midnights)
    account: str = ACCOUNT
    unchanged: int = 0

    def lay_down(self) -> None:
        """Make the tables before the first write, write the past as it happened, and return to the present."""
        self.lab.set_clock(self.midnights[0] - 6 * HOUR, self.account)
        self.aws("s3").create_bucket(Bucket=BUCKET)
        self.aws("glue").create_database(DatabaseInput={"Name": DATABASE})
        for name in self.names:
            self._make_table(name)
        writes = [_write(name, when, key, version) for when, key, version in self._history() for name in self.names]
        self.lab.write_history(self.account, writes)
        self.lab.settings(self.account, data_files=2)
        self.lab.set_clock(datetime.now(UTC), self.account)

    def declaration(self, name: str, **changes: Any) -> dict[str, Any]:
        """Return the declaration of a table: base at the third midnight, so that two days lie before it and two behind."""
        return {
            "table": name,
            "bucket": BUCKET,
            "prefix": "dynamodb",
            "database": DATABASE,
            "schedule": "0 0 * * *",
            "start_date": (self.midnights[0] - 3 * DAY).isoformat(),
            "base_time": self.midnights[2].isoformat(),
            "aws_conn_id": CONNECTION,
            "poll_interval": "1s",
            "retry_delay": "1s",
            **changes,
        }

    def lake(self, name: str) -> Lake:
        """Return the lake of a table."""
        return Lake(self, name)

    def state_at(self, moment: datetime) -> dict[str, Item]:
        """Return the items that a table had at a moment."""
        items: dict[str, Item] = {}
        for when, key, version in self._history():
            if when < moment:
                items.pop(key, None)
                items |= {key: _item(key, version)} if version is not None else {}
        return items

    def changes_of(self, day: int) -> dict[str, Change]:
        """Return what a window over one day must hold, by key."""
        start = self.midnights[day]
        before, after = self.state_at(start), self.state_at(start + DAY)
        touched = {key for when, key, _ in self._history() if start <= when < start + DAY}
        return {key: _change(key, before.get(key), after.get(key)) for key in touched}

    def _history(self) -> Iterable[tuple[datetime, str, int | None]]:
        yield from ((self.midnights[0], f"unchanged{number}", 1) for number in range(self.unchanged))
        for midnight, day in zip(self.midnights, _HISTORY, strict=False):
            for hour, writes in enumerate(day, 1):
                for key, version in writes.items():
                    yield midnight + hour * HOUR, key, version

    def _make_table(self, name: str) -> None:
        dynamodb = self.aws("dynamodb")
        dynamodb.create_table(
            TableName=name,
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        dynamodb.update_continuous_backups(
            TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )


@dataclass(frozen=True)
class Lake:
    """What one table's lake holds, and what DynamoDB was asked for."""

    world: World
    name: str

    @property
    def dag_id(self) -> str:
        """The table's DAG."""
        return f"ddb_export__{self.name}"

    def exports(self) -> Counter[str]:
        """Count what DynamoDB took on and bills, by the name of the attempt; FAILED ones are not billed."""
        found = [each for each in self._exports() if each["status"] != "FAILED"]
        return Counter(each["prefix"].rstrip("/").rsplit("/", 1)[-1] for each in found)

    def asked(self) -> int:
        """Count the calls of ExportTableToPointInTime that DynamoDB accepted for this table."""
        calls = self.world.lab.calls(self.world.account, operation="ExportTableToPointInTime")
        return sum(f"/{self.name}/" in json.dumps(call) and not call.get("error_code") for call in calls)

    def failed_exports(self) -> int:
        """Count the exports that DynamoDB ended as FAILED."""
        return sum(each["status"] == "FAILED" for each in self._exports())

    def require_equal_to_table(self, *days: int, base: int = 2) -> None:
        """Check that readers see the base and exactly these days, each as the table's history has it.

        :param days: numbers of the days, from the first midnight on. :param base: number of the midnight of the base.
        """
        world = self.world
        expected = {f"{world.midnights[day]:dt=%Y-%m-%d}": world.changes_of(day) for day in days}
        assert self._changes() == expected
        (snapshot,) = self._published("snapshots").values()
        assert {item["id"]["S"]: item for _, item in snapshot} == world.state_at(world.midnights[base])
        glue = world.aws("glue").get_partitions(DatabaseName=DATABASE, TableName=f"{self.name}_changes")
        assert sorted(each["Values"][0] for each in glue["Partitions"]) == sorted(day[3:] for day in expected)

    def head(self) -> datetime | None:
        """Return how far the data is complete."""
        return self.chain().head

    def chain(self) -> Chain:
        """Return what the ledger holds: every claim and all evidence, no summary."""
        from ddb_export.aws.s3_object_store import S3ObjectStore
        from ddb_export.domain.layout import Lake as Layout
        from ddb_export.pipeline.ledger import Ledger

        store = S3ObjectStore(self.world.aws("s3"), BUCKET)
        return Ledger(store, Layout(BUCKET, "dynamodb", self.name)).read_every_object()

    def files(self) -> dict[str, str]:
        """Return every object that readers may read, with its ETag: Parquet files and what names them."""
        pages = self.world.aws("s3").get_paginator("list_objects_v2")
        found = pages.paginate(Bucket=BUCKET, Prefix=f"dynamodb/{self.name}/")
        objects = [each for page in found for each in page.get("Contents", ())]
        return {each["Key"]: each["ETag"] for each in objects if each["Key"].endswith(".parquet")}

    def forget_incidents(self) -> None:
        """Delete the memory of what was told, and of whom it could not be told."""
        s3 = self.world.aws("s3")
        pages = s3.get_paginator("list_objects_v2").paginate(
            Bucket=BUCKET, Prefix=f"dynamodb/{self.name}/ledger/incidents/"
        )
        for each in [each for page in pages for each in page.get("Contents", ())]:
            s3.delete_object(Bucket=BUCKET, Key=each["Key"])

    def _exports(self) -> list[dict[str, Any]]:
        return [
            each for each in self.world.lab.exports(self.world.account) if f"/{self.name}/" in f"/{each['prefix']}/"
        ]

    def _changes(self) -> dict[str, dict[str, Change]]:
        return {
            folder.split("/")[1]: {item["id"]["S"]: (contract["_op"], item) for contract, item in rows}
            for folder, rows in self._published("changes").items()
        }

    def _published(self, output: str) -> dict[str, list[tuple[dict[str, Any], Item]]]:
        """Return the rows of each partition as a reader by path finds them, through ``_live.json``."""
        from ddb_export.conversion.inverse import read_rows

        s3, root = self.world.aws("s3"), f"dynamodb/{self.name}/"
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{root}{output}/")
        live = [
            each["Key"] for page in pages for each in page.get("Contents", ()) if each["Key"].endswith("_live.json")
        ]
        found: dict[str, list[tuple[dict[str, Any], Item]]] = {}
        for key in live:
            folder = key.rpartition("/")[0]
            files = json.load(s3.get_object(Bucket=BUCKET, Key=key)["Body"])["files"]
            bodies = [s3.get_object(Bucket=BUCKET, Key=f"{folder}/{file['path']}")["Body"].read() for file in files]
            found[folder.removeprefix(root)] = [row for body in bodies for row in read_rows(io.BytesIO(body))]
        return found


def _item(key: str, version: int) -> Item:
    return {"id": {"S": key}, "version": {"N": str(version)}, "tags": {"SS": [f"{key}{version}"]}}


def _change(key: str, before: Item | None, after: Item | None) -> Change:
    if after is None:
        return "REMOVE", {"id": {"S": key}}
    return ("MODIFY" if before else "INSERT"), after


def _write(name: str, when: datetime, key: str, version: int | None) -> dict[str, Any]:
    if version is None:
        request = {"TableName": name, "Key": {"id": {"S": key}}}
        return {"time": when.isoformat(), "operation": "DeleteItem", "request": request}
    request = {"TableName": name, "Item": _item(key, version)}
    return {"time": when.isoformat(), "operation": "PutItem", "request": request}
