"""Many tables at once on two workers, each of which is lost once: all ends verified, published, billed once.

The first is lost half-way through the exports, with calls of ExportTableToPointInTime under way, and comes back as an engine brings it back;
the second is lost half-way through the mapped conversions, and stays dead.

Beside the compose file, to be affordable: small tables, tasks' modules loaded before workers fork (``demo/airflow_local_settings.py``), and
a shorter time after which Airflow takes a task that says nothing for dead (five minutes by default).
"""

from __future__ import annotations

import functools
import json
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from demo.cloud import Cloud
from local_aws.client import Lab
from scripts.environment import ROOT
from tests.celery.api import CeleryApi
from tests.celery.asking import AskingLoss, LostAsking, keep_calls_back
from tests.celery.completeness import require_complete
from tests.celery.loss import CONVERT, EXPORT, HAND_OVER, PUBLISH, Loss, Lost, name_of
from tests.celery.placement import AIRFLOW_HOME
from tests.celery.stack import Stack
from tests.scheduler.real_airflow import wait_for
from tests.scheduler.world import World

TABLES = 50
ITEMS = 200
BASE, DAY = 3, 3
"""The base is at the last midnight but one; the window is the day behind it."""

_WORKERS, _CONCURRENCY = 2, 4
_DOTENV = {"WORKERS": str(_WORKERS), "WORKER_CONCURRENCY": str(_CONCURRENCY)}
_HEARTBEAT_SECONDS = 90
_SETTINGS = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(_HEARTBEAT_SECONDS),
}
_DECLARED = {
    "paused_at_creation": False,
    "poll_interval": "5s",
    "retry_delay": "5s",
    "file_groups": 2,
}
_LOST_ASKING, _LOST_CONVERTING = "worker-1", "worker-2"
_PRELOAD = ROOT / "demo" / "airflow_local_settings.py"
_POLL_SECONDS = 1.0
_HALF_WAY_SECONDS = 2400.0
_AGAIN_SECONDS = 900.0
_END_SECONDS = 3600.0
_SETTLED, _LONGEST = timedelta(minutes=16), timedelta(minutes=40)


def check(folder: Path, programs: Path, say: Callable[[str], None], tables: int = TABLES) -> None:
    """Run it.

    :param folder: for logs and all else, made anew. :param programs: of the image. :param say: is told one line per stage.
    :param tables: how many.
    :raises demo.errors.DemoError: a container fails. :raises AssertionError: something did not hold.
    """
    require_one_day(datetime.now(UTC))
    stack = Stack(folder, programs, say, dotenv=_DOTENV, settings=_SETTINGS, left_out=frozenset({"lab-tables"}))
    with stack:
        stack.start("lab")
        world = lay_down(stack, tables)
        # Each table asks for two exports: half of the calls pass, and as many are kept as all workers can wait for.
        kept = keep_calls_back(world.lab, world.account, tables, _WORKERS * _CONCURRENCY)
        fleet = Fleet(stack, world, kept, say)
        say(f"{tables} tables of {ITEMS} items and more, each with a base and a window of a day, two files per export")
        _preload(stack)
        stack.start()
        with CeleryApi.of(stack) as api:
            fleet.run(api)
            fleet.require_green(api)
        require_complete(fleet.world, DAY, BASE, say)


def require_one_day(now: datetime) -> None:
    """Refuse to begin where a day of the tables ends meanwhile, or ended so late that its window has not settled: a run more would be due.

    :raises AssertionError: it is such a time of day, UTC.
    """
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    first, last = midnight + _SETTLED, midnight + timedelta(days=1) - _LONGEST
    assert first <= now <= last, (
        f"it is {now:%H:%M} UTC, and a day ends within this check. Remedy: begin it between {first:%H:%M} and {last:%H:%M} UTC"
    )


def lay_down(stack: Stack, tables: int) -> World:
    """Make that many tables with their history, and declare them in the volume that the lab's bundle is read from."""
    cloud = Cloud(Lab(stack.url("lab", 4566)))
    names = tuple(f"table{number:02}" for number in range(1, tables + 1))
    aws = functools.cache(cloud.client)
    world = World(cloud.lab, aws, names, account=cloud.account, unchanged=ITEMS)
    world.lay_down()
    bundle = stack.volume("lab-bundle")
    bundle.joinpath("tables").mkdir()
    base_time = world.midnights[BASE].isoformat()
    for name in names:
        declared = world.declaration(name, base_time=base_time, **_DECLARED)
        bundle.joinpath("tables", f"{name}.yaml").write_text(json.dumps(declared))  # JSON is YAML
    shutil.copyfile(ROOT / "dags" / "ddb_export_tables.py", bundle / "ddb_export_tables.py")
    return world


def _preload(stack: Stack) -> None:
    for container in stack.placement.containers.values():
        if container.service.name == "worker":
            config = container.root / AIRFLOW_HOME.lstrip("/") / "config"
            config.mkdir(parents=True)
            shutil.copyfile(_PRELOAD, config / _PRELOAD.name)


@dataclass
class Fleet:
    """The tables' runs, and what must be true at their end.

    :param kept: faults of the lab that keep a call of ExportTableToPointInTime each.
    """

    stack: Stack
    world: World
    kept: frozenset[str]
    say: Callable[[str], None]

    @property
    def _tables(self) -> int:
        return len(self.world.names)

    def run(self, api: CeleryApi) -> None:
        """Lose one worker while it asks for exports, which comes back, and the other while it converts; wait for the end."""
        converting = self._loss(api, _LOST_CONVERTING)
        asking = AskingLoss(self._loss(api, _LOST_ASKING), self.world.lab, self.world.account, self.kept, _CONCURRENCY)
        calls = self._lose_while_it_asks(asking)
        lost = [*calls.lost.tasks, *self._lose_while_it_converts(converting).tasks]
        self._wait("every run to end", _END_SECONDS, lambda: self._ended(api) == self._tables)
        self.say(asking.require_one_export_each(calls))
        ended = {name_of(each): each["state"] for each in map(converting.now, lost)}
        assert set(ended.values()) == {"success"}, ended

    def _lose_while_it_asks(self, asking: AskingLoss) -> LostAsking:
        loss = asking.loss
        found: LostAsking = self._wait(
            "half of the exports, and a worker that asks", _HALF_WAY_SECONDS, asking.kill_while_it_asks
        )
        self._say_killed(loss, found.lost)
        for what, asked in (("accepted, not heard", found.unheard), ("late, on their way", found.late)):
            self.say(f"calls of ExportTableToPointInTime {what}: {', '.join(name_of(each.task) for each in asked)}")
        self.stack.start_again(loss.worker)
        self._wait("late calls to arrive", _AGAIN_SECONDS, lambda: asking.have_arrived(found))
        self._wait_until_begun_again(loss, found.lost)
        return found

    def _lose_while_it_converts(self, loss: Loss) -> Lost:
        lost: Lost = self._wait(
            "half of the conversions, and one to kill", _HALF_WAY_SECONDS, loss.kill_while_it_converts
        )
        self._say_killed(loss, lost)
        self._wait_until_begun_again(loss, lost)
        return lost

    def _loss(self, api: CeleryApi, worker: str) -> Loss:
        return Loss(self.stack.processes, api, worker, self._tables)

    def _say_killed(self, loss: Loss, lost: Lost) -> None:
        ran = ", ".join(map(name_of, lost.tasks))
        self.say(f"{self._progress(loss.api)}: {loss.worker} killed (SIGKILL) while it ran {ran}")

    def _wait_until_begun_again(self, loss: Loss, lost: Lost) -> None:
        again = self._wait("lost tasks to be begun again", _AGAIN_SECONDS, lambda: loss.begun_again(lost))
        later = (f"{name_of(each)} on {each['hostname']} after {lost.seconds_until(each):.0f} s" for each in again)
        self.say(f"all {len(again)} tasks that {loss.worker} ran were begun again: {', '.join(later)}")

    def require_green(self, api: CeleryApi) -> None:
        """Check that every run ended well, and say how many tasks there were and where the last try of each ran."""
        runs = api.get("/dags/~/dagRuns", limit=2 * self._tables)["dag_runs"]
        states = Counter(run["state"] for run in runs)
        assert states == {"success": self._tables}, states
        tasks = [each for run in runs for each in api.task_instances(run["dag_id"], run["dag_run_id"])]
        hosts = Counter(each["hostname"] for each in tasks if each["hostname"])
        again = sum(each["try_number"] > 1 for each in tasks)
        first, last = min(run["start_date"] for run in runs), max(run["end_date"] for run in runs)
        took = datetime.fromisoformat(last) - datetime.fromisoformat(first)
        self.say(
            f"{self._tables} runs green in {took.total_seconds() / 60:.0f} min; {len(tasks)} task instances, {again} of them tried again; "
            + ", ".join(f"{number} on {host}" for host, number in sorted(hosts.items()))
        )

    def _progress(self, api: CeleryApi) -> str:
        ended, verified, converted, published = map(api.succeeded, (EXPORT, HAND_OVER, CONVERT, PUBLISH))
        return (
            f"{ended} of {2 * self._tables} exports ended, {verified} of {self._tables} tables verified, "
            f"{converted} conversions done, {published} tables published"
        )

    def _ended(self, api: CeleryApi) -> int:
        answers = [api.get("/dags/~/dagRuns", state=state, limit=1) for state in ("success", "failed")]
        return sum(int(answer["total_entries"]) for answer in answers)

    def _wait(self, what: str, seconds: float, question: Callable[[], Any]) -> Any:
        def asked() -> Any:
            self.stack.processes.require_alive()
            time.sleep(_POLL_SECONDS)
            return question()

        return wait_for(what, asked, seconds)
