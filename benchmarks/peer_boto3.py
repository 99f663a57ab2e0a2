"""The conversion that people write by hand with boto3's TypeDeserializer, as a yardstick for speed.

gzip, json, ``TypeDeserializer`` (with base64 decoded first, or it fails on binary), columns from all rows,
nested values and columns of mixed types as JSON text, Parquet with zstd level 1. It holds all rows in memory
and does not promise exactness.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from boto3.dynamodb.types import Binary, TypeDeserializer


def decode_binary(value: dict[str, Any]) -> dict[str, Any]:
    """Replace the base64 text of binaries by bytes, all the way down."""
    ((tag, payload),) = value.items()
    if tag == "B":
        return {tag: base64.b64decode(payload)}
    if tag == "BS":
        return {tag: [base64.b64decode(element) for element in payload]}
    if tag == "L":
        return {tag: [decode_binary(element) for element in payload]}
    if tag == "M":
        return {tag: {name: decode_binary(element) for name, element in payload.items()}}
    return value


def plain(value: Any) -> Any:
    """What pyarrow takes for a deserialized value."""
    if isinstance(value, Binary):
        return bytes(value)
    if isinstance(value, set):
        return sorted(plain(element) for element in value)
    if isinstance(value, dict | list):
        return json.dumps(value, default=str)
    return value


def column(values: list[Any]) -> pa.Array:
    """One column, as text if its types are mixed."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None else json.dumps(value, default=str) for value in values])


def convert(source: Path, destination: Path) -> int:
    """Convert one data file of a full export.

    :returns: rows written.
    """
    deserialize = TypeDeserializer().deserialize
    rows = []
    with gzip.open(source, "rt", encoding="utf-8") as lines:
        for line in lines:
            item = json.loads(line)["Item"]
            rows.append({name: plain(deserialize(decode_binary(value))) for name, value in item.items()})
    names = sorted({name for row in rows for name in row})
    columns = {name: column([row.get(name) for row in rows]) for name in names}
    pq.write_table(pa.table(columns), destination, compression="zstd", compression_level=1)
    return len(rows)


def main() -> None:
    """Convert one data file and print how many rows it has."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("destination", type=Path)
    options = parser.parse_args()
    print(convert(options.source, options.destination))


if __name__ == "__main__":
    main()
