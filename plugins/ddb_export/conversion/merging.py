"""Parquet files of one generation → one file with the same rows, in the same order, in larger row groups.

Values are read and written as they are, by one schema, never cast; then all is read once more and compared with what it was made
of, value by value. The footer's entries are those of the sources. Memory is that of a few row groups, whatever the size of the files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from ddb_export.conversion.pieces import ROW_GROUP_BYTES, ROW_GROUP_CELLS, ROW_GROUP_ROWS, PieceWriter, piece_path
from ddb_export.exceptions import ConversionError

_COMPARED_ROWS = 8_192


def merge_parquet(
    sources: Sequence[Path], destination: Path, names: Sequence[str] | None = None
) -> tuple[tuple[int, int], ...]:
    """Write the rows of files to one file, in their order.

    :param sources: local paths, at least one; files of one generation, so of one schema.
    :param destination: local path of the merged file; what is too large for the metadata of one goes on at
        :func:`ddb_export.conversion.pieces.piece_path`. On an error nothing stays there, unless it shows in reading back.
    :param names: what errors call the sources; default their paths.
    :return: rows and bytes of each file.
    :raises ConversionError: the files have not one schema, one is no whole Parquet file, or what was written is not what was read.
    """
    named = list(zip(sources, names or [str(source) for source in sources], strict=True))
    schema = _schema_of(*named[0])
    with _MergedOutput(destination, schema) as output:
        for source, name in named:
            for table in _row_groups(source, name, schema):
                output.add(table)
    pieces = [piece_path(destination, number) for number in range(len(output.pieces))]
    if difference := _difference(sources, pieces, schema):
        raise ConversionError(
            f"{named[0][1]} and its neighbours",
            f"read back after they were merged, {difference}",
            "report it with the versions of ddb_export and pyarrow; nothing of it is shown to readers",
        )
    return tuple(output.pieces)


def _schema_of(source: Path, name: str) -> pa.Schema:
    with _readable(name):
        return pq.read_schema(source)


def _row_groups(source: Path, name: str, schema: pa.Schema) -> Iterator[pa.Table]:
    with _readable(name):
        opened = pq.ParquetFile(source, pre_buffer=False)
    with opened:
        if not opened.schema_arrow.equals(schema, check_metadata=True):
            raise _unusable(name, "its columns are not those of the other files of its generation")
        for number in range(opened.num_row_groups):
            with _readable(name):
                table = opened.read_row_group(number, use_threads=False)
            yield table


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Name the file that pyarrow cannot read: it says so by errors of its own, and by OSError."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise _unusable(name, f"it is damaged: {error}") from error


def _unusable(name: str, cause: str) -> ConversionError:
    remedy = "convert its export again: clear the convert and publish tasks of the run that published it"
    return ConversionError(name, cause, remedy)


class _MergedOutput:
    """Collects row groups until one more would be too many, and writes them as one."""

    def __init__(self, destination: Path, schema: pa.Schema) -> None:
        self._destination = destination
        self._schema = schema
        self._pending: list[pa.Table] = []
        self._rows = self._bytes = 0

    def __enter__(self) -> Self:
        self._writer = PieceWriter(self._destination, self._schema)
        return self

    @property
    def pieces(self) -> list[tuple[int, int]]:
        """Rows and bytes of each file."""
        return self._writer.pieces

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if kind is None:
            self._flush()
            self._writer.close()
        else:
            self._writer.discard()

    def add(self, table: pa.Table) -> None:
        """Take a row group; one that is large already stays as it is."""
        rows, size = self._rows + table.num_rows, self._bytes + table.nbytes
        if rows > ROW_GROUP_ROWS or size > ROW_GROUP_BYTES or rows * len(self._schema) > ROW_GROUP_CELLS:
            self._flush()
        self._pending.append(table)
        self._rows += table.num_rows
        self._bytes += table.nbytes

    def _flush(self) -> None:
        if self._rows:
            # One chunk per column: where the files were cut must not show in the pages.
            table = pa.concat_tables(self._pending).combine_chunks()
            self._pending.clear()
            self._writer.write(table)
        self._pending.clear()
        self._rows = self._bytes = 0


def _difference(sources: Sequence[Path], pieces: Sequence[Path], schema: pa.Schema) -> str | None:
    """Say what of the merged files differs from what they were made of, None if nothing does."""
    if not all(pq.read_schema(piece).equals(schema, check_metadata=True) for piece in pieces):
        return "the columns differ"
    before, after = _batches(sources), _batches(pieces)
    left, right = next(before, None), next(after, None)
    while left is not None and right is not None:
        rows = min(left.num_rows, right.num_rows)
        if not left.slice(0, rows).equals(right.slice(0, rows)):
            return "values differ"
        left = left.slice(rows) if rows < left.num_rows else next(before, None)
        right = right.slice(rows) if rows < right.num_rows else next(after, None)
    return None if left is right is None else "rows are missing or too many"


def _batches(paths: Sequence[Path]) -> Iterator[pa.RecordBatch]:
    for path in paths:
        with pq.ParquetFile(path, pre_buffer=False) as opened:
            yield from (batch for batch in opened.iter_batches(_COMPARED_ROWS, use_threads=False) if batch.num_rows)
