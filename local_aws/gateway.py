"""The ASGI application in front of ministack: dates, permissions, faults and the record of calls.

A request passes in this order: the lab's own endpoints; denied permissions; faults that answer in AWS's place; a hold
before it takes effect; ministack; a hold before the answer leaves; the record.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl

from local_aws import hooks, kms_rules, s3_rules, sts_rules
from local_aws.api_call import ApiCall, identify
from local_aws.clock import SECOND
from local_aws.control import Control, ControlRequest
from local_aws.faults import Fault
from local_aws.laboratory import Laboratory
from local_aws.service_errors import ErrorAnswer, access_denied_code, service_error, throttling_code

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

logger = logging.getLogger("local_aws.gateway")
XML_CODE = re.compile(rb"<Code>([^<]+)</Code>")


class ConnectionDroppedError(Exception):
    """Raised on purpose after a partial answer: the server then closes the connection."""


class Gateway:
    """The application that the HTTP server runs."""

    def __init__(self, laboratory: Laboratory, ready: Callable[[], None]) -> None:
        self._lab = laboratory
        self._control = Control(laboratory)
        self._ready = ready

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection scope."""
        if scope["type"] == "lifespan":
            await hooks.app().app(scope, receive, self._announcing(send))
        elif scope["type"] == "http":
            body = await _whole_body(receive)
            if body is not None:
                await self._http(scope, body, receive, send)
        else:
            await hooks.app().app(scope, receive, send)

    def _announcing(self, send: Send) -> Send:
        async def announce(message: Message) -> None:
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                self._ready()

        return announce

    async def _http(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        if scope["path"].startswith("/_lab/"):
            query = dict(parse_qsl(scope["query_string"].decode()))
            request = ControlRequest(scope["method"], scope["path"], query, body)
            status, answer = await self._control.answer(request)
            await _send_answer(send, status, {"Content-Type": "application/json"}, json.dumps(answer).encode())
            return
        headers = _headers(scope)
        raw_path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        call = identify(scope["method"], raw_path, scope["query_string"], headers, body)
        exchange = Exchange(self._lab, call, send)
        refused = self._refusal(call, headers)
        if refused is not None:
            await exchange.answer(refused)
        elif not await self._forward(scope, headers, body, receive, exchange):
            return
        exchange.record()

    def _refusal(self, call: ApiCall, headers: dict[str, str]) -> ErrorAnswer | None:
        """The error that the lab itself answers with, if any."""
        if missing := self._denial(call):
            code, status = access_denied_code(call.service)
            message = f"User: arn:aws:iam::{call.account}:root is not authorized to perform: {missing}"
            return service_error(call.service, code, message, status, json_protocol=call.json_protocol)
        if call.service == "s3" and (denied := s3_rules.wrong_owner(call, headers)):
            return denied
        return sts_rules.refused_role(call) or self._answering_fault(call)

    def _denial(self, call: ApiCall) -> str | None:
        """What the call may not do and why not, in IAM's words; None if it may."""
        permissions, resource = self._lab.permissions, call.resource or "*"
        if call.action and permissions.denied_by_rule(call.account, call.action, resource):
            return f"{call.action} on resource: {resource} with an explicit deny in an identity-based policy"
        for action, needed in call.needs:
            if not permissions.allowed_by_policy(call.account, action, needed):
                return f"{action} on resource: {needed} because no identity-based policy allows the {action} action"
        return None

    def _answering_fault(self, call: ApiCall) -> ErrorAnswer | None:
        subject = call.subject()
        fault = self._lab.faults.claim("throttle", call.account, subject)
        if fault is not None:
            code, status = throttling_code(call.service)
            code, message = fault.get("code") or code, fault.get("message") or "Rate exceeded"
            return service_error(call.service, code, message, status, json_protocol=call.json_protocol)
        fault = self._lab.faults.claim("error", call.account, subject)
        if fault is None:
            return None
        message = fault.get("message") or "The lab was asked to answer with this error"
        status = fault.get("http_status") or 400
        return service_error(call.service, fault.get("code"), message, status, json_protocol=call.json_protocol)

    async def _forward(
        self, scope: Scope, headers: dict[str, str], body: bytes, receive: Receive, exchange: Exchange
    ) -> bool:
        """Let ministack answer; False if the request never happened, as its client ended before it was sent."""
        subject = exchange.call.subject()
        held = self._lab.faults.claim("hold", exchange.call.account, subject)
        if held is not None and not await _let_through(held, exchange, receive):
            return False
        exchange.drop_after(self._lab.faults.claim("drop_connection", exchange.call.account, subject))
        if exchange.call.service == "s3":
            scope = s3_rules.with_default_kms_key(scope, exchange.call, headers)
        elif exchange.call.service == "kms":
            scope = kms_rules.in_the_keys_account(scope, exchange.call)
        await hooks.app().app(scope, _replayed(body, receive), exchange.send)
        await exchange.finish()
        return True


class Exchange:
    """One request that is being answered: puts the date on the answer, holds or cuts it, and notes how it went."""

    def __init__(self, laboratory: Laboratory, call: ApiCall, send: Send) -> None:
        self.call = call
        self._lab = laboratory
        self._send = send
        self._began = time.monotonic()
        self._status = 0
        self._error_code: str | None = None
        self._held: Fault | None = None
        self._kept: list[Message] = []
        self._bytes_left: int | None = None

    def hold_answer(self, fault: Fault) -> None:
        """Keep the answer back until the fault is released."""
        self._held = fault

    def drop_after(self, fault: Fault | None) -> None:
        """Cut the connection after the fault's number of body bytes."""
        if fault is not None:
            self._bytes_left = int(fault.get("after_bytes") or 0)

    async def answer(self, error: ErrorAnswer) -> None:
        """Answer with an error of the lab's own."""
        self._error_code = error.code
        await _send_answer(self.send, error.status, error.headers, error.body)

    async def send(self, message: Message) -> None:
        """ASGI send."""
        if message["type"] == "http.response.start":
            message = self._dated(message)
        elif message["type"] == "http.response.body" and self._status >= 400 and self._error_code is None:
            self._error_code = _error_code(message.get("body", b""))
        if self._held is not None:
            self._kept.append(message)
            return
        if message["type"] == "http.response.body" and self._bytes_left is not None:
            await self._send_part(message)
        else:
            await self._send(message)

    async def finish(self) -> None:
        """Let a held answer go once it is released."""
        if self._held is None:
            return
        held, self._held = self._held, None
        await held.wait_for_release()
        for message in self._kept:
            await self._send(message)

    def record(self) -> None:
        """Add the call to the record."""
        seconds = time.monotonic() - self._began
        now = self._lab.clock.now(self.call.account)
        self._lab.calls.record(self.call, now, seconds, self._status, self._error_code)

    def _dated(self, message: Message) -> Message:
        self._status = message["status"]
        now = self._lab.clock.now(self.call.account) // SECOND
        headers = [(name, value) for name, value in message.get("headers", []) if name.lower() != b"date"]
        for name, value in headers:
            if name.lower() == b"x-amzn-errortype" and self._error_code is None:
                self._error_code = value.decode("latin-1").partition(":")[0]
        headers.append((b"date", formatdate(now, usegmt=True).encode("ascii")))
        return {**message, "headers": headers}

    async def _send_part(self, message: Message) -> None:
        left = self._bytes_left or 0
        body = message.get("body", b"")
        await self._send({**message, "body": body[:left], "more_body": True})
        self._bytes_left = left - len(body)
        if self._bytes_left < 0 or not message.get("more_body"):
            self.record()
            raise ConnectionDroppedError("the lab was asked to drop this connection")


async def _whole_body(receive: Receive) -> bytes | None:
    """The body of a request; None if the client went away before its end."""
    chunks = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(chunks)


async def _let_through(held: Fault, exchange: Exchange, receive: Receive) -> bool:
    """Hold a request before it takes effect, or have its answer held; False if it is never to take effect."""
    when = held.get("when", "before")
    if when == "unsent":
        return await _released_before_disconnect(held, receive)
    if when == "after":
        exchange.hold_answer(held)
    else:
        await held.wait_for_release()
    return True


async def _released_before_disconnect(held: Fault, receive: Receive) -> bool:
    """Wait for the release of a fault or the end of the client's connection; True if the release was first."""
    released = asyncio.ensure_future(held.wait_for_release())
    ended = asyncio.ensure_future(receive())  # the body is read, so that the next message is a disconnect
    await asyncio.wait((released, ended), return_when=asyncio.FIRST_COMPLETED)
    for waiting in (released, ended):
        waiting.cancel()
    return not ended.done() or ended.cancelled()


def _replayed(body: bytes, receive: Receive) -> Receive:
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


def _headers(scope: Scope) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def _error_code(body: bytes) -> str | None:
    found = XML_CODE.search(body)
    if found:
        return found.group(1).decode()
    try:
        data = json.loads(body)
    except ValueError:
        return None
    return str(data.get("__type", "")).rpartition("#")[2] or None if isinstance(data, dict) else None


async def _send_answer(send: Send, status: int, headers: dict[str, str], body: bytes) -> None:
    encoded = [(name.encode(), value.encode("utf-8")) for name, value in headers.items()]
    encoded.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body, "more_body": False})
