"""An export read once: every data file is verified, scanned and converted while its bytes pass by.

The columns follow from *all* data files, so a file can only be converted while it is read by columns that are guessed, from its
first lines and the files before it. What was converted by a guess that turns out wrong is thrown away and made again; so
the files are the same, byte for byte, as if everything had been scanned first.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

from ddb_export.aws.object_store import LocalObjectStore
from ddb_export.conversion.data_file import DataFileDigest, digest_data_file
from ddb_export.domain.contract import NO_CONTRACT, Contract
from ddb_export.domain.manifest import ManifestFile
from ddb_export.domain.schema import SchemaDocument
from ddb_export.domain.statistics import ExportStatistics
from ddb_export.exceptions import ConversionError
from ddb_export.pipeline.conversion import (
    ConvertedPart,
    ExportSource,
    Generation,
    Output,
    convert_files,
    partition_of,
    plan_generation,
)
from ddb_export.pipeline.verification import Progress


class ScanningReader:
    """Scans data files while they are verified.

    :param source: the export.
    :param keys: names of the table's key attributes, as far as they are known beforehand.
    """

    def __init__(self, source: ExportSource, keys: Collection[str] = ()) -> None:
        self._source = source
        self._failed = False
        self.statistics = ExportStatistics(keys=frozenset(keys))

    def read(self, file: ManifestFile, stream: BinaryIO, name: str) -> DataFileDigest:
        """Read a data file to its end; after the first that does not hold, files are only digested.

        :param name: what errors call the file.
        :raises ConversionError: its gzip stream is damaged.
        """
        if self._failed or not file.item_count:
            return digest_data_file(stream, file=name)
        try:
            digest = self._read(file, stream)
        except ConversionError:
            self._failed = True
            raise
        self._failed = digest.md5_base64 != file.md5 or digest.lines != file.item_count
        return digest

    def _read(self, file: ManifestFile, stream: BinaryIO) -> DataFileDigest:
        from ddb_export.conversion.scan import scan_data_file

        scanned = scan_data_file(stream, self._source.summary.export_type, file=file.key)
        self.statistics = self.statistics.merge(scanned.statistics)
        return scanned.digest


class ConvertingReader(ScanningReader):
    """Scans data files while they are verified, and converts them by the columns known so far.

    :param source: the export.
    :param staging: local place that nobody looks at yet.
    :param work: local folder for the one file that is in the making.
    :param ttl_attribute: name of the table's TTL attribute, if it has one.
    :param contract: what is fixed about the columns; not one that says ``fail``, as columns are guessed here.
    :param keys: as above.
    """

    def __init__(
        self,
        source: ExportSource,
        staging: LocalObjectStore,
        work: Path,
        ttl_attribute: str | None = None,
        contract: Contract = NO_CONTRACT,
        *,
        keys: Collection[str] = (),
    ) -> None:
        super().__init__(source, keys)
        self._staging = staging
        self._work = work
        self._ttl_attribute = ttl_attribute
        self._contract = contract
        self._made: dict[str, list[ConvertedPart]] = {}

    def missing(self, generation: Generation) -> list[int]:
        """Return the places in the manifest of the files that were converted by other columns."""
        made = {part.index for part in self._made.get(generation.name, ())}
        return [file.index for file in self._source.chosen(None) if file.index not in made]

    def finish(self, generation: Generation, progress: Progress | None = None) -> list[ConvertedPart]:
        """Throw away what does not have these columns, and convert it again.

        :param generation: with the columns that follow from all files.
        :return: one entry per data file that holds items.
        :raises VerificationError: a file is no longer the one that was verified.
        """
        for name in self._made.keys() - {generation.name}:
            self._remove(name)
        missing = self.missing(generation)
        again = convert_files(
            self._source, generation, self._staging, indexes=missing, work_folder=self._work, progress=progress
        )
        return sorted([*self._made.get(generation.name, ()), *again], key=lambda part: part.index)

    def _read(self, file: ManifestFile, stream: BinaryIO) -> DataFileDigest:
        from ddb_export.conversion.parquet import scan_and_convert_data_file

        output = Output(self._staging, "", self._work)
        parquet, quarantined = output.in_the_making
        summary = self._source.summary
        result = scan_and_convert_data_file(
            stream,
            export_type=summary.export_type,
            published=SchemaDocument(),
            table_id=summary.table_id or "",
            destination=parquet,
            seen=self.statistics,
            ttl_attribute=plan_generation(self._source, SchemaDocument(), self._ttl_attribute).ttl_attribute,
            view=summary.output_view,
            quarantine_destination=quarantined,
            file=file.key,
            contract=self._contract,
        )
        generation = plan_generation(self._source, result.schema, self._ttl_attribute, self._contract)
        self._made.setdefault(generation.name, []).append(output.store(generation, file.index, result.converted))
        self.statistics = self.statistics.merge(result.scanned.statistics)
        return result.scanned.digest

    def _remove(self, generation_name: str) -> None:
        partition = partition_of(self._source.summary)
        for folder in (partition, f"quarantine/{partition}"):
            shutil.rmtree(self._staging.path(f"{folder}/{generation_name}"), ignore_errors=True)
            _remove_if_empty(self._staging.path(folder), self._staging.folder)


def _remove_if_empty(folder: Path, top: Path) -> None:
    while folder != top and folder.exists() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
