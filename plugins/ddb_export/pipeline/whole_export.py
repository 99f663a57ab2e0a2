"""A whole export verified and converted in one go, by one process: what ``ddb-export convert`` does."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ddb_export.aws.object_store import LocalObjectStore, ObjectMissingError, ObjectStore
from ddb_export.domain.contract import NO_CONTRACT, Contract, OnViolation
from ddb_export.domain.schema import SchemaDocument
from ddb_export.exceptions import PermissionDeniedError
from ddb_export.pipeline.conversion import (
    JSON_LINES,
    PARQUET,
    ConvertedPart,
    ExportSource,
    Generation,
    Published,
    convert_files,
    plan_generation,
    publish_generation,
)
from ddb_export.pipeline.location import ExportLocation
from ddb_export.pipeline.one_pass import ConvertingReader, ScanningReader
from ddb_export.pipeline.staging import StagedFolder, require_writable, staged
from ddb_export.pipeline.verification import Progress, VerificationReport, read_manifests, verify_export

Phases = Callable[[str, int], Progress]
"""Called at the beginning of each phase with its name and the number of files; returns what is told of the work."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the partition goes: a place and a folder in it.

    :param store: a bucket, or a local file system.
    :param root: key of the folder, without slashes at its ends; empty for the place itself.
    """

    store: ObjectStore
    root: str

    @property
    def local_folder(self) -> Path | None:
        """The folder, if the place is local."""
        return self.store.path(self.root) if isinstance(self.store, LocalObjectStore) else None

    def uri(self, path: str) -> str:
        """Return the name of an output file for people, complete."""
        return self.store.uri(f"{self.root}/{path}" if self.root else path)

    def require_reachable(self) -> None:
        """Find out early, before much is read, that nothing can be written there.

        Who may only write to a bucket passes: listing is not needed for the work.

        :raises NotReachableError: there is no such bucket, or it cannot be reached, or the folder is not writable.
        :raises UsageError: it is a local file.
        """
        if self.local_folder is not None:
            require_writable(self.local_folder)
            return
        with suppress(PermissionDeniedError):
            next(iter(self.store.list_objects(f"{self.root}/" if self.root else "")), None)


@dataclass(frozen=True, slots=True)
class ConversionResult:
    """What became of an export.

    :param report: the verification; if it is not ok, nothing was written and the rest is None.
    :param schema: the columns.
    :param published: what readers see now.
    """

    report: VerificationReport
    schema: SchemaDocument | None = None
    published: Published | None = None


STAGED_BYTES = 4 << 30
"""Largest billed size (uncompressed bytes) of an export that is staged on local disk on its way to a bucket."""


def convert_export(
    store: ObjectStore,
    location: ExportLocation,
    destination: Destination,
    *,
    ttl_attribute: str | None = None,
    contract: Contract = NO_CONTRACT,
    keys: Sequence[str] = (),
    phases: Phases = lambda _name, _files: lambda _files, _bytes, _rows: None,
) -> ConversionResult:
    """Verify an export, and if it holds, convert it; run again it ends in the same files.

    Each data file is read once where the output can be staged on local disk; the files are the same either way. Everything is made
    again each time, so that a second run also restores what was damaged or removed meanwhile.

    :param store: the place that holds the export; ``location`` its folder there.
    :param ttl_attribute: name of the table's TTL attribute, if it has one.
    :param contract: what is fixed about the columns, with the key of its hashes.
    :param keys: names of the table's key attributes, which get columns first; changes tell them, full exports do not.
    :raises ConfigurationError: the contract hashes values, and has no key.
    :raises ConversionError: a value does not fit and the contract says ``fail``, or more is quarantined than it allows.
    :raises UsageError: the export's format is ION, or the destination is no folder.
    :raises NotReachableError: a place cannot be reached, read or written.
    """
    _ = contract.version  # refuses hashes without a key before much is read
    manifests = read_manifests(store, location)
    source = None if manifests.findings else ExportSource(store, manifests)  # refuses ION before much is read
    destination.require_reachable()
    if source is None:
        return ConversionResult(verify_export(store, manifests, progress=phases("verify", len(manifests.files))))
    conversion = _Conversion(source, destination, ttl_attribute, contract, phases, tuple(keys))
    if contract.on_violation is OnViolation.FAIL:
        return conversion.in_two_passes()  # what fits is known after the scan
    if destination.local_folder is not None:
        with staged(destination.local_folder) as staging:
            return conversion.in_one_pass(staging.content, staging.work, staging)
    with TemporaryDirectory(prefix="ddb_export-") as folder:
        content, work = Path(folder) / "content", Path(folder) / "work"
        if (source.summary.billed_bytes or 0) > min(STAGED_BYTES, shutil.disk_usage(folder).free // 2):
            return conversion.in_two_passes()
        content.mkdir()
        work.mkdir()
        return conversion.in_one_pass(content, work, None)


@dataclass(frozen=True, slots=True)
class _Conversion:
    """What is converted, and to where."""

    source: ExportSource
    destination: Destination
    ttl_attribute: str | None
    contract: Contract
    phases: Phases
    keys: tuple[str, ...] = ()

    def in_one_pass(self, content: Path, work: Path, staging: StagedFolder | None) -> ConversionResult:
        target = LocalObjectStore(content)
        reader = ConvertingReader(self.source, target, work, self.ttl_attribute, self.contract, keys=self.keys)
        report = self._verify(reader, "convert")
        if not report.ok:
            return ConversionResult(report)
        generation = self._generation(reader)
        again = reader.missing(generation)
        parts = self._within_limit(reader.finish(generation, self.phases("again", len(again)) if again else None))
        if staging is not None:
            published = publish_generation(self.source, generation, parts, LocalObjectStore(content))
            staging.reveal(generation.partition, generation.name)
        else:
            self._upload(content)
            published = publish_generation(
                self.source, generation, parts, self.destination.store, self.destination.root
            )
        return ConversionResult(report, generation.schema, published)

    def in_two_passes(self) -> ConversionResult:
        reader = ScanningReader(self.source, self.keys)
        report = self._verify(reader, "scan")
        if not report.ok:
            return ConversionResult(report)
        generation = self._generation(reader)
        published = self._convert(generation, self.phases("convert", len(self.source.chosen(None))))
        return ConversionResult(report, generation.schema, published)

    def _verify(self, reader: ScanningReader, phase: str) -> VerificationReport:
        manifests = self.source.manifests
        progress = self.phases(phase, len(manifests.files))
        return verify_export(self.source.store, manifests, progress=progress, read=reader.read)

    def _generation(self, reader: ScanningReader) -> Generation:
        schema = SchemaDocument().extend(reader.statistics, contract=self.contract)
        return plan_generation(self.source, schema, self.ttl_attribute, self.contract)

    def _within_limit(self, parts: Sequence[ConvertedPart]) -> Sequence[ConvertedPart]:
        quarantined = sum(part.quarantined for part in parts)
        lines = quarantined + sum(part.rows for part in parts)
        self.contract.require_quarantine(self.source.summary.export_arn or "export", quarantined, lines)
        return parts

    def _convert(self, generation: Generation, progress: Progress) -> Published:
        folder = self.destination.local_folder
        if folder is None:
            target, root = self.destination.store, self.destination.root
            parts = self._within_limit(convert_files(self.source, generation, target, root, progress=progress))
            return publish_generation(self.source, generation, parts, target, root)
        with staged(folder) as staging:
            target = LocalObjectStore(staging.content)
            made = convert_files(self.source, generation, target, work_folder=staging.work, progress=progress)
            parts = self._within_limit(made)
            published = publish_generation(self.source, generation, parts, target)
            staging.reveal(generation.partition, generation.name)
        return published

    def _upload(self, content: Path) -> None:
        """Put staged files to the destination; readers see none of them before ``_live.json``."""
        root = f"{self.destination.root}/" if self.destination.root else ""
        for file in sorted(each for each in content.rglob("*") if each.is_file()):
            content_type = PARQUET if file.suffix == ".parquet" else JSON_LINES
            key = root + file.relative_to(content).as_posix()
            if not self._is_there(key, file):
                self.destination.store.put_file(key, file, content_type=content_type)

    def _is_there(self, key: str, file: Path) -> bool:
        """Tell whether the bucket is known to hold this very file: its ETag is the file's MD5, as it is without KMS and parts."""
        try:
            stored = self.destination.store.stat(key)
        except (ObjectMissingError, PermissionDeniedError):
            return False  # who may only write, writes it
        with file.open("rb") as content:
            return stored.etag == hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
