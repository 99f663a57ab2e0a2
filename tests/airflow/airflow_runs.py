"""Runs of DAGs in this process, of every kind that a scheduler makes, and what came of them.

``dag.test()`` makes manual runs only. Here the run is made by Airflow's own models, scheduled and backfill runs with the data
interval of the DAG's timetable, and then worked through task by task with the function that ``dag.test()`` uses itself.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import clear_task_instances
from airflow.models.xcom import XComModel
from airflow.sdk.definitions.dag import _run_task
from airflow.serialization.serialized_objects import DagSerialization
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy import select

_LONGEST_RUN = 120


@dataclass(frozen=True)
class Try:
    """One try of one task instance.

    :param error: what the task raised, None if it ended well.
    """

    task: str
    error: BaseException | None


@dataclass
class Finished:
    """A run that has ended.

    :param tries: every try of every task, in the order in which they ended.
    """

    dag: Any
    run_id: str
    state: str = ""
    states: dict[str, str] = field(default_factory=dict)
    tries: list[Try] = field(default_factory=list)

    @property
    def failures(self) -> list[Try]:
        """The tries that raised an error."""
        return [each for each in self.tries if each.error]

    def error(self, task: str) -> str:
        """Return the message of the last error of a task."""
        return [str(each.error) for each in self.failures if each.task == task][-1]

    def tries_of(self, task: str) -> int:
        """Count the tries of a task."""
        return sum(each.task == task for each in self.tries)

    def xcom(self, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """Return what a task pushed, None if it pushed nothing."""
        return self._xcoms(task_id).get((key, map_index))

    def xcom_keys(self, task_id: str) -> set[str]:
        """Return the keys that a task pushed."""
        return {key for key, _ in self._xcoms(task_id)}

    def _xcoms(self, task_id: str) -> Mapping[tuple[str, int], Any]:
        query = select(XComModel).where(
            XComModel.dag_id == self.dag.dag_id, XComModel.run_id == self.run_id, XComModel.task_id == task_id
        )
        with create_session() as session:
            rows = session.scalars(query).all()
            return {(row.key, row.map_index): XComModel.deserialize_value(row) for row in rows}


def known(dag: Any) -> Any:
    """Write a DAG into Airflow's database, without which Airflow 3.3 makes no run of it."""
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.serialization.definitions.dag import SerializedDAG
    from airflow.serialization.serialized_objects import LazyDeserializedDAG

    with create_session() as session:
        if session.get(DagBundleModel, "testing") is None:
            session.add(DagBundleModel(name="testing"))
            session.flush()
        lazy = LazyDeserializedDAG.from_dag(dag)
        SerializedDAG.bulk_write_to_db("testing", None, [lazy], session=session)
        SerializedDagModel.write_dag(lazy, bundle_name="testing", session=session)
    return dag


def run_scheduled(dag: Any, start: datetime, end: datetime) -> Finished:
    """Run a DAG as its schedule does, for a data interval."""
    return _run_interval(dag, DagRunType.SCHEDULED, start, end)


def run_backfill(dag: Any, start: datetime, end: datetime) -> Finished:
    """Run a DAG as a backfill does, for a data interval."""
    return _run_interval(dag, DagRunType.BACKFILL_JOB, start, end)


def run_manually(dag: Any, **params: Any) -> Finished:
    """Run a DAG as a person does who presses the button: without a logical date."""
    run_id = f"manual__{datetime.now(UTC).isoformat()}"
    return _create(dag, DagRunType.MANUAL, run_id, conf=params, run_after=datetime.now(UTC))


def run_again(finished: Finished, *task_ids: str) -> Finished:
    """Clear tasks of a run, all by default, as a person does in the UI, and work through it again."""
    with create_session() as session:
        dag_run = _dag_run(finished, session)
        instances = [ti for ti in dag_run.get_task_instances(session=session) if not task_ids or ti.task_id in task_ids]
        clear_task_instances(instances, session=session)
    return _work_through(Finished(finished.dag, finished.run_id))


def _run_interval(dag: Any, run_type: DagRunType, start: datetime, end: datetime) -> Finished:
    run_id = f"{run_type.value}__{start.isoformat()}"
    return _create(dag, run_type, run_id, logical_date=start, data_interval=(start, end), run_after=end)


def _create(dag: Any, run_type: DagRunType, run_id: str, **options: Any) -> Finished:
    known(dag)
    with create_session() as session:
        _scheduler_dag(dag).create_dagrun(
            run_id=run_id,
            run_type=run_type,
            triggered_by=DagRunTriggeredByType.TEST,
            state=DagRunState.RUNNING,
            session=session,
            **options,
        )
    return _work_through(Finished(dag, run_id))


def _work_through(finished: Finished) -> Finished:
    """Do what the scheduler and the workers do, one task after the other, until the run has ended."""
    given_up = time.monotonic() + _LONGEST_RUN
    with create_session() as session:
        dag_run = _dag_run(finished, session)
        dag_run.dag = _scheduler_dag(finished.dag)
        dag_run.state = DagRunState.RUNNING
        session.commit()
        while dag_run.state == DagRunState.RUNNING:
            assert time.monotonic() < given_up, f"{finished.run_id} does not end: {_states(dag_run, session)}"
            session.expire_all()
            ready, _ = dag_run.update_state(session=session)
            for ti in ready:
                ti.try_number += 1
                ti.state = TaskInstanceState.SCHEDULED
            session.commit()
            for ti in ready:
                result = _run_task(ti=ti, task=finished.dag.task_dict[ti.task_id], run_triggerer=True)
                finished.tries.append(Try(_name(ti), result.error if result else None))
            if not ready:
                time.sleep(0.05)
        finished.state = str(dag_run.state)
        finished.states = _states(dag_run, session)
    return finished


def _scheduler_dag(dag: Any) -> Any:
    return DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))


def _dag_run(finished: Finished, session: Any) -> Any:
    query = select(DagRun).where(DagRun.dag_id == finished.dag.dag_id, DagRun.run_id == finished.run_id)
    return session.scalars(query).one()


def _states(dag_run: Any, session: Any) -> dict[str, str]:
    return {_name(ti): str(ti.state) for ti in dag_run.get_task_instances(session=session)}


def _name(ti: Any) -> str:
    return f"{ti.task_id}[{ti.map_index}]" if ti.map_index >= 0 else str(ti.task_id)


def replace_xcom(finished: Finished, task_id: str, key: str, value: Any) -> None:
    """Put another value in the place of what a task of a finished run pushed."""
    with create_session() as session:
        XComModel.set(
            key=key,
            value=value,
            serialize=False,
            task_id=task_id,
            dag_id=finished.dag.dag_id,
            run_id=finished.run_id,
            session=session,
        )
