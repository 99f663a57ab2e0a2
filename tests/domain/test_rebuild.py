"""A ledger thought out again from raw exports: as far as these go, it says what the lost one said."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddb_export.domain.evidence import Claim, ClaimKind
from ddb_export.domain.export import ExportType
from ddb_export.domain.ledger import Chain
from ddb_export.domain.manifest import ManifestSummary
from ddb_export.domain.planning import RunKind
from ddb_export.domain.rebuild import REASON, RawExport, is_attempt, rebuild
from ddb_export.domain.window import Stretch
from ddb_export.exceptions import LedgerError
from tests.domain.histories import ARN, History, at

ALL = Stretch(at(days=-50), at(days=500))


def raw_of(claim: Claim, *, is_whole: bool = True) -> RawExport:
    """What an attempt left in raw/."""
    began = claim.claimed_at + timedelta(seconds=claim.sequence)
    export_id = f"{int(began.timestamp()) * 1000:014d}-{claim.sequence:08x}"
    if not is_whole:
        return RawExport(claim.export, export_id)
    window = claim.window
    summary = ManifestSummary(
        export_type=ExportType.INCREMENTAL_EXPORT if window else ExportType.FULL_EXPORT,
        table_arn=claim.request.table_arn,
        table_id=claim.table_id,
        export_time=claim.request.export_time,
        from_time=window.start if window else None,
        to_time=window.end if window else None,
        start_time=began,
        output_view=claim.request.view,
    )
    return RawExport(claim.export, export_id, summary)


def chain_of(raw: list[RawExport], history: History) -> Chain:
    """The chain that a rebuilt ledger gives, all that has a manifest being verified."""
    rebuilt = rebuild(raw, "bucket", "raw")
    verified = {}
    for claim in rebuilt.claims:
        found = rebuilt.found[claim.export]
        if found.summary:
            verified[claim.export] = replace(
                history.chain.verified[claim.export], table_id=claim.table_id, kind=claim.kind
            )
    return Chain(claims=rebuilt.claims, verified=verified)


steps = st.lists(
    st.tuples(
        st.sampled_from(["scheduled", "scheduled", "manual", "backfill", "snapshot"]),
        st.integers(30, 3 * 24 * 60),
        st.lists(st.sampled_from(["done", "done", "failed"]), max_size=4),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=100, deadline=None)
@given(steps, st.randoms())
def test_the_chain_is_the_one_that_was_lost(history_steps, order):
    history = History(now=at(days=1))
    failed: set[str] = set()
    for kind, minutes, fates in history_steps:
        history.now += timedelta(minutes=minutes)
        days = (history.now - at()) // timedelta(days=1)
        stretch = Stretch(at(days=days - 1), at(days=days))
        if history.chain.base is None:
            plan = history.plan(RunKind.MANUAL)
        elif kind == "snapshot":
            plan = history.plan(RunKind.MANUAL, full_export=True)
        elif kind == "manual":
            plan = history.plan(RunKind.MANUAL)
        else:
            plan = history.plan(RunKind(kind), stretch)
        for planned, fate in zip(plan.exports, [*fates, *["done"] * 9], strict=False):
            history.now += timedelta(seconds=1)
            if fate == "failed" and planned.action.asks_dynamodb:
                claim = history.claim(planned)
                failed.add(claim.export)
                history.verify(history.fail(claim))
            else:
                history.do(planned)
    raw = [raw_of(claim, is_whole=claim.export not in failed) for claim in history.chain.claims]
    order.shuffle(raw)
    chain = chain_of(raw, history)
    lost = history.chain
    assert (chain.base_claim.export, chain.head) == (lost.base_claim.export, lost.head)
    assert chain.verified_stretches == lost.verified_stretches
    found, were = ([(each.window, each.attempt) for each in one.windows_starting_in(ALL)] for one in (chain, lost))
    assert found == were
    assert {claim.export: claim.kind for claim in chain.claims} == {claim.export: claim.kind for claim in lost.claims}


def started() -> History:
    history = History(now=at(days=1))
    history.run(history.scheduled(at(), at(days=1)))
    history.now = at(days=3, hours=1)
    history.run(history.scheduled(at(days=2), at(days=3)))
    return history


def test_claims_say_where_they_come_from_and_keep_private_prefixes():
    history = started()
    rebuilt = rebuild([raw_of(claim) for claim in history.chain.claims], "bucket", "lake/orders/raw")
    assert rebuilt.table_arn == ARN
    assert [claim.sequence for claim in rebuilt.claims] == [1, 2, 3]
    assert {claim.reason for claim in rebuilt.claims} == {REASON}
    assert rebuilt.claims[1].request.s3_prefix == "lake/orders/raw/20260302T0000Z-20260303T0000Z-a1"
    assert rebuilt.notes == ()


@pytest.mark.scenario("F13")
def test_a_table_that_was_made_again_gives_a_chain_of_its_own():
    history = started()
    history.table_id = "id-2"
    history.now = at(days=4)
    history.run(history.plan(RunKind.MANUAL, new_base=True))
    history.now = at(days=5, hours=1)
    history.run(history.scheduled(at(days=4), at(days=5)))
    chain = chain_of([raw_of(claim) for claim in history.chain.claims], history)
    assert (chain.number, chain.table_id, chain.head) == (2, "id-2", history.chain.head)


def test_a_new_base_behind_a_hole_is_the_base():
    history = started()
    history.now = at(days=10)
    history.run(history.plan(RunKind.MANUAL, new_base=True))
    history.now = at(days=12, hours=1)
    history.run(history.scheduled(at(days=11), at(days=12)))
    chain = chain_of([raw_of(claim) for claim in history.chain.claims], history)
    assert chain.base.export_time == history.chain.base.export_time
    assert [claim.kind for claim in chain.claims if not claim.window] == [ClaimKind.SNAPSHOT, ClaimKind.BASE]
    assert chain.head == history.chain.head


def test_exports_of_two_tables_and_no_exports_are_refused():
    history = started()
    raw = [raw_of(claim) for claim in history.chain.claims]
    assert raw[1].summary is not None
    other = replace(raw[1], summary=replace(raw[1].summary, table_arn=f"{ARN}2"))
    with pytest.raises(LedgerError, match="of 2 tables"):
        rebuild([*raw, other], "bucket", "raw")
    with pytest.raises(LedgerError, match="new_base"):
        rebuild([], "bucket", "raw")


def test_without_a_full_export_the_missing_base_is_noted():
    history = started()
    rebuilt = rebuild([raw_of(claim) for claim in history.chain.claims if claim.window], "bucket", "raw")
    assert rebuilt.notes == ("no full export of TableId id-1: no base",)


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("full-20260301T0000Z-a1", True),
        ("full-20260301T000007Z-a12", True),
        ("20260301T0000Z-20260302T0000Z-a1", True),
        ("20260301T0000Z-20260309T0000Z-a1", False),
        ("full-20261301T0000Z-a1", False),
        ("full-20260301T0000Z-a0", False),
        ("full-20260301T0000Z", False),
        ("backup", False),
    ],
)
def test_names_of_attempts(name, ours):
    assert is_attempt(name) is ours


def test_what_a_manifest_does_not_say_is_taken_from_the_others():
    history = started()
    raw = [raw_of(claim) for claim in history.chain.claims]
    encrypted = [replace(each, summary=replace(each.summary, kms_key="key")) for each in raw[:2] if each.summary]
    rebuilt = rebuild([RawExport(raw[2].name, raw[2].export_id), *encrypted], "bucket", "raw", "444455556666")
    assert {claim.request.kms_key for claim in rebuilt.claims} == {"key"}
    assert {claim.request.bucket_owner for claim in rebuilt.claims} == {"444455556666"}


def test_the_order_of_a_listing_decides_nothing_where_an_earlier_table_left_no_manifest():
    history = started()
    first, *rest = [raw_of(claim) for claim in history.chain.claims]
    others = [replace(each, summary=replace(each.summary, table_id="id-2")) for each in rest if each.summary]
    failed = RawExport("full-20260227T0000Z-a1", "01772150400000-00000001")
    made = [rebuild(order, "bucket", "raw").claims for order in ([*others, failed, first], [failed, first, *others])]
    assert made[0] == made[1]
    assert [claim.table_id for claim in made[0]] == ["id-1", "id-1", "id-2", "id-2"]


def test_a_later_attempt_takes_nobody_elses_place():
    history = started()
    window = history.chain.claims[1]
    history.now += timedelta(days=1)
    later = history.fail(window)
    rebuilt = rebuild([raw_of(claim) for claim in history.chain.claims], "bucket", "raw")
    assert [claim.supersedes for claim in rebuilt.claims if claim.export == later.export] == [()]
