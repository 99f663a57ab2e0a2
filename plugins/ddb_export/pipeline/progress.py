"""Lines in the log while long work goes on: one at its start, then one every half minute at most, one at its end.

The wording and the rule are in :mod:`ddb_export.domain.progress`. Work is counted by files and by blocks that are read, never by rows.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Self

from ddb_export.domain.progress import Amount, begin_words, end_words, is_due, progress_words

if TYPE_CHECKING:
    from types import TracebackType

    from ddb_export.domain.manifest import ManifestFile
    from ddb_export.domain.metrics import Stage

log = logging.getLogger(__name__)

Say = Callable[[str], None]
Clock = Callable[[], float]


class ProgressLog:
    """Says how far work on data files is, from entering to leaving; call it with what was done, from any thread.

    :param stage: first word of each line. :param about: last words of each line: the ids that a person searches for.
    :param whole: all that there is to do.
    :param only_if_long: say nothing of work that is done before its first line is due.
    :param say: writes a line. :param clock: seconds that only go forward.
    """

    def __init__(
        self,
        stage: Stage,
        about: str,
        whole: Amount,
        *,
        only_if_long: bool = False,
        say: Say = log.info,
        clock: Clock = time.monotonic,
    ) -> None:
        self._stage = stage
        self._about = about
        self._whole = whole
        self._only_if_long = only_if_long
        self._say = say
        self._clock = clock
        self._lock = threading.Lock()
        self._done = Amount()
        self._began = self._said = clock()

    def __enter__(self) -> Self:
        self._began = self._said = self._clock()
        if not self._only_if_long:
            self._line(begin_words(self._whole))
        return self

    def __call__(self, files: int, size: int, rows: int = 0) -> None:
        """Count what was done since the last call: files, bytes read, rows."""
        with self._lock:
            self._done = self._done.plus(files, rows, size)
            now = self._clock()
            if is_due(timedelta(seconds=now - self._said)):
                self._said = now
                self._line(progress_words(self._done, self._whole, timedelta(seconds=now - self._began)))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and (not self._only_if_long or self._said > self._began):
            self._line(end_words(self._done, timedelta(seconds=self._clock() - self._began)))

    def _line(self, words: str) -> None:
        self._say(f"{self._stage}: {words}; {self._about}")


class StepLog:
    """Says how far work in steps is: each kind of step at its start and end, between them every half minute at most.

    :param stage: first word of each line. :param about: last words of each line. :param say: see :class:`ProgressLog`.
    """

    def __init__(self, stage: Stage, about: str, *, say: Say = log.info, clock: Clock = time.monotonic) -> None:
        self._stage = stage
        self._about = about
        self._say = say
        self._clock = clock
        self._kind: str | None = None
        self._said = clock()

    def __call__(self, kind: str, done: int, of: int) -> None:
        """Tell that steps of a kind are done.

        :param kind: in words, such as ``rewrite``.
        """
        now = self._clock()
        if not of or not (kind != self._kind or done == of or is_due(timedelta(seconds=now - self._said))):
            return
        self._kind, self._said = kind, now
        self._say(f"{self._stage}: {kind}: {done:,} of {of:,}; {self._about}")


def amount_of(files: Sequence[ManifestFile]) -> Amount:
    """Return how much work data files are, as far as their manifest tells."""
    return Amount(len(files), sum(file.item_count for file in files))
