"""The example of docs/assets.md on a real scheduler: one run of it for each window that is published, whatever published it."""

from __future__ import annotations

import time
from collections import Counter
from itertools import pairwise

import pytest

from ddb_export.domain.utc import iso
from tests.scheduler.real_airflow import wait_for

pytestmark = pytest.mark.slow
CONSUMER = "refunds_each_window"
_QUIET_SECONDS = 8


def runs(stage):
    return stage.runs(CONSUMER)


def keys(stage):
    return Counter(run["partition_key"] for run in runs(stage))


def require_runs(stage, expected):
    """Wait until there are as many runs for each key, all of them ended well, and see that no more come."""
    wait_for(f"the runs of {CONSUMER}", lambda: keys(stage) >= expected, timeout=120)
    for run in runs(stage):
        assert stage.wait_for_run(CONSUMER, run["dag_run_id"])["state"] == "success"
    time.sleep(_QUIET_SECONDS)
    assert keys(stage) == expected


def test_a_consumer_runs_once_for_each_published_window(stage, say):
    api, m, lake = stage.api, stage.world.midnights, stage.world.lake("refunds")
    windows = [f"refunds|{iso(start)}/{iso(end)}" for start, end in pairwise(m)]
    api.wait_until_ready(CONSUMER, stage.airflow.require_alive, 120)
    api.set_paused(CONSUMER, paused=False)

    # A scheduled run with a base and two windows.
    api.set_paused(lake.dag_id, paused=False)
    assert stage.wait_for_runs(lake.dag_id, [m[3]]) == {m[3]: "success"}
    expected = Counter(windows[2:])
    require_runs(stage, expected)
    seen = [api.xcom(CONSUMER, run["dag_run_id"], "window", "return_value") for run in runs(stage)]
    assert {each["table"] for each in seen} == {"lake.refunds_changes"}
    assert sorted(each["condition"][:17] for each in seen) == [f"dt = '{day:%Y-%m-%d}'" for day in m[2:4]]
    say(
        "scheduled run with a base and 2 windows: the consumer ran once for each window, with its key, and counted its rows"
    )

    # A backfill of two days that nothing covers.
    stage.wait_for_backfill(api.backfill(lake.dag_id, m[0], m[1]))
    expected += Counter(windows[:2])
    require_runs(stage, expected)
    say("backfill over 2 uncovered days: once for each of them, none for the others")

    # A run by hand that exports one window again, so that there is something new to read.
    again = {"from": iso(m[2]), "to": iso(m[3]), "re_export": True}
    assert stage.wait_for_run(lake.dag_id, api.trigger(lake.dag_id, **again))["state"] == "success"
    expected += Counter([windows[2]])
    require_runs(stage, expected)
    say("run by hand that exported 1 window again: once more for that window")

    # What is published while the consumer is paused it never hears of; clearing the task that tells tells it again.
    api.set_paused(CONSUMER, paused=True)
    scheduled = stage.run_of(lake.dag_id, m[3])["dag_run_id"]
    api.clear(lake.dag_id, scheduled, ["announce_changes"])
    assert stage.wait_for_run(lake.dag_id, scheduled)["state"] == "success"
    api.set_paused(CONSUMER, paused=False)
    require_runs(stage, expected)
    api.clear(lake.dag_id, scheduled, ["announce_changes"])
    assert stage.wait_for_run(lake.dag_id, scheduled)["state"] == "success"
    require_runs(stage, expected + Counter(windows[2:]))
    say("announce_changes cleared while the consumer was paused: no run; cleared again afterwards: one for each window")
