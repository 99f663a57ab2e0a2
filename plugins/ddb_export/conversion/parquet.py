"""Data file + schema document → one Parquet file, by the lake's contract.

Columns: the contract's (``_op`` … ``_overflow``), then one per attribute in the schema document's order, so
that new attributes come last. The footer names each column's attribute and type under ``ddb_export.columns``:
a file alone is enough to rebuild its items. Bytes follow from the data file, the schema and the versions of
this package and pyarrow alone.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, Self

import pyarrow as pa
import pyarrow.compute as pc

from ddb_export.conversion.batch import EncodedBlock, RowFormat
from ddb_export.conversion.checked import CheckedRun, ExactRun, checked_runs, without_garbage_collection
from ddb_export.conversion.data_file import DataFileDigest, DataFileReader, lines_of, stream_name
from ddb_export.conversion.entity_columns import EntityColumnsFinder
from ddb_export.conversion.fast_batch import RunEncoder
from ddb_export.conversion.pieces import ROW_GROUP_BYTES, ROW_GROUP_CELLS, ROW_GROUP_ROWS, PieceWriter
from ddb_export.conversion.quarantine import QuarantineFile
from ddb_export.conversion.scan import ScanResult
from ddb_export.conversion.statistics_collector import StatisticsCollector
from ddb_export.conversion.typed_lines import LineDecoder
from ddb_export.domain.contract import NO_CONTRACT, Contract, OnViolation
from ddb_export.domain.export import ExportType, ExportViewType
from ddb_export.domain.schema import Column, SchemaDocument
from ddb_export.domain.statistics import ExportStatistics
from ddb_export.exceptions import ConversionError

FOOTER_KEY = "ddb_export.columns"
"""The footer's key-value entry that maps columns to attributes."""

CONVERTER_VERSION = 3
"""Grows with every change that makes other bytes of the same input; part of a generation's name."""

_SAMPLE_BLOCKS = 8
"""Blocks that a guess of the schema is made from."""


@dataclass(frozen=True, slots=True)
class ConvertedFile:
    """What became of one data file.

    :ivar rows: rows written.
    :ivar bytes: size of the Parquet files together.
    :ivar pieces: rows and bytes of each Parquet file, at :func:`piece_path`; a second one only for very large data files.
    :ivar quarantined: lines that are no valid record; ``digest.lines == rows + quarantined``.
    :ivar overflowed: attribute → rows whose value, other than NULL, no column could hold exactly.
    :ivar first_written_at: earliest WriteTimestampMicros (microseconds since the epoch, UTC); null if none.
    :ivar last_written_at: the latest.
    :ivar digest: of the data file that was read, so that a caller can see that it is the verified one.
    :ivar entities: entity → columns that its rows have; null where the contract declares none.
    """

    rows: int
    bytes: int
    quarantined: int
    digest: DataFileDigest
    pieces: tuple[tuple[int, int], ...]
    overflowed: Mapping[str, int] = field(default_factory=dict)
    first_written_at: int | None = None
    last_written_at: int | None = None
    entities: Mapping[str, Sequence[str]] | None = None

    def to_json(self) -> dict[str, Any]:
        """One member per field, as named; ``digest`` is an object."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ConvertedFile:
        """The inverse of :meth:`to_json`."""
        pieces = tuple((int(rows), int(size)) for rows, size in document["pieces"])
        return cls(**{**document, "digest": DataFileDigest.from_json(document["digest"]), "pieces": pieces})


def convert_data_file(
    stream: BinaryIO,
    *,
    export_type: ExportType | str,
    schema: SchemaDocument,
    table_id: str,
    destination: Path,
    ttl_attribute: str | None = None,
    view: ExportViewType | str | None = None,
    quarantine_destination: Path | None = None,
    file: str | None = None,
    contract: Contract = NO_CONTRACT,
) -> ConvertedFile:
    """Write one Parquet file from one data file, in bounded memory.

    :param stream: the bytes as they lie in S3; read once, front to back, not closed.
    :param export_type: ``FULL_EXPORT`` or ``INCREMENTAL_EXPORT``.
    :param schema: the schema document, extended by the statistics of the whole export.
    :param table_id: the TableId that the data comes from.
    :param destination: local path of the Parquet file. On an error what is there is not a Parquet file.
    :param ttl_attribute: the table's TTL attribute, if one is known.
    :param view: of an incremental export, ``NEW_IMAGE`` or ``NEW_AND_OLD_IMAGES``; without one, inserts and updates are told apart by the old image.
    :param quarantine_destination: local path for lines that are no valid record (JSON lines, see
        :class:`ddb_export.conversion.quarantine.QuarantineFile`); made only if there are any. ``None`` only counts them.
    :param file: what errors and quarantine call the data file; default the stream's own name.
    :param contract: what is dropped and hashed, and what becomes of values that do not fit; the one that the schema was extended with.
    :raises ConversionError: if the gzip stream is damaged, or a value does not fit its column and the contract says ``fail``.
    :raises ConfigurationError: if values are to be hashed, and the contract has no key.
    """
    name = stream_name(stream, file)
    reader = DataFileReader(stream, name)
    view_type = ExportViewType(view) if view else None
    row_format = RowFormat(ExportType(export_type), schema.columns, table_id, ttl_attribute, view_type, contract)
    with without_garbage_collection():
        blocks = _checked_blocks(reader, LineDecoder(row_format.export_type, row_format.view))
        return _write(blocks, reader, row_format, destination, _quarantine(quarantine_destination, name, contract))


@dataclass(frozen=True, slots=True)
class SpeculativeFile:
    """A data file that was scanned and converted in one pass, by a schema that was guessed.

    :ivar scanned: what :func:`ddb_export.conversion.scan.scan_data_file` would have found.
    :ivar schema: the schema that the Parquet file was written by. The file may be used if, and only if, its
        fingerprint is that of the final schema document; then it is byte for byte what
        :func:`convert_data_file` would write. Otherwise convert again.
    :ivar converted: about the Parquet file.
    """

    scanned: ScanResult
    schema: SchemaDocument
    converted: ConvertedFile


def scan_and_convert_data_file(
    stream: BinaryIO,
    *,
    export_type: ExportType | str,
    published: SchemaDocument,
    table_id: str,
    destination: Path,
    seen: ExportStatistics | None = None,
    column_limit: int | None = None,
    ttl_attribute: str | None = None,
    view: ExportViewType | str | None = None,
    quarantine_destination: Path | None = None,
    file: str | None = None,
    contract: Contract = NO_CONTRACT,
) -> SpeculativeFile:
    """Scan and convert a data file in one pass, in the hope that its first lines tell the whole schema.

    Parsing is most of the work, and what is new in an export usually shows in its first thousands of lines.
    Parameters are those of :func:`convert_data_file`, and:

    :param published: the schema document before this export.
    :param seen: statistics of other files of the same export, which make the guess better.
    :param column_limit: as in :meth:`SchemaDocument.extend`.
    :param contract: as there; one that says ``fail`` cannot be obeyed while columns are guessed: scan first.
    :raises ConversionError: if the gzip stream is damaged.
    """
    if contract.on_violation is OnViolation.FAIL:
        raise ValueError("whether a value fits is not known before the whole export is scanned")
    name = stream_name(stream, file)
    reader = DataFileReader(stream, name)
    kind, view_type = ExportType(export_type), ExportViewType(view) if view else None
    collector = StatisticsCollector()
    with without_garbage_collection():
        blocks = _checked_blocks(reader, LineDecoder(kind, view_type), collector)
        sample = deque(islice(blocks, _SAMPLE_BLOCKS))
        statistics = (seen or ExportStatistics()).merge(collector.statistics())
        guess = published.extend(statistics, column_limit=column_limit, contract=contract)
        row_format = RowFormat(kind, guess.columns, table_id, ttl_attribute, view_type, contract)
        all_blocks = chain((sample.popleft() for _ in range(len(sample))), blocks)
        quarantine = _quarantine(quarantine_destination, name, contract)
        converted = _write(all_blocks, reader, row_format, destination, quarantine)
    return SpeculativeFile(ScanResult(collector.statistics(), converted.digest), guess, converted)


def _checked_blocks(
    reader: DataFileReader, decoder: LineDecoder, collector: StatisticsCollector | None = None
) -> Iterator[tuple[list[CheckedRun | ExactRun], int]]:
    for block in reader.blocks():
        runs = []
        for checked in checked_runs(lines_of(block), decoder):
            if collector is not None:
                checked.collect(collector)
                collector.keys = decoder.keys
            runs.append(checked)
        yield runs, len(block)


def _write(
    blocks: Iterable[tuple[list[CheckedRun | ExactRun], int]],
    reader: DataFileReader,
    row_format: RowFormat,
    destination: Path,
    quarantine: QuarantineFile,
) -> ConvertedFile:
    encoder = RunEncoder(row_format)
    entities = EntityColumnsFinder(row_format.contract.entities, row_format.columns)
    line_number = 1
    with quarantine, _ParquetOutput(destination, row_format) as output:
        for runs, json_bytes in blocks:
            for checked in runs:
                encoded = encoder.encode(checked)
                if encoded.violation and row_format.contract.on_violation is OnViolation.FAIL:
                    raise _violation_error(quarantine.file, line_number + encoded.violation[0], encoded.violation[1])
                for index, reason, line in encoded.quarantined:
                    quarantine.add(line_number + index, reason, line)
                line_number += encoded.lines
                entities.add(encoded.batch)
                output.add(encoded)
            output.end_block(json_bytes)
    return ConvertedFile(
        rows=output.rows,
        bytes=sum(size for _, size in output.pieces),
        quarantined=quarantine.lines,
        digest=reader.digest(),
        pieces=tuple(output.pieces),
        overflowed=dict(sorted(output.overflowed.items())),
        first_written_at=output.first_written_at,
        last_written_at=output.last_written_at,
        entities=entities.found,
    )


def _quarantine(destination: Path | None, name: str, contract: Contract) -> QuarantineFile:
    return QuarantineFile(destination, name, keep_lines=not contract.redacts)


def _violation_error(file: str, line: int, reason: str) -> ConversionError:
    return ConversionError(
        f"{file}, line {line}",
        f"{reason}, and the contract says on_violation: fail",
        "set contract.on_violation to overflow or quarantine, or declare a type that the value fits; then run this again",
    )


def footer_entry(columns: tuple[Column, ...]) -> str:
    """The text of the footer entry: ``{column: {"attribute": …, "dynamodb_type": …}}``.

    Columns of epoch numbers also have ``"unit"``, those of structs ``"members"``: the same object of their members.
    """
    return json.dumps(_footer_entries(columns), ensure_ascii=False)


def _footer_entries(columns: tuple[Column, ...]) -> dict[str, Any]:
    entries = {}
    for column in columns:
        entry: dict[str, Any] = {"attribute": column.attribute, "dynamodb_type": column.dynamodb_type}
        if column.unit is not None:
            entry["unit"] = column.unit
        if column.members:
            entry["members"] = _footer_entries(column.members)
        entries[column.name] = entry
    return entries


class _ParquetOutput:
    """Collects batches into row groups of bounded size and writes them, to a next file where one would have too many."""

    def __init__(self, destination: Path, row_format: RowFormat) -> None:
        self._schema = row_format.arrow_schema({FOOTER_KEY: footer_entry(row_format.columns)})
        self._is_incremental = row_format.is_incremental
        self._destination = destination
        self._batches: list[pa.RecordBatch] = []
        self._pending_rows = self._pending_bytes = 0
        self.rows = 0
        self.overflowed: dict[str, int] = {}
        self.first_written_at: int | None = None
        self.last_written_at: int | None = None

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

    def add(self, encoded: EncodedBlock) -> None:
        """Take rows."""
        batch = encoded.batch
        for attribute, rows in encoded.overflowed.items():
            self.overflowed[attribute] = self.overflowed.get(attribute, 0) + rows
        if batch.num_rows:
            self._note_times(batch)
            self._batches.append(batch)
            self.rows += batch.num_rows
            self._pending_rows += batch.num_rows

    def end_block(self, json_bytes: int) -> None:
        """Close the row group if it is large enough; only here, so that row groups follow from the content."""
        self._pending_bytes += json_bytes
        cells = self._pending_rows * len(self._schema)
        if cells >= ROW_GROUP_CELLS or self._pending_rows >= ROW_GROUP_ROWS or self._pending_bytes >= ROW_GROUP_BYTES:
            self._flush()

    def _note_times(self, batch: pa.RecordBatch) -> None:
        if not self._is_incremental:
            return
        times = pc.min_max(batch.column("_written_at").cast(pa.int64())).as_py()
        first, last = self.first_written_at, self.last_written_at
        self.first_written_at = times["min"] if first is None else min(first, times["min"])
        self.last_written_at = times["max"] if last is None else max(last, times["max"])

    def _combined(self) -> pa.Table:
        """Give up the batches as one table of one chunk per column: how lines were cut must not show in the file's pages.

        Column by column, so that a row group is never in memory twice.
        """
        columns = [batch.columns for batch in self._batches]
        self._batches = []
        combined = []
        for place in range(len(self._schema)):
            pieces = []
            for batch in columns:
                pieces.append(batch[place])
                batch[place] = None
            combined.append(pieces[0] if len(pieces) == 1 else pa.concat_arrays(pieces))
            del pieces
        return pa.Table.from_arrays(combined, schema=self._schema)

    def _flush(self) -> None:
        if self._pending_rows:
            self._writer.write(self._combined())
        self._pending_rows = self._pending_bytes = 0
