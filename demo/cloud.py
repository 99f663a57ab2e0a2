"""The demo's AWS: an account in the lab with the flights' table, a bucket and a Glue database."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3

from ddb_export.aws.s3_object_store import S3ObjectStore
from ddb_export.domain.layout import Lake
from ddb_export.pipeline.ledger import Ledger
from demo.history import KEYS, TABLE
from local_aws.client import Lab

ACCOUNT = "201320132013"
REGION = "us-east-1"
BUCKET = "flights-lake"
PREFIX = "dynamodb"
DATABASE = "lake"
FAILURE_CODE = "InternalServerError"
"""A FailureCode that passes: AWS documents no closed set, and this one asks nothing of a person."""


@dataclass
class Cloud:
    """The account in a running lab."""

    lab: Lab
    account: str = ACCOUNT
    lake: Lake = field(default_factory=lambda: Lake(BUCKET, PREFIX, TABLE))

    @cached_property
    def _session(self) -> boto3.Session:
        return boto3.Session(aws_access_key_id=self.account, aws_secret_access_key="lab", region_name=REGION)

    def client(self, service: str) -> Any:
        """Return a boto3 client of the account."""
        return self._session.client(service, endpoint_url=self.lab.endpoint_url)

    @cached_property
    def store(self) -> S3ObjectStore:
        """The lake's bucket."""
        return S3ObjectStore(self.client("s3"), self.lake.bucket)

    @cached_property
    def ledger(self) -> Ledger:
        """The table's ledger, as the provider itself reads it."""
        return Ledger(self.store, self.lake)

    @property
    def connection(self) -> str:
        """The Airflow connection to the account, as JSON for an ``AIRFLOW_CONN_…`` variable."""
        extra = {"region_name": REGION, "endpoint_url": self.lab.endpoint_url}
        return json.dumps({"conn_type": "aws", "login": self.account, "password": "lab", "extra": extra})

    def lay_down(self, writes: Sequence[Mapping[str, Any]]) -> None:
        """Make the table before the first write, write the past as it happened, and return to the present.

        :param writes: what :func:`demo.history.history` returned.
        """
        self.lab.set_clock(writes[0]["time"].replace(hour=0, minute=0, second=0), self.account)
        dynamodb = self.client("dynamodb")
        dynamodb.create_table(
            TableName=TABLE,
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in KEYS],
            KeySchema=[
                {"AttributeName": name, "KeyType": kind} for name, kind in zip(KEYS, ("HASH", "RANGE"), strict=True)
            ],
            BillingMode="PAY_PER_REQUEST",
        )
        dynamodb.update_continuous_backups(
            TableName=TABLE, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )
        self.client("s3").create_bucket(Bucket=self.lake.bucket)
        self.client("glue").create_database(DatabaseInput={"Name": DATABASE})
        self.lab.write_history(self.account, writes)
        self.lab.set_clock(datetime.now(UTC), self.account)

    def fail_once(self, export: str) -> None:
        """Let the export of one attempt FAIL, late and with a code that passes.

        :param export: name of the attempt.
        """
        self.lab.add_fault(
            "fail_export",
            account=self.account,
            match={"prefix": f".*/raw/{export}"},
            code=FAILURE_CODE,
            message="The demo let this export fail.",
            after_files=1,
        )

    def scan(self) -> Iterator[dict[str, Any]]:
        """Scan the table: every live item in DynamoDB JSON."""
        for page in self.client("dynamodb").get_paginator("scan").paginate(TableName=TABLE):
            yield from page["Items"]

    def exports(self) -> list[dict[str, Any]]:
        """Return the lab's own record of the account's exports."""
        return self.lab.exports(self.account)

    def save_lake(self, folder: Path) -> int:
        """Copy every object of the bucket below ``folder``, by its key; return how many."""
        keys = [stored.key for stored in self.store.list_objects()]

        def save(key: str) -> None:
            path = folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.store.read(key).content)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(save, keys))
        return len(keys)


def write_items(items: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Write items as DynamoDB JSON, one a line."""
    with file.open("w", encoding="utf-8") as lines:
        for item in items:
            lines.write(json.dumps(item, ensure_ascii=False, default=_binary) + "\n")


def _binary(value: object) -> str:
    """Write what boto3 gives as bytes the way DynamoDB JSON does."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"{type(value).__name__} is no DynamoDB JSON")
