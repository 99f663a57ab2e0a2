"""A DynamoDB table with a past in the lab, its lake, and what can be seen of it from outside."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from local_aws.client import Lab

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
ONE_LINE = re.compile(r"(?P<thing>\S[^\n]*?): (?P<cause>\S[^\n]*)\. Remedy: (?P<remedy>\S[^\n]*)")
"""The whole of an error message: thing, cause and remedy, in one line."""


@dataclass
class Table:
    """A DynamoDB table in the lab, with the lake that its exports go to.

    :param midnights: the last midnights, UTC, oldest first; the last is at least an hour ago.
    """

    lab: Lab
    account: str
    aws: Callable[..., Any]
    connection: str
    name: str
    bucket: str
    midnights: list[datetime]
    configuration: dict[str, Any] = field(default_factory=dict)

    def write(self, when: datetime, *items: Mapping[str, Any]) -> None:
        """Put items as of a moment of the past; moments must not go back."""
        self._history(when, [("PutItem", {"TableName": self.name, "Item": item}) for item in items])

    def delete(self, when: datetime, *keys: Mapping[str, Any]) -> None:
        """Delete items as of a moment of the past."""
        self._history(when, [("DeleteItem", {"TableName": self.name, "Key": key}) for key in keys])

    def now(self) -> None:
        """Set the account's clock to the present."""
        self.lab.set_clock(datetime.now(UTC), self.account)

    def _history(self, when: datetime, writes: list[tuple[str, dict[str, Any]]]) -> None:
        lines = [
            {"time": when.isoformat(), "operation": operation, "request": request} for operation, request in writes
        ]
        self.lab.write_history(self.account, lines)

    def dag(self, **changes: Any) -> Any:
        """Build the table's DAG."""
        from ddb_export.config.model import TableConfiguration
        from ddb_export.dag_factory import build_dag

        return build_dag(TableConfiguration.declare(**{**self.configuration, **changes}))

    @contextmanager
    def own_dag(self, **defaults: Any) -> Iterator[Any]:
        """Open a DAG that is not of our making, with the table's place in the lake as default arguments."""
        from airflow.sdk import DAG

        place = {"bucket": self.bucket, "prefix": "lake", "lake_name": self.name, "aws_conn_id": self.connection}
        arguments = {**place, "retries": 0, "retry_delay": timedelta(seconds=1), **defaults}
        with DAG(f"own_{self.name}", schedule=None, default_args=arguments) as dag:
            yield dag

    def document(self, key: str) -> Any:
        """Read a JSON object below the table's folder."""
        return json.loads(self.content(key))

    def content(self, key: str) -> bytes:
        """Read an object below the table's folder."""
        return bytes(self.aws("s3").get_object(Bucket=self.bucket, Key=f"lake/{self.name}/{key}")["Body"].read())

    def claims(self) -> list[dict[str, Any]]:
        """Read the ledger's claims, in order."""
        return [self.document(key) for key in self.keys("ledger/claims/")]

    def verified(self) -> list[dict[str, Any]]:
        """Read the ledger's evidence of verified exports, in order of their names."""
        return [self.document(key) for key in self.keys("ledger/verified/")]

    def windows(self) -> list[tuple[str, str]]:
        """Return start and end of each claimed window, in order of claiming."""
        requests = [claim["request"] for claim in self.claims()]
        return [(request["start"], request["end"]) for request in requests if request["start"]]

    def partitions(self) -> list[tuple[str, ...]]:
        """Return the values of every partition in the Glue catalog."""
        glue = self.aws("glue")
        tables = [table["Name"] for table in glue.get_tables(DatabaseName="lake")["TableList"]]
        found = [glue.get_partitions(DatabaseName="lake", TableName=name)["Partitions"] for name in tables]
        return [tuple(partition["Values"]) for partitions in found for partition in partitions]

    def visible(self) -> list[str]:
        """Return everything that a reader could take for data: partitions, live files, evidence."""
        keys = [key for key in self.keys() if key.endswith("_live.json")]
        keys += [*self.keys("ledger/verified/"), *self.keys("ledger/published/")]
        return [*keys, *map(str, self.partitions())]

    def lake_files(self) -> dict[str, bytes]:
        """Return the Parquet files of the lake with their content."""
        return {key: self.content(key) for key in self.keys() if key.endswith(".parquet")}

    def rows(self, output: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Read an output back: contract columns and rebuilt item of each row."""
        from ddb_export.conversion.inverse import read_rows

        files = [key for key in self.keys(f"{output}/") if key.endswith(".parquet")]
        return [row for key in files for row in read_rows(io.BytesIO(self.content(key)))]

    def lake_keys(self) -> list[str]:
        """Return the keys of everything below the table's folder."""
        return self.keys()

    def started(self) -> list[dict[str, Any]]:
        """Return every export that DynamoDB took on, as the lab recorded them."""
        return self.lab.exports(self.account)

    def keys(self, prefix: str = "") -> list[str]:
        """List the object keys below the table's folder."""
        root = f"lake/{self.name}/"
        pages = self.aws("s3").get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=root + prefix)
        return [each["Key"].removeprefix(root) for page in pages for each in page.get("Contents", [])]

    def completed(self) -> list[Mapping[str, Any]]:
        """Return the lab's own record of exports that ended well."""
        return [export for export in self.lab.exports(self.account) if export["status"] == "COMPLETED"]


def make_table(lab: Lab, account: str, aws: Callable[..., Any], connection: str, sort_key: str | None = None) -> Table:
    """Make a table whose recovery began before the day that ended four days before the last midnight."""
    last = (datetime.now(UTC) - timedelta(hours=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    midnights = [last - days * DAY for days in range(4, -1, -1)]
    table = Table(lab, account, aws, connection, f"orders_{account}", f"lake-{account}", midnights)
    lab.set_clock(midnights[0] - timedelta(hours=6), account)
    dynamodb = aws("dynamodb")
    keys = {"id": "HASH", **({sort_key: "RANGE"} if sort_key else {})}
    dynamodb.create_table(
        TableName=table.name,
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in keys],
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys.items()],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.update_continuous_backups(
        TableName=table.name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    aws("s3").create_bucket(Bucket=table.bucket)
    aws("glue").create_database(DatabaseInput={"Name": "lake"})
    table.configuration = {
        "table": table.name,
        "bucket": table.bucket,
        "prefix": "lake",
        "database": "lake",
        "schedule": "0 0 * * *",
        "start_date": midnights[0],
        "aws_conn_id": connection,
        "poll_interval": "1s",
        "retry_delay": "1s",
    }
    return table
