"""A DynamoDB table of the model: its writes with their times, and what an export of it must hold.

What is derived here is the truth that readers of the lake are compared with. It is simple on purpose: no indexes, no caches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

Item = dict[str, Any]

TTL_ATTRIBUTE = "expires"


@dataclass(frozen=True)
class Write:
    """One write of one item.

    :param at: when, by DynamoDB's clock. :param key: value of the partition key. :param item: None for a delete.
    """

    at: datetime
    key: str
    item: Item | None


@dataclass(frozen=True)
class NetChange:
    """What became of one key in a stretch of time: one record of an incremental export."""

    key: str
    old: Item | None
    new: Item | None
    at: datetime


@dataclass
class Table:
    """A table from its creation on; its key is ``id``.

    :param table_id: TableId. :param created: when it was created.
    """

    arn: str
    table_id: str
    created: datetime
    recovery_since: datetime | None = None
    period: timedelta = timedelta(days=35)
    writes: list[Write] = field(default_factory=list)
    _earliest_ever: datetime | None = None

    def write(self, at: datetime, key: str, values: Item | None) -> None:
        """Put an item, or delete it; what changes nothing is no write, as in DynamoDB Streams."""
        item = None if values is None else {"id": {"S": key}, **values}
        if self.state_at(at).get(key) == item:
            return
        if self.writes and at <= self.writes[-1].at:
            at = self.writes[-1].at + timedelta(microseconds=1)
        self.writes.append(Write(at, key, item))

    def state_at(self, moment: datetime) -> dict[str, Item]:
        """Return the items after every write before a moment, by key."""
        items: dict[str, Item] = {}
        for write in self.writes:
            if write.at >= moment:
                break
            if write.item is None:
                items.pop(write.key, None)
            else:
                items[write.key] = write.item
        return items

    def net_changes(self, start: datetime, end: datetime) -> Iterator[NetChange]:
        """Yield what became of each key in ``[start, end)``; a key whose item came and went inside has no record."""
        before = self.state_at(start)
        last: dict[str, Write] = {write.key: write for write in self.writes if start <= write.at < end}
        for key, write in sorted(last.items()):
            if before.get(key) != write.item:
                yield NetChange(key, before.get(key), write.item, write.at)

    def earliest_restorable(self, now: datetime) -> datetime | None:
        """Return how far recovery reaches back; None while it is off. A shorter period cuts history for good."""
        if self.recovery_since is None:
            return None
        reach = now - self.period
        if self._earliest_ever is None or reach > self._earliest_ever:
            self._earliest_ever = reach
        return max(self.recovery_since, self._earliest_ever)

    def switch_recovery(self, now: datetime, *, on: bool) -> None:
        """Turn point-in-time recovery on or off; turned on again, it begins anew."""
        if on and self.recovery_since is None:
            self.recovery_since = now
        elif not on:
            self.recovery_since = None
