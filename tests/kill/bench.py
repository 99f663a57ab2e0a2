"""What all cases work with: the undisturbed run as the measure of the others, fresh lakes, and Airflows that go on.

What must hold right after a death, and in the end, is said by :class:`Patient`.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import boto3

from local_aws.client import Lab
from tests.kill.lake import LakeUnderTest, Run, View
from tests.kill.processes import Nursery, Worker

RESUMED = " resumed"


class GoingOn(StrEnum):
    """How Airflow goes on after the death."""

    RETRY = "retry"
    """A worker died: its heartbeats are missed, the task is tried again."""
    RESET = "reset"
    """The scheduler died with the task: who comes after it resets the orphans."""
    CLEAR = "clear"
    """A person clears the whole run."""


@dataclass(frozen=True)
class Point:
    """One call of the pipeline.

    :param task: the task instance that makes it; ``resumed`` after its wait, which is ``in the triggerer``.
    :param ordinal: how many calls of the same operation precede it in this task instance.
    :param thing: what it is about, for people.
    """

    task: str
    service: str
    operation: str
    ordinal: int
    thing: str = ""

    @property
    def kind(self) -> tuple[str, str, str]:
        """Task without map index, service and operation."""
        return without_index(self.task), self.service, self.operation

    @property
    def resumed(self) -> bool:
        """Whether the task makes it after its wait."""
        return self.task.endswith(RESUMED)

    @property
    def changes_something(self) -> bool:
        """Whether the call can change anything at AWS."""
        return not self.operation.startswith(("Get", "List", "Head", "Describe"))

    def __str__(self) -> str:
        return f"{self.task}: {self.service} {self.operation} {self.thing}".rstrip()


@dataclass(frozen=True)
class Undisturbed:
    """The run that nobody disturbs: every other one has to end in the same lake.

    :param points: its calls, in the order in which they were answered.
    """

    view: View
    points: tuple[Point, ...]

    def tasks(self) -> list[str]:
        """Return the task instances in the order in which they make their first call."""
        return list(dict.fromkeys(point.task for point in self.points))

    def first_of_each_kind(self) -> list[Point]:
        """Return the first call of each operation in each task."""
        found: dict[tuple[str, str, str], Point] = {}
        for point in self.points:
            found.setdefault(point.kind, point)
        return list(found.values())


@dataclass
class Bench:
    """What all cases share.

    :param lab: the embedded AWS. :param nursery: where workers come from.
    :param run: the run over which processes die. :param earlier: the runs before it, which nobody disturbs.
    """

    lab: Lab
    nursery: Nursery
    run: Run = Run.SECOND_DAY
    earlier: tuple[Run, ...] = ()

    def __post_init__(self) -> None:
        self.session = boto3.Session()
        self.reference = self._run_undisturbed()

    def patient(self) -> Patient:
        """Make a fresh table and lake."""
        return Patient(self, LakeUnderTest(self.lab, self.session))

    def _run_undisturbed(self) -> Undisturbed:
        patient = self.patient()
        airflow = patient.airflow()
        self.lab.clear_calls(patient.lake.account)
        airflow.work()
        calls = self.lab.calls(patient.lake.account)
        view = patient.lake.view()
        points = tuple(_points(calls, airflow.progress(), patient.lake.table.name))
        patient.forget()
        return Undisturbed(view, points)


@dataclass
class Patient:
    """A table and its lake, over which processes die."""

    bench: Bench
    lake: LakeUnderTest
    _running_on: str | None = None

    def airflow(self, name: str = "airflow") -> Airflow:
        """Make an Airflow of its own, which knows nothing of what others did."""
        folder = self.bench.nursery.make_airflow(f"{name}-{self.lake.account}")
        for run in self.bench.earlier:
            Airflow(self, folder, self.lake.order(run, folder=str(folder), progress="earlier.log")).work()
        return Airflow(self, folder, self.lake.order(self.bench.run, folder=str(folder)))

    def let_exports_run_on(self, wanted: bool) -> None:
        """Let exports that begin from now on run without an end, or end those that do."""
        lab = self.bench.lab
        if wanted and self._running_on is None:
            self._running_on = lab.add_fault("delay_export", account=self.lake.account, hold=True, times=None)
        elif not wanted and self._running_on is not None:
            lab.remove_fault(self._running_on)
            self._running_on = None

    def require_whole(self) -> None:
        """Require that whatever readers see now is whole, and what the undisturbed lake has."""
        seen, reference = self.lake.view(), self.bench.reference.view
        _require_part(seen.partitions, reference.partitions)
        _require_part(seen.live, reference.live)
        assert seen.verified <= reference.verified, seen.verified
        assert seen.published <= reference.published, seen.published
        assert seen.claims <= reference.claims, seen.claims
        exports = self.lake.exports_of_claims()
        assert exports.keys() <= {name for _, name, _ in seen.claims}, "an export was started that was not claimed"
        assert not exports or max(exports.values()) == 1, f"an export was started twice: {exports}"
        assert seen.verified <= self.lake.completed_exports(), "verified, though the export is not COMPLETED"
        # In the order of writing: nothing is shown that is not verified, nothing called published that is not shown.
        shown = [seen.published_subjects, seen.live_subjects, seen.partition_subjects, seen.verified_subjects]
        assert all(later <= earlier for later, earlier in itertools.pairwise(shown)), shown

    def require_same(self) -> None:
        """Require that the lake is the undisturbed one."""
        assert self.lake.view() == self.bench.reference.view
        exports = self.lake.exports_of_claims()
        assert exports == Counter({name: 1 for _, name, _ in self.bench.reference.view.claims}), exports

    def forget(self) -> None:
        """Remove what the lab holds of it."""
        self.lake.forget()


class Airflow:
    """One deployment: a database, and one process after the other that works with it."""

    def __init__(self, patient: Patient, folder: Path, order: dict[str, Any]) -> None:
        self._patient = patient
        self._nursery = patient.bench.nursery
        self.lab = patient.bench.lab
        self.account = patient.lake.account
        self._order = order
        self.folder = folder
        self._lives = 0

    def begin(self, going_on: GoingOn = GoingOn.RETRY, hold: dict[str, Any] | None = None) -> Worker:
        """Begin the next process, of which the lab is to hold a request; see :class:`tests.kill.airflow_worker.Holding`."""
        self._lives += 1
        outcome = f"outcome-{self._lives}.json"
        death = "scheduler" if going_on is GoingOn.RESET else "worker"
        clear = going_on is GoingOn.CLEAR
        order = {**self._order, "outcome": outcome, "death": death, "clear": clear}
        return self._nursery.begin({**order, "hold": hold})

    def work(self, going_on: GoingOn = GoingOn.RETRY) -> None:
        """Let the next process do all that is left, undisturbed; require that the run succeeds."""
        self.begin(going_on).wait()
        self.require_success()

    def require_success(self) -> None:
        """Require that the last process ended, with a successful run."""
        outcome = self.folder / f"outcome-{self._lives}.json"
        assert outcome.exists(), f"process {self._lives} broke off: {self._log()}"
        ended = json.loads(outcome.read_text())
        assert ended["state"] == "success", f"the run is {ended}: {self._log()}"

    def progress(self) -> list[tuple[float, str]]:
        """Return when which task was begun."""
        lines = [line.split(" ", 1) for line in (self.folder / "progress.log").read_text().splitlines()]
        return [(float(when), what) for when, what in lines]

    def last_task(self) -> str:
        """Return the task instance that was begun last."""
        return self.progress()[-1][1]

    def _log(self) -> str:
        return (self.folder / "worker.log").read_text()[-3000:]


def _points(calls: Iterable[dict[str, Any]], progress: list[tuple[float, str]], table: str) -> Iterable[Point]:
    seen: Counter[tuple[str, str, str]] = Counter()
    for call in calls:
        when = datetime.fromisoformat(call["time"]).timestamp()
        name = [task for begun, task in progress if begun <= when][-1], call["service"], call["operation"]
        thing = str(call["parameters"].get("Key") or call["parameters"].get("Prefix") or "")
        yield Point(*name, seen[name], thing.partition(f"{table}/")[2])
        seen[name] += 1


def without_index(task: str) -> str:
    return re.sub(r"\[\d+\]", "", task)


def _require_part(seen: Any, reference: Any) -> None:
    for name, rows in seen.items():
        assert rows == reference.get(name), f"readers see {name} with {rows}, not with {reference.get(name)}"
