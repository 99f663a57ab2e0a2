"""What people convert with besides boto3: readers of JSON lines that find out the columns by themselves.

``python -m benchmarks.peer_readers pyarrow.json orders.json.gz out.parquet``; ``duckdb`` and ``polars`` likewise. Each is told to look
at the whole file before it decides, since by default they look at its beginning only, and to use one thread.
"""

from __future__ import annotations

import argparse
import gzip
from collections.abc import Callable
from pathlib import Path


def pyarrow_json(source: Path, destination: Path) -> None:
    """Read with ``pyarrow.json``, in blocks that hold the longest item, and write the members of ``Item`` as columns."""
    import pyarrow as pa
    import pyarrow.json as pj
    import pyarrow.parquet as pq

    options = pj.ReadOptions(use_threads=False, block_size=16 << 20)
    with pa.CompressedInputStream(pa.OSFile(str(source)), "gzip") as stream:
        items = pj.read_json(stream, read_options=options).column("Item")
    columns = [pa.Table.from_batches([pa.RecordBatch.from_struct_array(chunk)]) for chunk in items.chunks]
    pq.write_table(pa.concat_tables(columns), destination, compression="zstd", compression_level=1)


def duckdb(source: Path, destination: Path) -> None:
    """Read with DuckDB's ``read_json``."""
    import duckdb as engine

    connection = engine.connect(config={"threads": 1})
    connection.execute(
        "CREATE VIEW items AS SELECT unnest(Item) FROM read_json("
        f"{_quoted(source)}, format = 'newline_delimited', sample_size = -1, maximum_object_size = 4194304)"
    )
    connection.execute(f"COPY items TO {_quoted(destination)} (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)")


def polars(source: Path, destination: Path) -> None:
    """Read with Polars' ``read_ndjson``."""
    import polars as pl

    with gzip.open(source) as lines:
        items = pl.read_ndjson(lines.read(), infer_schema_length=None)
    items.unnest("Item").write_parquet(destination, compression="zstd", compression_level=1)


READERS: dict[str, Callable[[Path, Path], None]] = {"pyarrow.json": pyarrow_json, "duckdb": duckdb, "polars": polars}


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def main() -> None:
    """Convert one data file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reader", choices=sorted(READERS))
    parser.add_argument("source", type=Path)
    parser.add_argument("destination", type=Path)
    options = parser.parse_args()
    READERS[options.reader](options.source, options.destination)


if __name__ == "__main__":
    main()
