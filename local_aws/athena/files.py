"""Which objects a table consists of: those below the locations that Glue's partitions really name.

A partitioned table's own location is never read. Sub-folders are read, too; files and folders whose name begins with
`_` or `.` are hidden, empty objects hold no rows (as Athena and Hive do).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from local_aws.athena.catalog import Partition, Place, Table
from local_aws.athena.errors import QueryFailed
from local_aws.athena.storage import Storage, StorageError, StoredObject, split_uri

_SYMLINK = "SymlinkTextInputFormat"


@dataclass(frozen=True)
class SourceFile:
    """One object to read: its URI, the values of its partition and the place that says how it is written."""

    uri: str
    values: tuple[str, ...]
    place: Place


def source_files(table: Table, partitions: list[Partition], storage: Storage) -> Iterator[SourceFile]:
    """The files of `table`: of the given partitions if it has partition keys, else of its own location.

    Raises QueryFailed if a location is no S3 URI, its bucket does not exist or may not be read by the account.
    """
    if not table.keys:
        partitions = [Partition((), table.place)]
    for partition in partitions:
        place = _effective(partition.place, table.place)
        for uri in _uris(place, storage):
            yield SourceFile(uri, partition.values, place)


def read_object(storage: Storage, uri: str) -> bytes:
    """The body of one file of a table; raises QueryFailed in Athena's words."""
    try:
        return storage.read(uri)
    except StorageError as error:
        raise storage_failure(error) from error


def storage_failure(error: StorageError) -> QueryFailed:
    """What Athena says when S3 refuses. ASSUMPTION: the words; that 403 and 404 fail the query is known."""
    if error.status == 403:
        return QueryFailed("PERMISSION_DENIED", f"Permission denied on S3 path: {error.uri}")
    if error.code == "NoSuchKey":
        return QueryFailed("HIVE_CANNOT_OPEN_SPLIT", f"Error opening Hive split {error.uri}: {error}")
    return QueryFailed("HIVE_FILESYSTEM_ERROR", str(error))


def _effective(place: Place, default: Place) -> Place:
    # A partition without a SerDe or input format of its own is read as its table is.
    return Place(
        location=place.location,
        serde=place.serde or default.serde,
        input_format=place.input_format or default.input_format,
        serde_parameters=place.serde_parameters or default.serde_parameters,
        columns=place.columns,
    )


def _uris(place: Place, storage: Storage) -> Iterator[str]:
    try:
        listed = [found.uri for found in _visible(place.location, storage)]
    except StorageError as error:
        raise storage_failure(error) from error
    if not place.input_format.endswith(_SYMLINK):
        yield from listed
        return
    for uri in listed:
        for line in read_object(storage, uri).decode().splitlines():
            if line.strip():
                yield line.strip()


def _visible(location: str, storage: Storage) -> Iterator[StoredObject]:
    try:
        bucket, key = split_uri(location)
    except ValueError as error:
        raise QueryFailed("HIVE_INVALID_METADATA", f"Location {error}") from error
    prefix = key if not key or key.endswith("/") else f"{key}/"
    root = f"s3://{bucket}/{prefix}"
    for found in storage.list_objects(root):
        inside = found.uri[len(root) :].split("/")
        if found.size and inside[-1] and not any(part.startswith(("_", ".")) for part in inside):
            yield found
