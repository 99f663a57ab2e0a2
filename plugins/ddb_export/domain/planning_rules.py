"""The rules that every plan follows, whatever asked for it: how far a run answers, what is missing, what recovery still reaches.

:mod:`ddb_export.domain.planning` decides which of them a run needs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ddb_export.domain.ledger import Chain, Claim, ClaimKind, KnownWindow
from ddb_export.domain.plan import (
    Action,
    Plan,
    PlannedExport,
    PlanRequest,
    PointInTimeRecovery,
    RunKind,
    TableIdentity,
)
from ddb_export.domain.standing import verified_attempt
from ddb_export.domain.utc import ceil_minute, floor_minute, iso
from ddb_export.domain.window import LONGEST, SHORTEST, Stretch, cut
from ddb_export.exceptions import PointInTimeRecoveryError

Boundaries = Callable[[datetime, datetime], Sequence[datetime]]
"""Gives the moments at which the schedule fires strictly between two moments."""

MOST_WINDOWS = 1000
"""Most windows of one run; Airflow maps a task over at most 1024 (``[core] max_map_length``). The next run takes the rest."""

MINUTE = timedelta(minutes=1)

NEW_BASE_REMEDY = "trigger the DAG by hand with new_base: true to begin a new chain with a full export"


RAW = "raw"
"""The output that registers an export's own files, unread."""


def output_of(kind: ClaimKind) -> str:
    """Return the typed output that is made from an export of this kind."""
    return "changes" if kind is ClaimKind.WINDOW else "snapshots"


def outputs_of(kind: ClaimKind, asked: Collection[str]) -> tuple[str, ...]:
    """Return those of the asked outputs that an export of this kind gives: its typed table, and the table of raw files."""
    return tuple(output for output in (output_of(kind), RAW) if output in asked)


@dataclass(frozen=True, slots=True)
class Rules:
    """The facts that one plan is made from, and what follows from them.

    :param chain: the ledger as it is now. :param request: what the run asks.
    :param identity: the table as it is now. :param recovery: its recovery window as it is now.
    :param boundaries: the schedule's boundaries.
    :param lost: subjects of claims that have no export, and that recovery no longer reaches, so that they never will.
    :param ended: subjects of claims whose export is COMPLETED and yet not verified.
    :param base_began: False where the base that is claimed has no export that runs or is COMPLETED.
    :param left: subjects of windows of which the newest claim came to nothing and need not be gone on with, with why.
    """

    chain: Chain
    request: PlanRequest
    identity: TableIdentity
    recovery: PointInTimeRecovery
    boundaries: Boundaries
    lost: frozenset[str] = frozenset()
    ended: frozenset[str] = frozenset()
    base_began: bool = True
    left: Mapping[str, str] = field(default_factory=dict)

    def until(self) -> datetime:
        """Return the moment up to which a run that catches up answers.

        A manual run stops early where the next boundary is closer than the shortest window: else the scheduled run that ends at
        that boundary would find less than an export can cover.
        """
        if self.request.interval:
            return self.request.interval.end
        settled = self.settled()
        coming = min(self.boundaries(settled, settled + SHORTEST), default=None)
        return coming - SHORTEST if coming else settled

    @property
    def filter_changed(self) -> bool:
        """Whether the chain was begun with another filter than the run asks for."""
        claim = self.chain.base_claim
        return claim is not None and claim.request.export_filter != self.request.export_filter

    def ends_under_another_filter(self) -> tuple[datetime, ...]:
        """Return the moments that the base of a chain with another filter must not precede; none if the filter is the same.

        A window counts for whatever chain it lies behind the base of: none that holds other items may lie behind a new one.
        """
        claim = self.chain.base_claim
        if claim is None or not self.filter_changed or claim.table_id != self.identity.table_id:
            return ()
        base_time = claim.request.export_time or claim.claimed_at
        full = [each.request.export_time for each in self.chain.claims if each.table_id == claim.table_id]
        behind = (ceil_minute(moment + MINUTE) for moment in full if moment and moment >= base_time)
        return (*behind, *(covered.end for covered in self.chain.covered))

    def settled(self) -> datetime:
        """Return the last minute whose state can be exported at once."""
        settled = self.request.now - self.request.settle
        return floor_minute(min(settled, self.recovery.latest) if self.recovery.latest else settled)

    def new_base(self, moment: datetime, reason: str) -> PlannedExport:
        """Return the base of a new chain; a snapshot that is claimed for that very moment becomes it, and is not billed again."""
        base = PlannedExport(ClaimKind.BASE, Action.EXPORT, reason, moment)
        claimed = self.chain.newest_attempt(base.subject, self.identity.table_id)
        return replace(base, action=Action.CONTINUE) if claimed and claimed.kind is ClaimKind.SNAPSHOT else base

    def pending(self, claim: Claim) -> PlannedExport | None:
        """Return what is left to do for a claim, None if nothing is."""
        entry = self.chain.verified_subjects.get(claim.subject)
        is_left = claim.subject in self.left
        if entry is None and is_left:
            return None
        if entry is None or (entry.attempt < claim.attempt and not is_left):
            return of_claim(claim, Action.CONTINUE, f"claimed at {iso(claim.claimed_at)} and not verified yet")
        asked = outputs_of(claim.kind, self.request.outputs)
        missing = [output for output in asked if not self.chain.is_published(entry, output)]
        if missing:
            reason = f"verified, but {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not published"
            return of_claim(claim, Action.PUBLISH, reason, self.standing_attempt(claim.subject))
        return None

    def standing_attempt(self, subject: str) -> int | None:
        """Return the verified attempt that stands as the newest one came to nothing (0 if none is verified); None where it did not."""
        return verified_attempt(self.chain, subject) if subject in self.left else None

    def pending_windows(self, span: Stretch) -> list[PlannedExport]:
        """Return what is left to do for the claimed windows that share a moment with ``span``."""
        claims = [each for each in self.chain.pending_claims if each.window and each.window.overlaps(span)]
        return [planned for claim in claims if (planned := self.pending(claim))]

    def pending_snapshot(self) -> PlannedExport | None:
        """Return a verified snapshot that is not published.

        One that is not verified waits for whoever asked for it: windows of the chain must not fail with it.
        """
        snapshots = [claim for claim in self.chain.pending_claims if claim.kind is ClaimKind.SNAPSHOT]
        pending = [planned for claim in snapshots if (planned := self.pending(claim))]
        return next((planned for planned in pending if planned.action is Action.PUBLISH), None)

    def fresh(self, span: Stretch, base_time: datetime) -> tuple[list[PlannedExport], tuple[str, ...]]:
        """Return the windows that are missing in ``span``, and notes on what is too short to export."""
        windows: list[PlannedExport] = []
        notes: list[str] = []
        for hole in self.chain.unclaimed(self._widened(span, base_time)):
            if not hole.overlaps(span):
                continue
            pieces = cut(hole, self.boundaries(hole.start, hole.end))
            reason = "no export covers it yet"
            windows += [PlannedExport(ClaimKind.WINDOW, Action.EXPORT, reason, window=piece) for piece in pieces]
            if not pieces:
                joined, note = self._joined(hole, base_time)
                windows += joined
                notes += note
        return windows, tuple(notes)

    def _widened(self, span: Stretch, base_time: datetime) -> Stretch:
        """Widen a span to the next claim, or the base, where less than the shortest window would be left between them."""
        before = [base_time, *(covered.end for covered in self.chain.covered)]
        after = [covered.start for covered in self.chain.covered]
        start = max((each for each in before if each <= span.start), default=span.start)
        end = min((each for each in after if each >= span.end), default=span.end)
        return Stretch(
            start if span.start - start < SHORTEST else span.start, end if end - span.end < SHORTEST else span.end
        )

    def _joined(self, hole: Stretch, base_time: datetime) -> tuple[list[PlannedExport], list[str]]:
        """Export a hole that is too short for a window together with a verified neighbour, which it replaces.

        At the end of what is claimed it is no hole: time goes on, and the next run finds it long enough. Before the base it is
        none either: the chain begins there, and who asks for the history before it takes it along.
        """
        if hole.end <= base_time:
            note = f"{hole} is shorter than {SHORTEST} and lies before the base; ask for {SHORTEST} before it to export both"
            return [], [note]
        beside = self.chain.windows_starting_in(Stretch(hole.start - LONGEST, hole.end + SHORTEST))
        touching = [each for each in beside if hole.start == each.window.end or hole.end == each.window.start]
        if not any(each.window.start == hole.end for each in touching):
            return [], [f"{hole} is shorter than {SHORTEST} and waits until more time has passed"]
        # What another claim is about to replace is spoken for: two windows in its place would overlap.
        spoken_for = {subject for claim in self.chain.pending_claims for subject in claim.supersedes}
        verified = [each for each in touching if each.verified and each.window.key not in spoken_for]
        if not verified:
            return [], [f"{hole} is shorter than {SHORTEST} and waits until a window beside it is verified"]
        neighbour = min(verified, key=self._cost_of_joining)
        stretch = Stretch(min(hole.start, neighbour.window.start), max(hole.end, neighbour.window.end))
        reason = f"the hole {hole} is shorter than {SHORTEST}; exported with its neighbour {neighbour.window}, which it replaces"
        return [
            PlannedExport(ClaimKind.WINDOW, Action.EXPORT, reason, window=piece, supersedes=(neighbour.window.key,))
            for piece in cut(stretch, ())
        ], []

    def _cost_of_joining(self, neighbour: KnownWindow) -> tuple[bool, float]:
        earliest = self.recovery.earliest
        return (
            earliest is not None and neighbour.window.start < earliest,
            neighbour.window.length.total_seconds(),
        )

    def planned(
        self,
        base: PlannedExport | None,
        known: Sequence[PlannedExport],
        fresh: Sequence[PlannedExport],
        until: datetime,
        notes: tuple[str, ...] = (),
    ) -> Plan:
        """Put a plan together: in order of time, no longer than Airflow can map.

        :raises PointInTimeRecoveryError: recovery does not reach what has to be exported.
        """
        windows = sorted([*known, *fresh], key=lambda each: each.ready_at)
        if len(windows) > MOST_WINDOWS:
            note = f"{len(windows)} windows are due; this run takes the first {MOST_WINDOWS}, the next the rest"
            notes = (*notes, note)
            windows = windows[:MOST_WINDOWS]
            until = windows[-1].ready_at
        self.require_restorable(windows)
        return Plan(base, tuple(windows), until, self.wait_until([base, *windows]), notes)

    def wait_until(self, exports: Sequence[PlannedExport | None]) -> datetime | None:
        """Return when DynamoDB may be asked for all of these that are not claimed yet, None if at once.

        A full export lies at or before LatestRestorableDateTime besides, whatever the time to settle is.
        """
        request, latest = self.request, self.recovery.latest
        lag = max(request.settle, request.now - latest) if latest else request.settle
        fresh = [each for each in exports if each and each.action is Action.EXPORT]
        ready = [each.ready_at + (request.settle if each.window else lag) for each in fresh]
        return max(ready) if ready and max(ready) > request.now else None

    def first_restorable(self) -> datetime:
        """Return the first minute that recovery reaches, and still reaches when DynamoDB is asked.

        Once recovery is as old as its period, its beginning moves on with the clock; the time to settle is kept as a margin then.
        """
        earliest = self.require_recovery()
        period, margin = self.recovery.period, self.request.settle
        moves = period is not None and self.request.now - earliest >= period - margin
        return ceil_minute(earliest + margin if moves else earliest)

    def require_recovery(self) -> datetime:
        """Return the beginning of recovery.

        :raises PointInTimeRecoveryError: recovery is off.
        """
        if not self.recovery.enabled or self.recovery.earliest is None:
            raise PointInTimeRecoveryError(
                self.identity.table_arn,
                "point-in-time recovery is off, so DynamoDB cannot export it",
                f"turn it on: aws dynamodb update-continuous-backups --table-name {self.identity.table_name}"
                " --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true",
            )
        return self.recovery.earliest

    def out_of_reach(self, windows: Sequence[PlannedExport]) -> list[Stretch]:
        """Return the windows that would have to be exported, and that recovery no longer reaches, in order of time."""
        asked = [each.window for each in windows if each.window and each.action.asks_dynamodb]
        lost = [each.window for each in windows if each.window and each.window.key in self.lost]
        if not asked and not lost:
            return []
        earliest = self.require_recovery()
        return sorted([*lost, *(window for window in asked if window.start < earliest)])

    def require_restorable(self, windows: Sequence[PlannedExport]) -> None:
        """Refuse a plan that recovery no longer reaches, as a whole.

        :raises PointInTimeRecoveryError: it names the part.
        """
        lost = self.out_of_reach(windows)
        if not lost:
            return
        earliest = self.require_recovery()
        chain_goes_on = self.request.kind is RunKind.BACKFILL or self.request.wanted is not None
        raise PointInTimeRecoveryError(
            f"window {Stretch(lost[0].start, lost[-1].end)} of {self.identity.table_arn}",
            f"point-in-time recovery reaches back to {iso(earliest)} only, so its changes can no longer be exported",
            f"ask for what begins at {iso(ceil_minute(earliest))} or later" if chain_goes_on else NEW_BASE_REMEDY,
        )


def of_claim(claim: Claim, action: Action, reason: str, attempt: int | None = None) -> PlannedExport:
    """Return the line of a plan that is about a claim, or about an earlier attempt at the same."""
    return PlannedExport(claim.kind, action, reason, claim.request.export_time, claim.window, attempt)
