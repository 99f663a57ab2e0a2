"""Counts items into statistics, in place: what the immutable statistics of the domain are made from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ddb_export.domain.attribute_value import parse_number
from ddb_export.domain.statistics import AttributeStatistics, ExportStatistics, NumberWidth


class StatisticsCollector:
    """Counts items into :class:`ExportStatistics`, in place."""

    def __init__(self) -> None:
        self.lines = 0
        self.rows = 0
        self.keys: frozenset[str] = frozenset()
        self.counts: dict[str, dict[str, int]] = {}
        self.widths: dict[tuple[str, str], list[int]] = {}

    def add(self, item: Mapping[str, Any]) -> None:
        """Count one valid item."""
        self.rows += 1
        for attribute, value in item.items():
            ((tag, payload),) = value.items()
            self.count(attribute, tag, 1)
            if tag == "N":
                self.widen(attribute, tag, payload)
            elif tag == "NS":
                for number in payload:
                    self.widen(attribute, tag, number)

    def count(self, attribute: str, tag: str, rows: int) -> None:
        """Count rows that have the attribute with this type."""
        counts = self.counts.setdefault(attribute, {})
        counts[tag] = counts.get(tag, 0) + rows

    def widen(self, attribute: str, tag: str, number: str) -> None:
        """Take in the width of one number of an ``N`` or ``NS``."""
        shape = parse_number(number)
        self.widen_to(attribute, tag, shape.integer_digits, shape.fraction_digits)

    def widen_to(self, attribute: str, tag: str, integer_digits: int, fraction_digits: int) -> None:
        """Take in a width."""
        width = self.widths.setdefault((attribute, tag), [0, 0])
        width[0] = max(width[0], integer_digits)
        width[1] = max(width[1], fraction_digits)

    def statistics(self) -> ExportStatistics:
        """What was counted so far."""
        attributes = {
            attribute: AttributeStatistics(dict(counts), self._width(attribute, "N"), self._width(attribute, "NS"))
            for attribute, counts in self.counts.items()
        }
        return ExportStatistics(self.lines, self.rows, attributes, self.keys)

    def _width(self, attribute: str, tag: str) -> NumberWidth:
        return NumberWidth(*self.widths.get((attribute, tag), (0, 0)))
