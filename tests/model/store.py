"""S3 in memory: objects with ETags and conditional writes, and the view of it that one worker has."""

from __future__ import annotations

import bisect
import hashlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar

from ddb_export.aws.object_store import ObjectMissingError, PreconditionFailedError, Stored, StoredContent

T = TypeVar("T")

BUCKET = "lake"
_PAGE = 1000


class Caller(Protocol):
    """Who calls AWS: it may die, or be refused, at any call."""

    def call(self, service: str, operation: str, effect: Callable[[], T]) -> T:
        """Let a call take effect and return its answer."""
        ...


@dataclass
class Bucket:
    """The objects of a bucket, keys in S3's order."""

    objects: dict[str, StoredContent] = field(default_factory=dict)
    _keys: list[str] = field(default_factory=list)

    def put(self, key: str, content: bytes, etag: str | None = None) -> str:
        """Write an object; the ETag is its MD5 unless it was uploaded in parts."""
        etag = etag or hashlib.md5(content, usedforsecurity=False).hexdigest()
        if key not in self.objects:
            bisect.insort(self._keys, key)
        self.objects[key] = StoredContent(content, etag)
        return etag

    def delete(self, key: str) -> None:
        """Delete an object; it is no error if there is none."""
        if self.objects.pop(key, None):
            self._keys.remove(key)

    def get(self, key: str) -> StoredContent:
        """Return an object.

        :raises ObjectMissingError: there is none.
        """
        try:
            return self.objects[key]
        except KeyError:
            raise ObjectMissingError(uri(key), "there is no such object", "check the key", code="NoSuchKey") from None

    def listing(self, prefix: str, start_after: str = "") -> list[Stored]:
        """List objects by prefix."""
        found = []
        for key in self._keys[bisect.bisect_left(self._keys, prefix) :]:
            if not key.startswith(prefix):
                break
            if key > start_after:
                found.append(Stored(key, len(self.objects[key].content), self.objects[key].etag))
        return found

    def list_folder(self, folder: str, start_after: str = "") -> list[Stored]:
        """List a folder: its objects, and its folders with a final slash."""
        prefix = f"{folder.rstrip('/')}/" if folder else ""
        found: dict[str, Stored] = {}
        for each in self.listing(prefix):
            name, slash, _ = each.key[len(prefix) :].partition("/")
            entry = Stored(f"{prefix}{name}/", 0, None) if slash else each
            if entry.key > start_after:
                found.setdefault(entry.key, entry)
        return [found[key] for key in sorted(found, key=str.encode)]


@dataclass(frozen=True)
class StoreView:
    """The bucket as one worker sees it: an :class:`~ddb_export.aws.object_store.ObjectStore`."""

    bucket: Bucket
    caller: Caller
    clock: Callable[[], datetime]

    def now(self) -> datetime:
        return self._call("HeadBucket", self.clock).replace(microsecond=0)

    def uri(self, key: str = "") -> str:
        return uri(key)

    def read(self, key: str) -> StoredContent:
        return self._call("GetObject", lambda: self.bucket.get(key))

    def open(self, key: str) -> BinaryIO:
        return io.BytesIO(self._call("GetObject", lambda: self.bucket.get(key)).content)

    def stat(self, key: str) -> Stored:
        found = self._call("HeadObject", lambda: self.bucket.get(key))
        return Stored(key, len(found.content), found.etag)

    def list_objects(self, prefix: str = "", *, start_after: str = "") -> Iterator[Stored]:
        yield from self._pages("ListObjectsV2", lambda after: self.bucket.listing(prefix, after), start_after)

    def list_folder(self, folder: str = "", *, start_after: str = "") -> Iterator[Stored]:
        yield from self._pages("ListObjectsV2", lambda after: self.bucket.list_folder(folder, after), start_after)

    def put_if_absent(self, key: str, content: bytes, *, content_type: str = "application/json") -> str:
        def effect() -> str:
            if key in self.bucket.objects:
                raise _refused(key, "At least one of the pre-conditions you specified did not hold")
            return self.bucket.put(key, content)

        return self._call("PutObject", effect)

    def put_if_match(self, key: str, content: bytes, etag: str, *, content_type: str = "application/json") -> str:
        def effect() -> str:
            if key not in self.bucket.objects or self.bucket.objects[key].etag != etag:
                raise _refused(key, "it has another ETag")
            return self.bucket.put(key, content)

        return self._call("PutObject", effect)

    def put(self, key: str, content: bytes, *, content_type: str = "application/json") -> str:
        return self._call("PutObject", lambda: self.bucket.put(key, content))

    def put_file(self, key: str, file: Path, *, content_type: str = "application/octet-stream") -> None:
        content = file.read_bytes()
        self._call("PutObject", lambda: self.bucket.put(key, content))

    def delete(self, key: str) -> None:
        self._call("DeleteObject", lambda: self.bucket.delete(key))

    def _call(self, operation: str, effect: Callable[[], T]) -> T:
        return self.caller.call("s3", operation, effect)

    def _pages(self, operation: str, listing: Callable[[str], list[Stored]], after: str) -> Iterator[Stored]:
        while True:
            found = self._call(operation, lambda: listing(after))  # noqa: B023  # called at once
            yield from found[:_PAGE]
            if len(found) <= _PAGE:
                return
            after = found[_PAGE - 1].key


def uri(key: str) -> str:
    """Return the name of an object for people."""
    return f"s3://{BUCKET}/{key}"


def _refused(key: str, cause: str) -> PreconditionFailedError:
    return PreconditionFailedError(
        uri(key), cause, "read what is there now and decide again", code="PreconditionFailed"
    )
