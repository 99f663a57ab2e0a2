"""Gathers what is known about a table's chain, for the rules of :mod:`ddb_export.domain.freshness`.

The ledger is read as a run's plan reads it: years of a chain cost no more requests than days. What the newest windows held is noted in
``ledger/volumes.json`` and read again only when the data has grown.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from ddb_export.domain.freshness import COMPARED_WINDOWS, TableFacts, WaitingClaim, WindowVolume
from ddb_export.domain.gaps import find_gaps
from ddb_export.domain.utc import iso, parse_utc

if TYPE_CHECKING:
    from ddb_export.domain.evidence import Claim
    from ddb_export.domain.ledger import Chain
    from ddb_export.domain.plan import PointInTimeRecovery
    from ddb_export.pipeline.ledger import Ledger

_NOTE = "volumes.json"
_LOOKED_AT = 2 * COMPARED_WINDOWS + 2


def gather(
    ledger: Ledger, expected_since: datetime, now: datetime, recovery: PointInTimeRecovery | None = None
) -> TableFacts:
    """Return what is known about a table.

    :param expected_since: the configuration's ``start_date``, UTC. :param now: the present, UTC.
    :param recovery: the table's point-in-time recovery, if DynamoDB was asked.
    :raises LedgerError: the ledger cannot be read. :raises OwnershipError: a newer version of this package wrote it.
    """
    return facts_of(ledger, ledger.read(), expected_since, now, recovery, note_it=True)


def facts_of(
    ledger: Ledger,
    chain: Chain,
    expected_since: datetime,
    now: datetime,
    recovery: PointInTimeRecovery | None = None,
    *,
    note_it: bool,
) -> TableFacts:
    """Return what is known about a table of which the ledger is read already.

    :param chain: what was read. :param note_it: leave the note, so that the next look reads less.
    """
    report = find_gaps(chain, now)
    return TableFacts(
        head=chain.head,
        expected_since=expected_since,
        holes=tuple(hole.stretch for hole in report.holes),
        waiting=tuple(_waiting(ledger, chain)),
        volumes=_volumes(ledger, chain, note_it=note_it),
        recovery=recovery,
    )


def _waiting(ledger: Ledger, chain: Chain) -> list[WaitingClaim]:
    unverified = [claim for claim in chain.pending_claims if claim.subject not in chain.verified_subjects]
    failed = {claim.export for claim in unverified if ledger.read_note(f"failed/{claim.export}.json")}
    return [WaitingClaim(claim.export, claim.claimed_at) for claim in unverified if claim.export not in failed]


def _volumes(ledger: Ledger, chain: Chain, *, note_it: bool) -> tuple[WindowVolume, ...]:
    if chain.head is None:
        return ()
    note = ledger.read_note(_NOTE)
    if note and note["head"] == iso(chain.head):
        return tuple(_volume(each) for each in note["volumes"])
    claims = ledger.claims_between(max(1, chain.last_sequence - _LOOKED_AT + 1), chain.last_sequence)
    volumes = _volumes_of(ledger, claims, chain)
    if note_it:
        ledger.write_note(_NOTE, {"head": iso(chain.head), "volumes": [_document(each) for each in volumes]})
    return volumes


def _volumes_of(ledger: Ledger, claims: list[Claim], chain: Chain) -> tuple[WindowVolume, ...]:
    """Return what the verified windows of these claims up to the head held, an attempt that another followed left out."""
    wanted = [claim for claim in claims if claim.window and chain.head and claim.window.end <= chain.head]
    newest = {claim.subject: claim.export for claim in wanted if claim.table_id == chain.table_id}
    entries = ledger.verified_entries(list(newest.values())).values()
    volumes = [
        WindowVolume(entry.window.start, entry.window.end, entry.item_count, entry.billed_bytes)
        for entry in entries
        if entry.window
    ]
    return tuple(sorted(volumes, key=lambda each: each.start))


def _document(volume: WindowVolume) -> dict[str, Any]:
    return {
        "start": iso(volume.start),
        "end": iso(volume.end),
        "items": volume.items,
        "billed_bytes": volume.billed_bytes,
    }


def _volume(document: dict[str, Any]) -> WindowVolume:
    start, end = parse_utc(document["start"]), parse_utc(document["end"])
    return WindowVolume(start, end, int(document["items"]), int(document["billed_bytes"]))
