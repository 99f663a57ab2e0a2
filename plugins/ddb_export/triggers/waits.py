"""How many tasks wait for exports in this process, told as a metric for each account and region.

It is told again with each question to DynamoDB, so that who keeps the metric can forget a triggerer that is gone.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from ddb_export.domain.metrics import WAITS
from ddb_export.metrics import tell_gauge

_WAITS: Counter[tuple[str, str]] = Counter()
"""Account and region → waits. Only the triggerer's one event loop counts here."""


@contextmanager
def counted(account: str, region: str) -> Iterator[None]:
    """Count a wait from entering to leaving, however it ends."""
    _WAITS[account, region] += 1
    tell_waits(account, region)
    try:
        yield
    finally:
        _WAITS[account, region] -= 1
        tell_waits(account, region)


def tell_waits(account: str, region: str) -> None:
    """Tell how many wait for exports of an account and region."""
    tell_gauge(WAITS, _WAITS[account, region], account=account, region=region, host=socket.gethostname())
