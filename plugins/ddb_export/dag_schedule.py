"""What the schedule of a DAG that somebody else wrote says of the windows of a table in it."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG

from ddb_export.exceptions import ConfigurationError

# By name, because Airflow 3.3 has most of them twice: in airflow.sdk, and in airflow.timetables for DAG files of older versions.
_WITHOUT_INTERVALS = frozenset(
    {
        "ContinuousTimetable",
        "CronPartitionTimetable",
        "CronTriggerTimetable",
        "DeltaTriggerTimetable",
        "EventsTimetable",
        "MultipleCronTriggerTimetable",
        "OnceTimetable",
    }
)


def boundaries_of(dag: DAG) -> dict[str, Any]:
    """Return the keys ``schedule`` and ``timezone`` that a DAG's schedule stands for; no schedule where it is no cron expression.

    :raises ConfigurationError: its runs have no data intervals, so that they would cover no time.
    """
    timetable: Any = dag.timetable
    kind = type(timetable).__name__
    cron = getattr(timetable, "expression", None) or getattr(timetable, "_expression", None)
    timezone = getattr(timetable, "timezone", None) or getattr(timetable, "_timezone", None)
    if kind in _WITHOUT_INTERVALS:
        wanted = f"{cron!r}, timezone={str(timezone)!r}" if isinstance(cron, str) else "'0 0 * * *', timezone='UTC'"
        raise ConfigurationError(
            f"DAG {dag.dag_id}",
            f"its schedule ({kind}) gives runs without data intervals, so they cover no time",
            f"write schedule=CronDataIntervalTimetable({wanted})",
        )
    if kind == "CronDataIntervalTimetable":
        return {"schedule": cron, "timezone": str(timezone)}
    return {"schedule": None}
