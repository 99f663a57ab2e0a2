"""What an operator reads from the run that it belongs to."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ddb_export.domain.planning import RunKind
from ddb_export.domain.window import Stretch
from ddb_export.exceptions import PlanError

if TYPE_CHECKING:
    from airflow.sdk import Context

EXPORT_END_KEY = "export_end"
"""XCom key of the hand-over between scheduled runs."""

HAND_OVER_TASK = "hand_over"
"""Name of the unmapped task whose ``export_end`` the next scheduled run reads."""


def run_kind(context: Context) -> RunKind:
    """Return why the run exists; what is neither scheduled nor a backfill counts as made by hand."""
    run_type = context["dag_run"].run_type
    kinds = {"scheduled": RunKind.SCHEDULED, "backfill": RunKind.BACKFILL}
    return kinds.get(str(getattr(run_type, "value", run_type)), RunKind.MANUAL)


def begins_again(context: Context) -> bool:
    """Tell whether this is a later try of the task at its very start: after a retry or a clear, not after a deferral."""
    ti = context["ti"]
    # Airflow 3.3 says nowhere else that a task comes back from its trigger, in the same try.
    comes_back = getattr(getattr(ti, "_ti_context_from_server", None), "next_method", None)
    return ti.try_number > 1 and not comes_back


def own_key(context: Context, key: str) -> str:
    """Return the XCom key that a run made by hand or by a backfill uses instead of ``key``.

    Their values are only shown. Airflow orders the XComs of runs without a logical date differently on each database, so
    they must not meet those of scheduled runs.
    """
    return f"{key}_{run_kind(context)}"


def data_interval(context: Context) -> Stretch:
    """Return the run's data interval.

    :raises PlanError: it has none, one of no length, or one that does not begin and end at whole minutes.
    """
    start, end = context.get("data_interval_start"), context.get("data_interval_end")
    if start is None or end is None or end <= start:
        raise PlanError(
            f"run {context['dag_run'].run_id}",
            "it has no data interval, so it covers no time",
            "give the DAG an interval timetable such as CronDataIntervalTimetable",
        )
    first, last = plain(start), plain(end)
    if any(moment.second or moment.microsecond for moment in (first, last)):
        raise PlanError(
            f"run {context['dag_run'].run_id}",
            f"its data interval {first.isoformat()} to {last.isoformat()} is not of whole minutes, which exports need",
            "give the DAG a start_date and a schedule at whole minutes",
        )
    return Stretch(first, last)


def plain(moment: datetime) -> datetime:
    """Return an aware time as the standard library's datetime, in UTC.

    Airflow's contexts hold pendulum's, which lose their zone when a timedelta is added to them after ``astimezone(UTC)``.
    """
    return datetime.fromisoformat(moment.isoformat()).astimezone(UTC)


def is_true(value: bool | str | None) -> bool:  # noqa: FBT001  # it is what is read
    """Read a switch that may have gone through a template."""
    return value is True or str(value).lower() == "true"


def list_of(value: object) -> object:
    """Read a list that may have gone through a template as JSON; whatever else it is comes back as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def task_beside(task_id: str, name: str) -> str:
    """Return the id of a task in the same task group."""
    group, _, _ = task_id.rpartition(".")
    return f"{group}.{name}" if group else name
