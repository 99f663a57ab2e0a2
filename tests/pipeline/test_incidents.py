"""Who tells of an incident is decided by compare-and-swap: of many checks at the same moment one tells."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest

from ddb_export.aws.object_store import LocalObjectStore
from ddb_export.domain.freshness import Finding, Trouble
from ddb_export.domain.incidents import SENDING, NoticeKind
from ddb_export.domain.layout import Lake
from ddb_export.exceptions import NotReachableError
from ddb_export.pipeline.incidents import IncidentLog, LedgerMemory, NotAllToldError, Told

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LATE = Finding(Trouble.LATE, "it is late", "run it")
OFF = Finding(Trouble.RECOVERY_OFF, "it is off", "switch it on")


@pytest.fixture
def memory(tmp_path) -> LedgerMemory:
    return LedgerMemory(LocalObjectStore(tmp_path), Lake("", "lake", "orders"))


@pytest.mark.scenario("F37")
def test_of_many_checks_at_one_moment_one_tells(memory):
    told: list[Told] = []
    together = Barrier(8)

    def check(_: int) -> None:
        together.wait()
        IncidentLog(memory).tell([LATE], NOW, told.append)

    with ThreadPoolExecutor(8) as checks:
        list(checks.map(check, range(8)))
    assert [(each.kind, each.finding) for each in told] == [(NoticeKind.ALERT, LATE)]


def test_what_was_not_looked_for_is_not_over(memory):
    log = IncidentLog(memory)
    assert len(log.tell([LATE], NOW, lambda _: None).told) == 1
    unreadable = Finding(Trouble.UNREADABLE, "no", "permit it")
    told = log.tell([unreadable], NOW, lambda _: None, about=(Trouble.UNREADABLE,)).told
    assert [each.incident.trouble for each in told] == [Trouble.UNREADABLE]
    assert [each.trouble for each in log.open_incidents()] == [Trouble.LATE, Trouble.UNREADABLE]


@pytest.mark.scenario("F37")
def test_one_notice_that_fails_keeps_no_other_back_and_is_sent_with_the_next_check(memory):
    sent: list[Trouble] = []

    def fails_once(told: Told) -> None:
        if told.incident.trouble is Trouble.LATE and not sent:
            raise NotReachableError("smtp", "it is down", "wait")
        sent.append(told.incident.trouble)

    log = IncidentLog(memory)
    first = log.tell([LATE, OFF], NOW, fails_once)
    assert (len(first.failures), sent) == (1, [Trouble.RECOVERY_OFF])
    again = log.tell([LATE, OFF], NOW + timedelta(seconds=1), fails_once)
    assert (again.failures, sent) == ((), [Trouble.RECOVERY_OFF, Trouble.LATE])


def test_a_check_that_died_over_its_notice_is_followed_by_another(memory):
    def dies(_: Told) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        IncidentLog(memory).tell([LATE], NOW, dies)
    told: list[Told] = []
    IncidentLog(memory).tell([LATE], NOW + SENDING / 2, told.append)
    assert told == []
    IncidentLog(memory).tell([LATE], NOW + SENDING, told.append)
    assert [each.kind for each in told] == [NoticeKind.ALERT]


@pytest.mark.scenario("F37")
def test_while_one_of_two_notifiers_is_down_the_other_hears_of_the_incident_once(memory):
    heard: dict[str, list[NoticeKind]] = {"sns": [], "slack": []}
    down = {"slack"}
    tries = 0

    def send(told: Told) -> None:
        nonlocal tries
        tries += 1
        reached = heard.keys() - told.incident.taken_by - down
        for name in reached:
            heard[name].append(told.kind)
        if down:
            raise NotAllToldError.of(NotReachableError("slack", "it is down", "wait"), reached)

    # An hour of checks, each tried again after a minute.
    for minute in (each + retry for each in range(0, 60, 5) for retry in (0, 1)):
        IncidentLog(memory).tell([LATE], NOW + timedelta(minutes=minute), send)
    assert heard == {"sns": [NoticeKind.ALERT], "slack": []}
    assert tries == 5
    down.clear()
    IncidentLog(memory).tell([], NOW + timedelta(hours=2), send)
    assert heard == {"sns": [NoticeKind.ALERT, NoticeKind.RECOVERY], "slack": [NoticeKind.RECOVERY]}


@pytest.mark.parametrize("content", ["", "[]", '{"trouble": "late"}', '{"trouble": "late", "opened_at": 1}'])
def test_an_incident_whose_document_is_damaged_is_told_once_more(memory, tmp_path, content):
    log = IncidentLog(memory)
    log.tell([LATE], NOW, lambda _: None)
    (document,) = tmp_path.rglob("late.json")
    document.write_text(content)
    assert log.open_incidents() == []
    told: list[Told] = []
    log.tell([], NOW, told.append)
    assert told == []
    log.tell([LATE], NOW, told.append)
    log.tell([LATE], NOW, told.append)
    assert [each.kind for each in told] == [NoticeKind.ALERT]
