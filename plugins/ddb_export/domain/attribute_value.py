"""The rules of one DynamoDB attribute value as exports write it: tags, numbers, equality, plain JSON.

DynamoDB JSON wraps each value in an object with one member, the *tag*: ``{"N": "42"}``, ``{"SS": ["a"]}``
(AWS DynamoDB Developer Guide, "Data types" and "DynamoDB table export output format"). This module says which
tagged values are valid, when two are the same value, how wide a number is, and what a list or map looks like
as plain JSON. It uses the standard library only, and no number ever passes through a float.
"""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TYPE_TAGS = ("S", "N", "B", "BOOL", "SS", "NS", "BS", "L", "M")
"""The tags that can type a column, in the order that decides a tie between equally frequent types."""

NULL_TAG = "NULL"
"""The tag of an explicit null; it is a value, but no type."""

MAXIMUM_SIGNIFICANT_DIGITS = 38
MAXIMUM_MAGNITUDE = 125
MINIMUM_MAGNITUDE = -130
"""DynamoDB numbers: 38 significant digits, 1E-130 to 9.99…E+125 (Developer Guide, "Data types: Number")."""

MAXIMUM_NESTING = 64
"""Levels of lists and maps that are read. DynamoDB allows 32; twice that leaves room for how levels are counted."""

AttributeValue = Mapping[str, Any]
"""One tagged value, such as ``{"S": "text"}``."""

Item = Mapping[str, AttributeValue]
"""Attribute name → tagged value."""


class AttributeValueError(ValueError):
    """A tagged value is none that DynamoDB can hold. The text says why and never repeats the value itself."""


@dataclass(frozen=True, slots=True)
class NumberShape:
    """How much room a DynamoDB number needs, and its canonical text.

    :ivar integer_digits: digits before the decimal point without leading zeros; 0 for ``0`` and ``0.5``.
    :ivar fraction_digits: digits after the decimal point without trailing zeros.
    :ivar plain: the exact value without exponent, leading ``+``, or superfluous zeros. Equal numbers have
        equal text.
    """

    integer_digits: int
    fraction_digits: int
    plain: str


_NUMBER = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]{1,6}))?")
_PLAIN_INTEGER = re.compile(r"-?[1-9][0-9]{0,17}")
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_ZERO = NumberShape(0, 0, "0")


def parse_number(text: str) -> NumberShape:
    """Measure a DynamoDB number and expand its exponent, exactly.

    Whether exports print exponents is not documented, so they are accepted; so are superfluous zeros.

    :param text: the payload of ``N``, or one element of ``NS``.
    :raises AttributeValueError: if it is no number, or one outside DynamoDB's precision or range.
    """
    if _PLAIN_INTEGER.fullmatch(text):
        return NumberShape(len(text) - (text[0] == "-"), 0, text)
    match = _NUMBER.fullmatch(text)
    if match is None or not (match[2] or match[3]):
        raise AttributeValueError("the text of a number is not numeric")
    fraction = match[3] or ""
    leading = (match[2] + fraction).lstrip("0")
    if not leading:
        return _ZERO
    digits = leading.rstrip("0")
    exponent = int(match[4] or 0) - len(fraction) + len(leading) - len(digits)
    if len(digits) > MAXIMUM_SIGNIFICANT_DIGITS:
        raise AttributeValueError(f"a number has more than {MAXIMUM_SIGNIFICANT_DIGITS} significant digits")
    point = len(digits) + exponent
    if not MINIMUM_MAGNITUDE <= point - 1 <= MAXIMUM_MAGNITUDE:
        raise AttributeValueError("a number is outside DynamoDB's range of 1E-130 to 9.99E+125")
    sign = "-" if match[1] == "-" else ""
    return NumberShape(max(0, point), max(0, -exponent), sign + _place_point(digits, point))


def _place_point(digits: str, point: int) -> str:
    if point <= 0:
        return f"0.{'0' * -point}{digits}"
    if point >= len(digits):
        return digits + "0" * (point - len(digits))
    return f"{digits[:point]}.{digits[point:]}"


def decode_binary(text: str) -> bytes:
    """The bytes of a ``B`` payload (base64 text in exports).

    :raises AttributeValueError: if the text is not strict base64.
    """
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        raise AttributeValueError("the text of a binary is not base64") from None


def encode_binary(value: bytes) -> str:
    """The base64 text that exports write for bytes."""
    return binascii.b2a_base64(value, newline=False).decode("ascii")


def tag_of(value: Any) -> str:
    """The tag of a tagged value.

    :raises AttributeValueError: if it is no object with exactly one known tag. The payload is not looked at.
    """
    if not isinstance(value, dict):
        raise AttributeValueError("a value is not an object with a type tag")
    if len(value) != 1:
        raise AttributeValueError("a value does not have exactly one type tag")
    tag = next(iter(value))
    if tag not in _KNOWN_TAGS:
        raise AttributeValueError("a value has an unknown type tag")
    return str(tag)


def validate_value(value: Any, *, depth: int = 0) -> None:
    """Check that a value is one that DynamoDB can hold: tag, payload, and all that is nested in it.

    :param depth: how many lists and maps are around it.
    :raises AttributeValueError: if it is not.
    """
    tag = tag_of(value)
    payload = value[tag]
    if check := _SCALARS.get(tag):
        check(payload)
    elif tag == "L":
        _validate_list(payload, depth)
    elif tag == "M":
        _validate_map(payload, depth)
    else:
        _validate_set(payload, tag[0])


def validate_item(item: Any) -> None:
    """Check all attributes of an item; the error names the attribute.

    :raises AttributeValueError: if the item is no object of valid tagged values.
    """
    if not isinstance(item, dict):
        raise AttributeValueError("an item is not an object")
    for name, value in item.items():
        try:
            _validate_name(name)
            validate_value(value)
        except AttributeValueError as error:
            raise AttributeValueError(f"attribute {name!a}: {error}") from None


def _validate_name(name: str) -> None:
    if not name.isascii():
        _validate_string(name)


def _validate_string(payload: Any) -> None:
    if not isinstance(payload, str):
        raise AttributeValueError("the payload of S is not a string")
    if payload.isascii():
        return
    try:
        payload.encode("utf-8")
    except UnicodeEncodeError:
        raise AttributeValueError("a string is not valid Unicode (a lone surrogate)") from None


def _validate_number(payload: Any) -> None:
    if not isinstance(payload, str):
        raise AttributeValueError("the payload of N is not a string")
    parse_number(payload)


def _validate_binary(payload: Any) -> None:
    if not isinstance(payload, str):
        raise AttributeValueError("the payload of B is not a string")
    decode_binary(payload)


def _validate_boolean(payload: Any) -> None:
    if not isinstance(payload, bool):
        raise AttributeValueError("the payload of BOOL is not true or false")


def _validate_null(payload: Any) -> None:
    if payload is not True:
        raise AttributeValueError("the payload of NULL is not true")


def _validate_set(payload: Any, element_tag: str) -> None:
    if not isinstance(payload, list) or not payload:
        raise AttributeValueError(f"the payload of {element_tag}S is not an array with at least one element")
    for element in payload:
        _SCALARS[element_tag](element)


def _validate_list(payload: Any, depth: int) -> None:
    if not isinstance(payload, list):
        raise AttributeValueError("the payload of L is not an array")
    _validate_depth(depth)
    for element in payload:
        validate_value(element, depth=depth + 1)


def _validate_map(payload: Any, depth: int) -> None:
    if not isinstance(payload, dict):
        raise AttributeValueError("the payload of M is not an object")
    _validate_depth(depth)
    for name, element in payload.items():
        _validate_name(name)
        validate_value(element, depth=depth + 1)


def _validate_depth(depth: int) -> None:
    if depth >= MAXIMUM_NESTING:
        raise AttributeValueError(f"lists and maps are nested deeper than {MAXIMUM_NESTING} levels")


_SCALARS = {
    "S": _validate_string,
    "N": _validate_number,
    "B": _validate_binary,
    "BOOL": _validate_boolean,
    NULL_TAG: _validate_null,
}
_KNOWN_TAGS = frozenset({*TYPE_TAGS, NULL_TAG})


def values_equal(first: AttributeValue, second: AttributeValue) -> bool:
    """Whether two valid tagged values are the same value to DynamoDB.

    Numbers are compared by value (``1.0`` is ``1E0``), sets without order, binaries by their bytes, maps
    without order of their names; lists keep their order.
    """
    return _comparable(first) == _comparable(second)


def items_equal(first: Item, second: Item) -> bool:
    """Whether two items have the same attributes with the same values (:func:`values_equal`)."""
    return first.keys() == second.keys() and all(values_equal(first[name], second[name]) for name in first)


def _comparable(value: AttributeValue) -> tuple[str, Any]:
    ((tag, payload),) = value.items()
    if tag == "L":
        return tag, [_comparable(element) for element in payload]
    if tag == "M":
        return tag, {name: _comparable(element) for name, element in payload.items()}
    if tag in ("SS", "NS", "BS"):
        return tag, frozenset(_comparable_scalar(tag[0], element) for element in payload)
    return tag, _comparable_scalar(tag, payload)


def _comparable_scalar(tag: str, payload: Any) -> Any:
    if tag == "N":
        return parse_number(payload).plain
    if tag == "B":
        return decode_binary(payload)
    return payload


def canonical_text(value: AttributeValue) -> str:
    r"""A tagged value as JSON text that is the same for equal values (:func:`values_equal`): what keyed hashes are made of.

    Numbers without exponent or superfluous zeros, sets sorted by code points, base64 as exports write it, names of maps in order,
    no blanks, nothing ``\u``-escaped that need not be: ``{"S":"a"}``, ``{"N":"1.5"}``, ``{"M":{"a":{"N":"1"},"b":{"S":""}}}``.
    """
    return json_text(_canonical(value))


def _canonical(value: AttributeValue) -> dict[str, Any]:
    ((tag, payload),) = value.items()
    if tag == "L":
        return {tag: [_canonical(element) for element in payload]}
    if tag == "M":
        return {tag: {name: _canonical(payload[name]) for name in sorted(payload)}}
    if tag in ("SS", "NS", "BS"):
        return {tag: sorted({_canonical_scalar(tag[0], element) for element in payload})}
    return {tag: _canonical_scalar(tag, payload)}


def _canonical_scalar(tag: str, payload: Any) -> Any:
    if tag == "B":
        return encode_binary(decode_binary(payload))
    return parse_number(payload).plain if tag == "N" else payload


def json_text(value: Any) -> str:
    r"""Compact JSON text of parsed JSON: no blanks, nothing ``\u``-escaped that need not be, order kept."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def fits_plain_json(value: AttributeValue) -> bool:
    """Whether plain JSON can hold a value so that the tagged value follows from it: no set or binary in it."""
    ((tag, payload),) = value.items()
    if tag == "L":
        return all(fits_plain_json(element) for element in payload)
    if tag == "M":
        return all(fits_plain_json(element) for element in payload.values())
    return tag in ("S", "N", "BOOL", "NULL")


def plain_json_text(value: AttributeValue) -> str:
    """A value as compact plain JSON text; numbers appear digit by digit as written in the export.

    A number text that is no JSON number (``007``, ``+5``) appears in its canonical form.

    :raises AttributeValueError: if the value holds what plain JSON cannot (:func:`fits_plain_json`).
    """
    ((tag, payload),) = value.items()
    if tag == "L":
        return f"[{','.join([plain_json_text(element) for element in payload])}]"
    if tag == "M":
        members = [f"{json_text(name)}:{plain_json_text(element)}" for name, element in payload.items()]
        return f"{{{','.join(members)}}}"
    if tag == "N":
        return str(payload) if _JSON_NUMBER.fullmatch(payload) else parse_number(payload).plain
    if tag in ("S", "BOOL", NULL_TAG):
        return json_text(None if tag == NULL_TAG else payload)
    raise AttributeValueError(f"plain JSON cannot hold {tag}")


class _NumberText(str):
    """The digits of a JSON number, told apart from a JSON string."""

    __slots__ = ()


def value_from_plain_json(text: str) -> dict[str, Any]:
    """The tagged value of a text that :func:`plain_json_text` wrote: its exact inverse."""
    return _tagged(json.loads(text, parse_int=_NumberText, parse_float=_NumberText))


def _tagged(value: Any) -> dict[str, Any]:
    if value is None:
        return {NULL_TAG: True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, _NumberText):
        return {"N": str(value)}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, list):
        return {"L": [_tagged(element) for element in value]}
    return {"M": {name: _tagged(element) for name, element in value.items()}}
