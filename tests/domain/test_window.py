"""Windows: what DynamoDB takes, and how a stretch is cut into them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddb_export.domain.schedule import schedule_boundaries
from ddb_export.domain.window import LONGEST, SHORTEST, Stretch, Window, cut, subtract

START = datetime(2026, 3, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def at(minute: int) -> datetime:
    return START + minute * MINUTE


def stretch(start: int, end: int) -> Stretch:
    return Stretch(at(start), at(end))


@st.composite
def stretches(draw, longest=5 * 24 * 60):
    start = draw(st.integers(0, longest))
    return stretch(start, start + draw(st.integers(1, longest)))


minute_lists = st.lists(st.integers(-1000, 10 * 24 * 60).map(at), max_size=60)


@pytest.mark.parametrize(("length", "fits"), [(14, False), (15, True), (1440, True), (1441, False)])
def test_window_is_15_minutes_to_24_hours(length, fits):
    if fits:
        assert Window(at(0), at(length)).length == length * MINUTE
    else:
        with pytest.raises(ValueError, match="15 minutes to 24 hours"):
            Window(at(0), at(length))


@pytest.mark.scenario("F38")
@pytest.mark.parametrize(
    ("start", "end", "why"),
    [
        (START.replace(tzinfo=None), at(60), "no time zone"),
        (START + timedelta(seconds=1), at(60), "whole minutes"),
        (START, at(60) + timedelta(microseconds=1), "whole minutes"),
        (START, START, "does not end after"),
        (at(60), START, "does not end after"),
    ],
)
def test_what_is_no_stretch_is_refused(start, end, why):
    with pytest.raises(ValueError, match=why):
        Stretch(start, end)


def test_key_names_start_and_end():
    assert Window(at(0), at(90)).key == "20260301T0000Z-20260301T0130Z"


@given(stretches(longest=200), st.lists(stretches(longest=200), max_size=8))
def test_subtract_leaves_exactly_what_is_not_taken(whole, taken):
    minutes = {at(m) for m in range(400) if whole.start <= at(m) < whole.end}
    for each in taken:
        minutes = {minute for minute in minutes if not each.start <= minute < each.end}
    free = subtract(whole, taken)
    assert {minute for part in free for minute in minutes if part.start <= minute < part.end} == minutes
    assert sum((part.length for part in free), timedelta(0)) == len(minutes) * MINUTE
    assert all(earlier.end < later.start for earlier, later in pairwise(free))


@pytest.mark.scenario("F9")
@given(stretches(), minute_lists)
def test_cut_tiles_exactly(whole, boundaries):
    windows = cut(whole, boundaries)
    if whole.length < SHORTEST:
        assert windows == ()
        return
    assert windows[0].start == whole.start
    assert windows[-1].end == whole.end
    assert all(earlier.end == later.start for earlier, later in pairwise(windows))
    assert all(SHORTEST <= window.length <= LONGEST for window in windows)


@given(st.lists(st.integers(15, 24 * 60), min_size=1, max_size=40))
def test_cut_between_boundaries_is_at_each_of_them(gaps):
    marks = [at(sum(gaps[:count])) for count in range(len(gaps) + 1)]
    windows = cut(Stretch(marks[0], marks[-1]), [at(-5), *marks, marks[-1] + MINUTE])
    assert [window.start for window in windows] == marks[:-1]


@given(stretches(), minute_lists)
def test_other_cuts_are_only_where_a_piece_would_be_longer_than_a_day(whole, boundaries):
    windows = cut(whole, boundaries)
    marks = {whole.start, whole.end, *boundaries}
    edges = [edge for edge in [*(window.start for window in windows), whole.end] if edge in marks]
    if windows:
        for start, end in pairwise(edges):
            inside = [window for window in windows if start <= window.start < end]
            assert len(inside) == 1 or end - start > LONGEST


@given(stretches(), minute_lists, st.randoms())
def test_order_and_repetition_of_boundaries_do_not_matter(whole, boundaries, random):
    shuffled = [*boundaries, *boundaries]
    random.shuffle(shuffled)
    assert cut(whole, shuffled) == cut(whole, boundaries)


def berlin(start: str, end: str, cron: str = "0 0 * * *") -> list[tuple[str, timedelta]]:
    whole = Stretch(datetime.fromisoformat(start), datetime.fromisoformat(end))
    windows = cut(whole, schedule_boundaries(cron, "Europe/Berlin", whole.start, whole.end))
    return [(window.key, window.length) for window in windows]


@pytest.mark.scenario("F9")
def test_day_of_25_hours_is_split():
    assert berlin("2026-10-24T22:00Z", "2026-10-26T23:00Z") == [
        ("20261024T2200Z-20261025T2200Z", timedelta(hours=24)),
        ("20261025T2200Z-20261025T2300Z", timedelta(hours=1)),
        ("20261025T2300Z-20261026T2300Z", timedelta(hours=24)),
    ]


def test_day_of_23_hours_is_one_window():
    assert berlin("2026-03-28T23:00Z", "2026-03-29T22:00Z") == [("20260328T2300Z-20260329T2200Z", timedelta(hours=23))]


def test_short_pieces_are_joined():
    assert cut(stretch(0, 60), [at(10), at(50)]) == (Window(at(0), at(60)),)
    assert cut(stretch(0, 60), [at(20), at(30), at(50)]) == (Window(at(0), at(20)), Window(at(20), at(60)))


def test_a_little_more_than_a_day_leaves_no_short_piece():
    assert [window.length for window in cut(stretch(0, 1450), [at(10)])] == [1435 * MINUTE, 15 * MINUTE]
