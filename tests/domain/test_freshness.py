"""What a person should hear of about a table, and what not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddb_export.domain.freshness import (
    FullBill,
    TableFacts,
    Trouble,
    WaitingClaim,
    WindowVolume,
    data_age,
    find_troubles,
)
from ddb_export.domain.plan import PointInTimeRecovery
from ddb_export.domain.window import Stretch

START = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
ON = PointInTimeRecovery(enabled=True, earliest=START - 30 * DAY, latest=START, period=35 * DAY)
FACTS = TableFacts(head=START, expected_since=START - 10 * DAY, recovery=ON)


def troubles(facts: TableFacts, now: datetime = START + HOUR, sla: timedelta | None = 26 * HOUR) -> list[Trouble]:
    return [finding.trouble for finding in find_troubles(facts, now, sla=sla)]


def test_fresh_data_is_no_trouble():
    assert troubles(FACTS) == []
    assert troubles(FACTS, START + 26 * HOUR) == []


@pytest.mark.scenario("F36")
def test_data_older_than_the_sla_is_late_whatever_runs_did():
    (found,) = find_troubles(FACTS, START + 27 * HOUR, sla=26 * HOUR)
    assert found.trouble is Trouble.LATE
    assert found.cause == "the data is complete to 2026-03-01T00:00:00Z, 1 d 3 h ago; the SLA is 1 d 2 h"
    assert troubles(FACTS, START + 27 * HOUR, sla=None) == []


@pytest.mark.scenario("F36")
def test_a_table_that_never_ran_is_late_by_its_start_date():
    never = replace(FACTS, head=None)
    assert troubles(never) == [Trouble.NO_BASE]
    assert troubles(replace(never, expected_since=START)) == []


def test_the_cause_names_the_hole():
    (found,) = find_troubles(replace(FACTS, holes=(Stretch(START, START + HOUR),)), START + 2 * DAY, sla=DAY)
    assert "nothing verified covers [2026-03-01T00:00:00Z, 2026-03-01T01:00:00Z)" in found.cause


def test_the_horizon_is_said_before_it_is_reached_and_after():
    assert troubles(FACTS, START + 33 * DAY - HOUR, sla=None) == []
    assert troubles(FACTS, START + 33 * DAY, sla=None) == [Trouble.HORIZON]
    past = replace(FACTS, recovery=replace(ON, earliest=START + HOUR))
    assert "can no longer be exported" in find_troubles(past, START + DAY, sla=None)[0].remedy


def test_a_short_period_of_recovery_is_not_always_near_its_end():
    short = replace(FACTS, recovery=replace(ON, earliest=START - DAY, period=DAY))
    assert troubles(short, START + 2 * HOUR) == []
    assert troubles(short, START + 19 * HOUR) == [Trouble.HORIZON]


def test_recovery_that_is_off():
    off = PointInTimeRecovery(enabled=False)
    assert troubles(replace(FACTS, recovery=off)) == [Trouble.RECOVERY_OFF]
    first, *_ = find_troubles(replace(FACTS, recovery=off, head=None), START + HOUR, sla=None)
    assert (first.trouble, "new_base" in first.remedy) == (Trouble.RECOVERY_OFF, False)


def test_a_claim_that_waits_too_long():
    waiting = replace(FACTS, waiting=(WaitingClaim("full-20260227T0000Z-a1", START - 2 * DAY),))
    assert troubles(waiting) == [Trouble.CLAIM_WAITS]
    assert troubles(replace(waiting, waiting=(WaitingClaim("full-20260301T0000Z-a1", START - 30 * HOUR),))) == []


def test_a_claim_without_an_export_is_said_while_its_token_still_finds_one():
    def claimed(hours: float) -> TableFacts:
        known = WaitingClaim("full-20260227T0000Z-a1", START - 2 * HOUR)
        return replace(
            FACTS, waiting=(known, WaitingClaim("full-20260301T0000Z-a1", START - hours * HOUR, started=False))
        )

    assert troubles(claimed(4.9)) == []
    (found,) = find_troubles(claimed(5.1), START + HOUR, sla=None)
    assert found.trouble is Trouble.CLAIM_WAITS
    assert found.cause.endswith("nothing of it is in the lake; DynamoDB knows its token until 2026-03-01T02:54:00Z")


def windows(*items: int, billed: int = 1000) -> TableFacts:
    made = [WindowVolume(START + n * HOUR, START + (n + 1) * HOUR, count, billed) for n, count in enumerate(items)]
    return replace(FACTS, volumes=tuple(made))


def test_unusual_windows():
    assert troubles(windows(5, 5, 5, 5, 5, 5)) == []
    assert troubles(windows(5, 5, 5, 5, 5, 0)) == [Trouble.NOTHING_CHANGED]
    assert troubles(windows(5, 0, 5, 5, 5, 0)) == []
    assert troubles(windows(5, 0)) == []
    assert troubles(windows(5, 5, 5, 5, 5, 500)) == [Trouble.UNUSUALLY_MANY]


def test_what_is_usual_for_a_table_can_be_muted_but_not_that_data_is_late():
    silent = replace(windows(5, 5, 5, 5, 5, 0), head=START)
    found = find_troubles(silent, START + DAY, sla=HOUR, muted=[Trouble.NOTHING_CHANGED])
    assert [each.trouble for each in found] == [Trouble.LATE]
    assert Trouble.NOTHING_CHANGED in [each.trouble for each in find_troubles(silent, START + DAY, sla=HOUR)]


def test_silence_lasts_until_a_window_holds_items():
    assert troubles(windows(5, 5, 5, 5, 5, 5, 0, 0)) == [Trouble.NOTHING_CHANGED]
    (found,) = find_troubles(windows(5, 5, 5, 5, 5, *[0] * 9), START + HOUR, sla=None)
    assert found.cause.startswith(
        "from 2026-03-01T05:00:00Z to 2026-03-01T14:00:00Z no window holds an item; each of the 5 before"
    )
    assert troubles(windows(5, 5, 5, 5, 5, 5, 0, 0, 5)) == []


@pytest.mark.parametrize(
    ("items", "trouble"),
    [((0, 5), Trouble.NOTHING_CHANGED), ((500, 5), Trouble.UNUSUALLY_MANY)],
)
def test_each_window_since_the_last_look_is_judged(items, trouble):
    facts = windows(5, 5, 5, 5, 5, 5, *items)
    assert troubles(replace(facts, judged_from=START + 6 * HOUR)) == [trouble]
    assert troubles(replace(facts, judged_from=START + 7 * HOUR)) == []
    assert troubles(facts) == []


def test_a_bill_is_compared_with_its_estimate():
    def billed(much: int, estimated: int | None) -> list[Trouble]:
        *others, last = windows(5, 5, 5, 5, 5, 5).volumes
        dear = replace(last, billed_bytes=much, estimated_bytes=estimated)
        return troubles(replace(FACTS, volumes=(*others, dear)))

    assert billed(900_000_000, 10_000_000) == [Trouble.BILLED_MORE]
    assert billed(300_000_000, 150_000_000) == []
    assert billed(90_000_000, 10_000_000) == []
    assert billed(900_000_000, None) == []


def test_a_full_export_far_above_its_estimate_is_said_for_a_day():
    bill = FullBill("full-20260301T0000Z-a1", START, 90 * 10**9, 10**9)
    facts = replace(FACTS, full_bills=(bill,))
    (found,) = find_troubles(facts, START + HOUR, sla=None)
    assert found.cause == "full export full-20260301T0000Z-a1 was billed 90.0 GB; 1.0 GB were estimated"
    assert troubles(facts, START + 25 * HOUR) == []


def test_windows_of_other_lengths_are_not_compared():
    facts = windows(5, 5, 5, 5, 5, 5)
    longer = replace(facts.volumes[-1], end=facts.volumes[-1].end + 23 * HOUR, items=900)
    assert troubles(replace(facts, volumes=(*facts.volumes[:-1], longer))) == []


@given(st.timedeltas(HOUR, 40 * DAY), st.timedeltas(HOUR, 40 * DAY))
def test_late_means_older_than_the_sla(age, sla):
    now = START + age
    assert (Trouble.LATE in troubles(replace(FACTS, recovery=None), now, sla)) == (data_age(FACTS, now) > sla)
