"""Lists and maps inside of items: their DynamoDB JSON text, many values at a time → checked, and written as plain JSON text.

Whatever the fast way is not sure of goes through the exact rules of :mod:`ddb_export.domain.attribute_value`, value by value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pyarrow as pa

from ddb_export.conversion.payloads import InvalidPayloadsError, count_members
from ddb_export.conversion.record import InvalidRecordError, parse_json
from ddb_export.domain.attribute_value import (
    MAXIMUM_NESTING,
    AttributeValueError,
    fits_plain_json,
    plain_json_text,
    validate_value,
)

_match_plain_numbers = re.compile(r"(?:-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,18})?\n)*").fullmatch
"""What surely are DynamoDB numbers and JSON numbers at the same time, each with a line feed behind it."""


class NestedValues:
    """The payloads of ``L`` or ``M``, parsed and checked.

    :param tag: ``L`` or ``M``.
    :param payloads: JSON text (bytes or Raw) per row, or ``None``.
    :ivar count: payloads that are there.
    """

    def __init__(self, tag: str, payloads: Sequence[Any]) -> None:
        self._tag = tag
        self._rows = [row for row, payload in enumerate(payloads) if payload is not None]
        self._size = len(payloads)
        self._raws = [bytes(payloads[row]) for row in self._rows]
        self.count = len(self._rows)
        parsed = parse_together(self._raws)
        plain = self._convert_exactly() if parsed is None else self._convert(parsed)
        # Written at once, so that the parsed values are gone before the next ones need their memory.
        self._array, self._misfits = self._written(plain)

    def _convert(self, values: list[Any]) -> list[Any]:
        convert = _CONVERTERS[self._tag]
        plain: list[Any] = []
        invalid: list[int] = []
        numbers: list[str] = []
        for index, value in enumerate(values):
            try:
                plain.append(convert(value, 0, numbers))
            except _CONVERSION_ERRORS:
                # The converter takes values apart, so the exact rules start from the text again.
                self._look_closer(index, plain, invalid)
        if not _are_plain_numbers(numbers):
            return self._convert_one_by_one()
        return self._or_invalid(plain, invalid)

    def _convert_one_by_one(self) -> list[Any]:
        """Find the values with numbers that need the exact rules."""
        convert = _CONVERTERS[self._tag]
        plain: list[Any] = []
        invalid: list[int] = []
        for index, raw in enumerate(self._raws):
            numbers: list[str] = []
            try:
                converted = convert(orjson.loads(raw), 0, numbers)
            except _CONVERSION_ERRORS:
                self._look_closer(index, plain, invalid)
                continue
            if _are_plain_numbers(numbers):
                plain.append(converted)
            else:
                self._look_closer(index, plain, invalid)
        return self._or_invalid(plain, invalid)

    def _convert_exactly(self) -> list[Any]:
        plain: list[Any] = []
        invalid: list[int] = []
        for index in range(len(self._rows)):
            self._look_closer(index, plain, invalid)
        return self._or_invalid(plain, invalid)

    def _look_closer(self, index: int, plain: list[Any], invalid: list[int]) -> None:
        try:
            value = {self._tag: parse_json(self._raws[index])}
            validate_value(value)
        except (InvalidRecordError, AttributeValueError):
            invalid.append(self._rows[index])
            return
        plain.append(_Fragment(plain_json_text(value)) if fits_plain_json(value) else _MISFIT)

    @staticmethod
    def _or_invalid(plain: list[Any], invalid: list[int]) -> list[Any]:
        if invalid:
            raise InvalidPayloadsError(invalid)
        return plain

    @property
    def text(self) -> bytes:
        """The payloads as they are written, one after the other."""
        return b",".join(self._raws)

    @property
    def text_bytes(self) -> int:
        """Bytes of the payloads."""
        return sum(map(len, self._raws))

    @property
    def members(self) -> int:
        """Members of all JSON objects inside the payloads."""
        return count_members(self.text)

    def values(self) -> dict[int, Any]:
        """Row → parsed payload."""
        return {row: orjson.loads(raw) for row, raw in zip(self._rows, self._raws, strict=True)}

    def array(self) -> tuple[pa.Array, Sequence[int]]:
        """The payloads as compact plain JSON text, and the rows that plain JSON cannot hold."""
        return self._array, self._misfits

    def _written(self, plain: Sequence[Any]) -> tuple[pa.Array, Sequence[int]]:
        texts: list[bytes | None] = []
        if plain:
            # All texts are written at once, with line feeds between them, which JSON text never holds.
            parts = [_LINE_FEED] * (2 * len(plain) - 1)
            parts[::2] = plain
            texts = [*orjson.dumps(parts)[1:-1].split(b",\n,")]
        cells: list[bytes | None] = [None] * self._size
        misfits = []
        for row, value, text in zip(self._rows, plain, texts, strict=True):
            if value is _MISFIT:
                misfits.append(row)
            else:
                cells[row] = text
        return pa.array(cells, pa.string()), misfits


def parse_together(raws: Sequence[bytes]) -> list[Any] | None:
    """Parse many JSON texts at once, or ``None`` where one is not compact or names a member twice."""
    joined = b"[" + b",".join(raws) + b"]"
    try:
        values: list[Any] = orjson.loads(joined)
        # A name that occurs twice is lost by the parser; the text then comes out shorter.
        return values if orjson.dumps(values) == joined else None
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None


_Fragment = orjson.Fragment
_LINE_FEED = _Fragment(b"\n")
_MISFIT = _Fragment(b"null")


class _NotPlainJsonError(Exception):
    """A set or binary, or something that the exact rules must look at."""


_CONVERSION_ERRORS = (_NotPlainJsonError, LookupError, TypeError, AttributeError)


def _are_plain_numbers(numbers: Sequence[str]) -> bool:
    """Tell whether all are, at once; a line feed within one would make two of it."""
    text = "".join([f"{number}\n" for number in numbers])
    return _match_plain_numbers(text) is not None and text.count("\n") == len(numbers)


def _convert_list(payload: list[dict[str, Any]], depth: int, numbers: list[str]) -> list[Any]:
    if type(payload) is not list or depth >= MAXIMUM_NESTING:
        raise _NotPlainJsonError
    depth += 1
    plain: list[Any] = []
    for value in payload:
        tag, inner = value.popitem()
        if value:
            raise _NotPlainJsonError
        if tag == "S" and type(inner) is str:
            plain.append(inner)
        elif tag == "N" and type(inner) is str:
            numbers.append(inner)
            plain.append(_Fragment(inner))
        else:
            plain.append(_CONVERTERS[tag](inner, depth, numbers))
    return plain


def _convert_map(payload: dict[str, Any], depth: int, numbers: list[str]) -> dict[str, Any]:
    if type(payload) is not dict or depth >= MAXIMUM_NESTING:
        raise _NotPlainJsonError
    depth += 1
    for name, value in payload.items():
        tag, inner = value.popitem()
        if value:
            raise _NotPlainJsonError
        # In place: a new value under an old name does not disturb the iteration.
        if tag == "S" and type(inner) is str:
            payload[name] = inner
        elif tag == "N" and type(inner) is str:
            numbers.append(inner)
            payload[name] = _Fragment(inner)
        else:
            payload[name] = _CONVERTERS[tag](inner, depth, numbers)
    return payload


def _convert_boolean(payload: Any, _depth: int, _numbers: list[str]) -> Any:
    if type(payload) is not bool:
        raise _NotPlainJsonError
    return payload


def _convert_null(payload: Any, _depth: int, _numbers: list[str]) -> None:
    if payload is not True:
        raise _NotPlainJsonError


_CONVERTERS: dict[str, Callable[[Any, int, list[str]], Any]] = {
    "BOOL": _convert_boolean,
    "NULL": _convert_null,
    "L": _convert_list,
    "M": _convert_map,
}
