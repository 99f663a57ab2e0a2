"""The files that are written: contract columns, types as other readers see them, determinism, quarantine."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ddb_export.conversion.inverse import read_columns, read_items, read_rows, to_item
from ddb_export.conversion.parquet import ConvertedFile, convert_data_file, scan_and_convert_data_file
from ddb_export.conversion.scan import ScanResult, scan_data_file
from ddb_export.domain.attribute_value import items_equal
from ddb_export.domain.schema import SchemaDocument
from ddb_export.exceptions import ConversionError
from tests.conversion.data_files import convert, item_lines, lines_of

ITEMS: list[dict[str, Any]] = [
    {
        "id": {"S": "a"},
        "count": {"N": "42"},
        "price": {"N": "19.99"},
        "big": {"N": "12345678901234567890123456789012345678"},
        "huge": {"N": "1E+125"},
        "raw": {"B": "aGVsbG8="},
        "flag": {"BOOL": True},
        "tags": {"SS": ["x", "y"]},
        "sizes": {"NS": ["1", "2.5"]},
        "blobs": {"BS": ["AA=="]},
        "list": {"L": [{"N": "1.50"}, {"S": "é"}]},
        "map": {"M": {"b": {"NULL": True}, "a": {"BOOL": False}}},
        "gone": {"NULL": True},
    },
    {"id": {"S": "b"}, "count": {"S": "many"}, "map": {"M": {"set": {"SS": ["x"]}}}, "price": {"N": "5"}},
    {"id": {"S": "c"}, "count": {"N": "-7"}, "price": {"N": "0.1"}},
]


def change(micros: int, **images: Any) -> dict[str, Any]:
    return {"Metadata": {"WriteTimestampMicros": {"N": str(micros)}}, **images}


CHANGES = [
    change(1768386096366933, Keys={"id": {"S": "a"}}, NewImage={"id": {"S": "a"}, "n": {"N": "1"}}),
    change(
        1768386096366934,
        Keys={"id": {"S": "b"}},
        OldImage={"id": {"S": "b"}, "ttl": {"N": "1768386096"}, "x": {"S": "é\n"}},
        NewImage={"id": {"S": "b"}, "n": {"N": "2"}},
    ),
    change(1768386096366935, Keys={"id": {"S": "c"}}, OldImage={"id": {"S": "c"}, "ttl": {"N": "1768386097"}}),
    change(1768386096366936, Keys={"id": {"S": "d"}}),
]


def test_types_and_values_as_duckdb_and_pyarrow_read_them(tmp_path: Path) -> None:
    destination = tmp_path / "part.parquet"
    convert(item_lines(ITEMS), destination)
    types = dict(
        duckdb.sql(f"select column_name, column_type from (describe select * from '{destination}')").fetchall()
    )
    assert types == {
        "_table_id": "VARCHAR",
        "_overflow": "VARCHAR",
        "id": "VARCHAR",
        "count": "BIGINT",
        "price": "DECIMAL(38,2)",
        "big": "DECIMAL(38,0)",
        "huge": "VARCHAR",
        "raw": "BLOB",
        "flag": "BOOLEAN",
        "tags": "VARCHAR[]",
        "sizes": "DECIMAL(38,1)[]",
        "blobs": "BLOB[]",
        "list": "VARCHAR",
        "map": "VARCHAR",
    }
    query = f"select id, count, price, big, huge, raw, flag, tags, sizes, list, map from '{destination}' order by id"
    first, second, third = duckdb.sql(query).fetchall()
    assert first == (
        *("a", 42, Decimal("19.99"), Decimal(12345678901234567890123456789012345678), "1E+125", b"hello", True),
        *(["x", "y"], [Decimal("1.0"), Decimal("2.5")], '[1.50,"é"]', '{"b":null,"a":false}'),
    )
    assert second[:3] == ("b", None, Decimal(5))
    assert third[:3] == ("c", -7, Decimal("0.1"))
    table = pq.read_table(destination)
    assert table.schema.field("price").type == pa.decimal128(38, 2)
    assert table.column("_table_id").to_pylist() == ["table-id"] * 3
    assert [text and json.loads(text) for text in table.column("_overflow").to_pylist()] == [
        {"gone": {"NULL": True}},
        {"count": {"S": "many"}, "map": {"M": {"set": {"SS": ["x"]}}}},
        None,
    ]


def test_the_footer_names_attributes_and_is_enough(tmp_path: Path) -> None:
    destination = tmp_path / "part.parquet"
    converted = convert(item_lines(ITEMS), destination)
    footer = json.loads(pq.read_metadata(destination).metadata[b"ddb_export.columns"])
    assert footer["count"] == {"attribute": "count", "dynamodb_type": "N"}
    assert "gone" not in footer
    assert dict(converted.overflowed) == {"count": 1, "map": 1}
    for before, after in zip(ITEMS, read_items(destination), strict=True):
        assert items_equal(before, after)


def test_rows_of_other_readers_rebuild_items(tmp_path: Path) -> None:
    destination = tmp_path / "part.parquet"
    convert(item_lines(ITEMS), destination)
    result = duckdb.sql(f"select * from '{destination}'")
    names = [description[0] for description in result.description]
    columns = read_columns(destination)
    for before, row in zip(ITEMS, result.fetchall(), strict=True):
        assert items_equal(before, to_item(dict(zip(names, row, strict=True)), columns))


@pytest.mark.parametrize(
    ("view", "operations"),
    [
        ("NEW_AND_OLD_IMAGES", ["INSERT", "MODIFY", "REMOVE", "REMOVE"]),
        ("NEW_IMAGE", ["PUT", "PUT", "REMOVE", "REMOVE"]),
    ],
)
def test_changes_follow_the_contract(tmp_path: Path, view: str, operations: list[str]) -> None:
    destination = tmp_path / "part.parquet"
    converted = convert(
        lines_of(CHANGES), destination, export_type="INCREMENTAL_EXPORT", view=view, ttl_attribute="ttl"
    )
    table = pq.read_table(destination)
    assert table.schema.names == [
        *("_op", "_written_at", "_old_image", "_ttl_expired", "_table_id", "_overflow"),
        *("id", "n"),
    ]
    assert table.column("_op").to_pylist() == operations
    assert table.schema.field("_written_at").type == pa.timestamp("us", tz="UTC")
    assert table.column("_written_at")[0].as_py() == datetime(2026, 1, 14, 10, 21, 36, 366933, UTC)
    assert table.column("_ttl_expired").to_pylist() == [None, True, False, None]
    assert table.column("_old_image").to_pylist() == [
        None,
        '{"id":{"S":"b"},"ttl":{"N":"1768386096"},"x":{"S":"é\\n"}}',
        '{"id":{"S":"c"},"ttl":{"N":"1768386097"}}',
        None,
    ]
    assert table.column("n").to_pylist() == [1, 2, None, None]
    assert [item for _, item in read_rows(destination)][2:] == [{"id": {"S": "c"}}, {"id": {"S": "d"}}]
    assert (converted.first_written_at, converted.last_written_at) == (1768386096366933, 1768386096366936)


def test_without_a_known_ttl_attribute_nothing_expired(tmp_path: Path) -> None:
    destination = tmp_path / "part.parquet"
    convert(lines_of(CHANGES), destination, export_type="INCREMENTAL_EXPORT")
    assert pq.read_table(destination).column("_ttl_expired").to_pylist() == [None, False, False, None]


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    content = item_lines([*ITEMS * 3000, {"late": {"N": "1"}}])
    first, second = tmp_path / "first.parquet", tmp_path / "second.parquet"
    convert(content, first)
    convert(content, second, compress=False)
    assert first.read_bytes() == second.read_bytes()


def test_a_right_guess_writes_the_same_bytes_and_a_wrong_one_shows(tmp_path: Path) -> None:
    direct, guessed = tmp_path / "direct.parquet", tmp_path / "guessed.parquet"
    broken = b'{"Item":{"id":1}}\n'
    for late, right in (({"id": {"S": "late"}}, True), ({"late": {"N": "1"}}, False), ({"count": {"N": "0.5"}}, False)):
        content = item_lines(ITEMS * 8_000) + broken + item_lines([late])
        converted = convert(content, direct)
        speculative = scan_and_convert_data_file(
            io.BytesIO(content),
            export_type="FULL_EXPORT",
            published=SchemaDocument(),
            table_id="table-id",
            destination=guessed,
        )
        final = SchemaDocument().extend(speculative.scanned.statistics)
        assert speculative.scanned.to_json() == scan_data_file(io.BytesIO(content), "FULL_EXPORT").to_json()
        assert (speculative.schema.fingerprint == final.fingerprint) is right
        assert (direct.read_bytes() == guessed.read_bytes()) is right
        assert converted.quarantined == speculative.converted.quarantined == 1


@pytest.mark.scenario("F24")
def test_an_attribute_that_comes_late_has_its_column(tmp_path: Path) -> None:
    destination = tmp_path / "part.parquet"
    convert(item_lines([{"id": {"N": str(n)}} for n in range(30_000)] + [{"late": {"N": "1.25"}}]), destination)
    assert pq.read_table(destination).column("late").to_pylist()[-1] == Decimal("1.25")


@pytest.mark.scenario("F16")
def test_bad_lines_are_kept_with_their_reason(tmp_path: Path) -> None:
    good = item_lines([{"id": {"S": "a"}}])
    content = good + b'{"Item":{"id":{"S":1}}}\n' + good + b"\xff\n\nnonsense\n" + good
    quarantine = tmp_path / "quarantine.jsonl"
    converted = convert(content, tmp_path / "part.parquet", quarantine_destination=quarantine, file="data/x.gz")
    assert (converted.rows, converted.quarantined, converted.digest.lines) == (3, 4, 7)
    assert [json.loads(line) for line in quarantine.read_text().splitlines()] == [
        {
            "file": "data/x.gz",
            "line": 2,
            "reason": "Item: attribute 'id': the payload of S is not a string",
            "record": '{"Item":{"id":{"S":1}}}',
        },
        {"file": "data/x.gz", "line": 4, "reason": "the line is not UTF-8", "record_base64": "/w=="},
        {"file": "data/x.gz", "line": 5, "reason": "the line is empty", "record": ""},
        {"file": "data/x.gz", "line": 6, "reason": "the line is not JSON", "record": "nonsense"},
    ]


def test_without_bad_lines_there_is_no_quarantine_file(tmp_path: Path) -> None:
    quarantine = tmp_path / "quarantine.jsonl"
    convert(item_lines(ITEMS), tmp_path / "part.parquet", quarantine_destination=quarantine)
    assert not quarantine.exists()


@pytest.mark.scenario("F16")
def test_damage_leaves_no_parquet_file(tmp_path: Path) -> None:
    import gzip

    damaged = gzip.compress(item_lines(ITEMS * 1000))[:-100]
    with pytest.raises(ConversionError):
        convert_data_file(
            io.BytesIO(damaged),
            export_type="FULL_EXPORT",
            schema=SchemaDocument(),
            table_id="t",
            destination=tmp_path / "part.parquet",
        )
    assert list(tmp_path.iterdir()) == []


def test_row_groups_are_bounded(tmp_path: Path) -> None:
    small, large = tmp_path / "small.parquet", tmp_path / "large.parquet"
    convert(item_lines([{"id": {"N": str(n)}} for n in range(200_000)]), small)
    convert(item_lines([{"id": {"S": "x" * 390_000}} for n in range(100)]), large)
    groups = pq.ParquetFile(small).metadata
    assert groups.num_row_groups >= 2
    assert max(groups.row_group(n).num_rows for n in range(groups.num_row_groups)) < 100_000
    assert pq.ParquetFile(large).metadata.num_row_groups >= 2


def test_a_file_of_someone_else_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1]}), tmp_path / "other.parquet")
    with pytest.raises(ConversionError, match=r"other\.parquet: its footer has no ddb_export\.columns.*Remedy"):
        list(read_items(tmp_path / "other.parquet"))


def test_results_survive_json(tmp_path: Path) -> None:
    converted = convert(lines_of(CHANGES), tmp_path / "part.parquet", export_type="INCREMENTAL_EXPORT")
    assert ConvertedFile.from_json(json.loads(json.dumps(converted.to_json()))) == converted
    scanned = scan_data_file(io.BytesIO(item_lines(ITEMS)), "FULL_EXPORT")
    assert ScanResult.from_json(json.loads(json.dumps(scanned.to_json()))).to_json() == scanned.to_json()
