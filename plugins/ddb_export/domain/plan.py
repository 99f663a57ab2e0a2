"""What planning is asked, what it knows, and what it answers: the values that :mod:`ddb_export.domain.planning` works on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from ddb_export.domain.evidence import ClaimKind
from ddb_export.domain.export import ExportViewType
from ddb_export.domain.export_filter import ExportFilter
from ddb_export.domain.utc import compact, iso, parse_utc
from ddb_export.domain.window import Stretch, Window


class RunKind(StrEnum):
    """Why a run exists, as far as planning cares."""

    SCHEDULED = "scheduled"
    MANUAL = "manual"
    BACKFILL = "backfill"


class ChainEnd(StrEnum):
    """What a run does where the chain cannot go on: the table is another one, or recovery no longer reaches a hole."""

    FAIL = "fail"
    """Fail and say so."""
    NEW_BASE = "new_base"
    """Begin a new chain with a full export, within the budget."""


class Action(StrEnum):
    """What has to happen to one export."""

    EXPORT = "export"
    """Claim it and ask DynamoDB for it."""
    EXPORT_AGAIN = "export again"
    """It is verified; a person asked for its next attempt."""
    CONTINUE = "continue"
    """It is claimed and not verified: find the export, or start it, and go on."""
    PUBLISH = "publish"
    """It is verified; an output that is asked for is not published."""
    REBUILD = "rebuild"
    """It is verified and published; the files are made again from the raw export, which is not exported again."""

    @property
    def asks_dynamodb(self) -> bool:
        """Whether it makes a new export, which is billed."""
        return self in (Action.EXPORT, Action.EXPORT_AGAIN)


@dataclass(frozen=True, slots=True)
class PointInTimeRecovery:
    """The table's recovery window.

    :param enabled: PointInTimeRecoveryStatus is ENABLED.
    :param earliest: EarliestRestorableDateTime, None while off.
    :param latest: LatestRestorableDateTime, typically five minutes ago; None while off.
    :param period: RecoveryPeriodInDays: how far back ``earliest`` lies once it moves on with the clock; None if unknown.
    """

    enabled: bool
    earliest: datetime | None = None
    latest: datetime | None = None
    period: timedelta | None = None


@dataclass(frozen=True, slots=True)
class TableIdentity:
    """Which table stands behind a name: TableArn and TableId together.

    A table that was deleted and created again keeps its ARN and gets another TableId.
    """

    table_arn: str
    table_id: str
    key_attributes: tuple[str, ...] = field(default=(), compare=False)
    """Exact names of its key attributes, the partition key first; empty where nobody asked."""

    @property
    def table_name(self) -> str:
        """The name in the ARN."""
        return self.table_arn.rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What a run asks of the planner.

    :param kind: scheduled, manual or backfill.
    :param now: now, by AWS's clock.
    :param settle: how long after its end a window may be asked for.
    :param interval: the run's data interval; None for a manual run.
    :param view: the view of new incremental exports.
    :param outputs: outputs that the configuration asks for.
    :param base_time: the configuration's base_time, if any.
    :param new_base: close the chain and begin another one (manual runs only).
    :param full_export: make one more full export beside the chain (manual runs only).
    :param wanted: export just this stretch (manual runs only).
    :param re_export: export each verified window inside ``wanted`` again.
    :param on_chain_end: what to do where the chain cannot go on.
    :param export_filter: what of the table is exported; None for all of it.
    """

    kind: RunKind
    now: datetime
    settle: timedelta
    interval: Stretch | None
    view: ExportViewType
    outputs: tuple[str, ...]
    base_time: datetime | None = None
    new_base: bool = False
    full_export: bool = False
    wanted: Stretch | None = None
    re_export: bool = False
    on_chain_end: ChainEnd = ChainEnd.FAIL
    export_filter: ExportFilter | None = None


@dataclass(frozen=True, slots=True)
class PlannedExport:
    """One line of a plan.

    :param kind: base, window, or snapshot beside the chain.
    :param action: what has to happen.
    :param reason: why, in words.
    :param export_time: moment of a full export.
    :param window: stretch of a window.
    :param attempt: what is exported again: the attempt that is asked for at least; else the verified one that stands, although a later one
        was claimed. None for whichever is the newest.
    :param supersedes: subjects of the windows that it replaces.
    """

    kind: ClaimKind
    action: Action
    reason: str
    export_time: datetime | None = None
    window: Window | None = None
    attempt: int | None = None
    supersedes: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """What it is an attempt at, as its claim's ``subject`` names it; empty if it names no moment."""
        if self.window:
            return self.window.key
        return f"full-{compact(self.export_time)}" if self.export_time else ""

    @property
    def ready_at(self) -> datetime:
        """The moment after which DynamoDB may be asked, before the time to settle is added."""
        moment = self.window.end if self.window else self.export_time
        if moment is None:
            raise ValueError("a planned export has an export_time or a window")
        return moment

    def to_json(self) -> dict[str, Any]:
        """Return a flat JSON object that :meth:`from_json` reads."""
        return {
            "kind": str(self.kind),
            "action": str(self.action),
            "reason": self.reason,
            "export_time": iso(self.export_time) if self.export_time else None,
            "start": iso(self.window.start) if self.window else None,
            "end": iso(self.window.end) if self.window else None,
            "attempt": self.attempt,
            "supersedes": list(self.supersedes),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> PlannedExport:
        """Read what :meth:`to_json` wrote."""
        window = None
        if document.get("start"):
            window = Window(parse_utc(document["start"]), parse_utc(document["end"]))
        return cls(
            kind=ClaimKind(document["kind"]),
            action=Action(document["action"]),
            reason=document["reason"],
            export_time=parse_utc(document["export_time"]) if document.get("export_time") else None,
            window=window,
            attempt=document.get("attempt"),
            supersedes=tuple(document.get("supersedes", ())),
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does.

    :param base: the full export, a base or a snapshot beside the chain, if something has to happen to one.
    :param windows: windows in order of time.
    :param until: the run answers for everything up to here.
    :param wait_until: by AWS's clock; the run must not begin before. None: at once.
    :param notes: what else a person should know.
    :param closes_chain: number of the chain that ``base`` closes; None unless it opens a chain after another one.
    """

    base: PlannedExport | None
    windows: tuple[PlannedExport, ...]
    until: datetime | None
    wait_until: datetime | None = None
    notes: tuple[str, ...] = ()
    closes_chain: int | None = None

    @property
    def exports(self) -> tuple[PlannedExport, ...]:
        """The full export, then the windows."""
        return ((self.base,) if self.base else ()) + self.windows

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object that :meth:`from_json` reads."""
        return {
            "base": self.base.to_json() if self.base else None,
            "windows": [window.to_json() for window in self.windows],
            "until": iso(self.until) if self.until else None,
            "notes": list(self.notes),
            "closes_chain": self.closes_chain,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Plan:
        """Read what :meth:`to_json` wrote."""
        return cls(
            base=PlannedExport.from_json(document["base"]) if document["base"] else None,
            windows=tuple(PlannedExport.from_json(window) for window in document["windows"]),
            until=parse_utc(document["until"]) if document["until"] else None,
            notes=tuple(document["notes"]),
            closes_chain=document.get("closes_chain"),
        )
