"""What follows from a ledger's facts, held against a model that counts minutes."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddb_export.domain.ledger import (
    Chain,
    Claim,
    ClaimKind,
    FailedEntry,
    Owner,
    PublishedEntry,
    VerifiedEntry,
)
from ddb_export.domain.planning import Action, PlannedExport
from ddb_export.domain.window import Stretch, Window
from ddb_export.exceptions import ClaimConflictError, OwnershipError, TableIdentityError
from tests.domain.histories import ARN, START, History, at

MINUTE = timedelta(minutes=1)


def window(start: float, end: float) -> PlannedExport:
    """The window between two hours."""
    return PlannedExport(ClaimKind.WINDOW, Action.EXPORT, "test", window=Window(at(hours=start), at(hours=end)))


def base(hour: float) -> PlannedExport:
    """The base at an hour."""
    return PlannedExport(ClaimKind.BASE, Action.EXPORT, "test", at(hours=hour))


def head_by_minutes(chain: Chain) -> datetime | None:
    """The head, found by walking from the base minute by minute through what is verified."""
    bases = [claim for claim in chain.claims if claim.kind is ClaimKind.BASE]
    if not bases:
        return None
    newest = max(bases, key=lambda claim: claim.chain)
    if not any(chain.verified.get(claim.export) for claim in bases if claim.chain == newest.chain):
        return None
    covered = set()
    for entry in chain.verified.values():
        if entry.window and entry.table_id == newest.table_id:
            minutes = int(entry.window.length / MINUTE)
            covered |= {entry.window.start + minute * MINUTE for minute in range(minutes)}
    moment = newest.request.export_time
    while moment in covered:
        moment += MINUTE
    return moment


hours = st.integers(0, 12).map(lambda quarters: quarters / 2)
verdicts = st.lists(st.tuples(hours, st.integers(1, 6), st.booleans(), st.integers(1, 3)), max_size=12)


@given(hours, st.booleans(), verdicts)
def test_head_is_what_a_walk_by_minutes_finds(base_hour, base_verified, claims):
    history = History()
    claimed = history.claim(base(base_hour))
    if base_verified:
        history.verify(claimed)
    for start, length, verified, attempts in claims:
        try:
            claim = history.claim(window(start, start + length / 2))
        except ClaimConflictError:
            continue
        for _ in range(attempts - 1):
            claim = history.fail(claim)
        if verified:
            history.verify(claim)
    assert history.chain.head == head_by_minutes(history.chain)
    windows = history.claimed_windows
    assert not any(one.overlaps(other) for one, other in combinations(windows, 2))


@given(verdicts, st.randoms())
def test_head_does_not_depend_on_the_order_of_anything(claims, random):
    history = History()
    history.verify(history.claim(base(0)))
    for start, length, verified, _ in claims:
        try:
            claim = history.claim(window(start, start + length / 2))
        except ClaimConflictError:
            continue
        if verified:
            history.verify(claim)
    entries = list(history.chain.verified.items())
    random.shuffle(entries)
    assert replace(history.chain, verified=dict(entries)).head == history.chain.head


def test_head_needs_a_verified_base():
    history = History()
    history.verify(history.claim(window(1, 2)))
    assert (history.chain.head, history.chain.number) == (None, 0)
    claimed = history.claim(base(1))
    assert history.chain.head is None
    history.verify(claimed)
    assert history.chain.head == at(hours=2)


def test_island_does_not_move_the_head():
    history = History()
    history.verify(history.claim(base(0)))
    history.verify(history.claim(window(2, 3)))
    assert history.chain.head == at(hours=0)
    history.verify(history.claim(window(0, 2)))
    assert history.chain.head == at(hours=3)


def test_windows_that_overlap_by_superseding_count_once():
    history = History()
    history.verify(history.claim(base(0)))
    for start, end in ((0, 2), (2.5, 4), (2, 4)):
        entry = history.verify(replace(history.claim(window(0, 2)), request=history.claim(window(0, 2)).request))
        span = Window(at(hours=start), at(hours=end))
        name = f"{span.key}-a1"
        replaced = replace(entry, export=name, start=span.start, end=span.end)
        history.chain = replace(history.chain, verified={**history.chain.verified, name: replaced})
    assert history.chain.head == at(hours=4)


def test_window_across_the_base_carries_it_on():
    history = History()
    history.verify(history.claim(window(0, 4)))
    history.verify(history.claim(base(1)))
    assert history.chain.head == at(hours=4)


def test_new_base_keeps_later_windows_of_the_same_table():
    history = History()
    history.verify(history.claim(base(0)))
    history.verify(history.claim(window(3, 4)))
    history.verify(history.claim(base(3)))
    assert (history.chain.number, history.chain.head) == (2, at(hours=4))


@pytest.mark.scenario("F13")
def test_nothing_of_a_dropped_table_counts_for_the_new_one():
    history = History()
    history.verify(history.claim(base(0)))
    history.verify(history.claim(window(1, 2)))
    history.claim(window(2, 3))
    history.table_id = "id-2"
    with pytest.raises(TableIdentityError, match="new_base: true"):
        history.claim(window(3, 4))
    history.verify(history.claim(base(1)))
    chain = history.chain
    assert (chain.number, chain.table_id, chain.head) == (2, "id-2", at(hours=1))
    assert chain.unclaimed(Stretch(at(hours=1), at(hours=4))) == (Stretch(at(hours=1), at(hours=4)),)
    again = history.claim(window(2, 3))
    assert (again.export, again.chain) == ("20260301T0200Z-20260301T0300Z-a2", 2)


@pytest.mark.scenario("F2")
def test_late_attempt_at_an_earlier_base_does_not_bring_it_back():
    history = History()
    first = history.claim(base(0))
    second = history.claim(base(3))
    history.fail(first)
    assert history.chain.base_claim == second
    assert history.chain.number == 2


def test_attempts_have_names_tokens_and_prefixes_of_their_own():
    history = History()
    first = history.claim(window(0, 1))
    second = history.fail(first)
    assert (first.attempt, second.attempt, second.sequence) == (1, 2, 2)
    assert first.subject == second.subject
    assert first.client_token != second.client_token
    assert first.request.s3_prefix == "raw/20260301T0000Z-20260301T0100Z-a1"
    assert second.request.s3_prefix == "raw/20260301T0000Z-20260301T0100Z-a2"


def test_highest_verified_attempt_counts():
    history = History()
    first = history.claim(window(0, 1))
    history.verify(history.fail(first))
    history.verify(first)
    assert history.chain.verified_subjects[first.subject].attempt == 2


def test_overlapping_claims_are_refused():
    history = History()
    history.claim(window(1, 2))
    for start, end in ((0, 1.5), (1.5, 3), (0, 3), (1.25, 1.75)):
        with pytest.raises(ClaimConflictError, match=r"claim 1 holds \[2026-03-01T01:00:00Z"):
            history.claim(window(start, end))
    assert history.claim(window(0, 1)).sequence == 2
    assert history.claim(window(2, 3)).sequence == 3


def test_owner_refuses_others_and_newer_formats():
    owner = Owner(ARN, "orders", START)
    owner.require(ARN)
    with pytest.raises(OwnershipError, match=r"it belongs to .*orders, not to other"):
        owner.require("other")
    with pytest.raises(OwnershipError, match="upgrade ddb_export"):
        replace(owner, ledger_format=2).require(ARN)


def entries() -> list[Owner | Claim | VerifiedEntry | FailedEntry | PublishedEntry]:
    history = History()
    base_claim, claim = history.claim(base(0)), history.claim(window(0, 1))
    history.publish(history.verify(claim))
    return [
        Owner(ARN, "orders", START),
        base_claim,
        claim,
        history.verify(base_claim),
        *history.chain.verified.values(),
        FailedEntry(claim.export, "arn", "S3AccessDenied", "no", START),
        FailedEntry(claim.export, "arn", None, None, None),
        PublishedEntry("changes", claim.export, "g", "s3://", "p", "d.t", 1, 1, 0, 1, 1, "f", START),
    ]


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: type(entry).__name__)
def test_entries_survive_json_and_refuse_less(entry):
    document = entry.to_json()
    assert type(entry).from_json(document) == entry
    assert type(entry).from_json({**document, "of_a_newer_version": 1}) == entry
    with pytest.raises((KeyError, ValueError)):
        type(entry).from_json({})
