"""What a run has to do, decided from the ledger, the table's recovery window and the run's interval.

One rule heals everything: a run takes whatever is not verified, and whatever is verified but not published, between the base
and its own end. Failed windows, outages, pauses and crashes between the ledger and Glue need no rule of their own. Every
decision carries its reason in words, for the log and for dry runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from ddb_export.domain.ledger import Chain, Claim, ClaimKind
from ddb_export.domain.plan import (
    Action,
    Plan,
    PlannedExport,
    PlanRequest,
    PointInTimeRecovery,
    RunKind,
    TableIdentity,
)
from ddb_export.domain.utc import ceil_minute, floor_minute, iso
from ddb_export.domain.window import SHORTEST, Stretch, cut
from ddb_export.exceptions import PlanError, PointInTimeRecoveryError, TableIdentityError

__all__ = [
    "MOST_WINDOWS",
    "Action",
    "Boundaries",
    "Plan",
    "PlanRequest",
    "PlannedExport",
    "PointInTimeRecovery",
    "RunKind",
    "TableIdentity",
    "output_of",
    "plan",
]

Boundaries = Callable[[datetime, datetime], Sequence[datetime]]
"""Gives the moments at which the schedule fires strictly between two moments."""

MOST_WINDOWS = 1000
"""Most windows of one run; Airflow maps a task over at most 1024 (``[core] max_map_length``). The next run takes the rest."""


def plan(
    chain: Chain,
    request: PlanRequest,
    identity: TableIdentity,
    recovery: PointInTimeRecovery,
    boundaries: Boundaries,
) -> Plan:
    """Decide what a run does.

    :param chain: the ledger as it is now.
    :param request: what the run asks.
    :param identity: the table as it is now.
    :param recovery: its recovery window as it is now.
    :param boundaries: the schedule's boundaries.
    :raises PointInTimeRecoveryError: recovery is off, or no longer reaches what has to be exported.
    :raises TableIdentityError: the table was made again since the chain began.
    :raises PlanError: the run's interval cannot be planned.
    """
    _require_same_table(chain, request, identity)
    decision = _Decision(chain, request, identity, recovery, boundaries)
    if chain.base_claim is None or request.new_base:
        return decision.first_base()
    base_time = _base_time(chain.base_claim)
    if request.kind is RunKind.BACKFILL:
        return decision.backfill(chain.base_claim, base_time)
    return decision.catch_up(decision.pending(chain.base_claim), base_time)


def output_of(kind: ClaimKind) -> str:
    """Return the output that is made from an export of this kind."""
    return "changes" if kind is ClaimKind.WINDOW else "snapshots"


def _require_same_table(chain: Chain, request: PlanRequest, identity: TableIdentity) -> None:
    claim = chain.base_claim
    if claim and claim.table_id != identity.table_id and not request.new_base:
        raise TableIdentityError(
            identity.table_arn,
            f"its TableId is {identity.table_id}, the chain began with {claim.table_id}: the table was deleted and"
            " created again, so no window can follow on the chain",
            "trigger the DAG by hand with new_base: true to begin a new chain with a full export",
        )


@dataclass(frozen=True, slots=True)
class _Decision:
    """The facts that one plan is made from, and the rules."""

    chain: Chain
    request: PlanRequest
    identity: TableIdentity
    recovery: PointInTimeRecovery
    boundaries: Boundaries

    def first_base(self) -> Plan:
        """Plan the base of a new chain, and what the run covers behind it."""
        request = self.request
        if request.kind is RunKind.BACKFILL:
            raise PlanError(
                "backfill",
                "the table has no base yet, so no window can be placed",
                "let the first scheduled run make the base, then start the backfill again",
            )
        wanted, source = self._wanted_base()
        base_time = max(ceil_minute(wanted), self._first_restorable())
        notes = () if base_time == ceil_minute(wanted) else (f"base moved from {iso(wanted)} to where recovery begins",)
        opening = "a new chain was asked for" if request.new_base else "the table has no chain yet"
        base = PlannedExport(ClaimKind.BASE, Action.EXPORT, f"{opening}; full export at the {source}", base_time)
        if request.new_base or self._until() <= base_time:
            return Plan(base, (), base_time, self._wait_until([base]), notes)
        return self.catch_up(base, base_time, notes)

    def catch_up(self, base: PlannedExport | None, base_time: datetime, notes: tuple[str, ...] = ()) -> Plan:
        """Plan everything that is missing between the base and the end of the run."""
        until = self._until()
        if until <= base_time:
            note = f"nothing before {iso(base_time)}: the chain begins there"
            return Plan(base, (), until, self._wait_until([base]), (*notes, note))
        span = Stretch(base_time, until)
        pending = [
            planned
            for claim in self.chain.newest_attempts.values()
            if claim.window and claim.window.overlaps(span) and (planned := self.pending(claim))
        ]
        return self._planned(base, pending, span, base_time, notes)

    def backfill(self, base_claim: Claim, base_time: datetime) -> Plan:
        """Plan the run's own interval: export what no claim covers, rebuild what one does."""
        span = self.request.interval
        if span is None:
            raise PlanError("backfill", "the run has no data interval", "use an interval timetable for the DAG")
        covered = [
            self.pending(claim) or _rebuild(claim)
            for claim in self.chain.newest_attempts.values()
            if claim.window and span.start <= claim.window.start < span.end
        ]
        base = self.pending(base_claim)
        if base is None and span.start < base_time <= span.end:
            base = _rebuild(base_claim)
        return self._planned(base, covered, span, base_time)

    def pending(self, claim: Claim) -> PlannedExport | None:
        """Return what is left to do for a claim, None if nothing is."""
        entry = self.chain.verified_subjects.get(claim.subject)
        if entry is None:
            return _planned(claim, Action.CONTINUE, f"claimed at {iso(claim.claimed_at)} and not verified yet")
        output = output_of(claim.kind)
        if output in self.request.outputs and not self.chain.is_published(entry, output):
            return _planned(claim, Action.PUBLISH, f"verified, but {output} is not published")
        return None

    def _planned(
        self,
        base: PlannedExport | None,
        known: Sequence[PlannedExport],
        span: Stretch,
        base_time: datetime,
        notes: tuple[str, ...] = (),
    ) -> Plan:
        fresh, more_notes = self._fresh(span, base_time)
        windows = sorted([*known, *fresh], key=lambda each: each.ready_at)
        until, notes = span.end, (*notes, *more_notes)
        if len(windows) > MOST_WINDOWS:
            notes = (
                *notes,
                f"{len(windows)} windows are due; this run takes the first {MOST_WINDOWS}, the next the rest",
            )
            windows = windows[:MOST_WINDOWS]
            until = windows[-1].ready_at
        self._require_restorable(windows)
        return Plan(base, tuple(windows), until, self._wait_until([base, *windows]), notes)

    def _until(self) -> datetime:
        """Return the moment up to which a run that catches up answers.

        A manual run stops early where the next boundary is closer than the shortest window: else the scheduled run that ends at
        that boundary would find less than an export can cover.
        """
        if self.request.interval:
            return self.request.interval.end
        settled = self._settled()
        coming = min(self.boundaries(settled, settled + SHORTEST), default=None)
        return coming - SHORTEST if coming else settled

    def _settled(self) -> datetime:
        """Return the last minute whose state can be exported at once."""
        settled = self.request.now - self.request.settle
        return floor_minute(min(settled, self.recovery.latest) if self.recovery.latest else settled)

    def _wanted_base(self) -> tuple[datetime, str]:
        request = self.request
        if request.base_time is not None and not request.new_base:
            return request.base_time, "base_time of the configuration"
        if request.interval is not None and not request.new_base:
            return request.interval.end, "end of the run's data interval"
        return self._settled(), f"now less {request.settle} to settle"

    def _first_restorable(self) -> datetime:
        """Return the first minute that recovery reaches, and still reaches when DynamoDB is asked.

        Once recovery is as old as its period, its beginning moves on with the clock; the time to settle is kept as a margin then.
        """
        earliest = self._require_recovery()
        period, margin = self.recovery.period, self.request.settle
        moves = period is not None and self.request.now - earliest >= period - margin
        return ceil_minute(earliest + margin if moves else earliest)

    def _require_recovery(self) -> datetime:
        if not self.recovery.enabled or self.recovery.earliest is None:
            raise PointInTimeRecoveryError(
                self.identity.table_arn,
                "point-in-time recovery is off, so DynamoDB cannot export it",
                f"turn it on: aws dynamodb update-continuous-backups --table-name {self.identity.table_name}"
                " --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true",
            )
        return self.recovery.earliest

    def _wait_until(self, exports: Sequence[PlannedExport | None]) -> datetime | None:
        """Return when DynamoDB may be asked for all of these that are not claimed yet, None if at once.

        A full export lies at or before LatestRestorableDateTime besides, whatever the time to settle is.
        """
        request, latest = self.request, self.recovery.latest
        lag = max(request.settle, request.now - latest) if latest else request.settle
        fresh = [each for each in exports if each and each.action is Action.EXPORT]
        ready = [each.ready_at + (request.settle if each.window else lag) for each in fresh]
        return max(ready) if ready and max(ready) > request.now else None

    def _fresh(self, span: Stretch, base_time: datetime) -> tuple[list[PlannedExport], tuple[str, ...]]:
        """Return the windows that are missing in ``span``, and notes on what is too short to export."""
        windows: list[PlannedExport] = []
        notes: list[str] = []
        for hole in self.chain.unclaimed(self._widened(span, base_time)):
            pieces = cut(hole, self.boundaries(hole.start, hole.end))
            if not pieces:
                notes.append(f"{hole} is shorter than {SHORTEST} and waits until more time has passed")
            reason = "no export covers it yet"
            windows += [PlannedExport(ClaimKind.WINDOW, Action.EXPORT, reason, window=piece) for piece in pieces]
        return windows, tuple(notes)

    def _widened(self, span: Stretch, base_time: datetime) -> Stretch:
        """Widen a span to the next claim, or the base, where less than the shortest window would be left between them."""
        before = [base_time, *(window.end for window in self.chain.claimed_windows)]
        after = [window.start for window in self.chain.claimed_windows]
        start = max((each for each in before if each <= span.start), default=span.start)
        end = min((each for each in after if each >= span.end), default=span.end)
        return Stretch(
            start if span.start - start < SHORTEST else span.start, end if end - span.end < SHORTEST else span.end
        )

    def _require_restorable(self, windows: Sequence[PlannedExport]) -> None:
        fresh = [each.window for each in windows if each.window and each.action is Action.EXPORT]
        if not fresh:
            return
        earliest = self._require_recovery()
        lost = [window for window in fresh if window.start < earliest]
        if lost:
            part = Stretch(min(lost).start, max(lost).end)
            raise PointInTimeRecoveryError(
                f"window {part} of {self.identity.table_arn}",
                f"point-in-time recovery reaches back to {iso(earliest)} only, so its changes can no longer be exported",
                "trigger the DAG by hand with new_base: true to begin a new chain with a full export",
            )


def _rebuild(claim: Claim) -> PlannedExport:
    return _planned(claim, Action.REBUILD, "covered by a verified export, whose files are made again")


def _planned(claim: Claim, action: Action, reason: str) -> PlannedExport:
    return PlannedExport(claim.kind, action, reason, claim.request.export_time, claim.window)


def _base_time(claim: Claim) -> datetime:
    if claim.request.export_time is None:
        raise ValueError("a base is a full export and has an export_time")
    return claim.request.export_time
