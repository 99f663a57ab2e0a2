"""What is asked for ends just before something that is claimed: the rest between them must not become too short to export."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ddb_export.domain.evidence import ClaimKind
from ddb_export.domain.planning import Action, PlannedExport, RunKind
from ddb_export.domain.window import Stretch, Window
from tests.domain.histories import History, at


def started() -> History:
    """A chain whose base stands at the end of day 1, with a window far behind it: hours 60 to 66."""
    history = History(now=at(days=1))
    history.run(history.scheduled(at(), at(days=1)))
    history.now = at(days=4)
    history.run(history.plan(RunKind.MANUAL, wanted=Stretch(at(hours=60), at(hours=66))))
    return history


@pytest.mark.parametrize(("left", "end"), [(0, 60), (10, 60), (14, 60), (15, 59.75), (60, 59)])
@pytest.mark.parametrize("kind", [RunKind.MANUAL, RunKind.BACKFILL])
def test_less_than_a_quarter_of_an_hour_before_a_claim_is_taken_along(kind, left, end):
    history = started()
    stretch = Stretch(at(hours=50), at(hours=60) - timedelta(minutes=left))
    asked = {"wanted": stretch} if kind is RunKind.MANUAL else {"interval": stretch}
    plan = history.plan(kind, **asked)
    assert (plan.windows[0].window.start, plan.windows[-1].window.end) == (at(hours=50), at(hours=end))


@pytest.mark.scenario("F34")
@pytest.mark.parametrize("kind", [RunKind.MANUAL, RunKind.BACKFILL])
def test_a_short_hole_beside_what_is_asked_for_is_left_to_others(kind):
    history = History(now=at(days=1))
    history.run(history.scheduled(at(), at(days=1)))
    history.now = at(days=3)
    history.run(history.plan(RunKind.BACKFILL, Stretch(at(days=1), at(days=2))))
    window = Window(at(days=2, minutes=5), at(days=2, minutes=25))
    history.do(PlannedExport(ClaimKind.WINDOW, Action.EXPORT, "a DAG of someone's own", window=window))
    stretch = Stretch(at(days=1), at(days=2))
    asked = {"wanted": stretch} if kind is RunKind.MANUAL else {"interval": stretch}
    assert [each.action for each in history.plan(kind, **asked).windows] == [Action.REBUILD] * (
        kind is RunKind.BACKFILL
    )
    assert history.scheduled(at(days=2), at(days=3)).windows[0].supersedes


def test_a_short_stretch_before_the_base_is_no_reason_to_export_what_follows_it_again():
    history = History(now=at(minutes=11))
    history.run(history.plan(RunKind.MANUAL))
    history.now = at(hours=2)
    history.run(history.scheduled(at(), at(minutes=90)))
    plan = history.plan(RunKind.BACKFILL, Stretch(at(), at(minutes=90)))
    assert [each.action for each in plan.windows] == [Action.REBUILD]
    assert "lies before the base" in plan.notes[0]


@pytest.mark.scenario("F5")
def test_a_window_that_another_claim_is_about_to_replace_is_no_neighbour_to_join():
    history = History(now=at(days=1))
    history.run(history.scheduled(at(), at(days=1)))
    history.now = at(days=3)

    def export(start: float, end: float, *replaced: Window) -> PlannedExport:
        window = Window(at(days=1, minutes=start), at(days=1, minutes=end))
        supersedes = tuple(each.key for each in replaced)
        return PlannedExport(ClaimKind.WINDOW, Action.EXPORT, "another run", window=window, supersedes=supersedes)

    first, last = export(45, 60), export(74, 89)
    for each in (export(0, 31), first, last):
        history.do(each)
    assert first.window
    assert last.window
    history.claim(export(31, 60, first.window))
    plan = history.scheduled(at(days=1), at(days=2))
    (joined,) = [each for each in plan.windows if each.supersedes]
    assert joined.window
    assert (joined.window.start, joined.supersedes) == (at(days=1, minutes=60), (last.window.key,))
    history.run(plan)
    assert history.scheduled(at(days=1), at(days=2)).windows == ()
