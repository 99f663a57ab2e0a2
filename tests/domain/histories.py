"""A table's ledger in memory, for tests of what follows from it: runs plan, claim, fail and succeed, and die anywhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from ddb_export.domain.export import ExportRequest, ExportViewType
from ddb_export.domain.export_filter import ExportFilter
from ddb_export.domain.ledger import Chain, Claim, ClaimKind, VerifiedEntry
from ddb_export.domain.planning import (
    Action,
    Plan,
    PlannedExport,
    PlanRequest,
    PointInTimeRecovery,
    RunKind,
    TableIdentity,
    output_of,
    plan,
)
from ddb_export.domain.schedule import schedule_boundaries
from ddb_export.domain.window import Stretch, Window

START = datetime(2026, 3, 1, tzinfo=UTC)
SETTLE = timedelta(minutes=5)
ARN = "arn:aws:dynamodb:us-east-1:111122223333:table/orders"
OUTPUTS = ("snapshots", "changes")


def at(*, days: float = 0, hours: float = 0, minutes: float = 0) -> datetime:
    """A moment, counted from START."""
    return START + timedelta(days=days, hours=hours, minutes=minutes)


def boundaries(cron: str = "0 0 * * *", zone: str = "UTC") -> Callable[[datetime, datetime], Sequence[datetime]]:
    """The boundaries of a schedule, as the planner takes them."""
    return lambda start, end: schedule_boundaries(cron, str(ZoneInfo(zone)), start, end)


@dataclass
class History:
    """A ledger, the table behind it, and a clock."""

    chain: Chain = field(default_factory=Chain)
    now: datetime = START
    table_id: str = "id-1"
    recovery: PointInTimeRecovery = field(default_factory=lambda: PointInTimeRecovery(enabled=True, earliest=START))
    cron: str = "0 0 * * *"
    zone: str = "UTC"
    export_filter: ExportFilter | None = None

    def plan(self, kind: RunKind, interval: Stretch | None = None, **fields: Any) -> Plan:
        """What a run would do now."""
        lost, ended = fields.pop("lost", frozenset()), fields.pop("ended", frozenset())
        left = fields.pop("left", {})
        request = PlanRequest(
            kind,
            self.now,
            SETTLE,
            interval,
            ExportViewType.NEW_AND_OLD_IMAGES,
            OUTPUTS,
            export_filter=self.export_filter,
        )
        recovery = replace(self.recovery, latest=self.now - SETTLE) if self.recovery.enabled else self.recovery
        return plan(
            self.chain,
            replace(request, **fields),
            TableIdentity(ARN, self.table_id),
            recovery,
            boundaries(self.cron, self.zone),
            lost=lost,
            ended=ended,
            left=left,
        )

    def scheduled(self, start: datetime, end: datetime, **fields: Any) -> Plan:
        """What the scheduled run of an interval would do now."""
        return self.plan(RunKind.SCHEDULED, Stretch(start, end), **fields)

    def claim(self, planned: PlannedExport | None) -> Claim:
        """Claim what was planned, or return the newest attempt that is there."""
        assert planned is not None
        request = self.request_of(planned)
        subject = planned.window.key if planned.window else f"full-{planned.export_time:%Y%m%dT%H%MZ}"
        existing = self.chain.newest_attempt(subject, self.table_id)
        if existing and existing.attempt >= (planned.attempt or 0):
            return existing
        return self._append(planned.kind, request, planned.reason, planned.supersedes)

    def request_of(self, planned: PlannedExport | None) -> ExportRequest:
        """What would be asked for now."""
        assert planned is not None
        view = ExportViewType.NEW_AND_OLD_IMAGES if planned.window else None
        return ExportRequest(
            ARN, "bucket", "raw", planned.export_time, planned.window, view, export_filter=self.export_filter
        )

    def fail(self, claim: Claim) -> Claim:
        """Let an attempt FAIL, and claim the next."""
        return self._append(claim.kind, replace(claim.request, s3_prefix="raw"), "FAILED")

    def _append(self, kind: ClaimKind, request: ExportRequest, reason: str, supersedes: tuple[str, ...] = ()) -> Claim:
        claim = self.chain.next_claim(kind, request, self.table_id, self.now, reason, supersedes=supersedes)
        self.chain = self.chain.with_claim(claim)
        return claim

    def verify(self, claim: Claim) -> VerifiedEntry:
        """Record that an attempt is verified."""
        window = claim.window
        entry = VerifiedEntry(
            export=claim.export,
            kind=claim.kind,
            attempt=claim.attempt,
            export_arn=f"{ARN}/export/{claim.sequence:014}-00000000",
            table_arn=ARN,
            table_id=claim.table_id,
            export_time=claim.request.export_time,
            start=window.start if window else None,
            end=window.end if window else None,
            view=None,
            bucket="bucket",
            manifest_key="manifest-summary.json",
            level="bytes",
            files=1,
            item_count=1,
            bytes_read=1,
            billed_bytes=1,
            ttl_attribute=None,
            verified_at=self.now,
        )
        self.chain = replace(self.chain, verified={**self.chain.verified, claim.export: entry})
        return entry

    def publish(self, entry: VerifiedEntry) -> None:
        """Record that a verified attempt is published."""
        self.chain = replace(self.chain, published=self.chain.published | {(output_of(entry.kind), entry.export)})

    @property
    def claimed_windows(self) -> list[Window]:
        """Every claimed window of the current table, in order of time."""
        return [known.window for known in self.chain.windows_starting_in(Stretch(at(days=-100), at(days=1000)))]

    def do(self, planned: PlannedExport) -> None:
        """Do all that a plan says about one export."""
        unfinished = planned.action.asks_dynamodb or planned.action is Action.CONTINUE
        entry = self.verify(self.claim(planned)) if unfinished else None
        self.publish(entry or self.chain.verified_subjects[self.claim(planned).subject])

    def run(self, made: Plan) -> Plan:
        """Wait until a plan may begin, then do all of it."""
        self.now = max(self.now, made.wait_until or self.now)
        for planned in made.exports:
            self.do(planned)
        return made
