"""A worker is lost with tasks in its hands: what it ran when it was killed is known, and each of these tasks is begun again.

A task that is seen running may have ended before a signal reaches its process. So the worker is held still (SIGSTOP) and Airflow is asked
again: only what a held worker runs can be lost, and a worker that no longer holds what it is to lose is let go.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from demo.airflow_api import Json
from tests.celery.api import CeleryApi
from tests.celery.stack import ContainerProcesses

EXPORT, HAND_OVER = "DynamoDBExportOperator", "HandOverOperator"
CONVERT, PUBLISH = "ConvertDataFilesOperator", "PublishExportsOperator"
"""Operators by which progress is counted: a table is handed over when it is verified, and published when it is converted."""

_CONVERSION = "convert"
_IN_FLIGHT_SECONDS = 2.0
"""What a worker said just before it was held has reached the database then."""


@dataclass(frozen=True)
class Lost:
    """What a worker ran when it was killed.

    :param killed: when, UTC. :param tasks: task instances as Airflow's API describes them.
    """

    killed: datetime
    tasks: list[Json]

    def seconds_until(self, instance: Json) -> float:
        """Return how long after the kill a task instance began."""
        return (datetime.fromisoformat(instance["start_date"]) - self.killed).total_seconds()


@dataclass(frozen=True)
class Loss:
    """The loss of one worker.

    :param worker: name of its container, which is its host's name too. :param tables: each is converted by two mapped tasks.
    """

    processes: ContainerProcesses
    api: CeleryApi
    worker: str
    tables: int

    def kill_while_it_converts(self) -> Lost | None:
        """Kill the worker if half of the conversions are done and it has one in its hands; otherwise return nothing, to be asked again.

        :raises AssertionError: every table is published, and no conversion was caught on the worker.
        """
        if self.api.succeeded(CONVERT) < self.tables:
            return None
        if not any(map(_is_conversion, self.tasks())):
            assert self.api.succeeded(PUBLISH) < self.tables, (
                f"{self.worker} is alive: no mapped task {_CONVERSION} was seen running on it in the second half of "
                f"the conversions, and all tables are published. Remedy: larger tables, so that conversion takes longer"
            )
            return None
        tasks = self.held_still()
        if not any(map(_is_conversion, tasks)):
            self.processes.release(self.worker)
            return None
        return self.kill(tasks)

    def tasks(self) -> list[Json]:
        """Return the task instances that Airflow says the worker runs."""
        return [each for each in self.api.running() if each["hostname"] == self.worker]

    def held_still(self) -> list[Json]:
        """Hold the worker still, and return what it runs then and cannot end any more."""
        self.processes.hold(self.worker)
        time.sleep(_IN_FLIGHT_SECONDS)
        return self.tasks()

    def kill(self, tasks: list[Json]) -> Lost:
        """Kill the worker and all that it runs (SIGKILL).

        :param tasks: what it runs, as :meth:`held_still` returned it.
        """
        killed = datetime.now(UTC)
        self.processes.kill(self.worker)
        return Lost(killed, tasks)

    def begun_again(self, lost: Lost) -> list[Json]:
        """Return the lost tasks as they are now, in the order of beginning, if each was begun again; nothing otherwise."""
        again = [self.now(each) for each in lost.tasks]
        tried = [each for each, before in zip(again, lost.tasks, strict=True) if _tries(each) > _tries(before)]
        begun = [each for each in tried if each["hostname"] and each["start_date"] and lost.seconds_until(each) > 0]
        return sorted(begun, key=lost.seconds_until) if len(begun) == len(again) else []

    def now(self, instance: Json) -> Json:
        """Return a task instance as it is now."""
        found = self.api.task_instances(instance["dag_id"], instance["dag_run_id"])
        keys = ("task_id", "map_index")
        return next(each for each in found if all(each[key] == instance[key] for key in keys))


def name_of(instance: Json) -> str:
    """Name a task instance of one of our DAGs: ``convert[0] of flights``."""
    index = f"[{instance['map_index']}]" if instance["map_index"] >= 0 else ""
    return f"{instance['task_id']}{index} of {instance['dag_id'].removeprefix('ddb_export__')}"


def _tries(instance: Json) -> int:
    return int(instance["try_number"])


def _is_conversion(instance: Json) -> bool:
    return bool(instance["task_id"] == _CONVERSION and instance["map_index"] >= 0)
