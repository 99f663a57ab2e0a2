"""Names and types of columns, and the statistics that decide them."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddb_export.domain.attribute_value import TYPE_TAGS
from ddb_export.domain.contract import ColumnRule, Contract
from ddb_export.domain.schema import (
    RESERVED_NAMES,
    AttributeStatistics,
    Column,
    ExportStatistics,
    NumberWidth,
    SchemaDocument,
    glue_columns,
)
from tests.conversion.dynamodb_strategies import names

widths = st.builds(NumberWidth, st.integers(0, 126), st.integers(0, 168))
attribute_statistics = st.builds(
    AttributeStatistics,
    st.dictionaries(st.sampled_from([*TYPE_TAGS, "NULL"]), st.integers(1, 5), max_size=4),
    widths,
    widths,
)
export_statistics = st.builds(
    ExportStatistics,
    st.integers(0, 99),
    st.integers(0, 99),
    st.dictionaries(names, attribute_statistics, max_size=8),
    st.frozensets(names, max_size=2),
)


def seen(**attributes: dict[str, int]) -> ExportStatistics:
    return ExportStatistics(9, 9, {name: AttributeStatistics(counts) for name, counts in attributes.items()})


@given(export_statistics, export_statistics, export_statistics)
def test_merging_is_a_commutative_monoid(
    first: ExportStatistics, second: ExportStatistics, third: ExportStatistics
) -> None:
    assert first.merge(second) == second.merge(first)
    assert first.merge(second).merge(third) == first.merge(second.merge(third))
    assert first.merge(ExportStatistics()) == first == ExportStatistics().merge(first)
    assert ExportStatistics.merge_all([third, first, second]) == first.merge(second).merge(third)


@given(export_statistics, export_statistics)
def test_a_schema_is_deterministic_and_never_changes_a_published_column(
    first: ExportStatistics, second: ExportStatistics
) -> None:
    document = SchemaDocument().extend(first)
    reordered = ExportStatistics(first.lines, first.rows, dict(reversed(list(first.attributes.items()))))
    assert SchemaDocument().extend(reordered) == document
    extended = document.extend(second)
    assert extended.columns[: len(document.columns)] == document.columns
    assert (extended.version > document.version) == (extended.columns != document.columns)
    assert (extended.fingerprint == document.fingerprint) == (extended.columns == document.columns)
    assert extended.extend(second) is extended
    column_names = [column.name for column in extended.columns]
    assert len(set(column_names)) == len(column_names)
    assert not RESERVED_NAMES & set(column_names)
    assert len({column.attribute for column in extended.columns}) == len(column_names)
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_") for name in column_names)


@given(export_statistics)
def test_everything_survives_json(statistics: ExportStatistics) -> None:
    document = SchemaDocument().extend(statistics)
    assert SchemaDocument.from_json(json.loads(json.dumps(document.to_json()))) == document
    again = ExportStatistics.from_json(json.loads(json.dumps(statistics.to_json())))
    assert SchemaDocument().extend(again) == document
    assert again.to_json() == statistics.to_json()


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"S": 2, "N": 3}, "N"),
        ({"M": 1, "L": 1}, "L"),
        ({"N": 1, "S": 1}, "S"),
        ({"BS": 1, "NULL": 9}, "BS"),
        ({"B": 1, "BOOL": 1}, "B"),
    ],
)
@pytest.mark.scenario("F23")
def test_the_majority_decides_the_type(counts: dict[str, int], expected: str) -> None:
    (column,) = SchemaDocument().extend(seen(x=counts)).columns
    assert column.dynamodb_type == expected


def test_null_alone_is_no_type() -> None:
    empty = SchemaDocument()
    assert empty.extend(seen(x={"NULL": 3})) is empty


@pytest.mark.scenario("F20")
@pytest.mark.parametrize(
    ("width", "arrow_type", "glue_type"),
    [
        (NumberWidth(18, 0), "int64", "bigint"),
        (NumberWidth(19, 0), "decimal128(38, 0)", "decimal(38,0)"),
        (NumberWidth(38, 0), "decimal128(38, 0)", "decimal(38,0)"),
        (NumberWidth(39, 0), "string", "string"),
        (NumberWidth(5, 2), "decimal128(38, 2)", "decimal(38,2)"),
        (NumberWidth(0, 38), "decimal128(38, 38)", "decimal(38,38)"),
        (NumberWidth(1, 38), "string", "string"),
        (NumberWidth(0, 130), "string", "string"),
    ],
)
def test_numbers_get_the_narrowest_exact_type(width: NumberWidth, arrow_type: str, glue_type: str) -> None:
    statistics = ExportStatistics(
        2,
        2,
        {"n": AttributeStatistics({"N": 1}, numbers=width), "s": AttributeStatistics({"NS": 1}, set_numbers=width)},
    )
    number, number_set = SchemaDocument().extend(statistics).columns
    assert (number.arrow_type, number.glue_type) == (arrow_type, glue_type)
    assert (number_set.arrow_type, number_set.glue_type) == (f"list<{arrow_type}>", f"array<{glue_type}>")


@pytest.mark.scenario("F22")
def test_names_are_lower_case_unique_and_never_reserved() -> None:
    attributes = ["id", "Id", "ID", "id_2", "_op", "dt", "a.b", "a b", "ä", "", "Straße"]
    document = SchemaDocument().extend(seen(**{name: {"S": 1} for name in attributes}))
    assert {column.attribute: column.name for column in document.columns} == {
        "": "_",
        "ID": "id",
        "Id": "id_2",
        "_op": "_op_2",
        "a b": "a_b",
        "a.b": "a_b_2",
        "dt": "dt_2",
        "id": "id_3",
        "id_2": "id_2_2",
        "Straße": "stra_e",
        "ä": "__2",
    }


def test_names_fit_glue() -> None:
    long_names = ["x" * 300, "X" * 300, "x" * 254 + "é"]
    document = SchemaDocument().extend(seen(**{name: {"S": 1} for name in long_names}))
    assert max(len(column.name) for column in document.columns) <= 255
    assert len({column.name for column in document.columns}) == 3


def test_later_attributes_are_named_around_the_published_ones() -> None:
    first = SchemaDocument().extend(seen(id={"S": 1}))
    second = first.extend(seen(ID={"S": 1}, id={"N": 5}))
    assert second.version == 2
    assert [(column.attribute, column.name, column.dynamodb_type) for column in second.columns] == [
        ("id", "id", "S"),
        ("ID", "id_2", "S"),
    ]


@pytest.mark.scenario("F19")
def test_the_limit_keeps_the_most_frequent_attributes() -> None:
    statistics = seen(rare={"S": 1}, often={"S": 9}, a={"S": 2}, b={"S": 2})
    document = SchemaDocument().extend(statistics, column_limit=2)
    assert [column.attribute for column in document.columns] == ["a", "often"]
    assert document.extend(statistics, column_limit=2) is document


@pytest.mark.scenario("F19")
def test_key_attributes_come_before_declared_and_frequent_ones() -> None:
    statistics = replace(seen(often={"S": 9}, ruled={"S": 1}, pk={"S": 1}, sk={"N": 1}), keys=frozenset({"pk", "sk"}))
    contract = Contract((ColumnRule("ruled", "string"),))
    for limit, expected in ((1, ["pk"]), (2, ["pk", "sk"]), (3, ["pk", "ruled", "sk"])):
        document = SchemaDocument().extend(statistics, column_limit=limit, contract=contract)
        assert [column.attribute for column in document.columns] == expected
    published = SchemaDocument().extend(seen(often={"S": 9}))
    assert published.extend(statistics, column_limit=3).columns[0] == published.columns[0]
    whole = replace(statistics, keys=frozenset())
    assert SchemaDocument().extend(statistics) == SchemaDocument().extend(whole), "within the limit keys change nothing"


def test_glue_columns_follow_the_file() -> None:
    document = SchemaDocument().extend(seen(id={"S": 1}))
    assert glue_columns(document, "FULL_EXPORT") == [("_table_id", "string"), ("_overflow", "string"), ("id", "string")]
    assert [name for name, _ in glue_columns(document, "INCREMENTAL_EXPORT")] == [
        *("_op", "_written_at", "_old_image", "_ttl_expired", "_table_id", "_overflow"),
        "id",
    ]


def test_unknown_types_are_refused() -> None:
    with pytest.raises(ValueError, match="no column type"):
        Column("x", "x", "S", "float")
    with pytest.raises(ValueError, match="no DynamoDB type"):
        Column("x", "x", "NULL", "string")


def test_order_of_attributes_does_not_matter() -> None:
    for order in permutations(["id", "Id", "ID"]):
        document = SchemaDocument().extend(seen(**{name: {"S": 1} for name in order}))
        assert [column.attribute for column in document.columns] == ["ID", "Id", "id"]
