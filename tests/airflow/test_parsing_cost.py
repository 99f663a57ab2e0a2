"""Tables in YAML beside the same DAGs written by hand; ``make bench ARGS=parsing`` measures 500 of them."""

from __future__ import annotations

import pytest

from benchmarks.parsing import MOST, compare

pytestmark = [pytest.mark.airflow, pytest.mark.filterwarnings("ignore")]


@pytest.mark.scenario("F35")
def test_yaml_takes_at_most_twice_the_cpu_and_asks_nobody():
    found = compare(tables=15, rounds=1)
    assert found["yaml"]["dags"] == found["by_hand"]["dags"] == 15
    assert found["yaml"]["tasks"] == found["by_hand"]["tasks"]
    assert found["ratio"] <= MOST
    assert found["yaml"]["connections"] == 0
