"""Results in Athena's text forms: column types, `VarCharValue`s and the CSV that lands in S3.

ASSUMPTION: the text of nested values, doubles and binary follows what Athena's console and CSV show.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa

from local_aws.athena.errors import QueryFailed

Row = list["str | None"]

_EPOCH = date(1970, 1, 1)
_BIGINT = (-(2**63), 2**63 - 1)
_TYPE_NAMES = {
    "utinyint": "integer",
    "usmallint": "integer",
    "uinteger": "bigint",
    "ubigint": "bigint",
    # Trino's sums of integers are bigint and overflow; DuckDB's are wider.
    "hugeint": "bigint",
    "uhugeint": "bigint",
    "blob": "varbinary",
    "list": "array",
    "struct": "row",
    "sqlnull": "unknown",
    "null": "unknown",
    "timestamp_s": "timestamp",
    "timestamp_ms": "timestamp",
    "timestamp_ns": "timestamp",
    "integer_literal": "integer",
    "interval": "interval day to second",
}
_PRECISIONS = {"tinyint": 3, "smallint": 5, "integer": 10, "bigint": 19, "float": 17, "double": 17, "timestamp": 3}
_UNBOUNDED = 2147483647


@dataclass(frozen=True)
class ResultColumn:
    """A column of a result: its name and the ColumnInfo of Athena's model that goes with its type."""

    name: str
    type: str
    precision: int = 0
    scale: int = 0

    def info(self) -> dict[str, Any]:
        """The ColumnInfo of GetQueryResults."""
        return {
            "CatalogName": "hive",
            "SchemaName": "",
            "TableName": "",
            "Name": self.name,
            "Label": self.name,
            "Type": self.type,
            "Precision": self.precision,
            "Scale": self.scale,
            "Nullable": "UNKNOWN",
            "CaseSensitive": self.type == "varchar",
        }


@dataclass
class Result:
    """What a statement gave: its columns, its rows as text (None is NULL), and whether a header row goes before them."""

    columns: list[ResultColumn] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    header: bool = False
    extension: str = "txt"
    scanned: int = 0


def varchar(name: str) -> ResultColumn:
    """A text column of unbounded length."""
    return ResultColumn(name, "varchar", _UNBOUNDED)


def text_column(name: str) -> ResultColumn:
    """A column of a SHOW or DESCRIBE."""
    return ResultColumn(name, "string")


def result_column(name: str, duckdb_type: Any) -> ResultColumn:
    """The column for a DuckDB type."""
    kind = str(duckdb_type.id).lower()
    if kind == "decimal":
        size = dict(duckdb_type.children)
        return ResultColumn(name, "decimal", size["precision"], size["scale"])
    athena = _TYPE_NAMES.get(kind, kind)
    if str(duckdb_type).upper() == "JSON":
        return ResultColumn(name, "json")
    return varchar(name) if athena == "varchar" else ResultColumn(name, athena, _PRECISIONS.get(athena, 0))


def rows_of(batches: Iterable[Any], columns: list[ResultColumn]) -> list[Row]:
    """All rows of Arrow record batches as text."""
    rows: list[Row] = []
    for batch in batches:
        texts = [_column(batch.column(index), column) for index, column in enumerate(columns)]
        rows.extend([list(row) for row in zip(*texts, strict=True)])
    return rows


def csv_of(result: Result) -> bytes:
    """The result file: for a query CSV with every value quoted and NULL as nothing, else lines of text."""
    if not result.header:
        return "".join("\t".join(value or "" for value in row) + "\n" for row in result.rows).encode()
    lines: list[Row] = [[column.name for column in result.columns], *result.rows]
    return "".join(",".join(_quoted(value) for value in line) + "\n" for line in lines).encode()


def _quoted(value: str | None) -> str:
    return "" if value is None else '"' + value.replace('"', '""') + '"'


def _column(values: Any, column: ResultColumn) -> list[str | None]:
    if column.type == "bigint":
        return [None if value is None else _bigint(value) for value in values.to_pylist()]
    form = _formatter(values.type)
    raw = values.cast(pa.int64()) if pa.types.is_timestamp(values.type) else values
    return [None if value is None else form(value) for value in raw.to_pylist()]


def _bigint(value: int | Decimal) -> str:
    number = int(value)
    if not _BIGINT[0] <= number <= _BIGINT[1]:
        raise QueryFailed("NUMERIC_VALUE_OUT_OF_RANGE", f"bigint addition overflow: {number}")
    return str(number)


def _formatter(kind: Any) -> Callable[[Any], str]:  # noqa: PLR0911 one case for each type
    if pa.types.is_boolean(kind):
        return lambda value: "true" if value else "false"
    if pa.types.is_timestamp(kind):
        return _timestamp_formatter(kind)
    if pa.types.is_float32(kind) or pa.types.is_float64(kind):
        return _double
    if pa.types.is_decimal(kind):
        return lambda value: f"{value:f}"
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return lambda value: value.hex(" ")
    if pa.types.is_date(kind) or pa.types.is_time(kind):
        return lambda value: str(value.isoformat())
    if pa.types.is_nested(kind):
        return _nested_formatter(kind)
    return str


def _nested_formatter(kind: Any) -> Callable[[Any], str]:
    if pa.types.is_map(kind):
        key, item = _nullable(kind.key_type), _nullable(kind.item_type)
        return lambda value: "{" + ", ".join(f"{key(k)}={item(v)}" for k, v in value) + "}"
    if pa.types.is_struct(kind):
        fields = [(f.name, _nullable(f.type)) for f in (kind.field(index) for index in range(kind.num_fields))]
        # DuckDB calls the fields of a nameless row _0, _1, …, Trino field0, field1, …
        return lambda value: "{" + ", ".join(f"{_field(name)}={form(value[name])}" for name, form in fields) + "}"
    element = _nullable(kind.value_type)
    return lambda value: "[" + ", ".join(element(item) for item in value) + "]"


def _field(name: str) -> str:
    return f"field{name[1:]}" if name[:1] == "_" and name[1:].isdigit() else name


def _nullable(kind: Any) -> Callable[[Any], str]:
    if pa.types.is_timestamp(kind):
        # Inside lists and rows pyarrow hands out datetimes.
        return lambda value: "null" if value is None else f"{value:%Y-%m-%d %H:%M:%S}.{value.microsecond // 1000:03}"
    form = _formatter(kind)
    return lambda value: "null" if value is None else form(value)


def _timestamp_formatter(kind: Any) -> Callable[[int], str]:
    per_second = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}[kind.unit]
    zone = " UTC" if kind.tz else ""

    def form(value: int) -> str:
        seconds, fraction = divmod(value, per_second)
        days, clock = divmod(seconds, 86_400)
        day = _EPOCH + timedelta(days=days)
        millis = fraction * 1_000 // per_second
        return f"{day} {clock // 3600:02}:{clock % 3600 // 60:02}:{clock % 60:02}.{millis:03}{zone}"

    return form


def _double(value: float) -> str:
    """A double as Java writes it: plain between 1e-3 and 1e7, else with an exponent."""
    if math.isnan(value):
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        text = f"{Decimal(repr(value)):f}"
        return text if "." in text else f"{text}.0"
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    mantissa = "".join(map(str, digits)).rstrip("0") or "0"
    power = int(exponent) + len(digits) - 1
    return f"{'-' if sign else ''}{mantissa[0]}.{mantissa[1:] or '0'}E{power}"
