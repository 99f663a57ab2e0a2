"""Summaries: whatever was folded, whenever, the chain gives the same answers."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddb_export.domain.evidence import ClaimKind
from ddb_export.domain.export import ExportRequest
from ddb_export.domain.ledger import Chain
from ddb_export.domain.planning import Action, Plan, PlannedExport, RunKind
from ddb_export.domain.settled import SettledRun, SettledWindow, settle
from ddb_export.domain.summary import Summary, summarise
from ddb_export.domain.window import Stretch, Window
from ddb_export.exceptions import ClaimConflictError
from tests.domain.histories import ARN, OUTPUTS, START, History, at

ALL = Stretch(at(days=-50), at(days=500))


def answers(chain: Chain) -> tuple[object, ...]:
    """Everything that planning asks a chain."""
    known = [(each.window, each.attempt, each.sequence, each.verified) for each in chain.windows_starting_in(ALL)]
    open_claims = [
        claim.sequence
        for claim in chain.pending_claims
        if (entry := chain.verified_subjects.get(claim.subject)) is None
        or entry.attempt < claim.attempt
        or not chain.is_published(entry, "changes" if claim.window else "snapshots")
    ]
    return (
        chain.head, chain.base_claim, chain.base, chain.number, chain.table_id, chain.last_sequence, chain.covered,
        chain.verified_stretches, chain.superseded, known, sorted(open_claims),
    )  # fmt: skip


def folded(chain: Chain) -> Chain:
    """The chain as a reader finds it in a summary that went through JSON."""
    return Summary.from_json(json.loads(json.dumps(summarise(chain, OUTPUTS).to_json()))).of(chain.owner)


steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["scheduled", "scheduled", "backfill", "again", "again", "replace", "snapshot", "table", "fold", "fold"]
        ),
        st.integers(1, 3 * 24 * 60),
        st.integers(0, 5),
        st.lists(st.sampled_from(["done", "done", "verified", "claimed", "failed"]), max_size=5),
    ),
    max_size=20,
)


def plan_of(history: History, kind: str, back: int):
    """A plan of this kind, None if none can be made now."""
    if kind == "table" or history.chain.base_claim is None:
        history.table_id = f"id-{back}" if kind == "table" and history.chain.base else history.table_id
        new_base = history.chain.base_claim is not None
        return history.plan(RunKind.MANUAL, new_base=new_base)
    days = max(0, (history.now - START) // timedelta(days=1) - back)
    stretch = Stretch(at(days=days - 1), at(days=days)) if days else None
    if history.table_id != history.chain.table_id or stretch is None:
        return None
    if kind == "again":
        inside = any(history.chain.windows_starting_in(stretch))
        aligned = not any(
            each.window.start < edge < each.window.end
            for each in history.chain.windows_starting_in(ALL)
            for edge in (stretch.start, stretch.end)
        )
        return history.plan(RunKind.MANUAL, wanted=stretch, re_export=True) if inside and aligned else None
    if kind == "snapshot":
        return history.plan(RunKind.MANUAL, full_export=True)
    if kind == "replace":
        return replacing(history, stretch)
    return history.plan(RunKind(kind), stretch)


def replacing(history: History, stretch: Stretch) -> Plan | None:
    """Halves that take the place of a verified window, as where a short hole is exported with its neighbour."""
    verified = [each.window for each in history.chain.windows_starting_in(stretch) if each.verified]
    halves = [(each, each.start + timedelta(minutes=each.length // timedelta(minutes=2))) for each in verified]
    if not halves or halves[0][0].length < timedelta(minutes=30):
        return None
    window, middle = halves[0]
    pieces = (Window(window.start, middle), Window(middle, window.end))
    exports = (
        PlannedExport(ClaimKind.WINDOW, Action.EXPORT, "why", window=piece, supersedes=(window.key,))
        for piece in pieces
    )
    return Plan(None, tuple(exports), window.end)


def unfinished(planned: PlannedExport) -> bool:
    return planned.action.asks_dynamodb or planned.action is Action.CONTINUE


@settings(max_examples=200, deadline=None)
@given(steps)
def test_a_chain_that_was_folded_at_any_time_gives_the_same_answers(history_steps):
    """Two readers see one ledger: one folds now and then, the other reads every object."""
    whole = History(now=at(days=1))
    seen = Chain()
    for kind, minutes, back, fates in history_steps:
        whole.now += timedelta(minutes=minutes)
        if kind == "fold":
            seen = folded(seen)
            assert answers(seen) == answers(whole.chain)
            continue
        made = plan_of(whole, kind, back)
        for planned, fate in zip(made.exports if made else (), [*fates, *["done"] * 9], strict=False):
            before = whole.chain
            if fate == "done":
                whole.do(planned)
            elif unfinished(planned):
                claim = whole.claim(planned)
                if fate == "failed":
                    whole.fail(claim)
                elif fate == "verified":
                    whole.verify(claim)
            new = [claim for claim in whole.chain.claims if claim.sequence > before.last_sequence]
            evidence = {name: entry for name, entry in whole.chain.verified.items() if name not in before.verified}
            seen = replace(
                seen,
                claims=(*seen.claims, *new),
                verified={**seen.verified, **evidence},
                published=seen.published | (whole.chain.published - before.published),
            )
        assert answers(seen) == answers(whole.chain)
        ever = [claim.window for claim in whole.chain.claims if claim.window]
        # What is settled of this very table is read back before anything is claimed.
        ever = [each for each in ever if seen.settled_window(each.key, str(seen.table_id)) is None][:4]
        for wanted in (Window(at(days=2, hours=1), at(days=2, hours=5)), Window(at(days=-2), at(days=-1)), *ever):
            assert refusal(seen, wanted) == refusal(whole.chain, wanted)


def refusal(chain: Chain, wanted: Window) -> str | int:
    """The attempt that a new claim would be, or why there can be none."""
    request = ExportRequest(ARN, "bucket", "raw", window=wanted)
    try:
        return chain.next_claim(ClaimKind.WINDOW, request, chain.table_id or "id-1", START, "why").attempt
    except ClaimConflictError as error:
        return str(error).split(", which")[0]


def settled_at(sequence: int, hour: int, attempt: int = 1, table_id: str = "id") -> SettledWindow:
    return SettledWindow(table_id, 1, attempt, sequence, Window(at(hours=hour), at(hours=hour + 1)))


@settings(max_examples=100, deadline=None)
@given(st.permutations(range(12)), st.lists(st.integers(1, 11), max_size=3))
def test_runs_are_the_same_in_whatever_order_windows_settle(order, cuts):
    windows = [settled_at(hour + 1, hour) for hour in range(12)]
    runs: tuple[SettledRun, ...] = ()
    marks = sorted({0, *cuts, 12})
    for start, end in pairwise(marks):
        runs = settle(runs, [windows[index] for index in order[start:end]])
    assert runs == (SettledRun("id", 1, 1, 1, START, timedelta(hours=1), 12),)
    assert list(runs[0].starting_in(Stretch(at(hours=3), at(hours=5)))) == windows[3:5]
    assert list(runs[0].overlapping(Stretch(at(hours=3, minutes=30), at(hours=5)))) == windows[3:5]
    assert runs[0].find(windows[7].window) == windows[7]


def test_a_later_attempt_takes_the_place_of_the_earlier_one():
    runs = settle((), [settled_at(hour + 1, hour) for hour in range(5)])
    again = settled_at(9, 2, attempt=2)
    split = settle(runs, [again])
    assert [(run.attempt, run.count) for run in split] == [(1, 2), (1, 2), (2, 1)]
    assert [run.find(again.window) for run in split] == [None, None, again]
    assert settle(split, [settled_at(3, 2)]) == runs


def test_runs_of_another_length_number_or_table_stay_apart():
    day = SettledWindow("id", 1, 1, 2, Window(at(hours=1), at(hours=4)))
    assert len(settle((), [settled_at(1, 0), day])) == 2
    assert len(settle((), [settled_at(1, 0), settled_at(3, 1)])) == 2
    assert len(settle((), [settled_at(1, 0), settled_at(2, 1, table_id="other")])) == 2


def test_a_long_chain_is_folded_to_a_few_lines():
    history = History(now=at(days=1))
    history.run(history.scheduled(at(), at(days=1)))
    history.now = at(days=60, hours=1)
    history.run(history.scheduled(at(days=59), at(days=60)))
    summary = summarise(history.chain, OUTPUTS)
    assert len(summary.chain.settled) == 1
    assert [claim.kind for claim in summary.chain.claims] == [ClaimKind.BASE, ClaimKind.WINDOW]
    assert len(json.dumps(summary.to_json())) < 3000


@pytest.mark.parametrize("outputs", [("snapshots",), OUTPUTS])
def test_a_window_is_settled_when_what_is_asked_for_is_published(outputs):
    history = History(now=at(days=1))
    history.run(history.scheduled(at(), at(days=1)))
    history.now = at(days=3, hours=1)
    first, second = history.scheduled(at(days=2), at(days=3)).windows
    history.verify(history.claim(first))
    history.claim(second)
    summary = summarise(history.chain, outputs)
    assert len(summary.chain.settled) == (outputs == ("snapshots",))
    assert summary.serves(outputs)
    assert summary.serves(())
    assert not summary.serves((*outputs, "current"))


def test_a_summary_of_another_form_is_refused():
    document = {**summarise(Chain(), OUTPUTS).to_json(), "format": 2}
    with pytest.raises(ValueError, match="format 2"):
        Summary.from_json(document)


def test_a_window_that_is_exported_again_is_settled_only_when_that_is_done():
    history = History(now=at(days=1))
    history.run(history.scheduled(at(), at(days=1)))
    history.now = at(days=3, hours=1)
    history.run(history.scheduled(at(days=2), at(days=3)))
    settled = folded(history.chain)
    assert [run.stretch for run in settled.settled] == [Stretch(at(days=1), at(days=2))]
    again = history.plan(RunKind.MANUAL, wanted=Stretch(at(days=1), at(days=2)), re_export=True)
    claim = history.claim(again.windows[0])
    seen = replace(settled, claims=(*settled.claims, claim))
    for chain in (folded(history.chain), folded(seen)):
        assert answers(chain) == answers(history.chain)
        assert [each.attempt for each in chain.pending_claims] == [1, 2]
    history.publish(history.verify(claim))
    history.now = at(days=4, hours=1)
    history.run(history.scheduled(at(days=3), at(days=4)))
    assert [run.attempt for run in folded(history.chain).settled] == [1, 2]
