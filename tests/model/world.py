"""The world that a lake lives in: AWS's clock, one DynamoDB table name, its exports, a bucket, a Glue catalog.

It is a fast model in the process of the test. What it does follows measured facts about the live service and AWS's Developer
Guide; where they leave something open, it does what is harder for the provider (a ClientToken is forgotten as early as allowed, a
window that is asked for too early lacks its last writes).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from tests.model.glue import Catalog
from tests.model.raw_export import RawObject, data_objects, full_lines, incremental_lines, manifests
from tests.model.store import BUCKET, Bucket
from tests.model.table import Table

ACCOUNT = "111122223333"
TABLE_NAME = "orders"
TABLE_ARN = f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/{TABLE_NAME}"
TOKEN_LIFETIME = timedelta(hours=8)
REMEMBERED = timedelta(days=90)
BLUR = timedelta(minutes=1)
"""By how much DynamoDB's inner clock may lag: writes of the last minute may be missing in an export."""
LATEST_LAG = timedelta(minutes=5)


class Ending(StrEnum):
    """How an export ends."""

    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    DAMAGED = "DAMAGED"
    """COMPLETED, but what lies in S3 is not what was exported."""


class Damage(StrEnum):
    """What is wrong with a damaged export."""

    FLIPPED = "a byte of a data file is flipped"
    DROPPED = "a data file is missing"
    SHORT = "a data file and its checksum lack a line"


@dataclass(frozen=True)
class Fate:
    """What becomes of an export: how long it takes, and how it ends."""

    minutes: int = 3
    ending: Ending = Ending.COMPLETED
    code: str = "UNKNOWN"
    damage: Damage = Damage.FLIPPED


@dataclass
class Export:
    """One export that was accepted.

    :param ends: when it reaches its terminal state. :param by_hand: a person asked for it, not the provider.
    :param cut: writes from here on are not in it.
    """

    parameters: dict[str, Any]
    table: Table
    arn: str
    started: datetime
    ends: datetime
    fate: Fate
    by_hand: bool
    cut: datetime
    description: dict[str, Any]
    status: str = "IN_PROGRESS"
    damaged: bool = False
    whole: list[RawObject] = field(default_factory=list)

    @property
    def prefix(self) -> str:
        """Its S3Prefix."""
        return str(self.parameters["S3Prefix"])

    @property
    def window(self) -> tuple[datetime, datetime] | None:
        """What an incremental export covers."""
        specification = self.parameters.get("IncrementalExportSpecification")
        return (specification["ExportFromTime"], specification["ExportToTime"]) if specification else None

    @property
    def moment(self) -> datetime | None:
        """The moment of a full export."""
        return self.parameters.get("ExportTime")

    @property
    def view(self) -> str:
        """View of an incremental export."""
        return str(self.parameters["IncrementalExportSpecification"]["ExportViewType"])

    def keeps(self, key: str) -> bool:
        """Whether its filter lets an item through; the model knows one kind of filter, ``id <> :k``."""
        specification = self.parameters.get("FilterSpecification")
        return specification is None or specification["ExpressionAttributeValues"][":k"]["S"] != key

    @property
    def is_complete(self) -> bool:
        """Whether it holds every write that it should, as far as it was asked for late enough."""
        end = self.window[1] if self.window else self.moment
        return end is None or end <= self.cut

    @property
    def folder(self) -> str:
        """Key of its folder, with a final slash."""
        return f"{self.prefix}/AWSDynamoDB/{self.arn.rsplit('/', 1)[1]}/"


@dataclass
class World:
    """Everything outside of the provider.

    :param now: AWS's time.
    """

    now: datetime
    bucket: Bucket = field(default_factory=Bucket)
    catalog: Catalog = field(default_factory=Catalog)
    table: Table | None = None
    tables: list[Table] = field(default_factory=list)
    exports: list[Export] = field(default_factory=list)
    fates: list[Fate] = field(default_factory=list)
    tokens: dict[str, tuple[datetime, Export]] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)
    calls: int = 0

    def __post_init__(self) -> None:
        self.create_table()

    def pass_time(self, duration: timedelta) -> None:
        """Let time pass; exports end on the way."""
        self.now += duration
        for export in self.exports:
            if export.status == "IN_PROGRESS" and export.ends <= self.now:
                self._end(export)

    def create_table(self) -> None:
        """Create the table, or delete it and create it again: the same ARN, another TableId."""
        number = len(self.tables) + 1
        self.table = Table(TABLE_ARN, f"{number:08d}-0000-0000-0000-000000000000", self.now)
        self.table.switch_recovery(self.now, on=True)
        self.tables.append(self.table)

    def accept(self, parameters: dict[str, Any], *, by_hand: bool = False) -> Export:
        """Accept a request that has passed all checks."""
        assert self.table is not None
        fate = self.fates.pop(0) if self.fates else Fate()
        incremental = "IncrementalExportSpecification" in parameters
        started = self.now.replace(microsecond=0) if incremental else self.now
        milliseconds = int(started.timestamp()) * 1000 + started.microsecond // 1000
        arn = f"{TABLE_ARN}/export/{milliseconds:014d}-{len(self.exports):08x}"
        description = {
            "ExportArn": arn,
            "ExportStatus": "IN_PROGRESS",
            "StartTime": started,
            "TableArn": TABLE_ARN,
            "TableId": self.table.table_id,
            **parameters,
        }
        ends = self.now + timedelta(minutes=fate.minutes)
        export = Export(parameters, self.table, arn, self.now, ends, fate, by_hand, self.now - BLUR, description)
        self.exports.append(export)
        self.bucket.put(f"{export.folder}_started", b"")
        return export

    def export_of(self, arn: str) -> Export | None:
        """Return an export by its ARN, whatever DynamoDB remembers."""
        return next((export for export in self.exports if export.arn == arn), None)

    def calm(self) -> None:
        """End all disturbances, those of running exports too."""
        self.fates, self.refusals = [], []
        for export in self.exports:
            if export.status == "IN_PROGRESS":
                export.fate = Fate()
        self.repair()

    def repair(self) -> None:
        """Restore every damaged export from the bucket's older versions."""
        for export in self.exports:
            if export.damaged:
                for each in export.whole:
                    self.bucket.put(each.key, each.body, each.etag)
                export.damaged = False

    def _end(self, export: Export) -> None:
        """Let an export reach its terminal state; its files are there from then on."""
        description = export.description
        description["EndTime"] = export.ends
        if export.fate.ending is Ending.FAILED:
            export.status = description["ExportStatus"] = "FAILED"
            description["FailureCode"] = export.fate.code
            description["FailureMessage"] = "the model let it fail"
            self.bucket.put(f"{export.prefix}/AWSDynamoDB/data/partial.json.gz", b"partial")
            return
        lines = self._lines(export)
        export.status = description["ExportStatus"] = "COMPLETED"
        description["ItemCount"] = len(lines)
        description["BilledSizeBytes"] = 10_000_000 if export.window else 0
        description["ExportManifest"] = f"{export.folder}manifest-summary.json"
        data = f"{export.prefix}/AWSDynamoDB/data/" if export.window else f"{export.folder}data/"
        files = data_objects(lines, data, export.arn)
        export.whole = [RawObject(file.key, file.body, file.etag) for file in files]
        export.whole += manifests(description, export.folder, files)
        for each in export.whole:
            self.bucket.put(each.key, each.body, each.etag)
        if export.fate.ending is Ending.DAMAGED:
            self._damage(export, lines, data)

    def _lines(self, export: Export) -> list[bytes]:
        if export.window:
            start, end = export.window
            changes = export.table.net_changes(start, min(end, export.cut))
            return incremental_lines((change for change in changes if export.keeps(change.key)), export.view)
        assert export.moment is not None
        items = export.table.state_at(min(export.moment, export.cut))
        return full_lines(item for key, item in items.items() if export.keeps(key))

    def _damage(self, export: Export, lines: list[bytes], data: str) -> None:
        first = export.whole[0]
        export.damaged = True
        if export.fate.damage is Damage.FLIPPED:
            middle = len(first.body) // 2
            self.bucket.put(
                first.key, first.body[:middle] + bytes([first.body[middle] ^ 255]) + first.body[middle + 1 :]
            )
        elif export.fate.damage is Damage.DROPPED or not lines:
            self.bucket.delete(first.key)
        else:
            files = data_objects(lines[1:], data, export.arn)
            for file in files:
                self.bucket.put(file.key, file.body, file.etag)
            wrong = [*manifests(export.description, export.folder, files)]
            for each in wrong:
                self.bucket.put(each.key, each.body, each.etag)


@dataclass
class Hand:
    """A person at the AWS command line, who starts exports and deletes files."""

    world: World

    def start_export(self, prefix: str, start: datetime, end: datetime, view: str) -> Export:
        """Start an export of a window by hand."""
        return self.world.accept(
            {
                "S3Bucket": BUCKET,
                "S3Prefix": prefix,
                "S3SseAlgorithm": "AES256",
                "ExportFormat": "DYNAMODB_JSON",
                "ExportType": "INCREMENTAL_EXPORT",
                "ClientToken": f"by-hand-{len(self.world.exports)}",
                "IncrementalExportSpecification": {
                    "ExportFromTime": start,
                    "ExportToTime": end,
                    "ExportViewType": view,
                },
            },
            by_hand=True,
        )


def utc(year: int, month: int, day: int, hour: int = 0) -> datetime:
    """Return a moment in UTC."""
    return datetime(year, month, day, hour, tzinfo=UTC)
