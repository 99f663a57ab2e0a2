"""The data intervals of a table's DAG follow each other without a gap, in any zone, on days of 23 and 25 hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from airflow.serialization.serialized_objects import DagSerialization, LazyDeserializedDAG
from airflow.timetables.base import DataInterval, TimeRestriction
from pendulum import instance

from ddb_export import TableConfiguration, build_dag
from ddb_export.domain.schedule import schedule_boundaries
from ddb_export.domain.window import LONGEST, SHORTEST, Stretch, cut
from ddb_export.operators.runs import plain

pytestmark = [pytest.mark.airflow, pytest.mark.filterwarnings("ignore")]

# The clocks of Berlin change on 2026-03-29 and 2026-10-25.
STARTS = [datetime(2026, 3, 27, tzinfo=UTC), datetime(2026, 10, 23, tzinfo=UTC)]
DAYS = timedelta(days=5)


def intervals(start: datetime, schedule: str, zone: str, **keys: Any) -> list[tuple[datetime, datetime]]:
    """What the scheduler makes of the DAG, from its serialised form, one run after the other."""
    table = TableConfiguration.declare(
        table="orders",
        bucket="lake",
        prefix="",
        database="lake",
        schedule=schedule,
        timezone=zone,
        start_date=start,
        **keys,
    )
    dag = DagSerialization.from_dict(LazyDeserializedDAG.from_dag(build_dag(table)).data)
    found: list[tuple[datetime, datetime]] = []
    last: DataInterval | None = None
    while not found or found[-1][1] < start + DAYS:
        restriction = TimeRestriction(earliest=instance(start), latest=None, catchup=True)
        info = dag.timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
        assert info is not None
        last = info.data_interval
        assert info.run_after == last.end
        found.append((plain(last.start), plain(last.end)))
    return found


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize(
    ("schedule", "zone", "lengths"),
    [
        ("@daily", "UTC", {24.0}),
        ("@daily", "Europe/Berlin", {23.0, 24.0, 25.0}),
        ("@hourly", "Europe/Berlin", {1.0}),
        ("*/15 * * * *", "Europe/Berlin", {0.25}),
        ("30 2 * * *", "Europe/Berlin", {23.0, 23.5, 24.0, 24.5, 25.0}),
        ("0 6 * * MON-FRI", "America/New_York", {24.0, 72.0}),
    ],
)
def test_intervals_follow_each_other(start: datetime, schedule: str, zone: str, lengths: set[float]):
    found = intervals(start, schedule, zone)
    assert [later[0] for later in found[1:]] == [earlier[1] for earlier in found[:-1]]
    assert {(end - begin) / timedelta(hours=1) for begin, end in found} <= lengths
    # What a run exports of its interval has the interval's edges and no other, unless it is longer than an export can be.
    for begin, end in found:
        windows = cut(Stretch(begin, end), schedule_boundaries(schedule, zone, begin, end))
        assert (windows[0].start, windows[-1].end) == (begin, end)
        assert all(one.end == other.start for one, other in pairwise(windows))
        assert all(SHORTEST <= each.length <= LONGEST for each in windows)
        assert len(windows) == 1 or end - begin > LONGEST


def test_a_dag_catches_up_as_its_yaml_says():
    for catchup in (False, True):
        table = TableConfiguration.declare(
            table="orders",
            bucket="lake",
            prefix="",
            database="lake",
            schedule="@daily",
            start_date=STARTS[0],
            catchup=catchup,
        )
        assert build_dag(table).catchup is catchup
