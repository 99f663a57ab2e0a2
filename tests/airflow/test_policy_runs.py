"""A table's DAG as Airflow runs it, by a role that may do what ``ddb-export policy`` prints and nothing else."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from ddb_export.cli.policy import subject_of
from ddb_export.config.model import TableConfiguration
from ddb_export.domain.policy import Variant, grants, role_policy
from tests.airflow.airflow_runs import run_scheduled
from tests.airflow.runs import HOUR, make_table

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.filterwarnings("ignore"),  # Airflow and its libraries warn about themselves
]


@pytest.mark.parametrize(
    "changes",
    [
        {"views": True, "glue": {"partition_index": True}, "outputs": ["snapshots", "changes", "raw"]},
        {"outputs": ["raw"]},
    ],
    ids=["everything", "raw alone"],
)
def test_runs_need_nothing_but_the_policy(lab, account, aws, connection, changes: dict[str, Any]):
    table = make_table(lab, account, aws, connection)
    table.write(table.midnights[0] + HOUR, {"id": {"S": "a"}, "price": {"N": "1.50"}})
    table.write(table.midnights[1] + HOUR, {"id": {"S": "a"}, "price": {"N": "2"}})
    table.now()
    configured = TableConfiguration.declare(**{**table.configuration, **changes})
    subject = subject_of(configured, "us-east-1", f"arn:aws:iam::{account}:role/lake")
    dag = table.dag(**changes)
    lab.allow_only(account, role_policy(grants(subject, Variant.RUNS)))
    for start, end in pairwise(table.midnights[:3]):
        run = run_scheduled(dag, start, end)
        assert (run.state, run.failures) == ("success", [])
    lab.allow_only(account)
    assert len(table.keys("ledger/verified/")) == 2
