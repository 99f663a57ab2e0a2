"""Faults on demand: throttle, fail, damage, delay, hold, deny or cut what the lab does, as often as asked.

``POST /_lab/faults`` takes one JSON object; :data:`FIELDS` names what each kind understands. ``match`` maps names (of a
call's parameters, or ``partition`` (its values, joined by ``/``), ``table``, ``export_type``, ``bucket``, ``prefix``, ``key``, ``export_arn``, ``client_token``) to
regular expressions that must match the whole value. A fault lets ``skip`` matching calls pass first, and counts how
often it fired.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

COMMON = frozenset(("kind", "account", "times", "skip", "match"))
REQUEST = frozenset(("service", "operation"))
FIELDS: dict[str, frozenset[str]] = {
    "fail_export": frozenset(("code", "message", "after_files")),
    "delay_export": frozenset(("seconds", "hold")),
    "damage_file": frozenset(("target", "damage", "old", "new", "consistent")),
    "throttle": REQUEST | {"code", "message"},
    "error": REQUEST | {"code", "message", "http_status"},
    "hold": REQUEST | {"when"},
    "drop_connection": REQUEST | {"after_bytes"},
    "refuse_partition": REQUEST | {"code", "message"},
}
WHEN = ("unsent", "before", "after")
DAMAGES = ("flip_byte", "truncate", "drop", "replace_text", "wrong_count", "wrong_md5")
TARGET = re.compile(r"data:(\d+|largest|all)|manifest-(summary|files)\.(json|md5|checksum)")


class FaultError(ValueError):
    """A fault that the lab does not understand; the message names what and what it would take."""


@dataclass
class Fault:
    """One fault: what it does (``parameters``), to whom, how often it may fire (None: always) and how often it did.

    ``skip`` is how many calls or exports that match still pass; ``caught`` names the last one that did not.
    """

    id: str
    kind: str
    account: str | None
    times: int | None
    match: dict[str, str]
    parameters: dict[str, Any]
    skip: int = 0
    fired: int = 0
    held: int = 0
    caught: dict[str, Any] | None = None
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def get(self, name: str, default: Any = None) -> Any:
        """A parameter of this kind of fault."""
        return self.parameters.get(name, default)

    def applies(self, account: str, subject: Mapping[str, Any]) -> bool:
        """Whether the fault may still fire, for this account and this call or export."""
        if self.times is not None and self.fired >= self.times:
            return False
        if self.account not in (None, account):
            return False
        if any(self.get(name) not in (None, subject.get(name)) for name in REQUEST):
            return False
        return all(re.fullmatch(pattern, str(subject.get(name, ""))) for name, pattern in self.match.items())

    def takes(self, account: str, subject: Mapping[str, Any]) -> bool:
        """Whether the fault fires for this call or export; counts it, as fired or as skipped."""
        if not self.applies(account, subject):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.fired += 1
        self.caught = dict(subject)
        return True

    async def wait_for_release(self) -> None:
        """Hold the caller until the fault is released or cleared; ``held`` counts who waits."""
        self.held += 1
        try:
            await self.released.wait()
        finally:
            self.held -= 1

    def as_dict(self) -> dict[str, Any]:
        """The fault as ``GET /_lab/faults`` shows it."""
        return {
            "id": self.id,
            "kind": self.kind,
            "account": self.account,
            "times": self.times,
            "match": self.match,
            **self.parameters,
            "skip": self.skip,
            "fired": self.fired,
            "held": self.held,
            "caught": self.caught,
            "released": self.released.is_set(),
        }


class Faults:
    """The faults that are in force, oldest first."""

    def __init__(self) -> None:
        self._faults: dict[str, Fault] = {}
        self._ids = itertools.count(1)

    def add(self, data: dict[str, Any]) -> Fault:
        """Put a fault in force; raises :class:`FaultError`."""
        _check(data)
        fault = Fault(
            id=f"fault-{next(self._ids)}",
            kind=data["kind"],
            account=data.get("account"),
            times=data.get("times", 1),
            skip=data.get("skip", 0),
            match=dict(data.get("match") or {}),
            parameters={name: value for name, value in data.items() if name not in COMMON},
        )
        self._faults[fault.id] = fault
        return fault

    def all(self, account: str | None = None) -> list[Fault]:
        """All faults, or those of one account (with those for every account)."""
        return [fault for fault in self._faults.values() if account is None or fault.account in (None, account)]

    def find(self, identifier: str) -> Fault | None:
        """The fault with this id."""
        return self._faults.get(identifier)

    def claim(self, kind: str, account: str, subject: Mapping[str, Any]) -> Fault | None:
        """The first fault of a kind that applies; it counts as fired."""
        return next(
            (fault for fault in self._faults.values() if fault.kind == kind and fault.takes(account, subject)), None
        )

    def claim_all(self, kind: str, account: str, subject: Mapping[str, Any]) -> list[Fault]:
        """All faults of a kind that apply; each counts as fired."""
        return [fault for fault in self._faults.values() if fault.kind == kind and fault.takes(account, subject)]

    def clear(self, account: str | None = None, identifier: str | None = None) -> int:
        """Take out one fault, those of one account, or all; whoever is held goes on. Returns how many."""
        gone = [
            fault
            for fault in self._faults.values()
            if (identifier is None or fault.id == identifier) and (account is None or fault.account == account)
        ]
        for fault in gone:
            del self._faults[fault.id]
            fault.released.set()
        return len(gone)


def _check(data: dict[str, Any]) -> None:
    kind = data.get("kind")
    if kind not in FIELDS:
        raise FaultError(f"there is no kind of fault {kind!r}; the kinds are {', '.join(sorted(FIELDS))}")
    unknown = data.keys() - COMMON - FIELDS[kind]
    if unknown:
        takes = ", ".join(sorted(COMMON | FIELDS[kind]))
        raise FaultError(f"the fault {kind} does not know {', '.join(sorted(unknown))}; it takes {takes}")
    for name, pattern in (data.get("match") or {}).items():
        try:
            re.compile(pattern)
        except (re.error, TypeError) as error:
            raise FaultError(f"match.{name} is no regular expression: {error}") from error
    if kind == "damage_file":
        _check_damage(data)
    if kind == "error" and not data.get("code"):
        raise FaultError("the fault error needs a code, such as InternalServerError")
    if not isinstance(data.get("skip", 0), int) or data.get("skip", 0) < 0:
        raise FaultError(f"skip is how many calls pass first, not {data['skip']!r}")
    if kind == "hold" and data.get("when", "before") not in WHEN:
        raise FaultError(
            "when is 'before' (it takes effect), 'unsent' (the same, but it never happens if the client ends "
            "meanwhile) or 'after' (it took effect, before the answer)"
        )


def _check_damage(data: dict[str, Any]) -> None:
    if data.get("damage") not in DAMAGES:
        raise FaultError(f"damage is one of {', '.join(DAMAGES)}, not {data.get('damage')!r}")
    if not TARGET.fullmatch(str(data.get("target", "data:0"))):
        raise FaultError(
            "target is data:N, data:largest, data:all, manifest-summary.json, manifest-files.json or one of their "
            f"checksum files, not {data.get('target')!r}"
        )
