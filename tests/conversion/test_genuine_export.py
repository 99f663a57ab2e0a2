"""A genuine full export of DynamoDB (see its notice beside the files), read right down to the last type."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from ddb_export.conversion.inverse import read_items
from ddb_export.conversion.parquet import convert_data_file
from ddb_export.conversion.scan import digest_data_file, scan_data_file
from ddb_export.domain.attribute_value import items_equal
from ddb_export.domain.schema import SchemaDocument

FIXTURE = Path(__file__).parent.parent / "fixtures" / "real-full-export"


@pytest.fixture(name="data_file")
def find_data_file() -> Path:
    (path,) = FIXTURE.glob("AWSDynamoDB/*/data/*.json.gz")
    return path


def test_its_digest_is_what_the_manifest_says(data_file: Path) -> None:
    manifest = json.loads((data_file.parent.parent / "manifest-files.json").read_text())
    with data_file.open("rb") as stream:
        digest = digest_data_file(stream)
    assert digest.md5_base64 == manifest["md5Checksum"]
    assert digest.etag_of_one_part == manifest["etag"]
    assert digest.lines == manifest["itemCount"]


@pytest.mark.scenario("F21")
def test_its_items_come_back(data_file: Path, tmp_path: Path) -> None:
    destination = tmp_path / "part.parquet"
    with data_file.open("rb") as stream:
        scanned = scan_data_file(stream, "FULL_EXPORT")
    schema = SchemaDocument().extend(scanned.statistics)
    with data_file.open("rb") as stream:
        converted = convert_data_file(
            stream, export_type="FULL_EXPORT", schema=schema, table_id="t", destination=destination
        )
    assert (converted.rows, converted.quarantined, converted.overflowed) == (3, 0, {})
    assert {column.attribute: column.arrow_type for column in schema.columns} == {
        "id": "string",
        "a": "bool",
        "bar": "int64",
        "baz": "int64",
        "c": "list<string>",
        "d": "list<int64>",
        "e": "string",
        "f": "string",
        "j": "binary",
        "k": "list<binary>",
    }
    with gzip.open(data_file) as lines:
        written = [json.loads(line)["Item"] for line in lines]
    for before, after in zip(written, read_items(destination), strict=True):
        assert items_equal(before, after)
    (row,) = duckdb.sql(f"select a, c, d, e, f, j, k from '{destination}' where id = 'K3TXQk84Si'").fetchall()
    assert row == (
        *(False, ["8gfX8dh0xa", "fRjHZJ2Ce9"], [3, 2], '[1,"Dsb87qc6Es"]', '{"h":null,"i":true,"g":9}', b"hello"),
        [b"is fast", b"scylladb"],
    )
    total = duckdb.sql(f"select sum(bar) + sum(baz) from '{destination}'")
    assert total.fetchall() == [(Decimal(42),)]
