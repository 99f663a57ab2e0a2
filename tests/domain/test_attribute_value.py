"""The rules of one attribute value: numbers, equality, plain JSON, validity."""

from __future__ import annotations

import json
from decimal import Context, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddb_export.domain.attribute_value import (
    AttributeValueError,
    fits_plain_json,
    items_equal,
    parse_number,
    plain_json_text,
    validate_item,
    validate_value,
    value_from_plain_json,
    values_equal,
)
from tests.conversion.dynamodb_strategies import nested, numbers, values


@pytest.mark.scenario("F20")
@pytest.mark.parametrize(
    ("text", "integer_digits", "fraction_digits", "plain"),
    [
        ("0", 0, 0, "0"),
        ("-0.00", 0, 0, "0"),
        ("42", 2, 0, "42"),
        ("-007.50", 1, 1, "-7.5"),
        ("+5", 1, 0, "5"),
        (".5", 0, 1, "0.5"),
        ("5.", 1, 0, "5"),
        ("1.5e3", 4, 0, "1500"),
        ("1.2345E2", 3, 2, "123.45"),
        ("1E-130", 0, 130, "0." + "0" * 129 + "1"),
        ("1E+125", 126, 0, "1" + "0" * 125),
        ("9" * 38, 38, 0, "9" * 38),
        ("0." + "0" * 5 + "12", 0, 7, "0.0000012"),
        ("100000000000000000000", 21, 0, "1" + "0" * 20),
    ],
)
def test_numbers_are_measured(text: str, integer_digits: int, fraction_digits: int, plain: str) -> None:
    shape = parse_number(text)
    assert (shape.integer_digits, shape.fraction_digits, shape.plain) == (integer_digits, fraction_digits, plain)


@given(numbers())
def test_the_plain_text_is_the_number_and_canonical(text: str) -> None:
    shape = parse_number(text)
    assert Decimal(shape.plain) == Decimal(text)
    assert parse_number(shape.plain) == shape
    scientific = format(Decimal(text, Context(prec=400)), "E")
    assert parse_number(scientific) == shape
    whole, _, fraction = shape.plain.lstrip("-").partition(".")
    assert len(fraction) == shape.fraction_digits
    assert len(whole.lstrip("0")) == shape.integer_digits


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "abc", "1 ", "1_000", "NaN", "Infinity", "0x1", "1e", "--1", "1.2.3", ".", "٣", "1\n"),
        *("1E126", "1E-131", "9" * 39, "1" + "0" * 126, "1E9999999", "1e999999"),
    ],
)
def test_what_is_no_dynamodb_number_is_refused(text: str) -> None:
    with pytest.raises(AttributeValueError):
        parse_number(text)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "text",
        {},
        {"S": "a", "N": "1"},
        {"X": "a"},
        {"S": 1},
        {"S": None},
        {"S": "\ud800"},
        {"N": 1},
        {"N": "one"},
        {"B": "not base64"},
        {"B": "aGVsbG8"},
        {"B": "aGVs bG8="},
        {"B": "é"},
        {"BOOL": "true"},
        {"BOOL": 1},
        {"NULL": False},
        {"SS": []},
        {"SS": "a"},
        {"SS": [1]},
        {"NS": ["one"]},
        {"BS": ["?"]},
        {"L": {}},
        {"L": ["a"]},
        {"M": []},
        {"M": {"a": "b"}},
        {"M": {"\ud800": {"S": "a"}}},
        nested(65, {"S": "too deep"}),
    ],
)
def test_invalid_values_are_refused(value: Any) -> None:
    with pytest.raises(AttributeValueError):
        validate_value(value)
    with pytest.raises(AttributeValueError):
        validate_value({"M": {"inner": value}})
    with pytest.raises(AttributeValueError, match="attribute 'x'"):
        validate_item({"x": value})


@given(values)
def test_valid_values_are_accepted(value: dict[str, Any]) -> None:
    validate_value(value)
    assert values_equal(value, json.loads(json.dumps(value)))


@pytest.mark.parametrize(
    ("first", "second", "equal"),
    [
        ({"N": "1.0"}, {"N": "1E0"}, True),
        ({"N": "1"}, {"S": "1"}, False),
        ({"SS": ["a", "b"]}, {"SS": ["b", "a"]}, True),
        ({"NS": ["1", "2.0"]}, {"NS": ["2", "1"]}, True),
        ({"BS": ["YQ==", "Yg=="]}, {"BS": ["Yg==", "YQ=="]}, True),
        ({"L": [{"N": "1"}, {"N": "2"}]}, {"L": [{"N": "2"}, {"N": "1"}]}, False),
        ({"L": [{"NS": ["1", "2"]}]}, {"L": [{"NS": ["2", "1"]}]}, True),
        ({"M": {"a": {"N": "1"}, "b": {"S": ""}}}, {"M": {"b": {"S": ""}, "a": {"N": "1.0"}}}, True),
        ({"M": {"a": {"NULL": True}}}, {"M": {}}, False),
        ({"BOOL": True}, {"N": "1"}, False),
    ],
)
def test_equality_is_by_value(first: dict[str, Any], second: dict[str, Any], equal: bool) -> None:
    assert values_equal(first, second) is equal
    assert items_equal({"x": first}, {"x": second}) is equal
    assert not items_equal({"x": first}, {"y": first})


@given(values)
def test_plain_json_keeps_the_value_or_refuses(value: dict[str, Any]) -> None:
    if not fits_plain_json(value):
        with pytest.raises(AttributeValueError):
            plain_json_text(value)
        return
    assert values_equal(value_from_plain_json(plain_json_text(value)), value)


def test_plain_json_is_compact_exact_and_readable() -> None:
    value = {"M": {"ü": {"L": [{"N": "1E+125"}, {"N": "007"}, {"NULL": True}]}, "S": {"S": '"\u2028\n'}}}
    assert plain_json_text(value) == '{"ü":[1E+125,7,null],"S":"\\"\u2028\\n"}'


@given(st.text())
def test_any_text_is_measured_or_refused(text: str) -> None:
    try:
        shape = parse_number(text)
    except AttributeValueError:
        return
    assert Decimal(text) == Decimal(shape.plain)
