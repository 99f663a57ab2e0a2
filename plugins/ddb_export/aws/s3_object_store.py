"""An S3 bucket as a place for objects."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

from ddb_export.aws.answer_time import answer_time
from ddb_export.aws.errors import (
    ObjectMissingError,
    PreconditionFailedError,
    aws_errors,
)
from ddb_export.aws.stored import Stored, StoredContent
from ddb_export.exceptions import NotReachableError

READ_AHEAD = 256 * 1024
"""Bytes that a stream asks for at once; measured best for a gzip decoder behind it."""

_RESUME_DELAYS = (0.1, 0.5, 2.0, 5.0, 10.0)
"""Seconds to wait before each try to go on with a dropped stream; any progress begins the row anew."""


class S3ObjectStore:
    """An :class:`~ddb_export.aws.object_store.ObjectStore` over one bucket.

    :param client: a boto3 S3 client, with botocore's retries on.
    :param bucket: name of the bucket.
    :param expected_owner: account id that must own the bucket (sent as ``ExpectedBucketOwner``); None for no check.
    """

    def __init__(self, client: Any, bucket: str, expected_owner: str | None = None) -> None:
        self.client = client
        self.bucket = bucket
        self._owner = {"ExpectedBucketOwner": expected_owner} if expected_owner else {}

    def uri(self, key: str = "") -> str:
        """Return ``s3://bucket/key``."""
        return f"s3://{self.bucket}/{key}" if key else f"s3://{self.bucket}"

    def now(self) -> datetime:
        """See :meth:`ObjectStore.now <ddb_export.aws.object_store.ObjectStore.now>`; HeadBucket needs s3:ListBucket."""
        with aws_errors(self.uri()):
            return answer_time(self.client.head_bucket(Bucket=self.bucket, **self._owner))

    def read(self, key: str) -> StoredContent:
        """See :meth:`ObjectStore.read <ddb_export.aws.object_store.ObjectStore.read>`."""
        stream = self._open(key)
        with stream:
            return StoredContent(stream.read(), stream.etag)

    def open(self, key: str) -> BinaryIO:
        """See :meth:`ObjectStore.open <ddb_export.aws.object_store.ObjectStore.open>`."""
        return cast("BinaryIO", io.BufferedReader(self._open(key), READ_AHEAD))

    def stat(self, key: str) -> Stored:
        """See :meth:`ObjectStore.stat <ddb_export.aws.object_store.ObjectStore.stat>`."""
        with aws_errors(self.uri(key)):
            answer = self.client.head_object(Bucket=self.bucket, Key=key, **self._owner)
        return Stored(key, int(answer["ContentLength"]), _bare(answer["ETag"]))

    def list_objects(self, prefix: str = "", *, start_after: str = "") -> Iterator[Stored]:
        """See :meth:`ObjectStore.list_objects <ddb_export.aws.object_store.ObjectStore.list_objects>`."""
        for page in self._pages(prefix, start_after=start_after):
            yield from _objects(page)

    def list_folder(self, folder: str = "", *, start_after: str = "") -> Iterator[Stored]:
        """See :meth:`ObjectStore.list_folder <ddb_export.aws.object_store.ObjectStore.list_folder>`."""
        prefix = f"{folder.rstrip('/')}/" if folder else ""
        for page in self._pages(prefix, start_after=start_after, delimiter="/"):
            folders = [Stored(each["Prefix"], 0, None) for each in page.get("CommonPrefixes", ())]
            objects = [each for each in _objects(page) if each.key != prefix]
            yield from sorted([*folders, *objects], key=lambda each: each.key.encode())

    def put_if_absent(self, key: str, content: bytes, *, content_type: str = "application/json") -> str:
        """See :meth:`ObjectStore.put_if_absent <ddb_export.aws.object_store.ObjectStore.put_if_absent>`."""
        for delay in (0.1, 0.5, 2.0):
            try:
                return self._put(key, content, content_type, IfNoneMatch="*")
            except PreconditionFailedError as error:
                # Two writers at the same moment; AWS asks to send it again (S3, "Conditional writes").
                if error.code != "ConditionalRequestConflict":
                    raise
                time.sleep(delay)
        return self._put(key, content, content_type, IfNoneMatch="*")

    def put_if_match(self, key: str, content: bytes, etag: str, *, content_type: str = "application/json") -> str:
        """See :meth:`ObjectStore.put_if_match <ddb_export.aws.object_store.ObjectStore.put_if_match>`."""
        try:
            return self._put(key, content, content_type, IfMatch=f'"{etag}"')
        except ObjectMissingError as error:
            # S3 answers If-Match on a missing key with 404 NoSuchKey (AWS S3, "Conditional writes").
            raise PreconditionFailedError(
                error.thing, "it is gone", "read what is there now", code=error.code
            ) from error

    def put(self, key: str, content: bytes, *, content_type: str = "application/json") -> str:
        """See :meth:`ObjectStore.put <ddb_export.aws.object_store.ObjectStore.put>`."""
        return self._put(key, content, content_type)

    def put_file(self, key: str, file: Path, *, content_type: str = "application/octet-stream") -> None:
        """See :meth:`ObjectStore.put_file <ddb_export.aws.object_store.ObjectStore.put_file>`."""
        extra = {"ContentType": content_type, **self._owner}
        with aws_errors(self.uri(key)):
            self.client.upload_file(str(file), self.bucket, key, ExtraArgs=extra)

    def delete(self, key: str) -> None:
        """See :meth:`ObjectStore.delete <ddb_export.aws.object_store.ObjectStore.delete>`."""
        with aws_errors(self.uri(key)):
            self.client.delete_object(Bucket=self.bucket, Key=key, **self._owner)

    def _put(self, key: str, content: bytes, content_type: str, **condition: str) -> str:
        with aws_errors(self.uri(key)):
            answer = self.client.put_object(
                Bucket=self.bucket, Key=key, Body=content, ContentType=content_type, **condition, **self._owner
            )
        return _bare(answer["ETag"])

    def _pages(self, prefix: str, *, start_after: str, delimiter: str = "") -> Iterator[dict[str, Any]]:
        parameters: dict[str, Any] = {"Bucket": self.bucket, "Prefix": prefix, **self._owner}
        if start_after:
            parameters["StartAfter"] = start_after
        if delimiter:
            parameters["Delimiter"] = delimiter
        with aws_errors(self.uri(prefix)):
            yield from self.client.get_paginator("list_objects_v2").paginate(**parameters)

    def _open(self, key: str) -> _ResumingStream:
        def get(**condition: str) -> dict[str, Any]:
            with aws_errors(self.uri(key)):
                answer: dict[str, Any] = self.client.get_object(Bucket=self.bucket, Key=key, **condition, **self._owner)
            return answer

        # Asked first: a stream without an answer could not be closed, and Python 3.13 tells of that where 3.11 is silent.
        return _ResumingStream(get(), get, self.uri(key))


class _ResumingStream(io.RawIOBase):
    """The bytes of one version of an object; a dropped connection is taken up where it dropped.

    :param answer: GetObject's to the first call. :param get: calls it again with further parameters (Range, IfMatch).
    :param thing: the object's URI, for messages.
    """

    def __init__(self, answer: dict[str, Any], get: Callable[..., dict[str, Any]], thing: str) -> None:
        self._get = get
        self._thing = thing
        self._position = 0
        self.etag = _bare(answer["ETag"])
        self.size = int(answer["ContentLength"])
        self._body: Any = answer["Body"]

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        wanted = min(len(view), self.size - self._position)
        if wanted <= 0:
            return 0
        chunk = self._read(wanted)
        view[: len(chunk)] = chunk
        self._position += len(chunk)
        return len(chunk)

    def _read(self, wanted: int) -> bytes:
        from http.client import HTTPException

        from botocore.exceptions import BotoCoreError

        failure: Exception = EOFError("the connection was closed early")
        for delay in (0.0, *_RESUME_DELAYS):
            try:
                if delay:
                    time.sleep(delay)
                    self._resume()
                chunk: bytes = self._body.read(wanted)
                if chunk:
                    return chunk
            except (BotoCoreError, OSError, HTTPException) as error:
                failure = error
            except NotReachableError as error:
                if not error.retryable:
                    raise
                failure = error
        raise NotReachableError(
            self._thing,
            f"the stream broke at byte {self._position} of {self.size} and could not be taken up again: {failure}",
            "check the network, then try again",
        ) from failure

    def _resume(self) -> None:
        self._body.close()
        # The ETag holds the stream to the version that it began with.
        try:
            answer = self._get(Range=f"bytes={self._position}-", IfMatch=f'"{self.etag}"')
        except PreconditionFailedError as error:
            cause = "it was replaced while it was being read"
            raise ObjectMissingError(self._thing, cause, "start again", code=error.code) from error
        self._body = answer["Body"]

    def close(self) -> None:
        if not self.closed:
            self._body.close()
        super().close()


def _objects(page: dict[str, Any]) -> list[Stored]:
    return [Stored(each["Key"], int(each["Size"]), _bare(each["ETag"])) for each in page.get("Contents", ())]


def _bare(etag: str) -> str:
    return etag.strip('"')
