"""What follows from a ledger's facts: the chain, its base and head, what is claimed, and what may be claimed next.

Everything is derived here, how far the lake is complete above all, so that no order of runs, retries, backfills or races can
set it wrongly. Only facts about one and the same table count: a table that was deleted and created again keeps its ARN, but
nothing that was claimed or verified for the old one says anything about the new one.
"""

from __future__ import annotations

from collections.abc import Mapping
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
from ddb_export.domain.window import Stretch, Window, joined, subtract, window_of
from ddb_export.exceptions import ClaimConflictError, TableIdentityError

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
    """Everything that a table's ledger holds, and what follows from it.

    :param claims: in order of their sequence.
    :param verified: by name of the attempt.
    :param published: all published entries.
    """

    owner: Owner | None = None
    claims: tuple[Claim, ...] = ()
    verified: Mapping[str, VerifiedEntry] = field(default_factory=dict)
    published: tuple[PublishedEntry, ...] = ()

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
        for window in sorted(entry.window for entry in self.verified_subjects.values() if entry.window):
            if window.start <= head < window.end:
                head = window.end
        return head

    @cached_property
    def claimed_windows(self) -> tuple[Window, ...]:
        """Every window of the current table that was ever claimed, in order of time."""
        return tuple(sorted(claim.window for claim in self.newest_attempts.values() if claim.window))

    @cached_property
    def covered(self) -> tuple[Stretch, ...]:
        """What claimed windows of the current table cover, joined, in order of time."""
        return joined(self.claimed_windows)

    @cached_property
    def verified_stretches(self) -> tuple[Stretch, ...]:
        """What verified windows of the current table cover, joined, in order of time."""
        return joined(sorted(entry.window for entry in self.verified_subjects.values() if entry.window))

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
        found = [
            KnownWindow(claim.window, claim.attempt, claim.sequence, claim, claim.subject in self.verified_subjects)
            for claim in self.pending_claims
            if claim.window and span.start <= claim.window.start < span.end
        ]
        return tuple(sorted(found, key=lambda each: each.window))

    def unclaimed(self, stretch: Stretch) -> tuple[Stretch, ...]:
        """Return what of ``stretch`` no claim covers."""
        return subtract(stretch, self.claimed_windows)

    def is_published(self, entry: VerifiedEntry, output: str) -> bool:
        """Tell whether an output of exactly this verified attempt was published."""
        return (output, entry.export) in self._published_outputs

    @cached_property
    def _published_outputs(self) -> frozenset[tuple[str, str]]:
        return frozenset((each.output, each.export) for each in self.published)

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

    def newest_attempt(self, subject: str, table_id: str) -> Claim | None:
        """Return the newest claim of a subject for this very table; None if there is none."""
        attempts = self._attempts.get(subject, ())
        return next((claim for claim in reversed(attempts) if claim.table_id == table_id), None)

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
        self._refuse_other_table(kind, request, table_id)
        subject = subject_of(export_name(request, 1))
        previous = self._attempts.get(subject, ())
        attempt = previous[-1].attempt + 1 if previous else 1
        same = [claim for claim in previous if claim.table_id == table_id]
        if not same and request.window:
            self._refuse_overlap(request.window, table_id, supersedes)
        chain = same[-1].chain if same else self.number + 1 if kind is ClaimKind.BASE else max(self.number, 1)
        folder = f"{request.s3_prefix}/{export_name(request, attempt)}"
        return Claim(
            sequence=self.claims[-1].sequence + 1 if self.claims else 1,
            chain=chain,
            kind=kind,
            attempt=attempt,
            request=replace(request, s3_prefix=folder),
            table_id=table_id,
            claimed_at=claimed_at,
            reason=reason,
            supersedes=same[-1].supersedes if same else supersedes,
        )

    def _refuse_other_table(self, kind: ClaimKind, request: ExportRequest, table_id: str) -> None:
        if kind is ClaimKind.WINDOW and self.base_claim and self.base_claim.table_id != table_id:
            raise TableIdentityError(
                f"window {request.window} of {request.table_arn}",
                f"its TableId is {table_id}, the chain began with {self.base_claim.table_id}: the table was deleted and"
                " created again",
                "trigger the DAG by hand with new_base: true to begin a new chain with a full export",
            )

    def _refuse_overlap(self, wanted: Window, table_id: str, supersedes: tuple[str, ...]) -> None:
        for claim in self.claims:
            allowed = claim.subject in supersedes or claim.subject in self.superseded
            if claim.window and claim.table_id == table_id and claim.window.overlaps(wanted) and not allowed:
                raise ClaimConflictError(
                    f"window {wanted}",
                    f"claim {claim.sequence} holds {claim.window}, which overlaps",
                    "plan again: the planner cuts windows around claims",
                )
