"""The two JSON SerDes, OpenX and Hive's: lines of JSON become a Parquet file of exactly the declared types.

Keys are matched without regard to case unless OpenX's `case.insensitive` is `false`; a key that is missing reads as NULL;
numbers never pass through float; `.gz` files are unpacked as a stream (sources: Athena's user guide on the SerDes).
"""

from __future__ import annotations

import base64
import gzip
import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Context, Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from local_aws.athena.catalog import Column
from local_aws.athena.errors import QueryFailed
from local_aws.athena.files import SourceFile
from local_aws.athena.hive_types import HiveType

OPENX = "org.openx.data.jsonserde.JsonSerDe"
HIVE = "org.apache.hive.hcatalog.data.JsonSerDe"
SERDES = frozenset({OPENX, HIVE, "org.apache.hadoop.hive.serde2.JsonSerDe"})

_BATCH_ROWS = 5_000


def to_parquet(body: bytes, source: SourceFile, columns: tuple[Column, ...], target: Path) -> None:
    """Write the rows of one JSON file to `target`, a Parquet file with `columns`.

    Raises QueryFailed for a line that is no JSON object (unless `ignore.malformed.json`) or a value that does not fit.
    """
    rows = _rows(body, source, columns)
    schema = pa.schema([pa.field(column.name, column.type.arrow) for column in columns])
    with pq.ParquetWriter(target, schema, compression="snappy") as writer:
        for batch in _batches(rows):
            arrays = [
                pa.array([row[index] for row in batch], column.type.arrow) for index, column in enumerate(columns)
            ]
            writer.write_batch(pa.record_batch(arrays, schema=schema))


def _batches(rows: Iterator[list[Any]]) -> Iterator[list[list[Any]]]:
    batch: list[list[Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _BATCH_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


def _rows(body: bytes, source: SourceFile, columns: tuple[Column, ...]) -> Iterator[list[Any]]:
    parameters = {key.lower(): value for key, value in source.place.serde_parameters.items()}
    lenient = parameters.get("ignore.malformed.json", "").lower() == "true"
    lookup = _key_lookup(parameters, columns)
    for number, line in enumerate(_lines(body, source.uri), start=1):
        if not line.strip():
            continue
        try:
            found = lookup(_object(line))
            yield [_value(found.get(column.name), column.type) for column in columns]
        except (ValueError, InvalidOperation, OverflowError) as error:
            if not lenient:
                text = f"Row is not a valid JSON Object - {error} - file {source.uri}, line {number}"
                raise QueryFailed("HIVE_CURSOR_ERROR", text) from error
            yield [None] * len(columns)


def _object(line: bytes) -> dict[str, Any]:
    parsed = json.loads(line, parse_float=Decimal)
    if not isinstance(parsed, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 the line's content is wrong, not our argument
    return parsed


def _lines(body: bytes, uri: str) -> Iterator[bytes]:
    raw = io.BytesIO(body)
    try:
        yield from gzip.GzipFile(fileobj=raw) if uri.endswith(".gz") else raw
    except (OSError, EOFError) as error:
        raise QueryFailed("HIVE_CURSOR_ERROR", f"Failed to read file at {uri}: {error}") from error


def _key_lookup(parameters: dict[str, str], columns: tuple[Column, ...]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    mappings = {column.name: parameters.get(f"mapping.{column.name}") for column in columns}
    exact = parameters.get("case.insensitive", "true").lower() == "false"
    dots = parameters.get("dots.in.keys", "").lower() == "true"

    def lookup(row: dict[str, Any]) -> dict[str, Any]:
        names = {key.replace(".", "_"): item for key, item in row.items()} if dots else row
        if not exact:
            names = _folded(names)
        return {
            column: names.get(mapped if exact else mapped.lower()) if mapped else names.get(column)
            for column, mapped in mappings.items()
        }

    return lookup


def _folded(row: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, item in row.items():
        if key.lower() in found:
            raise ValueError(f'Duplicate key "{key.lower()}"')
        found[key.lower()] = item
    return found


def _value(value: Any, declared: HiveType) -> Any:
    if value is None:
        return None
    if declared.kind in ("array", "map", "struct"):
        return _nested(value, declared)
    return _READERS[declared.kind](value) if declared.kind != "decimal" else _decimal(value, declared)


def _nested(value: Any, declared: HiveType) -> Any:
    if declared.kind == "array":
        if not isinstance(value, list):
            raise ValueError(f"{_kind(value)} where {declared.text} is declared")
        return [_value(element, declared.children[0][1]) for element in value]
    if not isinstance(value, dict):
        raise ValueError(f"{_kind(value)} where {declared.text} is declared")  # noqa: TRY004 see _object
    if declared.kind == "map":
        key, item = declared.children[0][1], declared.children[1][1]
        return [(_value(name, key), _value(element, item)) for name, element in value.items()]
    folded = _folded(value)
    return {name: _value(folded.get(name), child) for name, child in declared.children}


def _kind(value: Any) -> str:
    return f"a JSON {type(value).__name__}"


def _text(value: Any) -> str:
    # A nested value in a text column reads as its own JSON; numbers keep the digits that they were written with.
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{_json(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_json(item) for item in value) + "]"
    return str(value)


def _json(value: Any) -> str:
    if value is None:
        return "null"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else _text(value)


def _integer(value: Any) -> int:
    number = Decimal(str(value))
    if isinstance(value, bool) or number != number.to_integral_value():
        raise ValueError(f"'{value}' is no integer")
    return int(number)


def _decimal(value: Any, declared: HiveType) -> Decimal:
    number = Decimal(str(value))
    step = Decimal(1).scaleb(-declared.scale)
    fitted = number.quantize(step, context=_EXACT)
    if fitted != number or len(fitted.as_tuple().digits) > declared.precision:
        raise ValueError(f"'{value}' does not fit {declared.text}")
    return fitted


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if str(value).lower() not in ("true", "false"):
        raise ValueError(f"'{value}' is no boolean")
    return str(value).lower() == "true"


def _timestamp(value: Any) -> datetime:
    moment = datetime.fromisoformat(str(value))
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


_EXACT = Context(prec=100)
_READERS: dict[str, Callable[[Any], Any]] = {
    "string": _text,
    "varchar": _text,
    "char": _text,
    "boolean": _boolean,
    "tinyint": _integer,
    "smallint": _integer,
    "int": _integer,
    "bigint": _integer,
    "float": lambda value: float(str(value)),
    "double": lambda value: float(str(value)),
    "date": lambda value: date.fromisoformat(str(value)),
    "timestamp": _timestamp,
    # ASSUMPTION: binary in JSON is base64, as Hive writes it.
    "binary": lambda value: base64.b64decode(str(value), validate=True),
}
