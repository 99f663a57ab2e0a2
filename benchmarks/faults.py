"""What a conversion got wrong, as far as its Parquet file shows: looked up in the file, not asserted.

Items that are rebuilt from the file by its own footer are held against the data file. Where a file cannot be taken apart like that, its
types are looked at: tags that a query would have to unpack, numbers left as text, text that became a time, nested values that became text.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ddb_export.conversion.inverse import read_items
from ddb_export.conversion.parquet import FOOTER_KEY
from ddb_export.domain.attribute_value import TYPE_TAGS, items_equal

_COMPARED_ITEMS = 20_000


def faults(source: Path, parquet: Path) -> list[str]:
    """Return what is wrong with a Parquet file that was made of a data file of a full export, in few words each."""
    schema = pq.read_schema(parquet)
    if FOOTER_KEY.encode() in (schema.metadata or {}):
        return _inexact(source, parquet)
    return _of_types(schema, source, parquet)


def _inexact(source: Path, parquet: Path) -> list[str]:
    wrong = compared = 0
    for original, rebuilt in zip(_items(source), islice(read_items(parquet), _COMPARED_ITEMS), strict=False):
        compared += 1
        wrong += not items_equal(original, rebuilt)
    return [f"{wrong} of {compared} items are not rebuilt"] if wrong or not compared else []


def _of_types(schema: pa.Schema, source: Path, parquet: Path) -> list[str]:
    found = []
    tagged = [each.name for each in schema if _is_tagged(each.type)]
    times = [each.name for each in schema if any(pa.types.is_temporal(leaf) for leaf in _leaves(each.type))]
    if tagged:
        found.append(f"{len(tagged)} of {len(schema)} columns are structs of type tags, numbers in them text")
    else:
        found += _of_values(source, parquet)
    if times:
        found.append(f"text became a time in {', '.join(times)}")
    return [*found, "columns follow from this file alone"]


def _of_values(source: Path, parquet: Path) -> list[str]:
    """Compare the cells of plain columns with the items, one by one."""
    lost: Counter[str] = Counter()
    rows = (row for batch in pq.ParquetFile(parquet).iter_batches() for row in batch.to_pylist())
    for item, row in zip(_items(source), rows, strict=False):
        for attribute, value in item.items():
            if "NULL" in value and row.get(attribute) is None:
                lost["NULLs came out as missing"] += 1
            elif ("L" in value or "M" in value) and _parsed(row.get(attribute)) != plain(value):
                lost["nested values changed (numbers to text, or worse)"] += 1
            elif "N" in value and isinstance(row.get(attribute), str):
                lost["numbers became text, for another value of their column"] += 1
    return [f"{count} {what}" for what, count in sorted(lost.items())]


def plain(value: Mapping[str, Any]) -> Any:
    """Return a nested value as JSON would hold it, numbers as Decimals."""
    ((tag, payload),) = value.items()
    if tag == "L":
        return [plain(each) for each in payload]
    if tag == "M":
        return {name: plain(each) for name, each in payload.items()}
    return Decimal(payload) if tag == "N" else None if tag == "NULL" else payload


def _parsed(cell: Any) -> Any:
    try:
        return json.loads(cell, parse_int=Decimal, parse_float=Decimal)
    except (TypeError, ValueError):
        return cell


def _items(source: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(source) as lines:
        for line in islice(lines, _COMPARED_ITEMS):
            yield json.loads(line)["Item"]


def _is_tagged(kind: pa.DataType) -> bool:
    return pa.types.is_struct(kind) and {each.name for each in kind} <= {*TYPE_TAGS, "NULL"}


def _leaves(kind: pa.DataType) -> Iterator[pa.DataType]:
    if pa.types.is_nested(kind):
        for index in range(kind.num_fields):
            yield from _leaves(kind.field(index).type)
    else:
        yield kind
