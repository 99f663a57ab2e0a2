"""A table's DAG from the first base to rows in Athena, in this process, against the lab."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.airflow.runs import Table, run, states

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.filterwarnings("ignore"),
]  # Airflow and its libraries warn about themselves

HOUR = timedelta(hours=1)


def test_first_run_makes_the_base_and_the_next_one_the_changes(table: Table):
    table.write(table.midnights[0] + HOUR, {"id": {"S": "a"}, "price": {"N": "1.50"}}, {"id": {"S": "b"}})
    table.now()
    first = run(table.dag(base_time=table.midnights[1]))
    print(states(first))
    assert str(first.state) == "success"
