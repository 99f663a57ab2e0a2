"""Time to live: expired items are removed each second, with the stream record that says that the service did it.

Facts (Developer Guide, TTL and time-to-live-ttl-streams): the TTL attribute is a top-level Number of epoch seconds; a
value more than five years in the past is ignored; the stream record is a REMOVE with ``userIdentity`` Type Service and
PrincipalId dynamodb.amazonaws.com; exports do not tell TTL removals from others. AWS takes up to days to remove an
expired item; here the delay is the setting ``time_to_live_delay_seconds`` (default 0).
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from local_aws import hooks
from local_aws.clock import DAY, SECOND, Clock
from local_aws.history import Histories, Item, Key
from local_aws.settings import SettingsByAccount
from local_aws.tables import Answer, ApiError, json_answer, table_named

FIVE_YEARS = 5 * 365 * DAY
SERVICE_IDENTITY = {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}


@dataclass
class Expiry:
    """TTL of one table: the attribute, whether it is on, and the expiry times that are ahead (a heap)."""

    attribute: str
    enabled: bool
    waiting: list[tuple[int, int, Key]] = field(default_factory=list)
    counter: int = 0

    def watch(self, key: Key, item: Item | None) -> None:
        """Note when the item expires, if it does."""
        expires = expiry_of(item, self.attribute) if self.enabled else None
        if expires is not None:
            self.counter += 1
            heapq.heappush(self.waiting, (expires, self.counter, key))


def expiry_of(item: Item | None, attribute: str) -> int | None:
    """When the item expires, in microseconds; None if its TTL attribute is absent or not a usable Number."""
    text = (item or {}).get(attribute, {}).get("N")
    try:
        return None if text is None else int(Decimal(text) * SECOND)
    except (InvalidOperation, ValueError):
        return None


class TimeToLive:
    """The TTL settings of all tables, by TableId, and the sweep that removes what expired."""

    def __init__(self, clock: Clock, histories: Histories, settings: SettingsByAccount) -> None:
        self._clock = clock
        self._histories = histories
        self._settings = settings
        self._expiries: dict[str, Expiry] = {}
        self._swept: dict[str, int] = {}

    def install(self) -> None:
        """Replace ministack's two operations and listen to writes. Call once."""
        dynamodb = hooks.dynamodb()
        dynamodb._describe_ttl = self.describe
        dynamodb._update_ttl = self.update
        self._histories.on_change.append(self._written)

    def describe(self, data: dict[str, Any]) -> Answer:
        """DescribeTimeToLive."""
        try:
            expiry = self._expiries.get(str(_table(data)["TableId"]))
        except ApiError as error:
            return error.answer()
        if expiry is None or not expiry.enabled:
            return json_answer({"TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}})
        description = {"TimeToLiveStatus": "ENABLED", "AttributeName": expiry.attribute}
        return json_answer({"TimeToLiveDescription": description})

    def update(self, data: dict[str, Any]) -> Answer:
        """UpdateTimeToLive."""
        try:
            table = _table(data)
            specification = data.get("TimeToLiveSpecification") or {}
            self._switch(table, specification.get("AttributeName"), specification.get("Enabled"))
        except ApiError as error:
            return error.answer()
        return json_answer({"TimeToLiveSpecification": specification})

    def _switch(self, table: dict[str, Any], attribute: object, enabled: object) -> None:
        if not isinstance(attribute, str) or not attribute:
            raise ApiError(
                "ValidationException",
                "1 validation error detected: Value '' at 'timeToLiveSpecification.attributeName' failed to satisfy "
                "constraint: Member must have length greater than or equal to 1",
            )
        current = self._expiries.get(str(table["TableId"]))
        # ASSUMPTION: the texts; once per hour is not enforced, so that tests need not wait.
        if current is not None and current.enabled and enabled:
            raise ApiError("ValidationException", "TimeToLive is already enabled")
        if (current is None or not current.enabled) and not enabled:
            raise ApiError("ValidationException", "TimeToLive is already disabled")
        expiry = self._expiries[str(table["TableId"])] = Expiry(attribute, bool(enabled))
        for pk, rows in table["items"].items():
            for sk, item in rows.items():
                expiry.watch((pk, sk), item)

    def _written(self, table: dict[str, Any], key: Key, item: Item | None) -> None:
        expiry = self._expiries.get(str(table["TableId"]))
        if expiry is not None:
            expiry.watch(key, item)

    def sweep(self, account: str | None = None) -> int:
        """Remove what expired by now in the tables of ``account`` (None: of all) and return how many items.

        A removal is dated when the item was due, or just after the table's last write or sweep if that is later: an
        export may have read everything up to then.
        """
        removed = 0
        for (owner, region, name), table in hooks.dynamodb()._tables.all_items():
            expiry = self._expiries.get(str(table["TableId"]))
            if expiry is not None and expiry.enabled and account in (None, owner):
                with hooks.responses().request_scope(owner, region):
                    removed += self._sweep_table(owner, name, table, expiry)
        return removed

    def _sweep_table(self, account: str, name: str, table: dict[str, Any], expiry: Expiry) -> int:
        now = self._clock.now(account)
        delay = self._settings.of(account).time_to_live_delay_seconds * SECOND
        removed = 0
        while expiry.waiting and expiry.waiting[0][0] + delay <= now:
            expires, _count, key = heapq.heappop(expiry.waiting)
            item = table["items"].get(key[0], {}).get(key[1])
            if item is None or expiry_of(item, expiry.attribute) != expires or expires < now - FIVE_YEARS:
                continue
            history = self._histories.of(table)
            last = history.last_write or history.created
            swept = self._swept.get(history.table_id, 0)
            with self._clock.pinned(max(expires + delay, last + 1, swept)):
                _remove_as_service(name, table, key, item)
            removed += 1
        self._swept[str(table["TableId"])] = now
        return removed


def _remove_as_service(name: str, table: dict[str, Any], key: Key, item: Item) -> None:
    dynamodb = hooks.dynamodb()
    before = len(dynamodb._stream_records.get(name) or [])
    dynamodb._remove_item(table, *key)
    dynamodb._emit_stream_event(name, "REMOVE", item, None)
    for record in (dynamodb._stream_records.get(name) or [])[before:]:
        record["userIdentity"] = dict(SERVICE_IDENTITY)


def _table(data: dict[str, Any]) -> dict[str, Any]:
    table = table_named(data.get("TableName"))
    if table is None:
        raise ApiError(
            "ResourceNotFoundException",
            f"Requested resource not found: Table: {data.get('TableName')} not found",
        )
    return table
