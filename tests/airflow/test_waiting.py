"""Many waits, one poller: its pace, what it survives, what it leaves behind."""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import os
import time
from collections.abc import Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from ddb_export.exceptions import ExportError, NotReachableError, PermissionDeniedError
from ddb_export.pipeline.waiting import refusal
from ddb_export.triggers import pace as pace_module
from ddb_export.triggers import poller as poller_module
from ddb_export.triggers.export import DynamoDBExportTrigger
from ddb_export.triggers.pace import Pace
from ddb_export.triggers.poller import ClientSettings, Poller
from tests.airflow.runs import Table

pytestmark = [pytest.mark.airflow, pytest.mark.filterwarnings("ignore")]

SOON = 0.05


@pytest.fixture
def running(table: Table) -> Callable[[int], list[str]]:
    """Start exports that run until the test releases the fault ``running.fault``."""

    def start(number: int) -> list[str]:
        start.fault = table.lab.add_fault("delay_export", account=table.account, times=None, hold=True)  # type: ignore[attr-defined]
        dynamodb = table.aws("dynamodb")
        arn = dynamodb.describe_table(TableName=table.name)["Table"]["TableArn"]
        started = [dynamodb.export_table_to_point_in_time(TableArn=arn, S3Bucket=table.bucket) for _ in range(number)]
        table.lab.clear_calls(table.account)
        return [each["ExportDescription"]["ExportArn"] for each in started]

    return start


def settings(table: Table, arn: str, **config: Any) -> ClientSettings:
    return ClientSettings.of(arn, table.connection, None, None, config)


def trigger(table: Table, arn: str, **changes: Any) -> DynamoDBExportTrigger:
    return DynamoDBExportTrigger(export_arn=arn, **{"poll_interval": SOON, "aws_conn_id": table.connection, **changes})


async def event_of(waiting: DynamoDBExportTrigger) -> dict[str, Any]:
    return dict([event.payload async for event in waiting.run()].pop())


def asked(table: Table) -> list[str]:
    return [call["parameters"]["ExportArn"] for call in table.lab.calls(table.account, operation="DescribeExport")]


async def until(done: Callable[[], bool]) -> None:
    """Wait for something that another process does."""
    while not done():  # noqa: ASYNC110  # it sets no event here
        await asyncio.sleep(SOON)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run to the end and see that nothing is left behind."""

    async def all_of_it() -> Any:
        async with asyncio.timeout(30):
            done = await work
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert left == []
        assert [pollers for pollers in poller_module._POLLERS.values() if pollers] == []
        return done

    return asyncio.run(all_of_it())


def counting(opened: list[float], real: Callable[[], Any]) -> Callable[[], Any]:
    async def open_client() -> Any:
        opened.append(time.monotonic())
        return await real()

    return open_client


def test_waits_share_one_client_and_keep_one_pace(table, running, monkeypatch):
    arns = running(6)
    opened: list[ClientSettings] = []
    real = ClientSettings.open_client

    async def open_client(self: ClientSettings) -> Any:
        opened.append(self)
        return await real(self)

    monkeypatch.setattr(ClientSettings, "open_client", open_client)

    async def wait() -> list[dict[str, Any]]:
        waits = [asyncio.create_task(event_of(trigger(table, arn))) for arn in arns]
        # What names the region and what leaves it to the connection is one pair.
        waits += [asyncio.create_task(event_of(trigger(table, arn, region_name="us-east-1"))) for arn in arns]
        began = time.monotonic()
        await until(lambda: bool(asked(table)))
        await asyncio.sleep(1)
        await until(lambda: len(asked(table)) >= 6)
        assert len(asked(table)[:6]) == len(set(asked(table)[:6])), "each is asked after in turn"
        assert len(asked(table)) <= 4.6 * (time.monotonic() - began) + 2
        table.lab.release(running.fault)
        return await asyncio.gather(*waits)

    assert [event["status"] for event in run(wait())] == ["COMPLETED"] * 12
    assert len(opened) == 1


@pytest.mark.scenario("F32")
def test_two_roles_of_one_account_have_a_client_each_and_one_pace(table, running, monkeypatch):
    arns = running(6)
    monkeypatch.setattr("random.uniform", lambda _low, high: high)
    monkeypatch.setattr(pace_module, "FIRST_BACK_OFF", 2.0)
    connection = json.loads(os.environ["AIRFLOW_CONN_LAB"])
    connection["extra"]["service_config"] = {"sts": {"endpoint_url": table.lab.endpoint_url}}
    monkeypatch.setenv("AIRFLOW_CONN_LAB", json.dumps(connection))
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{table.account}:root"}, "Action": "sts:AssumeRole"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    create = table.aws("iam").create_role
    roles = [create(RoleName=name, AssumeRolePolicyDocument=policy)["Role"]["Arn"] for name in ("one", "two")]

    async def wait() -> list[dict[str, Any]]:
        waits = [
            asyncio.create_task(event_of(trigger(table, arn, role_arn=roles[number % 2])))
            for number, arn in enumerate(arns)
        ]
        await until(lambda: set(asked(table)) == set(arns))
        (pollers,) = (each for each in poller_module._POLLERS.values() if each)
        assert len(pollers) == 2
        before, began = len(asked(table)), time.monotonic()
        await asyncio.sleep(1.5)
        assert len(asked(table)) - before <= 4.6 * (time.monotonic() - began) + 2
        throttled = table.lab.add_fault(
            "throttle", account=table.account, service="dynamodb", operation="DescribeExport", times=1
        )
        await until(lambda: table.lab.fault(throttled)["fired"] == 1)
        before = len(asked(table))
        await asyncio.sleep(1)
        assert len(asked(table)) <= before + 1, "the other role's questions rest too"
        table.lab.release(running.fault)
        return await asyncio.gather(*waits)

    assert [event["status"] for event in run(wait())] == ["COMPLETED"] * 6


def test_two_waits_for_one_export_share_a_question(table, running):
    (arn,) = running(1)

    async def wait() -> list[str]:
        poller = Poller(settings(table, arn).open_client, pace=Pace(50))
        waits = [asyncio.create_task(poller.ended(arn, 0.3)) for _ in range(20)]
        await until(lambda: len(asked(table)) >= 2)
        assert len(asked(table)) <= 5
        table.lab.release(running.fault)
        return await asyncio.gather(*waits)

    assert run(wait()) == ["COMPLETED"] * 20


def test_what_was_not_asked_after_for_longest_comes_first(table, running):
    arns = running(8)

    async def wait() -> None:
        poller = Poller(settings(table, arns[0]).open_client, pace=Pace(20))
        waits = [
            asyncio.create_task(poller.ended(arn, SOON if number % 2 else 0.15)) for number, arn in enumerate(arns)
        ]
        await asyncio.sleep(2)
        table.lab.release(running.fault)
        await asyncio.gather(*waits)

    run(wait())
    questions = asked(table)[8:32]
    assert max(questions.count(arn) for arn in arns) - min(questions.count(arn) for arn in arns) <= 1


@pytest.mark.scenario("F32")
def test_throttling_slows_all_waits_down_and_ends_none(table, running, monkeypatch):
    arns = running(5)
    # Drawn at its most, so that what the test sees does not hang on chance.
    monkeypatch.setattr("random.uniform", lambda _low, high: high)
    monkeypatch.setattr(pace_module, "FIRST_BACK_OFF", 0.3)
    throttled = table.lab.add_fault(
        "throttle", account=table.account, service="dynamodb", operation="DescribeExport", times=3
    )

    async def wait() -> list[str]:
        poller = Poller(settings(table, arns[0]).open_client, pace=Pace(10))
        waits = [asyncio.create_task(poller.ended(arn, SOON)) for arn in arns]
        await until(lambda: table.lab.fault(throttled)["fired"] == 3)
        table.lab.release(running.fault)
        return await asyncio.gather(*waits)

    assert run(wait()) == ["COMPLETED"] * 5
    calls = table.lab.calls(table.account, operation="DescribeExport")
    moments = [datetime.fromisoformat(call["time"]) for call in calls[:6]]
    silences = [later - earlier for earlier, later in pairwise(moments)]
    assert max(silences) > timedelta(seconds=0.28), "0.3 s and more; without throttling 0.1 s"


def test_a_network_that_is_down_for_a_while_does_not_end_the_wait(table, running, monkeypatch):
    arns = running(2)
    monkeypatch.setattr(pace_module, "FIRST_BACK_OFF", SOON)
    table.lab.add_fault(
        "drop_connection", account=table.account, after_bytes=0, service="dynamodb", operation="DescribeExport", times=4
    )

    async def wait() -> list[str]:
        poller = Poller(settings(table, arns[0]).open_client, pace=Pace(50), patience=20)
        waits = [asyncio.create_task(poller.ended(arn, SOON)) for arn in arns]
        await asyncio.sleep(0.5)
        table.lab.release(running.fault)
        return await asyncio.gather(*waits)

    assert run(wait()) == ["COMPLETED"] * 2


def test_a_network_that_stays_down_is_said_after_the_patience(table, running, monkeypatch):
    arns = running(3)
    monkeypatch.setattr(pace_module, "FIRST_BACK_OFF", 0.2)
    table.lab.add_fault(
        "drop_connection",
        account=table.account,
        after_bytes=0,
        service="dynamodb",
        operation="DescribeExport",
        times=None,
    )

    async def wait() -> tuple[float, list[Any]]:
        poller = Poller(settings(table, arns[0]).open_client, pace=Pace(50), patience=1)
        began = time.monotonic()
        answers = await asyncio.gather(*(poller.ended(arn, SOON) for arn in arns), return_exceptions=True)
        return time.monotonic() - began, answers

    waited, answers = run(wait())
    assert 1 <= waited < 20
    assert [type(answer) for answer in answers] == [NotReachableError] * 3
    assert all(answer.retryable for answer in answers)


def test_credentials_that_expired_are_read_again(table, running):
    (arn,) = running(1)
    opened: list[float] = []

    async def wait() -> str:
        poller = Poller(counting(opened, settings(table, arn).open_client), pace=Pace(50))
        waiting = asyncio.create_task(poller.ended(arn, SOON))
        await until(lambda: len(asked(table)) >= 2)  # the first one has been answered
        table.lab.add_fault(
            "error",
            account=table.account,
            service="dynamodb",
            operation="DescribeExport",
            code="ExpiredTokenException",
            message="expired",
            http_status=400,
        )
        await until(lambda: len(opened) == 2)
        table.lab.release(running.fault)
        return await waiting

    assert run(wait()) == "COMPLETED"
    assert len(opened) == 2


@pytest.mark.parametrize(
    ("code", "error", "said"),
    [
        ("ExpiredTokenException", NotReachableError, "a retry asks again"),
        ("AccessDeniedException", PermissionDeniedError, "allow this role dynamodb:DescribeExport"),
        ("ExportNotFoundException", ExportError, "check the export's ARN, account and region"),
    ],
)
def test_a_refusal_that_stays_is_said_at_once(table, running, code, error, said):
    (arn,) = running(1)
    table.lab.add_fault(
        "error",
        account=table.account,
        service="dynamodb",
        operation="DescribeExport",
        code=code,
        message="no",
        http_status=400,
        times=None,
    )
    event = run(event_of(trigger(table, arn)))
    assert (event["status"], event["code"]) == ("error", code)
    assert type(refusal(event)) is error
    assert said in str(refusal(event))
    assert len(asked(table)) == 1


def test_an_error_that_nobody_foresaw_reaches_who_waits(table, running):
    (arn,) = running(1)

    async def broken() -> Any:
        raise ZeroDivisionError("a bug")

    async def wait() -> None:
        await Poller(broken).ended(arn, SOON)

    with pytest.raises(ZeroDivisionError):
        run(wait())


def test_the_last_one_who_leaves_closes_the_client(table, running):
    first, second = running(2)
    closed = []

    async def wait() -> None:
        real = settings(table, first).open_client

        @asynccontextmanager
        async def seen_closing() -> Any:
            async with await real() as client:
                yield client
            closed.append(client)

        async def open_client() -> Any:
            return seen_closing()

        poller = Poller(open_client, pace=Pace(50))
        waits = [asyncio.create_task(poller.ended(arn, SOON)) for arn in (first, second)]
        await until(lambda: {first, second} <= set(asked(table)))
        waits[0].cancel()
        await asyncio.wait([waits[0]])
        seen = len(asked(table))
        await asyncio.sleep(0.3)
        assert closed == []
        assert set(asked(table)[seen + 1 :]) == {second}, "who left is not asked after"
        waits[1].cancel()
        await asyncio.wait(waits)
        assert len(closed) == 1
        # It can be used again.
        table.lab.release(running.fault)
        assert await poller.ended(first, SOON) == "COMPLETED"
        assert len(closed) == 2

    run(wait())


@pytest.mark.scenario("F6")
def test_a_triggerer_that_is_started_again_loses_nothing(table, running):
    arns = running(5)
    serialized = [trigger(table, arn).serialize() for arn in arns]

    def inflate() -> list[DynamoDBExportTrigger]:
        found = []
        for path, keys in serialized:
            module, name = path.rsplit(".", 1)
            found.append(getattr(importlib.import_module(module), name)(**keys))
        return found

    async def killed() -> None:
        waits = [asyncio.create_task(event_of(each)) for each in inflate()]
        await asyncio.sleep(1)
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)

    run(killed())
    gc.collect()
    table.lab.release(running.fault)

    async def again() -> list[dict[str, Any]]:
        return await asyncio.gather(*(event_of(each) for each in inflate()))

    assert [(event["status"], event["export_arn"]) for event in run(again())] == [("COMPLETED", arn) for arn in arns]
    assert len(table.started()) == 5
