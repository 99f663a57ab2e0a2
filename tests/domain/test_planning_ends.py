"""What a run decides where the chain cannot go on, and where a hole is too short to export alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ddb_export.domain.export_filter import ExportFilter
from ddb_export.domain.ledger import ClaimKind
from ddb_export.domain.planning import Action, ChainEnd, PlannedExport, PointInTimeRecovery, RunKind
from ddb_export.domain.window import Stretch, Window
from ddb_export.exceptions import PlanError, PointInTimeRecoveryError, TableIdentityError
from tests.domain.histories import History, at
from tests.domain.test_planning_wishes import started, wanted, windows

NEW_BASE: dict[str, Any] = {"on_chain_end": ChainEnd.NEW_BASE}


@pytest.mark.scenario("F13")
def test_another_table_of_the_same_name_begins_a_new_chain_by_policy():
    history = started()
    history.table_id = "id-2"
    history.now = at(days=4, hours=1)
    plan = history.run(history.scheduled(at(days=3), at(days=4), base_time=at(), **NEW_BASE))
    assert (plan.base.export_time, plan.windows, plan.closes_chain) == (at(days=4), (), 1)
    assert "deleted and created again" in plan.base.reason
    assert (history.chain.number, history.chain.head) == (2, at(days=4))
    history.now = at(days=5, hours=1)
    history.run(history.scheduled(at(days=4), at(days=5), **NEW_BASE))
    assert history.chain.head == at(days=5)


@pytest.mark.parametrize("kind", [RunKind.BACKFILL, RunKind.MANUAL])
def test_a_run_that_asks_for_a_part_begins_no_chain(kind):
    history = started()
    history.table_id = "id-2"
    stretch = Stretch(at(days=3), at(days=4))
    fields: dict[str, Any] = {"wanted": stretch} if kind is RunKind.MANUAL else {}
    with pytest.raises(TableIdentityError):
        history.plan(kind, stretch if kind is RunKind.BACKFILL else None, **NEW_BASE, **fields)


@pytest.mark.scenario("F10")
def test_a_hole_out_of_reach_begins_a_new_chain_at_the_end_of_the_run():
    history = started()
    history.now = at(days=9, hours=1)
    history.recovery = PointInTimeRecovery(enabled=True, earliest=at(days=5))
    with pytest.raises(PointInTimeRecoveryError):
        history.scheduled(at(days=8), at(days=9))
    plan = history.run(history.scheduled(at(days=8), at(days=9), **NEW_BASE))
    assert (plan.base.export_time, plan.windows, plan.closes_chain) == (at(days=9), (), 1)
    assert history.chain.head == at(days=9)


@pytest.mark.scenario("F10")
def test_a_new_base_stands_where_the_lost_hole_ends_so_that_later_windows_are_kept():
    history = started()
    history.now = at(days=6, hours=1)
    history.run(wanted(history, 96, 144))
    history.now = at(days=8, hours=1)
    history.recovery = PointInTimeRecovery(enabled=True, earliest=at(days=3, hours=12))
    plan = history.run(history.scheduled(at(days=7), at(days=8), **NEW_BASE))
    assert plan.base.export_time == at(days=4)
    assert windows(plan) == [(144, 168, "export"), (168, 192, "export")]
    assert (history.chain.number, history.chain.head) == (2, at(days=8))


def test_a_new_base_stands_inside_the_first_window_that_recovery_reaches_where_the_hole_ends_before():
    history = started()
    history.now = at(days=6, hours=1)
    history.run(wanted(history, 96, 144))
    history.now = at(days=8, hours=1)
    history.recovery = PointInTimeRecovery(enabled=True, earliest=at(days=4, hours=12))
    plan = history.run(history.scheduled(at(days=7), at(days=8), **NEW_BASE))
    assert plan.base.export_time == at(days=4, hours=12)
    assert history.chain.head == at(days=8)


@pytest.mark.scenario("F10")
def test_a_claim_that_was_never_exported_and_never_can_be_ends_the_chain():
    history = started()
    history.now = at(days=4, hours=1)
    claim = history.claim(history.scheduled(at(days=3), at(days=4)).windows[0])
    history.now = at(days=40)
    history.recovery = PointInTimeRecovery(enabled=True, earliest=at(days=5))
    with pytest.raises(PointInTimeRecoveryError, match="2026-03-04T00:00:00Z, 2026-03-06T00:00:00Z"):
        history.scheduled(at(days=39), at(days=40), lost=frozenset({claim.subject}))
    plan = history.run(history.scheduled(at(days=39), at(days=40), lost=frozenset({claim.subject}), **NEW_BASE))
    assert (plan.base.export_time, plan.windows) == (at(days=40), ())
    assert history.chain.head == at(days=40)


def test_a_base_that_was_never_exported_and_never_can_be_ends_the_chain():
    history = History(now=at(days=1, hours=1))
    claim = history.claim(history.scheduled(at(), at(days=1)).base)
    history.now = at(days=40)
    history.recovery = PointInTimeRecovery(enabled=True, earliest=at(days=5))
    lost = frozenset({claim.subject})
    with pytest.raises(PointInTimeRecoveryError, match=r"it was never exported.*new_base"):
        history.scheduled(at(days=39), at(days=40), lost=lost)
    history.run(history.scheduled(at(days=39), at(days=40), lost=lost, **NEW_BASE))
    assert (history.chain.number, history.chain.head) == (2, at(days=40))


@pytest.mark.parametrize("end", ["another table", "lost base", "another filter"])
def test_what_is_verified_is_rebuilt_by_a_backfill_wherever_the_chain_ended(end):
    history = started()
    fields: dict[str, Any] = {}
    if end == "another table":
        history.table_id = "id-2"
    elif end == "lost base":
        base = history.claim(history.plan(RunKind.MANUAL, None, new_base=True).base)
        fields["lost"] = frozenset({base.subject})
    else:
        fields["export_filter"] = ExportFilter.of("n > :n", values={":n": {"N": "1"}})
    day = Stretch(at(days=1), at(days=2))
    plan = history.plan(RunKind.BACKFILL, day, **fields)
    assert (plan.base, windows(plan)) == (None, [(24, 48, "rebuild")])
    for refused in (Stretch(at(days=1), at(days=4)), Stretch(at(days=-1), at())):
        with pytest.raises((PointInTimeRecoveryError, TableIdentityError, PlanError)):
            history.plan(RunKind.BACKFILL, refused, **fields)


def with_short_hole(length: int = 10) -> History:
    """A chain with a true hole of some minutes between two windows: two runs raced."""
    history = started()
    history.now = at(days=3, hours=6)
    history.do(wanted(history, 72, 74).windows[0])
    later = wanted(history, 74.5, 76).windows[0]
    history.do(replace(later, window=Window(at(hours=74, minutes=length), at(hours=76))))
    return history


def test_a_short_hole_is_exported_with_its_neighbour_which_it_replaces():
    history = with_short_hole()
    assert history.chain.head == at(hours=74)
    plan = history.scheduled(at(days=3), at(hours=76))
    (planned,) = plan.windows
    assert windows(plan) == [(74, 76, "export")]
    assert planned.supersedes == ("20260304T0210Z-20260304T0400Z",)
    assert "shorter than 0:15:00" in planned.reason
    history.run(plan)
    assert history.chain.head == at(hours=76)
    assert history.chain.superseded == {"20260304T0210Z-20260304T0400Z"}
    assert history.scheduled(at(days=3), at(hours=76)).exports == ()


def test_a_neighbour_counts_until_what_replaces_it_is_verified():
    history = with_short_hole()
    (planned,) = history.scheduled(at(days=3), at(hours=76)).windows
    history.claim(planned)
    assert (history.chain.head, history.chain.superseded) == (at(hours=74), frozenset())
    assert windows(history.scheduled(at(days=3), at(hours=76))) == [(74, 76, "continue")]


def test_a_short_hole_beside_a_whole_day_is_exported_in_two_windows():
    history = History(now=at(days=1), recovery=PointInTimeRecovery(enabled=True, earliest=at(days=-5)))
    history.run(history.scheduled(at(days=0), at(days=1)))
    history.now = at(days=3, hours=1)
    for start in (timedelta(days=1, minutes=5), timedelta(days=2, minutes=5)):
        window = Window(at() + start, at() + start + timedelta(hours=24))
        history.do(PlannedExport(ClaimKind.WINDOW, Action.EXPORT, "a race", window=window))
    plan = history.scheduled(at(days=2), at(days=3))
    assert [each.supersedes for each in plan.windows] == [("20260302T0005Z-20260303T0005Z",)] * 2
    assert (plan.windows[0].window.start, plan.windows[1].window.end) == (at(days=1), at(days=2, minutes=5))
    history.do(plan.windows[0])
    assert history.chain.superseded == frozenset()
    history.do(plan.windows[1])
    assert history.chain.superseded == {"20260302T0005Z-20260303T0005Z"}
    assert history.chain.head == at(days=3, minutes=5)


def test_a_short_hole_waits_for_a_neighbour_that_is_not_verified():
    history = started()
    history.now = at(days=3, hours=6)
    history.claim(wanted(history, 72, 74).windows[0])
    later = wanted(history, 74.5, 76).windows[0]
    history.claim(replace(later, window=Window(at(hours=74, minutes=10), at(hours=76))))
    plan = history.scheduled(at(days=3), at(hours=76))
    assert [str(each.action) for each in plan.windows] == ["continue", "continue"]
    assert "waits until a window beside it is verified" in plan.notes[-1]


def test_a_neighbour_that_recovery_reaches_is_chosen():
    history = with_short_hole()
    history.recovery = PointInTimeRecovery(enabled=True, earliest=at(hours=73))
    (planned,) = history.scheduled(at(days=3), at(hours=76)).windows
    assert planned.supersedes == ("20260304T0210Z-20260304T0400Z",)
