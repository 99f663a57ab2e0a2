"""What follows from a ledger's facts: the chain, its base and head, what is claimed, and what may be claimed next.

Everything is derived here, how far the lake is complete above all, so that no order of runs, retries, backfills or races can
set it wrongly. Only facts about one and the same table count: a table that was deleted and created again keeps its ARN, but
nothing that was claimed or verified for the old one says anything about the new one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

from ddb_export.domain.evidence import (
    LEDGER_FORMAT,
    Claim,
    ClaimKind,
    FailedEntry,
    Owner,
    PublishedEntry,
    VerifiedEntry,
    subject_of,
)
from ddb_export.domain.export import ExportRequest, export_name
from ddb_export.domain.export_filter import words_of
from ddb_export.domain.settled import SettledRun, SettledWindow
from ddb_export.domain.utc import iso
from ddb_export.domain.window import Stretch, Window, joined, subtract, window_of
from ddb_export.exceptions import ClaimConflictError, PlanError, TableIdentityError

__all__ = [
    "LEDGER_FORMAT",
    "Chain",
    "Claim",
    "ClaimKind",
    "FailedEntry",
    "KnownWindow",
    "Owner",
    "PublishedEntry",
    "VerifiedEntry",
    "subject_of",
]


@dataclass(frozen=True, slots=True, order=True)
class KnownWindow:
    """A window that is claimed, and how far it has come.

    :param attempt: the newest attempt. :param sequence: number of its claim.
    :param claim: the claim; None where nothing is left to do for it, and it was not read.
    :param verified: whether an attempt at it is verified.
    """

    window: Window
    attempt: int
    sequence: int
    claim: Claim | None
    verified: bool


@dataclass(frozen=True)
class Chain:
    """What a table's ledger holds, and what follows from it.

    :param claims: in order of their sequence; all of them, but those that ``settled`` stands for.
    :param verified: evidence of these claims, by name of the attempt.
    :param published: (output, name of the attempt) of what is published of them.
    :param settled: windows that nothing is left to do for. What is among the claims too, counts as it is there.
    :param settled_sequence: number of the newest claim that ``settled`` was made from.
    """

    owner: Owner | None = None
    claims: tuple[Claim, ...] = ()
    verified: Mapping[str, VerifiedEntry] = field(default_factory=dict)
    published: frozenset[tuple[str, str]] = frozenset()
    settled: tuple[SettledRun, ...] = ()
    settled_sequence: int = 0

    @property
    def last_sequence(self) -> int:
        """Number of the newest claim; 0 while nothing was ever claimed."""
        return max(self.settled_sequence, self.claims[-1].sequence if self.claims else 0)

    @cached_property
    def base_claim(self) -> Claim | None:
        """The newest attempt at the base of the newest chain; None while no base was ever claimed.

        A late attempt at the base of an earlier chain does not bring that chain back.
        """
        bases = [claim for claim in self.claims if claim.kind is ClaimKind.BASE]
        return max(bases, key=lambda claim: (claim.chain, claim.sequence), default=None)

    @property
    def number(self) -> int:
        """Number of the current chain; 0 while there is none."""
        return self.base_claim.chain if self.base_claim else 0

    @property
    def table_id(self) -> str | None:
        """TableId of the table that the current chain is about; None while nothing was ever claimed."""
        newest = self.base_claim or (self.claims[-1] if self.claims else None)
        return newest.table_id if newest else None

    @cached_property
    def newest_attempts(self) -> Mapping[str, Claim]:
        """The newest claim of each subject of the current table, in order of first claiming."""
        newest: dict[str, Claim] = {}
        for claim in self.claims:
            if claim.table_id == self.table_id:
                newest[claim.subject] = claim
        return newest

    @cached_property
    def verified_subjects(self) -> Mapping[str, VerifiedEntry]:
        """The highest verified attempt of each subject of the current table."""
        best: dict[str, VerifiedEntry] = {}
        for entry in self.verified.values():
            if entry.table_id != self.table_id:
                continue
            if entry.subject not in best or entry.attempt > best[entry.subject].attempt:
                best[entry.subject] = entry
        return best

    @property
    def base(self) -> VerifiedEntry | None:
        """The verified base of the current chain."""
        return self.verified_subjects.get(self.base_claim.subject) if self.base_claim else None

    @cached_property
    def head(self) -> datetime | None:
        """How far the data is complete: the end of the last verified window reached from the base without a gap.

        A window that begins before the base and ends after it counts: its records are whole images, so they carry the base
        to its end. None while the chain has no verified base.
        """
        if self.base is None or self.base.export_time is None:
            return None
        head = self.base.export_time
        for stretch in self.verified_stretches:
            if stretch.start <= head < stretch.end:
                head = stretch.end
        return head

    @property
    def closed_head(self) -> datetime | None:
        """How far the newest earlier chain with a verified base was complete; None if there never was one."""
        earlier = replace(self, claims=tuple(claim for claim in self.claims if claim.chain < self.number))
        return (earlier.head or earlier.closed_head) if earlier.base_claim else None

    @property
    def is_followed(self) -> bool:
        """Whether anything but its base was claimed on the current chain, or windows of an earlier one lie behind its base."""
        base = self.base_claim
        if base is None or base.request.export_time is None:
            return False
        on_chain = any(claim.chain == base.chain and claim.kind is not ClaimKind.BASE for claim in self.claims)
        return on_chain or any(covered.end > base.request.export_time for covered in self.covered)

    @cached_property
    def covered(self) -> tuple[Stretch, ...]:
        """What claimed windows of the current table cover, joined, in order of time."""
        return self._joined_with_settled([claim.window for claim in self.newest_attempts.values() if claim.window])

    @cached_property
    def verified_stretches(self) -> tuple[Stretch, ...]:
        """What verified windows of the current table cover, joined, in order of time."""
        return self._joined_with_settled([entry.window for entry in self.verified_subjects.values() if entry.window])

    def _joined_with_settled(self, windows: Sequence[Stretch]) -> tuple[Stretch, ...]:
        settled = [run.stretch for run in self._settled_of_table]
        return joined(sorted([*settled, *windows], key=lambda each: (each.start, each.end)))

    @cached_property
    def _settled_of_table(self) -> tuple[SettledRun, ...]:
        return tuple(run for run in self.settled if run.table_id == self.table_id)

    def settled_window(self, subject: str, table_id: str) -> SettledWindow | None:
        """Return the settled window of this name, None if there is none."""
        if subject.startswith("full-"):
            return None
        window = window_of(subject)
        found = (run.find(window) for run in self.settled if run.table_id == table_id)
        return next((each for each in found if each), None)

    @cached_property
    def superseded(self) -> frozenset[str]:
        """Subjects of the windows that verified windows, which were claimed to take their place, hold wholly."""
        replacing: dict[str, list[Window]] = {}
        for claim in self.newest_attempts.values():
            if claim.window and claim.subject in self.verified_subjects:
                for subject in claim.supersedes:
                    replacing.setdefault(subject, []).append(claim.window)
        return frozenset(subject for subject, windows in replacing.items() if not subtract(window_of(subject), windows))

    @property
    def pending_claims(self) -> tuple[Claim, ...]:
        """The newest attempts of the current table that something may be left to do for."""
        return tuple(claim for claim in self.newest_attempts.values() if claim.subject not in self.superseded)

    def windows_starting_in(self, span: Stretch) -> tuple[KnownWindow, ...]:
        """Return the claimed windows that start in ``span`` and are not superseded, in order of time."""
        known = {
            each.window: KnownWindow(each.window, each.attempt, each.sequence, None, verified=True)
            for run in self._settled_of_table
            for each in run.starting_in(span)
            if each.window.key not in self.superseded
        }
        for claim in self.pending_claims:
            if claim.window and span.start <= claim.window.start < span.end:
                verified = claim.subject in self.verified_subjects or claim.window in known
                known[claim.window] = KnownWindow(claim.window, claim.attempt, claim.sequence, claim, verified)
        return tuple(known[window] for window in sorted(known))

    def unclaimed(self, stretch: Stretch) -> tuple[Stretch, ...]:
        """Return what of ``stretch`` no claim covers."""
        return subtract(stretch, self.covered)

    def is_published(self, entry: VerifiedEntry, output: str) -> bool:
        """Tell whether an output of exactly this verified attempt was published."""
        return (output, entry.export) in self.published

    @cached_property
    def _attempts(self) -> Mapping[str, tuple[Claim, ...]]:
        attempts: dict[str, tuple[Claim, ...]] = {}
        for claim in self.claims:
            attempts[claim.subject] = (*attempts.get(claim.subject, ()), claim)
        return attempts

    def with_claim(self, claim: Claim) -> Chain:
        """Return the chain with one claim more; what is known of the attempts is carried over, so that many claims stay cheap."""
        chain = replace(self, claims=(*self.claims, claim))
        attempts = (*self._attempts.get(claim.subject, ()), claim)
        vars(chain)["_attempts"] = {**self._attempts, claim.subject: attempts}
        return chain

    def with_settled(self, claims: Sequence[Claim], entries: Sequence[VerifiedEntry]) -> Chain:
        """Return the chain with the claims and the evidence of settled windows read back."""
        known = {claim.sequence: claim for claim in (*self.claims, *claims)}
        return replace(
            self,
            claims=tuple(known[sequence] for sequence in sorted(known)),
            verified={**{entry.export: entry for entry in entries}, **self.verified},
        )

    def newest_attempt(self, subject: str, table_id: str, at_most: int | None = None) -> Claim | None:
        """Return the newest claim of a subject for this very table; None if there is none, or if it is settled.

        :param at_most: number of the latest attempt that may be the answer.
        """
        attempts = [claim for claim in self._attempts.get(subject, ()) if claim.table_id == table_id]
        return next((claim for claim in reversed(attempts) if at_most is None or claim.attempt <= at_most), None)

    def next_claim(
        self,
        kind: ClaimKind,
        request: ExportRequest,
        table_id: str,
        claimed_at: datetime,
        reason: str,
        *,
        supersedes: tuple[str, ...] = (),
    ) -> Claim:
        """Return the claim that may be appended for a request, its private prefix filled in by the attempt.

        Attempts are counted through all tables of one ARN, because the attempt names the raw folder.

        :param request: what to ask for; its ``s3_prefix`` is the folder that holds the raw exports of the table.
        :raises ClaimConflictError: its boundaries overlap with another claim's.
        :raises TableIdentityError: a window is wanted of another table than the one that the chain began with.
        """
        if kind is ClaimKind.WINDOW:
            self.refuse_other_table(kind, request, table_id)
        subject = subject_of(export_name(request, 1))
        previous = self._attempts.get(subject, ())
        self._refuse_other_filter(kind, request, table_id)
        attempt = max([claim.attempt for claim in previous] + self._settled_attempts(subject), default=0) + 1
        same = [claim for claim in previous if claim.table_id == table_id]
        if not same and request.window:
            self._refuse_overlap(request.window, table_id, supersedes)
        chain = same[-1].chain if same else self.number + 1 if kind is ClaimKind.BASE else max(self.number, 1)
        folder = f"{request.s3_prefix}/{export_name(request, attempt)}"
        return Claim(
            sequence=self.last_sequence + 1,
            chain=chain,
            kind=kind,
            attempt=attempt,
            request=replace(request, s3_prefix=folder),
            table_id=table_id,
            claimed_at=claimed_at,
            reason=reason,
            supersedes=same[-1].supersedes if same else supersedes,
        )

    def refuse_other_table(self, kind: ClaimKind, request: ExportRequest, table_id: str) -> None:
        """Refuse a window of another table than the chain's, and a full export that was claimed for another table.

        :raises TableIdentityError: it is one.
        """
        other = kind is ClaimKind.WINDOW or subject_of(export_name(request, 1)) in self._attempts
        if other and self.base_claim and self.base_claim.table_id != table_id:
            raise TableIdentityError(
                f"{kind} {request.window or iso(request.export_time or self.base_claim.claimed_at)} of {request.table_arn}",
                f"its TableId is {table_id}, the chain began with {self.base_claim.table_id}: the table was deleted and"
                " created again",
                "trigger the DAG by hand with new_base: true to begin a new chain with a full export",
            )

    def _refuse_other_filter(self, kind: ClaimKind, request: ExportRequest, table_id: str) -> None:
        """Refuse what would put exports under different filters on one chain.

        The next attempt at its base may have another filter while nothing else was claimed on it: DynamoDB refuses a filter
        only when it is asked.

        :raises PlanError: it would. :raises ClaimConflictError: windows under another filter lie behind a new base.
        """
        base = self.base_claim
        if base is None or base.table_id != table_id or base.request.export_filter == request.export_filter:
            return
        if kind is ClaimKind.BASE:
            is_next_attempt = subject_of(export_name(request, 1)) == base.subject
            if not is_next_attempt:
                self._refuse_before_other_filter(base, request)
                return
            if not self.is_followed:
                return
        restore = "restore the filter, or" if self.base else "restore the filter, or, if DynamoDB refuses that one,"
        raise PlanError(
            f"{kind} {request.window or iso(request.export_time or base.claimed_at)} of {request.table_arn}",
            f"its filter is {words_of(request.export_filter)}, the chain began with {words_of(base.request.export_filter)}",
            f"{restore} trigger the DAG by hand with new_base: true to begin a new chain with a full export",
        )

    def _refuse_before_other_filter(self, base: Claim, request: ExportRequest) -> None:
        """Refuse a base that windows under another filter would follow: they count for whatever chain they lie behind the base of.

        :raises ClaimConflictError: they would; planned again, the base comes behind them.
        """
        moment = request.export_time or base.claimed_at
        reached = max([base.request.export_time or base.claimed_at, *(each.end for each in self.covered)])
        if moment < reached or moment == base.request.export_time:
            raise ClaimConflictError(
                f"base {iso(moment)} of {request.table_arn}",
                f"exports under another filter ({words_of(base.request.export_filter)}) reach to {iso(reached)}",
                "plan again: the base comes behind them",
            )

    def _settled_attempts(self, subject: str) -> list[int]:
        if subject.startswith("full-"):
            return []
        window = window_of(subject)
        return [found.attempt for run in self.settled if (found := run.find(window))]

    def _refuse_overlap(self, wanted: Window, table_id: str, supersedes: tuple[str, ...]) -> None:
        holders: dict[Window, int] = {}
        for run in (run for run in self.settled if run.table_id == table_id):
            holders.update({each.window: each.sequence for each in run.overlapping(wanted)})
        for claim in self.claims:
            if claim.table_id == table_id and claim.window and claim.window.overlaps(wanted):
                holders[claim.window] = max(claim.sequence, holders.get(claim.window, 0))
        allowed = self.superseded.union(supersedes)
        for window, sequence in sorted(holders.items()):
            if window.key not in allowed:
                raise ClaimConflictError(
                    f"window {wanted}",
                    f"claim {sequence} holds {window}, which overlaps",
                    "plan again: the planner cuts windows around claims",
                )
