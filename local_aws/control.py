"""The lab's own HTTP endpoints below ``/_lab/``: clock, history, faults, calls, exports, settings, permissions, reset.

Answers are JSON; an error is HTTP 400 or 404 with ``{"error": one line}``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from local_aws import bulk_history
from local_aws.clock import SECOND, parse_time
from local_aws.faults import FaultError
from local_aws.laboratory import ClockError, Laboratory
from local_aws.permissions import RuleError
from local_aws.settings import SettingError

REFUSALS = (ClockError, FaultError, RuleError, SettingError, bulk_history.HistoryError)


class ControlError(ValueError):
    """A control request that is not understood."""


@dataclass(frozen=True)
class ControlRequest:
    """One request below ``/_lab/``."""

    method: str
    path: str
    query: dict[str, str]
    body: bytes

    def data(self) -> dict[str, Any]:
        """The body as a JSON object (empty: no members)."""
        try:
            data = json.loads(self.body) if self.body else {}
        except ValueError as error:
            raise ControlError(f"the body is no JSON: {error}") from error
        if not isinstance(data, dict):
            raise ControlError("the body must be a JSON object")
        return data

    def account(self, data: dict[str, Any] | None = None) -> str | None:
        """The account that is meant, from the body or the query; None if it is not named."""
        account = (data or {}).get("account") or self.query.get("account")
        if account is not None and not (isinstance(account, str) and len(account) == 12 and account.isdigit()):
            raise ControlError(f"an account is a text of 12 digits, not {account!r}")
        return account


Handler = Callable[[ControlRequest], Awaitable[dict[str, Any]]]


class Control:
    """Answers the lab's own endpoints."""

    def __init__(self, laboratory: Laboratory) -> None:
        self._lab = laboratory
        self._routes: dict[tuple[str, str], Handler] = {
            ("GET", "clock"): self._get_clock,
            ("POST", "clock"): self._set_clock,
            ("POST", "history"): self._add_history,
            ("GET", "faults"): self._get_faults,
            ("POST", "faults"): self._add_fault,
            ("DELETE", "faults"): self._clear_faults,
            ("GET", "calls"): self._get_calls,
            ("DELETE", "calls"): self._clear_calls,
            ("GET", "exports"): self._get_exports,
            ("GET", "settings"): self._get_settings,
            ("POST", "settings"): self._change_settings,
            ("GET", "permissions"): self._get_permissions,
            ("POST", "permissions"): self._set_permissions,
            ("POST", "reset"): self._reset,
            ("GET", "health"): self._health,
        }

    async def answer(self, request: ControlRequest) -> tuple[int, dict[str, Any]]:
        """HTTP status and JSON answer of a request below ``/_lab/``."""
        name, _slash, rest = request.path.removeprefix("/_lab/").strip("/").partition("/")
        try:
            if name == "faults" and rest:
                return await self._one_fault(request, rest)
            handler = self._routes.get((request.method, name))
            if handler is None or rest:
                return 404, {"error": f"the lab has no {request.method} {request.path}; see local_aws/README.md"}
            return 200, await handler(request)
        except ControlError as error:
            return 400, {"error": str(error)}
        except REFUSALS as error:
            return 400, {"error": str(error)}

    async def _health(self, _request: ControlRequest) -> dict[str, Any]:
        return {"ok": True}

    async def _get_clock(self, request: ControlRequest) -> dict[str, Any]:
        return self._lab.clock_of(request.account())

    async def _set_clock(self, request: ControlRequest) -> dict[str, Any]:
        data = request.data()
        account = request.account(data)
        given = [name for name in ("now", "advance_seconds", "offset_seconds") if name in data]
        if len(given) != 1:
            raise ControlError("give exactly one of now (ISO with Z), advance_seconds, offset_seconds")
        try:
            self._lab.move_clock(account, self._offset(account, given[0], data[given[0]]))
        except (TypeError, ValueError) as error:
            raise ControlError(str(error)) from error
        return self._lab.clock_of(account)

    def _offset(self, account: str | None, way: str, value: Any) -> int:
        if way == "now":
            return parse_time(value) - time.time_ns() // 1000
        seconds: int = round(value * SECOND)
        return seconds if way == "offset_seconds" else self._lab.clock.offset(account) + seconds

    async def _add_history(self, request: ControlRequest) -> dict[str, Any]:
        account = request.account()
        if account is None:
            raise ControlError("name the account in the query: /_lab/history?account=111122223333")
        writes = bulk_history.parsed(request.body)
        region = request.query.get("region", "us-east-1")
        applied = await bulk_history.apply(self._lab, account, region, writes)
        return {"applied": applied, **self._lab.clock_of(account)}

    async def _get_faults(self, request: ControlRequest) -> dict[str, Any]:
        return {"faults": [fault.as_dict() for fault in self._lab.faults.all(request.account())]}

    async def _add_fault(self, request: ControlRequest) -> dict[str, Any]:
        data = request.data()
        request.account(data)
        return self._lab.faults.add(data).as_dict()

    async def _clear_faults(self, request: ControlRequest) -> dict[str, Any]:
        return {"cleared": self._lab.faults.clear(request.account())}

    async def _one_fault(self, request: ControlRequest, rest: str) -> tuple[int, dict[str, Any]]:
        identifier, _slash, verb = rest.partition("/")
        fault = self._lab.faults.find(identifier)
        if fault is None:
            return 404, {"error": f"there is no fault {identifier!r}"}
        if request.method == "POST" and verb == "release":
            fault.released.set()
        elif request.method == "DELETE" and not verb:
            self._lab.faults.clear(identifier=identifier)
        elif request.method != "GET" or verb:
            return 404, {"error": f"the lab has no {request.method} {request.path}"}
        return 200, fault.as_dict()

    async def _get_calls(self, request: ControlRequest) -> dict[str, Any]:
        found = self._lab.calls.find(
            request.account(),
            request.query.get("service"),
            request.query.get("operation"),
            int(request.query.get("after", "0")),
        )
        return {"calls": [recorded.as_dict() for recorded in found]}

    async def _clear_calls(self, request: ControlRequest) -> dict[str, Any]:
        self._lab.calls.clear(request.account())
        return {}

    async def _get_exports(self, request: ControlRequest) -> dict[str, Any]:
        return {"exports": [export.for_lab() for export in self._lab.exports.of(request.account())]}

    async def _get_settings(self, request: ControlRequest) -> dict[str, Any]:
        return self._lab.settings.of(request.account()).as_dict()

    async def _change_settings(self, request: ControlRequest) -> dict[str, Any]:
        data = request.data()
        account = request.account(data)
        values = {name: value for name, value in data.items() if name != "account"}
        return self._lab.settings.change(account, values).as_dict()

    async def _get_permissions(self, request: ControlRequest) -> dict[str, Any]:
        account = request.account()
        if account is None:
            raise ControlError("name the account: /_lab/permissions?account=111122223333")
        return self._permissions_of(account)

    async def _set_permissions(self, request: ControlRequest) -> dict[str, Any]:
        data = request.data()
        account = request.account(data)
        given = {name: data[name] for name in ("deny", "policies") if isinstance(data.get(name), list)}
        if account is None or not given:
            raise ControlError(
                'give the account and its rules or policies: {"account": "111122223333", "deny": ["glue:CreateTable"]}'
            )
        if "deny" in given:
            self._lab.permissions.deny(account, given["deny"])
        if "policies" in given:
            self._lab.permissions.allow_only(account, given["policies"])
        return self._permissions_of(account)

    def _permissions_of(self, account: str) -> dict[str, Any]:
        permissions = self._lab.permissions
        return {"account": account, "deny": permissions.of(account), "policies": permissions.policies_of(account)}

    async def _reset(self, request: ControlRequest) -> dict[str, Any]:
        await self._lab.reset(request.account(request.data()))
        return {}
