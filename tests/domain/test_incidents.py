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


@pytest.mark.scenario("F37")
def test_a_notifier_that_is_down_is_tried_ever_more_rarely_and_the_others_hear_each_notice_once():
    known: Incident | None = None
    tries: list[tuple[int, NoticeKind]] = []
    heard: list[tuple[int, NoticeKind]] = []
    for minute in range(0, 24 * 60, 5):
        decision = decide(known, LATE, START + timedelta(minutes=minute))
        if decision is None:
            continue
        tries.append((minute, decision.notice))
        if not decision.incident.taken_by:
            heard.append((minute, decision.notice))
        known = failed_to_send(decision.incident, {"sns"} - decision.incident.taken_by)
        assert Incident.from_json(known.to_json()) == known
    assert heard[0] == (0, NoticeKind.ALERT)
    assert [minute // 60 for minute, _ in heard] == [0, 1, 3, 7, 15]
    assert {kind for _, kind in heard[1:]} == {NoticeKind.REMINDER}
    assert [minute for minute, _ in tries if minute < 60] == [0, 5, 10, 20, 40]
    assert max(later - earlier for (earlier, _), (later, _) in itertools.pairwise(tries)) <= 60
    assert known
    over = decide(known, None, START + timedelta(days=1))
    assert over
    assert (over.notice, over.incident.taken_by) == (NoticeKind.RECOVERY, frozenset())


def test_a_document_of_an_older_version_is_read():
    older = {
        "trouble": "late",
        "opened_at": "2026-03-01T00:00:00Z",
        "told_at": "2026-03-01T00:00:00Z",
        "notices": 1,
        "sent": False,
        "cause": "it is late",
        "closed_at": None,
        "teller": "a",
    }
    known = Incident.from_json(older)
    assert decide(known, LATE, START + SENDING - CHECK) is None
    again = decide(known, LATE, START + SENDING)
    assert again
    assert again.notice is NoticeKind.ALERT
