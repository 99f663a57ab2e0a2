"""Lines that are no valid record, kept whole with file, line number and reason."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from ddb_export.domain.attribute_value import encode_binary, json_text


class QuarantineFile:
    """Writes quarantined lines as JSON lines; the file comes to be with its first line.

    Each line is ``{"file": …, "line": n, "reason": …, "record": text}``, or ``"record_base64"`` in place of
    ``"record"`` where the bytes are not UTF-8. Lines count from 1.

    :param destination: local path; ``None`` counts without writing.
    :param file: the data file that the lines come from.
    :param keep_lines: whether the line itself is kept. A line that is no record cannot be filtered, so where anything is to be dropped or
        hashed its ``"bytes"`` and ``"sha256"`` (hexadecimal) take its place.
    """

    def __init__(self, destination: Path | None, file: str, *, keep_lines: bool = True) -> None:
        self._keep_lines = keep_lines
        self._destination = destination
        self.file = file
        self._output: TextIO | None = None
        self.lines = 0

    def add(self, line_number: int, reason: str, record: bytes) -> None:
        """Keep one line."""
        self.lines += 1
        if self._destination is None:
            return
        if self._output is None:
            self._output = self._destination.open("w", encoding="utf-8", newline="\n")
        document = {"file": self.file, "line": line_number, "reason": reason, **self._content(record)}
        self._output.write(json_text(document) + "\n")

    def _content(self, record: bytes) -> dict[str, str | int]:
        if not self._keep_lines:
            return {"bytes": len(record), "sha256": hashlib.sha256(record).hexdigest()}
        try:
            return {"record": record.decode("utf-8")}
        except UnicodeDecodeError:
            return {"record_base64": encode_binary(record)}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._output is not None:
            self._output.close()
