"""Runs of a table's DAG without Airflow: the real operators, in the order and under the trigger rules of the real DAG.

A run keeps what Airflow keeps, the task state store and XComs, and loses what a dead process loses. It is a greenlet, so that it can stop
at any call to AWS while another run goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from types import SimpleNamespace
from typing import Any

from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred
from greenlet import GreenletExit, getcurrent, greenlet  # type: ignore[import-untyped]  # comes with SQLAlchemy, which Airflow needs

from ddb_export.domain.window import Stretch
from ddb_export.exceptions import DdbExportError
from ddb_export.operators.check import CheckPublishedOperator
from ddb_export.operators.convert import ConvertDataFilesOperator, MergeSchemaOperator, ScanDataFilesOperator
from ddb_export.operators.export import DynamoDBExportOperator
from ddb_export.operators.hand_over import HandOverOperator
from ddb_export.operators.plan import PlanExportsOperator
from ddb_export.operators.publish import PublishExportsOperator
from ddb_export.operators.verify import VerifyExportOperator
from ddb_export.retry_policy import DdbExportRetryPolicy
from tests.model.glue import DATABASE
from tests.model.store import BUCKET
from tests.model.workers import Death, Fault, LakeHook, Worker
from tests.model.world import TABLE_NAME, World

POLL = timedelta(seconds=30)
RETRY_DELAY = timedelta(minutes=5)
LAKE_NAME = TABLE_NAME
ROOT = f"tables/{LAKE_NAME}"


class State(StrEnum):
    """State of a task or run."""

    SUCCESS = "success"
    FAILED = "failed"
    SKIPPED = "skipped"
    UPSTREAM_FAILED = "upstream_failed"


@dataclass(frozen=True)
class Configuration:
    """What a user declares of the table."""

    schedule: str = "0 0 * * *"
    timezone: str = "UTC"
    settle: timedelta = timedelta(minutes=5)
    outputs: tuple[str, ...] = ("snapshots", "changes")
    view: str = "NEW_AND_OLD_IMAGES"
    on_chain_end: str = "fail"
    catchup: bool = False
    level: str = "bytes"
    retries: int = 1
    base_time: datetime | None = None
    export_filter: dict[str, Any] | None = None


@dataclass
class Airflow:
    """What Airflow's database and clock give to the runs.

    :param skew: by how much the workers' clocks go wrong. :param handed_over: the newest ``export_end`` of a scheduled run.
    """

    world: World
    rows_of: Callable[[str], int]
    skew: timedelta = timedelta()
    handed_over: str | None = None


@dataclass
class TaskResult:
    """What became of a task."""

    state: State
    value: Any = None
    error: BaseException | None = None


class _TaskInstance:
    """The part of Airflow's task instance that operators use."""

    def __init__(self, run: Run, task_id: str) -> None:
        self._run = run
        self.task_id = task_id
        self.start_date = run.airflow.world.now + run.airflow.skew
        self.run_id = run.run_id
        self.dag_id = "ddb_export__orders"
        self.map_index = -1

    def xcom_push(self, key: str, value: Any, **_: Any) -> None:
        self._run.xcoms[self.task_id, key] = value
        if (self.task_id, key) == ("hand_over", "export_end"):
            self._run.airflow.handed_over = value

    def xcom_pull(self, **_: Any) -> Any:
        return self._run.airflow.handed_over


class _StateStore(dict[str, Any]):
    """Airflow 3.3's task state store."""

    def set(self, key: str, value: Any, **_: Any) -> None:
        self[key] = value

    def delete(self, key: str) -> None:
        self.pop(key, None)


@dataclass
class Run:
    """One run of the DAG.

    :param alone: only this window is exported and verified, by the operators in a DAG of somebody's own.
    :param kind: ``scheduled``, ``manual`` or ``backfill``. :param interval: its data interval, None for a manual run.
    :param failed: tasks that ended so, their retries used up.
    :param parameters: DAG params. :param faults: number of a call, counted from the beginning → what befalls it.
    """

    run_id: str
    kind: str
    airflow: Airflow
    configuration: Configuration
    interval: Stretch | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    faults: dict[int, Fault] = field(default_factory=dict)
    xcoms: dict[tuple[str, str], Any] = field(default_factory=dict)
    kept: dict[str, _StateStore] = field(default_factory=dict)
    errors: list[tuple[str, BaseException]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    state: State | None = None
    calls: int = 0
    deaths: int = 0
    from_hand_over: bool = False
    alone: Stretch | None = None
    sleeping_until: datetime | None = None
    _allowed: int | None = None
    _greenlet: greenlet | None = None

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.state is not None

    def begin(self, *, from_hand_over: bool = False) -> None:
        """Begin, or begin again when cleared: what Airflow keeps is kept.

        :param from_hand_over: only ``hand_over`` and what follows it was cleared.
        """
        self.state = None
        self.errors = []
        self.failed = []
        self.from_hand_over = from_hand_over
        if not from_hand_over:
            self.xcoms = {}
        self.calls = 0
        self.sleeping_until = None
        self._greenlet = greenlet(self._main)

    def go(self, calls: int | None = None) -> None:
        """Go on until it ends, waits, or has made so many calls more."""
        assert self._greenlet is not None
        if self.sleeping_until and self.sleeping_until > self.airflow.world.now:
            return
        self._allowed = calls
        self._greenlet.switch()

    def abandon(self) -> None:
        """Let the run end here, as if the scheduler had given it up."""
        if self._greenlet is not None and not self.is_over:
            self.state = State.FAILED
            self._greenlet.throw(GreenletExit)
        self.state = self.state or State.FAILED

    def turn(self) -> Fault | None:
        """Make way for others, then say what befalls the next call."""
        if self._allowed is not None:
            if self._allowed <= 0:
                self._leave()
            if self._allowed is not None:
                self._allowed -= 1
        self.calls += 1
        return self.faults.get(self.calls)

    def _leave(self) -> None:
        current = getcurrent()
        assert current is self._greenlet
        assert current.parent is not None
        current.parent.switch()

    def _sleep_until(self, moment: datetime) -> None:
        while self.airflow.world.now < moment:
            self.sleeping_until = moment
            self._leave()
        self.sleeping_until = None

    def _main(self) -> None:
        state = Flow(self).run()
        self.state = state


class Flow:
    """The tasks of a run."""

    def __init__(self, run: Run) -> None:
        self.its = run
        configuration = run.configuration
        self._common: dict[str, Any] = {"bucket": BUCKET, "prefix": "tables", "lake_name": LAKE_NAME}
        self._exporting: dict[str, Any] = {
            "table": TABLE_NAME,
            "export_view": configuration.view,
            "settle": configuration.settle,
            "export_filter": configuration.export_filter,
        }
        self._outputs = configuration.outputs

    def run(self) -> State:
        """Run all tasks; return the state of the last one, which is the run's."""
        if self.its.alone:
            window = {"start": self.its.alone.start, "end": self.its.alone.end}
            export = self.task("export", partial(self._export, window))
            if export.state is State.SUCCESS:
                return self.task("verify", partial(self._verify, "verify", export.value)).state
            return export.state
        if not self.its.from_hand_over:
            plan = self.task("plan", self._plan)
            if self._base(plan):
                self._windows(plan.value)
        names = self.its.xcoms.get(("plan", "exports"))
        hand_over = self.task(
            "hand_over",
            lambda: HandOverOperator(task_id="hand_over", exports=names, outputs=self._outputs, **self._common),
        )
        self._convert(hand_over)
        check = self.task(
            "check",
            lambda: CheckPublishedOperator(
                task_id="check",
                exports=names,
                outputs=self._outputs,
                output_location="s3://lake/athena/",
                **self._common,
            ),
        )
        return State.FAILED if check.state is State.FAILED else State.SUCCESS

    def _plan(self) -> PlanExportsOperator:
        configuration, given = self.its.configuration, self.its.parameters
        return PlanExportsOperator(
            task_id="plan",
            schedule=configuration.schedule,
            timezone=configuration.timezone,
            outputs=self._outputs,
            base_time=configuration.base_time,
            on_chain_end=configuration.on_chain_end,
            start=given.get("from"),
            end=given.get("to"),
            re_export=given.get("re_export", False),
            full_export=given.get("full_export", False),
            new_base=given.get("new_base", False),
            dry_run_only=given.get("dry_run", False),
            **self._exporting,
            **self._common,
        )

    def _base(self, plan: TaskResult) -> bool:
        """Run the tasks of the full export; tell whether windows may follow."""
        if plan.state is not State.SUCCESS:
            return False
        base_time = self.its.xcoms["plan", "base_time"]
        export = self.task(
            "export_base",
            lambda: DynamoDBExportOperator(
                task_id="export_base", export_time=base_time, skip_without_time=True, **self._exporting, **self._common
            ),
        )
        if export.state is not State.SUCCESS:
            return export.state is State.SKIPPED
        return self.task("verify_base", lambda: self._verify("verify_base", export.value)).state is State.SUCCESS

    def _verify(self, task_id: str, export: Any) -> VerifyExportOperator:
        return VerifyExportOperator(task_id=task_id, export=export, level=self.its.configuration.level, **self._common)

    def _windows(self, windows: Sequence[Mapping[str, str]]) -> None:
        """Run the mapped task group: every window begins, then each goes on as its export ends."""
        tries = [Try(self, f"window.export {each['start']}", partial(self._export, each)) for each in windows]
        waiting = list(tries)
        while waiting:
            for each in list(waiting):
                each.go()
                if each.result:
                    waiting.remove(each)
                    if each.result.state is State.SUCCESS:
                        value = each.result.value
                        self.task(f"window.verify {each.name}", partial(self._verify, "verify", value))
            if waiting:
                self.its._sleep_until(min(each.wakes for each in waiting))

    def _export(self, window: Mapping[str, Any]) -> DynamoDBExportOperator:
        return DynamoDBExportOperator(task_id="export", **window, **self._exporting, **self._common)

    def _convert(self, hand_over: TaskResult) -> None:
        groups = hand_over.value or []
        scans = [
            self.task(
                f"scan {group['export']} {group['group']}",
                partial(ScanDataFilesOperator, task_id="scan", **group, **self._common),
            )
            for group in groups
        ]
        if hand_over.state is not State.SUCCESS and not any(each.state is State.SUCCESS for each in scans):
            return
        merge = self.task(
            "merge_schema",
            lambda: MergeSchemaOperator(task_id="merge_schema", file_groups=groups, **self._common),
        )
        if merge.state is not State.SUCCESS:
            return
        for group in merge.value:
            self.task(
                f"convert {group['export']} {group['group']}",
                partial(ConvertDataFilesOperator, task_id="convert", **group, **self._common),
            )
        self.task(
            "publish",
            lambda: PublishExportsOperator(
                task_id="publish", file_groups=merge.value, database=DATABASE, **self._common
            ),
        )

    def task(self, name: str, operator: Callable[[], Any]) -> TaskResult:
        """Run one task to its end, with its retries and deferrals."""
        attempt = Try(self, name, operator)
        while attempt.result is None:
            attempt.go()
            if attempt.result is None:
                self.its._sleep_until(attempt.wakes)
        return attempt.result


class Try:
    """One task with its tries: each try, and each return from a deferral, is a process of its own.

    :param make: makes the operator, as Airflow does in every process.
    """

    def __init__(self, flow: Flow, name: str, make: Callable[[], Any]) -> None:
        self._run = flow.its
        self.name = name
        self._make = make
        self._left = flow.its.configuration.retries
        self._number = 1
        self._wait: TaskDeferred | None = None
        self.wakes = flow.its.airflow.world.now
        self.result: TaskResult | None = None

    def go(self) -> None:
        """Go on, if its time has come, until it has a result or waits."""
        world = self._run.airflow.world
        if world.now < self.wakes:
            return
        try:
            self.result = TaskResult(State.SUCCESS, self._execute())
        except AirflowSkipException:
            self.result = TaskResult(State.SKIPPED)
        except TaskDeferred as deferral:
            self._defer(deferral)
        except Death as death:
            self._run.deaths += 1
            self._fail(death, retry=True)
        except DdbExportError as error:
            decision = DdbExportRetryPolicy().evaluate(error, self._number, self._number + self._left)
            self._fail(error, retry=decision.action.value != "fail")
            self.wakes = max(self.wakes, world.now + (decision.retry_delay or timedelta()))

    def _execute(self) -> Any:
        run = self._run
        operator = self._make()
        worker = Worker(run.airflow.world, run.turn)
        vars(operator)["hook"] = LakeHook(run.airflow.world, worker, run.airflow.rows_of)
        context = self._context()
        ExecutorSafeguard.tracker.set(operator)  # as Airflow's task runner does
        if self._wait is None:
            return operator.execute(context)
        deferral, event = self._wait, self._event()
        method = getattr(operator, deferral.method_name)
        return method(context, event=event, **(deferral.kwargs or {}))

    def _defer(self, deferral: TaskDeferred) -> None:
        world = self._run.airflow.world
        arn = getattr(deferral.trigger, "export_arn", None)
        if arn:
            export = world.export_of(arn)
            assert export is not None
            self.wakes = max(world.now, export.ends) + POLL
        else:
            self.wakes = world.now + deferral.trigger.delta
        self._wait = deferral

    def _event(self) -> dict[str, Any] | None:
        assert self._wait is not None
        arn = getattr(self._wait.trigger, "export_arn", None)
        if not arn:
            return None
        export = self._run.airflow.world.export_of(arn)
        assert export is not None
        assert export.status != "IN_PROGRESS"
        return {"status": export.status, "export_arn": arn}

    def _fail(self, error: BaseException, *, retry: bool) -> None:
        self._run.errors.append((self.name, error))
        self._wait = None
        if retry and self._left > 0:
            self._left -= 1
            self._number += 1
            self.wakes = self._run.airflow.world.now + RETRY_DELAY
        else:
            self._run.failed.append(self.name)
            self.result = TaskResult(State.FAILED, error=error)

    def _context(self) -> dict[str, Any]:
        run = self._run
        interval = run.interval
        return {
            "ti": _TaskInstance(run, self.name),
            "dag_run": SimpleNamespace(run_id=run.run_id, run_type=run.kind),
            "data_interval_start": interval.start if interval else None,
            "data_interval_end": interval.end if interval else None,
            "task_state_store": run.kept.setdefault(self.name, _StateStore()),
            "outlet_events": {},
        }
