"""Hive's DDL of a table, made from what Glue says of it, and its types for pyarrow."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

_ARROW = {
    "string": pa.string(),
    "bigint": pa.int64(),
    "boolean": pa.bool_(),
    "binary": pa.binary(),
    "timestamp": pa.timestamp("us", "UTC"),
}


def statements(
    table: Mapping[str, Any], partitions: Sequence[Mapping[str, Any]], place: Callable[[str], str]
) -> Iterator[str]:
    """Yield what creates a table and its partitions, each at its own location.

    :param table: Glue's Table. :param partitions: Glue's Partitions. :param place: location in Glue → where the reader finds it.
    """
    name = f"`{table['DatabaseName']}`.`{table['Name']}`"
    keys = [key["Name"] for key in table["PartitionKeys"]]
    yield (
        f"CREATE EXTERNAL TABLE {name} ({_columns(table['StorageDescriptor']['Columns'])})"
        f" PARTITIONED BY ({_columns(table['PartitionKeys'])}) STORED AS PARQUET"
        f" LOCATION '{place(table['StorageDescriptor']['Location'])}'"
    )
    for partition in partitions:
        values = ", ".join(f"`{key}`='{value}'" for key, value in zip(keys, partition["Values"], strict=True))
        location = place(partition["StorageDescriptor"]["Location"])
        yield f"ALTER TABLE {name} ADD PARTITION ({values}) LOCATION '{location}'"


def arrow_schema(table: Mapping[str, Any]) -> pa.Schema:
    """Return the columns of a table as pyarrow types them."""
    return pa.schema([(each["Name"], arrow_type(each["Type"])) for each in table["StorageDescriptor"]["Columns"]])


def arrow_type(text: str) -> pa.DataType:
    """Return pyarrow's type for one of Hive's."""
    if decimal := re.fullmatch(r"decimal\((\d+),(\d+)\)", text):
        return pa.decimal128(int(decimal[1]), int(decimal[2]))
    if element := re.fullmatch(r"array<(.+)>", text):
        return pa.list_(arrow_type(element[1]))
    if members := re.fullmatch(r"struct<(.+)>", text):
        pairs = (each.split(":", 1) for each in outermost(members[1]))
        return pa.struct([(name, arrow_type(kind)) for name, kind in pairs])
    return _ARROW[text]


def outermost(text: str) -> Iterator[str]:
    """Yield the parts between those commas that are inside no other type."""
    depth = start = 0
    for index, character in enumerate(text):
        depth += (character in "<(") - (character in ">)")
        if character == "," and not depth:
            yield text[start:index]
            start = index + 1
    yield text[start:]


def _columns(columns: Sequence[Mapping[str, str]]) -> str:
    return ", ".join(f"`{column['Name']}` {column['Type']}" for column in columns)
