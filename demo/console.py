"""What a person sees: short lines with the elapsed seconds, tables, and colours on a terminal only."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Sequence
from typing import TextIO

WIDTH = 100
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Console:
    """Writes progress to a stream.

    :param stream: where to; standard output by default.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._started = time.monotonic()
        self._colours = self._stream.isatty() and "NO_COLOR" not in os.environ
        self._lock = threading.Lock()
        self._said: list[str] = []

    @property
    def seconds(self) -> float:
        """Seconds since the demo began."""
        return time.monotonic() - self._started

    @property
    def said(self) -> str:
        """All of it so far, without colours."""
        return "".join(f"{_COLOUR.sub('', text)}\n" for text in self._said)

    def step(self, text: str) -> None:
        """Say that something happens now."""
        self._write(f"{self._paint(f'{self.seconds:5.0f} s', '2')}  {text}")

    def title(self, text: str) -> None:
        """Begin a section."""
        self._write(f"\n{self._paint(text, '1')}")

    def line(self, text: str = "") -> None:
        """Say something without a time."""
        self._write(text)

    def good(self, text: str) -> None:
        """Say that something holds."""
        self._write(f"  {self._paint('ok', '32')}   {text}")

    def bad(self, text: str) -> None:
        """Say that something does not hold."""
        self._write(f"  {self._paint('NO', '1;31')}   {text}")

    def table(self, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print a table; numbers stand on the right, with separators of thousands."""
        texts = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
        widths = [max(len(text) for text in column) for column in zip(header, *texts, strict=True)]
        numeric = [isinstance(cell, int) for cell in rows[0]] if rows else []
        for row in [list(header), ["-" * width for width in widths], *texts]:
            cells = [
                cell.rjust(width) if right else cell.ljust(width)
                for cell, width, right in zip(row, widths, numeric, strict=True)
            ]
            self._write("  " + "  ".join(cells).rstrip())

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colours else text

    def _write(self, text: str) -> None:
        with self._lock:
            self._said.append(text)
            print(text, file=self._stream, flush=True)
