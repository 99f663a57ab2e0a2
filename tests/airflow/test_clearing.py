"""Clear any task of a finished run, or all of them, whenever: nothing is billed, and the lake is the same afterwards.

docs/clearing.md says per task what it does again; here each row of its table is compared with what the task really does.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import boto3
import pytest

from local_aws.client import Lab
from tests.airflow.airflow_runs import Finished, run_again, run_backfill, run_manually, run_scheduled
from tests.airflow.by_hand import forget_runs, mark_success
from tests.airflow.runs import DAY, HOUR, ONE_LINE, Table, make_table

pytestmark = [pytest.mark.airflow, pytest.mark.filterwarnings("ignore")]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "clearing.md"
ROW = re.compile(r"\| `(?P<task>[\w.]+)` \| (?P<again>[^|]+) \| (?P<reads>yes|no) \| (?P<writes>[^|]+) \|")
DISPOSABLE = "ledger/summary.json"
"""A summary may be renewed whenever a run plans; deleting it changes no answer."""


@dataclass(frozen=True)
class Seen:
    """A table's lake, its catalog and its bill, as they are seen from outside.

    :param objects: ETag by key of everything below the table's folder, what is disposable and Athena's results aside.
    :param partitions: every partition of the catalog: values, location, parameters.
    :param exports: ids of all exports that DynamoDB ever took on. :param asked: how often it was asked for one.
    """

    objects: dict[str, str]
    partitions: list[str]
    exports: list[str]
    asked: int


def seen(table: Table) -> Seen:
    """Look at a table from outside."""
    s3, glue, root = table.aws("s3"), table.aws("glue"), f"lake/{table.name}/"
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=table.bucket, Prefix=root)
    objects = {each["Key"].removeprefix(root): each["ETag"] for page in pages for each in page["Contents"]}
    tables = [each["Name"] for each in glue.get_tables(DatabaseName="lake")["TableList"]]
    partitions = [
        json.dumps([each["Values"], each["StorageDescriptor"]["Location"], each["Parameters"]], sort_keys=True)
        for name in tables
        for each in glue.get_partitions(DatabaseName="lake", TableName=name)["Partitions"]
    ]
    return Seen(
        {key: etag for key, etag in objects.items() if key != DISPOSABLE and not key.startswith("athena-results/")},
        sorted(partitions),
        [each["export_arn"] for each in table.started()],
        len(table.lab.calls(table.account, operation="ExportTableToPointInTime")),
    )


def full_table(lab: Lab, account: str, aws: Any, connection: str) -> Table:
    """A table that changes on every day."""
    table = make_table(lab, account, aws, connection)
    for day, midnight in enumerate(table.midnights[:-1]):
        table.write(midnight + HOUR, {"id": {"S": "a"}, "day": {"N": str(day)}}, {"id": {"S": f"b{day}"}})
    table.now()
    return table


@pytest.fixture(scope="module")
def done(airflow_database: None, lab: Lab) -> Iterator[tuple[Table, Finished]]:
    """A run that made a base and two windows behind it; the tests leave its lake as they find it."""
    account, session = f"{random.randrange(10**11, 10**12)}", boto3.Session()

    def aws(service: str) -> Any:
        login = {"aws_access_key_id": account, "aws_secret_access_key": "lab", "region_name": "us-east-1"}
        return session.client(service, endpoint_url=lab.endpoint_url, **login)

    extra = {"region_name": "us-east-1", "endpoint_url": lab.endpoint_url}
    connection = {"conn_type": "aws", "login": account, "password": "lab", "extra": extra}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_LAB_TO_CLEAR", json.dumps(connection))
        table = full_table(lab, account, aws, "lab_to_clear")
        m = table.midnights
        run = run_scheduled(table.dag(retries=0, base_time=m[1]), m[2], m[3])
        assert (run.state, run.failures, len(table.started())) == ("success", [], 3)
        yield table, run
    lab.reset(account)


def rows() -> dict[str, dict[str, str]]:
    """Read the table of docs/clearing.md."""
    return {row["task"]: row.groupdict() for row in ROW.finditer(PAGE.read_text())}


def test_the_page_has_a_row_for_every_task(done):
    _, run = done

    assert list(rows()) == [task for task in run.dag.task_dict if task in rows()]
    assert set(rows()) == set(run.dag.task_dict)


@pytest.mark.scenario("F4")
@pytest.mark.parametrize("task", list(rows()))
def test_a_cleared_task_bills_nothing_changes_nothing_and_does_what_the_page_says(done, task):
    table, run = done
    before, last = seen(table), table.lab.calls(table.account)[-1]["sequence"]
    again = run_again(run, task)
    calls = table.lab.calls(table.account, after=last)
    assert (again.state, again.failures) == ("success", [])
    assert again.tries, "the task did run again"
    assert {each.task.split("[")[0] for each in again.tries} == {task}
    assert seen(table) == before
    assert calls, "it looked: a task that turns green without asking anyone proves nothing"
    row = rows()[task]
    assert reads_data(table, calls) == (row["reads"] == "yes")
    assert writes(table, calls) == ("nothing" if row["writes"] == "nothing" else set(row["writes"].split(", ")))


def reads_data(table: Table, calls: list[dict[str, Any]]) -> bool:
    """Tell whether data files of the exports were read."""
    keys = [call["parameters"].get("Key", "") for call in calls if call["operation"] == "GetObject"]
    return any("/raw/" in key and "/data/" in key for key in keys)


def writes(table: Table, calls: list[dict[str, Any]]) -> set[str] | str:
    """Return the folders that were written to, and the catalog if it was; "nothing" if there is none."""
    done = [call for call in calls if call["status"] == 200]
    keys = [call["parameters"].get("Key", "") for call in done if call["operation"] == "PutObject"]
    below = [key.removeprefix(f"lake/{table.name}/") for key in keys if not key.endswith(DISPOSABLE)]
    places = {f"`{key.split('/')[0]}/`" if not key.startswith("ledger/") else ledger_place(key) for key in below}
    if any(call["service"] == "glue" and not call["operation"].startswith("Get") for call in done):
        places.add("partitions in Glue")
    return places or "nothing"


def ledger_place(key: str) -> str:
    return f"`{'/'.join(key.split('/')[:2])}/`"


@pytest.mark.scenario("F4")
@pytest.mark.scenario("F12")
@pytest.mark.scenario("F33")
def test_clearing_a_whole_run_when_dynamodb_has_forgotten_its_exports(done, lab):
    table, run = done
    lab.advance_clock(91 * DAY / timedelta(seconds=1), table.account)
    assert table.aws("dynamodb").list_exports()["ExportSummaries"] == []
    before = seen(table)
    again = run_again(run)
    assert (again.state, again.failures, len(again.tries)) == ("success", [], len(run.tries))
    assert seen(table) == before


@pytest.mark.scenario("F4")
@pytest.mark.scenario("F6")
def test_a_cleared_export_that_airflow_knows_nothing_of_is_found_by_its_claim(lab, account, aws, connection):
    table = full_table(lab, account, aws, connection)
    m = table.midnights
    lab.deny(account, f"s3:GetObject arn:aws:s3:::{table.bucket}/*/data/*")
    run = run_scheduled(table.dag(retries=0), m[0], m[1])
    assert (run.state, run.states["verify_base"]) == ("failed", "failed")
    lab.deny(account)
    forget_runs(run.dag)
    before = seen(table)
    again = run_scheduled(table.dag(retries=0), m[0], m[1])
    assert (again.state, again.failures) == ("success", [])
    assert seen(table).exports == before.exports


@pytest.mark.scenario("F4")
def test_clearing_a_run_whose_raw_files_are_gone_says_so_and_takes_nothing_from_readers(table):
    m = table.midnights
    run = run_scheduled(table.dag(retries=0, base_time=m[1]), m[1], m[2])
    window = table.claims()[-1]["export"]
    before = seen(table)
    for key in table.keys(f"raw/{window}/"):
        table.aws("s3").delete_object(Bucket=table.bucket, Key=f"lake/{table.name}/{key}")
    again = run_again(run)
    assert again.states["scan[1]"] == "failed"
    assert ONE_LINE.fullmatch(again.error("scan[1]"))
    assert window in again.error("scan[1]")
    assert "re_export: true" in again.error("scan[1]")
    after = seen(table)
    assert (after.exports, after.partitions) == (before.exports, before.partitions)


@pytest.mark.scenario("F4")
@pytest.mark.scenario("F13")
def test_a_cleared_run_of_a_table_that_was_made_again_exports_nothing_of_the_new_one(lab, account, aws, connection):
    table = full_table(lab, account, aws, connection)
    m = table.midnights
    run = run_scheduled(table.dag(retries=0, base_time=m[1]), m[1], m[2])
    assert run.state == "success"
    make_again(table)
    before = seen(table)
    for task in ("window.export", "export_base", "plan"):
        again = run_again(run, task)
        message = again.failures[0].error
        assert "deleted and created again" in str(message), f"{task}: {message}"
        assert ONE_LINE.fullmatch(str(message))
        assert seen(table) == before


def make_again(table: Table) -> None:
    """Delete the table and create it again, with recovery on."""
    dynamodb = table.aws("dynamodb")
    described = dynamodb.describe_table(TableName=table.name)["Table"]
    dynamodb.delete_table(TableName=table.name)
    definition = {name: described[name] for name in ("TableName", "AttributeDefinitions", "KeySchema")}
    dynamodb.create_table(**definition, BillingMode="PAY_PER_REQUEST")
    recovery = {"PointInTimeRecoveryEnabled": True}
    dynamodb.update_continuous_backups(TableName=table.name, PointInTimeRecoverySpecification=recovery)


MARKED = {
    "plan": ("dynamodb:DescribeContinuousBackups", "check", "the run has no plan"),
    "window.export": ("s3:PutObject arn:aws:s3:::{bucket}/*/raw/*", "window.verify[0]", "run the export task first"),
    "publish": ("glue:BatchCreatePartition", "check", "are not published"),
}
"""By task: the permission whose loss makes it fail, and who says what after it was marked as successful all the same."""


@pytest.mark.scenario("F4")
def test_marking_a_failed_task_as_successful_neither_makes_the_run_green_nor_loses_data(table):
    m = table.midnights
    assert run_scheduled(table.dag(retries=0), m[0], m[1]).state == "success"
    for number, (task, (permission, said_by, said)) in enumerate(MARKED.items()):
        table.lab.deny(table.account, permission.format(bucket=table.bucket))
        run = run_backfill(table.dag(retries=0), m[1] + number * 8 * HOUR, m[1] + (number + 1) * 8 * HOUR)
        failed = {each.task.split("[")[0] for each in run.failures}
        assert (run.state, task in failed) == ("failed", True), f"{task}: {run.states}"
        marked = mark_success(run, task)
        assert (marked.state, said in marked.error(said_by)) == ("failed", True), f"{task}: {marked.states}"
        table.lab.deny(table.account)
    assert mark_success(run, "check").state == "success", "a person may say so of the last task"
    assert len(table.partitions()) == 1
    healed = run_manually(table.dag(retries=0))
    assert (healed.state, healed.failures) == ("success", [])
    assert all(end == start for (_, end), (start, _) in pairwise(sorted(set(table.windows()))))
    assert len(table.completed()) == len(table.partitions())
