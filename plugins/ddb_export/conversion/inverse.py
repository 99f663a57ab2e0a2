"""Parquet file → items in DynamoDB JSON: the exact inverse of :mod:`ddb_export.conversion.parquet`.

A file's own footer is all that is needed. Numbers come back as canonical text of the same value, sets in any
order (:func:`ddb_export.domain.attribute_value.items_equal` is the right comparison).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from ddb_export.conversion.cells import decode_item
from ddb_export.conversion.parquet import FOOTER_KEY
from ddb_export.domain.schema import Column
from ddb_export.exceptions import ConversionError

_BATCH_ROWS = 1024


def to_item(row: Mapping[str, Any], columns: Iterable[Column]) -> dict[str, Any]:
    """Rebuild the item of one row.

    :param row: column name → Python value as pyarrow gives it, ``_overflow`` included. Of a change with
        ``_op = 'REMOVE'`` the result is the item's key.
    :param columns: the attribute columns, from :func:`read_columns` or a schema document.
    """
    return decode_item(row, columns)


def to_old_image(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """The old image of a change, or ``None``."""
    text = row.get("_old_image")
    return None if text is None else dict(json.loads(text))


def read_columns(parquet: Path | BinaryIO) -> tuple[Column, ...]:
    """The attribute columns of a Parquet file, from its footer alone.

    :raises ConversionError: if the file's footer does not have them.
    """
    return _columns_of(pq.ParquetFile(parquet), parquet)


def read_rows(parquet: Path | BinaryIO) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each row of a Parquet file, in order, as (contract columns, item in DynamoDB JSON).

    :raises ConversionError: if the file was not written by this package.
    """
    opened = pq.ParquetFile(parquet)
    columns = _columns_of(opened, parquet)
    attribute_names = {column.name for column in columns}
    for batch in opened.iter_batches(batch_size=_BATCH_ROWS):
        for row in _python_rows(batch):
            contract = {name: value for name, value in row.items() if name not in attribute_names}
            yield contract, decode_item(row, columns)


def read_items(parquet: Path | BinaryIO) -> Iterator[dict[str, Any]]:
    """The item of each row of a Parquet file, in order.

    :raises ConversionError: if the file was not written by this package.
    """
    for _, item in read_rows(parquet):
        yield item


def _python_rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    names = batch.schema.names
    for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
        yield dict(zip(names, values, strict=True))


def _columns_of(opened: pq.ParquetFile, parquet: object) -> tuple[Column, ...]:
    text = (opened.schema_arrow.metadata or {}).get(FOOTER_KEY.encode())
    if text is None:
        raise ConversionError(
            str(parquet),
            f"its footer has no {FOOTER_KEY}",
            "read a file that ddb_export wrote, or convert the raw export again",
        )
    types = {field.name: field.type for field in opened.schema_arrow}
    return _columns(json.loads(text), types)


def _columns(entries: Mapping[str, Any], types: Mapping[str, pa.DataType]) -> tuple[Column, ...]:
    columns = []
    for name, entry in entries.items():
        kind = types[name]
        members = _columns(
            entry.get("members", {}), {field.name: field.type for field in kind} if "members" in entry else {}
        )
        column = Column(name, entry["attribute"], entry["dynamodb_type"], _type_text(kind), entry.get("unit"), members)
        columns.append(column)
    return tuple(columns)


def _type_text(arrow_type: pa.DataType) -> str:
    if pa.types.is_struct(arrow_type):
        return "struct"
    if pa.types.is_list(arrow_type):
        return f"list<{_type_text(arrow_type.value_type)}>"
    return str(arrow_type)
