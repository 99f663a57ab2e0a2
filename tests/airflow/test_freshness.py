"""Late data is told of through SNS, once, although the table's own DAG never runs; and that it is over."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

import pytest

from ddb_export.config.model import TableConfiguration
from ddb_export.dag_factory import build_dag
from ddb_export.exceptions import ConfigurationError
from ddb_export.freshness_dag import build_freshness_dag
from ddb_export.notifiers.deadline import check_freshness
from ddb_export.notifiers.variable_memory import VARIABLE
from ddb_export.pipeline.alerting import Watched
from tests.airflow.airflow_runs import Finished, run_manually, run_scheduled
from tests.airflow.runs import HOUR, Table

pytestmark = [pytest.mark.airflow, pytest.mark.filterwarnings("ignore")]


class Mailbox:
    """A queue behind an SNS topic."""

    def __init__(self, aws: Callable[..., Any], connection: str) -> None:
        sns, self._sqs = aws("sns"), aws("sqs")
        self.topic = sns.create_topic(Name="late-data")["TopicArn"]
        self._queue = self._sqs.create_queue(QueueName="late-data")["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])["Attributes"][
            "QueueArn"
        ]
        sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=arn)
        self.notifier = {"notifier": "sns", "arguments": {"target_arn": self.topic, "aws_conn_id": connection}}

    def read(self) -> list[dict[str, Any]]:
        """Take what came since it was read last."""
        found = []
        while messages := self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages"):
            for each in messages:
                found.append(json.loads(each["Body"]))
                self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=each["ReceiptHandle"])
        return found


@pytest.fixture
def mailbox(aws: Callable[..., Any], connection: str) -> Mailbox:
    from airflow.models import Variable

    Variable.delete(VARIABLE)  # noqa: AIR311  # airflow.sdk's asks the supervisor of a task
    return Mailbox(aws, connection)


def declared(table: Table, mailbox: Mailbox, **changes: Any) -> TableConfiguration:
    alerts = {"notifiers": [mailbox.notifier], "runbook": "https://wiki/runbook"}
    return TableConfiguration.declare(**{**table.configuration, "sla": "26h", "alerts": alerts, **changes})


def check(configured: TableConfiguration, *problems: str) -> Finished:
    """Run the freshness DAG once; a DAG whose task fails is not tried again."""
    dag = build_freshness_dag([configured], problems)
    dag.task_dict["check"].retries = 0
    return run_manually(dag)


def late_by_deadline(configured: TableConfiguration, run_type: str = "scheduled") -> None:
    context = {"dag_run": {"run_type": run_type, "dag_run_id": "scheduled__1"}, "deadline": {"id": "1"}}
    check_freshness(context=context, table=Watched.of(configured).to_json())


@pytest.mark.scenario("F36")
@pytest.mark.scenario("F37")
def test_a_table_whose_dag_never_ran_is_told_of_once_and_when_it_is_over(table, mailbox):
    configured = declared(table, mailbox)
    late_by_deadline(configured, "backfill")
    assert mailbox.read() == []
    assert check(configured).state == "success"
    (alert,) = mailbox.read()
    assert alert["Subject"] == f"[ddb_export] {table.name}: no-base"
    assert f"start date {table.midnights[0]:%Y-%m-%d}T00:00:00Z; the SLA is 1 d 2 h" in alert["Message"]
    assert "\nRemedy: unpause its DAG" in alert["Message"]
    assert "\nRunbook: https://wiki/runbook#no-base" in alert["Message"]
    late_by_deadline(configured)
    assert check(configured).state == "success"
    assert mailbox.read() == []
    assert run_scheduled(table.dag(retries=0), table.midnights[3], table.midnights[4]).state == "success"
    assert check(configured).state == "success"
    (over,) = mailbox.read()
    assert over["Subject"] == f"[ddb_export] {table.name}: no-base (over)"
    assert check(configured).state == "success"
    table.lab.advance_clock(30 * 3600, table.account)
    late_by_deadline(configured)
    (late,) = mailbox.read()
    assert late["Subject"] == f"[ddb_export] {table.name}: late"
    assert f"complete to {table.midnights[4]:%Y-%m-%d}T00:00:00Z, 1 d " in late["Message"]
    assert check(configured).state == "success"
    assert mailbox.read() == []


@pytest.mark.scenario("F36")
def test_a_lake_that_cannot_be_read_is_told_of_once_and_when_it_is_over(table, mailbox):
    configured = declared(table, mailbox, start_date=table.midnights[4] + 12 * HOUR)
    table.lab.deny(table.account, "s3:*")
    for _ in range(2):
        assert check(configured).state == "success"
    (alert,) = mailbox.read()
    assert alert["Subject"] == f"[ddb_export] {table.name}: unreadable"
    assert "\nRemedy: " in alert["Message"]
    table.lab.deny(table.account)
    assert check(configured).state == "success"
    assert [each["Subject"] for each in mailbox.read()] == [f"[ddb_export] {table.name}: unreadable (over)"]


def test_mistakes_in_the_configuration_are_told_of(table, mailbox):
    configured = declared(table, mailbox, start_date=table.midnights[4] + 12 * HOUR)
    for _ in range(2):
        assert check(configured, "tables/orders.yaml:3: shedule is no key. Remedy: write schedule").state == "success"
    (alert,) = mailbox.read()
    assert alert["Subject"] == "[ddb_export] configuration: configuration"
    assert "shedule is no key" in alert["Message"]


@pytest.mark.parametrize(
    ("notifier", "said"),
    [
        ("ddb_export.notifiers.nowhere.Notifier", "it cannot be imported"),
        ("ddb_export.domain.notices.Notice", "it is no notifier of Airflow"),
        ("airflow.providers.amazon.aws.notifications.sns.SnsNotifier", "it does not take its arguments"),
    ],
)
def test_a_notifier_that_cannot_tell_fails_the_check_and_is_tried_again(table, mailbox, notifier, said):
    broken = declared(table, mailbox, alerts={"notifiers": [{"notifier": notifier}, mailbox.notifier]})
    run = check(broken)
    assert run.state == "failed"
    assert said in run.error("check")
    assert len(mailbox.read()) == 1
    assert check(declared(table, mailbox)).state == "success"
    assert len(mailbox.read()) == 1


def test_a_name_that_is_no_notifier_is_refused_with_the_nearest(table, mailbox):
    with pytest.raises(ConfigurationError, match=r"names no notifier.* write slack"):
        declared(table, mailbox, alerts={"notifiers": [{"notifier": "slak"}]})


def test_an_sla_that_no_run_can_keep_is_refused(table, mailbox):
    with pytest.raises(
        ConfigurationError, match=r"sla .*cannot be kept: with schedule '0 0 \* \* \*' the data is 1d old"
    ):
        declared(table, mailbox, sla="24h")


def test_the_dag_of_a_table_with_an_sla_has_a_deadline(table, mailbox):
    from airflow.serialization.serialized_objects import DagSerialization

    dag = build_dag(declared(table, mailbox))
    (deadline,) = cast("list[Any]", dag.deadline)
    assert deadline.interval == 2 * HOUR
    assert deadline.callback.path == "ddb_export.notifiers.deadline.check_freshness"
    assert json.dumps(DagSerialization.to_dict(dag))
    assert not build_dag(declared(table, mailbox, sla=None)).deadline
