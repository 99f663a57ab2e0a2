"""A small lake for the tests of the lab's Athena: objects, tables and questions of one account."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_HIVE = "org.apache.hadoop.hive"
PARQUET = {
    "InputFormat": f"{_HIVE}.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": f"{_HIVE}.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {"SerializationLibrary": f"{_HIVE}.ql.io.parquet.serde.ParquetHiveSerDe"},
}
FINAL = ("SUCCEEDED", "FAILED", "CANCELLED")


@dataclass
class Answer:
    """How a query ended, and its rows with the header first where there is one."""

    state: str
    reason: str
    rows: list[list[str | None]]
    execution: dict[str, Any]

    @property
    def values(self) -> list[list[str | None]]:
        """The rows of a SELECT without its header."""
        return self.rows[1:]


class Lake:
    """Bucket, database `lake` and clients of one account."""

    def __init__(self, aws: Callable[..., Any], account: str) -> None:
        self.s3, self.glue, self.athena = aws("s3"), aws("glue"), aws("athena")
        self.bucket = f"lake-{account}"
        self.output = f"s3://{self.bucket}/answers/"
        self.s3.create_bucket(Bucket=self.bucket)
        self.glue.create_database(DatabaseInput={"Name": "lake"})

    def uri(self, key: str) -> str:
        """The URI of a key or folder of the lake's bucket."""
        return f"s3://{self.bucket}/{key}"

    def put(self, key: str, content: pa.Table | bytes) -> int:
        """Put an object, a table as Parquet; gives its size."""
        if isinstance(content, pa.Table):
            buffer = io.BytesIO()
            pq.write_table(content, buffer)
            content = buffer.getvalue()
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=content)
        return len(content)

    def table(self, name: str, columns: dict[str, str], location: str, keys: dict[str, str] | None = None, **more: Any):
        """Create a table of Parquet (or of the StorageDescriptor members in `more`)."""
        descriptor = {**PARQUET, **more, "Columns": described(columns), "Location": location}
        self.glue.create_table(
            DatabaseName="lake",
            TableInput={
                "Name": name,
                "TableType": "EXTERNAL_TABLE",
                "PartitionKeys": described(keys or {}),
                "StorageDescriptor": descriptor,
            },
        )

    def partition(self, name: str, values: list[str], location: str, columns: dict[str, str] | None = None):
        """Register a partition of Parquet."""
        descriptor = {**PARQUET, "Columns": described(columns or {}), "Location": location}
        self.glue.create_partition(
            DatabaseName="lake", TableName=name, PartitionInput={"Values": values, "StorageDescriptor": descriptor}
        )

    def start(self, sql: str, **more: Any) -> str:
        """Start a query and give its id."""
        request = {
            "QueryExecutionContext": {"Database": "lake"},
            "ResultConfiguration": {"OutputLocation": self.output},
        }
        return str(self.athena.start_query_execution(QueryString=sql, **{**request, **more})["QueryExecutionId"])

    def wait(self, query_id: str) -> dict[str, Any]:
        """The execution when it has ended."""
        while True:
            execution = self.athena.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]
            if execution["Status"]["State"] in FINAL:
                return dict(execution)
            time.sleep(0.01)

    def ask(self, sql: str, **more: Any) -> Answer:
        """Run a query to its end; rows only if it succeeded."""
        query_id = self.start(sql, **more)
        execution = self.wait(query_id)
        status, rows = execution["Status"], []
        if status["State"] == "SUCCEEDED":
            pages = self.athena.get_paginator("get_query_results").paginate(QueryExecutionId=query_id)
            rows = [[d.get("VarCharValue") for d in row["Data"]] for page in pages for row in page["ResultSet"]["Rows"]]
        return Answer(status["State"], status.get("StateChangeReason", ""), rows, execution)

    def values(self, sql: str, **more: Any) -> list[list[str | None]]:
        """The rows of a query that must succeed, without the header."""
        answer = self.ask(sql, **more)
        assert answer.state == "SUCCEEDED", answer.reason
        return answer.values

    def failure(self, sql: str) -> str:
        """Why a query that must fail did."""
        answer = self.ask(sql)
        assert answer.state == "FAILED", answer.rows
        return answer.reason

    def scanned(self, sql: str) -> int:
        """The bytes that a query was charged for."""
        answer = self.ask(sql)
        assert answer.state == "SUCCEEDED", answer.reason
        return int(answer.execution["Statistics"]["DataScannedInBytes"])


def described(columns: dict[str, str]) -> list[dict[str, str]]:
    """Columns as Glue takes them."""
    return [{"Name": name, "Type": kind} for name, kind in columns.items()]
