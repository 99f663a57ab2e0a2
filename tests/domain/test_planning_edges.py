"""What is asked for ends just before something that is claimed: the rest between them must not become too short to export."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ddb_export.domain.planning import RunKind
from ddb_export.domain.window import Stretch
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
