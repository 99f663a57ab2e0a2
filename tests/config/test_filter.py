"""The filter block: what it takes, and the one line that says where and why not."""

from __future__ import annotations

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from ddb_export.cli import main
from ddb_export.config.json_schema import export_json_schema
from ddb_export.config.loader import load_tables
from ddb_export.config.problems import InvalidFileError
from ddb_export.domain.export_filter import ExportFilter

TABLE = """table: Orders
bucket: my-lake
prefix: dynamodb
database: lake
schedule: '@daily'
start_date: 2026-01-31
filter:
"""
FULL = (
    TABLE
    + """  expression: >-
    #state = :open
    AND amount >= :least
  projection: 'id, #state, amount'
  names: {'#state': state}
  values:
    ':open': {S: open}
    ':least': {N: '12345678901234567890.10'}
"""
)


def test_a_full_filter(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "orders.yaml").write_text(FULL)
    (table,) = load_tables(tmp_path)
    assert table.export_filter == ExportFilter.of(
        "#state = :open AND amount >= :least",
        "id, #state, amount",
        names={"#state": "state"},
        values={":open": {"S": "open"}, ":least": {"N": "12345678901234567890.1"}},
    )
    Draft202012Validator(export_json_schema()).validate(
        {"table": "Orders", "filter": table.filter.model_dump(exclude_none=True) if table.filter else None}
    )
    assert main(["check", str(tmp_path)]) == 0
    assert "table 'Orders' is filtered; a filtered chain is no replica" in capsys.readouterr().out


def test_a_table_can_do_without_the_filter_of_its_folder(tmp_path: Path):
    (tmp_path / "_defaults.yaml").write_text("filter: {expression: attribute_exists(open)}\n")
    (tmp_path / "orders.yaml").write_text(TABLE.replace("filter:\n", "filter: null\n"))
    (tmp_path / "flights.yaml").write_text(TABLE.replace("filter:\n", "").replace("Orders", "Flights"))
    flights, orders = load_tables(tmp_path)
    assert orders.export_filter is None
    assert flights.export_filter == ExportFilter.of("attribute_exists(open)")


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("  {}\n", "8:3: filter has no expression. Remedy: write one of expression, projection, key_condition"),
        ("  expresion: a = b\n", "8:3: unknown key 'filter.expresion'. Remedy: write 'expression'"),
        ("  FilterExpression: a = b\n", "8:3: unknown key 'filter.FilterExpression'. Remedy: write 'expression'"),
        ("  expression: 5\n", "8:15: filter.expression 5 is a number. Remedy: write an expression of DynamoDB's"),
        (
            "  expression: '#s = :v'\n  values: {':v': {S: a}}\n",
            "filter lacks '#s', which an expression uses. Remedy: add it: names: {'#s': ATTRIBUTE}",
        ),
        (
            "  projection: id, #state\n",
            "8:15: filter.projection 'id,' ends in the middle. Remedy: write all of it; put expressions in quotes",
        ),
        (
            "  expression: 'a = :v'\n  values: {':v': {N: 0.1}}\n",
            "9:11: filter.values has ':v', of which the payload of N is not a string. Remedy: write its type and its text in",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, block: str, message: str):
    (tmp_path / "orders.yaml").write_text(TABLE + block)
    with pytest.raises(InvalidFileError) as raised:
        load_tables(tmp_path)
    assert message in str(raised.value)
