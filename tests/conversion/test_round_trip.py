"""Every item comes back from real Parquet files exactly: to_item(to_row(item)) == item."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ddb_export.conversion.inverse import read_items, read_rows, to_old_image
from ddb_export.domain.attribute_value import items_equal
from ddb_export.domain.schema import SchemaDocument
from tests.conversion.data_files import convert, item_lines, lines_of
from tests.conversion.dynamodb_strategies import changes, items, nested, values

RELAXED = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=60)


def round_trip(written: list[dict[str, Any]], **options: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        destination = Path(folder, "part.parquet")
        converted = convert(item_lines(written), destination, **options)
        assert converted.quarantined == 0
        read = list(read_items(destination))
    assert len(read) == len(written)
    for before, after in zip(written, read, strict=True):
        assert items_equal(before, after), (before, after)


@pytest.mark.scenario("F20")
@pytest.mark.scenario("F21")
@pytest.mark.scenario("F22")
@pytest.mark.scenario("F23")
@RELAXED
@given(st.lists(items, max_size=6))
def test_items_survive(written: list[dict[str, Any]]) -> None:
    round_trip(written)


@RELAXED
@given(st.lists(values, min_size=1, max_size=8))
def test_one_attribute_of_many_types_survives(written: list[dict[str, Any]]) -> None:
    round_trip([{"x": value} for value in written])


@RELAXED
@given(st.lists(items, max_size=4), st.lists(items, max_size=4))
def test_items_survive_a_schema_that_was_made_for_others(
    others: list[dict[str, Any]], written: list[dict[str, Any]]
) -> None:
    from ddb_export.conversion.statistics_collector import StatisticsCollector

    collector = StatisticsCollector()
    for item in others:
        collector.add(item)
    round_trip(written, schema=SchemaDocument().extend(collector.statistics(), column_limit=5))


@RELAXED
@given(st.lists(changes(), max_size=6), st.sampled_from(["NEW_IMAGE", "NEW_AND_OLD_IMAGES", None]))
def test_changes_survive(records: list[dict[str, Any]], view: str | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        destination = Path(folder, "part.parquet")
        converted = convert(lines_of(records), destination, export_type="INCREMENTAL_EXPORT", view=view)
        assert converted.quarantined == 0
        rows = list(read_rows(destination))
    assert len(rows) == len(records)
    for record, (contract, item) in zip(records, rows, strict=True):
        assert items_equal(item, record.get("NewImage", record["Keys"]))
        old_image = to_old_image(contract)
        assert (old_image is None) == ("OldImage" not in record)
        if old_image is not None:
            assert old_image == record["OldImage"]
        assert (contract["_op"] == "REMOVE") == ("NewImage" not in record)


@pytest.mark.scenario("F20")
@pytest.mark.parametrize(
    "numbers",
    [
        ["12345678901234567890123456789012345678", "1.0000000001"],
        ["1E+125", "1E-130", "-9.9999999999999999999999999999999999999E+125"],
        ["9007199254740993", "0.1", "-0", "0.0"],
        ["0.00000000000000000000000000000000000001", "0.5"],
        ["99999999999999999999999999999999999999", "-99999999999999999999999999999999999999"],
        ["999999999999999999", "1000000000000000000", "9223372036854775807", "9223372036854775808"],
        ["1.5E3", "1500", "15E2"],
    ],
)
def test_numbers_survive_by_value(numbers: list[str]) -> None:
    round_trip([{"n": {"N": number}} for number in numbers])
    round_trip([{"n": {"NS": numbers}}])
    round_trip([{"n": {"L": [{"N": number} for number in numbers]}}])
    narrow = SchemaDocument.from_json(
        {"version": 1, "columns": [{"name": "n", "attribute": "n", "dynamodb_type": "N", "arrow_type": "int64"}]}
    )
    round_trip([{"n": {"N": number}} for number in numbers], schema=narrow)


@pytest.mark.scenario("F21")
def test_emptiness_and_depth_survive() -> None:
    round_trip(
        [
            {},
            {"x": {"S": ""}},
            {"x": {"B": ""}, "y": {"L": []}, "z": {"M": {}}},
            {"x": {"NULL": True}},
            {"x": {"M": {"M": {"S": "not a tag"}, "S": {"NULL": True}, "": {"S": ""}}}},
            {"deep": nested(32, {"S": "end"})},
            {"deep": nested(32, {"B": "AA=="})},
            {"deep": nested(32, {"SS": ["a"]})},
        ]
    )


@pytest.mark.scenario("F19")
def test_more_attributes_than_columns_survive() -> None:
    wide = {f"attribute {number}": {"N": str(number)} for number in range(1500)}
    round_trip([wide, {"attribute 3": {"S": "other"}}])


def test_items_of_400_kb_survive() -> None:
    round_trip([{"id": {"N": str(number)}, "payload": {"S": "x" * 400_000}} for number in range(30)])
