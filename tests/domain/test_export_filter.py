"""A filter: what of it can be refused without AWS, and when two of them are the same."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddb_export.domain.export import ExportRequest, client_token
from ddb_export.domain.export_filter import ExportFilter, filter_of
from ddb_export.exceptions import ConfigurationError

OPEN: dict[str, Any] = {
    "expression": "#s = :open AND total >= :least",
    "names": {"#s": "status"},
    "values": {":open": {"S": "open"}, ":least": {"N": "0.10"}},
}
ARN = "arn:aws:dynamodb:us-east-1:111122223333:table/orders"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"expression": " ", "names": {}, "values": {}}, "filter: has no expression"),
        ({"expression": "a" * 4097, "names": {}, "values": {}}, "expression: has 4097 bytes"),
        ({"names": {}}, "names: lacks '#s', which an expression uses. Remedy: add it: names: {'#s': ATTRIBUTE}"),
        ({"values": {":open": {"S": "x"}}}, "values: lacks ':least'"),
        ({"names": {"#s": "status", "#t": "t"}}, "names: has '#t', which no expression uses"),
        ({"values": {**OPEN["values"], "none": {"S": "x"}}}, "values: has 'none', which is no placeholder"),
        ({"values": {**OPEN["values"], ":least": {"N": 0.1}}}, "of which the payload of N is not a string"),
        ({"values": {**OPEN["values"], ":least": "5"}}, "of which a value is not an object with a type tag"),
    ],
)
def test_what_dynamodb_could_not_take_is_refused(changes: dict[str, Any], message: str):
    with pytest.raises(ConfigurationError) as raised:
        ExportFilter.of(**{**OPEN, **changes})
    assert message in str(raised.value)


def test_filters_that_say_the_same_are_the_same():
    spelt = ExportFilter.of(
        "#s  = :open\n AND total >= :least ",
        names={"#s": "status"},
        values={":least": {"N": "1E-1"}, ":open": {"S": "open"}},
    )
    assert spelt == ExportFilter.of(**OPEN)
    assert spelt != ExportFilter.of(**{**OPEN, "values": {**OPEN["values"], ":open": {"S": "Open"}}})


def test_values_are_not_shown():
    shown = str(ExportFilter.of(**OPEN, projection="id, #s"))
    assert shown.startswith("FilterExpression status = :open AND total >= :least, ProjectionExpression id, status [")
    assert '"open"' not in shown


scalars = st.one_of(
    st.text().map(lambda text: {"S": text}),
    st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**30), max_value=10**30).map(
        lambda number: {"N": str(number)}
    ),
    st.booleans().map(lambda value: {"BOOL": value}),
    st.sampled_from([{"NULL": True}, {"B": "AAE="}, {"BS": ["AAE=", "/w=="]}, {"NS": ["1", "2.50"]}]),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda each: {"L": each}),
        st.dictionaries(st.text(), inner, max_size=3).map(lambda each: {"M": each}),
    ),
    max_leaves=5,
)


@given(value=values)
def test_a_filter_survives_the_ledger_and_the_api(value: dict[str, Any]):
    made = ExportFilter.of("a = :v", values={":v": value})
    assert filter_of(json.loads(json.dumps(made.to_json()))) == made
    assert ExportFilter.from_api(made.to_api()) == made


def test_the_token_of_a_request_without_a_filter_is_what_it_always_was():
    """An upgrade must find the exports of claims that were made before it."""
    request = ExportRequest(ARN, "bucket", "raw/a1", export_time=datetime(2026, 1, 1, tzinfo=UTC))
    assert client_token("id", request, 1) == "01a2a927bd8bc94e8dbfaa3f7f72c33740f856b381cd6c021ec9d033a07b4393"
