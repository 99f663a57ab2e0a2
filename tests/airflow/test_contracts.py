"""What other people's DAGs, running triggers and Airflow itself rely on; no AWS is needed to see it."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import BaseOperator, RetryAction
from airflow.triggers.base import BaseTrigger

import ddb_export
from ddb_export.aws.errors import ObjectMissingError
from ddb_export.exceptions import ExportFailedError, ExportThrottledError, PermissionDeniedError
from ddb_export.get_provider_info import get_provider_info
from ddb_export.operators.base import LakeOperator
from ddb_export.operators.freshness import CheckFreshnessOperator
from ddb_export.pipeline.waiting import refusal
from ddb_export.retry_policy import DdbExportRetryPolicy
from ddb_export.sensors.export import DynamoDBExportSensor
from ddb_export.triggers.export import DynamoDBExportTrigger

pytestmark = [pytest.mark.airflow, pytest.mark.filterwarnings("ignore")]

ARN = "arn:aws:dynamodb:us-east-1:111122223333:table/orders/export/01700000000000-0a1b2c3d"
AWS_PARAMETERS = {"aws_conn_id", "region_name", "verify", "botocore_config"}


def modules(package: str) -> list[str]:
    found = importlib.import_module(f"ddb_export.{package}")
    return [f"ddb_export.{package}.{each.name}" for each in pkgutil.iter_modules(found.__path__)]


def operator_classes() -> list[type[BaseOperator]]:
    loaded = [importlib.import_module(name) for name in [*modules("operators"), *modules("sensors")]]
    members = [member for module in loaded for _, member in inspect.getmembers(module, inspect.isclass)]
    ours = {each for each in members if issubclass(each, BaseOperator) and each.__module__.startswith("ddb_export.")}
    return sorted((each for each in ours if not each.__name__.startswith("_")), key=lambda each: each.__name__)


@pytest.mark.parametrize("operator", operator_classes(), ids=lambda each: each.__name__)
def test_operators_are_whole(operator):
    parameters = {
        name
        for each in operator.__mro__
        if each.__module__.startswith(("ddb_export.", "airflow.providers.amazon."))
        for name in inspect.signature(each.__init__).parameters
    }
    assert set(operator.template_fields) <= parameters, "a template field that is no parameter is never rendered"
    assert operator.__doc__
    if operator is CheckFreshnessOperator:
        return  # each of its tables has a connection of its own
    assert parameters >= AWS_PARAMETERS
    assert {"aws_conn_id", "region_name"} <= set(operator.template_fields)


@pytest.mark.parametrize(
    ("given", "keys"),
    [
        (
            {},
            {
                "export_arn": ARN,
                "poll_interval": 30.0,
                "aws_conn_id": "aws_default",
                "region_name": None,
                "verify": None,
                "botocore_config": None,
            },
        ),
        (
            {
                "poll_interval": 5.0,
                "aws_conn_id": None,
                "region_name": "eu-west-1",
                "verify": "/etc/ca.pem",
                "botocore_config": {"read_timeout": 7},
            },
            {
                "export_arn": ARN,
                "poll_interval": 5.0,
                "aws_conn_id": None,
                "region_name": "eu-west-1",
                "verify": "/etc/ca.pem",
                "botocore_config": {"read_timeout": 7},
            },
        ),
        (
            {"role_arn": "arn:aws:iam::111122223333:role/lake"},
            {
                "export_arn": ARN,
                "poll_interval": 30.0,
                "aws_conn_id": "aws_default",
                "region_name": None,
                "verify": None,
                "botocore_config": None,
                "role_arn": "arn:aws:iam::111122223333:role/lake",
            },
        ),
    ],
)
def test_the_triggers_class_path_and_keys_are_a_contract(given, keys):
    path, serialized = DynamoDBExportTrigger(export_arn=ARN, **given).serialize()
    assert path == "ddb_export.triggers.export.DynamoDBExportTrigger"
    assert serialized == keys
    module, name = path.rsplit(".", 1)
    again = getattr(importlib.import_module(module), name)(**serialized)
    assert again.serialize() == (path, serialized)


def test_the_event_of_a_refused_question_becomes_a_typed_error():
    event = {"status": "error", "export_arn": ARN, "cause": "it broke", "code": "AccessDeniedException"}
    assert isinstance(refusal(event), PermissionDeniedError)
    assert str(refusal(event)).startswith(f"export {ARN}: it broke. Remedy: allow this role dynamodb:DescribeExport")
    assert refusal({**event, "code": "ExpiredTokenException"}).retryable


def test_provider_info_names_every_module():
    info = get_provider_info()
    for kind in ("operators", "sensors", "hooks", "triggers"):
        assert sorted(name for group in info[kind] for name in group["python-modules"]) == [
            name for name in sorted(modules(kind)) if name in _with_classes(kind)
        ]
    for link in info["extra-links"]:
        module, name = link.rsplit(".", 1)
        assert getattr(importlib.import_module(module), name)().name


def _with_classes(kind: str) -> list[str]:
    """Modules that hold what the list is of; ``operators.runs``, ``operators.state``, ``triggers.pace`` and ``triggers.poller`` hold helpers."""
    base = {"operators": BaseOperator, "sensors": BaseOperator, "triggers": BaseTrigger}.get(kind, object)
    found = []
    for name in modules(kind):
        members = inspect.getmembers(importlib.import_module(name), inspect.isclass)
        if any(issubclass(each, base) and each.__module__ == name for _, each in members):
            found.append(name)
    return found


def test_public_names_hold_what_people_import():
    assert {"DynamoDBExportOperator", "DynamoDBExportSensor", "DynamoDBExportTrigger"} <= set(ddb_export.__all__)
    assert ddb_export.DynamoDBExportSensor is DynamoDBExportSensor


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (ExportFailedError("x", "y", "z", code="S3AccessDenied"), RetryAction.FAIL),
        (ExportFailedError("x", "y", "z", code="UNKNOWN"), RetryAction.DEFAULT),
        (PermissionDeniedError("x", "y", "z"), RetryAction.FAIL),
        (RuntimeError("x"), RetryAction.DEFAULT),
        (ExportThrottledError("x", "y", "z", code="LimitExceededException"), RetryAction.RETRY),
    ],
)
def test_what_only_a_person_can_help_is_not_tried_again(error, action):
    policy = DdbExportRetryPolicy.deserialize(DdbExportRetryPolicy().serialize())
    assert policy.evaluate(error, 1, 3).action is action


def test_a_failed_tasks_log_names_the_place_in_the_runbook(caplog):
    DdbExportRetryPolicy().evaluate(ObjectMissingError("x", "y", "z", code="NoSuchKey"), 1, 3)
    assert caplog.messages == ["what to do: docs/runbook.md#NotReachableError"]
    caplog.clear()
    DdbExportRetryPolicy().evaluate(RuntimeError("x"), 1, 3)
    assert caplog.messages == []


@pytest.mark.scenario("F32")
def test_who_was_throttled_tries_again_later_and_later_and_not_together():
    policy = DdbExportRetryPolicy()
    throttled = ExportThrottledError("x", "y", "z", code="ThrottlingException")
    delays = [
        [policy.evaluate(throttled, number, 9).retry_delay or timedelta() for _ in range(20)] for number in range(1, 9)
    ]
    for number, drawn in enumerate(delays):
        longest = min(60 * 2**number, 900)
        assert all(longest / 2 <= each.total_seconds() <= longest for each in drawn)
        assert len(set(drawn)) > 1


def test_the_four_aws_parameters_reach_the_clients(monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_FAR", '{"conn_type": "aws", "login": "111122223333", "password": "none"}')

    class Probe(LakeOperator):
        def execute(self, context: Any) -> None:
            return None

    probe = Probe(
        task_id="probe",
        bucket="lake",
        prefix="",
        lake_name="orders",
        aws_conn_id="far",
        region_name="eu-west-1",
        verify=False,
        botocore_config={"read_timeout": 7, "retries": {"total_max_attempts": 2}},
    )
    clients = [probe.hook.client(name) for name in ("dynamodb", "s3", "glue")] + [probe.hook.athena.get_conn()]
    for client in clients:
        assert client.meta.region_name == "eu-west-1"
        assert client.meta.config.read_timeout == 7
        assert client.meta.config.retries["total_max_attempts"] == 2
        assert client._endpoint.http_session._verify is False
    sensor = DynamoDBExportSensor(
        task_id="wait", export_arn=ARN, poll_interval=timedelta(seconds=9), botocore_config={"read_timeout": 7}
    )
    assert (sensor.poke_interval, sensor.botocore_config) == (9.0, {"read_timeout": 7})
