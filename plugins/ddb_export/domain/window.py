"""Export windows: half-open stretches of time ``[start, end)`` that one incremental export covers.

DynamoDB takes windows from 15 minutes to 24 hours, start inclusive, end exclusive (AWS Developer Guide, "Requesting a table
export"). Ours are whole minutes in UTC besides, so that the end of one is exactly the start of the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from ddb_export.domain.utc import compact, is_whole_minute, iso, parse_compact, require_utc

SHORTEST = timedelta(minutes=15)
LONGEST = timedelta(hours=24)


@dataclass(frozen=True, slots=True, order=True)
class Stretch:
    """A half-open stretch ``[start, end)`` of whole minutes in UTC, of any positive length.

    :param start: first moment inside.
    :param end: first moment outside.
    :raises ValueError: naive times, seconds, or ``end`` not after ``start``.
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", require_utc(self.start))
        object.__setattr__(self, "end", require_utc(self.end))
        if not (is_whole_minute(self.start) and is_whole_minute(self.end)):
            raise ValueError(f"{self} does not begin and end at whole minutes")
        if self.end <= self.start:
            raise ValueError(f"{self} does not end after its start")

    @property
    def length(self) -> timedelta:
        """How long it is."""
        return self.end - self.start

    def overlaps(self, other: Stretch) -> bool:
        """Tell whether the two share a moment; touching ends do not count."""
        return self.start < other.end and other.start < self.end

    def contains(self, other: Stretch) -> bool:
        """Tell whether all of ``other`` lies inside."""
        return self.start <= other.start and other.end <= self.end

    def __str__(self) -> str:
        return f"[{iso(self.start)}, {iso(self.end)})"


@dataclass(frozen=True, slots=True, order=True)
class Window(Stretch):
    """A stretch that one incremental export may cover: 15 minutes to 24 hours.

    :raises ValueError: as :class:`Stretch`, and for a length that DynamoDB refuses.
    """

    def __post_init__(self) -> None:
        Stretch.__post_init__(self)
        if not SHORTEST <= self.length <= LONGEST:
            raise ValueError(f"{self} is {self.length} long; DynamoDB exports windows of 15 minutes to 24 hours")

    @property
    def key(self) -> str:
        """Its name in paths: ``{start}-{end}`` in compact UTC."""
        return f"{compact(self.start)}-{compact(self.end)}"


def window_of(key: str) -> Window:
    """Return the window whose :attr:`Window.key` this is.

    :raises ValueError: it is the key of none.
    """
    start, _, end = key.partition("-")
    return Window(parse_compact(start), parse_compact(end))


def joined(stretches: Sequence[Stretch]) -> tuple[Stretch, ...]:
    """Join stretches that touch or overlap.

    :param stretches: in order of their start.
    """
    found: list[Stretch] = []
    for each in stretches:
        if found and each.start <= found[-1].end:
            found[-1] = Stretch(found[-1].start, max(found[-1].end, each.end))
        else:
            found.append(Stretch(each.start, each.end))
    return tuple(found)


def subtract(stretch: Stretch, taken: Iterable[Stretch]) -> tuple[Stretch, ...]:
    """Return what of ``stretch`` none of ``taken`` covers, in order of time."""
    free = []
    cursor = stretch.start
    for other in sorted(taken, key=lambda each: each.start):
        if other.end <= cursor or other.start >= stretch.end:
            continue
        if other.start > cursor:
            free.append(Stretch(cursor, other.start))
        cursor = max(cursor, other.end)
    if cursor < stretch.end:
        free.append(Stretch(cursor, stretch.end))
    return tuple(free)


def cut(stretch: Stretch, boundaries: Sequence[datetime]) -> tuple[Window, ...]:
    """Cut a stretch into windows at the schedule's boundaries.

    A piece shorter than 15 minutes is joined to the piece after it, the last one to the piece before it; a piece longer
    than 24 hours (a day on which a clock is set back has 25) is split so that no part is shorter than 15 minutes.

    :param stretch: what to cover.
    :param boundaries: moments at which the schedule fires; those outside the stretch do not matter.
    :return: windows that tile ``stretch`` exactly, or none if it is shorter than 15 minutes as a whole.
    """
    if stretch.length < SHORTEST:
        return ()
    marks = [stretch.start]
    for boundary in sorted(set(boundaries)):
        if boundary - marks[-1] >= SHORTEST and stretch.end - boundary >= SHORTEST:
            marks.append(boundary)
    marks.append(stretch.end)
    return tuple(window for start, end in pairwise(marks) for window in _split(start, end))


def _split(start: datetime, end: datetime) -> Iterable[Window]:
    """Split into parts of 24 hours; the last two share what would leave less than 15 minutes."""
    while end - start > LONGEST:
        part = LONGEST if end - start - LONGEST >= SHORTEST else end - start - SHORTEST
        yield Window(start, start + part)
        start += part
    yield Window(start, end)


def minutes_of(stretches: Iterable[Stretch]) -> int:
    """Return how many minutes stretches have together."""
    return sum((each.length for each in stretches), timedelta()) // timedelta(minutes=1)
