"""The lab's time: real time plus an offset per account, so that tests and the demo can lay down days in seconds.

Everything of DynamoDB (items, streams, TTL, point-in-time recovery, exports) and the ``Date`` header of every answer
follow the clock of the calling account. Times are integers: microseconds since 1970-01-01 UTC.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any

from local_aws import hooks

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_pinned: ContextVar[int | None] = ContextVar("local_aws_pinned_time", default=None)


def parse_time(text: str) -> int:
    """Microseconds for an ISO 8601 text with ``Z`` or an offset; ValueError for anything else, a naive time included."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"the time {text!r} has no time zone: end it with Z")
    return (moment - EPOCH) // timedelta(microseconds=1)


def to_datetime(microseconds: int) -> datetime:
    """The aware UTC datetime of ``microseconds``."""
    return EPOCH + timedelta(microseconds=microseconds)


def format_micros(microseconds: int) -> str:
    """ISO 8601 with microseconds and ``Z``."""
    return to_datetime(microseconds).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def format_millis(microseconds: int) -> str:
    """ISO 8601 with milliseconds and ``Z``, as export manifests write times (genuine full export, 2024)."""
    return to_datetime(microseconds).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def whole_seconds(microseconds: int) -> int:
    """``microseconds`` rounded down to a whole second, still in microseconds."""
    return microseconds - microseconds % SECOND


class Clock:
    """Real time plus an offset: one for all accounts, and one for each account that was given its own.

    An instance also stands in for the module ``time`` inside ministack's DynamoDB (only :meth:`time` differs).
    """

    def __init__(self) -> None:
        self._offset = 0
        self._offsets: dict[str, int] = {}

    def now(self, account: str | None = None) -> int:
        """The time of ``account`` (default: the account of the current request)."""
        pinned = _pinned.get()
        if pinned is not None:
            return pinned
        if account is None:
            account = str(hooks.responses().get_account_id())
        return time.time_ns() // 1000 + self.offset(account)

    def offset(self, account: str | None) -> int:
        """How far the clock of ``account`` (None: of all accounts without their own) is ahead of real time."""
        return self._offset if account is None else self._offsets.get(account, self._offset)

    def shared_by(self, account: str) -> bool:
        """Whether ``account`` follows the clock that all accounts share."""
        return account not in self._offsets

    def set_offset(self, account: str | None, offset: int) -> None:
        """Set the offset of one account, or (None) the shared one. The caller checks that time may move so."""
        if account is None:
            self._offset = offset
        else:
            self._offsets[account] = offset

    def forget(self, account: str | None) -> None:
        """Back to real time: one account follows the shared clock again, None resets all."""
        if account is None:
            self._offset = 0
            self._offsets.clear()
        else:
            self._offsets.pop(account, None)

    @contextmanager
    def pinned(self, microseconds: int) -> Iterator[None]:
        """Let the clock stand still at ``microseconds`` for the code inside (in this task or thread only)."""
        token = _pinned.set(microseconds)
        try:
            yield
        finally:
            _pinned.reset(token)

    def time(self) -> float:
        """As ``time.time()``, by the clock of the current request's account."""
        return self.now() / SECOND

    def now_iso(self) -> str:
        """As ministack's ``now_iso()``."""
        return format_millis(self.now())

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)
