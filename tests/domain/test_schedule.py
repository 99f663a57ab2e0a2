"""The boundaries of a schedule are those of Airflow's own timetable, on every kind of day."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import pytest
from airflow.timetables.interval import CronDataIntervalTimetable
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pendulum import instance

from ddb_export.domain.schedule import (
    PRESETS,
    finest_interval,
    iterate_boundaries,
    schedule_boundaries,
)
from ddb_export.exceptions import ConfigurationError

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # changes by half an hour
    "Asia/Kathmandu",  # UTC+05:45
    "America/Sao_Paulo",
    "Africa/Cairo",  # changes at midnight
    "Antarctica/Troll",  # changes by two hours
]
CRONS = [
    *PRESETS,
    "*/15 * * * *",
    "*/30 * * * *",
    "0,40 * * * *",
    "7 * * * *",
    "0 */2 * * *",
    "30 2 * * *",
    "*/15 1,2,3 * * *",
    "15 23 * * *",
    "0 9 * * MON",
    "0 * * * SUN",
    "0 0 1,15 * 1",
    "0 6 L * *",
    "30 4 * * sat#1",
]
# Around the changes of 2026 in Berlin, New York, Lord Howe, Cairo.
STARTS = ["2026-03-07", "2026-03-27", "2026-04-03", "2026-04-23", "2026-10-02", "2026-10-23", "2026-10-30"]


def airflow_boundaries(cron: str, timezone: str, start: datetime, end: datetime) -> list[datetime]:
    """Follow the real timetable step by step, as its scheduler does."""
    timetable = CronDataIntervalTimetable(cron, timezone)
    found = []
    current = timetable._get_next(instance(start))
    while current < end:
        found.append(datetime.fromtimestamp(current.timestamp(), UTC))
        following = timetable._get_next(current)
        assert following > current
        current = following
    return found


@pytest.mark.parametrize("timezone", ZONES)
@pytest.mark.parametrize("cron", CRONS)
def test_boundaries_are_those_of_airflow(cron: str, timezone: str) -> None:
    for text in STARTS:
        start = datetime.fromisoformat(text).replace(tzinfo=UTC)
        end = start + timedelta(days=4)
        assert schedule_boundaries(cron, timezone, start, end) == airflow_boundaries(cron, timezone, start, end)


@settings(max_examples=150, deadline=None)
@example("0", "*", "SUN", "Africa/Cairo", 436140)
@given(
    minutes=st.sampled_from(["0", "*/15", "0,40", "10,30,50", "*/20", "59"]),
    hours=st.sampled_from(["*", "2", "0,2", "*/3", "1-4", "23"]),
    weekday=st.sampled_from(["*", "SUN", "1-5"]),
    timezone=st.sampled_from(ZONES),
    start=st.integers(0, 2 * 365 * 24 * 60),
)
def test_any_schedule_from_any_start_cuts_like_airflow(
    minutes: str, hours: str, weekday: str, timezone: str, start: int
) -> None:
    start_time = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=start)
    end = start_time + timedelta(days=3)
    cron = f"{minutes} {hours} * * {weekday}"
    ours = schedule_boundaries(cron, timezone, start_time, end)
    assert ours == sorted(set(ours))
    theirs = [found for found in airflow_boundaries_from(cron, timezone, start_time, end) if found > start_time]
    assert ours == theirs


def airflow_boundaries_from(cron: str, timezone: str, start: datetime, end: datetime) -> list[datetime]:
    """As :func:`airflow_boundaries`, but begun a day earlier, away from a start inside a repeated hour.

    A schedule of every hour begins where we do: Airflow reckons it on by elapsed time, so that behind a clock change it depends on where
    it began, where it leaves out days (Cairo, Sundays, from the Thursday before the change or the Friday after).
    """
    every_hour = cron.split()[1] == "*"
    return airflow_boundaries(cron, timezone, start if every_hour else start - timedelta(days=1), end)


def test_start_and_end_are_not_part_of_the_answer() -> None:
    midnight = datetime(2026, 1, 1, tzinfo=UTC)
    assert schedule_boundaries("@daily", "UTC", midnight, midnight + timedelta(days=2)) == [
        midnight + timedelta(days=1)
    ]
    assert schedule_boundaries("@daily", "UTC", midnight, midnight) == []


def test_days_of_23_and_25_hours() -> None:
    start = datetime(2026, 3, 27, 23, tzinfo=UTC)
    spring = [start, *islice(iterate_boundaries("@daily", "Europe/Berlin", start), 3)]
    assert [(b - a) / timedelta(hours=1) for a, b in pairwise(spring)] == [24, 23, 24]
    start = datetime(2026, 10, 23, 22, tzinfo=UTC)
    autumn = [start, *islice(iterate_boundaries("@daily", "Europe/Berlin", start), 3)]
    assert [(b - a) / timedelta(hours=1) for a, b in pairwise(autumn)] == [24, 25, 24]


@pytest.mark.parametrize(
    ("cron", "minutes"),
    [
        ("* * * * *", 1),
        ("*/15 * * * *", 15),
        ("*/14 * * * *", 4),
        ("0,50 * * * *", 10),
        ("@hourly", 60),
        ("@daily", 24 * 60),
        ("0 9 * * MON", 7 * 24 * 60),
        ("0 0 1 * *", 28 * 24 * 60),
        ("0 0 1 1 *", 365 * 24 * 60),
        ("0 0 29 2 *", (3 * 365 + 366) * 24 * 60),
        ("0,55 0,23 * * *", 5),
        ("0,55 0,23 * * MON", 55),  # 23:55 and 00:00 never are neighbours
        ("0 0,8 * * *", 8 * 60),
    ],
)
def test_finest_interval(cron: str, minutes: int) -> None:
    assert finest_interval(cron) == timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("cron", "cause"),
    [
        ("5 minutes", "has 2 fields, not five"),
        ("", "has 0 fields, not five"),
        ("0 0 * * * 30", "has 6 fields, not five"),
        ("61 * * * *", "is not a cron expression"),
        ("a b c d e", "is not a cron expression"),
        ("0 0 30 2 *", "names a day that never comes"),
        ("@once", "is no repeating schedule that Airflow knows by this name"),
        ("H H * * *", "uses random values (H or R)"),
        ("R * * * *", "uses random values (H or R)"),
        ("R(0-29) * * * *", "uses random values (H or R)"),
    ],
)
def test_what_is_no_schedule_is_refused_in_one_line(cron: str, cause: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        finest_interval(cron)
    assert str(caught.value) == (
        f"schedule '{cron}': {cause}. Remedy: give five fields such as '0 0 * * *' (minute, hour, day, month,"
        " weekday), or one of @hourly, @daily, @weekly, @monthly, @quarterly, @yearly"
    )


def test_three_years_of_quarter_hours_are_cheap(capsys: pytest.CaptureFixture[str]) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    begun = time.perf_counter()
    found = schedule_boundaries("*/15 * * * *", "Europe/Berlin", start, start + timedelta(days=3 * 365))
    with capsys.disabled():
        print(f"\n{len(found)} boundaries in {time.perf_counter() - begun:.2f} s")
    assert len(found) == 3 * 365 * 96 - 1
