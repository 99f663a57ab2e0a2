"""The record of every call that clients made: who, when, what, which thing, and how it was answered."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from local_aws.api_call import ApiCall
from local_aws.clock import format_micros

LONGEST = 500_000


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """One answered call; ``time`` by the lab's clock of the account, ``seconds`` of real time until the answer."""

    sequence: int
    time: int
    seconds: float
    call: ApiCall
    status: int
    error_code: str | None

    def as_dict(self) -> dict[str, Any]:
        """The call as ``GET /_lab/calls`` shows it."""
        return {
            "sequence": self.sequence,
            "time": format_micros(self.time),
            "seconds": round(self.seconds, 6),
            "account": self.call.account,
            "region": self.call.region,
            "service": self.call.service,
            "operation": self.call.operation,
            "parameters": self.call.parameters,
            "status": self.status,
            "error_code": self.error_code,
            "needs": [list(need) for need in self.call.needs],
        }


class Calls:
    """The calls in the order in which they were answered; the oldest go when there are more than 500,000."""

    def __init__(self) -> None:
        self._calls: deque[RecordedCall] = deque(maxlen=LONGEST)
        self._sequence = 0

    def record(self, call: ApiCall, time: int, seconds: float, status: int, error_code: str | None) -> None:
        """Add an answered call."""
        self._sequence += 1
        self._calls.append(RecordedCall(self._sequence, time, seconds, call, status, error_code))

    def find(self, account: str | None, service: str | None, operation: str | None, after: int) -> list[RecordedCall]:
        """The calls that match, with a sequence number above ``after``."""
        return [
            recorded
            for recorded in self._calls
            if recorded.sequence > after
            and account in (None, recorded.call.account)
            and service in (None, recorded.call.service)
            and operation in (None, recorded.call.operation)
        ]

    def clear(self, account: str | None) -> None:
        """Forget the calls of one account (None: all); sequence numbers go on."""
        kept = [recorded for recorded in self._calls if account is not None and recorded.call.account != account]
        self._calls = deque(kept, maxlen=LONGEST)
