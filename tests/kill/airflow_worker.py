"""What a worker does with its life: it takes the part of Airflow's scheduler, triggerer and workers for one run of the table's DAG.

Everything is kept in Airflow's own database, by Airflow's own models, so that the next process finds what a killed one left: a
task instance that is RUNNING though nobody runs it, a trigger row whose triggerer is gone, XComs, the task state store.
"""

from __future__ import annotations

import json
import os
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from airflow import settings
from airflow.models.taskinstance import TaskInstance, clear_task_instances
from airflow.models.trigger import Trigger
from airflow.sdk._shared.module_loading import import_string
from airflow.sdk.api.datamodels._generated import TaskInstance as SdkTaskInstance
from airflow.sdk.definitions.dag import _run_inline_trigger
from airflow.sdk.execution_time.supervisor import run_task_in_process
from airflow.triggers.base import TriggerEvent
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy import select

from ddb_export.operators import check
from local_aws.client import Lab
from tests.airflow.airflow_runs import Finished, _dag_run, _name, _scheduler_dag, known

_LONGEST_LIFE = 120
_HOUR = timedelta(hours=1)
_POLL_SECONDS = 0.1


def work(order: dict[str, Any]) -> None:
    """Make the run, or go on with it, until it has ended; leave ``progress`` (tasks begun) and ``outcome`` in the folder.

    :param order: ``folder`` (with the database), ``connection`` (JSON), ``table`` (configuration of the table), ``run_id``,
        ``run_type``, ``interval`` (start and end, ISO 8601), ``params`` (of a manual run), ``death``: what Airflow does about tasks that somebody died
        over, ``worker`` or ``scheduler``; ``clear``: whether a person clears the whole run first; ``hold``: the request
        that the lab is asked to hold, see :class:`Holding`.
    """
    folder = Path(order["folder"])
    hurried: Any = check
    hurried._POLL_SECONDS = _POLL_SECONDS
    _open(folder / order["database"], order["connection"])
    run = _Run(folder, _dag(order["table"]), order)
    run.begin()
    run.work_through()


def _open(database: Path, connection: dict[str, Any]) -> None:
    os.environ["AIRFLOW_CONN_LAB"] = json.dumps(connection)
    os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = f"sqlite:///{database}"
    settings.configure_vars()
    settings.reconfigure_orm()


def _dag(table: dict[str, Any]) -> Any:
    from ddb_export.config.model import TableConfiguration
    from ddb_export.dag_factory import build_dag

    return build_dag(TableConfiguration.declare(**table))


class Holding:
    """Asks the lab to hold a request of one task, as calls are counted within a task; the killing is left to the test.

    :param order: the worker's order. Its ``hold``, if any, names the ``task`` (None for whichever is begun first), the ``fault``
        and the tasks that come ``later``: the first call of the first of these is held if the task does not make its call.
    """

    def __init__(self, order: dict[str, Any]) -> None:
        self._wish = order.get("hold") or {"task": "", "later": []}
        self._account = order["connection"]["login"]
        self._lab = Lab(order["connection"]["extra"]["endpoint_url"])
        self._fault: str | None = None

    def wants(self, task: str) -> bool:
        """Whether it is this task's request that is to be held."""
        return bool(self._wish["task"] == task)

    def begun(self, task: str) -> None:
        """A task is begun: put the fault in force, or take it out where it belongs to another task."""
        self.ended()
        if self._wish["task"] in (None, task):
            self._hold(self._wish["fault"])
            self._wish["task"] = task
        elif task in self._wish["later"]:
            self._hold({"when": self._wish["fault"]["when"]})

    def ended(self) -> None:
        """No task is at work: nothing is to be held."""
        if self._fault is not None:
            self._lab.remove_fault(self._fault)
            self._fault = None

    def _hold(self, fault: dict[str, Any]) -> None:
        self._fault = self._lab.add_fault("hold", account=self._account, **fault)


class _Run:
    def __init__(self, folder: Path, dag: Any, order: dict[str, Any]) -> None:
        self.folder = folder
        self.dag = dag
        self.order = order
        self.scheduler_dag = _scheduler_dag(dag)
        self.run = Finished(dag, order["run_id"])
        self._holding = Holding(order)

    def begin(self) -> None:
        """Make the run if there is none; else do about its orphans what Airflow does."""
        with create_session() as session:
            query = select(TaskInstance).where(TaskInstance.run_id == self.order["run_id"])
            instances = session.scalars(query).all()
            if not instances:
                self._create(session)
            for ti in instances:
                ti.task = self.scheduler_dag.task_dict[ti.task_id]
                self._adopt(ti, session)
            if self.order.get("clear"):
                clear_task_instances(list(instances), session=session)

    def work_through(self) -> None:
        """Schedule, run and trigger, one after the other, until the run has ended."""
        given_up = time.monotonic() + _LONGEST_LIFE
        with create_session() as session:
            dag_run = _dag_run(self.run, session)
            dag_run.dag = self.scheduler_dag
            dag_run.state = DagRunState.RUNNING
            session.commit()
            while dag_run.state == DagRunState.RUNNING:
                assert time.monotonic() < given_up, f"{self.run.run_id} does not end"
                session.expire_all()
                if not self._one_round(dag_run, session):
                    time.sleep(0.02)
            states = {_name(ti): str(ti.state) for ti in dag_run.get_task_instances(session=session)}
            outcome = {"state": str(dag_run.state), "states": states}
        self._holding.ended()
        (self.folder / self.order["outcome"]).write_text(json.dumps(outcome))

    def _one_round(self, dag_run: Any, session: Any) -> int:
        ready, _ = dag_run.update_state(session=session)
        for ti in ready:
            ti.try_number += 1
            ti.state = TaskInstanceState.SCHEDULED
        session.commit()
        scheduled = dag_run.get_task_instances(state=[TaskInstanceState.SCHEDULED], session=session)
        for ti in scheduled:
            self._run_task(ti, session)
        deferred = dag_run.get_task_instances(state=[TaskInstanceState.DEFERRED], session=session)
        # One after the other, while a triggerer waits for all at once: the one that is to be held must not wait for another's export.
        for ti in sorted(deferred, key=lambda each: not self._holding.wants(_waiting(each))):
            self._run_trigger(ti, session)
        return len(scheduled) + len(deferred)

    def _create(self, session: Any) -> None:
        known(self.dag)
        run_type = DagRunType(self.order["run_type"])
        start, end = (datetime.fromisoformat(each) for each in self.order["interval"])
        scheduled = {"logical_date": start, "data_interval": (start, end), "run_after": end}
        manual = {"run_after": datetime.now(end.tzinfo), "conf": self.order["params"]}
        self.scheduler_dag.create_dagrun(
            run_id=self.order["run_id"],
            run_type=run_type,
            triggered_by=DagRunTriggeredByType.TEST,
            state=DagRunState.RUNNING,
            session=session,
            **(manual if run_type is DagRunType.MANUAL else scheduled),
        )

    def _adopt(self, ti: Any, session: Any) -> None:
        """Do about a task instance what Airflow's scheduler does when it misses its worker, or comes back itself.

        A worker without heartbeat: ``_purge_task_instances_without_heartbeats`` has the executor report FAILED, which ends in
        ``handle_failure``. A scheduler that comes back: ``adopt_or_reset_orphaned_tasks``, where no executor adopts.
        """
        if ti.state == TaskInstanceState.RUNNING and self.order["death"] == "worker":
            ti.handle_failure("the worker has stopped sending heartbeats", session=session)
            ti.end_date = ti.start_date - _HOUR  # the time that Airflow takes to notice, and the delay of a retry
        elif ti.state in (TaskInstanceState.QUEUED, TaskInstanceState.RUNNING):
            ti.prepare_db_for_next_try(session)
            ti.state = None
            ti.clear_next_method_args()
        session.flush()

    def _run_task(self, ti: Any, session: Any) -> None:
        self._note(f"{_name(ti)} resumed" if ti.next_method else _name(ti))
        ti.state = TaskInstanceState.QUEUED
        session.commit()
        run_task_in_process(ti=_for_sdk(ti), task=self.dag.task_dict[ti.task_id])
        session.refresh(ti)
        if ti.state == TaskInstanceState.UP_FOR_RETRY:
            ti.end_date = ti.start_date - _HOUR  # the delay passes at once
            session.commit()

    def _run_trigger(self, ti: Any, session: Any) -> None:
        self._note(_waiting(ti))
        row = session.get(Trigger, ti.trigger_id)
        trigger = import_string(row.classpath)(**row.kwargs)
        event = _run_inline_trigger(trigger, _for_sdk(ti))
        assert isinstance(event, TriggerEvent)
        Trigger.submit_event(row.id, event, session=session)
        session.commit()

    def _note(self, what: str) -> None:
        with (self.folder / self.order["progress"]).open("a") as progress:
            progress.write(f"{time.time():.3f} {what}\n")
        self._holding.begun(what)


def _waiting(ti: Any) -> str:
    return f"{_name(ti)} in the triggerer"


def _for_sdk(ti: Any) -> SdkTaskInstance:
    names = ("id", "task_id", "dag_id", "run_id", "try_number", "map_index", "dag_version_id")
    return SdkTaskInstance(**{name: getattr(ti, name) for name in names})
