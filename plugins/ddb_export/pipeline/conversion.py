"""Conversion of a verified export into one partition of the lake: scan, schema, convert, publish.

Each step is a function of its own, so that mapped tasks can share the data files of an export and one command can do all of it.
What is read is compared with the manifest's MD5 once more on the way, so that what was converted is what was verified. Names
follow from the manifest alone: who converted which file, and how often, changes nothing.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddb_export.aws.object_store import ObjectMissingError, ObjectStore
from ddb_export.domain.contract import NO_CONTRACT, Contract
from ddb_export.domain.entities import found_json
from ddb_export.domain.export import ExportType
from ddb_export.domain.layout import LIVE, changes_partition, generation, part_name, snapshot_partition
from ddb_export.domain.manifest import ManifestFile, ManifestSummary
from ddb_export.domain.redaction import NOTHING, Redaction
from ddb_export.domain.schema import SchemaDocument
from ddb_export.domain.statistics import ExportStatistics
from ddb_export.exceptions import PermissionDeniedError, VerificationError
from ddb_export.pipeline.source import ExportSource
from ddb_export.pipeline.verification import Progress, watched

if TYPE_CHECKING:
    from ddb_export.conversion.parquet import ConvertedFile

__all__ = [
    "ConvertedPart",
    "ExportSource",
    "Generation",
    "Output",
    "Published",
    "convert_files",
    "partition_of",
    "plan_generation",
    "publish_generation",
    "scan_files",
]

PARQUET = "application/vnd.apache.parquet"
JSON_LINES = "application/x-ndjson"


@dataclass(frozen=True, slots=True)
class Generation:
    """What a partition is to be made of.

    :param export_arn: the export.
    :param partition: path of the partition below the table's folder.
    :param schema: its columns.
    :param ttl_attribute: name of the table's TTL attribute, if it has one; used for changes only.
    :param contract: what is dropped and hashed, and what becomes of values that do not fit.
    """

    export_arn: str
    partition: str
    schema: SchemaDocument
    ttl_attribute: str | None = None
    contract: Contract = NO_CONTRACT

    @property
    def converter_version(self) -> str:
        """Everything besides export and schema that decides what the files hold.

        :raises ConfigurationError: the contract hashes values, and has no key: another key makes another generation.
        """
        from ddb_export.conversion.parquet import CONVERTER_VERSION

        version = f"{CONVERTER_VERSION}{self.contract.version}"
        return f"{version}+ttl={self.ttl_attribute}" if self.ttl_attribute is not None else version

    @property
    def name(self) -> str:
        """Its name: a digest of what it is made of."""
        return generation(self.export_arn, self.schema.fingerprint, self.converter_version)

    @property
    def folder(self) -> str:
        """Path of its files below the table's folder."""
        return f"{self.partition}/{self.name}"

    @property
    def live_path(self) -> str:
        """Path of ``_live.json`` below the table's folder."""
        return f"{self.partition}/{LIVE}"

    def part(self, index: int, piece: int = 0) -> str:
        """Return the path of a file made from a data file; ``piece`` as in :func:`~ddb_export.domain.layout.part_name`."""
        return f"{self.folder}/{part_name(index, piece=piece)}"

    def quarantine(self, index: int) -> str:
        """Return the path of the lines of a data file that are no valid record."""
        return f"quarantine/{self.folder}/{part_name(index, 'jsonl')}"


@dataclass(frozen=True, slots=True)
class ConvertedPart:
    """What became of one data file.

    :param index: its place in the manifest.
    :param files: its Parquet files, ``(path below the table's folder, rows, bytes)``; none if no row came of it.
    :param rows: rows in them. :param bytes: their size.
    :param quarantined: lines that are no valid record.
    :param quarantine_path: path of the file that keeps them, below the table's folder.
    :param overflowed: attribute → rows whose value no column could hold exactly.
    :param first_written_at: earliest write, in microseconds since 1970 UTC; ``last_written_at`` the latest.
    :param entities: entity → columns that its rows have; None where the contract declares none.
    """

    index: int
    files: tuple[tuple[str, int, int], ...]
    rows: int
    bytes: int
    quarantined: int = 0
    quarantine_path: str | None = None
    overflowed: Mapping[str, int] | None = None
    first_written_at: int | None = None
    last_written_at: int | None = None
    entities: Mapping[str, Sequence[str]] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return one member per field."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ConvertedPart:
        """Read what :meth:`to_json` wrote."""
        files = tuple((path, int(rows), int(size)) for path, rows, size in document["files"])
        return cls(**{**document, "files": files})


@dataclass(frozen=True, slots=True)
class Published:
    """A generation that readers can see, as its ``_live.json`` says.

    :param files: its files in the manifest's order: ``(path below the table's folder, rows, bytes)``.
    :param redaction: what the contract took out. :param entities: which columns the rows of each entity have; None for none declared.
    """

    generation: str
    partition: str
    export_arn: str
    schema_fingerprint: str
    converter_version: str
    rows: int
    quarantined: int
    files: tuple[tuple[str, int, int], ...]
    redaction: Redaction = NOTHING
    entities: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``_live.json``; paths are relative to its folder."""
        from ddb_export import __version__

        return {
            "generation": self.generation,
            "export_arn": self.export_arn,
            "schema_fingerprint": self.schema_fingerprint,
            "converter_version": self.converter_version,
            **({"redaction": redaction} if (redaction := self.redaction.to_json()) else {}),
            **({"entities": self.entities} if self.entities else {}),
            "created_by": f"ddb_export {__version__}",
            "rows": self.rows,
            "quarantined": self.quarantined,
            "files": [
                {"path": path.removeprefix(f"{self.partition}/"), "rows": rows, "bytes": size}
                for path, rows, size in self.files
            ],
        }


def partition_of(summary: ManifestSummary) -> str:
    """Return the path of an export's partition below the table's folder.

    :raises VerificationError: the summary lacks the times that name it.
    """
    if summary.export_type is ExportType.INCREMENTAL_EXPORT and summary.from_time and summary.to_time:
        return changes_partition(summary.from_time, summary.to_time)
    if summary.export_type is ExportType.FULL_EXPORT and summary.export_time:
        return snapshot_partition(summary.export_time)
    raise VerificationError(summary.export_arn or "export", "its manifest has no times", "export again")


def plan_generation(
    source: ExportSource, schema: SchemaDocument, ttl_attribute: str | None = None, contract: Contract = NO_CONTRACT
) -> Generation:
    """Name what an export becomes with these columns.

    :param ttl_attribute: name of the table's TTL attribute; without effect on a full export.
    :param contract: the one that the columns were made by.
    """
    incremental = source.summary.export_type is ExportType.INCREMENTAL_EXPORT
    return Generation(
        source.summary.export_arn or "",
        partition_of(source.summary),
        schema,
        ttl_attribute if incremental else None,
        contract,
    )


def scan_files(
    source: ExportSource, indexes: Iterable[int] | None = None, *, progress: Progress | None = None
) -> ExportStatistics:
    """Read data files and count what decides the columns.

    :param indexes: which, by their place in the manifest; None for all.
    :return: mergeable with the statistics of the other files, in any order.
    :raises VerificationError: a file is not the one that the manifest names.
    """
    from ddb_export.conversion.scan import scan_data_file

    parts = []
    for file in source.chosen(indexes):
        with source.store.open(source.key(file)) as stream:
            result = scan_data_file(watched(stream, progress), source.summary.export_type, file=file.key)
        _require_verified(source, file, result.digest.md5_base64, result.lines)
        parts.append(result.statistics)
        if progress:
            progress(1, 0, file.item_count)
    return ExportStatistics.merge_all(parts)


def convert_files(
    source: ExportSource,
    generation: Generation,
    target: ObjectStore,
    root: str = "",
    indexes: Iterable[int] | None = None,
    *,
    work_folder: Path | None = None,
    progress: Progress | None = None,
) -> list[ConvertedPart]:
    """Convert data files, one output file each; readers do not look at them before :func:`publish_generation`.

    :param target: the place of the lake; ``root`` the key of the table's folder in it, empty for the place itself.
    :param indexes: which, by their place in the manifest; None for all.
    :param work_folder: local folder for the one file that is in the making; None for the system's own.
    :return: one entry per data file that holds items, in the manifest's order.
    :raises VerificationError: a file is not the one that the manifest names.
    :raises ConversionError: a value does not fit its column, and the contract says ``fail``.
    """
    parts = []
    with tempfile.TemporaryDirectory(dir=work_folder) as work:
        for file in source.chosen(indexes):
            parts.append(_convert_file(source, generation, file, Output(target, root, Path(work)), progress))
            if progress:
                progress(1, 0, file.item_count)
    return parts


def publish_generation(
    source: ExportSource,
    generation: Generation,
    parts: Sequence[ConvertedPart],
    target: ObjectStore,
    root: str = "",
) -> Published:
    """Name a generation to readers: write ``_live.json`` after all its files.

    :param parts: what :func:`convert_files` returned for *all* data files, in any order. An export without any row
        gets one empty file, so that the partition has its columns.
    """
    written = [file for part in sorted(parts, key=lambda each: each.index) for file in part.files]
    if not written:
        written.append(_write_empty(source, generation, target, root))
    published = Published(
        generation.name,
        generation.partition,
        generation.export_arn,
        generation.schema.fingerprint,
        generation.converter_version,
        sum(part.rows for part in parts),
        sum(part.quarantined for part in parts),
        tuple(written),
        generation.contract.redaction,
        found_json(generation.contract.entities, [part.entities or {} for part in parts]),
    )
    content = (json.dumps(published.to_json(), ensure_ascii=False, indent=2) + "\n").encode()
    key = _join(root, generation.live_path)
    if _content(target, key) != content:
        target.put(key, content)
    return published


def _content(target: ObjectStore, key: str) -> bytes | None:
    try:
        return target.read(key).content
    except (ObjectMissingError, PermissionDeniedError):
        return None  # who may only write, writes it


@dataclass(frozen=True, slots=True)
class Output:
    """Where converted files go, and where they are made.

    :param target: the place; ``root`` the key of the table's folder in it. :param work: local folder.
    """

    target: ObjectStore
    root: str
    work: Path

    @property
    def in_the_making(self) -> tuple[Path, Path]:
        """The Parquet file, and the lines that are no valid record."""
        return self.work / "part.parquet", self.work / "part.jsonl"

    def store(self, generation: Generation, index: int, converted: ConvertedFile) -> ConvertedPart:
        """Put what was made of a data file to its place.

        :param index: the data file's place in the manifest.
        """
        from ddb_export.conversion.pieces import piece_path

        parquet, quarantined = self.in_the_making
        files = []
        for piece, (rows, size) in enumerate(converted.pieces if converted.rows else ()):
            files.append((generation.part(index, piece), rows, size))
            self._put(generation.part(index, piece), piece_path(parquet, piece), PARQUET)
        if converted.quarantined:
            self._put(generation.quarantine(index), quarantined, JSON_LINES)
        return ConvertedPart(
            index=index,
            files=tuple(files),
            rows=converted.rows,
            bytes=converted.bytes if converted.rows else 0,
            quarantined=converted.quarantined,
            quarantine_path=generation.quarantine(index) if converted.quarantined else None,
            overflowed=converted.overflowed,
            first_written_at=converted.first_written_at,
            last_written_at=converted.last_written_at,
            entities=converted.entities,
        )

    def _put(self, path: str, file: Path, content_type: str) -> None:
        self.target.put_file(_join(self.root, path), file, content_type=content_type)
        file.unlink()


def _convert_file(
    source: ExportSource, generation: Generation, file: ManifestFile, output: Output, progress: Progress | None
) -> ConvertedPart:
    from ddb_export.conversion.parquet import convert_data_file

    parquet, quarantined = output.in_the_making
    with source.store.open(source.key(file)) as stream:
        converted = convert_data_file(
            watched(stream, progress),
            export_type=source.summary.export_type,
            schema=generation.schema,
            table_id=source.summary.table_id or "",
            destination=parquet,
            ttl_attribute=generation.ttl_attribute,
            view=source.summary.output_view,
            quarantine_destination=quarantined,
            file=file.key,
            contract=generation.contract,
        )
    _require_verified(source, file, converted.digest.md5_base64, converted.rows + converted.quarantined)
    return output.store(generation, file.index, converted)


def _write_empty(source: ExportSource, generation: Generation, target: ObjectStore, root: str) -> tuple[str, int, int]:
    from ddb_export.conversion.parquet import convert_data_file

    path = generation.part(0)
    with tempfile.TemporaryDirectory() as work:
        parquet = Path(work) / "part.parquet"
        converted = convert_data_file(
            io.BytesIO(),
            export_type=source.summary.export_type,
            schema=generation.schema,
            table_id=source.summary.table_id or "",
            destination=parquet,
            view=source.summary.output_view,
        )
        target.put_file(_join(root, path), parquet, content_type=PARQUET)
    return path, 0, converted.bytes


def _require_verified(source: ExportSource, file: ManifestFile, md5: str, lines: int) -> None:
    if md5 == file.md5 and lines == file.item_count:
        return
    cause = "it is not the file that the manifest names: "
    cause += f"its MD5 is {md5}, not {file.md5}" if md5 != file.md5 else f"{lines} lines, not {file.item_count}"
    raise VerificationError(source.store.uri(source.key(file)), cause, "verify the export again")


def _join(root: str, path: str) -> str:
    return f"{root}/{path}" if root else path
