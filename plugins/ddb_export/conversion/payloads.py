"""Payloads of one attribute and type tag in many rows → checked Arrow arrays, many values at a time.

Each function takes one payload (or ``None``) per row and raises :class:`InvalidPayloadsError` with the rows
whose payload DynamoDB could not hold. Whatever the vectorised way is not sure of goes through the exact rules
of :mod:`ddb_export.domain.attribute_value`, value by value.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from ddb_export.conversion.cells import EARLIEST_MICROS, LATEST_MICROS, TIMESTAMP, arrow_type
from ddb_export.conversion.record import InvalidRecordError, parse_json
from ddb_export.domain.attribute_value import (
    MAXIMUM_NESTING,
    AttributeValueError,
    NumberShape,
    fits_plain_json,
    parse_number,
    plain_json_text,
    validate_value,
)
from ddb_export.domain.statistics import NumberWidth

_PLAIN_CHARACTERS = b"0123456789-."
_matches_plain_number = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,18})?").fullmatch
"""What surely is a DynamoDB number and a JSON number at the same time."""

_SAFE_DIGITS = 38
_INT64_DIGITS = 18


class InvalidPayloadsError(ValueError):
    """Rows whose payload is none that DynamoDB can hold."""

    def __init__(self, rows: Sequence[int]) -> None:
        self.rows = rows
        super().__init__(f"{len(rows)} invalid payloads")


class Numbers:
    """The payloads of ``N``, measured.

    :ivar width: the room that they need.
    """

    def __init__(self, payloads: Sequence[str | None]) -> None:
        self._payloads = payloads
        self._texts = pa.array(payloads, pa.string())
        self._integers: pa.Array | None = None
        self._shapes: list[NumberShape | None] | None = None
        self.width = self._measure_at_once() or self._measure_each()

    def _measure_at_once(self) -> NumberWidth | None:
        texts = self._texts
        joined = texts.buffers()[2]
        characters = b"" if joined is None else joined.to_pybytes()
        if characters.translate(None, _PLAIN_CHARACTERS):
            return None
        longest = pc.max(pc.binary_length(texts)).as_py() or 0
        try:
            if b"." not in characters:
                return self._measure_integers(longest)
            return self._measure_fractions(longest)
        except pa.ArrowInvalid:
            return None

    def _measure_integers(self, longest: int) -> NumberWidth | None:
        if longest > _INT64_DIGITS:
            return self._measure_fractions(longest)
        self._integers = self._texts.cast(pa.int64())
        extremes = pc.min_max(self._integers).as_py()
        largest = max(abs(extremes["min"] or 0), abs(extremes["max"] or 0))
        return NumberWidth(len(str(largest)) if largest else 0, 0)

    def _measure_fractions(self, longest: int) -> NumberWidth | None:
        point = pc.find_substring(self._texts, ".")
        has_point = pc.greater_equal(point, 0)
        if pc.any(pc.and_(has_point, pc.ends_with(self._texts, "0"))).as_py():
            return None
        length = pc.binary_length(self._texts)
        fraction = pc.if_else(has_point, pc.subtract(pc.subtract(length, point), 1), 0)
        scale = pc.max(fraction).as_py() or 0
        whole = pc.max(pc.if_else(has_point, point, length)).as_py() or 0
        # Arrow casts wrongly where the digits and the scale do not fit together: never come near that.
        if whole + scale > _SAFE_DIGITS or longest > _SAFE_DIGITS:
            return None
        extremes = pc.min_max(self._texts.cast(pa.decimal128(_SAFE_DIGITS, scale))).as_py()
        integer_digits = max(
            parse_number(format(value, "f")).integer_digits for value in extremes.values() if value is not None
        )
        return NumberWidth(integer_digits, scale)

    def _measure_each(self) -> NumberWidth:
        shapes: list[NumberShape | None] = []
        invalid = []
        for row, text in enumerate(self._payloads):
            try:
                shapes.append(None if text is None else parse_number(text))
            except AttributeValueError:
                invalid.append(row)
        if invalid:
            raise InvalidPayloadsError(invalid)
        self._shapes = shapes
        measured = [shape for shape in shapes if shape is not None]
        return NumberWidth(
            max((shape.integer_digits for shape in measured), default=0),
            max((shape.fraction_digits for shape in measured), default=0),
        )

    @property
    def integers(self) -> pa.Array | None:
        """The numbers as int64, if all are plain integers of at most 18 digits."""
        return self._integers

    def array(self, type_text: str, encode: Callable[[str], Any]) -> tuple[pa.Array, Sequence[int]]:
        """The numbers as an Arrow array, and the rows whose number does not fit.

        :param type_text: ``int64``, ``decimal128(38, s)`` or ``string``.
        :param encode: the exact encoder of one number for that type (:mod:`.cells`).
        """
        if type_text == "string":
            return self._texts, ()
        kind = arrow_type(type_text)
        if type_text == "int64":
            if self._integers is not None:
                return self._integers, ()
        elif (
            self._shapes is None
            and self.width.fraction_digits <= kind.scale
            and self.width.integer_digits + kind.scale <= kind.precision
        ):
            return self._texts.cast(kind), ()
        cells = [None if text is None else encode(text) for text in self._payloads]
        misfits = [
            row
            for row, (text, cell) in enumerate(zip(self._payloads, cells, strict=True))
            if text is not None and cell is None
        ]
        return pa.array(cells, kind), misfits


def epoch_timestamps(numbers: Numbers, factor: int) -> pa.Array | None:
    """Epoch numbers as timestamps; ``None`` where they are not all plain integers, or not all times that readers agree on.

    :param factor: microseconds in the unit of the numbers.
    """
    if numbers.integers is None:
        return None
    extremes = pc.min_max(numbers.integers).as_py()
    if extremes["min"] is not None and not (
        extremes["min"] * factor >= EARLIEST_MICROS and extremes["max"] * factor <= LATEST_MICROS
    ):
        return None
    return pc.multiply(numbers.integers, factor).cast(TIMESTAMP)


_decode_base64 = partial(binascii.a2b_base64, strict_mode=True)


def binaries(payloads: Sequence[str | None]) -> list[bytes | None]:
    """The bytes of ``B`` payloads."""
    try:
        return [None if text is None else _decode_base64(text) for text in payloads]
    except ValueError:
        raise InvalidPayloadsError(_failing_rows(payloads, _decode_base64)) from None


def _failing_rows(payloads: Sequence[Any], check: Callable[[Any], Any]) -> list[int]:
    failing = []
    for row, payload in enumerate(payloads):
        try:
            if payload is not None:
                check(payload)
        except ValueError:
            failing.append(row)
    return failing


def check_sets(payloads: Sequence[list[str] | None]) -> None:
    """Refuse empty sets."""
    if [] in payloads:
        raise InvalidPayloadsError([row for row, payload in enumerate(payloads) if payload == []])


def check_nulls(payloads: Sequence[bool | None]) -> None:
    """Refuse ``{"NULL": false}``."""
    if False in payloads:
        raise InvalidPayloadsError([row for row, payload in enumerate(payloads) if payload is False])


class NestedValues:
    """The payloads of ``L`` or ``M``, parsed and checked.

    :param tag: ``L`` or ``M``.
    :param payloads: JSON text (bytes or Raw) per row, or ``None``.
    :ivar members: members of all JSON objects inside the payloads.
    """

    def __init__(self, tag: str, payloads: Sequence[Any]) -> None:
        self._tag = tag
        self._rows = [row for row, payload in enumerate(payloads) if payload is not None]
        self._size = len(payloads)
        self._raws = [bytes(payloads[row]) for row in self._rows]
        self.members = count_members(b",".join(self._raws))
        parsed = parse_together(self._raws)
        self._plain = self._convert_exactly() if parsed is None else self._convert(parsed)

    def _convert(self, values: list[Any]) -> list[Any]:
        convert = _CONVERTERS[self._tag]
        plain: list[Any] = []
        invalid: list[int] = []
        for index, value in enumerate(values):
            try:
                plain.append(convert(value, 0))
            except (_NotPlainJsonError, LookupError, TypeError, AttributeError):
                # The converter takes values apart, so the exact rules start from the text again.
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
        plain.append(orjson.Fragment(plain_json_text(value)) if fits_plain_json(value) else _MISFIT)

    @staticmethod
    def _or_invalid(plain: list[Any], invalid: list[int]) -> list[Any]:
        if invalid:
            raise InvalidPayloadsError(invalid)
        return plain

    def values(self) -> dict[int, Any]:
        """Row → parsed payload."""
        return {row: orjson.loads(raw) for row, raw in zip(self._rows, self._raws, strict=True)}

    def array(self) -> tuple[pa.Array, Sequence[int]]:
        """The payloads as compact plain JSON text, and the rows that plain JSON cannot hold."""
        texts: list[bytes | None] = []
        if self._plain:
            # All texts are written at once, with line feeds between them, which JSON text never holds.
            parts = [_LINE_FEED] * (2 * len(self._plain) - 1)
            parts[::2] = self._plain
            texts = [*orjson.dumps(parts)[1:-1].split(b",\n,")]
        cells: list[bytes | None] = [None] * self._size
        misfits = []
        for row, plain, text in zip(self._rows, self._plain, texts, strict=True):
            if plain is _MISFIT:
                misfits.append(row)
            else:
                cells[row] = text
        return pa.array(cells, pa.string()), misfits


def count_members(text: bytes) -> int:
    """Members of all objects in compact JSON: quotes before a colon, less those that are part of a string."""
    members = text.count(b'":')
    return members - text.count(b'\\":') if b"\\" in text else members


_BLANKS_BEFORE_A_COLON = tuple(re.compile(each).search for each in (rb" :(?<=[\" \t\r] :)", rb"\t:", rb"\r:"))
_find_uncounted_name = re.compile(rb'(?<!\\)"[ \t\r]+:').search


def lines_with_uncounted_names(text: bytes) -> list[int]:
    """Return the indexes of lines that hold a name that :func:`count_members` misses, because of the blanks before its colon.

    DynamoDB writes none. One of them would make up for a name that occurs twice, so that the count finds neither.

    :param text: lines with line feeds between them.
    """
    # The exact search takes twenty times as long: every quote makes it stop.
    if not any(find(text) for find in _BLANKS_BEFORE_A_COLON):
        return []
    return [index for index, line in enumerate(text.split(b"\n")) if _find_uncounted_name(line)]


def parse_together(raws: Sequence[bytes]) -> list[Any] | None:
    """Parse many JSON texts at once, or ``None`` where one is not compact or names a member twice."""
    joined = b"[" + b",".join(raws) + b"]"
    try:
        values: list[Any] = orjson.loads(joined)
        # A name that occurs twice is lost by the parser; the text then comes out shorter.
        return values if orjson.dumps(values) == joined else None
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None


_LINE_FEED = orjson.Fragment(b"\n")
_MISFIT = orjson.Fragment(b"null")


class _NotPlainJsonError(Exception):
    """A set or binary, or something that the exact rules must look at."""


def _convert_list(payload: list[dict[str, Any]], depth: int) -> list[Any]:
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
        else:
            plain.append(_CONVERTERS[tag](inner, depth))
    return plain


def _convert_map(payload: dict[str, Any], depth: int) -> dict[str, Any]:
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
        else:
            payload[name] = _CONVERTERS[tag](inner, depth)
    return payload


def _convert_number(payload: str, _: int) -> orjson.Fragment:
    if _matches_plain_number(payload) is None:
        raise _NotPlainJsonError
    return orjson.Fragment(payload)


def _convert_boolean(payload: Any, _: int) -> Any:
    if type(payload) is not bool:
        raise _NotPlainJsonError
    return payload


def _convert_null(payload: Any, _: int) -> None:
    if payload is not True:
        raise _NotPlainJsonError


_CONVERTERS: dict[str, Callable[[Any, int], Any]] = {
    "N": _convert_number,
    "BOOL": _convert_boolean,
    "NULL": _convert_null,
    "L": _convert_list,
    "M": _convert_map,
}
