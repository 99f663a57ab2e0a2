"""What a scan of data files counted, in a form that can be merged in any order.

Data files are scanned side by side; their statistics are merged and decide the types of new columns
(:meth:`ddb_export.domain.schema.SchemaDocument.extend`). Merging is associative and commutative and has a
neutral element, so neither the number of tasks nor their order changes a schema.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class NumberWidth:
    """The room that all numbers seen so far need.

    :ivar integer_digits: most digits before the decimal point, exponents expanded.
    :ivar fraction_digits: most digits after the decimal point, without trailing zeros.
    """

    integer_digits: int = 0
    fraction_digits: int = 0

    @property
    def all_integers(self) -> bool:
        """Whether no number had a fraction."""
        return self.fraction_digits == 0

    def merge(self, other: NumberWidth) -> NumberWidth:
        """The room that both need."""
        return NumberWidth(
            max(self.integer_digits, other.integer_digits), max(self.fraction_digits, other.fraction_digits)
        )


@dataclass(frozen=True, slots=True)
class AttributeStatistics:
    """What was seen of one top-level attribute.

    :ivar counts: type tag (including ``NULL``) → how many rows have the attribute with that type.
    :ivar numbers: the width of its ``N`` values.
    :ivar set_numbers: the width of the elements of its ``NS`` values.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    numbers: NumberWidth = NumberWidth()
    set_numbers: NumberWidth = NumberWidth()

    @property
    def rows(self) -> int:
        """How many rows have the attribute, explicit nulls included."""
        return sum(self.counts.values())

    def merge(self, other: AttributeStatistics) -> AttributeStatistics:
        """The statistics of both."""
        counts = dict(self.counts)
        for tag, count in other.counts.items():
            counts[tag] = counts.get(tag, 0) + count
        return AttributeStatistics(counts, self.numbers.merge(other.numbers), self.set_numbers.merge(other.set_numbers))

    def to_json(self) -> dict[str, Any]:
        """``{"counts": {tag: rows}, "N": [integer digits, fraction digits], "NS": [...]}``.

        ``N`` and ``NS`` are left out where no such value was seen.
        """
        document: dict[str, Any] = {"counts": dict(sorted(self.counts.items()))}
        for tag, width in (("N", self.numbers), ("NS", self.set_numbers)):
            if self.counts.get(tag):
                document[tag] = [width.integer_digits, width.fraction_digits]
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> AttributeStatistics:
        """The inverse of :meth:`to_json`."""
        return cls(
            dict(document["counts"]),
            NumberWidth(*document.get("N", (0, 0))),
            NumberWidth(*document.get("NS", (0, 0))),
        )


@dataclass(frozen=True, slots=True)
class ExportStatistics:
    """What was seen in any number of data files of one export.

    :ivar lines: lines read, whatever they held.
    :ivar rows: lines that are valid records; the rest goes to quarantine.
    :ivar attributes: attribute name → what was seen of it in the images that become typed columns (the item,
        the new image, or of a removed item its keys).
    :ivar keys: names of the key attributes, as far as they are known: changes tell them, full exports do not.
    """

    lines: int = 0
    rows: int = 0
    attributes: Mapping[str, AttributeStatistics] = field(default_factory=dict)
    keys: frozenset[str] = frozenset()

    @property
    def quarantined(self) -> int:
        """Lines that are no valid record."""
        return self.lines - self.rows

    def merge(self, other: ExportStatistics) -> ExportStatistics:
        """The statistics of both."""
        return ExportStatistics.merge_all((self, other))

    @classmethod
    def merge_all(cls, parts: Iterable[ExportStatistics]) -> ExportStatistics:
        """The statistics of all parts, in any order; of no part, the empty statistics."""
        lines = rows = 0
        attributes: dict[str, AttributeStatistics] = {}
        keys: set[str] = set()
        for part in parts:
            keys |= part.keys
            lines += part.lines
            rows += part.rows
            for name, statistics in part.attributes.items():
                seen = attributes.get(name)
                attributes[name] = statistics if seen is None else seen.merge(statistics)
        return cls(lines, rows, attributes, frozenset(keys))

    def to_json(self) -> dict[str, Any]:
        """``{"lines": n, "rows": n, "attributes": {name: AttributeStatistics.to_json()}}``, names sorted; ``keys`` where some are known."""
        return {
            "lines": self.lines,
            "rows": self.rows,
            "attributes": {name: self.attributes[name].to_json() for name in sorted(self.attributes)},
            **({"keys": sorted(self.keys)} if self.keys else {}),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ExportStatistics:
        """The inverse of :meth:`to_json`."""
        attributes = {name: AttributeStatistics.from_json(value) for name, value in document["attributes"].items()}
        return cls(document["lines"], document["rows"], attributes, frozenset(document.get("keys", ())))
