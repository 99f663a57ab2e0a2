"""Compaction as a table's DAG does it: by a run by hand that asks for it, or by policy."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from ddb_export.exceptions import BudgetError
from ddb_export.operators.compact import CompactFilesOperator
from tests.airflow.airflow_runs import run_manually, run_scheduled
from tests.airflow.runs import HOUR, Table, make_table

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.filterwarnings("ignore"),  # Airflow and its libraries warn about themselves
]


@pytest.fixture
def scattered(lab, account, aws, connection) -> Table:
    """Items that lie in several data files of the base."""
    table = make_table(lab, account, aws, connection)
    first, *_ = table.midnights
    table.write(first + HOUR, *[{"id": {"S": f"a{number}"}, "price": {"N": "1"}} for number in range(20)])
    table.now()
    return table


def files(table: Table) -> int:
    """How many files readers see in the snapshot."""
    (live,) = [key for key in table.keys("snapshots/") if key.endswith("_live.json")]
    return len(table.document(live)["files"])


def operator(table: Table, **arguments: Any) -> CompactFilesOperator:
    """The task alone, for what needs no run."""
    place: dict[str, Any] = {
        "bucket": table.bucket,
        "prefix": "lake",
        "lake_name": table.name,
        "aws_conn_id": table.connection,
    }
    return CompactFilesOperator(task_id="compact", **place, **arguments)


def test_small_files_are_merged_when_a_run_asks_for_it_or_by_policy_within_the_budget(scattered):
    m = scattered.midnights
    first = run_scheduled(scattered.dag(), m[0], m[1])
    assert (first.state, first.failures, first.states["compact"]) == ("success", [], "skipped")
    before = files(scattered)
    assert before > 1
    with pytest.raises(AirflowSkipException, match="the warning above"):
        operator(scattered, policy="automatic", budget="0").execute({})
    with pytest.raises(BudgetError, match=r"more than the budget of 0\.00 USD a run"):
        operator(scattered, compact="True", budget="0").execute({})
    with pytest.raises(AirflowSkipException, match="dry run"):
        operator(scattered, policy="automatic", dry_run_only="True").execute({})
    assert files(scattered) == before
    asked = run_manually(scattered.dag(), compact=True)
    assert (asked.state, asked.failures, files(scattered)) == ("success", [], 1)
    done = asked.xcom("compact")
    assert (done["files_before"] >= before, done["left"]) == (True, 0)
    with pytest.raises(AirflowSkipException, match="no partition has so many small files"):
        operator(scattered, policy="automatic").execute({})
