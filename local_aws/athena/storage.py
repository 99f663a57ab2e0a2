"""S3 as a query sees it: every read and write happens as the account that started the query.

Calls go through ministack's own S3 front door with that account's access key, so that bucket policies, ownership and
missing buckets answer as they would over HTTP; on the event loop's thread, because its stores are not locked.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

from local_aws import hooks

_NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"


class StorageError(Exception):
    """S3 refused: `code` and `status` as S3 gave them, `uri` what was asked for."""

    def __init__(self, code: str, message: str, status: int, uri: str) -> None:
        super().__init__(f"{message} (Service: Amazon S3; Status Code: {status}; Error Code: {code}; Path: {uri})")
        self.code = code
        self.message = message
        self.status = status
        self.uri = uri


@dataclass(frozen=True)
class StoredObject:
    """One object of a listing: its full URI and its size in bytes."""

    uri: str
    size: int


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of an `s3://` (or Hadoop's `s3a://`, `s3n://`) URI; raises ValueError for anything else."""
    scheme, found, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if not found or scheme.lower() not in ("s3", "s3a", "s3n") or not bucket:
        raise ValueError(f"'{uri}' is no S3 location")
    return bucket, key


class Storage:
    """S3 for one account and region. Make it on the event loop's thread; its methods may be called from any other."""

    def __init__(self, account: str, region: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._account = account
        self._region = region

    def list_objects(self, uri: str) -> Iterator[StoredObject]:
        """All objects whose key begins with the key of `uri`, in the order of keys."""
        bucket, prefix = split_uri(uri)
        query = {"list-type": ["2"], "prefix": [prefix]}
        while True:
            root = ET.fromstring(self._call("GET", bucket, "", query))  # noqa: S314 our own server wrote it
            for entry in root.iter(f"{_NAMESPACE}Contents"):
                key = entry.findtext(f"{_NAMESPACE}Key") or ""
                yield StoredObject(f"s3://{bucket}/{key}", int(entry.findtext(f"{_NAMESPACE}Size") or 0))
            token = root.findtext(f"{_NAMESPACE}NextContinuationToken")
            if not token:
                return
            query = {**query, "continuation-token": [token]}

    def read(self, uri: str) -> bytes:
        """The body of the object."""
        bucket, key = split_uri(uri)
        return self._call("GET", bucket, key, {})

    def write(self, uri: str, body: bytes, content_type: str) -> None:
        """Put the object."""
        bucket, key = split_uri(uri)
        headers = {"content-type": content_type, "content-length": str(len(body))}
        self._call("PUT", bucket, key, {}, body=body, headers=headers)

    def check_bucket(self, uri: str) -> None:
        """Raise StorageError unless the account may list the bucket of `uri`."""
        bucket, _ = split_uri(uri)
        self._call("GET", bucket, "", {"list-type": ["2"], "max-keys": ["1"]})

    def _call(
        self,
        method: str,
        bucket: str,
        key: str,
        query: dict[str, list[str]],
        *,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
    ) -> bytes:
        credential = f"{self._account}/20240101/{self._region}/s3/aws4_request"
        signed = {**(headers or {}), "authorization": f"AWS4-HMAC-SHA256 Credential={credential}"}
        # Athena reads buckets of other regions, too; the region of the endpoint must not decide.
        request = hooks.s3().handle_request(
            method, f"/{bucket}/{key}" if key else f"/{bucket}", signed, body, query, enforce_bucket_region=False
        )
        status, _, answer = self._run(request)
        if status >= 300:
            raise _error(answer, status, f"s3://{bucket}/{key or ''.join(query.get('prefix', []))}")
        return bytes(answer)

    def _run(self, request: Coroutine[Any, Any, Any]) -> Any:
        context = contextvars.copy_context()
        try:
            on_loop = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            on_loop = False
        if on_loop:
            # ministack's S3 never waits for anything here, so one step finishes it.
            return context.run(_finish, request, self._account, self._region)
        return asyncio.run_coroutine_threadsafe(_scoped(request, self._account, self._region), self._loop).result()


async def _scoped(request: Coroutine[Any, Any, Any], account: str, region: str) -> Any:
    _enter_scope(account, region)
    return await request


def _finish(request: Coroutine[Any, Any, Any], account: str, region: str) -> Any:
    _enter_scope(account, region)
    try:
        request.send(None)
    except StopIteration as done:
        return done.value
    request.close()
    raise RuntimeError("ministack's S3 waited for something: the lab's Athena cannot call it on the event loop")


def _enter_scope(account: str, region: str) -> None:
    # Never left again: the caller's context is a copy that ends with the call.
    hooks.responses().request_scope(account, region).__enter__()


def _error(answer: Any, status: int, uri: str) -> StorageError:
    try:
        root = ET.fromstring(bytes(answer))  # noqa: S314 our own server wrote it
    except ET.ParseError:
        return StorageError("InternalError", "S3 gave no reason", status, uri)
    return StorageError(root.findtext("Code") or "InternalError", root.findtext("Message") or "", status, uri)
