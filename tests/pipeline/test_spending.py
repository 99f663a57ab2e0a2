"""What a month's exports cost so far: by the ledger's evidence, in few requests, with what is pending."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from ddb_export.aws.object_store import LocalObjectStore
from ddb_export.aws.stored import StoredContent
from ddb_export.domain.cost import (
    Budget,
    Estimate,
    EstimateLine,
    Prices,
    require_within_month,
)
from ddb_export.domain.evidence import Claim, ClaimKind, FailedEntry
from ddb_export.domain.layout import Lake
from ddb_export.domain.plan import Action, PlannedExport
from ddb_export.domain.spending import MonthSpent, billed_exports, months
from ddb_export.exceptions import BudgetError
from ddb_export.pipeline.ledger import Ledger, Wanted
from ddb_export.pipeline.spending import month_so_far
from tests.domain.test_gaps import ARN, BASE, HOUR, claim, entry

PRICES = Prices(Decimal("0.1"), Decimal("0.1"), Decimal(0), Decimal(0))
WINDOW = 50_000_000


@pytest.fixture
def reads(monkeypatch) -> Counter[str]:
    """Count the reads of each kind of object."""
    counted: Counter[str] = Counter()
    read = LocalObjectStore.read

    def counting(self: LocalObjectStore, key: str) -> StoredContent:
        counted[key.split("/")[-2]] += 1
        return read(self, key)

    monkeypatch.setattr(LocalObjectStore, "read", counting)
    return counted


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    """A ledger whose base was claimed on 2026-03-01, and a window every hour from then on until April came."""
    made = Ledger(LocalObjectStore(tmp_path), Lake("", "lake", "orders"))
    made.own(ARN, BASE)
    add(made, None, BASE, 2 * 10**9)
    return made


def add(ledger: Ledger, hour: int | None, claimed_at, billed: int | None = WINDOW):
    """Claim an export, and verify it if it was billed."""
    draft = claim(1, hour)
    (made,) = ledger.claim([Wanted(draft.kind, draft.request, "test")], "id", claimed_at)
    if billed is not None:
        ledger.record_verified(replace(entry(made), billed_bytes=billed, files=4))
    return made


def test_a_month_is_what_was_claimed_in_it(ledger):
    add(ledger, 0, BASE + HOUR)
    april = BASE + timedelta(days=31)
    add(ledger, 1, april)
    march = month_so_far(ledger, ledger.read(), BASE + 2 * HOUR, note_it=False)
    assert march.spent.month == "2026-03"
    now = month_so_far(ledger, ledger.read(), april + HOUR, note_it=False)
    assert now.spent == MonthSpent("2026-04", exports=1, windows=1, files=4, full_bytes=0, window_bytes=WINDOW)
    assert now.usd(PRICES, 0) == Decimal("0.005")


def test_pending_exports_count_as_the_others_did_unless_they_failed(ledger):
    add(ledger, 0, BASE + HOUR)
    waiting = add(ledger, 1, BASE + 2 * HOUR, None)
    found = month_so_far(ledger, ledger.read(), BASE + 3 * HOUR, note_it=True)
    assert [each.export for each in found.pending] == [waiting.export]
    assert found.usd(PRICES, 0) == Decimal("0.2") + 2 * Decimal("0.005")
    assert found.usd(PRICES, 0, {waiting.subject}) == Decimal("0.2") + Decimal("0.005")
    ledger.record_failed(FailedEntry(waiting.export, f"{ARN}/export/1", "S3AccessDenied", "no", BASE))
    assert month_so_far(ledger, ledger.read(), BASE + 3 * HOUR, note_it=True).pending == ()


def test_a_note_keeps_it_short_and_may_be_lost(ledger, reads, tmp_path):
    now = BASE + 3 * HOUR
    for hour in range(20):
        add(ledger, hour, now)
    late = add(ledger, 20, now, None)
    first = month_so_far(ledger, ledger.read(), now, note_it=True)
    ledger.record_verified(replace(entry(late), billed_bytes=WINDOW, files=4))
    add(ledger, 21, now)
    chain = ledger.read()
    reads.clear()
    second = month_so_far(ledger, chain, now, note_it=True)
    assert (first.spent.exports, second.spent.exports) == (21, 23)
    assert reads["claims"] == reads["verified"] == 2
    (note,) = (tmp_path / "lake" / "orders" / "ledger" / "spent").iterdir()
    note.unlink()
    assert month_so_far(ledger, ledger.read(), now, note_it=False) == second
    assert not note.exists()


def snapshot_and_base(ledger: Ledger, snapshot_at: datetime, base_at: datetime) -> Callable[[], Claim]:
    """Claim a snapshot, and return what makes it the base of the next chain."""
    request = replace(claim(1, None).request, export_time=BASE + 5 * HOUR)
    wanted = Wanted(ClaimKind.BASE, request, "test", beside_chain=True)
    ledger.claim([wanted], "id", snapshot_at)
    return lambda: ledger.claim([replace(wanted, beside_chain=False, closes_chain=1)], "id", base_at)[0]


@pytest.mark.parametrize("is_noted", [True, False])
def test_a_snapshot_that_became_the_base_is_billed_once(ledger, is_noted):
    now = BASE + 6 * HOUR
    adopt = snapshot_and_base(ledger, now, now)
    waiting = month_so_far(ledger, ledger.read(), now, note_it=is_noted)
    base = adopt()
    assert base.took_over == 2
    assert Claim.from_json(base.to_json()) == base
    assert month_so_far(ledger, ledger.read(), now, note_it=is_noted).pending == waiting.pending
    assert len(waiting.pending) == 1
    ledger.record_verified(replace(entry(base), billed_bytes=400 * 10**9))
    chain = ledger.read_every_object()
    spent = month_so_far(ledger, chain, now, note_it=is_noted).spent
    assert (spent.exports, spent.full_bytes) == (2, 402 * 10**9)
    assert months(chain.claims, chain.verified) == [spent]
    assert [each.kind for each in billed_exports(chain.claims, chain.verified, PRICES)] == ["base", "snapshot"]


def test_a_snapshot_of_the_last_month_that_became_the_base_hides_nothing_of_this_one(ledger, monkeypatch):
    monkeypatch.setattr("ddb_export.pipeline.spending._BATCH", 1)
    april = BASE + timedelta(days=31)
    adopt = snapshot_and_base(ledger, BASE + 6 * HOUR, april + 2 * HOUR)
    add(ledger, 0, april)
    adopt()
    assert month_so_far(ledger, ledger.read(), april + 3 * HOUR, note_it=False).spent.exports == 1


def planned(usd: str) -> Estimate:
    """An estimate of one export."""
    export = PlannedExport(claim(1, 0).kind, Action.EXPORT, "test", window=claim(1, 0).window)
    return Estimate((EstimateLine(export, 1, 1 if Decimal(usd) else 0, Decimal(usd), "test"),))


def test_the_months_budget_stops_what_would_exceed_it():
    budget = Budget(month=Decimal(10))
    require_within_month(planned("4"), budget, Decimal(6))
    require_within_month(planned("0"), budget, Decimal(60))
    require_within_month(planned("4"), Budget(run=Decimal(5)), Decimal(600))
    with pytest.raises(BudgetError) as refused:
        require_within_month(planned("4.01"), budget, Decimal(6), "run x")
    assert str(refused.value) == (
        "run x: 1 export would cost about 4.01 USD beside the 6.00 USD that this month's exports cost, more than the budget of "
        "10.00 USD a month. Remedy: set budget.month of the table to 10.01 USD or more if that is worth it, or wait for the next month"
    )
