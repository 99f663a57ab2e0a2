"""What stands where something newer was claimed in its place and came to nothing."""

from __future__ import annotations

from dataclasses import replace

from ddb_export.domain.evidence import ClaimKind, not_verified
from ddb_export.domain.plan import Action, Plan, PlannedExport, RunKind
from ddb_export.domain.standing import awaited, rebuilding_what_stands, replaceable, verified_attempt
from ddb_export.domain.window import Stretch, Window, window_of
from tests.domain.histories import History, at


def re_exported() -> History:
    """A base and two verified days, of which the first was claimed once more."""
    history = History(now=at(days=3, hours=1))
    for day in (0, 1, 2):
        history.run(history.scheduled(at(days=day), at(days=day + 1)))
    asked = Stretch(at(days=1), at(days=2))
    history.claim(history.plan(RunKind.MANUAL, wanted=asked, re_export=True).windows[0])
    return history


def test_an_earlier_attempt_is_no_answer():
    history = re_exported()
    subject = history.chain.claims[-1].subject
    verified = list(history.chain.verified.values())
    assert not_verified([f"{subject}-a1", f"{subject}-a2"], verified) == [f"{subject}-a2"]
    assert not_verified([f"{subject}-a2"], verified, {subject}) == []


def test_what_recovery_has_passed_is_replaceable_where_verified_windows_cover_it():
    history = re_exported()
    claim = history.chain.claims[-1]
    assert (claim.attempt, verified_attempt(history.chain, claim.subject)) == (2, 1)
    assert [replaceable(history.chain, moment) for moment in (None, at(days=1), at(days=1, hours=1))] == [
        (),
        (),
        (claim,),
    ]
    assert [awaited(history.chain, moment) for moment in (None, at(days=1, hours=1))] == [(claim,), ()]
    alone = replace(history.chain, verified={})
    assert claim not in replaceable(alone, at(days=2))


def test_a_run_leaves_what_came_to_nothing_says_so_and_rebuilds_the_attempt_that_stands():
    history = re_exported()
    subject = history.chain.claims[-1].subject
    history.now = at(days=4, hours=1)
    ((continued, _), left) = (
        history.scheduled(at(days=3), at(days=4)).windows,
        {subject: "attempt 2 is left"},
    )
    assert continued.action is Action.CONTINUE
    plan = history.scheduled(at(days=3), at(days=4), left=left)
    assert [window.window.start for window in plan.windows] == [at(days=3)]
    assert plan.notes == ("attempt 2 is left",)
    backfill = history.plan(RunKind.BACKFILL, Stretch(at(days=1), at(days=2)), left=left)
    assert [(each.action, each.attempt) for each in backfill.windows] == [(Action.REBUILD, 1)]


def test_many_attempts_that_are_left_are_one_line():
    history = re_exported()
    left = {f"202603{day:02}T0000Z-202603{day + 1:02}T0000Z": f"attempt {day} is left" for day in (4, 2, 3)}
    (note,) = history.scheduled(at(days=3), at(days=4), left=left).notes
    assert (
        note
        == "3 next attempts are left, from 20260302T0000Z-20260303T0000Z to 20260304T0000Z-20260305T0000Z: attempt 2 is left"
    )


def test_a_kept_plan_rebuilds_what_stands_and_drops_what_others_cover():
    history = re_exported()
    subject = history.chain.claims[-1].subject
    exported = PlannedExport(ClaimKind.WINDOW, Action.EXPORT, "test", window=window_of(subject))
    asked, other = replace(exported, attempt=2), replace(exported, window=Window(at(days=8), at(days=9)))
    kept = Plan(None, (exported, asked, other), None)
    replayed = rebuilding_what_stands(kept, history.chain, {subject: "", other.subject: ""})
    assert [(each.action, each.attempt) for each in replayed.windows] == [(Action.REBUILD, 1), (Action.EXPORT, 2)]
    assert rebuilding_what_stands(kept, history.chain, {}) == kept
