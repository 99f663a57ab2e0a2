"""How each reader that needs no server reads what is shown: every table, its partitions' files together."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.dataset as ds

from tests.readers import installed
from tests.readers.hive_ddl import arrow_schema, statements
from tests.readers.lake import TABLES, Shown

Row = dict[str, Any]


def with_duckdb(shown: Shown, name: str) -> list[Row]:
    """Read the files of all partitions as one table, by the names of the columns."""
    rows: list[Row] = []
    keys = [key["Name"] for key in shown.tables[name]["PartitionKeys"]]
    partitions = shown.partitions[name]
    files = {str(shown.copies[each["StorageDescriptor"]["Location"]]): each["Values"] for each in partitions}
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        source = "read_parquet($paths, union_by_name = true, hive_partitioning = false, filename = true)"
        given = {"paths": [f"{folder}/*.parquet" for folder in files]}
        described = connection.execute(f"DESCRIBE SELECT * FROM {source}", given).fetchall()
        # Python gets times with a zone only with one more package.
        times = [column for column, kind, *_ in described if kind == "TIMESTAMP WITH TIME ZONE"]
        casts = ", ".join(f'"{column}"::TIMESTAMP AS "{column}"' for column in times)
        relation = connection.execute(f"SELECT * {f'REPLACE ({casts})' if casts else ''} FROM {source}", given)
        columns = [each[0] for each in relation.description or ()]
        for values in relation.fetchall():
            row = dict(zip(columns, values, strict=True))
            folder = str(Path(row.pop("filename")).parent)
            rows.append({**row, **dict(zip(keys, files[folder], strict=True))})
    return rows


def with_dataset(shown: Shown, name: str) -> list[Row]:
    """Read with the columns that Glue declares for the table, whatever the partition's files have."""
    table = shown.tables[name]
    keys = [key["Name"] for key in table["PartitionKeys"]]
    rows: list[Row] = []
    for partition in shown.partitions[name]:
        folder = shown.copies[partition["StorageDescriptor"]["Location"]]
        found = ds.dataset(folder, schema=arrow_schema(table), format="parquet").to_table().to_pylist()
        rows += [{**row, **dict(zip(keys, partition["Values"], strict=True))} for row in found]
    return rows


def with_spark(shown: Shown, folder: Path, queries: Mapping[str, str]) -> dict[str, list[Row]]:
    """Create the tables by Hive's DDL, and return the rows of each of them and of the queries.

    :param folder: an empty one for Spark. :param queries: name → SQL.
    """
    ddl = ["CREATE DATABASE lake"]
    for name in TABLES:
        ddl += statements(
            shown.tables[name],
            shown.partitions[name],
            lambda location: str(shown.copies.get(location, folder / "none")),
        )
    wanted = {**{name: f"SELECT * FROM lake.{name}" for name in TABLES}, **queries}
    job = {"folder": str(folder), "statements": ddl, "queries": wanted}
    (folder / "job.json").write_text(json.dumps(job))
    command: list[str | Path] = [
        installed.spark_python(),
        Path(__file__).with_name("spark_job.py"),
        "job.json",
        "rows.json",
    ]
    environment = {**os.environ, "JAVA_HOME": str(installed.spark_java()), "PYTHONPATH": ""}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answer = json.loads((folder / "rows.json").read_text(), object_hook=_decoded)
    print(f"readers: PySpark {answer['version']} on Java {answer['java']}")
    return dict(answer["rows"])


def _decoded(value: Row) -> Any:
    if value.keys() == {"decimal"}:
        return Decimal(value["decimal"])
    if value.keys() == {"binary"}:
        return base64.b64decode(value["binary"])
    return value
