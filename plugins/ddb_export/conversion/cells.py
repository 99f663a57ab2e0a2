"""Tagged values → the values of typed columns, and back; the exact path.

A column holds the values of one type tag that fit its Arrow type; everything else of an item is kept as tagged
values for the overflow column. Nothing is rounded, cut or guessed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa

from ddb_export.domain.attribute_value import (
    AttributeValueError,
    decode_binary,
    encode_binary,
    parse_number,
    plain_json_text,
    value_from_plain_json,
)
from ddb_export.domain.column_types import UNITS, scalar_tag
from ddb_export.domain.schema import Column

INT64_MINIMUM, INT64_MAXIMUM = -(1 << 63), (1 << 63) - 1

_DECIMAL = re.compile(r"decimal128\((\d+), (\d+)\)")
TIMESTAMP = pa.timestamp("us", tz="UTC")
_ARROW_TYPES = {
    "string": pa.string(),
    "int64": pa.int64(),
    "binary": pa.binary(),
    "bool": pa.bool_(),
    str(TIMESTAMP): TIMESTAMP,
}

_EPOCH_DIGITS = 18
"""More digits before the point are no time in any unit; so few stay exact in Python's default decimal arithmetic."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST_MICROS, LATEST_MICROS = (
    (datetime(*day, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1) for day in ((1900, 1, 1), (9999, 12, 31))
)
"""The timestamps that all readers agree on: Spark refuses files with earlier ones (SPARK-31404, calendar rebasing), and later ones
are none to Python."""

Cell = Any
"""What pyarrow takes for one cell; ``None`` is null."""


def arrow_type(text: str) -> pa.DataType:
    """The Arrow type of a column's type text (:attr:`ddb_export.domain.schema.Column.arrow_type`)."""
    if text.startswith("list<"):
        return pa.list_(arrow_type(text[5:-1]))
    if decimal := _DECIMAL.fullmatch(text):
        return pa.decimal128(int(decimal[1]), int(decimal[2]))
    return _ARROW_TYPES[text]


def column_type(column: Column) -> pa.DataType:
    """The Arrow type of a column."""
    if column.arrow_type == "struct":
        return pa.struct([pa.field(member.name, column_type(member)) for member in column.members])
    return arrow_type(column.arrow_type)


def cell_encoder(column: Column) -> Callable[[Any], Cell]:
    """The function that turns a valid payload of the column's type tag into its cell.

    It returns ``None`` for what the column cannot hold exactly.
    """
    if column.arrow_type == "struct":
        return _StructEncoder(column)
    if column.arrow_type == str(TIMESTAMP):
        factor = UNITS[column.unit or "s"]
        return lambda payload: _encode_timestamp(payload, factor)
    if column.arrow_type.startswith("list<"):
        if column.dynamodb_type == "L":
            tag = scalar_tag(column.arrow_type[5:-1])
            encode = scalar_encoder(tag, column.arrow_type[5:-1])
            return lambda payload: _encode_list([element.get(tag) for element in payload], encode)
        encode = scalar_encoder(column.dynamodb_type[0], column.arrow_type[5:-1])
        return lambda payload: _encode_list(payload, encode)
    if column.dynamodb_type in ("L", "M"):
        tag = column.dynamodb_type
        return lambda payload: _encode_plain_json({tag: payload})
    return scalar_encoder(column.dynamodb_type, column.arrow_type)


def scalar_encoder(tag: str, type_text: str) -> Callable[[Any], Cell]:
    """Like :func:`cell_encoder`, for a type that is no list: of one payload, or of one element of a set."""
    if tag == "B":
        return decode_binary
    if tag == "N" and type_text == "int64":
        return _encode_int64
    if tag == "N" and (decimal := _DECIMAL.fullmatch(type_text)):
        precision, scale = int(decimal[1]), int(decimal[2])
        return lambda payload: _encode_decimal(payload, precision, scale)
    return lambda payload: payload


class _StructEncoder:
    """Encodes maps whose members are all declared and all fit; an absent member is null, an explicit NULL does not fit."""

    def __init__(self, column: Column) -> None:
        self._members = {
            member.attribute: (member.name, member.dynamodb_type, cell_encoder(member)) for member in column.members
        }

    def __call__(self, payload: Mapping[str, Any]) -> dict[str, Cell] | None:
        cells = {}
        for name, value in payload.items():
            member = self._members.get(name)
            if member is None or member[1] not in value:
                return None
            cell = member[2](value[member[1]])
            if cell is None:
                return None
            cells[member[0]] = cell
        return cells


def _encode_timestamp(payload: str, factor: int) -> int | None:
    shape = parse_number(payload)
    if shape.integer_digits > _EPOCH_DIGITS or 10**shape.fraction_digits > factor:
        return None
    micros = int(Decimal(shape.plain) * factor)
    return micros if EARLIEST_MICROS <= micros <= LATEST_MICROS else None


def _encode_int64(payload: str) -> int | None:
    shape = parse_number(payload)
    if shape.fraction_digits or shape.integer_digits > 19:
        return None
    value = int(shape.plain)
    return value if INT64_MINIMUM <= value <= INT64_MAXIMUM else None


def _encode_decimal(payload: str, precision: int, scale: int) -> Decimal | None:
    shape = parse_number(payload)
    if shape.fraction_digits > scale or shape.integer_digits > precision - scale:
        return None
    return Decimal(shape.plain)


def _encode_list(payload: Sequence[Any], encode: Callable[[Any], Cell]) -> list[Cell] | None:
    cells = [None if element is None else encode(element) for element in payload]
    return None if any(cell is None for cell in cells) else cells


def _encode_plain_json(value: Mapping[str, Any]) -> str | None:
    try:
        return plain_json_text(value)
    except AttributeValueError:
        return None


class ItemEncoder:
    """Splits items into cells of typed columns and the tagged values that no column can hold.

    :param columns: the attribute columns, in the order of the cells.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = tuple(columns)
        self._slots = {
            column.attribute: (index, column.dynamodb_type, cell_encoder(column))
            for index, column in enumerate(self.columns)
        }

    def encode(self, item: Mapping[str, Any]) -> tuple[list[Cell], dict[str, Any]]:
        """One valid item → its cells and its overflow (attribute → tagged value)."""
        cells: list[Cell] = [None] * len(self.columns)
        overflow = {}
        for attribute, value in item.items():
            slot = self._slots.get(attribute)
            if slot is not None and slot[1] in value:
                cell = slot[2](value[slot[1]])
                if cell is not None:
                    cells[slot[0]] = cell
                    continue
            overflow[attribute] = value
        return cells, overflow


def decode_item(row: Mapping[str, Any], columns: Iterable[Column]) -> dict[str, Any]:
    """A row → its item in DynamoDB JSON: the inverse of :meth:`ItemEncoder.encode`.

    :param row: column name → value as pyarrow gives it (``Decimal``, ``bytes``, ``list`` …), with ``_overflow``.
    :param columns: the attribute columns.
    """
    item = {}
    for column in columns:
        cell = row.get(column.name)
        if cell is not None:
            item[column.attribute] = _decode_cell(column, cell)
    if overflow := row.get("_overflow"):
        item.update(json.loads(overflow))
    return item


def _decode_cell(column: Column, cell: Cell) -> dict[str, Any]:
    tag = column.dynamodb_type
    if column.arrow_type == "struct":
        decoded = ((member, cell[member.name]) for member in column.members)
        return {tag: {member.attribute: _decode_cell(member, inner) for member, inner in decoded if inner is not None}}
    if tag in ("L", "M"):
        if isinstance(cell, str):
            return value_from_plain_json(cell)
        element_tag = scalar_tag(column.arrow_type[5:-1])
        return {tag: [{element_tag: _decode_scalar(element_tag, element)} for element in cell]}
    if isinstance(cell, datetime):
        micros = Decimal((cell - _EPOCH) // timedelta(microseconds=1))
        return {tag: parse_number(format(micros / UNITS[column.unit or "s"], "f")).plain}
    if tag in ("SS", "NS", "BS"):
        return {tag: [_decode_scalar(tag[0], element) for element in cell]}
    return {tag: _decode_scalar(tag, cell)}


def _decode_scalar(tag: str, cell: Cell) -> Any:
    if tag == "B":
        return encode_binary(cell)
    if tag == "N":
        return parse_number(format(cell, "f") if isinstance(cell, Decimal) else str(cell)).plain
    return cell
