"""Reading a ledger: a summary changes no answer and no number of requests grows with the chain."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any, cast

import pytest

from benchmarks.planning import OUTPUTS, STEP, CountingStore, plan_next, published, verified, write_chain
from ddb_export.aws.object_store import LocalObjectStore, ObjectStore
from ddb_export.domain.evidence import ClaimKind
from ddb_export.domain.layout import Lake
from ddb_export.domain.window import Stretch, Window
from ddb_export.exceptions import LedgerError
from ddb_export.pipeline.ledger import Ledger, Wanted
from tests.domain.test_summary import answers

SUMMARY = "lake/orders/ledger/summary.json"


class Place(CountingStore):
    """A bucket in memory that can lose objects."""

    def lose(self, key: str) -> bytes:
        """Delete an object; return what it held."""
        self.keys.remove(key)
        return self.objects.pop(key)


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.fixture
def ledger(place: Place) -> Ledger:
    return Ledger(cast("ObjectStore", place), Lake("bench", "lake", "orders"))


def requests(place: Place, work: Any) -> Counter[str]:
    place.requests.clear()
    work()
    return Counter(place.requests)


def test_planning_reads_as_many_objects_whatever_lies_behind(ledger, place):
    found = []
    for windows in (10, 300):
        place.objects.clear()
        place.keys.clear()
        head = write_chain(ledger, windows)
        plan_next(ledger, head)
        found.append(requests(place, lambda head=head: plan_next(ledger, head)))
    assert found[0] == found[1] == {"GET": 3, "LIST": 1}


def test_what_came_after_the_summary_is_read_with_it(ledger, place):
    plan_next(ledger, write_chain(ledger, 20))
    head = write_chain(ledger, 24)
    counted = requests(place, lambda: plan_next(ledger, head))
    assert counted["GET"] == 3 + 4 + 4
    assert answers(ledger.read(OUTPUTS)) == answers(ledger.read_every_object())
    assert requests(place, lambda: plan_next(ledger, head)) == {"GET": 3, "LIST": 1}


def test_many_new_windows_are_found_by_a_listing_that_begins_with_them(ledger, place):
    plan_next(ledger, write_chain(ledger, 3000))
    head = write_chain(ledger, 3100)
    counted = requests(place, lambda: plan_next(ledger, head))
    assert counted == {"GET": 3 + 100 + 100, "LIST": 1 + 1 + 1, "PUT": 1}
    assert answers(ledger.read(OUTPUTS)) == answers(ledger.read_every_object())


def test_a_claim_is_found_without_asking_for_evidence(ledger, place):
    head = write_chain(ledger, 20)
    plan_next(ledger, head)
    request = replace(ledger.claim_of(f"{Window(head - STEP, head).key}-a1").request, s3_prefix=ledger.lake.key("raw"))
    window = Window(head, head + STEP)
    ledger.claim([Wanted(ClaimKind.WINDOW, replace(request, window=window), "new")], "id", head)
    assert requests(place, lambda: ledger.claim_of(f"{window.key}-a1")) == {"GET": 4, "LIST": 1}


def test_an_earlier_attempt_at_what_is_settled_is_found_too(ledger):
    head = write_chain(ledger, 20)
    plan_next(ledger, head)
    first = ledger.claim_of(f"{Window(head - STEP, head).key}-a1")
    (again,) = ledger.claim(
        [Wanted(first.kind, replace(first.request, s3_prefix=ledger.lake.key("raw")), "again", attempt=2)], "id", head
    )
    ledger.record_verified(verified(again, head))
    ledger.record_published(published(again, head))
    request = replace(first.request, s3_prefix=ledger.lake.key("raw"), window=Window(head, head + STEP))
    ledger.claim([Wanted(first.kind, request, "new")], "id", head)
    plan_next(ledger, head)
    assert [run.attempt for run in ledger.read(OUTPUTS).settled] == [1, 2]
    assert (ledger.claim_of(first.export), ledger.claim_of(again.export)) == (first, again)


def test_windows_of_a_deleted_table_are_folded_without_a_summary_too(ledger, place):
    head = write_chain(ledger, 20)
    base = ledger.read().base_claim
    request = replace(base.request, s3_prefix=ledger.lake.key("raw"), export_time=head)
    (new,) = ledger.claim([Wanted(ClaimKind.BASE, request, "new table", closes_chain=1)], "id-2", head)
    assert new.chain == 2
    ledger.summarise(ledger.read(OUTPUTS), OUTPUTS)
    chain = ledger.read(OUTPUTS)
    assert [(run.table_id, run.count) for run in chain.settled] == [("id", 20)]
    assert [claim.kind for claim in chain.claims] == [ClaimKind.BASE] * 2
    assert answers(chain) == answers(ledger.read_every_object())


def test_how_far_the_chain_of_a_deleted_table_came_is_known_although_a_summary_is_older(ledger, place):
    """The last window of the earlier table is in no summary: its successor, which would have folded it, never came."""
    plan_next(ledger, write_chain(ledger, 20))
    head = write_chain(ledger, 21)
    base = ledger.read().base_claim
    request = replace(base.request, s3_prefix=ledger.lake.key("raw"), export_time=head + STEP)
    ledger.claim([Wanted(ClaimKind.BASE, request, "new table", closes_chain=1)], "id-2", head)
    chain = ledger.read(OUTPUTS)
    assert chain.settled_sequence > 0
    assert (chain.head, chain.closed_head) == (None, head)
    assert ledger.read_every_object().closed_head == head


def test_deleting_the_summary_changes_no_answer(ledger, place):
    head = write_chain(ledger, 20)
    plan_next(ledger, head)
    with_it = answers(ledger.read(OUTPUTS))
    place.lose(SUMMARY)
    assert answers(ledger.read(OUTPUTS)) == with_it
    assert answers(ledger.read_every_object()) == with_it


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 2}', b'{"format": 1}'])
def test_a_summary_that_cannot_be_used_is_passed_over_and_written_anew(ledger, place, content, caplog):
    head = write_chain(ledger, 20)
    plan_next(ledger, head)
    good = place.objects[SUMMARY]
    place.objects[SUMMARY] = content
    assert plan_next(ledger, head).chain.head == head
    assert "the whole ledger is read" in caplog.text
    assert json.loads(place.objects[SUMMARY]) == json.loads(good)


def test_a_summary_that_speaks_of_claims_which_are_gone_is_not_used(ledger, place, caplog):
    plan_next(ledger, write_chain(ledger, 20))
    summary = place.objects[SUMMARY]
    place.objects.clear()
    place.keys.clear()
    head = write_chain(ledger, 5)
    place.put(SUMMARY, summary)
    assert ledger.read(OUTPUTS).head == head
    assert "speaks of another claim 21" in caplog.text


def test_a_summary_of_a_ledger_that_was_rebuilt_since_is_not_used(ledger, place, caplog):
    plan_next(ledger, write_chain(ledger, 20))
    key = "lake/orders/ledger/claims/000000000021.json"
    place.objects[key] = place.objects[key].replace(b"no export covers it yet", b"rebuilt")
    whole = ledger.read_every_object()
    assert answers(ledger.read(OUTPUTS)) == answers(whole)
    assert "speaks of another claim 21" in caplog.text


def test_a_missing_claim_is_named(ledger, place):
    write_chain(ledger, 20)
    place.lose("lake/orders/ledger/claims/000000000007.json")
    with pytest.raises(LedgerError, match="claim 7 is missing"):
        ledger.read()


def test_a_summary_for_fewer_outputs_is_not_used(ledger, place):
    head = write_chain(ledger, 20)
    ledger.summarise(ledger.read(["snapshots"]), ["snapshots"])
    for key in [key for key in place.keys if "/published/changes/" in key]:
        place.lose(key)
    assert ledger.read(["snapshots"]).settled
    assert [str(each.action) for each in plan_next(ledger, head).plan.windows] == ["publish"] * 20 + ["export"]


def test_many_new_claims_are_worth_a_summary_before_anything_is_settled(ledger, place):
    write_chain(ledger, 40)
    for key in [key for key in place.keys if "/published/" in key or "/verified/" in key]:
        place.lose(key)
    ledger.summarise(ledger.read(OUTPUTS), OUTPUTS)
    counted = requests(place, ledger.read)
    assert counted["GET"] == 3 + 41  # owner, summary and its newest claim; then each claim's evidence
    assert not ledger.read(OUTPUTS).settled


def test_settled_windows_are_read_back_when_someone_asks_for_them(ledger):
    head = write_chain(ledger, 20)
    plan_next(ledger, head)
    chain = ledger.read(OUTPUTS)
    window = Window(head - 3 * STEP, head - 2 * STEP)
    (known,) = chain.windows_starting_in(Stretch(window.start, window.end))
    assert (known.window, known.claim, known.verified) == (window, None, True)
    claim = ledger.claim_of(f"{window.key}-a1")
    assert (claim.window, claim.sequence) == (window, known.sequence)
    (entry,) = ledger.verified_of(chain, [claim.export])
    assert entry == ledger.verified_entry(claim.export)
    published = ledger.published_entry("changes", claim.export)
    assert published is not None
    assert published.export == claim.export
    with pytest.raises(LedgerError, match="no claim of this name"):
        ledger.claim_of(f"{window.key}-a7")


def test_a_settled_window_is_claimed_no_second_time(ledger, place):
    head = write_chain(ledger, 20)
    plan_next(ledger, head)
    claim = ledger.claim_of(f"{Window(head - STEP, head).key}-a1")
    wanted = Wanted(ClaimKind.WINDOW, replace(claim.request, s3_prefix=ledger.lake.key("raw")), "again")
    assert ledger.claim([wanted], "id", head) == [claim]
    (again,) = ledger.claim([replace(wanted, attempt=2)], "id", head)
    assert (again.attempt, again.sequence) == (2, 22)
    assert ledger.claim([wanted, replace(wanted, attempt=2)], "id", head) == [again, again]
    assert place.objects["lake/orders/ledger/claims/000000000022.json"]


def test_a_local_folder_is_read_with_its_summary_too(tmp_path):
    ledger = Ledger(LocalObjectStore(tmp_path), Lake("bench", "lake", "orders"))
    head = write_chain(ledger, 12)
    plan_next(ledger, head)
    assert (tmp_path / SUMMARY).exists()
    assert answers(plan_next(ledger, head).chain) == answers(ledger.read_every_object())
