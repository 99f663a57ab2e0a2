"""An export as a source: its manifests read and checked, its data files found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ddb_export.aws.object_store import ObjectMissingError, ObjectStore
from ddb_export.domain.export import ExportFormat
from ddb_export.domain.manifest import (
    CHECKSUM_SUFFIXES,
    COPY_AGAIN,
    EXPORT_ID,
    FILES,
    Finding,
    ManifestFile,
    ManifestSummary,
    Md5State,
    check_counts,
    check_md5,
    path_below_exports,
    read_files,
    read_summary,
)
from ddb_export.exceptions import PermissionDeniedError, UsageError, VerificationError
from ddb_export.pipeline.location import ExportLocation


@dataclass(frozen=True, slots=True)
class ExportManifests:
    """An export's two manifests, as read.

    :param summary: None if it is missing or no JSON object.
    :param findings: what is wrong with the manifests themselves, and between them.
    :param md5: ``wrong`` if one of the two differs from its checksum file, ``absent`` if one has none, else ``ok``.
    """

    location: ExportLocation
    summary: ManifestSummary | None
    files: tuple[ManifestFile, ...]
    findings: tuple[Finding, ...]
    md5: Md5State

    def data_key(self, file: ManifestFile) -> str | None:
        """Return the key at which a data file lies in the store; None if the manifest puts it nowhere sensible."""
        summary = self.summary
        path = path_below_exports(file.key, summary.prefix if summary else None)
        export_id = summary.export_id if summary else None
        folder = path.partition("/")[0] if path else ""
        if not path or (export_id and folder != export_id and EXPORT_ID.fullmatch(folder)):
            return None  # elsewhere, or in the folder of another export
        return self.location.key(path, export_id)


@dataclass(frozen=True, slots=True)
class ExportSource:
    """An export that can be read: its place and its manifests.

    :raises VerificationError: the manifests are damaged.
    :raises UsageError: its format is ION.
    """

    store: ObjectStore
    manifests: ExportManifests

    def __post_init__(self) -> None:
        if self.manifests.findings:
            raise finding_error(self.manifests.findings)
        require_convertible(self)

    @property
    def summary(self) -> ManifestSummary:
        """The export's summary."""
        if self.manifests.summary is None:
            raise VerificationError(self.manifests.location.folder, "it has no summary", "export again")
        return self.manifests.summary

    def chosen(self, indexes: Iterable[int] | None) -> list[ManifestFile]:
        """Return the data files of these places in the manifest that hold items; all for None."""
        wanted = None if indexes is None else frozenset(indexes)
        return [file for file in self.manifests.files if file.item_count and (wanted is None or file.index in wanted)]

    def key(self, file: ManifestFile) -> str:
        """Return the key of a data file in the store."""
        key = self.manifests.data_key(file)
        if key is None:
            raise VerificationError(file.key, "it does not lie below its export's folder", "export again")
        return key


def require_convertible(source: ExportSource) -> None:
    """Refuse an export that can be verified but not converted.

    :raises UsageError: its format is ION.
    """
    if source.summary.output_format is ExportFormat.ION:
        thing = source.store.uri(source.manifests.location.summary_key)
        raise UsageError(thing, "its format is ION, which is not converted", "export again as DYNAMODB_JSON")


def read_manifests(store: ObjectStore, location: ExportLocation) -> ExportManifests:
    """Read both manifests and their checksums, and check them against each other.

    :raises NotReachableError: the place cannot be reached or read; a missing manifest is a finding.
    """
    content, md5, findings = _read_checked(store, location.summary_key)
    summary = None
    if content is not None:
        summary, found = read_summary(content, store.uri(location.summary_key))
        findings += found
    if summary is None:
        return ExportManifests(location, None, (), tuple(findings), md5)
    path = path_below_exports(summary.manifest_files_key or "", summary.prefix)
    key = location.key(path or f"{summary.export_id}/{FILES}", summary.export_id)
    content, files_md5, found = _read_checked(store, key)
    findings += found
    files: list[ManifestFile] = []
    if content is not None:
        files, found = read_files(content, store.uri(key))
        findings += [*found, *check_counts(summary, files, store.uri(key))]
    states = {md5, files_md5}
    state: Md5State = "wrong" if "wrong" in states else "absent" if "absent" in states else "ok"
    return ExportManifests(location, summary, tuple(files), tuple(findings), state)


def finding_error(findings: Sequence[Finding]) -> VerificationError:
    """Return the error for findings: the first in full, the rest as a number."""
    first = findings[0]
    more = f" (and {len(findings) - 1} more findings)" if len(findings) > 1 else ""
    return VerificationError(first.file, first.cause + more, first.remedy)


def _read_checked(store: ObjectStore, key: str) -> tuple[bytes | None, Md5State, list[Finding]]:
    """Read a manifest and compare it with its checksum file."""
    uri = store.uri(key)
    try:
        content = store.read(key).content
    except ObjectMissingError:
        remedy = "wait until the export is COMPLETED, or copy it to this place"
        return None, "absent", [Finding(uri, "there is no such file", remedy)]
    state = check_md5(content, _read_checksum(store, key))
    if state == "wrong":
        return content, state, [Finding(uri, "its MD5 is not the one in its checksum file", COPY_AGAIN)]
    return content, state, []


def _read_checksum(store: ObjectStore, key: str) -> bytes | None:
    for suffix in CHECKSUM_SUFFIXES:
        try:
            return store.read(key.removesuffix(".json") + suffix).content
        except (ObjectMissingError, PermissionDeniedError):
            # S3 answers 403 for a missing object too, to whoever may not list the bucket.
            continue
    return None
