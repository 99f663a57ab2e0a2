"""How a command of the demo ends: by Ctrl-C or a signal it ends what it started, and two never write into one folder."""

from __future__ import annotations

import fcntl
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from demo.errors import DemoError

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that end a command, and what it started. SIGINT too: a shell lets what it starts in the background ignore it."""


def end_by_signals() -> None:
    """Let signals raise KeyboardInterrupt, so that what was started is ended on the way out."""
    for signal_number in _ENDING:
        signal.signal(signal_number, _interrupt)


def ignore_signals() -> None:
    """Let a second Ctrl-C not leave processes behind."""
    for signal_number in _ENDING:
        signal.signal(signal_number, signal.SIG_IGN)


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep others from writing into a folder meanwhile.

    :raises DemoError: another does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with folder.joinpath(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoError(str(folder), "another demo writes there", "wait for it, or give --output DIR") from None
        yield


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
