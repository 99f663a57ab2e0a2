"""Runs of a table's DAG in this process, and a table with a past to run them on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from local_aws.client import Lab

DAY = timedelta(days=1)


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
        """Build the table's DAG and make it known to Airflow's database."""
        from ddb_export.config.model import TableConfiguration
        from ddb_export.dag_factory import build_dag

        return known(build_dag(TableConfiguration.declare(**{**self.configuration, **changes})))

    def keys(self, prefix: str = "") -> list[str]:
        """List the object keys below the table's folder."""
        root = f"lake/{self.name}/"
        pages = self.aws("s3").get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=root + prefix)
        return [each["Key"].removeprefix(root) for page in pages for each in page.get("Contents", [])]

    def completed(self) -> list[Mapping[str, Any]]:
        """Return the lab's own record of exports that ended well."""
        return [export for export in self.lab.exports(self.account) if export["status"] == "COMPLETED"]


def make_table(lab: Lab, account: str, aws: Callable[..., Any], connection: str) -> Table:
    """Make a table whose recovery began four days before the last midnight."""
    last = (datetime.now(UTC) - timedelta(hours=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    midnights = [last - days * DAY for days in range(4, -1, -1)]
    table = Table(lab, account, aws, connection, "orders", f"lake-{account}", midnights)
    lab.set_clock(midnights[0] - timedelta(hours=6), account)
    dynamodb = aws("dynamodb")
    dynamodb.create_table(
        TableName=table.name,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
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


def known(dag: Any) -> Any:
    """Write a DAG into Airflow's database, without which ``dag.test()`` refuses it in Airflow 3.3."""
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.serialization.definitions.dag import SerializedDAG
    from airflow.serialization.serialized_objects import LazyDeserializedDAG
    from airflow.utils.session import create_session

    with create_session() as session:
        if session.get(DagBundleModel, "testing") is None:
            session.add(DagBundleModel(name="testing"))
            session.flush()
        lazy = LazyDeserializedDAG.from_dag(dag)
        SerializedDAG.bulk_write_to_db("testing", None, [lazy], session=session)
        SerializedDagModel.write_dag(lazy, bundle_name="testing", session=session)
    return dag


def run(dag: Any, **options: Any) -> Any:
    """Run a DAG in this process; return the finished run."""
    return dag.test(**options)


def states(dag_run: Any) -> dict[str, str]:
    """Return the state of each task instance of a run."""
    found = {}
    for ti in dag_run.get_task_instances():
        suffix = f"[{ti.map_index}]" if ti.map_index >= 0 else ""
        found[f"{ti.task_id}{suffix}"] = str(ti.state)
    return found
