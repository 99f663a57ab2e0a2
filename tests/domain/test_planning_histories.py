"""Histories of runs that fail, die and race, held against what must always be so."""

from __future__ import annotations

from datetime import timedelta
from itertools import combinations, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from ddb_export.domain.planning import Action, Plan, RunKind
from ddb_export.domain.window import LONGEST, SHORTEST, Stretch, Window
from tests.domain.histories import START, History, at, boundaries

DAY = timedelta(days=1)

runs = st.lists(
    st.tuples(
        st.sampled_from(["scheduled", "manual", "backfill"]),
        st.integers(0, 3 * 24 * 60),
        st.integers(0, 9),
        st.lists(st.sampled_from(["done", "verified", "claimed", "failed", "died"]), max_size=4),
    ),
    max_size=10,
)
crons = st.sampled_from(
    [("0 0 * * *", "UTC"), ("0 */6 * * *", "UTC"), ("30 2 * * *", "Europe/Berlin"), ("15 * * * *", "UTC")]
)


def _interval(history: History, back: int) -> Stretch | None:
    """The newest whole interval of the schedule, or one that is ``back`` older."""
    found = [START, *boundaries(history.cron, history.zone)(START, history.now)]
    found = found[: len(found) - back]
    return Stretch(found[-2], found[-1]) if len(found) > 1 else None


def _do(history: History, plan: Plan, fates: list[str]) -> None:
    """Do a plan, each export as fate has it; after ``died`` nothing more is done."""
    history.now = max(history.now, plan.wait_until or history.now)
    for planned, fate in zip(plan.exports, [*fates, *["done"] * len(plan.exports)], strict=False):
        if fate == "died":
            return
        claim = history.claim(planned)
        if fate == "failed" and planned.action in (Action.EXPORT, Action.CONTINUE):
            history.fail(claim)
        elif fate == "verified" and planned.action in (Action.EXPORT, Action.CONTINUE):
            history.verify(claim)
        elif fate == "done":
            history.do(planned)


@settings(max_examples=150, deadline=None)
@given(crons, runs)
def test_histories(cron, steps):
    history = History(cron=cron[0], zone=cron[1])
    for kind, minutes, back, fates in steps:
        history.now += timedelta(minutes=minutes)
        interval = _interval(history, 0 if kind == "scheduled" else back)
        if kind == "manual":
            plan = history.plan(RunKind.MANUAL)
        elif interval is None or (kind == "backfill" and history.chain.base_claim is None):
            continue
        else:
            plan = history.plan(RunKind(kind), interval)
        fresh = [each.window for each in plan.windows if each.action is Action.EXPORT]
        assert not any(new.overlaps(old) for new in fresh for old in history.claimed_windows)
        head = history.chain.head
        _do(history, plan, fates)
        assert head is None or (history.chain.head is not None and history.chain.head >= head)
        claimed = history.claimed_windows
        assert not any(one.overlaps(other) for one, other in combinations(claimed, 2))
        assert all(SHORTEST <= window.length <= LONGEST for window in claimed)
    _heals(history)


def _heals(history: History) -> None:
    """Whatever happened: one more scheduled run that nothing disturbs leaves no hole, and the next has nothing to do."""
    history.now += 3 * DAY
    interval = _interval(history, 0)
    plan = history.run(history.scheduled(interval.start, interval.end))
    again = history.scheduled(interval.start, interval.end)
    assert history.chain.head is not None
    assert history.chain.head >= interval.end
    assert (again.exports, again.wait_until) == ((), None)
    base_time = history.chain.base.export_time if history.chain.base else None
    assert base_time is not None
    covered = [each for each in history.claimed_windows if each.end > base_time]
    assert all(one.end == other.start for one, other in pairwise(covered))
    assert plan.until == interval.end


@settings(max_examples=60, deadline=None)
@given(st.permutations(range(6)))
def test_backfill_and_catch_up_end_in_the_same_coverage(order):
    by_backfill, by_schedule = History(now=at(days=1)), History(now=at(days=1))
    for history in (by_backfill, by_schedule):
        history.run(history.scheduled(at(), at(days=1)))
        history.now = at(days=7, hours=1)
    for day in order:
        by_backfill.run(by_backfill.plan(RunKind.BACKFILL, Stretch(at(days=1 + day), at(days=2 + day))))
    by_schedule.run(by_schedule.scheduled(at(days=6), at(days=7)))
    assert by_backfill.claimed_windows == by_schedule.claimed_windows
    assert by_backfill.chain.head == by_schedule.chain.head == at(days=7)
    assert by_schedule.claimed_windows[0] == Window(at(days=1), at(days=2))
