"""What benchmarks found, one figure a row, and the table that shows all of it at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

HEADER = ("benchmark", "case", "measured", "ours", "peer", "better by", "peer, note")
_RIGHT = frozenset((3, 4, 5))
_DIGITS = 3


@dataclass(frozen=True)
class Figure:
    """One figure, beside that of a peer where there is one.

    :param benchmark: which one measured it. :param case: on what. :param unit: of both figures, such as ``MB/s``.
    :param peer: the peer's figure; None if nobody else was measured.
    :param more_is_better: whether a larger figure is the better one.
    :param note: who the peer is, and what else a reader must know.
    """

    benchmark: str
    case: str
    unit: str
    ours: float
    peer: float | None = None
    more_is_better: bool = False
    note: str = ""

    @property
    def better_by(self) -> float | None:
        """How many times better ours is than the peer's, below 1 if it is worse; None without a peer, or where one is 0."""
        if not self.peer or not self.ours:
            return None
        return self.ours / self.peer if self.more_is_better else self.peer / self.ours

    def cells(self) -> tuple[str, ...]:
        """Return the texts of its row."""
        better_by = "" if self.better_by is None else f"{self.better_by:.2f} x"
        peer = "" if self.peer is None else shown(self.peer)
        return self.benchmark, self.case, self.unit, shown(self.ours), peer, better_by, self.note


def shown(figure: float) -> str:
    """Return a figure with as many digits as mean something; a count is exact."""
    if isinstance(figure, int):
        return f"{figure:,}"
    whole = len(str(int(abs(figure))))
    return f"{figure:,.{max(0, _DIGITS - whole)}f}" if figure else "0"


def table(figures: Sequence[Figure]) -> list[str]:
    """Return the lines of a table of all figures, in the order in which they were found."""
    rows = [HEADER, *(figure.cells() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    rows.insert(1, tuple("-" * width for width in widths))
    return ["  ".join(_aligned(row, widths)).rstrip() for row in rows]


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        cell.rjust(width) if column in _RIGHT else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
