"""Laying down many dated writes at once: ``POST /_lab/history``, one JSON object per line.

Each line is ``{"time": ISO, "operation": "PutItem" | "UpdateItem" | "DeleteItem", "request": {…}}`` with a normal
DynamoDB request. The writes pass the same store functions as any other, in the order of their times, and move the
account's clock; expired items are removed on the way, as the clock passes each hour.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any

from local_aws import hooks
from local_aws.clock import HOUR, format_micros, parse_time
from local_aws.laboratory import Laboratory

OPERATIONS = {"PutItem": "_put_item", "UpdateItem": "_update_item", "DeleteItem": "_delete_item"}
WRITES_PER_TURN = 200


class HistoryError(ValueError):
    """A line that cannot be applied; the message names its number and the cause. The lines before it are applied."""


@dataclass(frozen=True)
class Write:
    """One dated write."""

    line: int
    time: int
    operation: str
    request: dict[str, Any]


def parsed(body: bytes) -> list[Write]:
    """The writes in ``body``, in the order of their times (equal times: in the order of the lines)."""
    writes = []
    for number, line in enumerate(body.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
            writes.append(Write(number, parse_time(data["time"]), data["operation"], data["request"]))
        except (ValueError, KeyError, TypeError) as error:
            raise HistoryError(f"line {number} is no history line: {error!r}; see local_aws/README.md") from error
        if writes[-1].operation not in OPERATIONS:
            allowed = ", ".join(OPERATIONS)
            raise HistoryError(f"line {number}: the operation {writes[-1].operation!r} is not one of {allowed}")
    return sorted(writes, key=lambda write: write.time)


async def apply(laboratory: Laboratory, account: str, region: str, writes: list[Write]) -> int:
    """Apply ``writes`` for ``account`` and leave its clock at the last one. Returns how many were applied.

    Raises :class:`HistoryError` at the first write that is dated before the account's last one or that fails.
    """
    if not writes:
        return 0
    last = laboratory.last_event(account)
    if writes[0].time < last:
        raise HistoryError(
            f"line {writes[0].line} is dated {format_micros(writes[0].time)}, before the account's last write, table or "
            f"export at {format_micros(last)}: history can only be added at its end"
        )
    swept = writes[0].time
    for start in range(0, len(writes), WRITES_PER_TURN):
        with hooks.responses().request_scope(account, region):
            for write in writes[start : start + WRITES_PER_TURN]:
                if write.time - swept >= HOUR:
                    swept = write.time
                    _set_clock(laboratory, account, write.time)
                    laboratory.time_to_live.sweep(account)
                _apply_one(laboratory, write)
        _set_clock(laboratory, account, writes[min(start + WRITES_PER_TURN, len(writes)) - 1].time)
        await asyncio.sleep(0)
    laboratory.time_to_live.sweep(account)
    return len(writes)


def _apply_one(laboratory: Laboratory, write: Write) -> None:
    operation = getattr(hooks.dynamodb(), OPERATIONS[write.operation])
    with laboratory.clock.pinned(write.time):
        status, _headers, body = operation(write.request)
    if status != 200:
        raise HistoryError(f"line {write.line}: {write.operation} failed: {body.decode()}")


def _set_clock(laboratory: Laboratory, account: str, moment: int) -> None:
    laboratory.clock.set_offset(account, moment - time.time_ns() // 1000)
