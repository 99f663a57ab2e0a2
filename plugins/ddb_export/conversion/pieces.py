"""How Parquet files are written, whoever writes them: settings, bounds of a row group, and where a next file begins."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROW_GROUP_ROWS = 65_536
ROW_GROUP_BYTES = 16 << 20
ROW_GROUP_CELLS = 8 << 20
"""A row group is closed by the block that reaches one of these: rows, bytes of JSON (items have up to 400 KB), or
rows times columns (an empty cell of text still takes four bytes)."""

COLUMN_CHUNKS = 16 << 10
"""Column chunks (row groups times columns) after which the next file begins. Their metadata, about 2 KB each, is held until a
file is closed; without a bound the memory would grow with the data file."""

_DICTIONARY_BYTES = 64 << 10
"""A column chunk with a larger dictionary is written plainly from there on: looking up values that hardly ever come
twice costs more time and space than it saves."""


def piece_path(destination: Path, piece: int) -> Path:
    """Where a data file's Parquet files lie: the destination itself, then ``{stem}-001.parquet`` and so on."""
    return destination.with_name(f"{destination.stem}-{piece:03d}{destination.suffix}") if piece else destination


class PieceWriter:
    """Writes row groups to a file, and to a next one where the first would have too many column chunks.

    :param destination: local path of the first file. :param schema: columns, with the metadata of the footer.
    """

    def __init__(self, destination: Path, schema: pa.Schema) -> None:
        self._destination = destination
        self._schema = schema
        self.pieces: list[tuple[int, int]] = []
        """Rows and bytes of each file that is whole."""
        self._open()

    def write(self, row_group: pa.Table) -> None:
        """Write one row group."""
        if self._row_groups * len(self._schema) >= COLUMN_CHUNKS:
            self._end_piece()
            self._open()
        self._writer.write_table(row_group, row_group_size=row_group.num_rows)
        self._row_groups += 1
        self._rows += row_group.num_rows

    def close(self) -> None:
        """Make the last file whole."""
        self._end_piece()

    def discard(self) -> None:
        """Take away all that was written."""
        self._writer.close()
        for piece in range(len(self.pieces) + 1):
            piece_path(self._destination, piece).unlink(missing_ok=True)

    def _open(self) -> None:
        self._path = piece_path(self._destination, len(self.pieces))
        self._row_groups = self._rows = 0
        self._writer = pq.ParquetWriter(
            self._path,
            self._schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=True,
            dictionary_pagesize_limit=_DICTIONARY_BYTES,
            write_statistics=True,
        )

    def _end_piece(self) -> None:
        self._writer.close()
        self.pieces.append((self._rows, self._path.stat().st_size))
