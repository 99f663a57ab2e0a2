"""Runs a table's DAG in a process of its own, with OpenLineage switched on: Airflow reads that once, when it is imported.

    python -m tests.airflow.lineage_run EVENTS.jsonl < request.json

The request has the table's declaration (``declaration``), the Airflow connection (``connection``) and the data interval to run (``interval``). One line
that is printed is JSON: the run's state, and the tasks that failed.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime
from typing import Any

import tests.airflow_home  # noqa: F401  # first: it takes the caller's Airflow away


def main(events: str, request: dict[str, Any]) -> None:
    """Run the DAG; OpenLineage's own file transport writes the events, one a line."""
    os.environ["AIRFLOW_CONN_LAB"] = json.dumps(request["connection"])
    os.environ["AIRFLOW__OPENLINEAGE__NAMESPACE"] = "tests"
    # A fork of a process in which Airflow's API runs beside the tasks would wait for what only threads of the other one give.
    os.environ["AIRFLOW__OPENLINEAGE__EXECUTE_IN_THREAD"] = "True"
    os.environ["AIRFLOW__OPENLINEAGE__TRANSPORT"] = json.dumps(
        {"type": "file", "log_file_path": events, "append": True}
    )

    from airflow.utils import db

    from ddb_export import TableConfiguration, build_dag
    from tests.airflow.airflow_runs import run_scheduled

    db.initdb()
    start, end = (datetime.fromisoformat(moment) for moment in request["interval"])
    run = run_scheduled(build_dag(TableConfiguration.declare(**request["declaration"])), start, end)
    print(json.dumps({"state": run.state, "failed": [each.task for each in run.failures]}))


if __name__ == "__main__":
    main(sys.argv[1], json.load(sys.stdin))
