"""The DAG that looks at every table's freshness, apart from the tables' own DAGs: it tells although one is paused, or never ran."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from airflow.sdk import DAG

from ddb_export.operators.freshness import CheckFreshnessOperator
from ddb_export.pipeline.alerting import Watched

if TYPE_CHECKING:
    from ddb_export.config.model import TableConfiguration

FRESHNESS_DAG_ID = "ddb_export_freshness"


def build_freshness_dag(
    tables: Sequence[TableConfiguration],
    problems: Sequence[str] = (),
    *,
    schedule: str = "*/5 * * * *",
    paused: bool = False,
) -> DAG:
    """Return the DAG ``ddb_export_freshness``.

    It has one task, and one run at a time; a run that was missed is not made up for, as only the present counts.

    :param tables: all tables. :param problems: mistakes in the configuration, each in one line.
    :param schedule: cron expression of the checks: late data is heard of that much later.
    :param paused: whether it waits for its first unpause. It exports nothing and reads no data.
    """
    with DAG(
        dag_id=FRESHNESS_DAG_ID,
        schedule=schedule,
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=paused,
        dagrun_timeout=timedelta(hours=1),
        tags=["ddb_export"],
        description="Tells of data that is late, and of what threatens it",
        doc_md=__doc__,
    ) as dag:
        CheckFreshnessOperator(
            task_id="check",
            tables=[Watched.of(table).to_json() for table in tables],
            problems=problems,
            retries=1,
            retry_delay=timedelta(minutes=1),
        )
    return dag
