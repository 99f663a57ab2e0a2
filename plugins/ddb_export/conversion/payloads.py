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

import pyarrow as pa
import pyarrow.compute as pc

from ddb_export.conversion.cells import EARLIEST_MICROS, LATEST_MICROS, TIMESTAMP, arrow_type
from ddb_export.domain.attribute_value import AttributeValueError, NumberShape, parse_number
from ddb_export.domain.statistics import NumberWidth

_PLAIN_CHARACTERS = b"0123456789-."
_SAFE_DIGITS = 38
_INT64_DIGITS = 18


class InvalidPayloadsError(ValueError):
    """Rows whose payload is none that DynamoDB can hold."""

    def __init__(self, rows: Sequence[int]) -> None:
        self.rows = rows
        super().__init__(f"{len(rows)} invalid payloads")


def text_size(texts: pa.Array) -> int:
    """Bytes of UTF-8 in an array of strings that was made of Python's."""
    content = texts.buffers()[2]
    return 0 if content is None else int(content.size)


class Numbers:
    """The payloads of ``N``, measured.

    :param known_scale: most digits after the point of numbers of this attribute that were measured before; None for none.
    :ivar width: the room that they need, together with those that were measured before.
    :ivar texts: the payloads as an Arrow array.
    """

    def __init__(self, payloads: Sequence[str | None], known_scale: int | None = None) -> None:
        self._payloads = payloads
        self._known_scale = known_scale
        self.texts = pa.array(payloads, pa.string())
        self._integers: pa.Array | None = None
        self._decimals: pa.Array | None = None
        self._shapes: list[NumberShape | None] | None = None
        self.width = self._measure_at_once() or self._measure_each()

    def _measure_at_once(self) -> NumberWidth | None:
        texts = self.texts
        joined = texts.buffers()[2]
        characters = b"" if joined is None else joined.to_pybytes()
        if characters.translate(None, _PLAIN_CHARACTERS):
            return None
        longest = pc.max(pc.binary_length(texts)).as_py() or 0
        try:
            if b"." not in characters and longest <= _INT64_DIGITS:
                return self._measure_integers()
            return self._measure_by_known_scale(longest) or self._measure_fractions(longest)
        except pa.ArrowInvalid:
            return None

    def _measure_integers(self) -> NumberWidth:
        self._integers = self.texts.cast(pa.int64())
        extremes = pc.min_max(self._integers).as_py()
        largest = max(abs(extremes["min"] or 0), abs(extremes["max"] or 0))
        return NumberWidth(len(str(largest)) if largest else 0, 0)

    def _measure_by_known_scale(self, longest: int) -> NumberWidth | None:
        """Measure by a cast that refuses what has more digits after the point: a tenth of the work of counting them."""
        if self._known_scale is None or longest + self._known_scale > _SAFE_DIGITS:
            return None
        try:
            return self._measure_decimals(self._known_scale)
        except pa.ArrowInvalid:
            return None

    def _measure_fractions(self, longest: int) -> NumberWidth | None:
        point = pc.find_substring(self.texts, ".")
        has_point = pc.greater_equal(point, 0)
        if pc.any(pc.and_(has_point, pc.ends_with(self.texts, "0"))).as_py():
            return None
        length = pc.binary_length(self.texts)
        fraction = pc.if_else(has_point, pc.subtract(pc.subtract(length, point), 1), 0)
        scale = pc.max(fraction).as_py() or 0
        whole = pc.max(pc.if_else(has_point, point, length)).as_py() or 0
        # Arrow casts wrongly where the digits and the scale do not fit together: never come near that.
        if whole + scale > _SAFE_DIGITS or longest > _SAFE_DIGITS:
            return None
        return self._measure_decimals(scale)

    def _measure_decimals(self, scale: int) -> NumberWidth:
        self._decimals = self.texts.cast(pa.decimal128(_SAFE_DIGITS, scale))
        extremes = pc.min_max(self._decimals).as_py()
        integer_digits = max(
            (parse_number(format(value, "f")).integer_digits for value in extremes.values() if value is not None),
            default=0,
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
            return self.texts, ()
        kind = arrow_type(type_text)
        if type_text == "int64":
            if self._integers is not None:
                return self._integers, ()
        elif (
            self._shapes is None
            and self.width.fraction_digits <= kind.scale
            and self.width.integer_digits + kind.scale <= kind.precision
        ):
            is_made = self._decimals is not None and self._decimals.type == kind
            return self._decimals if is_made else self.texts.cast(kind), ()
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
