"""The change log of every table: what point-in-time recovery and exports read.

Every stored write of ministack's DynamoDB passes two functions; :meth:`Histories.install` wraps them. A change has a
timestamp in microseconds that is strictly increasing per table; a write that changes nothing is not logged (DynamoDB
Streams behave so too, by the Developer Guide).
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from local_aws import hooks
from local_aws.clock import SECOND, Clock

Item = dict[str, Any]
Key = tuple[Any, Any]
SETS = frozenset(("SS", "NS", "BS"))
FOREVER = 1 << 62


@dataclass(frozen=True, slots=True)
class Change:
    """One write: when, to which key, and the item before and after it (None: no item)."""

    time: int
    key: Key
    old: Item | None
    new: Item | None


def same_value(left: Any, right: Any) -> bool:
    """Whether two attribute values (``{TYPE: value}``) are equal; members of a set have no order."""
    if left == right:
        return True
    if not (isinstance(left, dict) and isinstance(right, dict)) or left.keys() != right.keys():
        return False
    return all(_same_content(tag, content, right[tag]) for tag, content in left.items())


def _same_content(tag: str, left: Any, right: Any) -> bool:
    if tag in SETS:
        return sorted(left) == sorted(right)
    if tag == "L":
        return len(left) == len(right) and all(map(same_value, left, right))
    return same_item(left, right) if tag == "M" else bool(left == right)


def same_item(left: Item | None, right: Item | None) -> bool:
    """Whether two items (or nested maps) are equal."""
    if left == right:
        return True
    if left is None or right is None or left.keys() != right.keys():
        return False
    return all(same_value(value, right[name]) for name, value in left.items())


class TableHistory:
    """The change log of one table, from its creation on."""

    def __init__(self, table: dict[str, Any]) -> None:
        self.table_id = str(table["TableId"])
        self.table_arn = str(table["TableArn"])
        self.created = int(table["CreationDateTime"]) * SECOND
        self.key_names = tuple(name for name in (table["pk_name"], table["sk_name"]) if name)
        self._changes: list[Change] = []
        self._times: list[int] = []

    @property
    def last_write(self) -> int | None:
        """The time of the last change, None if there is none."""
        return self._times[-1] if self._times else None

    def append(self, now: int, key: Key, old: Item | None, new: Item | None) -> None:
        """Log a change at ``now``, or one microsecond after the last one; a change of nothing is not logged."""
        if same_item(old, new):
            return
        time = now if not self._times or now > self._times[-1] else self._times[-1] + 1
        self._times.append(time)
        self._changes.append(Change(time, key, old, new))

    def between(self, start: int, end: int) -> Iterator[Change]:
        """The changes with ``start <= time < end``, in order."""
        first = bisect.bisect_left(self._times, start)
        last = bisect.bisect_left(self._times, end)
        for index in range(first, last):
            yield self._changes[index]

    def state_at(self, end: int) -> dict[Key, Item]:
        """The items after all changes with ``time < end``, by key."""
        items: dict[Key, Item] = {}
        for change in self.between(0, end):
            if change.new is None:
                items.pop(change.key, None)
            else:
                items[change.key] = change.new
        return items

    def replaced(self, now: int, items: dict[Key, Item]) -> None:
        """Follow a wholesale replacement of the table's items: a rolled-back transaction, or a restore.

        The changes at the end of the log that the replacement took back are taken out of it (they never happened);
        any other difference is logged as a change at ``now``.
        """
        while self._changes:
            last = self._changes[-1]
            if not same_item(items.get(last.key), last.old):
                break
            self._changes.pop()
            self._times.pop()
        before = self.state_at(FOREVER)
        for key in before.keys() - items.keys():
            self.append(now, key, before[key], None)
        for key, item in items.items():
            self.append(now, key, before.get(key), item)


class Histories:
    """The histories of all tables of all accounts, kept current by wrappers around ministack's store."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tables: dict[str, TableHistory] = {}
        self.on_change: list[Callable[[dict[str, Any], Key, Item | None], None]] = []

    def install(self) -> None:
        """Wrap ministack's store functions. Call once."""
        dynamodb = hooks.dynamodb()
        set_item, remove_item = dynamodb._set_item, dynamodb._remove_item
        items_replaced, delete_table = dynamodb._items_replaced, dynamodb._delete_table

        def logged_set_item(table: dict[str, Any], pk_val: Any, sk_val: Any, item: Item) -> Item | None:
            history = self.of(table)
            old: Item | None = set_item(table, pk_val, sk_val, item)
            self._log(history, table, (pk_val, sk_val), old, item)
            return old

        def logged_remove_item(table: dict[str, Any], pk_val: Any, sk_val: Any) -> Item | None:
            history = self.of(table)
            old: Item | None = remove_item(table, pk_val, sk_val)
            self._log(history, table, (pk_val, sk_val), old, None)
            return old

        def logged_items_replaced(table: dict[str, Any]) -> None:
            items_replaced(table)
            history = self._tables.get(str(table["TableId"]))
            if history is None:
                self.of(table)
            else:
                history.replaced(self._clock.now(), _items(table))

        def forgetting_delete_table(data: dict[str, Any]) -> Any:
            table = dynamodb._tables.get(dynamodb._normalize_table_name(data.get("TableName")))
            answer = delete_table(data)
            if answer[0] == 200 and table is not None:
                self._tables.pop(str(table["TableId"]), None)
            return answer

        dynamodb._set_item, dynamodb._remove_item = logged_set_item, logged_remove_item
        dynamodb._items_replaced, dynamodb._delete_table = logged_items_replaced, forgetting_delete_table

    def of(self, table: dict[str, Any]) -> TableHistory:
        """The history of a table of ministack's store; items that were there before it began count as writes now."""
        table_id = str(table["TableId"])
        history = self._tables.get(table_id)
        if history is None:
            history = self._tables[table_id] = TableHistory(table)
            for key, item in _items(table).items():
                history.append(self._clock.now(), key, None, item)
        return history

    def last_event(self, account: str) -> int:
        """The time of the account's last write or table creation; 0 if there is none."""
        latest = 0
        for (owner, _region, _name), table in hooks.dynamodb()._tables.all_items():
            if owner == account:
                latest = max(latest, self.of(table).created, self.of(table).last_write or 0)
        return latest

    def accounts(self) -> set[str]:
        """The accounts that have a table."""
        return {owner for (owner, _region, _name), _table in hooks.dynamodb()._tables.all_items()}

    def forget(self, account: str | None) -> None:
        """Drop the histories of one account's tables, or (None) all."""
        for table_id, history in list(self._tables.items()):
            if account is None or history.table_arn.split(":")[4] == account:
                del self._tables[table_id]

    def _log(self, history: TableHistory, table: dict[str, Any], key: Key, old: Item | None, new: Item | None) -> None:
        history.append(self._clock.now(), key, old, new)
        for listener in self.on_change:
            listener(table, key, new)


def _items(table: dict[str, Any]) -> dict[Key, Item]:
    return {(pk, sk): item for pk, rows in table["items"].items() for sk, item in rows.items()}


def key_of(item: Item, key_names: Iterable[str]) -> Item:
    """The primary key attributes of an item."""
    return {name: item[name] for name in key_names}
