"""The JSON documents of a ledger: read, listed, and written once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from ddb_export.aws.object_store import ObjectMissingError, PreconditionFailedError
from ddb_export.exceptions import LedgerError

if TYPE_CHECKING:
    from ddb_export.aws.object_store import ObjectStore

T = TypeVar("T")

_READERS = 16


class LedgerDocuments:
    """The folder of a ledger.

    Paths are relative to it. What cannot be read as what it should be raises :class:`LedgerError`, which names the object.

    :param store: the bucket. :param folder: key prefix of the folder, without a final slash.
    """

    def __init__(self, store: ObjectStore, folder: str) -> None:
        self.store = store
        self._folder = folder

    def uri(self, path: str = "") -> str:
        """Return a document's name for people."""
        return self.store.uri(f"{self._folder}/{path}")

    def read(self, path: str, parse: Callable[[Mapping[str, Any]], T]) -> T | None:
        """Return a document, None if there is none."""
        document, _ = self.read_with_etag(path)
        return None if document is None else self._parse(path, document, parse)

    def read_each(self, paths: Iterable[str], parse: Callable[[Mapping[str, Any]], T]) -> list[T]:
        """Return those of the documents that exist, side by side, in the order of their paths."""
        with ThreadPoolExecutor(_READERS) as readers:
            found = readers.map(lambda path: self.read(path, parse), list(paths))
            return [document for document in found if document is not None]

    def paths(self, prefix: str, *, start_after: str | None = None) -> Iterator[str]:
        """Yield the paths that begin with a prefix, in order.

        :param start_after: leave out paths up to and including this one.
        """
        after = f"{self._folder}/{start_after}" if start_after else ""
        for stored in self.store.list_objects(f"{self._folder}/{prefix}", start_after=after):
            yield stored.key.removeprefix(f"{self._folder}/")

    def exists_below(self, prefix: str) -> bool:
        """Tell whether any path begins with a prefix."""
        return next(iter(self.paths(prefix)), None) is not None

    def exist_below(self, prefixes: Iterable[str]) -> list[bool]:
        """Tell it of many prefixes, side by side, in their order."""
        with ThreadPoolExecutor(_READERS) as readers:
            return list(readers.map(self.exists_below, list(prefixes)))

    def read_with_etag(self, path: str) -> tuple[Any, str | None]:
        """Return a document as JSON with its ETag, for :meth:`replace`; None and None if there is none."""
        try:
            stored = self.store.read(f"{self._folder}/{path}")
        except ObjectMissingError:
            return None, None
        try:
            return json.loads(stored.content), stored.etag
        except ValueError as error:
            raise self._damaged(path, error) from error

    def put(self, path: str, document: Mapping[str, Any]) -> None:
        """Write a document, whatever is there."""
        self.store.put(f"{self._folder}/{path}", _encode(document))

    def put_once(self, path: str, document: Mapping[str, Any]) -> bool:
        """Write a document if there is none; tell whether what is there now is this one."""
        content = _encode(document)
        key = f"{self._folder}/{path}"
        try:
            self.store.put_if_absent(key, content)
        except PreconditionFailedError:
            return self.store.read(key).content == content
        return True

    def replace(self, path: str, document: Mapping[str, Any], etag: str | None) -> bool:
        """Write a document if what is there still has this ETag; tell whether what is there now is this one."""
        if etag is None:
            return self.put_once(path, document)
        content = _encode(document)
        key = f"{self._folder}/{path}"
        try:
            self.store.put_if_match(key, content, etag)
        except PreconditionFailedError:
            return self.store.read(key).content == content
        return True

    def _parse(self, path: str, document: Any, parse: Callable[[Mapping[str, Any]], T]) -> T:
        try:
            return parse(document)
        except (KeyError, TypeError, ValueError) as error:
            raise self._damaged(path, error) from error

    def _damaged(self, path: str, error: Exception) -> LedgerError:
        return LedgerError(
            self.uri(path),
            f"it is not what ddb_export writes ({type(error).__name__}: {error})",
            "restore the object's older version",
        )


def _encode(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()
