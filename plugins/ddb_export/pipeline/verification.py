"""Verification: an export's manifests and files agree with each other, and with what was asked.

Level ``bytes`` reads every data file: its MD5 is the manifest's, and it has as many lines as the manifest says. Level
``manifest`` is for who may list but not read the data: the MD5s of the manifests themselves, their counts, and of each
data file its presence, size and ETag from a listing. What does not hold becomes a finding with cause and remedy; only
a place that cannot be reached or read at all raises.
"""

from __future__ import annotations

import hashlib
import io
import threading
from base64 import b64encode
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

from ddb_export.aws.object_store import ObjectMissingError, ObjectStore, Stored
from ddb_export.domain.agreement import disagreements
from ddb_export.domain.export import ExportDescription, ExportRequest, ExportType
from ddb_export.domain.manifest import COPY_AGAIN, FILES, Finding, ManifestFile, etag_agrees
from ddb_export.domain.manifest_agreement import check_description, check_request
from ddb_export.domain.utc import iso
from ddb_export.exceptions import ConversionError
from ddb_export.pipeline.location import ExportLocation, locate_export
from ddb_export.pipeline.source import ExportManifests, finding_error, read_manifests

if TYPE_CHECKING:
    from ddb_export.conversion.data_file import DataFileDigest

__all__ = [
    "ExportLocation",
    "ExportManifests",
    "VerificationLevel",
    "VerificationReport",
    "VerifiedFile",
    "finding_error",
    "locate_export",
    "read_manifests",
    "verify_export",
    "verify_files",
]

Progress = Callable[[int, int, int], None]
"""Called from any thread with what was done since the last call: files, bytes read, rows of the files that are done."""

ReadFile = Callable[[ManifestFile, BinaryIO, str], "DataFileDigest"]
"""Reads a data file to its end for a purpose of its own, and returns its digest; the last argument is its name for people."""

_WORKERS = 8
_EMPTY_GZIP_BYTES = 20


class VerificationLevel(StrEnum):
    """How much was looked at."""

    BYTES = "bytes"
    MANIFEST = "manifest"


@dataclass(frozen=True, slots=True)
class VerifiedFile:
    """What was seen of one data file.

    :param index: its place in the manifest.
    :param bytes: compressed size; 0 if it is missing.
    :param lines: lines in it; None at level ``manifest``.
    :param etag_agrees: whether the place's ETag is one that the unchanged file can have; None where there is no ETag.
    :param findings: what does not hold.
    """

    index: int
    bytes: int
    lines: int | None
    etag_agrees: bool | None
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class VerificationReport:
    """The result of a verification.

    :param files: in the manifest's order.
    :param findings: everything that does not hold; none if the export is verified.
    """

    manifests: ExportManifests
    level: VerificationLevel
    files: tuple[VerifiedFile, ...]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether everything holds."""
        return not self.findings

    @property
    def bytes(self) -> int:
        """Compressed bytes of all data files."""
        return sum(each.bytes for each in self.files)

    def require_ok(self) -> None:
        """Raise if something does not hold.

        :raises VerificationError: it names the first finding, and how many more there are.
        """
        if self.findings:
            raise finding_error(self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return the report as ``ddb-export verify --json`` prints it; see ``docs/verify-and-convert.md``."""
        summary = self.manifests.summary
        full = summary is not None and summary.export_type is ExportType.FULL_EXPORT
        items = sum(each.item_count for each in self.manifests.files)
        return {
            "ok": self.ok,
            "export_arn": summary and summary.export_arn,
            "export_type": str(summary.export_type) if summary else None,
            "table_arn": summary and summary.table_arn,
            "table_id": summary and summary.table_id,
            "export_time": iso(summary.export_time) if summary and full and summary.export_time else None,
            "from": iso(summary.from_time) if summary and summary.from_time else None,
            "to": iso(summary.to_time) if summary and summary.to_time else None,
            "files": len(self.manifests.files),
            "items": summary.item_count if summary and summary.item_count is not None else items,
            "bytes": self.bytes,
            "level": str(self.level),
            "manifest_md5": self.manifests.md5,
            "errors": [each.to_json() for each in self.findings],
        }


def verify_export(
    store: ObjectStore,
    manifests: ExportManifests,
    *,
    level: VerificationLevel = VerificationLevel.BYTES,
    expected: ExportRequest | None = None,
    table_id: str | None = None,
    description: ExportDescription | None = None,
    progress: Progress | None = None,
    read: ReadFile | None = None,
) -> VerificationReport:
    """Verify a whole export.

    :param store: the place that holds it.
    :param manifests: what :func:`read_manifests` found there.
    :param expected: what was asked for, if known; every point is compared.
    :param table_id: TableId that the table must have had, if known; compared only with ``expected``.
    :param description: DescribeExport's answer, if known.
    :param read: reads the data files in place of a mere digest, so that other work needs no second read; then one file
        at a time, in the manifest's order. At level ``bytes`` only.
    :raises NotReachableError: the place cannot be reached or read.
    """
    findings = list(manifests.findings)
    file = store.uri(manifests.location.summary_key)
    if manifests.summary and expected:
        findings += check_request(manifests.summary, expected, table_id, file)
    if manifests.summary and description:
        findings += check_description(manifests.summary, description, file)
    if expected and description:
        remedy = "look for the export that was asked for, or export again"
        points = disagreements(expected, description, table_id)
        findings += [Finding(description.export_arn, str(point), remedy) for point in points]
    if read is not None and level is VerificationLevel.BYTES:
        files = [_verify_bytes(store, manifests, file, progress=progress, read=read) for file in manifests.files]
    else:
        files = verify_files(store, manifests, level=level, progress=progress)
    findings += [finding for each in files for finding in each.findings]
    return VerificationReport(manifests, level, tuple(files), tuple(findings))


def verify_files(
    store: ObjectStore,
    manifests: ExportManifests,
    *,
    level: VerificationLevel = VerificationLevel.BYTES,
    indexes: Iterable[int] | None = None,
    progress: Progress | None = None,
) -> list[VerifiedFile]:
    """Verify data files, several at a time, in memory that does not grow with their size.

    :param indexes: which, by their place in the manifest; None for all. So mapped tasks can share the work.
    :return: one entry a file, in the manifest's order.
    """
    chosen = None if indexes is None else frozenset(indexes)
    files = [each for each in manifests.files if chosen is None or each.index in chosen]
    if level is VerificationLevel.MANIFEST:
        return _verify_by_listing(store, manifests, files, progress)
    stop = threading.Event()

    def verify(file: ManifestFile) -> VerifiedFile:
        return _verify_bytes(store, manifests, file, progress=progress, stop=stop)

    results: list[VerifiedFile] = []
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="verify") as pool:
        try:
            results.extend(_in_turns(pool, verify, files))
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    return sorted(results, key=lambda each: each.index)


def _in_turns(
    pool: ThreadPoolExecutor, verify: Callable[[ManifestFile], VerifiedFile], files: Sequence[ManifestFile]
) -> Iterator[VerifiedFile]:
    """Yield results as they come, with few files waiting in the pool however many there are."""
    waiting: set[Future[VerifiedFile]] = set()
    for file in files:
        if len(waiting) >= 2 * _WORKERS:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (each.result() for each in done)
        waiting.add(pool.submit(verify, file))
    yield from (each.result() for each in waiting)


def _place(manifests: ExportManifests, file: ManifestFile) -> tuple[str | None, list[Finding]]:
    key = manifests.data_key(file)
    if key is not None:
        return key, []
    cause = "the manifest names a data file that does not lie below its export's folder"
    return None, [Finding(file.key, cause, COPY_AGAIN)]


def _missing(uri: str) -> Finding:
    return Finding(uri, f"{FILES} names it, but there is no such file", "copy it to this place, or export again")


def _verify_bytes(
    store: ObjectStore,
    manifests: ExportManifests,
    file: ManifestFile,
    *,
    progress: Progress | None,
    stop: threading.Event | None = None,
    read: ReadFile | None = None,
) -> VerifiedFile:
    key, findings = _place(manifests, file)
    if key is None:
        return VerifiedFile(file.index, 0, None, None, tuple(findings))

    def digest_stream(stream: BinaryIO, name: str) -> DataFileDigest:
        from ddb_export.conversion.data_file import digest_data_file

        seen = watched(stream, progress, stop)
        return read(file, seen, name) if read else digest_data_file(seen, file=name)

    try:
        digest = _digest(store, key, digest_stream)
    except ObjectMissingError:
        return VerifiedFile(file.index, 0, None, None, (_missing(store.uri(key)),))
    uri = store.uri(key)
    if digest.md5 != file.md5:
        cause = f"its MD5 is {digest.md5}, the manifest says {file.md5}"
        findings.append(Finding(uri, f"{cause}; {digest.damage}" if digest.damage else cause, COPY_AGAIN))
    elif digest.damage:
        findings.append(Finding(uri, digest.damage, "export again"))
    elif digest.lines != file.item_count:
        cause = f"it has {digest.lines} lines, the manifest says {file.item_count} items"
        findings.append(Finding(uri, cause, COPY_AGAIN))
    if progress:
        progress(1, 0, file.item_count)
    agrees = None if digest.etag is None else etag_agrees(digest.etag, file)
    return VerifiedFile(file.index, digest.size, digest.lines, agrees, tuple(findings))


class _Digest(NamedTuple):
    """What a data file's bytes say; ``damage`` is what is wrong with them as a gzip stream."""

    size: int
    md5: str
    lines: int | None
    etag: str | None
    damage: str | None


def _digest(store: ObjectStore, key: str, digest_stream: Callable[[BinaryIO, str], DataFileDigest]) -> _Digest:
    try:
        with store.open(key) as stream:
            etag = getattr(getattr(stream, "raw", None), "etag", None)
            digest = digest_stream(stream, store.uri(key))
        return _Digest(digest.bytes, digest.md5_base64, digest.lines, etag, None)
    except ConversionError as error:
        md5 = hashlib.md5(usedforsecurity=False)
        size = 0
        with store.open(key) as stream:
            while chunk := stream.read(1 << 20):
                md5.update(chunk)
                size += len(chunk)
        return _Digest(size, b64encode(md5.digest()).decode(), None, etag, error.cause)


class _Watched(io.RawIOBase):
    """Passes a stream on, tells how far it is, and ends it when the work was called off."""

    def __init__(self, stream: BinaryIO, progress: Progress | None, stop: threading.Event | None) -> None:
        self._stream = stream
        self._progress = progress
        self._stop = stop

    def read(self, size: int = -1, /) -> bytes:
        if self._stop is not None and self._stop.is_set():
            raise InterruptedError("called off")
        chunk = self._stream.read(size)
        if self._progress:
            self._progress(0, len(chunk), 0)
        return chunk


def watched(stream: BinaryIO, progress: Progress | None, stop: threading.Event | None = None) -> BinaryIO:
    """Return a stream that tells ``progress`` of each byte read, and fails once ``stop`` is set."""
    return cast("BinaryIO", _Watched(stream, progress, stop))


def _verify_by_listing(
    store: ObjectStore, manifests: ExportManifests, files: Sequence[ManifestFile], progress: Progress | None
) -> list[VerifiedFile]:
    placed = [(file, *_place(manifests, file)) for file in files]
    listed = _list_wanted(store, {key for _, key, _ in placed if key is not None})
    results = []
    for file, key, findings in placed:
        entry = listed.get(key) if key is not None else None
        if key is not None and entry is None:
            findings.append(_missing(store.uri(key)))
        if entry is None:
            results.append(VerifiedFile(file.index, 0, None, None, tuple(findings)))
        else:
            results.append(_compare_entry(store, file, entry))
        if progress:
            progress(1, 0, file.item_count)
    return results


def _list_wanted(store: ObjectStore, keys: set[str]) -> dict[str, Stored]:
    """List the folders of the wanted keys, from just before the first wanted one to the last."""
    by_folder: defaultdict[str, list[str]] = defaultdict(list)
    for key in keys:
        by_folder[key.rpartition("/")[0]].append(key)
    found: dict[str, Stored] = {}
    for folder, wanted in by_folder.items():
        last = max(wanted)
        for entry in store.list_objects(f"{folder}/", start_after=min(wanted)[:-1]):
            if entry.key in keys:
                found[entry.key] = entry
            if entry.key >= last:
                break
    return found


def _compare_entry(store: ObjectStore, file: ManifestFile, entry: Stored) -> VerifiedFile:
    uri = store.uri(entry.key)
    findings = []
    if file.item_count and entry.size <= _EMPTY_GZIP_BYTES:
        cause = f"it has {entry.size} bytes, too few for the {file.item_count} items that the manifest names"
        findings.append(Finding(uri, cause, COPY_AGAIN))
    agrees = None if entry.etag is None else etag_agrees(entry.etag, file)
    if agrees is False:
        cause = f"its ETag is {entry.etag}, the manifest says {file.etag}"
        findings.append(Finding(uri, cause, "verify at level bytes if it was copied here; else export again"))
    return VerifiedFile(file.index, entry.size, None, agrees, tuple(findings))
