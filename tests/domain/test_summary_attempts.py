"""A window that is being exported again is not settled, whatever was claimed after it."""

from __future__ import annotations

from ddb_export.domain.planning import RunKind
from ddb_export.domain.summary import summarise
from ddb_export.domain.window import Stretch
from tests.domain.histories import OUTPUTS, History, at


def test_an_attempt_that_is_not_verified_is_not_folded_into_the_one_before_it():
    history = History(now=at(days=1))
    history.run(history.scheduled(at(), at(days=1)))
    history.now = at(days=3, hours=1)
    history.run(history.scheduled(at(days=2), at(days=3)))
    again = history.plan(RunKind.MANUAL, wanted=Stretch(at(days=1), at(days=2)), re_export=True)
    claim = history.claim(again.windows[0])
    history.now = at(days=4, hours=1)
    history.claim(history.scheduled(at(days=3), at(days=4)).windows[-1])
    chain = summarise(history.chain, OUTPUTS).of(None)
    assert claim in chain.pending_claims
    assert [(run.attempt, run.stretch) for run in chain.settled] == [(1, Stretch(at(days=2), at(days=3)))]
