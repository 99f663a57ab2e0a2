"""PySpark reads the lake by Hive DDL that is made from what Glue says."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.readers import installed
from tests.readers.hive_ddl import statements
from tests.readers.lake import ReadersLake

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def rows(lake: ReadersLake, copies: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What Spark answers."""
    folder = tmp_path_factory.mktemp("spark")
    ddl = ["CREATE DATABASE lake"]
    for name in ("orders_snapshots", "orders_changes"):
        ddl += statements(
            lake.glue_table(name),
            lake.glue_partitions(name),
            lambda location: str(copies.get(location, folder / "none")),
        )
    queries = {name: f"SELECT * FROM lake.{name}" for name in ("orders_snapshots", "orders_changes")}
    queries["counted"] = "SELECT export_window, count(later) AS n FROM lake.orders_changes GROUP BY 1 ORDER BY 1"
    (folder / "job.json").write_text(json.dumps({"folder": str(folder), "statements": ddl, "queries": queries}))
    command = [
        installed.spark_python(),
        Path(__file__).with_name("spark_job.py"),
        folder / "job.json",
        folder / "rows.json",
    ]
    environment = {**os.environ, "JAVA_HOME": str(installed.spark_java()), "PYTHONPATH": ""}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answer = json.loads((folder / "rows.json").read_text(), object_hook=decoded)
    print(f"readers: PySpark {answer['version']} on Java {answer['java']}")
    return answer["rows"]


def decoded(value: dict[str, Any]) -> Any:
    if value.keys() == {"decimal"}:
        return Decimal(value["decimal"])
    if value.keys() == {"binary"}:
        return base64.b64decode(value["binary"])
    return value


def test_snapshots_give_back_every_item(lake: ReadersLake, rows: Any) -> None:
    lake.check_snapshot(rows["orders_snapshots"])


def test_old_and_new_partitions_read_together(lake: ReadersLake, rows: Any) -> None:
    lake.check_changes(rows["orders_changes"])
    assert [row["n"] for row in rows["counted"]] == [1, 1]
