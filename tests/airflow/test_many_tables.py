"""A hundred tables in one folder: Airflow gives a DAG file 30 seconds (``[core] dagbag_import_timeout``)."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag

pytestmark = [pytest.mark.airflow, pytest.mark.filterwarnings("ignore")]

DAGS = Path(__file__).parents[2] / "dags"
TABLES = 100
LONGEST_PARSE = 30.0


@pytest.mark.scenario("F35")
def test_a_hundred_tables_are_parsed_in_a_fraction_of_what_airflow_allows(airflow_database, tmp_path, monkeypatch):
    monkeypatch.setenv("DDB_EXPORT_TABLES_DIR", str(tmp_path))
    for number in range(TABLES):
        lines = ["bucket: lake", "prefix: data", "database: lake", 'schedule: "0 0 * * *"', "start_date: 2026-01-01"]
        (tmp_path / f"t{number}.yaml").write_text("\n".join([f"table: orders_{number}", *lines, ""]))
    began = time.process_time()
    bag = DagBag(DAGS)
    took = time.process_time() - began
    assert (len(bag.dags), bag.import_errors) == (TABLES, {})
    assert took < LONGEST_PARSE / 3
