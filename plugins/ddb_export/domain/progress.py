"""How far long work is, in words for the log: files, rows, speed, time left; and when it is time for the next line.

Numbers are whole numbers throughout: bytes per microsecond are megabytes per second.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from ddb_export.domain.cost import size_in_words

PAUSE = timedelta(seconds=30)
"""Least time between two lines on work that goes on."""

_LONGEST_GUESS = timedelta(days=30)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount of work.

    :param files: data files. :param rows: items or change records in them. :param bytes: their size as it is read, compressed.
    """

    files: int = 0
    rows: int = 0
    bytes: int = 0

    def plus(self, files: int, rows: int, size: int) -> Amount:
        """Return this and some more."""
        return Amount(self.files + files, self.rows + rows, self.bytes + size)


def begin_words(whole: Amount) -> str:
    """Return what will be done: ``begins: 40 files, 3,200,000 rows``."""
    return f"begins: {_files_and_rows(whole)}"


def progress_words(done: Amount, whole: Amount, elapsed: timedelta) -> str:
    """Return how far it is: ``12 of 40 files, 960,000 rows, 84.0 MB/s, about 2 min left``.

    :param done: so far; rows count when their file is done. :param elapsed: since it began.
    """
    words = [
        f"{done.files:,} of {counted(whole.files, 'file')}",
        counted(done.rows, "row"),
        *_speed(done.bytes, elapsed),
    ]
    left = time_left(done, whole, elapsed)
    return ", ".join([*words, f"about {length_in_words(left)} left"] if left is not None else words)


def end_words(done: Amount, elapsed: timedelta) -> str:
    """Return what was done: ``has read 40 files, 3,200,000 rows, 5.3 GB in 1 min 3 s, 84.0 MB/s``."""
    took = f"{size_in_words(done.bytes)} in {length_in_words(elapsed)}"
    return ", ".join([f"has read {_files_and_rows(done)}", took, *_speed(done.bytes, elapsed)])


def time_left(done: Amount, whole: Amount, elapsed: timedelta) -> timedelta | None:
    """Return how much longer it takes if it goes on as so far: by rows, or by files where no row is done; None where nothing tells.

    Sizes are not known beforehand: manifests do not name them.
    """
    finished, of = (done.rows, whole.rows) if done.rows else (done.files, whole.files)
    if finished <= 0 or finished >= of:
        return None
    left = (elapsed // _MICROSECOND) * (of - finished) // finished
    return timedelta(microseconds=left) if left <= _LONGEST_GUESS // _MICROSECOND else None


def is_due(since_last: timedelta) -> bool:
    """Tell whether it is time for the next line.

    :param since_last: since the last one, or since the beginning.
    """
    return since_last >= PAUSE


def length_in_words(length: timedelta) -> str:
    """Return a length of time in two units at most: ``under 1 s``, ``42 s``, ``2 min 5 s``, ``3 h 10 min``, ``1 d 2 h``."""
    seconds = length // timedelta(seconds=1)
    if seconds < 1:
        return "under 1 s"
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s"))
    first = next(place for place, (value, _) in enumerate(parts) if value)
    return " ".join(f"{value} {unit}" for value, unit in parts[first : first + 2] if value)


def counted(number: int, noun: str) -> str:
    """Return a number of things in words: ``1 file``, ``3,200 files``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _files_and_rows(amount: Amount) -> str:
    return f"{counted(amount.files, 'file')}, {counted(amount.rows, 'row')}"


def _speed(size: int, elapsed: timedelta) -> list[str]:
    """Return the speed, unless the work was too short to have one that says anything."""
    if elapsed < timedelta(seconds=1) or not size:
        return []
    tenths = size * 10 // (elapsed // _MICROSECOND)
    return [f"{tenths // 10}.{tenths % 10} MB/s"] if tenths else []
