"""Data files as they come from S3: empty, concatenated, damaged, with short reads."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import zlib
from typing import Any

import pytest

from ddb_export.conversion.data_file import BLOCK_BYTES, DataFileReader, digest_data_file
from ddb_export.conversion.parquet import convert_data_file
from ddb_export.conversion.scan import scan_data_file
from ddb_export.domain.schema import SchemaDocument
from ddb_export.exceptions import ConversionError
from tests.conversion.data_files import item_lines

CONTENT = item_lines([{"id": {"S": str(number)}, "text": {"S": "x" * 300}} for number in range(20_000)])


class Trickle(io.RawIOBase):
    """A stream that gives a few bytes at a time, as networks do."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)
        self._turn = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        self._turn = self._turn % 7 + 1
        return self._content.read(min(size, self._turn * 1000) if size > 0 else size)


def blocks(content: Any) -> list[bytes]:
    return list(DataFileReader(content, "file").blocks())


@pytest.mark.scenario("F17")
def test_an_empty_partition_has_no_lines() -> None:
    nothing = base64.b64decode("H4sIAAAAAAAAAAMAAAAAAAAAAAA=")
    for content in (b"", nothing, gzip.compress(b""), nothing + nothing):
        scanned = scan_data_file(io.BytesIO(content), "FULL_EXPORT")
        assert (scanned.lines, scanned.rows, scanned.quarantined) == (0, 0, 0)
        assert scanned.digest.bytes == len(content)
    assert len(nothing) == 20


@pytest.mark.scenario("F17")
def test_an_empty_partition_becomes_a_parquet_file_without_rows(tmp_path: Any) -> None:
    converted = convert_data_file(
        io.BytesIO(b""),
        export_type="FULL_EXPORT",
        schema=SchemaDocument(),
        table_id="t",
        destination=tmp_path / "part.parquet",
    )
    assert (converted.rows, converted.quarantined) == (0, 0)
    assert converted.bytes > 0


def test_the_digest_is_that_of_the_compressed_bytes() -> None:
    data = gzip.compress(CONTENT)
    digest = digest_data_file(io.BytesIO(data))
    md5 = hashlib.md5(data, usedforsecurity=False).digest()
    assert digest.md5_base64 == base64.b64encode(md5).decode()
    assert digest.etag_of_one_part == hashlib.md5(md5, usedforsecurity=False).hexdigest() + "-1"
    assert (digest.bytes, digest.lines) == (len(data), 20_000)
    assert scan_data_file(io.BytesIO(data), "FULL_EXPORT").digest == digest


def test_blocks_hold_whole_lines_and_do_not_depend_on_reads() -> None:
    data = gzip.compress(CONTENT)
    expected = blocks(io.BytesIO(data))
    assert b"".join(expected) == CONTENT
    assert all(block.endswith(b"\n") for block in expected)
    assert len(expected) > 1
    assert blocks(Trickle(data)) == expected == blocks(io.BytesIO(CONTENT)) == blocks(Trickle(CONTENT))


def test_concatenated_members_are_one_file() -> None:
    data = gzip.compress(CONTENT[:1000]) + gzip.compress(b"") + gzip.compress(CONTENT[1000:])
    assert b"".join(blocks(io.BytesIO(data))) == CONTENT


def test_a_last_line_without_newline_counts() -> None:
    assert digest_data_file(io.BytesIO(gzip.compress(CONTENT[:-1]))).lines == 20_000
    assert digest_data_file(io.BytesIO(b"\n\n")).lines == 2


def test_a_line_longer_than_a_block_is_whole() -> None:
    content = b"a\n" + b"x" * (2 * BLOCK_BYTES + 17) + b"\nb\n"
    found = blocks(io.BytesIO(content))
    assert b"".join(found) == content
    assert all(block.endswith(b"\n") for block in found)


def test_a_line_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ddb_export.conversion.data_file.LONGEST_LINE_BYTES", 1 << 20)
    with pytest.raises(ConversionError, match="a line is longer"):
        blocks(io.BytesIO(gzip.compress(b"x" * (4 << 20))))


@pytest.mark.scenario("F16")
@pytest.mark.parametrize("damage", ["cut", "cut in header", "bit", "checksum", "length", "garbage", "not gzip"])
def test_damage_is_named(damage: str) -> None:
    data = bytearray(gzip.compress(CONTENT))
    if damage == "cut":
        del data[len(data) // 2 :]
    elif damage == "cut in header":
        del data[5:]
    elif damage == "bit":
        data[len(data) // 2] ^= 0x10
    elif damage == "checksum":
        data[-6] ^= 1
    elif damage == "length":
        data[-1] ^= 1
    elif damage == "garbage":
        data += b"garbage"
    else:
        data = bytearray(b"\x1f\x8b" + zlib.compress(CONTENT))
    for read in (lambda stream: scan_data_file(stream, "FULL_EXPORT", file="data/x.gz"), digest_x):
        with pytest.raises(ConversionError, match=r"^data/x\.gz: its gzip stream is damaged .*Remedy: ") as raised:
            read(io.BytesIO(bytes(data)))
        assert "\n" not in str(raised.value)


def digest_x(stream: Any) -> Any:
    return digest_data_file(stream, file="data/x.gz")
