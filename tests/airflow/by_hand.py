"""What a person does to a run in Airflow's UI besides clearing it, and what an Airflow without a memory has lost."""

from __future__ import annotations

from typing import Any

from airflow.models.dagrun import DagRun
from airflow.serialization.serialized_objects import DagSerialization
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState
from sqlalchemy import delete

from tests.airflow.airflow_runs import Finished, _work_through


def mark_success(finished: Finished, task_id: str, map_index: int | None = None) -> Finished:
    """Mark a task as successful, which clears the failed ones behind it, and work through the run again."""
    dag = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(finished.dag))
    with create_session() as session:
        dag.set_task_instance_state(
            task_id=task_id,
            map_indexes=None if map_index is None else [map_index],
            run_id=finished.run_id,
            state=TaskInstanceState.SUCCESS,
            session=session,
        )
    return _work_through(Finished(finished.dag, finished.run_id))


def forget_runs(dag: Any) -> None:
    """Lose every run of a DAG with all that tasks have pushed and remembered, as when Airflow's database is made anew."""
    with create_session() as session:
        session.execute(delete(DagRun).where(DagRun.dag_id == dag.dag_id))
