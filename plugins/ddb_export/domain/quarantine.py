"""Lines of exports that are in no table: how many, of which export, where they are kept; for people.

A line goes to quarantine if it is no valid record, or if a value does not fit and the contract says ``quarantine``. It is kept there with data
file, line number and reason, and counted in the evidence of publication, so that nobody reads data to tell of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ddb_export.domain.progress import counted

if TYPE_CHECKING:
    from ddb_export.domain.evidence import PublishedEntry
    from ddb_export.domain.layout import Lake

REMEDY = "read the reasons there, mend the contract or the writer that they name, then export it again"
"""What to do about such lines."""


@dataclass(frozen=True, slots=True)
class QuarantinedLines:
    """The lines of one published export that are in quarantine.

    :param export: name of the attempt. :param glue_table: ``database.table`` that they are not in.
    :param lines: how many. :param of_lines: lines that the export has, these among them.
    :param folder: ``s3://`` URI below which they are kept, with a final slash.
    """

    export: str
    glue_table: str
    lines: int
    of_lines: int
    folder: str

    @property
    def words(self) -> str:
        """The lines in words without a full stop."""
        return (
            f"export {self.export}: {self.lines:,} of {counted(self.of_lines, 'line')} {'is' if self.lines == 1 else 'are'}"
            f" not in {self.glue_table} but in quarantine,"
            f" with data file, line number and reason: {self.folder}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return a flat object."""
        return {
            "export": self.export,
            "glue_table": self.glue_table,
            "lines": self.lines,
            "of_lines": self.of_lines,
            "folder": self.folder,
        }


def quarantined_lines(entries: Sequence[PublishedEntry], lake: Lake) -> list[QuarantinedLines]:
    """Return which of these exports have lines in quarantine, in order of time.

    :param entries: what readers see: one entry for each published export. :param lake: the table's folder.
    """
    return [
        QuarantinedLines(
            entry.export,
            entry.glue_table,
            entry.quarantined,
            entry.quarantined + entry.rows,
            # Compacted files have no quarantine of their own.
            lake.uri(f"quarantine/{entry.partition}/{entry.made_from or entry.generation}/"),
        )
        for entry in sorted(entries, key=lambda entry: entry.partition.rpartition("=")[2])
        if entry.quarantined
    ]
