"""Where a schedule cuts time: the boundaries of a cron expression in a time zone, as UTC instants.

Windows are cut at these boundaries, so they have to be exactly those of Airflow's
``CronDataIntervalTimetable`` (Airflow 3.3, ``airflow/timetables/_cron.py``), daylight-saving changes
included. Airflow's rule is kept: the cron expression is evaluated on the wall clock; a schedule that names
its hours is fixed to the wall clock (a time that a change skips moves forward by the change, a time that
occurs twice means its second occurrence); a schedule with ``*`` as its hour keeps its real distance.

The only library here is croniter, because Airflow evaluates cron with it: the meaning of the five fields is
taken from the same code and cannot drift. croniter answers *which days*; the times within a day follow from
the two first fields, which makes years of 15-minute boundaries cheap.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from difflib import get_close_matches
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, CroniterError, croniter

from ddb_export.exceptions import ConfigurationError

SHORTEST_WINDOW = timedelta(minutes=15)
"""The shortest period of an incremental export (AWS, *DynamoDB data export to Amazon S3*)."""

PRESETS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@quarterly": "0 0 1 */3 *",
    "@yearly": "0 0 1 1 *",
}
"""Airflow's names for cron expressions (``airflow.utils.dates.cron_presets``)."""

_REMEDY = "give five fields such as '0 0 * * *' (minute, hour, day, month, weekday), or one of " + ", ".join(PRESETS)
_DAY = timedelta(days=1)
_PROBE_START = date(2024, 1, 1)
_PROBE_END = date(2032, 1, 1)


class _Days:
    """The days on which a cron expression occurs, looked up forward and remembered."""

    def __init__(self, fields: list[str]) -> None:
        self._every_day = fields[2:] == ["*", "*", "*"]
        self._cron = croniter(" ".join(["0", "0", *fields[2:]]))
        self._from = self._next = date.max

    def at_or_after(self, day: date) -> date:
        if self._every_day:
            return day
        if not self._from <= day <= self._next:
            before = datetime.combine(day, time()) - timedelta(seconds=1)
            self._next = self._cron.get_next(datetime, start_time=before).date()
            self._from = day
        return self._next


class _WallClock:
    """The occurrences of a cron expression on a clock that knows no time zone."""

    def __init__(self, cron: str) -> None:
        fields = _fields(cron)
        try:
            expanded = croniter(" ".join(fields)).expanded
            minutes = _values(expanded[0], 60)
            hours = _values(expanded[1], 24)
            self._days = _Days(fields)
            self._days.at_or_after(_PROBE_START)
        except CroniterBadDateError as error:
            raise ConfigurationError(f"schedule '{cron}'", "names a day that never comes", _REMEDY) from error
        except (CroniterError, ValueError, KeyError, IndexError) as error:
            raise ConfigurationError(f"schedule '{cron}'", "is not a cron expression", _REMEDY) from error
        self.every_hour = expanded[1] == ["*"]
        self.times = [timedelta(hours=hour, minutes=minute) for hour in hours for minute in minutes]

    def after(self, wall: datetime) -> datetime:
        """The first occurrence later than ``wall`` (both naive)."""
        midnight = datetime.combine(wall.date(), time())
        if self._days.at_or_after(wall.date()) == wall.date():
            position = bisect_right(self.times, wall - midnight)
            if position < len(self.times):
                return midnight + self.times[position]
        next_day = self._days.at_or_after(wall.date() + _DAY)
        return datetime.combine(next_day, time()) + self.times[0]

    def has_neighbouring_days(self) -> bool:
        """Whether the schedule occurs on two days that follow each other (looked up over eight years)."""
        day = self._days.at_or_after(_PROBE_START)
        while day < _PROBE_END:
            following = self._days.at_or_after(day + _DAY)
            if following - day == _DAY:
                return True
            day = following
        return False

    def longest_gap_of_days(self) -> timedelta:
        """The longest distance between two days that follow each other in the schedule (looked up over eight years)."""
        longest = _DAY
        day = self._days.at_or_after(_PROBE_START)
        while day < _PROBE_END:
            following = self._days.at_or_after(day + _DAY)
            longest = max(longest, following - day)
            day = following
        return longest


def iterate_boundaries(cron: str, timezone: str, start: datetime) -> Iterator[datetime]:
    """Yield the boundaries of a schedule later than ``start``, in order and without end.

    :param cron: five cron fields, or one of :data:`PRESETS`.
    :param timezone: IANA name of the time zone whose wall clock the expression speaks of.
    :param start: aware time; boundaries at or before it are left out.
    :return: aware UTC times, identical to following ``CronDataIntervalTimetable`` from ``start``.
    :raises ConfigurationError: the expression cannot be used.
    """
    clock = _WallClock(cron)
    zone = ZoneInfo(timezone)
    current = start = start.astimezone(UTC)
    wall = start.astimezone(zone).replace(tzinfo=None)
    while True:
        next_wall = clock.after(wall)
        if clock.every_hour:
            current += next_wall - wall
        else:
            current = _from_wall(next_wall, zone)
        wall = current.astimezone(zone).replace(tzinfo=None)
        if current > start:
            yield current
        else:
            # A start within an hour that occurs twice: its wall-clock times mean the later occurrence,
            # or have gone by; go on from the occurrence on the wall clock, which always advances.
            wall = next_wall


def schedule_boundaries(cron: str, timezone: str, start: datetime, end: datetime) -> list[datetime]:
    """The boundaries of a schedule strictly between two times.

    :param cron: five cron fields, or one of :data:`PRESETS`.
    :param timezone: IANA name of the time zone whose wall clock the expression speaks of.
    :param start: aware time, not part of the answer even if it is a boundary.
    :param end: aware time, not part of the answer even if it is a boundary.
    :return: aware UTC times in ascending order.
    :raises ConfigurationError: the expression cannot be used.
    """
    found: list[datetime] = []
    for boundary in iterate_boundaries(cron, timezone, start):
        if boundary >= end:
            break
        found.append(boundary)
    return found


@lru_cache(maxsize=1024)
def finest_interval(cron: str) -> timedelta:
    """The shortest distance between two neighbouring boundaries, on the wall clock.

    :param cron: five cron fields, or one of :data:`PRESETS`.
    :return: the distance, in whole minutes. A daylight-saving change can shorten a single interval further
        (``0,50 1,3 * * *``: ten minutes on the day when 02:00 to 03:00 does not exist); who cuts windows
        must join such a piece with its neighbour.
    :raises ConfigurationError: the expression cannot be used.
    """
    clock = _WallClock(cron)
    distances = [later - earlier for earlier, later in pairwise(clock.times)]
    over_midnight = _DAY - clock.times[-1] + clock.times[0]
    # The days are looked up only where the answer depends on them.
    if not distances or over_midnight < min(distances):
        if clock.has_neighbouring_days():
            distances.append(over_midnight)
        elif not distances:
            distances.extend(_distances_of_single_days(clock))
    return min(distances)


@lru_cache(maxsize=1024)
def longest_interval(cron: str) -> timedelta:
    """The longest distance between two neighbouring boundaries, on the wall clock.

    :param cron: five cron fields, or one of :data:`PRESETS`.
    :return: the distance, in whole minutes; the end of daylight saving makes a single interval an hour longer.
    :raises ConfigurationError: the expression cannot be used.
    """
    clock = _WallClock(cron)
    within = [later - earlier for earlier, later in pairwise(clock.times)]
    return max([*within, clock.longest_gap_of_days() - clock.times[-1] + clock.times[0]])


def _distances_of_single_days(clock: _WallClock) -> list[timedelta]:
    found: list[timedelta] = []
    current = clock.after(datetime.combine(_PROBE_START, time()))
    while not found or current.date() < _PROBE_END:
        following = clock.after(current)
        found.append(following - current)
        current = following
    return found


def _fields(cron: str) -> list[str]:
    fields = PRESETS.get(cron.strip(), cron).split()
    if len(fields) == 1 and fields[0].startswith("@"):
        cause = "is no repeating schedule that Airflow knows by this name"
        near = get_close_matches(fields[0].lower(), PRESETS, n=1)
        raise ConfigurationError(f"schedule '{cron}'", cause, f"write '{near[0]}'" if near else _REMEDY)
    if len(fields) != 5:
        raise ConfigurationError(
            f"schedule '{cron}'", f"has {len(fields)} field{'' if len(fields) == 1 else 's'}, not five", _REMEDY
        )
    # croniter's hashed and random values would cut time elsewhere with every evaluation.
    if any(re.match(r"[hr]\b", field, re.IGNORECASE) for field in fields):
        raise ConfigurationError(f"schedule '{cron}'", "uses random values (H or R)", _REMEDY)
    return fields


def _values(expanded: Sequence[int | str], count: int) -> list[int]:
    if expanded == ["*"]:
        return list(range(count))
    return sorted(int(value) for value in expanded)


def _from_wall(wall: datetime, zone: ZoneInfo) -> datetime:
    """Airflow's ``make_aware``: the second of two occurrences; a skipped time moves forward by the change."""
    second = wall.replace(tzinfo=zone, fold=1)
    first = wall.replace(tzinfo=zone, fold=0)
    skipped = second.utcoffset() > first.utcoffset()  # type: ignore[operator]
    return (first if skipped else second).astimezone(UTC)
