"""Changes one value of a lake's copy, to see that somebody notices."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from demo.rebuild import live_files


def change_one_value(table_folder: Path, column: str = "distance") -> Path:
    """Add one to the first value of a column in the newest file that shows a live item; return the file.

    The newest changes that are no removals decide what is live, whatever older files say.
    """
    file = next(
        file for file in reversed(live_files(table_folder, "changes")) if _first(pq.read_table(file)) is not None
    )
    table = pq.read_table(file)
    row = _first(table)
    values = table[column].to_pylist()
    values[row] += 1
    index = table.schema.get_field_index(column)
    changed = table.set_column(index, table.schema.field(index), pa.array(values, table.schema.field(index).type))
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), file)
    return file


def _first(table: pa.Table) -> int | None:
    """The row that was written last, unless no row shows an item."""
    shows = pc.not_equal(table["_op"], "REMOVE")
    rows = [row for row, shown in enumerate(shows.to_pylist()) if shown]
    written = table["_written_at"].to_pylist()
    return max(rows, key=lambda row: written[row], default=None)
