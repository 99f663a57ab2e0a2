"""Glue's catalog as a query sees it: tables with parsed types and partitions with typed values.

Reads through the lab's own Glue operations, as the account of the current request scope.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from local_aws import glue
from local_aws.athena.errors import QueryFailed
from local_aws.athena.hive_types import HiveType, parse_type
from local_aws.glue_catalog import GlueError
from local_aws.glue_expression import HIVE_DEFAULT_PARTITION

VIRTUAL_VIEW = "VIRTUAL_VIEW"


@dataclass(frozen=True)
class Column:
    """A column as Glue declares it, its name in lower case."""

    name: str
    type: HiveType


@dataclass(frozen=True)
class Place:
    """Where data lie and how they are written: a StorageDescriptor of a table or of a partition."""

    location: str
    serde: str
    input_format: str
    serde_parameters: dict[str, str]
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class Partition:
    """One partition: its values as Glue keeps them (text, in the order of the keys) and its own place."""

    values: tuple[str, ...]
    place: Place


@dataclass(frozen=True)
class Table:
    """A table or view of the catalog; `definition` is the Table of Glue's model."""

    database: str
    name: str
    place: Place
    keys: tuple[Column, ...]
    parameters: dict[str, str]
    definition: dict[str, Any] = field(repr=False)

    @property
    def is_view(self) -> bool:
        """Whether it is a view of Athena's."""
        return self.definition.get("TableType") == VIRTUAL_VIEW


def find_table(database: str, name: str) -> Table | None:
    """The table of this name, None if the database or the table does not exist.

    Raises QueryFailed for a table that Glue accepts and Athena cannot use.
    """
    try:
        answer = glue.call("GetTable", {"DatabaseName": database.lower(), "Name": name.lower()})
    except GlueError as error:
        if error.code == "EntityNotFoundException":
            return None
        raise QueryFailed("HIVE_METASTORE_ERROR", str(error)) from error
    definition = answer["Table"]
    if "PartitionKeys" not in definition and definition.get("TableType") != VIRTUAL_VIEW:
        # ASSUMPTION: the code and the words; that Athena needs the member, at least as [], is known.
        raise QueryFailed(
            "HIVE_INVALID_METADATA",
            f"Table '{database}.{name}' has no PartitionKeys in Glue; give at least an empty list",
        )
    return Table(
        database=definition["DatabaseName"],
        name=definition["Name"],
        place=_place(definition.get("StorageDescriptor") or {}),
        keys=_columns(definition.get("PartitionKeys") or []),
        parameters=definition.get("Parameters") or {},
        definition=definition,
    )


def database_exists(database: str) -> bool:
    """Whether Glue has the database."""
    try:
        glue.call("GetDatabase", {"Name": database.lower()})
    except GlueError as error:
        if error.code == "EntityNotFoundException":
            return False
        raise QueryFailed("HIVE_METASTORE_ERROR", str(error)) from error
    return True


def partitions(table: Table) -> list[Partition]:
    """All registered partitions of `table`, in the order of their values."""
    found = []
    request: dict[str, Any] = {"DatabaseName": table.database, "TableName": table.name}
    while True:
        answer = glue.call("GetPartitions", request)
        for partition in answer["Partitions"]:
            descriptor = partition.get("StorageDescriptor") or {}
            found.append(Partition(tuple(partition["Values"]), _place(descriptor)))
        if "NextToken" not in answer:
            return found
        request["NextToken"] = answer["NextToken"]


def value_or_null(text: str) -> str | None:
    """The text of a partition value, None for Hive's default partition (a null)."""
    return None if text == HIVE_DEFAULT_PARTITION else text


def _place(descriptor: dict[str, Any]) -> Place:
    serde = descriptor.get("SerdeInfo") or {}
    return Place(
        location=descriptor.get("Location") or "",
        serde=serde.get("SerializationLibrary") or "",
        input_format=descriptor.get("InputFormat") or "",
        serde_parameters=serde.get("Parameters") or {},
        columns=_columns(descriptor.get("Columns") or []),
    )


def _columns(columns: list[dict[str, str]]) -> tuple[Column, ...]:
    return tuple(Column(column["Name"].lower(), parse_type(column.get("Type") or "string")) for column in columns)
