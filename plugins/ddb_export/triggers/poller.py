"""One poller for all exports that a triggerer waits for over the same connection.

A thousand waits with a client and a loop of their own would hold a thousand clients and be throttled. Here the waits of one
connection, role and region share one client and one task; all that ask after exports of one account and region, with whatever
connection or role, keep one pace below DynamoDB's throttle (:mod:`ddb_export.triggers.pace`). What has waited longest for a question
of its client is asked after first, an ARN that several tasks wait for is asked after once, and the last one who leaves closes the client. Nothing is
kept elsewhere: triggers that are started again register again.
"""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from typing import Any
from weakref import WeakKeyDictionary

from ddb_export.aws.errors import CREDENTIAL_CODES, aws_errors
from ddb_export.domain.waiting import PATIENCE, pause_between_questions
from ddb_export.exceptions import DdbExportError, ExportThrottledError, NotReachableError
from ddb_export.triggers.pace import Pace, shared_pace
from ddb_export.triggers.waits import counted, tell_waits

log = logging.getLogger(__name__)

_IN_FLIGHT = 16
"""Questions that may be unanswered at once: enough for 3 s of latency, few enough for a network that is down."""

OpenClient = Callable[[], Awaitable[AbstractAsyncContextManager[Any]]]


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """What makes two waits share a client.

    :param aws_conn_id: Airflow connection. :param region_name: region of the export.
    :param verify: whether and how TLS certificates are checked. :param botocore_config: settings of the client, as JSON.
    :param role_arn: role to assume over the connection.
    """

    aws_conn_id: str | None
    region_name: str | None
    verify: bool | str | None
    botocore_config: str
    role_arn: str | None = None

    @classmethod
    def of(
        cls,
        export_arn: str,
        aws_conn_id: str | None,
        region_name: str | None,
        verify: bool | str | None,  # noqa: FBT001  # AWS's own kind of value
        botocore_config: Mapping[str, Any] | None,
        *,
        role_arn: str | None = None,
    ) -> ClientSettings:
        """Return the settings of a wait.

        An export is known in its own region only, so the ARN's region is taken; waits that name it and waits that leave it to the
        connection then share one pace.
        """
        parts = export_arn.split(":")
        region = parts[3] if len(parts) > 5 and parts[3] else region_name
        return cls(aws_conn_id, region, verify, json.dumps(botocore_config or {}, sort_keys=True), role_arn)

    async def open_client(self) -> AbstractAsyncContextManager[Any]:
        """Make the client, off the event loop as far as it takes long: reading the connection, credentials, service model.

        A question has one attempt: whoever is throttled must slow down all waits and not only its own.
        """

        def make_hook() -> Any:
            from ddb_export.hooks.lake import LakeHook

            given = {"connect_timeout": 10, "read_timeout": 20, **json.loads(self.botocore_config)}
            config = {**given, "retries": {"total_max_attempts": 1}}
            return LakeHook(self.aws_conn_id, self.region_name, self.verify, config, self.role_arn)

        hook = await asyncio.to_thread(make_hook)
        client: AbstractAsyncContextManager[Any] = await hook.get_async_conn()
        return client


@dataclass(eq=False, slots=True)
class _Client:
    """A client in use; one whose credentials no longer hold is closed when its last question has been answered."""

    connected: Any
    closing: AsyncExitStack
    questions: int = 0
    has_answered: bool = False
    retired: bool = False

    async def put_back(self) -> None:
        self.questions -= 1
        if self.retired and not self.questions:
            await self.closing.aclose()


@dataclass(eq=False, slots=True)
class _Waiter:
    """Someone who waits; ``context`` is that of its task, so that the log says it to the right one."""

    answer: asyncio.Future[str | DdbExportError]
    context: contextvars.Context = field(default_factory=contextvars.copy_context)

    def say(self, message: str, *values: object) -> None:
        self.context.run(log.info, message, *values)


@dataclass(eq=False, slots=True)
class _Watched:
    """An export that is waited for; times are the event loop's."""

    export_arn: str
    since: float
    poll_interval: float
    asked_at: float
    waiters: set[_Waiter] = field(default_factory=set)
    faulty_since: float | None = None

    def settle(self, answer: str | DdbExportError) -> None:
        for waiter in self.waiters:
            if not waiter.answer.done():
                waiter.answer.set_result(answer)

    def give_up(self, error: BaseException | None) -> None:
        for waiter in self.waiters:
            if error is None:
                waiter.answer.cancel()
            elif not waiter.answer.done():
                waiter.answer.set_exception(error)


class Poller:
    """Asks after exports, one after the other, until each has ended.

    :param open_client: makes the client; called again when its credentials no longer hold.
    :param pace: that of the account and region, kept together with its other pollers; by default one of its own.
    :param patience: seconds without any answer after which a wait gives up.
    :param on_question: called when DynamoDB is asked. :param on_close: called when nobody waits any more.
    """

    def __init__(
        self,
        open_client: OpenClient,
        *,
        pace: Pace | None = None,
        patience: float = PATIENCE.total_seconds(),
        on_question: Callable[[], None] = lambda: None,
        on_close: Callable[[], None] = lambda: None,
    ) -> None:
        self._open_client = open_client
        self._pace = pace or Pace()
        self._patience = patience
        self._on_question = on_question
        self._on_close = on_close
        self._watched: dict[str, _Watched] = {}
        self._later: list[tuple[float, int, _Watched]] = []
        self._ready: list[tuple[float, int, _Watched]] = []
        self._order = itertools.count()
        self._arrived = asyncio.Event()
        self._free = asyncio.Semaphore(_IN_FLIGHT)
        self._in_flight: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()
        self._client: _Client | None = None
        self._silent_since: float | None = None

    async def ended(self, export_arn: str, poll_interval: float) -> str:
        """Wait until an export has ended and return its status, COMPLETED or FAILED.

        Throttling and a network that is down for a while do not end the wait. A cancelled wait leaves nothing behind.

        :param export_arn: what to wait for. :param poll_interval: seconds between two questions at least.
        :raises PermissionDeniedError: new credentials do not help. :raises NotReachableError: no answer for too long.
        :raises DdbExportError: DynamoDB refused the question; it does not know the export.
        """
        waiter = _Waiter(asyncio.get_running_loop().create_future())
        watched = self._enter(export_arn, poll_interval, waiter)
        try:
            answer = await waiter.answer
        finally:
            await self._leave(watched, waiter)
        if isinstance(answer, DdbExportError):
            raise answer
        return answer

    def _enter(self, export_arn: str, poll_interval: float, waiter: _Waiter) -> _Watched:
        now = _now()
        watched = self._watched.get(export_arn)
        if watched is None:
            watched = self._watched[export_arn] = _Watched(export_arn, now, poll_interval, now)
            heappush(self._later, (now, next(self._order), watched))
            self._arrived.set()
        watched.poll_interval = min(watched.poll_interval, poll_interval)
        watched.waiters.add(waiter)
        if self._task is None or self._task.done():
            # A context of its own: what is logged here belongs to no task.
            self._task = asyncio.create_task(self._ask_all(), name="ddb_export poller", context=contextvars.Context())
            self._task.add_done_callback(self._stopped)
        return watched

    async def _leave(self, watched: _Watched, waiter: _Waiter) -> None:
        watched.waiters.discard(waiter)
        if not watched.waiters and self._watched.get(watched.export_arn) is watched:
            del self._watched[watched.export_arn]
        if not self._watched and self._task:
            task, self._task = self._task, None
            self._on_close()
            task.cancel()
            await asyncio.wait([task])

    def _stopped(self, task: asyncio.Task[None]) -> None:
        """Tell everyone who waits if the poller broke; nobody may wait for ever."""
        for watched in self._watched.values():
            watched.give_up(None if task.cancelled() else task.exception())

    async def _ask_all(self) -> None:
        try:
            while True:
                watched = await self._next()
                await self._free.acquire()
                await self._keep_pace()
                if self._watched.get(watched.export_arn) is not watched:
                    self._free.release()
                    continue
                watched.asked_at = _now()
                self._on_question()
                question = asyncio.create_task(self._ask(watched))
                self._in_flight.add(question)
                question.add_done_callback(self._in_flight.discard)
        finally:
            for question in self._in_flight:
                question.cancel()
            await asyncio.gather(*self._in_flight, return_exceptions=True)
            client, self._client = self._client, None
            if client:
                await client.closing.aclose()

    async def _next(self) -> _Watched:
        """Wait for an export that is due; of several, the one whose last question is longest ago."""
        while True:
            self._arrived.clear()
            now = _now()
            while self._later and self._later[0][0] <= now:
                watched = heappop(self._later)[-1]
                heappush(self._ready, (watched.asked_at, next(self._order), watched))
            while self._ready:
                watched = heappop(self._ready)[-1]
                if self._watched.get(watched.export_arn) is watched:
                    return watched
            delay = self._later[0][0] - now if self._later else None
            try:
                async with asyncio.timeout(delay):
                    await self._arrived.wait()
            except TimeoutError:
                pass

    async def _keep_pace(self) -> None:
        await self._pace.keep()
        async with self._opening:  # questions must not pile up, to be asked all at once, while a client is made
            pass
        self._pace.asked()

    async def _ask(self, watched: _Watched) -> None:
        client = None
        try:
            with aws_errors(watched.export_arn):
                client = await self._take_client()
                answer = await client.connected.describe_export(ExportArn=watched.export_arn)
            status = str(answer["ExportDescription"]["ExportStatus"])
            client.has_answered = True
            self._answered(watched, status)
        except DdbExportError as refusal:
            self._refused(watched, refusal, client)
        except Exception as error:  # noqa: BLE001  # whoever waits raises it
            watched.give_up(error)
        finally:
            self._free.release()
            if client:
                await client.put_back()

    def _answered(self, watched: _Watched, status: str) -> None:
        self._silent_since, watched.faulty_since = None, None
        self._pace.answered()
        if status == "IN_PROGRESS":
            self._ask_again(watched, pause_between_questions(watched.poll_interval, _now() - watched.since))
        else:
            watched.settle(status)

    def _refused(self, watched: _Watched, refusal: DdbExportError, client: _Client | None) -> None:
        if isinstance(refusal, NotReachableError) and refusal.retryable:
            self._unanswered(watched, refusal)
            return
        self._silent_since = None
        if isinstance(refusal, ExportThrottledError):
            self._back_off(watched, refusal)
        elif client and client.has_answered and refusal.code in CREDENTIAL_CODES:
            self._renew(watched, refusal, client)
        else:
            watched.settle(refusal)

    def _renew(self, watched: _Watched, refusal: DdbExportError, client: _Client) -> None:
        """Ask once more with what the connection says now: keys are rotated while exports run, and sessions expire."""
        client.retired = True
        if client is self._client:
            log.info("a new client is made with what the connection says now: %s", refusal)
            self._client = None
        self._ask_again(watched, 0)

    def _unanswered(self, watched: _Watched, refusal: DdbExportError) -> None:
        now = _now()
        self._silent_since = now if self._silent_since is None else self._silent_since
        watched.faulty_since = now if watched.faulty_since is None else watched.faulty_since
        if now - self._silent_since >= self._patience:
            for each in self._watched.values():
                each.settle(refusal)
        elif now - watched.faulty_since >= self._patience:
            watched.settle(refusal)
        else:
            self._back_off(watched, refusal)

    def _back_off(self, watched: _Watched, refusal: DdbExportError) -> None:
        """Let all waits of the account and region be silent for a while."""
        for waiter in watched.waiters:
            waiter.say("export %s: asked again: %s", watched.export_arn, refusal.cause)
        self._pace.back_off(watched.asked_at)
        self._ask_again(watched, 0)

    def _ask_again(self, watched: _Watched, pause: float) -> None:
        heappush(self._later, (_now() + pause, next(self._order), watched))
        self._arrived.set()

    async def _take_client(self) -> _Client:
        """Return the client; the first question opens it, and whoever comes meanwhile waits for that one."""
        async with self._opening:
            if self._client is None:
                closing = AsyncExitStack()
                connected = await closing.enter_async_context(await self._open_client())
                self._client = _Client(connected, closing)
            self._client.questions += 1
            return self._client


def _now() -> float:
    return asyncio.get_running_loop().time()


_POLLERS: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[ClientSettings, str], Poller]] = WeakKeyDictionary()
"""The pollers of each running event loop; a triggerer has one loop."""


async def export_ended(settings: ClientSettings, export_arn: str, poll_interval: float) -> str:
    """Wait, with all others of these settings, until an export has ended; see :meth:`Poller.ended`."""
    pollers = _POLLERS.setdefault(asyncio.get_running_loop(), {})
    region, account = [*export_arn.split(":"), "", "", "", "", ""][3:5]
    account_and_region = f"{region}:{account}"
    key = (settings, account_and_region)

    def forget() -> None:
        del pollers[key]

    poller = pollers.get(key)
    if poller is None:
        pace = shared_pace(account_and_region)
        tell = partial(tell_waits, account, region)
        poller = pollers[key] = Poller(settings.open_client, pace=pace, on_question=tell, on_close=forget)
    with counted(account, region):
        return await poller.ended(export_arn, poll_interval)
