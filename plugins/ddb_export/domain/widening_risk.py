"""What a widening would take out of columns: values that a new type does not hold, told before anything is rewritten.

A widening as such never narrows. But a contract may declare a narrower type than is published, a person may ask for another DynamoDB type
(``--retype``), and a contract that has come to say ``quarantine`` or ``fail`` goes for all rows that are rewritten. Scans count types and
widths, not values, so the number is exact where a whole type does not fit, and else the most that it can be.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ddb_export.domain.attribute_value import TYPE_TAGS
from ddb_export.domain.contract import Contract, OnViolation
from ddb_export.domain.overflow import Reason
from ddb_export.domain.statistics import AttributeStatistics, ExportStatistics
from ddb_export.domain.wider_columns import ColumnChange, Decision, certainly_holds


@dataclass(frozen=True, slots=True)
class Risk:
    """Values that a column will not hold once its partitions are rewritten.

    :param column: its name. :param glue_type: the type that it then has.
    :param values: how many values, or rows, which is the same. :param exact: whether it is just so many, not at most.
    :param becomes: what the contract makes of them.
    """

    column: str
    glue_type: str
    values: int
    exact: bool
    becomes: OnViolation

    @property
    def words(self) -> str:
        """The line for people, without the limit of the quarantine."""
        count = f"{self.values:,}" if self.exact else f"up to {self.values:,}"
        return f"{self.column}: {count} of the values that were counted do not fit {self.glue_type}; {_BECOME[self.becomes]}"

    def to_json(self) -> dict[str, Any]:
        """Return a flat object."""
        return {
            "column": self.column,
            "type": self.glue_type,
            "values": self.values,
            "exact": self.exact,
            "becomes": str(self.becomes),
        }


_BECOME = {
    OnViolation.OVERFLOW: "they go to _overflow, exact",
    OnViolation.QUARANTINE: "their rows go to quarantine, as on_violation says",
    OnViolation.FAIL: "on_violation: fail gives the widening up where there is one",
}


def risks(decision: Decision, statistics: ExportStatistics, contract: Contract) -> tuple[Risk, ...]:
    """Say which values columns will not hold, in the order of the decision.

    Values that are in ``_overflow`` already count only where the contract does not leave them there.

    :param statistics: of the exports that readers see, as far as they are recorded.
    """
    statistics = contract.statistics(statistics)
    becomes = contract.on_violation
    found: list[Risk] = []
    for change in decision.changes:
        seen = statistics.attributes.get(change.before.attribute, AttributeStatistics())
        unfit = dict(_unfit(change, seen, becomes))
        if unfit:
            exact = change.after.dynamodb_type not in unfit
            found.append(Risk(change.after.name, change.after.glue_type, sum(unfit.values()), exact, becomes))
    return (*found, *_left(decision, becomes))


def _unfit(change: ColumnChange, seen: AttributeStatistics, becomes: OnViolation) -> Iterator[tuple[str, int]]:
    for tag in TYPE_TAGS:
        rows = seen.counts.get(tag, 0)
        if becomes is OnViolation.OVERFLOW and tag != change.before.dynamodb_type:
            continue
        if rows and (tag != change.after.dynamodb_type or not certainly_holds(change.after, seen)):
            yield tag, rows


def _left(decision: Decision, becomes: OnViolation) -> Iterator[Risk]:
    if becomes is OnViolation.OVERFLOW:
        return
    changed = {change.before.name for change in decision.changes}
    for left in decision.left:
        column = left.line.column
        if column and column.name not in changed and left.reason != Reason.NO_COLUMN:
            yield Risk(column.name, column.glue_type, left.line.reasons[left.reason], exact=True, becomes=becomes)
