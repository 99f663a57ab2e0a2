"""A local folder as a place for objects: downloaded exports, output of the command line, tests without a network."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from ddb_export.aws.errors import ObjectMissingError, PreconditionFailedError
from ddb_export.aws.stored import Stored, StoredContent
from ddb_export.exceptions import NotReachableError, PermissionDeniedError, UsageError

_TEMPORARY = ".ddb_export-"


class LocalObjectStore:
    """An :class:`~ddb_export.aws.object_store.ObjectStore` over the files below a folder.

    Files are written beside their final name and renamed into place. Conditional writes hold among processes of one
    machine; on a network file system they hold as far as that system's locks and links do.

    :param folder: the folder; it need not exist before the first write.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder).absolute()

    def uri(self, key: str = "") -> str:
        """Return the absolute path."""
        return str(self.folder / key) if key else str(self.folder)

    def path(self, key: str) -> Path:
        """Return the file of a key.

        :raises UsageError: the key would leave the folder.
        """
        if key.startswith("/") or ".." in PurePosixPath(key).parts or "\0" in key:
            raise UsageError(repr(key), f"it does not lie below {self.folder}", "give a key below the folder")
        return self.folder / key

    def now(self) -> datetime:
        """See :meth:`ObjectStore.now <ddb_export.aws.object_store.ObjectStore.now>`."""
        return datetime.now(UTC).replace(microsecond=0)

    def read(self, key: str) -> StoredContent:
        """See :meth:`ObjectStore.read <ddb_export.aws.object_store.ObjectStore.read>`."""
        with self._errors(key):
            content = self.path(key).read_bytes()
        return StoredContent(content, _etag(content))

    def open(self, key: str) -> BinaryIO:
        """See :meth:`ObjectStore.open <ddb_export.aws.object_store.ObjectStore.open>`."""
        with self._errors(key):
            return self.path(key).open("rb")

    def stat(self, key: str) -> Stored:
        """See :meth:`ObjectStore.stat <ddb_export.aws.object_store.ObjectStore.stat>`; there is no ETag."""
        path = self.path(key)
        with self._errors(key):
            status = path.stat()
        if not path.is_file():
            raise _missing(str(path))
        return Stored(key, status.st_size, None)

    def list_objects(self, prefix: str = "", *, start_after: str = "") -> Iterator[Stored]:
        """See :meth:`ObjectStore.list_objects <ddb_export.aws.object_store.ObjectStore.list_objects>`."""
        for entry in self._entries(prefix.rpartition("/")[0], prefix):
            if entry.is_folder:
                if start_after < entry.key or start_after.startswith(entry.key):
                    yield from self.list_objects(entry.key, start_after=start_after)
            elif entry.key > start_after:
                yield entry

    def list_folder(self, folder: str = "", *, start_after: str = "") -> Iterator[Stored]:
        """See :meth:`ObjectStore.list_folder <ddb_export.aws.object_store.ObjectStore.list_folder>`."""
        folder = folder.rstrip("/")
        for entry in self._entries(folder, f"{folder}/" if folder else ""):
            if entry.key > start_after:
                yield entry

    def put_if_absent(self, key: str, content: bytes, *, content_type: str = "application/json") -> str:
        """See :meth:`ObjectStore.put_if_absent <ddb_export.aws.object_store.ObjectStore.put_if_absent>`."""
        with self._errors(key), self._written(key, content) as temporary:
            try:
                os.link(temporary, self.path(key))
            except FileExistsError:
                raise self._refused(key, "there is a file of this name") from None
        return _etag(content)

    def put_if_match(self, key: str, content: bytes, etag: str, *, content_type: str = "application/json") -> str:
        """See :meth:`ObjectStore.put_if_match <ddb_export.aws.object_store.ObjectStore.put_if_match>`."""
        with self._errors(key), self._lock(), self._written(key, content) as temporary:
            path = self.path(key)
            if not path.is_file() or _etag(path.read_bytes()) != etag:
                raise self._refused(key, "it has changed since it was read")
            temporary.replace(path)
        return _etag(content)

    def put(self, key: str, content: bytes, *, content_type: str = "application/json") -> str:
        """See :meth:`ObjectStore.put <ddb_export.aws.object_store.ObjectStore.put>`."""
        with self._errors(key), self._written(key, content) as temporary:
            temporary.replace(self.path(key))
        return _etag(content)

    def put_file(self, key: str, file: Path, *, content_type: str = "application/octet-stream") -> None:
        """See :meth:`ObjectStore.put_file <ddb_export.aws.object_store.ObjectStore.put_file>`."""
        with self._errors(key), self._written(key, b"") as temporary:
            _link_or_copy(file, temporary)
            temporary.replace(self.path(key))

    def delete(self, key: str) -> None:
        """See :meth:`ObjectStore.delete <ddb_export.aws.object_store.ObjectStore.delete>`."""
        with self._errors(key):
            self.path(key).unlink(missing_ok=True)

    def _entries(self, folder: str, prefix: str) -> list[Stored]:
        """What lies in a folder and begins with the prefix, in S3's order (``a.txt`` before ``a/`` before ``a0``)."""
        found = []
        with self._errors(folder):
            try:
                scan = os.scandir(self.path(folder))
            except (FileNotFoundError, NotADirectoryError):
                return []
            with scan:
                for entry in scan:
                    key = f"{folder}/{entry.name}" if folder else entry.name
                    if entry.name.startswith(_TEMPORARY):
                        continue
                    if entry.is_dir():
                        found.append(Stored(f"{key}/", 0, None))
                    elif entry.is_file():
                        found.append(Stored(key, entry.stat().st_size, None))
        matching = [each for each in found if each.key.startswith(prefix) or prefix.startswith(each.key)]
        return sorted(matching, key=lambda each: each.key.encode("utf-8", "surrogateescape"))

    @contextmanager
    def _written(self, key: str, content: bytes) -> Iterator[Path]:
        path = self.path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=_TEMPORARY, dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            umask = os.umask(0)
            os.umask(umask)
            Path(name).chmod(0o666 & ~umask)
            yield Path(name)
        finally:
            Path(name).unlink(missing_ok=True)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        import fcntl

        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{_TEMPORARY}lock").open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _refused(self, key: str, cause: str) -> PreconditionFailedError:
        return PreconditionFailedError(self.uri(key), cause, "read what is there now and decide again")

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise translate_os_error(error, self.uri(key)) from error


def _link_or_copy(file: Path, target: Path) -> None:
    """Give the file a second name, which costs nothing; copy it where that cannot be (another file system)."""
    target.unlink()
    try:
        os.link(file, target)
    except OSError:
        shutil.copyfile(file, target)


def translate_os_error(error: OSError, thing: str) -> NotReachableError:
    """Return one of our errors for one of the operating system's; ``thing`` is the path that it is about."""
    cause = error.strerror or str(error)
    if isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError):
        return _missing(thing)
    if isinstance(error, PermissionError):
        return PermissionDeniedError(thing, cause, "give this user the permission on the file and its folders")
    if error.errno == errno.ENOSPC:
        return NotReachableError(thing, cause, "free some space, or write to another place")
    return NotReachableError(thing, cause, "check the disk and the path")


def _missing(thing: str) -> ObjectMissingError:
    return ObjectMissingError(thing, "there is no such file", "check the path, or copy what is missing to this place")


def _etag(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
