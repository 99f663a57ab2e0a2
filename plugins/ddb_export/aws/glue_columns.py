"""Calls of the Glue Data Catalog that only a widening makes: another type for a published column.

Glue keeps the columns of each partition beside those of the table (``StorageDescriptor.Columns`` of both). Changing a table changes
none of its partitions, which is what a widening relies on: see :mod:`ddb_export.pipeline.widening`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ddb_export.aws.errors import aws_errors, error_code
from ddb_export.aws.glue import MADE_BY
from ddb_export.aws.glue_partitions import read_partitions
from ddb_export.exceptions import PublishError

if TYPE_CHECKING:
    from ddb_export.aws.glue import GlueGateway, GlueTable

_TRIES = 5
# Glue API reference, "TableInput structure": what GetTable answers besides cannot be sent back.
_INPUT = (
    "Name",
    "Description",
    "Owner",
    "LastAccessTime",
    "LastAnalyzedTime",
    "Retention",
    "StorageDescriptor",
    "PartitionKeys",
    "ViewOriginalText",
    "ViewExpandedText",
    "TableType",
    "Parameters",
    "TargetTable",
)


def change_column_types(glue: GlueGateway, table: GlueTable, types: Mapping[str, tuple[str, str]]) -> bool:
    """Give columns of a table another type, in one call; its partitions keep theirs.

    :param types: name of the column → type that it has, type that it gets, in Glue's words. A column that the table lacks, or that has
        the new type, is passed over.
    :return: whether anything was written; not if there is no such table.
    :raises PublishError: someone else made the table, a column has a third type, or others kept changing the table.
    """
    for _ in range(_TRIES):
        existing = _get(glue, table)
        if existing is None:
            return False
        if existing.get("Parameters", {}).get(MADE_BY) != table.made_for:
            raise PublishError(
                table.full_name,
                f"a table of this name exists that was not made for {table.made_for}",
                "give this table another name or database in the configuration, or drop the other one",
            )
        columns = [_retyped(table, column, types) for column in existing["StorageDescriptor"]["Columns"]]
        if columns == existing["StorageDescriptor"]["Columns"]:
            return False
        wanted = {key: existing[key] for key in _INPUT if existing.get(key) not in (None, "")}
        wanted["StorageDescriptor"] = {**existing["StorageDescriptor"], "Columns": columns}
        if _update(glue, table, wanted, existing.get("VersionId")):
            return True
    raise PublishError(table.full_name, f"others changed it {_TRIES} times meanwhile", "widen again: it goes on")


def existing_partitions(glue: GlueGateway, table: GlueTable, values: Sequence[tuple[str, ...]]) -> set[tuple[str, ...]]:
    """Return those of the partitions that are in the catalog.

    :param values: values of each, one string for each partition key.
    """
    return set(read_partitions(glue, table.database, table.name, values))


def _retyped(table: GlueTable, column: Mapping[str, Any], types: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    before, after = types.get(column["Name"], (column["Type"], column["Type"]))
    if column["Type"] not in (before, after):
        raise PublishError(
            f"column {column['Name']} of {table.full_name}",
            f"it is {column['Type']} in Glue, neither {before}, which it was published with, nor {after}",
            f"give it the type {before} in Glue, then widen again: it goes on",
        )
    return {**column, "Type": after}


def _get(glue: GlueGateway, table: GlueTable) -> dict[str, Any] | None:
    from botocore.exceptions import ClientError

    with aws_errors(table.full_name):
        try:
            found: dict[str, Any] = glue.client.get_table(DatabaseName=table.database, Name=table.name)["Table"]
        except ClientError as error:
            if error_code(error) == "EntityNotFoundException":
                return None
            raise
    return found


def _update(glue: GlueGateway, table: GlueTable, wanted: dict[str, Any], version: str | None) -> bool:
    from botocore.exceptions import ClientError

    with aws_errors(table.full_name):
        try:
            glue.client.update_table(
                DatabaseName=table.database,
                TableInput=wanted,
                SkipArchive=True,
                **({"VersionId": version} if version else {}),
            )
        except ClientError as error:
            if error_code(error) == "ConcurrentModificationException":
                return False
            raise
    return True
