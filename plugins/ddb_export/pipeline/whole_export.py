"""A whole export verified and converted in one go, by one process: what ``ddb-export convert`` does."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ddb_export.aws.object_store import LocalObjectStore, ObjectStore
from ddb_export.domain.schema import SchemaDocument
from ddb_export.exceptions import PermissionDeniedError
from ddb_export.pipeline.conversion import (
    ExportSource,
    Generation,
    Published,
    convert_files,
    find_published,
    plan_generation,
    publish_generation,
    scan_files,
)
from ddb_export.pipeline.location import ExportLocation
from ddb_export.pipeline.staging import require_writable, staged
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


def convert_export(
    store: ObjectStore,
    location: ExportLocation,
    destination: Destination,
    *,
    ttl_attribute: str | None = None,
    phases: Phases = lambda _name, _files: lambda _files, _bytes: None,
) -> ConversionResult:
    """Verify an export, and if it holds, convert it; run again it ends in the same files.

    :param store: the place that holds the export; ``location`` its folder there.
    :param ttl_attribute: name of the table's TTL attribute, if it has one.
    :raises UsageError: the export's format is ION, or the destination is no folder.
    :raises NotReachableError: a place cannot be reached, read or written.
    """
    manifests = read_manifests(store, location)
    if not manifests.findings:
        ExportSource(store, manifests)  # refuses ION before much is read
    destination.require_reachable()
    count = len(manifests.files)
    report = verify_export(store, manifests, progress=phases("verify", count))
    if not report.ok:
        return ConversionResult(report)
    source = ExportSource(store, report.manifests)
    count = len(source.chosen(None))
    schema = SchemaDocument().extend(scan_files(source, progress=phases("scan", count)))
    generation = plan_generation(source, schema, ttl_attribute)
    published = find_published(generation, destination.store, destination.root)
    if published is None:
        published = _convert(source, generation, destination, phases("convert", count))
    return ConversionResult(report, schema, published)


def _convert(source: ExportSource, generation: Generation, destination: Destination, progress: Progress) -> Published:
    folder = destination.local_folder
    if folder is None:
        target, root = destination.store, destination.root
        parts = convert_files(source, generation, target, root, progress=progress)
        return publish_generation(source, generation, parts, target, root)
    with staged(folder) as staging:
        target = LocalObjectStore(staging.content)
        parts = convert_files(source, generation, target, work_folder=staging.work, progress=progress)
        published = publish_generation(source, generation, parts, target)
        staging.reveal(generation.partition, generation.name)
    return published
