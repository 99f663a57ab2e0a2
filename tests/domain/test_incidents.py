"""One alert per incident, reminders that grow rarer, one notice that it is over."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddb_export.domain.freshness import Finding, Trouble
from ddb_export.domain.incidents import SENDING, Incident, NoticeKind, decide, failed_to_send, was_sent

START = datetime(2026, 3, 1, tzinfo=UTC)
LATE = Finding(Trouble.LATE, "it is late", "run it", START)
CHECK = timedelta(minutes=5)


def play(present: list[bool], fails: frozenset[int] = frozenset()) -> list[tuple[int, NoticeKind]]:
    """Check every five minutes, with the trouble there or not; sending fails at some of the checks."""
    known: Incident | None = None
    told = []
    for number, there in enumerate(present):
        decision = decide(known, LATE if there else None, START + number * CHECK)
        if decision is None:
            continue
        known = failed_to_send(decision.incident) if number in fails else was_sent(decision.incident)
        assert Incident.from_json(known.to_json()) == known
        if number not in fails:
            told.append((number, decision.notice))
    return told


@pytest.mark.scenario("F37")
def test_a_trouble_of_three_days_is_told_a_few_times():
    day = timedelta(days=1) // CHECK
    told = play([False, True] + [True] * 3 * day + [False] * 3)
    assert [kind for _, kind in told].count(NoticeKind.ALERT) == 1
    assert told[0] == (1, NoticeKind.ALERT)
    assert told[-1][1] is NoticeKind.RECOVERY
    distances = [(later - earlier) * CHECK for (earlier, _), (later, _) in itertools.pairwise(told[:-1])]
    assert [each // timedelta(hours=1) for each in distances] == [1, 2, 4, 8, 16, 24]


@pytest.mark.scenario("F37")
@given(st.lists(st.booleans(), max_size=200))
def test_each_incident_has_one_alert_and_one_recovery(present):
    told = [kind for _, kind in play(present) if kind is not NoticeKind.REMINDER]
    begins = sum(there and not before for before, there in zip([False, *present], present, strict=False))
    ends = sum(before and not there for before, there in itertools.pairwise(present))
    assert told.count(NoticeKind.ALERT) == begins
    assert told.count(NoticeKind.RECOVERY) == ends
    assert all(earlier is not later for earlier, later in itertools.pairwise(told))


def test_what_could_not_be_sent_is_sent_with_the_next_check():
    assert play([True, True, True], frozenset({0, 1})) == [(2, NoticeKind.ALERT)]
    assert play([True, False, False], frozenset({1})) == [(0, NoticeKind.ALERT), (2, NoticeKind.RECOVERY)]


def test_whoever_died_while_telling_is_followed_by_another():
    first = decide(None, LATE, START)
    assert first
    assert decide(first.incident, LATE, START + SENDING - CHECK) is None
    again = decide(first.incident, LATE, START + SENDING)
    assert again
    assert (again.notice, again.incident.notices) == (NoticeKind.ALERT, 1)
