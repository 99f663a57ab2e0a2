"""A table of the lab with a past, its lake and its gateways, for tests of the chain."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from ddb_export.aws.dynamodb import DynamoDBGateway
from ddb_export.aws.glue import GlueGateway
from ddb_export.aws.object_store import S3ObjectStore
from ddb_export.domain.export import ExportDescription, ExportRequest, ExportStatus, ExportViewType
from ddb_export.domain.layout import Lake
from ddb_export.domain.ledger import Claim, ClaimKind, VerifiedEntry
from ddb_export.domain.window import Window
from ddb_export.pipeline.exports import Exports
from ddb_export.pipeline.file_groups import FileGroup, group_files
from ddb_export.pipeline.ledger import Ledger, Wanted
from ddb_export.pipeline.tasks import TableWork
from local_aws.client import Lab

START = datetime(2026, 3, 1, tzinfo=UTC)
BUCKET = "lake"


def at(hours: float) -> datetime:
    """A moment, counted from the table's creation."""
    return START + timedelta(hours=hours)


@dataclass
class LakeTable:
    """A table (keys ``pk`` and ``sk``), created at START with recovery on, and its folder in the lake."""

    lab: Lab
    account: str
    aws: Callable[..., Any]
    name: str = "orders"
    dynamodb: DynamoDBGateway = field(init=False)
    store: S3ObjectStore = field(init=False)
    glue: GlueGateway = field(init=False)
    ledger: Ledger = field(init=False)
    table_id: str = field(init=False)

    def __post_init__(self) -> None:
        # A minute earlier, so that recovery reaches START however slowly the table is made.
        self.lab.set_clock(START - timedelta(minutes=1), self.account)
        s3 = self.aws("s3")
        s3.create_bucket(Bucket=BUCKET)
        self.aws("glue").create_database(DatabaseInput={"Name": "lake"})
        self.dynamodb = DynamoDBGateway(self.aws("dynamodb"))
        self.store = S3ObjectStore(s3, BUCKET)
        self.glue = GlueGateway(self.aws("glue"))
        self.ledger = Ledger(self.store, Lake(BUCKET, "tables", self.name))
        self.create()
        self.lab.set_clock(START, self.account)

    @property
    def arn(self) -> str:
        """The table's ARN."""
        return f"arn:aws:dynamodb:us-east-1:{self.account}:table/{self.name}"

    @property
    def exports(self) -> Exports:
        """What finds and starts its exports."""
        return Exports(self.dynamodb, self.store)

    @property
    def work(self) -> TableWork:
        """The steps of its exports."""
        return TableWork(self.ledger, self.store)

    @property
    def now(self) -> datetime:
        """The account's time."""
        return self.lab.clock(self.account)

    def create(self) -> None:
        """Create the table (again)."""
        client = self.aws("dynamodb")
        client.create_table(
            TableName=self.name,
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "N"},
            ],
            BillingMode="PAY_PER_REQUEST",
        )
        client.update_continuous_backups(
            TableName=self.name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
        self.table_id = self.dynamodb.identify(self.name).table_id

    def put(self, hours: float, pk: str, sk: int = 0, **values: Any) -> None:
        """Put an item as of a moment; moments must not go back."""
        item = {"pk": {"S": pk}, "sk": {"N": str(sk)}, **values}
        self._write(hours, "PutItem", {"TableName": self.name, "Item": item})

    def delete(self, hours: float, pk: str, sk: int = 0) -> None:
        """Delete an item as of a moment."""
        key = {"pk": {"S": pk}, "sk": {"N": str(sk)}}
        self._write(hours, "DeleteItem", {"TableName": self.name, "Key": key})

    def _write(self, hours: float, operation: str, request: dict[str, Any]) -> None:
        line = {"time": at(hours), "operation": operation, "request": request}
        self.lab.write_history(self.account, [line])

    def until(self, hours: float) -> None:
        """Set the clock."""
        self.lab.set_clock(at(hours), self.account)

    def wanted(self, start: float, end: float | None = None, **fields: Any) -> Wanted:
        """A window between two hours, or the base at one."""
        raw = self.ledger.lake.key("raw")
        if end is None:
            request = ExportRequest(self.arn, BUCKET, raw, export_time=at(start), **fields)
            return Wanted(ClaimKind.BASE, request, "test")
        view = fields.pop("view", ExportViewType.NEW_AND_OLD_IMAGES)
        request = ExportRequest(self.arn, BUCKET, raw, window=Window(at(start), at(end)), view=view, **fields)
        return Wanted(ClaimKind.WINDOW, request, "test")

    def claim(self, start: float, end: float | None = None, **fields: Any) -> Claim:
        """Claim a window, or the base."""
        return self.ledger.claim([self.wanted(start, end, **fields)], self.table_id, self.now)[0]

    def ended(self, description: ExportDescription) -> ExportDescription:
        """Wait until an export has ended."""
        deadline = time.monotonic() + 20
        while description.status is ExportStatus.IN_PROGRESS:
            assert time.monotonic() < deadline
            time.sleep(0.02)
            description = self.dynamodb.describe_export(description.export_arn)
        return description

    def export(self, claim: Claim, known_arn: str | None = None) -> ExportDescription:
        """Find or start a claim's export, and wait until it has ended."""
        return self.ended(self.exports.find_or_start(claim, self.now, known_arn))

    def verified(self, start: float, end: float | None = None) -> VerifiedEntry:
        """Claim, export and verify."""
        claim = self.claim(start, end)
        return self.work.verify(claim, self.export(claim), None, self.now)

    def converted(self, *entries: VerifiedEntry, most_groups: int = 4) -> list[FileGroup]:
        """Scan, merge and convert."""
        return self.converted_by(self.work, *entries, most_groups=most_groups)

    def converted_by(self, work: TableWork, *entries: VerifiedEntry, most_groups: int = 4) -> list[FileGroup]:
        """Scan, merge and convert, as someone else's work."""
        by_name = {entry.export: entry for entry in entries}
        groups = group_files(entries, most_groups)
        for group in groups:
            work.scan(by_name[group.export], group)
        merged = work.merge_schema(groups)
        for group in merged:
            work.convert(by_name[group.export], group)
        return merged

    def publish(self, entry: VerifiedEntry, groups: list[FileGroup]) -> Any:
        """Publish one export."""
        mine = [group for group in groups if group.export == entry.export]
        return self.work.publish(entry, mine, self.glue, "lake", self.now)

    def published(self, start: float, end: float | None = None) -> Any:
        """All steps for one export."""
        entry = self.verified(start, end)
        return self.publish(entry, self.converted(entry))

    def started(self) -> list[dict[str, Any]]:
        """Every export that the lab ever accepted from this account."""
        return self.lab.exports(self.account)

    def query(self, sql: str) -> list[list[str | None]]:
        """Ask Athena; the rows without the header."""
        athena = self.aws("athena")
        query_id = athena.start_query_execution(
            QueryString=sql,
            QueryExecutionContext={"Database": "lake"},
            ResultConfiguration={"OutputLocation": f"s3://{BUCKET}/athena/"},
        )["QueryExecutionId"]
        deadline = time.monotonic() + 30
        while True:
            status = athena.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]["Status"]
            if status["State"] not in ("QUEUED", "RUNNING"):
                break
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert status["State"] == "SUCCEEDED", status
        rows = athena.get_query_results(QueryExecutionId=query_id)["ResultSet"]["Rows"][1:]
        return [[cell.get("VarCharValue") for cell in row["Data"]] for row in rows]


class Between:
    """Stands for an object; once, right before or after a call that is told by its name and the end of its first argument, something else happens.

    :ivar action: what happens.
    """

    def __init__(
        self, inner: Any, name: str, action: Callable[[], Any] = lambda: None, *, ending: str = "", after: bool = False
    ) -> None:
        self._inner, self._name, self._ending, self._after, self._done = inner, name, ending, after, False
        self.action = action

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return found if name != self._name else lambda *given, **named: self._call(found, *given, **named)

    def _call(self, method: Callable[..., Any], *given: Any, **named: Any) -> Any:
        if self._done or not str([*given, ""][0]).endswith(self._ending):
            return method(*given, **named)
        self._done = True
        if not self._after:
            self.action()
        answer = method(*given, **named)
        if self._after:
            self.action()
        return answer
