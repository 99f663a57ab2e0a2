"""Workers that call AWS, and what can befall them: death, refusals and lost answers, at any call."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Self, TypeVar
from unittest import mock

import structlog

from ddb_export.aws.dynamodb import DynamoDBGateway
from ddb_export.aws.glue import GlueGateway
from ddb_export.exceptions import NotReachableError
from tests.model.dynamodb import DynamoDBClient, refusal
from tests.model.glue import AthenaCounter, GlueClient
from tests.model.store import Caller, StoreView
from tests.model.world import World

T = TypeVar("T")

_MEMORY = Path("/dev/shm")  # where there is one, the conversion's temporary files need no disk
CALL_TIME = timedelta(milliseconds=20)
LONGEST_HANG = timedelta(hours=6)
"""A worker that stands still for so long right before it asks for an export was given up by Airflow (heartbeats) long ago."""


class Death(BaseException):
    """The process is gone. Nothing of it goes on, and nobody may catch it."""


class Fault(StrEnum):
    """What befalls a worker at one of its calls."""

    DIES_BEFORE = "dies before the call is sent"
    DIES_AFTER = "dies after the call took effect"
    REFUSED = "the call is throttled"
    ANSWER_LOST = "the call takes effect, its answer is lost, and botocore sends it again"


@dataclass
class Worker:
    """One process: it lives for one try of one task.

    :param turn: called before each call; gives the fault of this call, if any. Others may run meanwhile.
    """

    world: World
    turn: Callable[[], Fault | None]
    is_dead: bool = False

    def call(self, service: str, operation: str, effect: Callable[[], T]) -> T:
        """Let a call take effect and return its answer."""
        if self.is_dead:
            raise Death
        began = self.world.now
        fault = self.turn()
        if operation == "ExportTableToPointInTime" and self.world.now - began > LONGEST_HANG:
            self.die()
        self.world.calls += 1
        self.world.pass_time(CALL_TIME)
        if fault is Fault.DIES_BEFORE:
            self.die()
        if fault is Fault.REFUSED:
            raise _throttled(service, operation)
        answer = effect()
        if fault is Fault.DIES_AFTER:
            self.die()
        if fault is Fault.ANSWER_LOST:
            answer = effect()
        return answer

    def die(self) -> None:
        """End the process here."""
        self.is_dead = True
        raise Death


class LakeHook:
    """What operators have in the place of :class:`ddb_export.hooks.lake.LakeHook`: real gateways over the model's clients."""

    conn_region_name = "us-east-1"
    conn_partition = "aws"

    def __init__(self, world: World, caller: Caller, rows_of: Callable[[str], int]) -> None:
        self.dynamodb = DynamoDBGateway(DynamoDBClient(world, caller))
        self.glue = GlueGateway(GlueClient(world.catalog, caller))
        self.athena = AthenaCounter(world.catalog, world.bucket, caller, rows_of)
        self._store = StoreView(world.bucket, caller, lambda: world.now)

    def bucket(self, name: str, owner: str | None = None) -> StoreView:
        """Return the bucket."""
        return self._store


class _OneByOne:
    """A thread pool without threads, so that a history happens the same way again."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def shutdown(self, *_: Any, **__: Any) -> None: ...

    def submit(self, function: Callable[..., T], *arguments: Any) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:  # noqa: BLE001  # it is the future's
            future.set_exception(error)
        return future

    def map(self, function: Callable[..., T], *arguments: Iterable[Any]) -> Iterator[T]:
        return iter([function(*each) for each in zip(*arguments, strict=False)])


@dataclass(frozen=True)
class Delay:
    """What a task deferred for some time says, in the place of Airflow's TimeDeltaTrigger, which looks at this machine's clock."""

    delta: timedelta


@contextmanager
def model_time() -> Iterator[None]:
    """Let no thread and no clock of this machine decide what happens: the pipeline's thread pools work in their caller's thread.

    Operators log nothing meanwhile: printing would take most of the time.
    """
    logging_before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with (
        mock.patch("ddb_export.pipeline.ledger_documents.ThreadPoolExecutor", _OneByOne),
        mock.patch("ddb_export.pipeline.verification.ThreadPoolExecutor", _OneByOne),
        mock.patch("airflow.providers.standard.triggers.temporal.TimeDeltaTrigger", Delay),
        mock.patch("tempfile.tempdir", str(_MEMORY) if _MEMORY.is_dir() else None),
    ):
        try:
            yield
        finally:
            structlog.configure(**logging_before)


def _throttled(service: str, operation: str) -> Exception:
    if service in ("dynamodb", "glue"):
        return refusal(operation, "ThrottlingException", "Rate exceeded")
    return NotReachableError(f"{service} {operation}", "Please reduce your request rate", "try again", code="SlowDown")
