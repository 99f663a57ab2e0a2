"""A filter belongs to a chain: exports under another one cannot follow on it."""

from __future__ import annotations

from typing import Any

import pytest

from ddb_export.domain.export_filter import ExportFilter
from ddb_export.domain.planning import ChainEnd, RunKind
from ddb_export.domain.window import Stretch
from ddb_export.exceptions import ClaimConflictError, PlanError
from tests.domain.histories import History, at
from tests.domain.test_planning_wishes import windows

OPEN = ExportFilter.of("attribute_exists(opened)")
CLOSED = ExportFilter.of("attribute_exists(closed)")


def filtered(export_filter: ExportFilter | None = OPEN) -> History:
    """A chain of three days."""
    history = History(now=at(days=1, hours=1), export_filter=export_filter)
    history.run(history.scheduled(at(), at(days=1)))
    history.now = at(days=3, hours=1)
    history.run(history.scheduled(at(days=2), at(days=3)))
    return history


def test_a_filtered_chain_goes_on_and_says_that_it_is_no_replica():
    history = filtered()
    history.now = at(days=4, hours=1)
    plan = history.run(history.scheduled(at(days=3), at(days=4)))
    assert windows(plan) == [(72, 96, "export")]
    assert "attribute_exists(opened)" in plan.notes[-1]
    assert "no replica" in plan.notes[-1]
    assert history.chain.head == at(days=4)


@pytest.mark.parametrize(("before", "after"), [(OPEN, CLOSED), (OPEN, None), (None, OPEN)])
@pytest.mark.parametrize("kind", [RunKind.SCHEDULED, RunKind.MANUAL, RunKind.BACKFILL])
def test_no_run_follows_under_another_filter(before, after, kind):
    history = filtered(before)
    history.now, history.export_filter = at(days=4, hours=1), after
    interval = None if kind is RunKind.MANUAL else Stretch(at(days=3), at(days=4))
    with pytest.raises(PlanError, match=r"the chain began with .*restore the filter, or .*new_base: true"):
        history.plan(kind, interval)
    history.export_filter = before
    assert history.plan(kind, interval).windows


@pytest.mark.parametrize("fields", [{"new_base": True}, {"on_chain_end": ChainEnd.NEW_BASE}])
def test_a_new_base_stands_behind_every_window_under_the_other_filter(fields: dict[str, Any]):
    """A window of the old filter behind the new base would be taken for one of the new chain."""
    history = filtered()
    history.now = at(days=3, hours=10)
    history.run(history.plan(RunKind.MANUAL))
    history.export_filter, head = CLOSED, history.chain.head
    assert head is not None
    kind = RunKind.MANUAL if "new_base" in fields else RunKind.SCHEDULED
    plan = history.run(history.plan(kind, None if "new_base" in fields else Stretch(at(days=2), at(days=3)), **fields))
    base_time = plan.base.export_time if plan.base else None
    assert base_time is not None
    assert base_time >= head
    assert (history.chain.number, history.chain.head) == (2, base_time)
    assert history.chain.base_claim.request.export_filter == CLOSED
    history.now = at(days=4, hours=1)
    later = history.run(history.scheduled(at(days=3), at(days=4)))
    assert [each.window.start >= base_time for each in later.windows if each.window] == [True]
    assert history.chain.head == at(days=4)


def test_a_filter_that_was_corrected_before_the_base_was_verified_goes_into_its_next_attempt():
    history = History(now=at(days=1, hours=1), export_filter=OPEN)
    refused = history.claim(history.scheduled(at(), at(days=1)).base)
    history.now, history.export_filter = at(days=2, hours=1), CLOSED
    plan = history.scheduled(at(days=1), at(days=2))
    assert (str(plan.base.action), plan.windows) == ("continue", ())
    assert "the base alone" in plan.notes[0]
    for kind, fields in (
        (RunKind.BACKFILL, {}),
        (RunKind.MANUAL, {"wanted": Stretch(at(), at(days=1))}),
        (RunKind.MANUAL, {"full_export": True}),
    ):
        with pytest.raises(PlanError, match=r"nothing can follow on the base .*start this again"):
            history.plan(kind, Stretch(at(), at(days=1)) if kind is RunKind.BACKFILL else None, **fields)
    corrected = history._append(refused.kind, history.request_of(plan.base), "was refused")
    history.verify(corrected)
    assert (corrected.chain, corrected.attempt) == (1, 2)
    assert windows(history.scheduled(at(days=1), at(days=2))) == [(24, 48, "export")]


def test_a_base_keeps_its_filter_once_windows_were_claimed_behind_it():
    history = History(now=at(days=2, hours=1), export_filter=OPEN)
    plan = history.scheduled(at(days=1), at(days=2), base_time=at(days=1))
    base = history.claim(plan.base)
    history.claim(plan.windows[0])
    history.export_filter = CLOSED
    with pytest.raises(PlanError, match="the chain began with"):
        history._append(base.kind, history.request_of(plan.base), "was refused")
    with pytest.raises(PlanError, match="the chain began with"):
        history._append(plan.windows[0].kind, history.request_of(plan.windows[0]), "FAILED")


def test_a_base_planned_before_windows_under_another_filter_is_not_claimed():
    """Its run died before it claimed, the schedule went on, the filter was changed, and the run was cleared."""
    history = filtered()
    kept = history.plan(RunKind.MANUAL, new_base=True)
    history.now = at(days=4, hours=1)
    history.run(history.scheduled(at(days=3), at(days=4)))
    history.export_filter = CLOSED
    with pytest.raises(ClaimConflictError, match=r"exports under another filter .* reach to 2026-.*plan again"):
        history.claim(kept.base)
    again = history.plan(RunKind.MANUAL, new_base=True)
    history.run(again)
    assert history.chain.head == again.base.export_time
