"""Damaging an export's objects on demand, so that a reader can be shown to notice."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass

from local_aws.exports import package
from local_aws.exports.package import DataFile
from local_aws.faults import Fault


@dataclass(frozen=True)
class Manifest:
    """A manifest as it is stored (None: dropped) and as its checksum file is computed from."""

    stored: bytes | None
    hashed: bytes


class Damages:
    """The damage faults that apply to one export.

    Checksums and counts tell of the undamaged bytes, so that the damage shows; ``consistent: true`` computes them
    from the damaged bytes instead, so that only a deeper check can find it.
    """

    def __init__(self, faults: list[Fault], files: list[DataFile]) -> None:
        self._faults = faults
        self._files = files
        for fault in faults:
            if fault.get("consistent") or fault.get("damage") in ("wrong_count", "wrong_md5"):
                self._rewrite_entries(fault)

    def data_body(self, number: int, file: DataFile) -> bytes | None:
        """The bytes to store for a data file, None if it is dropped."""
        body: bytes | None = file.body
        for fault in self._faults:
            rewritten = fault.get("consistent") and fault.get("damage") != "drop"
            if body is not None and not rewritten and self._hits(fault, number):
                body = _damaged(fault, body, compressed=True)
        return body

    def manifest_files(self, content: bytes) -> Manifest:
        """manifest-files.json with its damage."""
        return self._manifest("manifest-files.json", content)

    def manifest_summary(self, content: bytes) -> Manifest:
        """manifest-summary.json with its damage."""
        return self._manifest("manifest-summary.json", content)

    def checksum_body(self, name: str, body: bytes) -> bytes | None:
        """A checksum file with its damage, None if it is dropped."""
        stored: bytes | None = body
        for fault in self._faults:
            manifest = name.rpartition(".")[0] + ".json"
            if fault.get("target") == manifest and fault.get("damage") == "wrong_md5":
                stored = package.md5_base64(body).encode()
            elif fault.get("target") == name and stored is not None:
                wrong = fault.get("damage") == "wrong_md5"
                stored = package.md5_base64(body).encode() if wrong else _damaged(fault, stored, compressed=False)
        return stored

    def _manifest(self, name: str, content: bytes) -> Manifest:
        stored: bytes | None = content
        hashed = content
        for fault in self._faults:
            if fault.get("target") == name and stored is not None and fault.get("damage") != "wrong_md5":
                if fault.get("damage") == "wrong_count":
                    stored = hashed = _with_count(stored)
                    continue
                stored = _damaged(fault, stored, compressed=False)
                if fault.get("consistent") and stored is not None:
                    hashed = stored
        return Manifest(stored, hashed)

    def _hits(self, fault: Fault, number: int) -> bool:
        target = fault.get("target", "data:0")
        if target == "data:largest":
            return number == max(range(len(self._files)), key=lambda index: self._files[index].item_count)
        return target in {"data:all", f"data:{number}"}

    def _rewrite_entries(self, fault: Fault) -> None:
        for number, file in enumerate(self._files):
            if not self._hits(fault, number):
                continue
            if fault.get("damage") == "wrong_count":
                file.item_count += 1
            elif fault.get("damage") == "wrong_md5":
                file.md5 = package.md5_base64(file.body + b"x")
            else:
                changed = _damaged(fault, file.body, compressed=True)
                if changed is not None:
                    self._files[number] = package.data_file(file.key, changed, file.item_count, len(changed) + 1)


def _damaged(fault: Fault, body: bytes, *, compressed: bool) -> bytes | None:
    change = _CHANGES.get(fault.get("damage"))
    if change is not None:
        return change(body)
    if fault.get("damage") == "replace_text":
        text = (gzip.decompress(body) if compressed else body).decode()
        text = text.replace(fault.get("old", ""), fault.get("new", ""))
        return package.gzipped(text.encode()) if compressed else text.encode()
    return body


def _flip_byte(body: bytes) -> bytes:
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 0xFF]) + body[middle + 1 :]


def _truncate(body: bytes) -> bytes:
    return body[: len(body) // 2]


def _drop(_body: bytes) -> None:
    return None


_CHANGES: dict[str, Callable[[bytes], bytes | None]] = {
    "flip_byte": _flip_byte,
    "truncate": _truncate,
    "drop": _drop,
}


def _with_count(content: bytes) -> bytes:
    lines = content.decode().splitlines()
    first = json.loads(lines[0])
    first["itemCount"] += 1
    lines[0] = json.dumps(first, separators=(",", ":"), ensure_ascii=False)
    return ("\n".join(lines) + "\n").encode()
