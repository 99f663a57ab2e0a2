"""Data file → statistics: what the schema of a whole export is decided from.

The scan reads every line to its end, because a schema from a sample misses late attributes and wide numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from ddb_export.conversion.checked import checked_runs, without_garbage_collection
from ddb_export.conversion.data_file import (
    DataFileDigest,
    DataFileReader,
    digest_data_file,
    lines_of,
    stream_name,
)
from ddb_export.conversion.statistics_collector import StatisticsCollector
from ddb_export.conversion.typed_lines import LineDecoder
from ddb_export.domain.export import ExportType
from ddb_export.domain.statistics import ExportStatistics

__all__ = ["DataFileDigest", "ScanResult", "digest_data_file", "scan_data_file"]


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What one data file holds.

    :ivar statistics: mergeable with those of the other files of the export.
    :ivar digest: for verification, taken in the same pass.
    """

    statistics: ExportStatistics
    digest: DataFileDigest

    @property
    def lines(self) -> int:
        """Lines in the file."""
        return self.statistics.lines

    @property
    def rows(self) -> int:
        """Lines that are valid records."""
        return self.statistics.rows

    @property
    def quarantined(self) -> int:
        """Lines that are none; ``lines == rows + quarantined``."""
        return self.statistics.quarantined

    def to_json(self) -> dict[str, Any]:
        """``{"statistics": …, "digest": {"md5_base64", "bytes", "lines", "etag_of_one_part"}}``."""
        return {"statistics": self.statistics.to_json(), "digest": self.digest.to_json()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ScanResult:
        """The inverse of :meth:`to_json`."""
        return cls(ExportStatistics.from_json(document["statistics"]), DataFileDigest.from_json(document["digest"]))


def scan_data_file(stream: BinaryIO, export_type: ExportType | str, *, file: str | None = None) -> ScanResult:
    """Scan one data file in bounded memory.

    :param stream: the bytes as they lie in S3; read once, front to back, not closed.
    :param export_type: ``FULL_EXPORT`` or ``INCREMENTAL_EXPORT``.
    :param file: what errors call the file; default the stream's own name.
    :raises ConversionError: if the gzip stream is damaged.
    """
    reader = DataFileReader(stream, stream_name(stream, file))
    decoder = LineDecoder(ExportType(export_type))
    collector = StatisticsCollector()
    with without_garbage_collection():
        for block in reader.blocks():
            for checked in checked_runs(lines_of(block), decoder):
                checked.collect(collector)
    collector.keys = decoder.keys
    return ScanResult(collector.statistics(), reader.digest())
