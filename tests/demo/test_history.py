"""Flights become dated writes of a table: when, which, and with which values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from demo.history import CUTOFF, Flight, history, key_of, last_midnight, read_flight, shift_to
from demo.questions import add_up
from tests.demo.flights import CANCELLED, DIVERTED, LANDED, row

DAY = timedelta(days=1)
NO_SHIFT = timedelta()


def writes_of(flight: Flight, shift: timedelta = NO_SHIFT) -> list[tuple[str, str]]:
    return [(f"{each['time']:%m-%dT%H:%M}", each["operation"]) for each in history([flight], shift, CUTOFF)]


def values_of(write: dict[str, Any]) -> dict[str, Any]:
    names, values = write["request"]["ExpressionAttributeNames"], write["request"]["ExpressionAttributeValues"]
    return {name: values[f":{short[1:]}"] for short, name in names.items()}


def test_local_times_of_new_york_become_utc():
    flight = read_flight(LANDED)
    assert flight.scheduled == datetime(2013, 1, 28, 10, 15, tzinfo=UTC)
    assert flight.departed == datetime(2013, 1, 28, 10, 17, tzinfo=UTC)


def test_a_landing_is_told_by_the_time_in_the_air_and_on_the_ground():
    # 05:17 to 08:30 in Houston, an hour behind: 253 minutes, 227 of them in the air.
    assert read_flight(LANDED).landed == datetime(2013, 1, 28, 14, 30, tzinfo=UTC)


def test_a_flight_is_inserted_a_day_before_and_modified_at_departure_and_arrival():
    assert writes_of(read_flight(LANDED)) == [
        ("01-27T10:15", "PutItem"),
        ("01-28T10:17", "UpdateItem"),
        ("01-28T14:30", "UpdateItem"),
    ]


def test_a_cancelled_flight_is_removed_when_it_should_have_departed():
    assert writes_of(read_flight(CANCELLED)) == [("01-27T21:30", "PutItem"), ("01-28T21:30", "DeleteItem")]


def test_a_diverted_flight_departs_and_its_arrival_stays_unknown():
    flight = read_flight(DIVERTED)
    assert [operation for _, operation in writes_of(flight)] == ["PutItem", "UpdateItem"]
    assert values_of(history([flight], NO_SHIFT)[1])["arrival_delay"] == {"NULL": True}


def test_what_had_not_happened_by_the_cutoff_is_not_written():
    late = read_flight(row(day="30", sched_dep_time="1830", dep_time="1845", dep_delay="15"))
    assert late.departed is not None
    assert late.departed < CUTOFF
    assert [operation for _, operation in writes_of(late)] == ["PutItem", "UpdateItem"]
    assert writes_of(read_flight(row(day="31", sched_dep_time="1900"))) == []


def test_the_shift_moves_every_moment_and_the_day_of_the_key():
    shift = shift_to(datetime(2026, 7, 4, tzinfo=UTC))
    moved = history([read_flight(LANDED)], shift)
    assert moved[0]["time"] == datetime(2026, 6, 30, 10, 15, tzinfo=UTC)
    item = moved[0]["request"]["Item"]
    assert item["scheduled_at"] == {"S": "2026-07-01T10:15:00Z"}
    assert item["origin_date"] == {"S": "EWR#2026-07-01"}
    assert item["departure"] == {"S": "05:15#UA1545"}


def test_only_whole_days_are_shifted():
    with pytest.raises(ValueError, match="whole days"):
        history([], timedelta(hours=1))


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (datetime(2026, 11, 21, 0, 9, 59, tzinfo=UTC), datetime(2026, 11, 20, tzinfo=UTC)),
        (datetime(2026, 11, 21, 0, 10, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC)),
        (datetime(2026, 11, 21, 1, 30, tzinfo=UTC).astimezone(), datetime(2026, 11, 21, tzinfo=UTC)),
    ],
)
def test_the_last_midnight_has_to_be_some_minutes_ago(now, expected):
    assert last_midnight(now, timedelta(minutes=10)) == expected


def test_values_are_exact_and_of_many_types():
    put, departed, landed = history([read_flight(LANDED)], NO_SHIFT)
    item = put["request"]["Item"]
    assert item["airports"] == {"SS": ["EWR", "IAH"]}
    assert item["local_times"] == {"M": {"departure": {"S": "05:15"}, "arrival": {"S": "08:19"}}}
    assert values_of(departed)["late"] == {"BOOL": False}
    assert values_of(landed)["miles_per_hour"] == {"N": "370.04"}
    unknown = history([read_flight(row(tailnum=""))], NO_SHIFT)[0]["request"]["Item"]
    assert unknown["tail_number"] == {"NULL": True}


def test_two_flights_of_one_number_and_day_have_keys_of_their_own():
    first, second = read_flight(LANDED), read_flight(row(sched_dep_time="1915", dep_time="1917"))
    assert key_of(first) != key_of(second)


def test_figures_are_added_up_from_items():
    answer = add_up([{"distance": {"N": "1400"}}, {"distance": {"N": "2.475E+3"}}])
    assert (answer.live_items, answer.distance_sum) == (2, 3875)
