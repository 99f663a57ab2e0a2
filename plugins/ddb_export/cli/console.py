"""What a command says: on stdout its result, on stderr one line per error and, on a terminal, how far it is."""

from __future__ import annotations

import json
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ddb_export.cli.arguments import PROGRAM, is_terminal
from ddb_export.exceptions import (
    ConfigurationError,
    ConversionError,
    DdbExportError,
    PlanError,
    UsageError,
    VerificationError,
)

EXIT_OK = 0
EXIT_NOT_VERIFIED = 1
EXIT_USAGE = 2
EXIT_NOT_REACHABLE = 3

_REDRAW_SECONDS = 0.1


class Advance(Protocol):
    """Shows how far a phase is."""

    def __call__(self, files: int, size: int, rows: int = 0, /) -> None:
        """Count what was done since the last call: files, bytes, rows."""


class Console:
    """Where a command prints to.

    :param as_json: one JSON object on stdout, nothing else.
    :param empty: every key of that object, with the value that stands for "not known".
    """

    def __init__(self, *, as_json: bool, empty: Mapping[str, Any]) -> None:
        self.as_json = as_json
        self._empty = empty
        self._progress: _ProgressLine | None = None

    def result(self, document: Mapping[str, Any], lines: Sequence[str]) -> int:
        """Print a result: the document for scripts, or the lines for people; and what did not hold.

        :return: the exit code.
        """
        self._end_progress()
        if self.as_json:
            self._print_document(document)
        else:
            print("\n".join(lines), flush=True)
        errors = document["errors"]
        if errors:
            more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
            _say(f"{error_line(errors[0])}{more}")
        return EXIT_OK if document["ok"] else EXIT_NOT_VERIFIED

    def fail(self, error: DdbExportError) -> int:
        """Print an error that ended the command.

        :return: the exit code for its kind.
        """
        self._fail({"file": error.thing, "cause": error.cause, "remedy": error.remedy}, str(error))
        if isinstance(error, UsageError | ConfigurationError | PlanError):
            return EXIT_USAGE
        if isinstance(error, VerificationError | ConversionError):
            return EXIT_NOT_VERIFIED
        return EXIT_NOT_REACHABLE

    def warn(self, line: str) -> None:
        """Say something that does not end the command, on one line of stderr."""
        self._end_progress()
        _say(line)

    def stopped(self, code: int, by: str) -> int:
        """Say that a person or the system stopped the command; nothing half-made is visible.

        :return: ``code``.
        """
        cause, remedy = f"stopped by {by}", "run it again; it begins anew and ends the same"
        self._fail({"file": PROGRAM, "cause": cause, "remedy": remedy}, f"{cause}. Remedy: {remedy}")
        return code

    def fault(self, code: int, error: Exception) -> int:
        """Say that this program is at fault.

        :return: ``code``.
        """
        cause = f"a fault of this program: {type(error).__name__}: {error}"
        remedy = "report it with the text above"
        traceback.print_exception(error)
        self._fail({"file": PROGRAM, "cause": cause, "remedy": remedy}, f"{cause}. Remedy: {remedy}")
        return code

    def phase(self, name: str, files: int) -> Advance:
        """Begin a phase of the work; on a terminal a line on stderr shows how far it is.

        :return: to be called with the numbers of files, bytes and rows done since the last call, from any thread.
        """
        self._end_progress()
        if not is_terminal():
            return lambda _files, _bytes, _rows=0: None
        self._progress = _ProgressLine(name, files)
        return self._progress.advance

    def _fail(self, error: Mapping[str, str], line: str) -> None:
        self._end_progress()
        if self.as_json:
            self._print_document({**self._empty, "ok": False, "errors": [dict(error)]})
        _say(line)

    def _print_document(self, document: Mapping[str, Any]) -> None:
        print(json.dumps({**self._empty, **document}), flush=True)

    def _end_progress(self) -> None:
        if self._progress:
            self._progress.clear()
            self._progress = None


class _ProgressLine:
    def __init__(self, name: str, files: int) -> None:
        self._name = name
        self._total = files
        self._files = self._bytes = 0
        self._drawn = 0.0
        self._lock = threading.Lock()

    def advance(self, files: int, size: int, _rows: int = 0, /) -> None:
        with self._lock:
            self._files += files
            self._bytes += size
            now = time.monotonic()
            if now - self._drawn >= _REDRAW_SECONDS:
                self._drawn = now
                self._draw()

    def clear(self) -> None:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()

    def _draw(self) -> None:
        width = 20
        filled = width * self._files // self._total if self._total else width
        bar = "#" * filled + "." * (width - filled)
        text = f"{self._name:<8}[{bar}] {self._files}/{self._total} files  {readable_bytes(self._bytes)}"
        sys.stderr.write(f"\r{text}\x1b[K")
        sys.stderr.flush()


def error_line(error: Mapping[str, str]) -> str:
    """Write one entry of ``errors`` on one line."""
    return f"{error['file']}: {error['cause'].rstrip('.')}. Remedy: {error['remedy']}"


def count(number: int, noun: str) -> str:
    """Write a number of things: ``1 file``, ``2 files``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def readable_bytes(size: int) -> str:
    """Write a number of bytes for people: ``1.2 GB`` (decimal, as AWS bills)."""
    for unit, scale in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} B"


def _say(line: str) -> None:
    print(f"{PROGRAM}: {' '.join(line.split())}", file=sys.stderr)
