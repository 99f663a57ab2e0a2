"""The pace that all questions to DynamoDB in one account and region keep, whichever connection or role they are asked with.

DynamoDB throttles an account and region, not a client, so whoever waits there shares one pace and one back-off.
"""

from __future__ import annotations

import asyncio
import random
from typing import Final
from weakref import WeakKeyDictionary, WeakValueDictionary

from ddb_export.domain.waiting import CALLS_PER_SECOND, longest_back_off

FIRST_BACK_OFF: Final = 1.0
LONGEST_BACK_OFF: Final = 30.0


class Pace:
    """Tells when the next question may be asked; belongs to one event loop, whose times its moments are.

    :param calls_per_second: calls at most.
    """

    def __init__(self, calls_per_second: float = CALLS_PER_SECOND) -> None:
        self._gap = 1 / calls_per_second
        self._next_call = 0.0
        self._refusals = 0
        self._backed_off_at = 0.0
        # First come, first served: pollers that woke at one moment would else race, and one could lose for ever.
        self._turn = asyncio.Lock()

    async def keep(self) -> None:
        """Wait for the next question's moment, and take it."""
        async with self._turn:
            while (delay := self._next_call - _now()) > 0:  # noqa: ASYNC110  # it may be put off meanwhile
                await asyncio.sleep(delay)
            self.asked()

    def asked(self) -> None:
        """Say that a question is asked now."""
        self._next_call = max(self._next_call, _now() + self._gap)

    def answered(self) -> None:
        """Say that a question was answered."""
        self._refusals = 0

    def back_off(self, asked_at: float) -> None:
        """Let all questions rest for a while; those that were under way together count once.

        :param asked_at: when the refused one was asked.
        """
        if asked_at < self._backed_off_at:
            return
        self._refusals += 1
        self._backed_off_at = _now()
        longest = longest_back_off(self._refusals, FIRST_BACK_OFF, LONGEST_BACK_OFF)
        rest = random.uniform(0, longest)  # noqa: S311  # no secret
        self._next_call = max(self._next_call, self._backed_off_at + rest)


_PACES: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakValueDictionary[str, Pace]] = WeakKeyDictionary()
"""The paces of each running event loop, as long as someone keeps them; a triggerer has one loop."""


def shared_pace(account_and_region: str) -> Pace:
    """Return the pace of an account and region in the running event loop; whoever asks while it is kept gets the same one."""
    paces = _PACES.setdefault(asyncio.get_running_loop(), WeakValueDictionary())
    pace = paces.get(account_and_region)
    if pace is None:
        pace = paces[account_and_region] = Pace()
    return pace


def _now() -> float:
    return asyncio.get_running_loop().time()
