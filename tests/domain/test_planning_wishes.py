"""What a run by hand decides when it is told what to do: from and to, one more full export, exports made again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ddb_export.domain.ledger import ClaimKind
from ddb_export.domain.planning import Action, Plan, PointInTimeRecovery, RunKind
from ddb_export.domain.window import Stretch
from ddb_export.exceptions import PlanError, PointInTimeRecoveryError
from tests.domain.histories import SETTLE, START, History, at


def started(days: int = 3, **fields: object) -> History:
    """A chain whose base stands at the end of day 1, and which has a window a day up to the end of ``days``."""
    history = History(now=at(days=1), **fields)  # type: ignore[arg-type]
    history.run(history.scheduled(at(), at(days=1)))
    history.now = at(days=days, hours=1)
    history.run(history.scheduled(at(days=days - 1), at(days=days)))
    return history


def wanted(history: History, start: float, end: float, **fields: Any) -> Plan:
    """The plan of a run by hand that is given a stretch, in hours since START."""
    stretch = Stretch(at(hours=start), at(hours=end))
    return history.plan(RunKind.MANUAL, wanted=stretch, **fields)


def windows(plan: Plan) -> list[tuple[float, float, str]]:
    """The windows of a plan, in hours since START."""
    hour = timedelta(hours=1)
    return [((w.window.start - START) / hour, (w.window.end - START) / hour, str(w.action)) for w in plan.windows]


def test_a_stretch_before_the_base_is_history_and_leaves_the_head():
    history = started()
    head = history.chain.head
    plan = history.run(wanted(history, 3, 9))
    assert (plan.base, windows(plan)) == (None, [(3, 9, "export")])
    assert history.chain.head == head
    assert windows(wanted(history, 0, 9)) == [(0, 3, "export")]


def test_a_stretch_is_cut_at_the_schedule_and_around_what_is_covered():
    history = started()
    history.now = at(days=6)
    plan = wanted(history, 24, 100)
    assert windows(plan) == [(72, 96, "export"), (96, 100, "export")]
    (note,) = plan.notes
    assert note.startswith("2 windows of [2026-03-02T00:00:00Z, 2026-03-05T04:00:00Z) are covered by verified exports")


def test_a_stretch_leaves_no_hole_that_is_too_short():
    history = started()
    history.now = at(days=4)
    assert windows(wanted(history, 72.2, 80)) == [(72, 80, "export")]


@pytest.mark.parametrize(("start", "end", "edge"), [(30, 72, "from"), (24, 50, "to")])
def test_an_edge_inside_a_claim_is_refused_with_the_edges_that_are_allowed(start, end, edge):
    history = started()
    with pytest.raises(PlanError, match=rf"'{edge}' lies inside \[2026-03-0.*claim [23] holds.*or 2026-03-0"):
        wanted(history, start, end)


def test_a_stretch_of_the_future_is_refused():
    history = started()
    with pytest.raises(PlanError, match="ends after"):
        wanted(history, 72, 100)


def test_a_stretch_that_has_not_settled_is_waited_for():
    history = started()
    history.now = at(hours=80)
    assert wanted(history, 72, 80).wait_until == at(hours=80) + SETTLE


def test_a_stretch_without_a_base_is_refused():
    history = History(now=at(days=2))
    with pytest.raises(PlanError, match="no base yet"):
        wanted(history, 0, 24)


@pytest.mark.scenario("F34")
def test_a_stretch_out_of_reach_of_recovery_is_refused_and_the_reach_is_named():
    history = started()
    history.now = at(days=30)
    history.recovery = PointInTimeRecovery(enabled=True, earliest=at(days=10))
    with pytest.raises(PointInTimeRecoveryError, match="begins at 2026-03-11T00:00:00Z or later"):
        wanted(history, 72, 96)


@pytest.mark.scenario("F4")
def test_windows_are_exported_again_when_asked_for():
    history = started()
    plan = wanted(history, 24, 72, re_export=True)
    assert windows(plan) == [(24, 48, "export again"), (48, 72, "export again")]
    assert [each.attempt for each in plan.windows] == [2, 2]
    claims = [history.claim(each) for each in plan.windows]
    assert [claim.attempt for claim in claims] == [2, 2]
    assert [history.claim(each) for each in plan.windows] == claims
    assert history.chain.head == at(days=3)
    assert windows(wanted(history, 24, 72, re_export=True)) == [(24, 48, "continue"), (48, 72, "continue")]
    assert windows(history.scheduled(at(days=2), at(days=3))) == [(24, 48, "continue"), (48, 72, "continue")]
    entry = history.verify(claims[0])
    assert windows(history.scheduled(at(days=2), at(days=3))) == [(24, 48, "publish"), (48, 72, "continue")]
    history.publish(entry)
    assert windows(history.scheduled(at(days=2), at(days=3))) == [(48, 72, "continue")]


def test_nothing_to_export_again_is_said():
    history = started()
    with pytest.raises(PlanError, match="no claimed window lies in it"):
        wanted(history, 0, 24, re_export=True)
    with pytest.raises(PlanError, match="does not say which windows"):
        history.plan(RunKind.MANUAL, re_export=True)


def test_one_more_full_export_leaves_the_chain_as_it_is():
    history = started()
    history.now = at(days=3, hours=5) + timedelta(seconds=20)
    plan = history.plan(RunKind.MANUAL, full_export=True)
    assert (plan.base.kind, plan.base.action, plan.windows) == (ClaimKind.SNAPSHOT, Action.EXPORT, ())
    assert (plan.base.export_time, plan.wait_until) == (at(days=3, hours=5) - SETTLE, None)
    entry = history.verify(history.claim(plan.base))
    assert (history.chain.number, history.chain.head) == (1, at(days=3))
    healing = history.scheduled(at(days=2), at(days=3))
    assert (healing.base.action, healing.base.kind) == (Action.PUBLISH, ClaimKind.SNAPSHOT)
    history.publish(entry)
    assert history.scheduled(at(days=2), at(days=3)).exports == ()


def test_a_snapshot_that_is_not_verified_keeps_no_window_back():
    history = started()
    history.claim(history.plan(RunKind.MANUAL, full_export=True).base)
    history.now = at(days=4, hours=1)
    plan = history.scheduled(at(days=3), at(days=4))
    assert (plan.base, windows(plan)) == (None, [(72, 96, "export")])


def test_a_full_export_of_a_table_without_a_chain_is_its_base():
    history = History(now=at(days=1))
    assert history.plan(RunKind.MANUAL, full_export=True).base.kind is ClaimKind.BASE


@pytest.mark.parametrize(
    "fields", [{"new_base": True, "full_export": True}, {"full_export": True, "wanted": Stretch(at(), at(days=1))}]
)
def test_two_wishes_at_once_are_refused(fields):
    with pytest.raises(PlanError, match="give one of them only"):
        started().plan(RunKind.MANUAL, **fields)


@pytest.mark.scenario("F34")
@pytest.mark.parametrize("kind", [RunKind.BACKFILL, RunKind.SCHEDULED])
def test_wishes_of_runs_that_are_not_made_by_hand_are_refused_not_ignored(kind):
    with pytest.raises(PlanError, match="was given full_export, which only a run by hand can do"):
        started().plan(kind, Stretch(at(days=1), at(days=2)), full_export=True)


@pytest.mark.scenario("F16")
def test_a_window_whose_export_ended_and_does_not_verify_is_exported_again_when_asked_for():
    history = started()
    history.now = at(days=4, hours=1)
    claim = history.claim(history.scheduled(at(days=3), at(days=4)).windows[0])
    assert windows(wanted(history, 72, 96, re_export=True)) == [(72, 96, "continue")]
    plan = wanted(history, 72, 96, re_export=True, ended=frozenset({claim.subject}))
    assert windows(plan) == [(72, 96, "export again")]
    assert "COMPLETED, but not verified" in plan.windows[0].reason
    assert history.claim(plan.windows[0]).attempt == 2
