"""Gathers what is known about a table's chain, for the rules of :mod:`ddb_export.domain.freshness`.

The ledger is read as a run's plan reads it: years of a chain cost no more requests than days. What the newest windows held is noted in
``ledger/volumes.json`` and read again only when the data has grown; the note also says how far the data was complete before, so that each
window is judged once. It is disposable: without it the newest window alone is judged, against those right before it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ddb_export.domain.freshness import (
    BILL_SAID,
    COMPARED_WINDOWS,
    NOT_STARTED,
    FullBill,
    TableFacts,
    WaitingClaim,
    WindowVolume,
    remembered,
)
from ddb_export.domain.gaps import find_gaps
from ddb_export.domain.standing import awaited, is_out_of_reach
from ddb_export.domain.utc import iso, parse_utc
from ddb_export.exceptions import LedgerError
from ddb_export.pipeline.estimate import is_started, noted_estimates
from ddb_export.pipeline.quarantine import newest_quarantined

if TYPE_CHECKING:
    from ddb_export.domain.evidence import Claim, VerifiedEntry
    from ddb_export.domain.ledger import Chain
    from ddb_export.domain.plan import PointInTimeRecovery
    from ddb_export.pipeline.ledger import Ledger

_log = logging.getLogger(__name__)

_NOTE = "volumes.json"
_LOOKED_AT = 2 * COMPARED_WINDOWS + 2
_LOOKED_FOR = 16
_NEWEST_CLAIMS = 8


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
    volumes, judged_from = _volumes(ledger, chain, note_it=note_it)
    return TableFacts(
        head=chain.head,
        expected_since=expected_since,
        holes=tuple(hole.stretch for hole in report.holes),
        waiting=tuple(_waiting(ledger, chain, now, recovery)),
        volumes=volumes,
        judged_from=judged_from,
        full_bills=tuple(_full_bills(ledger, chain, now)),
        recovery=recovery,
        quarantined=newest_quarantined(ledger, chain),
        closed_head=None if chain.head else chain.closed_head,
    )


def last_verified(ledger: Ledger, chain: Chain) -> VerifiedEntry | None:
    """Return the evidence that was written last, whatever it is of: among the newest claims, and those that are not settled."""
    claims = ledger.claims_between(max(1, chain.last_sequence - _NEWEST_CLAIMS + 1), chain.last_sequence)
    newest = ledger.verified_entries([claim.export for claim in claims]).values()
    return max((*newest, *chain.verified.values()), key=lambda entry: entry.verified_at, default=None)


def _waiting(
    ledger: Ledger, chain: Chain, now: datetime, recovery: PointInTimeRecovery | None
) -> Iterator[WaitingClaim]:
    earliest = recovery.earliest if recovery else None
    unverified = awaited(chain, earliest)
    failed = {claim.export for claim in unverified if ledger.read_note(f"failed/{claim.export}.json")}
    waiting = [claim for claim in unverified if claim.export not in failed]
    old = [claim.export for claim in waiting if now - claim.claimed_at > NOT_STARTED][:_LOOKED_FOR]
    for claim in waiting:
        started = claim.export not in old or is_started(ledger.store, claim)
        # What can never be exported is no claim that waits: it is said as a hole, with what helps against that.
        if started or not is_out_of_reach(claim, earliest):
            yield WaitingClaim(claim.export, claim.claimed_at, started)


def _full_bills(ledger: Ledger, chain: Chain, now: datetime) -> list[FullBill]:
    full = [entry for entry in chain.verified.values() if entry.window is None and now - entry.verified_at <= BILL_SAID]
    noted = noted_estimates(ledger) if full else {}
    return [
        FullBill(entry.export, entry.verified_at, entry.billed_bytes, noted[entry.subject])
        for entry in sorted(full, key=lambda each: each.verified_at)
        if entry.subject in noted
    ]


def _volumes(ledger: Ledger, chain: Chain, *, note_it: bool) -> tuple[tuple[WindowVolume, ...], datetime | None]:
    """Return the windows to compare, and how far the data was complete when another head was last looked at."""
    if chain.head is None:
        return (), None
    note, before = _noted(ledger)
    if note and note["head"] == iso(chain.head):
        return before, parse_utc(note["since"]) if note.get("since") else None
    claims = ledger.claims_between(max(1, chain.last_sequence - _LOOKED_AT + 1), chain.last_sequence)
    known = {each.start: each for each in (*before, *_volumes_of(ledger, claims, chain))}
    volumes = remembered([known[start] for start in sorted(known)], _LOOKED_AT)
    since = note["head"] if note else None
    if note_it:
        document = {"head": iso(chain.head), "since": since, "volumes": [_document(each) for each in volumes]}
        ledger.write_note(_NOTE, document)
    return volumes, parse_utc(since) if since else None


def _noted(ledger: Ledger) -> tuple[Any, tuple[WindowVolume, ...]]:
    """Return the note and the volumes in it; one that cannot be read counts as none, because it is made again from the evidence."""
    try:
        note = ledger.read_note(_NOTE)
        if note is None:
            return None, ()
        for moment in (note["head"], note.get("since")):
            _ = moment and parse_utc(moment)
        return note, tuple(_volume(each) for each in note["volumes"])
    except (LedgerError, AttributeError, KeyError, TypeError, ValueError) as error:
        _log.warning("%s is not what ddb_export writes (%s: %s); it is made again", _NOTE, type(error).__name__, error)
        return None, ()


def _volumes_of(ledger: Ledger, claims: list[Claim], chain: Chain) -> tuple[WindowVolume, ...]:
    """Return what the verified windows of these claims up to the head held, an attempt that another followed left out."""
    wanted = [claim for claim in claims if claim.window and chain.head and claim.window.end <= chain.head]
    newest = {claim.subject: claim.export for claim in wanted if claim.table_id == chain.table_id}
    entries = ledger.verified_entries(list(newest.values())).values()
    noted = noted_estimates(ledger) if entries else {}
    volumes = [
        WindowVolume(
            entry.window.start, entry.window.end, entry.item_count, entry.billed_bytes, noted.get(entry.subject)
        )
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
        "estimated_bytes": volume.estimated_bytes,
    }


def _volume(document: dict[str, Any]) -> WindowVolume:
    start, end = parse_utc(document["start"]), parse_utc(document["end"])
    return WindowVolume(
        start, end, int(document["items"]), int(document["billed_bytes"]), document.get("estimated_bytes")
    )
