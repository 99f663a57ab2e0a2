"""What claiming an export means: which claim answers a wish, one that is there or the next one of the ledger.

The ledger writes what is decided here by compare-and-swap; whoever was not the first decides again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from ddb_export.domain.evidence import Claim, ClaimKind, subject_of
from ddb_export.domain.export import ExportRequest, export_name
from ddb_export.domain.export_filter import words_of
from ddb_export.domain.ledger import Chain
from ddb_export.domain.utc import iso
from ddb_export.exceptions import ClaimConflictError


@dataclass(frozen=True, slots=True)
class Wanted:
    """An export that someone wants to claim.

    :param request: what to ask for, with the folder of all raw exports as its prefix.
    :param reason: why, in words.
    :param closes_chain: for a base: number of the chain that it closes; None if it opens the first one.
    :param beside_chain: for a base at another moment than the chain's: make it a snapshot that leaves the chain as it is.
    :param attempt: the attempt that is wanted at least; None for whichever is the newest.
    :param supersedes: subjects of the windows whose place it takes.
    :param stands: the attempt that is wanted is the one that stands: later ones came to nothing.
    """

    kind: ClaimKind
    request: ExportRequest
    reason: str
    closes_chain: int | None = None
    beside_chain: bool = False
    attempt: int | None = None
    supersedes: tuple[str, ...] = ()
    stands: bool = False

    @property
    def is_base(self) -> bool:
        """Whether nothing but the base of a chain will do."""
        return self.kind is ClaimKind.BASE and not self.beside_chain

    def opens_on(self, chain: Chain) -> bool:
        """Tell whether it is a base that is to begin a new chain now: no other one was begun since it was planned."""
        return self.is_base and self.closes_chain == (chain.number or None)


def decide(wanted: Wanted, table_id: str, now: datetime, chain: Chain) -> Claim:
    """Return the claim that answers a wish: one of the chain's, or one with the next number.

    :param table_id: TableId of the table now. :param now: by AWS's clock. :param chain: the ledger as it was read.
    :raises ClaimConflictError: boundaries overlap with those of another claim.
    :raises TableIdentityError: a window is wanted of another table than the one that the chain began with.
    """
    at_most = wanted.attempt if wanted.stands else None
    existing = chain.newest_attempt(subject_of(export_name(wanted.request, 1)), table_id, at_most)
    if existing and existing.kind is ClaimKind.SNAPSHOT and wanted.is_base:
        # Where another chain was begun meanwhile, its base is the answer, and who planned windows behind this one plans again.
        return _adopted(existing, wanted, chain) if wanted.opens_on(chain) else chain.base_claim or existing
    if existing and existing.attempt >= (wanted.attempt or 0):
        return existing
    if wanted.beside_chain:
        chain.refuse_other_table(wanted.kind, wanted.request, table_id)
    kind = wanted.kind
    # A chain that is not the one to be closed was opened by someone who was faster; theirs is taken.
    if kind is ClaimKind.BASE and chain.base_claim and wanted.closes_chain != chain.number:
        if not wanted.beside_chain:
            return chain.base_claim
        kind = ClaimKind.SNAPSHOT
    return chain.next_claim(kind, wanted.request, table_id, now, wanted.reason, supersedes=wanted.supersedes)


def _adopted(snapshot: Claim, wanted: Wanted, chain: Chain) -> Claim:
    """Return the claim that makes a snapshot of the very moment the base: the same attempt, so that nothing is exported or billed twice.

    It keeps the time of the snapshot's claim: from there on DynamoDB may have been asked under its token.
    """
    if snapshot.request.export_filter != wanted.request.export_filter:
        raise ClaimConflictError(
            f"base {iso(wanted.request.export_time or snapshot.claimed_at)} of {wanted.request.table_arn}",
            f"claim {snapshot.sequence} holds it as a snapshot with {words_of(snapshot.request.export_filter)}",
            "plan again: the base comes behind it",
        )
    reason = f"{wanted.reason}; claim {snapshot.sequence} made a snapshot of that moment, which becomes the base"
    number = chain.number + 1
    return replace(
        snapshot,
        sequence=chain.last_sequence + 1,
        chain=number,
        kind=ClaimKind.BASE,
        reason=reason,
        took_over=snapshot.sequence,
    )
