"""Tasks that an older wheel deferred come back to the present one: resumed, not begun again; nothing is exported twice, nothing missing.

Collected only when it is named, as ``make test-upgrade`` does: it builds a commit of this clone's history.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from ddb_export.domain.utc import compact, iso
from tests.scheduler.evidence import teller
from tests.scheduler.real_airflow import wait_for
from tests.scheduler.world import ACCOUNT
from tests.upgrade.conftest import SENSOR_DAG

OURS = "ddb_export.triggers.export.DynamoDBExportTrigger"
AIRFLOWS = "airflow.providers.standard.triggers.temporal.DateTimeTrigger"
_TABLES = ("payments", "orders", "shipments", "refunds", "returns")
_SETTLING = timedelta(seconds=300)
"""What is left of the time to settle when the run that has to wait for it begins: stopping Airflow must take less."""
_STOPPING = timedelta(seconds=20)
_TURN = re.compile(r"turn (\d+): ")
_LONG_TURN = 4
"""From this turn on a task is away for a minute at least."""
_PATIENCE = 420.0


@dataclass(frozen=True)
class Waiting:
    """A task that is deferred while the provider is upgraded.

    :param why: what it waits for. :param trigger: class path of what it waits in.
    """

    why: str
    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1
    trigger: str = OURS

    def seen(self, stage):
        """Return the task instance as Airflow has it."""
        return stage.api.instance(self.dag_id, self.run_id, self.task_id, self.map_index)

    def turn(self, stage):
        """Return for which turn it waits, 0 if for none."""
        return max(map(int, _TURN.findall(stage.api.log(self.seen(stage)))), default=0)

    def stays(self, stage):
        """Say whether it is deferred now, and will be until Airflow has stopped."""
        instance = self.seen(stage)
        if instance["state"] != "deferred" or instance["trigger"]["classpath"] != self.trigger:
            return False
        if self.trigger == OURS:
            return True
        turn = self.turn(stage)
        # Half of 15 seconds at least, twice as long with each turn, half of 5 minutes at most (ddb_export/domain/waiting.py).
        shortest = timedelta(seconds=min(7.5 * 2 ** (turn - 1), 150)) if turn else _SETTLING
        waited = datetime.now(UTC) - datetime.fromisoformat(instance["trigger"]["created_date"])
        return waited < shortest - _STOPPING


@dataclass(frozen=True)
class Flight:
    """What is in flight when Airflow stops.

    :param reading: run of the DAG that waits for ``long_export``, whose fault is ``long``.
    :param passing: faults that are over when Airflow starts again.
    """

    waiting: list[Waiting]
    reading: str
    long_export: str
    long: str
    passing: tuple[str, ...]


def hold_export(stage, name, export):
    """Let an export of a table run until it is released."""
    match = {"prefix": f".*/{name}/raw/{export}.*"}
    return stage.lab.add_fault("delay_export", account=ACCOUNT, match=match, hold=True)


def export_of(stage, name, beginning):
    """Return the lab's record of a table's export whose name begins like this."""
    return next(each for each in stage.lab.exports(ACCOUNT) if f"/{name}/raw/{beginning}" in each["prefix"])


def deferred(stage, why, name, logical_date, task_id, map_index=-1, trigger=OURS):
    """Wait until a task of a table's run is deferred."""
    dag_id = stage.world.lake(name).dag_id
    run = wait_for(f"the run of {name}", lambda: stage.run_of(dag_id, logical_date))
    stage.wait_for_task(dag_id, run["dag_run_id"], task_id, "deferred", map_index)
    return Waiting(why, dag_id, run["dag_run_id"], task_id, map_index, trigger)


def end_it_while_nobody_may_ask(stage, name, beginning, held):
    """End an export and let the triggerer hear of it, but refuse to describe it to the task; return the fault that refuses."""
    asked = {
        "service": "dynamodb",
        "operation": "DescribeExport",
        "match": {"export_arn": export_of(stage, name, beginning)["export_arn"]},
    }
    question = stage.lab.add_fault("hold", account=ACCOUNT, when="before", **asked)
    stage.lab.wait_until_held(question, timeout=120)
    refused = stage.lab.add_fault("throttle", account=ACCOUNT, times=None, **asked)
    stage.lab.release(held)
    wait_for(f"the export of {name}", lambda: export_of(stage, name, beginning)["status"] == "COMPLETED")
    stage.lab.release(question)
    return refused


def asked_after(stage, export_arn, sequence):
    """Say whether DynamoDB was asked after an export later than in the call of this number."""
    calls = stage.lab.calls(ACCOUNT, operation="DescribeExport", after=sequence)
    return any(export_arn in json.dumps(call) for call in calls)


def put_in_flight(upgrade):
    """Let a task of each kind of wait be deferred, at a moment at which none is about to come back."""
    stage, m = upgrade.stage, upgrade.stage.world.midnights
    api, lab, window = stage.api, stage.lab, compact(m[2])
    held = {name: hold_export(stage, name, window) for name in ("payments", "refunds")}
    held["orders"] = hold_export(stage, "orders", "full-")
    no_room = lab.add_fault(
        "throttle",
        account=ACCOUNT,
        times=None,
        service="dynamodb",
        operation="ExportTableToPointInTime",
        match={"prefix": f".*/shipments/raw/{window}.*"},
        code="LimitExceededException",
    )
    for dag_id in [*(stage.world.lake(name).dag_id for name in _TABLES if name != "returns"), SENSOR_DAG]:
        api.set_paused(dag_id, paused=False)
    for fault in held.values():
        lab.wait_until_held(fault, timeout=_PATIENCE)
    first = deferred(stage, "", "refunds", m[3], "window.export", 0)
    refused = end_it_while_nobody_may_ask(stage, "refunds", window, held["refunds"])
    long_export = export_of(stage, "payments", window)["export_arn"]
    reading = api.trigger(SENSOR_DAG, export_arn=long_export)
    stage.wait_for_task(SENSOR_DAG, reading, "wait", "deferred")
    turns = [
        deferred(stage, "DynamoDB has no room for an export", "shipments", m[3], "window.export", 0, AIRFLOWS),
        replace(first, why="an export has ended, DescribeExport throttles", trigger=AIRFLOWS),
    ]
    wait_for("long turns", lambda: all(each.turn(stage) >= _LONG_TURN for each in turns), timeout=_PATIENCE)
    upgrade.begin_to_settle(_SETTLING)
    api.set_paused(stage.world.lake("returns").dag_id, paused=False)
    waiting = [
        deferred(stage, "the export of a window runs", "payments", m[2], "window.export", 0),
        Waiting("a sensor in another DAG waits for the same export", SENSOR_DAG, reading, "wait"),
        deferred(stage, "a full export runs", "orders", m[3], "export_base"),
        *turns,
        deferred(stage, "a window has not settled", "returns", m[3], "plan", trigger=AIRFLOWS),
    ]
    # Turns grow longer and longer, so there is a moment at which nobody is about to come back.
    wait_for("a quiet moment", lambda: all(each.stays(stage) for each in waiting), timeout=_PATIENCE)
    return Flight(waiting, reading, long_export, held["payments"], (held["orders"], no_room, refused))


def require_whole(stage):
    """Check that every table's lake is the table, without a hole, and that each export was asked for and billed once."""
    for name in _TABLES:
        lake = stage.world.lake(name)
        lake.require_equal_to_table(2, 3)
        assert lake.head() == stage.world.midnights[4]
        assert (lake.asked(), set(lake.exports().values())) == (3, {1}), name


@pytest.mark.scenario("F3")
def test_what_an_older_wheel_deferred_ends_with_the_present_one(upgrade, request):
    say = teller("upgrade", request.node.name)
    stage, m = upgrade.stage, upgrade.stage.world.midnights
    api, lab = stage.api, stage.lab
    dag_ids = {name: stage.world.lake(name).dag_id for name in _TABLES}
    say(f"from {upgrade.older}")
    say(f"to   {upgrade.newer}")

    flight = put_in_flight(upgrade)
    for each in flight.waiting:
        say(f"deferred: {each.task_id} of {each.dag_id}: {each.why} ({each.trigger.rsplit('.', 1)[-1]})")
    asked = {name: stage.world.lake(name).asked() for name in _TABLES}
    last_call = lab.calls(ACCOUNT)[-1]["sequence"]

    upgrade.stop()
    for fault in flight.passing:
        lab.remove_fault(fault)
    upgrade.install()
    upgrade.start_again()
    say("Airflow stopped, the wheel exchanged, Airflow started over the same database; a full export ended meanwhile")

    wait_for("a question of the new triggerer", lambda: asked_after(stage, flight.long_export, last_call))
    assert api.instance(SENSOR_DAG, flight.reading, "wait")["state"] == "deferred"
    lab.release(flight.long)
    assert set(stage.wait_for_runs(dag_ids["payments"], m[1:4]).values()) == {"success"}
    for dag_id in dag_ids.values():
        assert stage.wait_for_runs(dag_id, [m[3]]) == {m[3]: "success"}, dag_id
    assert stage.wait_for_run(SENSOR_DAG, flight.reading)["state"] == "success"
    assert api.xcom(SENSOR_DAG, flight.reading, "wait", "return_value")["export_arn"] == flight.long_export
    assert {each.why: each.seen(stage)["try_number"] for each in flight.waiting} == {
        each.why: 1 for each in flight.waiting
    }
    say(f"all {len(flight.waiting)} tasks were resumed in the same try and their runs ended well")

    words = f"going on from {iso(m[3])}, which the previous run handed over and the ledger proves"
    assert words in stage.log_of_plan(dag_ids["payments"], m[3])
    require_whole(stage)
    say(f"the next scheduled run: {words}")
    say(
        f"exports before {asked}, after 3 of each table, each billed once; every lake = table, head at the last midnight"
    )

    ended_before = stage.run_of(dag_ids["payments"], m[1])["dag_run_id"]
    api.clear(dag_ids["payments"], ended_before)
    assert stage.wait_for_run(dag_ids["payments"], ended_before)["state"] == "success"
    require_whole(stage)
    say("a run that the older wheel had ended, cleared: its kept plan is done again, 0 exports; lake = table")
