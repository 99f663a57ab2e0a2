"""What is known about a table's freshness, from its ledger as it is."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from ddb_export.domain.cost import Estimate, EstimateLine
from ddb_export.domain.evidence import Claim, VerifiedEntry
from ddb_export.domain.freshness import Trouble, find_troubles
from ddb_export.domain.plan import Action, PlannedExport, PointInTimeRecovery
from ddb_export.pipeline.estimate import note_estimate, noted_estimates
from ddb_export.pipeline.freshness import gather, last_verified
from tests.pipeline.tables import START, LakeTable, at


@pytest.fixture
def table(lab, account, aws) -> LakeTable:
    made = LakeTable(lab, account, aws)
    made.ledger.own(made.arn, made.now)
    return made


def troubles(table: LakeTable, now: datetime) -> list[Trouble]:
    return [each.trouble for each in find_troubles(gather(table.ledger, START, now), now, sla=None)]


def hours(table: LakeTable, *items: int) -> None:
    """Verify an hour's window for each, which holds an item or none."""
    head = table.ledger.read().head
    assert head
    first = int((head - START).total_seconds()) // 3600
    for hour, count in enumerate(items, first):
        if count:
            table.put(hour + 0.5, f"item {hour}")
        table.until(hour + 1.2)
        table.verified(hour, hour + 1)


def spoken(table: LakeTable) -> None:
    """A base and six windows with items, which were looked at."""
    table.put(0.5, "a")
    table.until(1.2)
    table.verified(1)
    hours(table, 1, 1, 1, 1, 1, 1)
    assert troubles(table, table.now) == []


def test_each_window_since_the_last_look_is_judged(table):
    spoken(table)
    hours(table, 0, 1)
    for _ in range(2):
        assert troubles(table, table.now) == [Trouble.NOTHING_CHANGED]
    hours(table, 1)
    assert troubles(table, table.now) == []


def test_silence_is_over_when_a_window_holds_items_however_long_it_lasts(table):
    spoken(table)
    for _ in range(5):
        hours(table, 0, 0, 0)
        assert troubles(table, table.now) == [Trouble.NOTHING_CHANGED]
    hours(table, 1)
    assert troubles(table, table.now) == []


def test_a_claim_of_which_nothing_exists_is_said_while_its_token_lives(table):
    table.put(0.5, "a")
    table.until(1)
    claim = table.claim(0.9)
    assert troubles(table, at(6.9)) == []
    assert troubles(table, at(7.1)) == [Trouble.CLAIM_WAITS]
    table.export(claim)
    assert troubles(table, at(7.1)) == []
    assert troubles(table, at(37.1)) == [Trouble.CLAIM_WAITS]


def billed(table: LakeTable, entry: VerifiedEntry, much: int, estimated: int) -> None:
    """Let an export have been billed and estimated otherwise than the lab does it."""
    table.ledger.write_note(f"verified/{entry.export}.json", replace(entry, billed_bytes=much).to_json())
    planned = PlannedExport(entry.kind, Action.EXPORT, "test", window=entry.window, export_time=entry.export_time)
    note_estimate(table.ledger, Estimate((EstimateLine(planned, estimated, 1, Decimal(0), ""),)))


def test_bills_far_above_their_estimate(table):
    table.put(0.5, "a")
    table.until(3)
    base = table.verified(1)
    billed(table, base, 400_000_000, 350_000_000)
    assert troubles(table, table.now) == []
    billed(table, base, 4_000_000_000, 350_000_000)
    assert troubles(table, table.now) == [Trouble.BILLED_MORE]
    billed(table, base, 4_000_000_000, 3_500_000_000)
    billed(table, table.verified(1, 2), 400_000_000, 10_000_000)
    assert troubles(table, table.now) == [Trouble.BILLED_MORE]
    assert noted_estimates(table.ledger) == {base.subject: 3_500_000_000, "20260301T0100Z-20260301T0200Z": 10_000_000}
    table.ledger.write_note("estimates.json", {"bytes": ["damaged"]})
    assert noted_estimates(table.ledger) == {}
    last = last_verified(table.ledger, table.ledger.read())
    assert last
    assert last.export == "20260301T0100Z-20260301T0200Z-a1"


def begin_again(table: LakeTable, hours: float) -> Claim:
    """Claim the base of a new chain."""
    wanted = replace(table.wanted(hours), closes_chain=table.ledger.read().number)
    return table.ledger.claim([wanted], table.table_id, table.now)[0]


def test_while_a_new_base_is_made_the_data_is_as_old_as_the_chain_before_it(table):
    spoken(table)
    table.until(9.2)
    begin_again(table, 9)
    now = table.now
    facts = gather(table.ledger, START - timedelta(days=60), now)
    assert (facts.head, facts.closed_head) == (None, at(7))
    assert find_troubles(facts, now, sla=timedelta(hours=3)) == ()
    (found,) = find_troubles(facts, now, sla=timedelta(hours=2))
    assert (found.trouble, found.last_good) == (Trouble.LATE, at(7))
    assert found.cause.startswith(
        "the data is complete to 2026-03-01T07:00:00Z, 2 h 12 min ago; the SLA is 2 h; a new chain was begun"
    )
    # A further one changes nothing of that; once it is verified, it counts.
    table.until(10.2)
    newest = begin_again(table, 10)
    assert gather(table.ledger, START, table.now).closed_head == at(7)
    table.work.verify(newest, table.export(newest), None, table.now)
    facts = gather(table.ledger, START, table.now)
    assert (facts.head, facts.closed_head) == (at(10), None)


def test_a_claim_that_a_later_chain_has_made_needless_waits_for_nobody(table):
    """A run with new_base dies before DynamoDB is asked, then another one succeeds; an old window and a snapshot were left too."""
    table.until(30)
    table.verified(1)
    table.claim(1, 3)
    later = [replace(table.wanted(hour), closes_chain=chain) for chain, hour in ((1, 20), (2, 21))]
    for wanted in later:
        table.ledger.claim([wanted], table.table_id, table.now)
    assert troubles(table, table.now + timedelta(hours=7)) == [Trouble.CLAIM_WAITS]
    table.verified(21)
    snapshot = replace(table.wanted(22), beside_chain=True)
    table.ledger.claim([snapshot], table.table_id, table.now)
    now = table.now + timedelta(hours=7)
    assert [each.export[:18] for each in gather(table.ledger, START, now).waiting] == ["full-20260301T2200"]
    recovery = PointInTimeRecovery(enabled=True, earliest=at(23), latest=now)
    assert gather(table.ledger, START, now, recovery).waiting == ()
    lost = table.claim(22, 24)
    assert gather(table.ledger, START, lost.claimed_at, recovery).waiting
    assert gather(table.ledger, START, now, recovery).waiting == ()
