"""Times: aware UTC, read and written without loss."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddb_export.domain.utc import (
    ceil_minute,
    compact,
    floor_minute,
    is_whole_minute,
    iso,
    parse_compact,
    parse_utc,
    require_utc,
)

moments = st.datetimes(timezones=st.timezones()).filter(lambda moment: 2000 <= moment.year < 2100)


@pytest.mark.scenario("F38")
@pytest.mark.parametrize("function", [require_utc, floor_minute, ceil_minute, iso, compact])
def test_naive_times_are_refused(function):
    with pytest.raises(ValueError, match="has no time zone"):
        function(datetime(2026, 1, 1))  # noqa: DTZ001  # naive on purpose


@pytest.mark.scenario("F38")
def test_text_without_zone_is_refused():
    with pytest.raises(ValueError, match="has no time zone"):
        parse_utc("2026-01-14T10:35:24")


def test_another_zone_is_the_same_moment_in_utc():
    moment = datetime(2026, 3, 29, 3, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    assert require_utc(moment) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    assert iso(moment) == "2026-03-29T01:30:00Z"
    assert compact(moment) == "20260329T0130Z"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2026-01-14T10:35:24.000Z", "2026-01-14T10:35:24Z"),
        ("2026-01-14T10:35:24.660Z", "2026-01-14T10:35:24.66Z"),
        ("2026-01-14T11:35:00+01:00", "2026-01-14T10:35:00Z"),
        ("2026-01-14T10:00:00.100000Z", "2026-01-14T10:00:00.1Z"),
    ],
)
def test_iso_writes_no_more_than_there_is(text, written):
    assert iso(parse_utc(text)) == written
    assert parse_utc(written) == parse_utc(text)


@given(moments)
def test_iso_keeps_the_moment(moment):
    assert parse_utc(iso(moment)) == moment.astimezone(UTC)
    assert iso(moment).endswith("Z")


@given(moments)
def test_compact_keeps_the_second(moment):
    assert parse_compact(compact(moment)) == require_utc(moment).replace(microsecond=0)


def test_compact_shows_seconds_only_if_there_are_any():
    assert compact(datetime(2026, 1, 2, 3, 4, tzinfo=UTC)) == "20260102T0304Z"
    assert compact(datetime(2026, 1, 2, 3, 4, 5, 600_000, tzinfo=UTC)) == "20260102T030405Z"


@pytest.mark.parametrize("text", ["20260102T0304", "2026-01-02T03:04Z", "2026012T30304Z", "20260102T030400Z", ""])
def test_compact_of_another_form_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        parse_compact(text)


@given(moments)
def test_minutes_enclose_the_moment(moment):
    floor, ceiling = floor_minute(moment), ceil_minute(moment)
    assert is_whole_minute(floor)
    assert floor <= moment.astimezone(UTC) <= ceiling
    assert ceiling - floor == (timedelta(0) if is_whole_minute(require_utc(moment)) else timedelta(minutes=1))


def test_ceiling_of_a_whole_minute_that_occurs_twice_is_itself():
    twice = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    assert ceil_minute(twice) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


def test_zone_with_odd_offset_is_counted_in_utc():
    odd = timezone(timedelta(minutes=53, seconds=28))
    assert floor_minute(datetime(2026, 1, 1, 0, 0, tzinfo=odd)) == datetime(2025, 12, 31, 23, 6, tzinfo=UTC)
