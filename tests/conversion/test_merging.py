"""Merged Parquet files hold what their sources hold, and nothing else is let pass."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ddb_export.conversion import merging, pieces
from ddb_export.conversion.merging import merge_parquet
from ddb_export.exceptions import ConversionError

SCHEMA = pa.schema(
    [
        ("s", pa.string()),
        ("n", pa.int64()),
        ("d", pa.decimal128(38, 3)),
        ("b", pa.binary()),
        ("t", pa.timestamp("us", tz="UTC")),
        ("l", pa.list_(pa.decimal128(38, 0))),
        ("m", pa.struct([("x", pa.string()), ("y", pa.bool_())])),
    ],
    metadata={"ddb_export.columns": '{"s": {"attribute": "S!"}}'},
)
rows = st.fixed_dictionaries({
    "s": st.none() | st.text(max_size=5),
    "n": st.none() | st.integers(-(2**63), 2**63 - 1),
    "d": st.none() | st.decimals(-(10**30), 10**30, places=3),
    "b": st.none() | st.binary(max_size=5),
    "t": st.none() | st.integers(0, 2**50),
    "l": st.none() | st.lists(st.none() | st.integers(-(10**37), 10**37).map(Decimal), max_size=3),
    "m": st.none() | st.fixed_dictionaries({"x": st.none() | st.text(max_size=2), "y": st.none() | st.booleans()}),
})  # fmt: skip


def written(folder: Path, number: int, table: pa.Table, row_group_size: int | None = None) -> Path:
    path = folder / f"{number}.parquet"
    pq.write_table(table, path, row_group_size=row_group_size)
    return path


def table_of(found: list[dict[str, object]]) -> pa.Table:
    return pa.Table.from_pylist(found, schema=SCHEMA)


@given(found=st.lists(st.lists(rows, max_size=6), min_size=1, max_size=4), group=st.integers(1, 4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
def test_every_value_in_its_place_and_the_same_bytes_again(found, group, tmp_path):
    tables = [table_of(each) for each in found]
    sources = [written(tmp_path, number, table, group) for number, table in enumerate(tables)]
    whole = pa.concat_tables([pq.read_table(source) for source in sources])
    assert whole.to_pylist() == [row for table in tables for row in table.to_pylist()]
    merged = tmp_path / "merged.parquet"
    assert merge_parquet(sources, merged) == ((whole.num_rows, merged.stat().st_size),)
    assert pq.read_table(merged).equals(whole, check_metadata=True)
    assert pq.ParquetFile(merged).num_row_groups <= 1
    once = merged.read_bytes()
    merge_parquet(sources, merged)
    assert merged.read_bytes() == once


def test_a_file_with_too_many_column_chunks_goes_on_in_another(tmp_path, monkeypatch):
    monkeypatch.setattr(merging, "ROW_GROUP_ROWS", 3)
    monkeypatch.setattr(pieces, "COLUMN_CHUNKS", 2 * len(SCHEMA))
    tables = [table_of([{"n": 10 * number + row} for row in range(3)]) for number in range(5)]
    sources = [written(tmp_path, number, table) for number, table in enumerate(tables)]
    files = merge_parquet(sources, tmp_path / "merged.parquet")
    assert [count for count, _ in files] == [6, 6, 3]
    names = ["merged.parquet", "merged-001.parquet", "merged-002.parquet"]
    found = pa.concat_tables([pq.read_table(tmp_path / name) for name in names])
    assert found.equals(pa.concat_tables(tables))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda table: table.slice(0, 2), "rows are missing or too many"),
        (lambda table: pa.concat_tables([table.slice(1), table.slice(0, 1)]), "values differ"),
        (lambda table: table.set_column(1, SCHEMA.field(1), pa.array([1, 2, 4])), "values differ"),
    ],
    ids=["row lost", "order", "value"],
)
def test_what_is_not_the_same_when_it_is_read_back_is_refused(tmp_path, monkeypatch, change, words):
    add = merging._MergedOutput.add
    monkeypatch.setattr(merging._MergedOutput, "add", lambda self, table: add(self, change(table)))
    source = written(tmp_path, 0, table_of([{"n": 1}, {"n": 2}, {"n": 3}]))
    with pytest.raises(ConversionError, match=f"0.parquet and its neighbours: read back .*, {words}"):
        merge_parquet([source], tmp_path / "merged.parquet")


def test_other_columns_and_damage_are_named(tmp_path):
    good = written(tmp_path, 0, table_of([{"n": 1}]))
    other = written(tmp_path, 1, table_of([{"n": 1}]).replace_schema_metadata({"ddb_export.columns": "{}"}))
    with pytest.raises(ConversionError, match=r"s3://b/1: its columns are not those of the other files"):
        merge_parquet([good, other], tmp_path / "merged.parquet", ["s3://b/0", "s3://b/1"])
    other.write_bytes(good.read_bytes()[:-20])
    with pytest.raises(ConversionError, match=r"s3://b/1: it is damaged: .* Remedy: convert its export again"):
        merge_parquet([good, other], tmp_path / "merged.parquet", ["s3://b/0", "s3://b/1"])


PROGRAM = """
import json, sys
from pathlib import Path
import pyarrow as pa, pyarrow.parquet as pq
from benchmarks.convert_file import peak_rss_mebibytes
from ddb_export.conversion.merging import merge_parquet
folder = Path(sys.argv[1])
column = pa.array([f"{number * 2654435761 % 2**61:040x}" * 4 for number in range(150_000)])
table = pa.table({f"c{place}": column for place in range(2)})
pq.write_table(table, folder / "a.parquet", row_group_size=30_000, compression="none", use_dictionary=False)
del table, column
(rows, size), = merge_parquet([folder / "a.parquet"] * 8, folder / "m.parquet")
print(json.dumps({"rows": rows, "read": 8 * (folder / "a.parquet").stat().st_size, "peak": peak_rss_mebibytes()}))
"""


def test_memory_does_not_grow_with_the_files(tmp_path):
    path = os.pathsep.join(sys.path)
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    measured = json.loads(ran.stdout)
    assert measured["rows"] == 8 * 150_000
    assert measured["read"] > 300 << 20
    assert measured["peak"] < 300, measured
