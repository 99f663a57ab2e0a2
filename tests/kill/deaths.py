"""The moments at which a process can die, and how it dies: held by the lab at a call, killed by the test."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import partial
from typing import Any

from tests.kill.bench import Airflow, GoingOn, Point, without_index

_STEP = 0.02
_LONGEST = 60.0


class Moment(StrEnum):
    """When in a call's life the process dies; the values are the lab's words for holding it."""

    UNSENT = "unsent"
    """Before the request is sent: AWS never hears of it."""
    AFTER = "after"
    """After it took effect, before the answer."""
    LATE = "before"
    """While it is on its way: it takes effect only after the next process has done all its work."""


class NotReachedError(Exception):
    """The process did all its work without making the call at which it was to die."""


class Death:
    """A process that dies at a call: first held there, then killed.

    :param airflow: whose next process it is. :param moment: when in the call's life.
    :param point: at which call; None for the n-th of whatever task comes first.
    :param calls: how many calls of the task come before, if no point is named.
    :param later: tasks at whose first call the process dies instead, if it does not make the call that is meant.
    """

    def __init__(
        self,
        airflow: Airflow,
        moment: Moment,
        point: Point | None = None,
        *,
        calls: int = 0,
        later: Sequence[str] = (),
    ) -> None:
        self.airflow = airflow
        self.moment = moment
        self.point = point
        self.task = ""
        self.call = ""
        self._lab = airflow.lab
        self._account = airflow.account
        self._earlier = {fault["id"] for fault in self._lab.faults(self._account)}
        fault: dict[str, Any] = {"when": str(moment), "skip": point.ordinal if point else calls}
        if point:
            fault |= {"service": point.service, "operation": point.operation}
        self._wish = {"task": point.task if point else None, "fault": fault, "later": list(later)}
        self._held: str | None = None

    @property
    def as_meant(self) -> bool:
        """Whether it died at the call that was meant."""
        return self.point is None or self.point.task == self.task

    @property
    def kind(self) -> tuple[str, str, str]:
        """Task without map index, service and operation, as :attr:`Point.kind`."""
        service, operation = self.call.split()[:2]
        return without_index(self.task), service, operation

    def begin(self, going_on: GoingOn = GoingOn.RETRY) -> None:
        """Begin the process, and wait until its request is held.

        :raises NotReachedError: the process did all its work without the request.
        """
        self._worker = self.airflow.begin(going_on, self._wish)
        self._until(lambda: bool(self._holding()) or not self._worker.alive, "the request does not come")
        fault = self._holding()
        if fault is None:
            raise NotReachedError
        caught = fault["caught"]
        self._held = fault["id"]
        self.call = f"{caught['service']} {caught['operation']} {caught['key'] or caught['prefix']}".rstrip()
        self.task = self.airflow.last_task()

    def kill(self) -> None:
        """Kill the process; let the request go, unless it is to be late."""
        self._worker.kill()
        if self.moment is not Moment.LATE:
            self.let_go()

    def let_go(self) -> None:
        """Let the held request go on, and wait until it has taken effect, if it ever does."""
        assert self._held is not None
        answered = partial(self._lab.calls, self._account, operation=self.kind[-1])
        before = len(answered()) if self.moment is Moment.LATE else 0
        if self.moment is not Moment.UNSENT:
            self._lab.release(self._held)
        self._until(lambda: not self._lab.fault(str(self._held))["held"], "the lab does not let go of a request")
        if self.moment is Moment.LATE:
            self._until(lambda: len(answered()) > before, "the late request is not answered")
        self._lab.remove_fault(self._held)

    def _until(self, condition: Callable[[], bool], otherwise: str) -> None:
        given_up = time.monotonic() + _LONGEST
        while not condition():
            assert time.monotonic() < given_up, otherwise
            time.sleep(_STEP)

    def _holding(self) -> dict[str, Any] | None:
        faults = self._lab.faults(self._account)
        return next((fault for fault in faults if fault["held"] and fault["id"] not in self._earlier), None)
