"""One run of :mod:`benchmarks.parsing`: parses a DAG file, serialises its DAGs, and prints what that took as one JSON object."""

from __future__ import annotations

import json
import os
import runpy
import socket
import sys
import tempfile
import time
from typing import Any


def main() -> None:
    """Measure the file that the first argument names."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["AIRFLOW_HOME"] = home
        os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = f"sqlite:///{home}/airflow.db"
        from airflow.sdk import DAG
        from airflow.serialization.serialized_objects import DagSerialization

        connections = count_connections()
        began = time.process_time()
        names = runpy.run_path(sys.argv[1])
        dags = [each for each in names.values() if isinstance(each, DAG)]
        # The same DAG may have two names in a module.
        unique = list({dag.dag_id: dag for dag in dags}.values())
        serialised = [DagSerialization.to_dict(dag) for dag in unique]
        took = time.process_time() - began
        tasks = sorted(f"{dag.dag_id}.{task.task_id} {task.task_type}" for dag in unique for task in dag.tasks)
        result = {"dags": len(serialised), "tasks": tasks, "cpu_seconds": took, "connections": len(connections)}
        print(json.dumps(result))


def count_connections() -> list[object]:
    """Refuse every connection of this process from now on; return the list that they are noted in."""
    tried: list[object] = []

    def refuse(_self: socket.socket, address: Any) -> None:
        tried.append(address)
        raise OSError("no connection while a DAG file is parsed")

    socket.socket.connect = refuse  # type: ignore[method-assign, assignment]
    return tried


if __name__ == "__main__":
    main()
