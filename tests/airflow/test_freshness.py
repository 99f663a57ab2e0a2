"""Late data is told of through SNS, once, although the table's own DAG never runs; and that it is over."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from threading import Thread
from typing import Any, Self, cast
from urllib.parse import quote

import pytest
from airflow.dag_processing.dagbag import DagBag

from ddb_export.cli import main
from ddb_export.config.model import TableConfiguration
from ddb_export.dag_factory import build_dag
from ddb_export.exceptions import ConfigurationError
from ddb_export.freshness_dag import build_freshness_dag
from ddb_export.notifiers.deadline import check_freshness
from ddb_export.notifiers.variable_memory import VARIABLE, WATCHED
from ddb_export.operators.freshness import SIDE_BY_SIDE, CheckFreshnessOperator
from ddb_export.pipeline.alerting import Watched, look_at
from tests.airflow.airflow_runs import Finished, run_backfill, run_manually, run_scheduled
from tests.airflow.runs import HOUR, Table

pytestmark = [pytest.mark.airflow, pytest.mark.filterwarnings("ignore")]

DAGS = Path(__file__).parents[2] / "dags"


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

    for each in (VARIABLE, WATCHED):
        Variable.delete(each)  # noqa: AIR311  # airflow.sdk's asks the supervisor of a task
    return Mailbox(aws, connection)


def declared(table: Table, mailbox: Mailbox, **changes: Any) -> TableConfiguration:
    alerts = {"notifiers": [mailbox.notifier], "runbook": "https://wiki/runbook"}
    return TableConfiguration.declare(**{**table.configuration, "sla": "26h", "alerts": alerts, **changes})


def check(*configured: TableConfiguration, problems: Sequence[str] = ()) -> Finished:
    """Run the freshness DAG once; a DAG whose task fails is not tried again."""
    dag = build_freshness_dag(configured, problems)
    dag.task_dict["check"].retries = 0
    return run_manually(dag)


def check_of_the_file() -> Finished:
    """Run the DAG of the file below ``dags/`` once."""
    dag = DagBag(DAGS).dags["ddb_export_freshness"]
    dag.task_dict["check"].retries = 0
    return run_manually(dag)


class SilentServer:
    """A server that takes connections and never answers, as one behind a firewall; it says how many waited at a time."""

    def __init__(self) -> None:
        self.most_at_a_time = 0
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def __enter__(self) -> Self:
        Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        waiting: list[socket.socket] = []
        while True:
            try:
                came = self._listening.accept()[0]
            except OSError:
                break
            waiting = [each for each in waiting if not is_gone(each)] + [came]
            self.most_at_a_time = max(self.most_at_a_time, len(waiting))


def is_gone(waiting: socket.socket) -> bool:
    """Tell whether the other side has hung up; what it asked is read away."""
    waiting.setblocking(False)
    try:
        while waiting.recv(65536):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def late_by_deadline(configured: TableConfiguration, run_type: str = "scheduled") -> None:
    context = {"dag_run": {"run_type": run_type, "dag_run_id": "scheduled__1"}, "deadline": {"id": "1"}}
    check_freshness(context=context, table=Watched.of(configured).to_json())


def deadline_missed(run: Finished) -> None:
    """Do what Airflow does when the deadline of a run passes: call back with what it gives."""
    from airflow.models import DagRun
    from airflow.models.deadline import Deadline
    from airflow.utils.session import create_session
    from sqlalchemy import select

    # A run that never waited in a queue, as those of these tests, has none by itself.
    with create_session() as session:
        row = session.scalars(select(DagRun).where(DagRun.dag_id == run.dag.dag_id, DagRun.run_id == run.run_id)).one()
        (alert,) = run.dag.deadline
        deadline = Deadline(datetime.now(UTC), alert.callback, row.id, None)
        session.add(deadline)
        session.flush()
        deadline.handle_miss(session)
        called_with = deadline.callback.data["kwargs"]
    check_freshness(**called_with)


@pytest.mark.scenario("F36")
def test_a_missed_deadline_of_a_backfill_tells_nobody(table, mailbox):
    dag = build_dag(declared(table, mailbox, retries=0))
    table.lab.deny(table.account, "s3:*")
    backfill = run_backfill(dag, *table.midnights[2:4])
    scheduled = run_scheduled(dag, *table.midnights[3:5])
    table.lab.deny(table.account)
    assert (backfill.state, scheduled.state) == ("failed", "failed")
    deadline_missed(backfill)
    assert mailbox.read() == []
    deadline_missed(scheduled)
    assert [each["Subject"] for each in mailbox.read()] == [f"[ddb_export] {table.name}: no-base"]


@pytest.mark.scenario("F36")
@pytest.mark.scenario("F37")
def test_a_table_whose_dag_never_ran_is_told_of_once_and_when_it_is_over(table, mailbox, monkeypatch):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.com/")
    configured = declared(table, mailbox)
    runs = f"\nRuns: https://airflow.example.com/dags/{configured.dag_id}/runs"
    late_by_deadline(configured, "backfill")
    assert mailbox.read() == []
    assert check(configured).state == "success"
    (alert,) = mailbox.read()
    assert alert["Subject"] == f"[ddb_export] {table.name}: no-base"
    assert f"start date {table.midnights[0]:%Y-%m-%d}T00:00:00Z; the SLA is 1 d 2 h" in alert["Message"]
    assert "\nRemedy: unpause its DAG" in alert["Message"]
    assert alert["Message"].endswith(f"\nRunbook: https://wiki/runbook#no-base{runs}")
    late_by_deadline(configured)
    assert check(configured).state == "success"
    assert mailbox.read() == []
    assert run_scheduled(table.dag(retries=0), table.midnights[3], table.midnights[4]).state == "success"
    assert check(configured).state == "success"
    (over,) = mailbox.read()
    assert over["Subject"] == f"[ddb_export] {table.name}: no-base (over)"
    assert check(configured).state == "success"
    table.lab.deny(table.account, "s3:*")
    failed = run_scheduled(table.dag(retries=0), table.midnights[4], table.midnights[4] + 24 * HOUR)
    assert failed.state == "failed"
    table.lab.deny(table.account)
    table.lab.advance_clock(30 * 3600, table.account)
    late_by_deadline(configured)
    (late,) = mailbox.read()
    assert late["Subject"] == f"[ddb_export] {table.name}: late"
    # 30 hours after now: from 18:00 on that is more than two days after midnight.
    assert re.search(rf"complete to {table.midnights[4]:%Y-%m-%d}T00:00:00Z, [12] d ", late["Message"])
    assert late["Message"].endswith(f"{runs}/scheduled__1")
    assert check(configured).state == "success"
    assert mailbox.read() == []
    table.lab.advance_clock(3600, table.account)
    assert check(configured).state == "success"
    (reminder,) = mailbox.read()
    assert reminder["Subject"] == f"[ddb_export] {table.name}: late (still)"
    assert reminder["Message"].endswith(f"{runs}/{quote(failed.run_id, safe='')}")


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


@pytest.mark.scenario("F16")
def test_lines_in_quarantine_are_said_by_publish_told_of_and_over_with_the_next_attempt(
    table, mailbox, capsys, monkeypatch
):
    free = {"id": {"S": "b"}, "price": {"S": "free"}}
    table.write(table.midnights[2] + HOUR, {"id": {"S": "a"}, "price": {"N": "2"}}, free)
    table.now()
    rules: dict[str, Any] = {"columns": {"price": {"type": "decimal(9,2)"}}, "on_violation": "quarantine"}
    configured = declared(table, mailbox, contract=rules, start_date=table.midnights[1], sla=None)
    runs = list(pairwise(table.midnights[1:4]))
    assert run_scheduled(build_dag(configured), *runs[0]).state == "success"
    assert check(configured).state == "success"
    assert mailbox.read() == []
    capsys.readouterr()
    assert run_scheduled(build_dag(configured), *runs[1]).state == "success"
    window = "-".join(f"{each:%Y%m%dT%H%MZ}" for each in runs[1])
    said = (
        f"export {window}-a1: 1 of 2 lines is not in lake.{table.name}_changes but in quarantine, with data file, line number and reason:"
        f" s3://{table.bucket}/lake/{table.name}/quarantine/changes/dt={runs[1][0]:%Y-%m-%d}/export_window={window}/g-"
    )
    log = capsys.readouterr().out
    assert log.count(f"table {table.name}, {said}") == 1
    folder = log.partition(said)[2].partition(". Remedy: read the reasons there, mend")[0]
    assert [key for key in table.keys("quarantine/") if folder in key]

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", table.account)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "lab")
    place = (f"s3://{table.bucket}/lake/{table.name}", "--endpoint-url", table.lab.endpoint_url)
    assert main(["gaps", *place]) == 0
    assert f"  quarantine 1 line of 2 of {window}-a1 not in lake.{table.name}_changes: s3://" in capsys.readouterr().out
    assert main(["gaps", *place, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["quarantine"]
    assert (found["lines"], found["of_lines"], found["folder"]) == (1, 2, said.rpartition("reason: ")[2] + folder)
    main(["status", *place])
    assert said in capsys.readouterr().out

    assert check(configured).state == "success"
    (alert,) = mailbox.read()
    assert alert["Subject"] == f"[ddb_export] {table.name}: quarantine"
    assert said in alert["Message"]
    assert (
        f" ago; the last window is [{runs[1][0]:%Y-%m-%d}T00:00:00Z, {runs[1][1]:%Y-%m-%d}T00:00:00Z)\n"
        in alert["Message"]
    )
    span = {"from": f"{runs[1][0]:%Y-%m-%dT%H:%M:%SZ}", "to": f"{runs[1][1]:%Y-%m-%dT%H:%M:%SZ}"}
    lenient = {**rules, "on_violation": "overflow"}
    mended = declared(table, mailbox, contract=lenient, start_date=table.midnights[1], sla=None)
    assert run_manually(build_dag(mended), **span, re_export=True).state == "success"
    assert check(configured).state == "success"
    assert [each["Subject"] for each in mailbox.read()] == [f"[ddb_export] {table.name}: quarantine (over)"]


@pytest.mark.scenario("F36")
def test_a_table_that_cannot_be_looked_at_for_whatever_reason_keeps_no_other_from_it(table, mailbox, monkeypatch):
    def stumbles(watched: Watched, *places: Any) -> Any:
        if watched.name == "b_broken":
            raise KeyError("head")
        return look_at(watched, *places)

    # What nobody foresaw cannot be put into a lake on purpose.
    monkeypatch.setattr("ddb_export.pipeline.alerting.look_at", stumbles)
    run = check(*(declared(table, mailbox, name=name) for name in ("a_first", "b_broken", "c_last")))
    assert run.state == "success"
    assert [each["table"] for each in run.xcom("check")] == ["a_first", "b_broken", "c_last"]
    told = mailbox.read()
    subjects = [f"[ddb_export] {each}" for each in ("a_first: no-base", "b_broken: unreadable", "c_last: no-base")]
    assert sorted(each["Subject"] for each in told) == subjects
    (unreadable,) = [each["Message"] for each in told if "unreadable" in each["Subject"]]
    assert "table b_broken: it could not be looked at (KeyError: 'head')" in unreadable


@pytest.mark.scenario("F36")
def test_tables_that_hang_are_looked_at_side_by_side(table, mailbox, monkeypatch):
    operator = build_freshness_dag([]).task_dict["check"]
    config = cast("CheckFreshnessOperator", operator)._hook("lab", "us-east-1", None).client("s3").meta.config
    assert (config.connect_timeout, config.read_timeout) == (5, 20)
    assert config.retries["total_max_attempts"] == 2
    with SilentServer() as server:
        extra = {"region_name": "us-east-1", "endpoint_url": server.url}
        document = {"conn_type": "aws", "login": "nobody", "password": "none", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_SILENT", json.dumps(document))
        names = [f"t{number}" for number in range(SIDE_BY_SIDE)]
        tables = [declared(table, mailbox, name=name, aws_conn_id="silent", alerts={}) for name in names]
        dag = build_freshness_dag(tables)
        dag.task_dict["check"].botocore_config = {"read_timeout": 2, "retries": {"total_max_attempts": 1}}
        run = run_manually(dag)
    assert run.state == "success"
    assert [each["table"] for each in run.xcom("check")] == names
    assert server.most_at_a_time == SIDE_BY_SIDE


@pytest.mark.scenario("F36")
def test_a_mistake_in_the_defaults_takes_no_table_out_of_sight(table, mailbox, tmp_path, monkeypatch):
    monkeypatch.setenv("DDB_EXPORT_TABLES_DIR", str(tmp_path))
    defaults = tmp_path / "_defaults.yaml"
    right = json.dumps({"sla": "26h", "alerts": {"notifiers": [mailbox.notifier]}})
    (tmp_path / "orders.yaml").write_text(json.dumps(table.configuration, default=str))
    defaults.write_text(right.replace('"sla"', '"slaa"'))
    nobody = check_of_the_file()
    assert nobody.state == "failed"
    assert re.search(
        r"nobody can be told, .*_defaults\.yaml:1.*slaa.*Remedy: run ddb-export check", nobody.error("check")
    )

    defaults.write_text(right)
    assert check_of_the_file().state == "success"
    assert [each["Subject"] for each in mailbox.read()] == [f"[ddb_export] {table.name}: no-base"]
    defaults.write_text(right.replace('"sla"', '"slaa"'))
    for _ in range(2):
        run = check_of_the_file()
        assert (run.state, [each["table"] for each in run.xcom("check")]) == ("success", [table.name])
    (alert,) = mailbox.read()
    assert alert["Subject"] == "[ddb_export] configuration: configuration"
    assert "slaa" in alert["Message"]
    defaults.write_text(right)
    assert check_of_the_file().state == "success"
    assert [each["Subject"] for each in mailbox.read()] == ["[ddb_export] configuration: configuration (over)"]


def test_mistakes_in_the_configuration_are_told_of(table, mailbox):
    configured = declared(table, mailbox, start_date=table.midnights[4] + 12 * HOUR)
    for _ in range(2):
        assert (
            check(configured, problems=["tables/orders.yaml:3: shedule is no key. Remedy: write schedule"]).state
            == "success"
        )
    (alert,) = mailbox.read()
    assert alert["Subject"] == "[ddb_export] configuration: configuration"
    assert "shedule is no key" in alert["Message"]
    assert "\nRunbook: https://wiki/runbook#configuration" in alert["Message"]


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
    for _ in range(2):
        run = check(broken)
        assert run.state == "failed"
        assert said in run.error("check")
    assert check(broken).state == "success"  # it is too early to try it a third time
    assert len(mailbox.read()) == 1
    table.lab.advance_clock(600, table.account)
    assert check(broken).state == "failed"
    assert check(declared(table, mailbox)).state == "success"
    assert mailbox.read() == []


@pytest.mark.scenario("F36")
def test_the_link_opens_the_run_that_matters(table, mailbox, monkeypatch):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.com/")
    configured = declared(table, mailbox, start_date=table.midnights[2])  # two days ago: late at any time of day
    dag = build_dag(configured)
    runs = f"https://airflow.example.com/dags/{dag.dag_id}/runs"
    check(configured)
    late_by_deadline(configured)
    (alert,) = mailbox.read()
    assert alert["Message"].endswith(f"\nRuns: {runs}")
    assert run_scheduled(table.dag(retries=0), table.midnights[3], table.midnights[4]).state == "success"
    late_by_deadline(configured)
    (over,) = mailbox.read()
    assert over["Message"].endswith(f"\nRuns: {runs}/scheduled__1")
    table.lab.deny(table.account, "s3:*")
    failed = run_scheduled(table.dag(retries=0), table.midnights[4], table.midnights[4] + 24 * HOUR)
    assert failed.state == "failed"
    table.lab.deny(table.account)
    table.lab.advance_clock(30 * 3600, table.account)
    check(configured)
    (late,) = mailbox.read()
    assert late["Message"].endswith(f"\nRuns: {runs}/{quote(failed.run_id, safe='')}")


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
    assert deadline.interval == 26 * HOUR
    # A run whose deadline hangs on when it was queued cannot be cleared: https://github.com/apache/airflow/issues/70368
    assert type(deadline.reference).__name__ == "DagRunLogicalDateDeadline"
    assert deadline.callback.path == "ddb_export.notifiers.deadline.check_freshness"
    assert json.dumps(DagSerialization.to_dict(dag))
    assert not build_dag(declared(table, mailbox, sla=None)).deadline
