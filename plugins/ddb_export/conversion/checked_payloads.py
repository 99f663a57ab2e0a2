"""The payloads of one attribute and type tag, one per row, checked: what statistics and columns are made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from ddb_export.conversion.nested_values import NestedValues
from ddb_export.conversion.payloads import (
    InvalidPayloadsError,
    Numbers,
    binaries,
    check_nulls,
    check_sets,
    text_size,
)


class CheckedPayloads:
    """The payloads of one attribute and type tag, one per row, all of them valid.

    :param known_scale: as in :class:`ddb_export.conversion.payloads.Numbers`.
    :ivar payloads: per row, ``None`` where the row has no such value; of ``L`` and ``M`` the JSON text.
    :ivar count: rows that have one.
    :ivar numbers: of ``N``, and of the elements of ``NS``, their measure.
    :ivar bytes: of ``B``, and of the elements of ``BS``, their bytes.
    :ivar nested: of ``L`` and ``M``, the parsed values.
    :ivar array: of ``S`` and ``BOOL``, the payloads as an Arrow array.
    :raises InvalidPayloadsError: with the rows whose payload is invalid.
    """

    __slots__ = ("array", "bytes", "count", "nested", "numbers", "payloads", "tag")

    def __init__(self, tag: str, payloads: list[Any], known_scale: int | None = None) -> None:
        self.tag = tag
        self.payloads = payloads
        self.numbers: Numbers | None = None
        self.bytes: list[bytes | None] | None = None
        self.nested: NestedValues | None = None
        self.array: pa.Array | None = None
        if tag in ("L", "M"):
            self.nested = NestedValues(tag, payloads)
            self.count = self.nested.count
        elif tag in ("S", "BOOL"):
            self.array = pa.array(payloads, pa.string() if tag == "S" else pa.bool_())
            self.count = len(payloads) - self.array.null_count
        elif tag == "N":
            self.numbers = Numbers(payloads, known_scale)
            self.count = len(payloads) - self.numbers.texts.null_count
        else:
            self.count = len(payloads) - payloads.count(None)
            self._check(known_scale)

    def _check(self, known_scale: int | None) -> None:
        if self.tag == "NULL":
            check_nulls(self.payloads)
        elif self.tag == "B":
            self.bytes = binaries(self.payloads)
        else:
            self._check_set(known_scale)

    def _check_set(self, known_scale: int | None) -> None:
        check_sets(self.payloads)
        if self.tag == "SS":
            return
        rows = [row for row, payload in enumerate(self.payloads) for _ in payload or ()]
        elements = [element for payload in self.payloads for element in payload or ()]
        try:
            if self.tag == "NS":
                self.numbers = Numbers(elements, known_scale)
            else:
                self.bytes = binaries(elements)
        except InvalidPayloadsError as error:
            raise InvalidPayloadsError([rows[element] for element in error.rows]) from None

    @property
    def members(self) -> int:
        """JSON object members inside of them."""
        return 0 if self.nested is None else self.nested.members

    def text_bytes(self) -> int:
        """Bytes of the payloads as compact JSON in which no character is escaped."""
        if self.nested is not None:
            return self.nested.text_bytes
        texts = self.numbers.texts if self.tag == "N" and self.numbers is not None else self.array
        if self.tag == "BOOL" and texts is not None:
            return 5 * self.count - int(texts.true_count)
        if texts is not None:
            return text_size(texts) + 2 * self.count
        if self.tag == "NULL":
            return 4 * self.count
        present = [payload for payload in self.payloads if payload is not None]
        if self.tag == "B":
            return sum(map(len, present)) + 2 * self.count
        elements = [element for payload in present for element in payload]
        # Brackets around each set, quotes around its elements and commas between them.
        return len("".join(elements).encode()) + 3 * len(elements) + self.count

    def values(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """(row, tagged value) of each row that has one."""
        if self.nested is not None:
            for row, value in self.nested.values().items():
                yield row, {self.tag: value}
            return
        for row, payload in enumerate(self.payloads):
            if payload is not None:
                yield row, {self.tag: payload}
