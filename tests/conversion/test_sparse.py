"""Very many attributes, few of them in each line: read record by record, the same result, in bounded memory."""

from __future__ import annotations

import gzip
import io
import json
import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from benchmarks.convert_file import convert
from ddb_export.conversion.checked import ExactRun, checked_runs
from ddb_export.conversion.data_file import lines_of
from ddb_export.conversion.inverse import read_items
from ddb_export.conversion.parquet import convert_data_file, scan_and_convert_data_file
from ddb_export.conversion.scan import scan_data_file
from ddb_export.conversion.typed_lines import LineDecoder
from ddb_export.domain.attribute_value import items_equal
from ddb_export.domain.export import ExportType
from ddb_export.domain.schema import SchemaDocument

ATTRIBUTES = 3000


def sparse_items(count: int, each: int = 12) -> list[dict[str, Any]]:
    source = random.Random(1)
    items = []
    for number in range(count):
        names = source.sample(range(ATTRIBUTES), each)
        item = {f"a{name:04}": {"N": str(name)} if name % 2 else {"S": f"v{name}"} for name in names}
        items.append({"id": {"S": str(number)}, **item})
    return items


def lines_with(items: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps({"Item": item}).encode() + b"\n" for item in items)


def test_sparse_lines_are_read_record_by_record_and_dense_ones_by_columns_again() -> None:
    dense = [{f"b{name}": {"S": "x"} for name in range(5)} for _ in range(3000)]
    decoder = LineDecoder(ExportType.FULL_EXPORT)
    ways = [
        [isinstance(run, ExactRun) for run in checked_runs(lines_of(lines_with(items)), decoder)]
        for items in (sparse_items(1000), dense, dense)
    ]
    assert ways[0][0] is False
    assert all(ways[0][1:])
    assert ways[2] == [False]


def test_both_ways_give_the_same_file_and_every_item(tmp_path: Path) -> None:
    items = sparse_items(3000)
    content = gzip.compress(lines_with(items) + b'{"Item":{"id":{"S":7}}}\n')
    scanned = scan_data_file(io.BytesIO(content), "FULL_EXPORT")
    schema = SchemaDocument().extend(scanned.statistics)
    options: dict[str, Any] = {"export_type": "FULL_EXPORT", "table_id": "t"}
    two, one = tmp_path / "two.parquet", tmp_path / "one.parquet"
    first = convert_data_file(io.BytesIO(content), schema=schema, destination=two, **options)
    second = scan_and_convert_data_file(
        io.BytesIO(content), published=SchemaDocument(), seen=scanned.statistics, destination=one, **options
    )
    assert (first.rows, first.quarantined, second.scanned.statistics) == (3000, 1, scanned.statistics)
    if second.schema.fingerprint == schema.fingerprint:
        assert one.read_bytes() == two.read_bytes()
    assert all(items_equal(*pair) for pair in zip(read_items(two), items, strict=True))


@pytest.mark.scenario("F19")
def test_memory_of_sparse_attributes_is_bounded_by_small_row_groups(tmp_path: Path) -> None:
    source = tmp_path / "sparse.json.gz"
    source.write_bytes(gzip.compress(lines_with(sparse_items(16_000)), 1))
    convert(source, tmp_path / "out.parquet", two_passes=True)
    metadata = pq.read_metadata(tmp_path / "out.parquet")
    groups = [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]
    assert len(groups) > 1
    assert max(groups) * metadata.num_columns < 16 << 20
