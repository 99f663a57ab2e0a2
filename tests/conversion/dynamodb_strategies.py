"""Hypothesis strategies for all that a DynamoDB item can hold."""

from __future__ import annotations

import base64
from typing import Any

from hypothesis import strategies as st

NAMES = [
    *("S", "N", "B", "BOOL", "NULL", "SS", "NS", "BS", "L", "M", "Item", "Keys", "NewImage"),
    *("id", "Id", "ID", "id_2", "a.b", "a-b", "a b", "ä", "İ", "名前", "😀", "select", "order"),
    *("_op", "_overflow", "_table_id", "_old_image", "dt", "export_time", "_ttl_expired", "ttl", "null"),
    *('q"uote', "back\\slash", "new\nline", "\x00", "$", "1", "__", "true"),
]

names = st.one_of(st.sampled_from(NAMES), st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6))
texts = st.one_of(
    st.sampled_from(["", "null", "2024-01-01", "12:00", '{"S":"x"}', "\u2028", "\\u00e9", "\x7f", "1.5", "😀é"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
)
binaries = st.binary(max_size=8).map(lambda value: base64.b64encode(value).decode())


@st.composite
def numbers(draw: st.DrawFn) -> str:
    """Any DynamoDB number in any notation that an export might use."""
    digits = draw(
        st.one_of(
            st.integers(0, 10**18).map(str),
            st.integers(0, 10**38 - 1).map(str),
            st.sampled_from(["0", "1", "9" * 38, "9223372036854775807", "9223372036854775808", "10"]),
        )
    )
    sign = draw(st.sampled_from(["", "-"]))
    style = draw(st.sampled_from(["integer", "fraction", "exponent", "zeros"]))
    if style == "integer":
        return sign + digits
    if style == "zeros":
        return f"{sign}0{digits}.{'0' * draw(st.integers(1, 3))}"
    if style == "fraction":
        point = draw(st.integers(0, len(digits)))
        return f"{sign}{digits[:point] or '0'}.{digits[point:] or '0'}"
    lowest = -130 - (len(digits) - 1)
    exponent = draw(st.integers(max(lowest, -130), 125 - (len(digits) - 1)))
    mark = draw(st.sampled_from(["E", "e", "E+"])) if exponent >= 0 else "E"
    return f"{sign}{digits}{mark}{exponent}"


scalars: st.SearchStrategy[dict[str, Any]] = st.one_of(
    texts.map(lambda value: {"S": value}),
    numbers().map(lambda value: {"N": value}),
    binaries.map(lambda value: {"B": value}),
    st.booleans().map(lambda value: {"BOOL": value}),
    st.just({"NULL": True}),
)
sets: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.lists(texts, min_size=1, max_size=4, unique=True).map(lambda value: {"SS": value}),
    st.lists(numbers(), min_size=1, max_size=4).map(lambda value: {"NS": value}),
    st.lists(binaries, min_size=1, max_size=4, unique=True).map(lambda value: {"BS": value}),
)
values: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.one_of(scalars, sets),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda value: {"L": value}),
        st.dictionaries(names, inner, max_size=4).map(lambda value: {"M": value}),
    ),
    max_leaves=8,
)
items: st.SearchStrategy[dict[str, Any]] = st.dictionaries(names, values, max_size=6)
keys: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    names,
    st.one_of(texts.map(lambda value: {"S": value}), numbers().map(lambda value: {"N": value})),
    min_size=1,
    max_size=2,
)


@st.composite
def changes(draw: st.DrawFn) -> dict[str, Any]:
    """A record of an incremental export."""
    stamp = str(draw(st.integers(0, 2 * 10**15)))
    record: dict[str, Any] = {
        "Metadata": {"WriteTimestampMicros": draw(st.sampled_from([stamp, {"N": stamp}]))},
        "Keys": draw(keys),
    }
    if draw(st.booleans()):
        record["OldImage"] = draw(items)
    if draw(st.booleans()):
        record["NewImage"] = draw(items)
    return record


def nested(levels: int, value: dict[str, Any]) -> dict[str, Any]:
    """A value inside that many lists and maps, by turns."""
    for level in range(levels):
        value = {"L": [value]} if level % 2 else {"M": {"inner": value}}
    return value
