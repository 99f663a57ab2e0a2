"""Data files of an export as streams: decompressed in blocks of whole lines, digested on the way.

A data file is gzip of JSON lines (``.json.gz``). Empty partitions give an empty file: either no bytes, or the
20-byte gzip of nothing. Memory is bounded by the block size and the longest line, whatever the file's size.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO

from isal import igzip, isal_zlib

from ddb_export.exceptions import ConversionError

BLOCK_BYTES = 512 << 10
"""Decompressed bytes per block, little enough that its objects stay in the processor's caches. Blocks depend on the
content alone, so that files come out the same."""

LONGEST_LINE_BYTES = 64 << 20
"""A longer line is no DynamoDB record: an item has at most 400 KB, a change record holds two of them."""

_READ_BYTES = 256 << 10
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_ERRORS: Any = (EOFError, isal_zlib.error, igzip.BadGzipFile)  # typed wrongly by isal's stubs


@dataclass(frozen=True, slots=True)
class DataFileDigest:
    """What verification compares with an export's manifest.

    :ivar md5_base64: base64 MD5 of the compressed bytes, as ``md5Checksum`` in manifest-files.json.
    :ivar bytes: compressed size.
    :ivar lines: lines in the decompressed content; a last line without newline counts.
    :ivar etag_of_one_part: the S3 ETag of the bytes when uploaded as a multipart upload of one part, as
        ``etag`` in every manifest seen so far. Not comparable for objects encrypted with SSE-KMS.
    """

    md5_base64: str
    bytes: int
    lines: int
    etag_of_one_part: str

    def to_json(self) -> dict[str, Any]:
        """One member per field, as named."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> DataFileDigest:
        """The inverse of :meth:`to_json`."""
        return cls(**document)


class DataFileReader:
    """Reads one data file, once, from front to back.

    :param stream: the compressed (or plain) bytes; need not be seekable and is not closed.
    :param file: what errors call the file.
    """

    def __init__(self, stream: BinaryIO, file: str) -> None:
        self._raw = _DigestingReader(stream)
        self._file = file
        self._lines = 0

    def blocks(self) -> Iterator[bytes]:
        """The content in blocks that hold whole lines; each ends with a newline, except perhaps the last.

        :raises ConversionError: if the gzip stream is damaged or ends early, or a line is too long.
        """
        pending = b""
        for content in self._contents():
            end = content.rfind(b"\n") + 1
            if not end:
                pending += content
                if len(pending) > LONGEST_LINE_BYTES:
                    raise self._error(f"a line is longer than {LONGEST_LINE_BYTES >> 20} MiB")
                continue
            block = pending + content[:end] if pending else content[:end]
            pending = content[end:]
            self._lines += block.count(b"\n")
            yield block
        if pending:
            self._lines += 1
            yield pending

    def digest(self) -> DataFileDigest:
        """The digest of the whole file; call it after :meth:`blocks` is exhausted."""
        self._raw.drain()
        md5 = self._raw.md5.digest()
        return DataFileDigest(
            base64.b64encode(md5).decode("ascii"),
            self._raw.bytes_read,
            self._lines,
            f"{hashlib.md5(md5, usedforsecurity=False).hexdigest()}-1",
        )

    def _contents(self) -> Iterator[bytes]:
        buffered = io.BufferedReader(self._raw, _READ_BYTES)
        source: Any = buffered
        if buffered.peek(2)[:2] == _GZIP_MAGIC:
            source = igzip.IGzipFile(fileobj=buffered, mode="rb")  # type: ignore[no-untyped-call]
        try:
            while content := source.read(BLOCK_BYTES):
                yield content
        except _GZIP_ERRORS as error:
            raise self._error(f"its gzip stream is damaged ({error})") from error

    def _error(self, cause: str) -> ConversionError:
        return ConversionError(
            self._file,
            cause,
            "compare the file with its md5Checksum in manifest-files.json; copy it again, or export again",
        )


class _DigestingReader(io.RawIOBase):
    """Passes a stream on and takes the MD5 of what went through."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.md5 = hashlib.md5(usedforsecurity=False)
        self.bytes_read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        # Filled to the brim: short reads of a network stream must not move the boundaries of blocks.
        size = 0
        while size < len(buffer) and (content := self._stream.read(len(buffer) - size)):
            buffer[size : size + len(content)] = content
            size += len(content)
            self.md5.update(content)
        self.bytes_read += size
        return size

    def drain(self) -> None:
        while content := self._stream.read(_READ_BYTES):
            self.md5.update(content)
            self.bytes_read += len(content)


def digest_data_file(stream: BinaryIO, *, file: str | None = None) -> DataFileDigest:
    """Digest a data file in one pass, without looking into its lines.

    :param stream: the bytes as they lie in S3.
    :param file: what errors call the file; default the stream's own name.
    :raises ConversionError: if the gzip stream is damaged.
    """
    reader = DataFileReader(stream, stream_name(stream, file))
    for _ in reader.blocks():
        pass
    return reader.digest()


def stream_name(stream: BinaryIO, file: str | None) -> str:
    """The name that errors and quarantine use for a stream."""
    return file or str(getattr(stream, "name", "") or "data file")


def lines_of(block: bytes) -> list[bytes]:
    """The lines of a block without their newline; blank lines count, the end after a last newline does not."""
    lines = block.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return lines
