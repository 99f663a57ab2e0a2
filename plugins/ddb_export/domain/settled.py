"""Windows that nothing is left to do for, run-length coded: years of a chain in a few lines.

A window is *settled* when its newest attempt is verified and everything that is made from it is published. Planning needs to know of
such a window only that it is there; its claim and its evidence stay in the ledger, and are read when someone asks for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from ddb_export.domain.utc import iso, parse_utc
from ddb_export.domain.window import Stretch, Window


@dataclass(frozen=True, slots=True)
class SettledWindow:
    """One settled window.

    :param sequence: number of the claim of its newest attempt.
    """

    table_id: str
    chain: int
    attempt: int
    sequence: int
    window: Window

    @property
    def export(self) -> str:
        """Name of the attempt."""
        return f"{self.window.key}-a{self.attempt}"


@dataclass(frozen=True, slots=True)
class SettledRun:
    """Settled windows of one length that follow each other in time and in the numbers of their claims.

    :param first_sequence: number of the first window's claim; the one after it has the next number.
    :param start: start of the first window. :param length: length of each. :param count: how many there are.
    """

    table_id: str
    chain: int
    attempt: int
    first_sequence: int
    start: datetime
    length: timedelta
    count: int

    @property
    def stretch(self) -> Stretch:
        """What all of them cover."""
        return Stretch(self.start, self.start + self.count * self.length)

    def starting_in(self, span: Stretch) -> Iterator[SettledWindow]:
        """Yield the windows that start in a stretch, in order of time."""
        first = max(0, -((self.start - span.start) // self.length))
        for index in range(first, self.count):
            start = self.start + index * self.length
            if start >= span.end:
                return
            if start >= span.start:
                yield self._at(index)

    def overlapping(self, window: Stretch) -> Iterator[SettledWindow]:
        """Yield the windows that share a moment with a stretch, in order of time."""
        return self.starting_in(Stretch(window.start - self.length + timedelta(minutes=1), window.end))

    def find(self, window: Window) -> SettledWindow | None:
        """Return this very window, None if it is not among these."""
        index, rest = divmod(window.start - self.start, self.length)
        if rest or window.length != self.length or not 0 <= index < self.count:
            return None
        return self._at(index)

    def without(self, window: Window) -> tuple[SettledRun, ...]:
        """Return these windows without one of them."""
        if self.find(window) is None:
            return (self,)
        index = (window.start - self.start) // self.length
        behind = index + 1
        before = replace(self, count=index)
        after = replace(
            self,
            first_sequence=self.first_sequence + behind,
            start=self.start + behind * self.length,
            count=self.count - behind,
        )
        return tuple(run for run in (before, after) if run.count)

    def _at(self, index: int) -> SettledWindow:
        start = self.start + index * self.length
        window = Window(start, start + self.length)
        return SettledWindow(self.table_id, self.chain, self.attempt, self.first_sequence + index, window)

    def to_json(self) -> dict[str, Any]:
        """Return the object that :meth:`from_json` reads; the length in whole minutes."""
        return {
            "table_id": self.table_id,
            "chain": self.chain,
            "attempt": self.attempt,
            "first_sequence": self.first_sequence,
            "start": iso(self.start),
            "minutes": self.length // timedelta(minutes=1),
            "count": self.count,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> SettledRun:
        """Read what :meth:`to_json` wrote."""
        return cls(
            document["table_id"],
            int(document["chain"]),
            int(document["attempt"]),
            int(document["first_sequence"]),
            parse_utc(document["start"]),
            timedelta(minutes=int(document["minutes"])),
            int(document["count"]),
        )


def settle(runs: Iterable[SettledRun], windows: Iterable[SettledWindow]) -> tuple[SettledRun, ...]:
    """Add settled windows to runs; whatever the order in which they came, the same windows give the same runs.

    :param windows: each takes the place of an earlier attempt at it.
    """
    windows = list(windows)
    for each in windows:
        runs = [
            part for run in runs for part in (run.without(each.window) if run.table_id == each.table_id else (run,))
        ]
    single = [
        SettledRun(each.table_id, each.chain, each.attempt, each.sequence, each.window.start, each.window.length, 1)
        for each in windows
    ]
    found: list[SettledRun] = []
    for run in sorted([*runs, *single], key=lambda each: (each.table_id, each.chain, each.attempt, each.start)):
        if found and _follows(found[-1], run):
            found[-1] = replace(found[-1], count=found[-1].count + run.count)
        else:
            found.append(run)
    return tuple(found)


def _follows(earlier: SettledRun, later: SettledRun) -> bool:
    return (earlier.table_id, earlier.chain, earlier.attempt, earlier.length, earlier.stretch.end) == (
        later.table_id,
        later.chain,
        later.attempt,
        later.length,
        later.start,
    ) and earlier.first_sequence + earlier.count == later.first_sequence
