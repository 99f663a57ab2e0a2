"""What the typed columns could not hold, and why: counted for each published export, summed up for people.

Overflow is no loss: the exact value is in the column ``_overflow``. It is a sign that a column has become too narrow, which
``ddb-export widen`` mends. The reasons follow from what the conversion counted, the statistics of the same data files and the
columns, so that nobody reads data to tell them. NULL is at home in ``_overflow`` and counts nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ddb_export.domain.attribute_value import TYPE_TAGS

if TYPE_CHECKING:
    from ddb_export.domain.evidence import PublishedEntry
    from ddb_export.domain.schema import Column, SchemaDocument
    from ddb_export.domain.statistics import ExportStatistics

MOST_NAMED = 500
"""Most attributes that one published entry names, those in most rows; the others are summed up."""

OTHERS = ""
"""The name under which these are summed up; DynamoDB has no attribute without a name."""

Counts = Mapping[str, Mapping[str, int]]
"""Attribute → reason → rows."""


class Reason(StrEnum):
    """Why a value is in ``_overflow``."""

    OTHER_TYPE = "other_type"
    TOO_WIDE = "too_wide"
    NESTED = "nested"
    NO_COLUMN = "no_column"
    NOT_DECLARED = "not_declared"

    @property
    def words(self) -> str:
        """The reason for people."""
        return _WORDS[self]


_WORDS = {
    Reason.OTHER_TYPE: "of another type",
    Reason.TOO_WIDE: "too wide",
    Reason.NESTED: "with a set or binary inside",
    Reason.NO_COLUMN: "without a column",
    Reason.NOT_DECLARED: "not as declared",
}


def overflow_reasons(
    overflowed: Mapping[str, int], statistics: ExportStatistics | None, schema: SchemaDocument
) -> dict[str, dict[str, int]]:
    """Say why values of an export overflowed.

    :param overflowed: attribute → rows, as the conversion of all its data files counted them.
    :param statistics: of the same data files; without them, a value that is there is taken for one of the column's type.
    :param schema: the columns that they were converted to.
    """
    columns = {column.attribute: column for column in schema.columns}
    ranked = sorted((name for name, rows in overflowed.items() if rows), key=lambda name: (-overflowed[name], name))
    found: dict[str, dict[str, int]] = {}
    for name in ranked:
        named = name if len(found) < MOST_NAMED or name in found else OTHERS
        into = found.setdefault(named, {})
        for reason, rows in _reasons(overflowed[name], _counts(statistics, name), columns.get(name)):
            into[reason] = into.get(reason, 0) + rows
    return found


def _counts(statistics: ExportStatistics | None, name: str) -> Mapping[str, int]:
    seen = statistics.attributes.get(name) if statistics else None
    return seen.counts if seen else {}


def _reasons(rows: int, counts: Mapping[str, int], column: Column | None) -> Iterable[tuple[str, int]]:
    if column is None:
        return [(str(Reason.NO_COLUMN), rows)]
    others = min(rows, sum(counts.get(tag, 0) for tag in TYPE_TAGS if tag != column.dynamodb_type))
    unfit = rows - others
    return [(str(reason), each) for reason, each in ((Reason.OTHER_TYPE, others), (_unfit(column), unfit)) if each]


def _unfit(column: Column) -> Reason:
    """Return why a value of the column's own type does not fit: only numbers and nested values can."""
    if column.dynamodb_type in ("N", "NS") and ("int64" in column.arrow_type or "decimal" in column.arrow_type):
        return Reason.TOO_WIDE
    return Reason.NESTED if column.arrow_type == "string" else Reason.NOT_DECLARED


@dataclass(frozen=True, slots=True)
class OverflowLine:
    """What overflowed of one attribute over all that readers see.

    :param attribute: its exact name; :data:`OTHERS` for those that are not named. :param column: its column; None without one.
    :param reasons: reason → rows. :param exports: names of the attempts that have such rows, in order.
    """

    attribute: str
    column: Column | None
    reasons: Mapping[str, int]
    exports: tuple[str, ...]

    @property
    def rows(self) -> int:
        """How many rows."""
        return sum(self.reasons.values())

    def to_json(self) -> dict[str, Any]:
        """Return the line as ``ddb-export gaps --json`` has it."""
        return {
            "attribute": self.attribute or None,
            "column": self.column.name if self.column else None,
            "type": self.column.glue_type if self.column else None,
            "rows": self.rows,
            "reasons": dict(self.reasons),
            "exports": len(self.exports),
            "first": self.exports[0],
            "last": self.exports[-1],
        }


def overflow_lines(entries: Sequence[PublishedEntry], schema: SchemaDocument) -> list[OverflowLine]:
    """Sum up what overflowed, the attribute with most rows first.

    :param entries: what readers see: one entry for each published export. :param schema: the newest columns.
    """
    columns = {column.attribute: column for column in schema.columns}
    reasons: dict[str, dict[str, int]] = {}
    exports: dict[str, list[str]] = {}
    for entry in sorted(entries, key=lambda entry: entry.export):
        for attribute, counts in (entry.overflowed or {}).items():
            into = reasons.setdefault(attribute, {})
            exports.setdefault(attribute, []).append(entry.export)
            for reason, rows in counts.items():
                into[reason] = into.get(reason, 0) + rows
    lines = [OverflowLine(name, columns.get(name), reasons[name], tuple(exports[name])) for name in reasons]
    return sorted(lines, key=lambda line: (-line.rows, line.attribute))


def overflow_words(overflowed: Counts) -> list[str]:
    """Return what overflowed in one export in words, a line for each attribute."""
    return [f"{name or 'other attributes'}: {reason_words(reasons)}" for name, reasons in overflowed.items()]


def reason_words(reasons: Mapping[str, int]) -> str:
    """Return reasons in words, such as ``3 too wide, 1 of another type``; a newer version's as they are."""
    return ", ".join(
        f"{rows} {_WORDS[Reason(reason)] if reason in _REASONS else reason}" for reason, rows in reasons.items()
    )


_REASONS = frozenset(str(reason) for reason in Reason)
