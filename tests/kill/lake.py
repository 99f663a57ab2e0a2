"""One table with a known history, its lake, and what readers see of it at any moment."""

from __future__ import annotations

import io
import json
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import boto3
from botocore.config import Config

from local_aws.client import Lab
from tests.airflow.runs import HOUR, Table, make_table

CONNECTION = "lab"
_REGION = "us-east-1"
_FILES = 2
_OF_THIS_LAKE = ("_table_id", "_overflow")
"""Columns that may differ between lakes of the same items: the table's id, and what did not fit into the first column type."""


class Run(Enum):
    """The runs of the story, each with what Airflow calls its kind. A run makes all that is missing until its end."""

    FIRST_DAY = ("scheduled", "of the first day after the base")
    SECOND_DAY = ("scheduled", "of the second day")
    BACKFILL = ("backfill", "of both days")
    AGAIN = ("manual", "that exports the second day once more")


@dataclass(frozen=True)
class View:
    """What readers see, in a form that is the same for the same lake in any account.

    :param partitions: (Glue table, partition values) → rows, through the location that Glue's partition names.
    :param live: partition folder → rows, through the files that ``_live.json`` names.
    :param verified: names of the verified attempts.
    :param published: output and name of the published attempts.
    :param claims: kind, name of the attempt and number of each claim.
    """

    partitions: Mapping[tuple[str, ...], list[str]]
    live: Mapping[str, list[str]]
    verified: frozenset[str]
    published: frozenset[tuple[str, str]]
    claims: frozenset[tuple[str, str, int]]

    @property
    def verified_subjects(self) -> set[str]:
        """Windows and full exports that are verified; named alike in all of these."""
        return {export.rpartition("-a")[0].removeprefix("full-") for export in self.verified}

    @property
    def partition_subjects(self) -> set[str]:
        """Those with a partition in Glue."""
        return {values[-1] for values in self.partitions}

    @property
    def live_subjects(self) -> set[str]:
        """Those with a ``_live.json``."""
        return {key.split("/")[-2].partition("=")[2] for key in self.live}

    @property
    def published_subjects(self) -> set[str]:
        """Those that the ledger calls published."""
        return {export.rpartition("-a")[0].removeprefix("full-") for _, export in self.published}


@dataclass
class LakeUnderTest:
    """The table and its lake, in an account of their own.

    :param lab: the embedded AWS.
    """

    lab: Lab
    session: boto3.Session
    account: str = field(default_factory=lambda: f"{random.randrange(10**11, 10**12)}")

    def __post_init__(self) -> None:
        self._clients: dict[str, Any] = {}
        self.table: Table = make_table(self.lab, self.account, self._client, CONNECTION)
        self.lab.settings(self.account, data_files=_FILES)
        _lay_down_history(self.table)

    def order(self, run: Run, **changes: Any) -> dict[str, Any]:
        """Return the order for a run."""
        m = self.table.midnights
        extra = {"region_name": _REGION, "endpoint_url": self.lab.endpoint_url}
        configuration = {**self.table.configuration, "base_time": m[2], "start_date": m[0], "retries": 10}
        days = {Run.FIRST_DAY: (m[2], m[3]), Run.BACKFILL: (m[2], m[4])}.get(run, (m[3], m[4]))
        start, end = (moment.isoformat() for moment in days)
        return {
            "database": "airflow.db",
            "connection": {"conn_type": "aws", "login": self.account, "password": "lab", "extra": extra},
            "table": {
                name: value.isoformat() if hasattr(value, "isoformat") else value
                for name, value in configuration.items()
            },
            "run_id": run.name,
            "run_type": run.value[0],
            "interval": [start, end],
            "params": {"from": start, "to": end, "re_export": True} if run is Run.AGAIN else {},
            "death": "worker",
            "progress": "progress.log",
            **changes,
        }

    def view(self) -> View:
        """Look at everything that readers can see."""
        claims, keys = self.table.claims(), self.table.keys()
        return View(
            partitions=dict(self._partitions()),
            live={key: self._live(key) for key in keys if key.endswith("/_live.json")},
            verified=frozenset(_stem(key) for key in keys if key.startswith("ledger/verified/")),
            published=frozenset(_published(key) for key in keys if key.startswith("ledger/published/")),
            claims=frozenset((each["kind"], each["export"], each["sequence"]) for each in claims),
        )

    def exports_of_claims(self) -> Counter[str]:
        """Count the exports that DynamoDB took on, by the attempt that their prefix belongs to."""
        return Counter(export["prefix"].rstrip("/").rsplit("/", 1)[-1] for export in self.lab.exports(self.account))

    def completed_exports(self) -> set[str]:
        """Return the attempts whose export DynamoDB has ended well."""
        return {_stem(export["prefix"].rstrip("/")) for export in self.table.completed()}

    def forget(self) -> None:
        """Remove the account from the lab; what it holds goes on."""
        self.lab.reset(self.account)

    def _client(self, service: str, **_options: Any) -> Any:
        if service not in self._clients:
            self._clients[service] = self.session.client(
                service,
                endpoint_url=self.lab.endpoint_url,
                region_name=_REGION,
                aws_access_key_id=self.account,
                aws_secret_access_key="lab",
                config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
            )
        return self._clients[service]

    def _partitions(self) -> list[tuple[tuple[str, ...], list[str]]]:
        glue = self.table.aws("glue")
        found = []
        for table in glue.get_tables(DatabaseName="lake")["TableList"]:
            for partition in glue.get_partitions(DatabaseName="lake", TableName=table["Name"])["Partitions"]:
                output = table["Name"].rsplit("_", 1)[-1]
                folder = partition["StorageDescriptor"]["Location"].split(f"/{self.table.name}/", 1)[1]
                found.append(((output, *partition["Values"]), self._rows(self.table.keys(folder))))
        return found

    def _live(self, key: str) -> list[str]:
        folder = key.rpartition("/")[0]
        return self._rows([f"{folder}/{file['path']}" for file in self.table.document(key)["files"]])

    def _rows(self, keys: list[str]) -> list[str]:
        from ddb_export.conversion.inverse import read_rows

        rows = []
        for key in keys:
            for contract, item in read_rows(io.BytesIO(self.table.content(key))):
                for name in _OF_THIS_LAKE:
                    contract.pop(name)
                rows.append(json.dumps([contract, _plain(item)], default=str, sort_keys=True))
        return sorted(rows)


def _lay_down_history(table: Table) -> None:
    """Write what the base has and what each window changes: inserts, changes, deletes, and the same item in both windows."""
    m = table.midnights
    table.write(
        m[0] + HOUR, *({"id": {"S": key}, "price": {"N": "1.50"}, "tags": {"SS": ["x", key]}} for key in "abcdef")
    )
    table.write(m[2] + HOUR, {"id": {"S": "a"}, "price": {"N": "2.25"}}, {"id": {"S": "new"}, "price": {"NULL": True}})
    table.delete(m[2] + 2 * HOUR, {"id": {"S": "b"}})
    table.write(
        m[3] + HOUR, {"id": {"S": "a"}, "price": {"S": "text"}}, {"id": {"S": "b"}, "extra": {"M": {"n": {"N": "7"}}}}
    )
    table.delete(m[3] + 2 * HOUR, {"id": {"S": "new"}}, {"id": {"S": "c"}})
    table.now()


def _plain(value: Any) -> Any:
    """Put sets, which have no order, into one."""
    if not isinstance(value, dict):
        return value
    return {name: sorted(inner) if name in ("SS", "NS", "BS") else _plain(inner) for name, inner in value.items()}


def _stem(key: str) -> str:
    return key.rsplit("/", 1)[-1].removesuffix(".json")


def _published(key: str) -> tuple[str, str]:
    output, export = key.removeprefix("ledger/published/").split("/")[:2]
    return output, export
