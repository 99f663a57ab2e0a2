"""Reasons of overflow: derived from counts, statistics and columns."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ddb_export.domain.evidence import PublishedEntry
from ddb_export.domain.overflow import MOST_NAMED, OTHERS, overflow_lines, overflow_reasons, overflow_words
from ddb_export.domain.schema import Column, SchemaDocument
from ddb_export.domain.statistics import AttributeStatistics, ExportStatistics

SCHEMA = SchemaDocument(
    1,
    (
        Column("n", "n", "N", "int64"),
        Column("ns", "ns", "NS", "list<decimal128(38, 2)>"),
        Column("m", "m", "M", "string"),
        Column("s", "s", "S", "string"),
    ),
)


def seen(**counts: dict[str, int]) -> ExportStatistics:
    return ExportStatistics(9, 9, {name: AttributeStatistics(each) for name, each in counts.items()})


def entry(export: str, overflowed: Any) -> PublishedEntry:
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    return PublishedEntry("changes", export, "g", "s3://", "p", "d.t", 1, 1, 0, 1, 1, "f", moment, overflowed)


def test_each_reason():
    statistics = seen(n={"N": 5, "S": 2, "NULL": 3}, ns={"NS": 4}, m={"M": 3, "L": 1}, s={"S": 1, "N": 2}, x={"S": 1})
    counted = {"n": 3, "ns": 1, "m": 2, "s": 2, "x": 1, "nothing": 0}
    assert overflow_reasons(counted, statistics, SCHEMA) == {
        "n": {"other_type": 2, "too_wide": 1},
        "m": {"other_type": 1, "nested": 1},
        "s": {"other_type": 2},
        "ns": {"too_wide": 1},
        "x": {"no_column": 1},
    }


def test_reasons_add_up_without_statistics():
    assert overflow_reasons({"n": 3}, None, SCHEMA) == {"n": {"too_wide": 3}}


def test_most_frequent_attributes_are_named_and_the_others_summed_up():
    counted = {f"a{number:04d}": number for number in range(1, MOST_NAMED + 11)}
    reasons = overflow_reasons(counted, None, SCHEMA)
    assert len(reasons) == MOST_NAMED + 1
    assert reasons[OTHERS] == {"no_column": sum(range(1, 11))}


def test_lines_sum_up_exports_and_name_the_column():
    entries = [entry("b-a1", {"n": {"too_wide": 2}, "x": {"no_column": 1}}), entry("a-a1", {"n": {"other_type": 4}})]
    first, second = overflow_lines([*entries, entry("c-a1", None)], SCHEMA)
    assert (first.attribute, first.rows, first.exports) == ("n", 6, ("a-a1", "b-a1"))
    assert first.to_json()["type"] == "bigint"
    assert (second.attribute, second.column) == ("x", None)
    assert overflow_words(entries[0].overflowed or {}) == ["n: 2 too wide", "x: 1 without a column"]


def test_entries_of_before_overflow_was_counted_are_read():
    old = {name: value for name, value in entry("a-a1", None).to_json().items() if name != "overflowed"}
    assert PublishedEntry.from_json(old) == entry("a-a1", None)
    new = entry("a-a1", {"n": {"too_wide": 2}})
    assert PublishedEntry.from_json(new.to_json()) == new
