"""Places that hold objects by key: an S3 bucket or a local folder, behind one small protocol.

A *key* is a path with ``/`` between its parts and none at its beginning, as in S3; keys are relative to the bucket or to the
folder. Whoever reads exports, keeps the ledger or writes the lake works with :class:`ObjectStore` and need not know which
of the two it is. Memory stays small whatever the size of an object: only :meth:`ObjectStore.read` and the conditional
writes hold a whole object, and they are for manifests and ledger entries.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import unquote

from ddb_export.aws.errors import ObjectMissingError, PreconditionFailedError
from ddb_export.aws.local_object_store import LocalObjectStore
from ddb_export.aws.s3_object_store import S3ObjectStore
from ddb_export.aws.stored import Stored, StoredContent
from ddb_export.exceptions import UsageError

__all__ = [
    "LocalObjectStore",
    "ObjectMissingError",
    "ObjectStore",
    "Place",
    "PreconditionFailedError",
    "S3ObjectStore",
    "Stored",
    "StoredContent",
    "parse_place",
]


class ObjectStore(Protocol):
    """What both kinds of place promise.

    Each method may raise :class:`NotReachableError` (no such bucket, no network, an input or output error) and
    :class:`PermissionDeniedError`; the message names the object by its URI.
    """

    def uri(self, key: str = "") -> str:
        """Return the name of an object (or of the whole place) for people: ``s3://bucket/key`` or an absolute path."""
        ...

    def now(self) -> datetime:
        """Return the present by the clock that dates what is written here: S3's own, in UTC and whole seconds; of a folder this machine's."""
        ...

    def read(self, key: str) -> StoredContent:
        """Return an object's bytes and ETag.

        :raises ObjectMissingError: there is none.
        """
        ...

    def open(self, key: str) -> BinaryIO:
        """Open an object for reading from its beginning to its end; the caller closes it.

        A connection that drops in the middle is made again from the byte where it dropped (a ranged GET that insists
        on the same ETag), so that the reader sees one unbroken stream of one version of the object.

        :raises ObjectMissingError: there is none.
        """
        ...

    def stat(self, key: str) -> Stored:
        """Return an object's size in bytes, and its ETag where the place keeps one.

        :raises ObjectMissingError: there is none.
        """
        ...

    def list_objects(self, prefix: str = "", *, start_after: str = "") -> Iterator[Stored]:
        """Yield every object whose key begins with ``prefix``, in the order of their keys.

        :param prefix: need not end at a ``/``.
        :param start_after: leave out keys up to and including this one.
        """
        ...

    def list_folder(self, folder: str = "", *, start_after: str = "") -> Iterator[Stored]:
        """Yield what lies directly in a folder: its objects, and its folders as entries whose key ends with ``/``.

        :param folder: key prefix, with or without a final ``/``; empty for the place itself.
        :param start_after: a full key; leave out entries up to and including it.
        """
        ...

    def put_if_absent(self, key: str, content: bytes, *, content_type: str = "application/json") -> str:
        """Write an object only if there is none of this key (S3: ``If-None-Match: *``).

        :return: the ETag, for :meth:`put_if_match`.
        :raises PreconditionFailedError: there is one; nothing was written. See there for one trap.
        """
        ...

    def put_if_match(self, key: str, content: bytes, etag: str, *, content_type: str = "application/json") -> str:
        """Replace an object only if it still has this ETag (S3: ``If-Match``).

        :return: the new ETag.
        :raises PreconditionFailedError: it has another, or is gone; nothing was written. See there for one trap.
        """
        ...

    def put(self, key: str, content: bytes, *, content_type: str = "application/json") -> str:
        """Write an object, replacing what is there; readers see the old or the new one whole.

        :return: the ETag.
        """
        ...

    def put_file(self, key: str, file: Path, *, content_type: str = "application/octet-stream") -> None:
        """Write a local file as an object, in parts if it is large, replacing what is there; visible only when whole."""
        ...

    def delete(self, key: str) -> None:
        """Delete an object; it is no error if there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """A URI taken apart.

    :param bucket: name of the S3 bucket; None for a local path.
    :param path: the key below the bucket without a final slash, or the absolute local path. A key may begin with
        a slash: S3 takes it for a folder without a name.
    """

    bucket: str | None
    path: str


def parse_place(uri: str) -> Place:
    """Read a URI that a person wrote: ``s3://bucket/key``, ``file:///path``, or a local path.

    ``s3a://`` and ``s3n://``, as Spark and Hadoop write them, mean S3 too.

    :raises UsageError: it is empty, has another scheme, or no bucket.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        if not uri.strip():
            raise UsageError("URI", "it is empty", "give a local path or s3://bucket/prefix")
        return Place(None, str(Path(uri).expanduser().absolute()))
    if scheme == "file":
        return Place(None, str(Path("/" + unquote(rest).lstrip("/")).absolute()))
    if scheme not in ("s3", "s3a", "s3n"):
        raise UsageError(uri, f"{scheme}:// is not supported", "give a local path or s3://bucket/prefix")
    bucket, _, key = rest.partition("/")
    if not bucket:
        raise UsageError(uri, "it names no bucket", "write s3://bucket/prefix")
    return Place(bucket, key.rstrip("/"))
