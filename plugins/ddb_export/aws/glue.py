"""The gateway to the Glue Data Catalog: tables and partitions of the lake.

Every write is an upsert that can be repeated, and reads the errors that Glue reports per partition inside an answer of HTTP 200.
Table updates skip the archive of versions, which has a quota. Glue folds names to lower case; ours are lower case already.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ddb_export.aws.errors import aws_errors, error_code
from ddb_export.exceptions import PublishError

if TYPE_CHECKING:
    from botocore.client import BaseClient

PARTITIONS_PER_CALL = 100
"""Most entries of BatchCreatePartition and BatchUpdatePartition (Glue API reference)."""

MADE_BY = "ddb_export.lake"
"""Table parameter that names the lake folder a table was made for; a table without it is never touched."""

_PARQUET: Mapping[str, Any] = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
}
JSON_TEXT: Mapping[str, Any] = {
    "InputFormat": "org.apache.hadoop.mapred.TextInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
    "SerdeInfo": {"SerializationLibrary": "org.openx.data.jsonserde.JsonSerDe"},
}
"""How lines of JSON are read; the SerDe's parameters come beside it. Hive's own JSON SerDe refuses an object where text is declared."""

_EXISTS = "AlreadyExistsException"
_PartitionErrors = dict[tuple[str, ...], Mapping[str, Any]]
_TRIES = 5
_PARTITION_TRIES = 6
_FIRST_PAUSE = 0.2
BUSY = frozenset({
    "ConcurrentModificationException",
    "InternalServiceException",
    "OperationTimeoutException",
    "ThrottlingException",
})  # fmt: skip
"""Errors of one partition that say nothing about it: the same request may succeed a moment later (Glue API reference, ErrorDetail)."""
_KEPT_ON_UPDATE = ("Owner", "Retention", "ViewOriginalText", "ViewExpandedText", "TargetTable")


@dataclass(frozen=True, slots=True)
class GlueColumn:
    """A column as Glue knows it.

    :param name: in lower case. :param type: Hive type. :param comment: shown in the catalog.
    """

    name: str
    type: str
    comment: str = ""

    def to_api(self) -> dict[str, str]:
        """Return Glue's Column structure."""
        return {"Name": self.name, "Type": self.type, **({"Comment": self.comment} if self.comment else {})}


@dataclass(frozen=True, slots=True)
class GlueTable:
    """A table of files as it should stand in the catalog.

    :param location: ``s3://`` URI of the folder of all partitions, with a final slash.
    :param made_for: ``s3://`` URI of the table's lake folder; kept in the parameters as the mark of our own tables.
    :param storage: how the files are read, as members of Glue's StorageDescriptor; Parquet by default.
    :param classification: what the files are, for Glue's own jobs.
    """

    database: str
    name: str
    location: str
    made_for: str
    columns: tuple[GlueColumn, ...]
    partition_keys: tuple[GlueColumn, ...]
    description: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    storage: Mapping[str, Any] = field(default_factory=lambda: _PARQUET)
    classification: str = "parquet"

    @property
    def full_name(self) -> str:
        """``database.table``."""
        return f"{self.database}.{self.name}"

    def to_api(self) -> dict[str, Any]:
        """Return Glue's TableInput."""
        return {
            "Name": self.name,
            "Description": self.description,
            "TableType": "EXTERNAL_TABLE",
            "Parameters": {
                "EXTERNAL": "TRUE",
                "classification": self.classification,
                MADE_BY: self.made_for,
                **self.parameters,
            },
            "PartitionKeys": [key.to_api() for key in self.partition_keys],
            "StorageDescriptor": _storage(self.location, self.columns, self.storage),
        }


@dataclass(frozen=True, slots=True)
class GluePartition:
    """A partition as it should stand in the catalog.

    :param values: one string for each partition key, in their order.
    :param location: ``s3://`` URI of the generation's folder, with a final slash.
    """

    values: tuple[str, ...]
    location: str
    columns: tuple[GlueColumn, ...]
    parameters: Mapping[str, str] = field(default_factory=dict)
    storage: Mapping[str, Any] = field(default_factory=lambda: _PARQUET)

    def to_api(self) -> dict[str, Any]:
        """Return Glue's PartitionInput."""
        return {
            "Values": list(self.values),
            "StorageDescriptor": _storage(self.location, self.columns, self.storage),
            "Parameters": dict(self.parameters),
        }


class GlueGateway:
    """The catalog as one account and region sees it.

    :param client: a boto3 Glue client. :param sleep: waits so many seconds.
    """

    def __init__(self, client: BaseClient, sleep: Callable[[float], None] = time.sleep) -> None:
        self._client: Any = client
        self._sleep = sleep

    @property
    def client(self) -> Any:
        """The boto3 client, for the other gateways to Glue (:mod:`ddb_export.aws.glue_columns`)."""
        return self._client

    def has_table(self, database: str, name: str) -> bool:
        """Tell whether there is a table of this name."""
        return self._get(database, name) is not None

    def upsert_table(self, table: GlueTable) -> bool:
        """Make the table stand as described, keeping columns that it has already.

        A published column never changes its type: new columns are added at the end.

        :return: whether anything was written.
        :raises PublishError: the database is missing, a table of this name was made by someone else, a column would
            change its type, or others kept changing the table.
        """
        for _ in range(_TRIES):
            existing = self._get(table.database, table.name)
            if existing is None:
                if self._create(table):
                    return True
                continue
            wanted = _merged(table, existing)
            if _same(wanted, existing):
                return False
            if self._update(table, wanted, existing.get("VersionId")):
                return True
        raise PublishError(table.full_name, f"others changed it {_TRIES} times meanwhile", "clear this task")

    def upsert_partitions(self, table: GlueTable, partitions: Sequence[GluePartition]) -> None:
        """Make the partitions stand as described, whether they exist or not.

        A partition that Glue had no time for is tried again, alone with its like; the others of its batch stand already.

        :raises PublishError: Glue refused a partition, or had no time for it again and again; the first is named with Glue's reason.
        """
        for batch in _batches(partitions):
            self._upsert(table, batch)

    def _upsert(self, table: GlueTable, batch: Sequence[GluePartition]) -> None:
        waiting = {partition.values: partition for partition in batch}
        for number in range(_PARTITION_TRIES):
            errors = self._create_partitions(table, list(waiting.values()))
            replaced = [waiting[values] for values, error in errors.items() if _code(error) == _EXISTS]
            busy = {values: error for values, error in errors.items() if _code(error) != _EXISTS}
            if replaced:
                busy |= self._update_partitions(table, replaced)
            for values, error in busy.items():
                if _code(error) not in BUSY or number == _PARTITION_TRIES - 1:
                    raise _refused(table, list(values), error)
            if not busy:
                return
            waiting = {values: waiting[values] for values in busy}
            # Tasks that were throttled together must not come back together.
            self._sleep(_FIRST_PAUSE * 2**number * random.uniform(0.5, 1.5))  # noqa: S311  # no secret

    def made_for(self, database: str, name: str) -> str | None:
        """Return the lake that a table was made for, as a URI; None if there is no such table, or if it is not of our making."""
        table = self._get(database, name)
        made_for = (table or {}).get("Parameters", {}).get(MADE_BY)
        return None if made_for is None else str(made_for)

    def remove_partition(self, table: GlueTable, values: Sequence[str]) -> None:
        """Take a partition out of the catalog; its files stay. It is no error if there is none.

        :raises PublishError: Glue refused.
        """
        from botocore.exceptions import ClientError

        with aws_errors(table.full_name):
            try:
                self._client.delete_partition(
                    DatabaseName=table.database, TableName=table.name, PartitionValues=list(values)
                )
            except ClientError as error:
                if error_code(error) != "EntityNotFoundException":
                    raise

    def _create_partitions(self, table: GlueTable, partitions: Sequence[GluePartition]) -> _PartitionErrors:
        with aws_errors(table.full_name):
            answer = self._client.batch_create_partition(
                DatabaseName=table.database,
                TableName=table.name,
                PartitionInputList=[partition.to_api() for partition in partitions],
            )
        return {tuple(error["PartitionValues"]): error for error in answer.get("Errors", ())}

    def _update_partitions(self, table: GlueTable, partitions: Sequence[GluePartition]) -> _PartitionErrors:
        with aws_errors(table.full_name):
            answer = self._client.batch_update_partition(
                DatabaseName=table.database,
                TableName=table.name,
                Entries=[
                    {"PartitionValueList": list(partition.values), "PartitionInput": partition.to_api()}
                    for partition in partitions
                ],
            )
        return {tuple(error["PartitionValueList"]): error for error in answer.get("Errors", ())}

    def _get(self, database: str, name: str) -> dict[str, Any] | None:
        from botocore.exceptions import ClientError

        with aws_errors(f"{database}.{name}"):
            try:
                found: dict[str, Any] = self._client.get_table(DatabaseName=database, Name=name)["Table"]
            except ClientError as error:
                if error_code(error) == "EntityNotFoundException":
                    return None
                raise
        return found

    def _create(self, table: GlueTable) -> bool:
        from botocore.exceptions import ClientError

        with aws_errors(table.full_name):
            try:
                self._client.create_table(DatabaseName=table.database, TableInput=table.to_api())
            except ClientError as error:
                if error_code(error) == _EXISTS:
                    return False
                if error_code(error) == "EntityNotFoundException":
                    raise PublishError(
                        f"Glue database {table.database}",
                        "it does not exist in this account and region",
                        f"create it: aws glue create-database --database-input Name={table.database}",
                        code="EntityNotFoundException",
                    ) from error
                raise
        return True

    def _update(self, table: GlueTable, wanted: dict[str, Any], version: str | None) -> bool:
        from botocore.exceptions import ClientError

        with aws_errors(table.full_name):
            try:
                self._client.update_table(
                    DatabaseName=table.database,
                    TableInput=wanted,
                    SkipArchive=True,
                    **({"VersionId": version} if version else {}),
                )
            except ClientError as error:
                if error_code(error) in ("ConcurrentModificationException", "EntityNotFoundException"):
                    return False
                raise
        return True


def _storage(location: str, columns: Sequence[GlueColumn], storage: Mapping[str, Any]) -> dict[str, Any]:
    return {"Columns": [column.to_api() for column in columns], "Location": location, **storage}


def _batches(partitions: Sequence[GluePartition]) -> Iterator[Sequence[GluePartition]]:
    for first in range(0, len(partitions), PARTITIONS_PER_CALL):
        yield partitions[first : first + PARTITIONS_PER_CALL]


def _merged(table: GlueTable, existing: Mapping[str, Any]) -> dict[str, Any]:
    """Return the TableInput that adds what is new to what exists."""
    parameters = existing.get("Parameters") or {}
    if parameters.get(MADE_BY) != table.made_for:
        raise PublishError(
            table.full_name,
            f"a table of this name exists that was not made for {table.made_for}",
            "give this table another name or database in the configuration, or drop the other one",
        )
    wanted = table.to_api()
    kept = {column["Name"]: column for column in existing["StorageDescriptor"]["Columns"]}
    new = {column["Name"]: column for column in wanted["StorageDescriptor"]["Columns"]}
    for name, column in kept.items():
        if name in new and new[name]["Type"] != column["Type"]:
            raise PublishError(
                f"column {name} of {table.full_name}",
                f"it is {column['Type']} in Glue and {new[name]['Type']} in the schema document",
                "restore the column's type in Glue; a published column never changes its type",
            )
    wanted["StorageDescriptor"]["Columns"] = [new.get(name, column) for name, column in kept.items()] + [
        column for name, column in new.items() if name not in kept
    ]
    wanted["Parameters"] = {**parameters, **wanted["Parameters"]}
    wanted.update({name: existing[name] for name in _KEPT_ON_UPDATE if existing.get(name) not in (None, "")})
    return wanted


def _same(wanted: Mapping[str, Any], existing: Mapping[str, Any]) -> bool:
    storage, stored = wanted["StorageDescriptor"], existing["StorageDescriptor"]
    return bool(
        storage["Columns"] == [_column(column) for column in stored["Columns"]]
        and storage["Location"] == stored["Location"]
        and wanted["Parameters"] == existing.get("Parameters")
        and wanted["Description"] == existing.get("Description", "")
    )


def _column(column: Mapping[str, str]) -> dict[str, str]:
    return {key: column[key] for key in ("Name", "Type", "Comment") if column.get(key)}


def _code(error: Mapping[str, Any]) -> str:
    return str(error.get("ErrorDetail", {}).get("ErrorCode"))


def _refused(table: GlueTable, values: object, error: Mapping[str, Any]) -> PublishError:
    detail = error.get("ErrorDetail", {})
    return PublishError(
        f"partition {values} of {table.full_name}",
        f"Glue refused it: {detail.get('ErrorCode')}: {detail.get('ErrorMessage')}",
        "see Glue's reason, then clear this task",
        code=detail.get("ErrorCode"),
    )
