"""What is said of long work: counts, speed and time left follow from what was done, and nothing is said too often."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddb_export.domain.metrics import Stage
from ddb_export.domain.progress import (
    PAUSE,
    Amount,
    begin_words,
    end_words,
    is_due,
    length_in_words,
    progress_words,
    time_left,
)
from ddb_export.pipeline.progress import ProgressLog, StepLog

MINUTE = timedelta(minutes=1)
amounts = st.builds(Amount, st.integers(0, 10**6), st.integers(0, 10**12), st.integers(0, 10**15))
lengths = st.timedeltas(timedelta(), timedelta(days=400))


def test_words():
    whole = Amount(40, 12_000_000)
    assert begin_words(whole) == "begins: 40 files, 12,000,000 rows"
    done = Amount(12, 4_000_000, 5_040_000_000)
    assert progress_words(done, whole, MINUTE) == "12 of 40 files, 4,000,000 rows, 84.0 MB/s, about 2 min left"
    assert end_words(Amount(1, 1, 63), timedelta(seconds=63)) == "has read 1 file, 1 row, 63 B in 1 min 3 s"
    assert progress_words(Amount(), whole, MINUTE) == "0 of 40 files, 0 rows"
    assert [length_in_words(timedelta(seconds=each)) for each in (0.9, 42, 125, 11_400, 93_600)] == [
        "under 1 s",
        "42 s",
        "2 min 5 s",
        "3 h 10 min",
        "1 d 2 h",
    ]


@given(amounts, amounts, lengths)
def test_any_amount_of_work_has_words_and_never_a_time_left_below_zero(done, whole, elapsed):
    assert "\n" not in progress_words(done, whole, elapsed) + end_words(done, elapsed)
    left = time_left(done, whole, elapsed)
    assert left is None or left >= timedelta()


@given(st.integers(1, 999), st.integers(1, 10**9), st.timedeltas(timedelta(seconds=1), timedelta(days=1)))
def test_work_at_an_even_pace_ends_when_it_was_said(parts, rows, elapsed):
    """After a share of the work the rest takes as long as that share did, times what is left."""
    left = time_left(Amount(rows=parts * rows), Amount(rows=1000 * rows), elapsed * parts)
    expected = elapsed * (1000 - parts)
    assert left is None if expected > timedelta(days=30) else abs(left - expected) <= timedelta(microseconds=1)


class Teller:
    """A clock that is set by hand, and all lines."""

    def __init__(self) -> None:
        self.now = 0.0
        self.lines: list[str] = []

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.tuples(st.floats(0.001, 20), st.integers(0, 3)), max_size=200))
def test_lines_are_half_a_minute_apart_and_a_start_and_an_end_besides(steps):
    teller, said_at = Teller(), []

    def say(line: str) -> None:
        said_at.append(teller.now)
        teller.lines.append(line)

    whole = Amount(sum(files for _, files in steps))
    with ProgressLog(Stage.CONVERT, "orders, export 017-ab", whole, say=say, clock=teller) as progress:
        for seconds, files in steps:
            teller.now += seconds
            progress(files, 1_000_000, files)
    between = said_at[:-1]
    assert all(later - earlier >= PAUSE.total_seconds() for earlier, later in pairwise(between))
    assert len(between) - 1 >= teller.now // (PAUSE.total_seconds() + 20)
    assert all(line.startswith("convert: ") and line.endswith("; orders, export 017-ab") for line in teller.lines)
    assert f"{whole.files:,} file" in teller.lines[-1]


def test_short_work_may_stay_silent_and_failed_work_has_no_end():
    teller = Teller()
    about = ProgressLog(Stage.CONVERT, "x", Amount(2), only_if_long=True, say=teller.lines.append, clock=teller)
    with about as progress:
        progress(2, 1)
    assert teller.lines == []
    with about as progress:
        teller.now += 31
        progress(1, 1)
    assert len(teller.lines) == 2
    failing = ProgressLog(Stage.SCAN, "x", Amount(2), say=teller.lines.append, clock=teller)
    with pytest.raises(ZeroDivisionError), failing:
        _ = 1 // 0
    assert teller.lines[2:] == ["scan: begins: 2 files, 0 rows; x"]


def test_steps_are_told_at_start_and_end_and_seldom_between():
    teller = Teller()
    steps = StepLog(Stage.WIDEN, "orders", say=teller.lines.append, clock=teller)
    for done in range(1001):
        steps("rewrite", done, 1000)
        teller.now += 0.1
    steps("switch", 0, 0)
    assert len(teller.lines) == 2 + 1000 * 0.1 // 30
    assert teller.lines[-1] == "widen: rewrite: 1,000 of 1,000; orders"
    assert is_due(PAUSE)
