"""Waiting in the triggerer and waiting in the worker end alike, whatever DynamoDB says on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from ddb_export.operators.export import DynamoDBExportOperator
from ddb_export.sensors.export import DynamoDBExportSensor
from tests.airflow.airflow_runs import run_manually
from tests.airflow.runs import ONE_LINE, Table

pytestmark = [pytest.mark.airflow, pytest.mark.filterwarnings("ignore")]

SOON = timedelta(seconds=0.2)
START = {"service": "dynamodb", "operation": "ExportTableToPointInTime"}
ASK = {"service": "dynamodb", "operation": "DescribeExport"}


@dataclass(frozen=True)
class Case:
    """What DynamoDB does, and what becomes of the task.

    :param started: exports that DynamoDB took on. :param tries: tries of a task that may be tried three times.
    """

    faults: tuple[Mapping[str, Any], ...] = ()
    state: str = "success"
    tries: int = 1
    started: int = 1
    says: str = ""
    sensor: bool = field(default=True)


LONG = {"kind": "delay_export", "seconds": 1}
CASES = {
    "it ends": Case((LONG,)),
    "it is throttled at the start": Case(({"kind": "throttle", "times": 3, **START},), sensor=False),
    "300 exports run already": Case(
        ({"kind": "throttle", "times": 3, "code": "LimitExceededException", **START},), sensor=False
    ),
    "the table cannot be described": Case(
        ({"kind": "throttle", "times": 2, "service": "dynamodb", "operation": "DescribeTable"},), sensor=False
    ),
    "it is throttled while it waits": Case((LONG, {"kind": "throttle", "times": 4, **ASK})),
    "the network breaks while it waits": Case((LONG, {"kind": "drop_connection", "after_bytes": 0, "times": 2, **ASK})),
    "it fails for a passing cause": Case(
        ({"kind": "fail_export", "code": "UNKNOWN", "message": "it broke"},), tries=2, started=2, sensor=False
    ),
    "it fails for good": Case(
        ({"kind": "fail_export", "code": "S3NoSuchBucket", "message": "gone"},),
        state="failed",
        says="FAILED with S3NoSuchBucket: gone: the bucket does not exist. Remedy: create the bucket",
    ),
    "nobody may ask": Case(
        (LONG, {"kind": "error", "code": "AccessDeniedException", "message": "no", "times": None, **ASK}),
        state="failed",
        says="allow this role dynamodb:DescribeExport",
    ),
    "it is not known": Case(
        (
            LONG,
            {"kind": "error", "code": "ExportNotFoundException", "message": "Export not found", "times": None, **ASK},
        ),
        state="failed",
        says="check the export's ARN, account and region",
    ),
    "it is refused": Case(
        ({"kind": "error", "code": "ValidationException", "message": "tableArn", "times": None, **START},),
        state="failed",
        started=0,
        says="exports take a table's ARN, not a name and not an index. Remedy: give the table's ARN",
        sensor=False,
    ),
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten what is waited for room or for the network."""
    monkeypatch.setattr("ddb_export.domain.waiting._FIRST_TURN", SOON)
    monkeypatch.setattr("ddb_export.pipeline.waiting._FIRST_BACK_OFF", SOON.total_seconds())
    monkeypatch.setattr("ddb_export.triggers.pace.FIRST_BACK_OFF", SOON.total_seconds())


def require(case: Case, table: Table, run: Any) -> None:
    assert (run.state, run.tries_of("alone"), len(table.started())) == (case.state, case.tries, case.started)
    if case.says:
        assert case.says in run.error("alone")
        assert ONE_LINE.fullmatch(run.error("alone"))


@pytest.mark.scenario("F32")
@pytest.mark.parametrize("deferrable", [True, False], ids=["deferred", "in the worker"])
@pytest.mark.parametrize("name", CASES)
def test_the_operator_ends_alike_wherever_it_waits(table, name, deferrable):
    case = CASES[name]
    for fault in case.faults:
        table.lab.add_fault(account=table.account, **fault)
    with table.own_dag(retries=2, botocore_config={"retries": {"total_max_attempts": 1}}) as dag:
        DynamoDBExportOperator(
            task_id="alone",
            table=table.name,
            export_time=table.midnights[1],
            poll_interval=SOON,
            deferrable=deferrable,
        )
    run = run_manually(dag)
    require(case, table, run)
    if case.state == "success":
        assert (run.xcom("alone")["status"], run.xcom("alone")["attempt"]) == ("COMPLETED", case.started)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        *((name, how) for name, case in CASES.items() if case.sensor for how in ("deferred", "poke")),
        ("the network breaks while it waits", "reschedule"),
    ],
)
def test_the_sensor_ends_alike_wherever_it_waits(table, name, how):
    case = CASES[name]
    for fault in case.faults:
        table.lab.add_fault(account=table.account, **fault)
    dynamodb = table.aws("dynamodb")
    arn = dynamodb.describe_table(TableName=table.name)["Table"]["TableArn"]
    started = dynamodb.export_table_to_point_in_time(TableArn=arn, S3Bucket=table.bucket)
    with table.own_dag(retries=2, botocore_config={"retries": {"total_max_attempts": 1}}) as dag:
        DynamoDBExportSensor(
            task_id="alone",
            export_arn=started["ExportDescription"]["ExportArn"],
            poll_interval=SOON,
            deferrable=how == "deferred",
            mode="reschedule" if how == "reschedule" else "poke",
        )
    run = run_manually(dag)
    # Each poke of a rescheduled sensor is counted as a try here; Airflow's own count does not grow.
    require(replace(case, tries=run.tries_of("alone")) if how == "reschedule" else case, table, run)
    if case.state == "success":
        assert (run.xcom("alone")["status"], run.failures) == ("COMPLETED", [])


@pytest.mark.scenario("F32")
@pytest.mark.parametrize("deferrable", [True, False], ids=["deferred", "in the worker"])
def test_an_export_that_has_ended_waits_for_its_turn_to_be_described(table, deferrable):
    with table.own_dag(botocore_config={"retries": {"total_max_attempts": 1}}) as dag:
        operator = DynamoDBExportOperator(
            task_id="alone", table=table.name, export_time=table.midnights[1], poll_interval=SOON, deferrable=deferrable
        )
    arn = run_manually(dag).xcom("alone")["export_arn"]
    throttled = table.lab.add_fault("throttle", account=table.account, times=3, **ASK)
    ended = {"status": "COMPLETED", "export_arn": arn}
    turns: list[timedelta | None] = []
    resume: Any = operator.execute_complete
    arguments: dict[str, Any] = {"event": ended}
    for _ in range(4):
        try:
            result = resume({}, **arguments)
        except TaskDeferred as deferred:
            turns.append(deferred.timeout)
            resume, arguments = getattr(operator, deferred.method_name), {"event": None, **(deferred.kwargs or {})}
    assert result["status"] == "COMPLETED"
    assert table.lab.fault(throttled)["fired"] == 3
    assert turns == ([None] * 3 if deferrable else []), "it is not capped"
    assert arguments.get("turns", 0) == len(turns)


def test_a_sensors_own_time_cap_is_kept(table):
    sensor: dict[str, Any] = {"task_id": "alone", "export_arn": "arn", "aws_conn_id": None}
    for given, cap in ((sensor, None), ({**sensor, "timeout": 60}, timedelta(minutes=1))):
        with pytest.raises(TaskDeferred) as deferred:
            DynamoDBExportSensor(**given).execute({})
        assert deferred.value.timeout == cap
    assert DynamoDBExportSensor(**sensor, deferrable=False).timeout > 300 * 86400
