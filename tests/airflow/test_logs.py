"""The log of a real run: each stage has its line with the words to search for, and nothing that does not belong into a log."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.airflow.airflow_runs import run_scheduled
from tests.airflow.runs import HOUR, make_table

pytestmark = [pytest.mark.airflow, pytest.mark.filterwarnings("ignore")]

KEY, ATTRIBUTE, VALUE = "customer-7f3a91", "iban_of_customer", "DE-confidential-55"
PASSWORD = "wJalrXUtnFEMI-K7MDENG"
_PRINTED = re.compile(r"\[(?P<level>\w+)\s*\] (?P<event>.*?)\s*\[(?P<logger>[\w.]+)\]")
OURS = ("ddb_export.", "airflow.task.operators.ddb_export.", "airflow.task.hooks.ddb_export.")


class Line(NamedTuple):
    """A line of the log at INFO or above."""

    logger: str
    event: str


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[list[Line]]:
    """What libraries say by way of the standard library's logging; :func:`printed` has what Airflow's own loggers print."""
    found: list[Line] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(Line(record.name, record.getMessage()))

    keeper = Keeper(logging.INFO)
    logging.getLogger().addHandler(keeper)
    yield found
    logging.getLogger().removeHandler(keeper)


def printed(capsys: pytest.CaptureFixture[str]) -> list[Line]:
    said = [_PRINTED.search(line) for line in capsys.readouterr().out.splitlines()]
    return [Line(found["logger"], found["event"]) for found in said if found]


def test_an_on_call_person_finds_each_stage_and_nothing_else(lab, account, aws, connection, monkeypatch, lines, capsys):
    extra = {"region_name": "us-east-1", "endpoint_url": lab.endpoint_url}
    document = {"conn_type": "aws", "login": account, "password": PASSWORD, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_LAB", json.dumps(document))
    table = make_table(lab, account, aws, connection)
    m = table.midnights
    table.write(m[1] + HOUR, {"id": {"S": KEY}, ATTRIBUTE: {"S": VALUE}})
    table.now()
    capsys.readouterr()
    lines.clear()
    dag = table.dag(retries=0, base_time=m[1], outputs=["snapshots", "changes", "raw"])
    run = run_scheduled(dag, m[1], m[2])
    assert (run.state, run.failures) == ("success", [])
    said = [*lines, *printed(capsys)]
    strangers = {line for line in said if not line.logger.startswith(("ddb_export.", "airflow."))}
    assert {line for line in strangers if line.logger != "task"} == set(), "'task' is Airflow's own runner"
    text = "\n".join(line.event for line in said)
    for secret in (KEY, ATTRIBUTE, VALUE, PASSWORD):
        assert secret not in text

    ours = [line.event for line in said if line.logger.startswith(OURS)]
    assert not any("\n" in line for line in ours)
    window = f"[{m[1]:%Y-%m-%dT%H:%M:%SZ}, {m[2]:%Y-%m-%dT%H:%M:%SZ})"
    (arn,) = (entry["export_arn"] for entry in table.verified() if entry["start"])
    export_id = arn.rsplit("/", 1)[-1]
    words = f"{table.name}, window {window}, attempt 1, export {export_id}"
    stages = {
        "export": ["waiting, deferred, until DynamoDB ends it", "COMPLETED in "],
        "verify": ["begins: 4 files, 1 row", "has read 4 files, 1 row, ", "verified at level bytes: 4 files, 1 item, "],
        "scan": ["begins: 1 file, 1 row", "has read 1 file, 1 row, "],
        "convert": ["begins: 1 file, 1 row", "has read 1 file, 1 row, ", "made 1 Parquet file, 1 row, "],
        "publish": ["1 row in 1 file can be read in lake."],
        "register": ["1 record can be read in lake."],
    }
    for stage, beginnings in stages.items():
        found = [line for line in ours if line.startswith(f"{stage}: ") and words in line]
        assert all(
            line.removeprefix(f"{stage}: ").startswith(begin) for line, begin in zip(found, beginnings, strict=True)
        ), found
    assert f"plan: export window {window}: no export covers it yet; {table.name}" in ours
    assert any(line.startswith("export: started for claim 2, ") and line.endswith(arn) for line in ours)
    assert f"hand_over: data is complete to {m[2]:%Y-%m-%dT%H:%M:%SZ}; {table.name}" in ours
    assert any(line.startswith("check: Athena counts 1 rows of changes, as published; query ") for line in ours)
