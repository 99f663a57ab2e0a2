"""How published columns become wide enough for what overflowed: which of them change, and to what.

A widening never changes what a row means: ``int64`` becomes ``decimal128(38, s)`` or exact text, a decimal becomes one with more
fraction digits or text, and an attribute that had no column gets one. Only where a person asks for it does a column take the
DynamoDB type of most of its values. A nested value that plain JSON cannot hold has no wider column: it stays in ``_overflow``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ddb_export.domain.column_types import decimal_digits
from ddb_export.domain.contract import NO_CONTRACT, Contract
from ddb_export.domain.overflow import OTHERS, OverflowLine, Reason
from ddb_export.domain.redaction import StaleLine
from ddb_export.domain.schema import (
    AttributeStatistics,
    Column,
    ExportStatistics,
    NumberWidth,
    SchemaDocument,
    column_as_declared,
)
from ddb_export.exceptions import UsageError

_DECIMAL = re.compile(r"decimal128\(38, (\d+)\)")
_INT64_DIGITS = 18
_OF_ITS_TYPE = frozenset(map(str, (Reason.TOO_WIDE, Reason.NESTED, Reason.NOT_DECLARED)))


@dataclass(frozen=True, slots=True)
class ColumnChange:
    """A published column that takes another type.

    :param before: the column as it is. :param after: as it becomes; name and attribute stay.
    """

    before: Column
    after: Column

    def __str__(self) -> str:
        return f"{self.before.name}: {self.before.glue_type} becomes {self.after.glue_type}"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person or the policy asks of a widening.

    :param names: columns or attributes that it is about; empty for all.
    :param retype: let a column take the DynamoDB type of most of its values.
    """

    names: tuple[str, ...] = ()
    retype: bool = False


@dataclass(frozen=True, slots=True)
class Left:
    """What stays in ``_overflow``.

    :param line: attribute, reasons and rows. :param reason: which of the reasons. :param cause: why it stays, in words.
    """

    line: OverflowLine
    reason: str
    cause: str

    def to_json(self) -> dict[str, Any]:
        """Return a flat object."""
        return {
            "attribute": self.line.attribute or None,
            "reason": self.reason,
            "rows": self.line.reasons[self.reason],
            "cause": self.cause,
        }


@dataclass(frozen=True, slots=True)
class Decision:
    """The columns that change.

    :param changes: published columns that take another type. :param added: new columns, in their order.
    :param refilled: attributes that have a column by now, but had none when older partitions were made.
    :param left: what stays in ``_overflow``.
    :param stale: what published partitions show in another way than the contract says.
    """

    changes: tuple[ColumnChange, ...] = ()
    added: tuple[Column, ...] = ()
    refilled: tuple[str, ...] = ()
    left: tuple[Left, ...] = ()
    stale: tuple[StaleLine, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.changes or self.added or self.refilled or self.stale)


def decide(
    schema: SchemaDocument,
    lines: Sequence[OverflowLine],
    statistics: ExportStatistics,
    wish: Wish,
    *,
    contract: Contract = NO_CONTRACT,
    all_known: bool = True,
) -> Decision:
    """Say which columns hold what overflowed, and what the contract declares.

    :param schema: the newest columns. :param lines: what overflowed of what readers see.
    :param statistics: of all exports that readers see. :param contract: what is declared; a column that it types is as it says.
    :param all_known: whether ``statistics`` has all exports; if not, columns are taken to be as full as their type allows.
    :raises UsageError: a name is neither a column nor an attribute that overflowed.
    """
    chosen = [line for line in _chosen(schema, lines, wish) if line.attribute not in contract.dropped]
    statistics = contract.statistics(statistics)
    changes = _declared(schema, contract, wish)
    declared = {rule.attribute for rule in contract.rules if rule.declared_type is not None}
    refilled: list[str] = []
    missing: list[OverflowLine] = []
    left: list[Left] = []
    for line in chosen:
        if line.column is None:
            missing.append(line)
            continue
        seen = statistics.attributes.get(line.attribute, AttributeStatistics())
        after = line.column if line.attribute in declared else _wider(line, seen, wish, all_known=all_known)
        if after != line.column:
            changes.append(ColumnChange(line.column, after))
        if Reason.NO_COLUMN in line.reasons:
            refilled.append(line.attribute)
        fits = all_known and certainly_holds(after, seen)
        left += _left(line, after, wish, is_declared=line.attribute in declared, fits=fits)
    added, without = _added(_changed(schema, changes), missing, statistics, wish, contract)
    return Decision(tuple(changes), added, tuple(sorted(refilled)), (*left, *without))


def _chosen(schema: SchemaDocument, lines: Sequence[OverflowLine], wish: Wish) -> list[OverflowLine]:
    if not wish.names:
        return list(lines)
    columns = {column.name for column in schema.columns} | {column.attribute for column in schema.columns}
    known = columns | {line.attribute for line in lines}
    for name in wish.names:
        if name not in known:
            raise UsageError(
                f"column {name}", "neither a column nor an attribute that overflowed", "see ddb-export gaps for names"
            )
    return [line for line in lines if {line.attribute, line.column.name if line.column else None} & set(wish.names)]


def _declared(schema: SchemaDocument, contract: Contract, wish: Wish) -> list[ColumnChange]:
    """Return the published columns that the contract gives another type."""
    changes = []
    for column in schema.columns:
        if wish.names and not {column.name, column.attribute} & set(wish.names):
            continue
        wanted = column_as_declared(column, contract)
        if wanted != column:
            changes.append(ColumnChange(column, wanted))
    return changes


def _changed(schema: SchemaDocument, changes: Iterable[ColumnChange]) -> SchemaDocument:
    after = {each.before.name: each.after for each in changes}
    return replace(schema, columns=tuple(after.get(column.name, column) for column in schema.columns))


def _wider(line: OverflowLine, seen: AttributeStatistics, wish: Wish, *, all_known: bool) -> Column:
    column = line.column
    if column is None:
        raise ValueError(f"attribute {line.attribute!r} has no column")
    if wish.retype and Reason.OTHER_TYPE in line.reasons:
        wanted = _column_of(line.attribute, seen)
        if wanted and wanted.dynamodb_type != column.dynamodb_type:
            return replace(column, dynamodb_type=wanted.dynamodb_type, arrow_type=wanted.arrow_type)
    if Reason.TOO_WIDE not in line.reasons:
        return column
    is_list = column.arrow_type.startswith("list<")
    current = column.arrow_type[5:-1] if is_list else column.arrow_type
    width = seen.set_numbers if is_list else seen.numbers
    wider = wider_number(current, width if all_known else width.merge(_capacity(current)))
    return replace(column, arrow_type=f"list<{wider}>" if is_list else wider)


def wider_number(current: str, width: NumberWidth) -> str:
    """Return the narrowest type of numbers, no narrower than ``current``, that holds numbers of this width exactly.

    :param current: ``int64``, ``decimal128(38, s)`` or ``string``.
    """
    if current == "string":
        return current
    decimal = _DECIMAL.fullmatch(current)
    scale = max(width.fraction_digits, int(decimal[1]) if decimal else 0)
    wanted = _column_of("n", AttributeStatistics({"N": 1}, NumberWidth(width.integer_digits, scale)))
    if wanted is None or wanted.arrow_type == "int64":
        return current
    return wanted.arrow_type


def certainly_holds(column: Column, seen: AttributeStatistics) -> bool:
    """Tell whether a column holds every value of its own DynamoDB type, as far as types and widths tell."""
    is_set = column.dynamodb_type in ("SS", "NS", "BS")
    kind = column.arrow_type[5:-1] if is_set else column.arrow_type
    width = seen.set_numbers if is_set else seen.numbers
    if digits := decimal_digits(kind):
        return width.integer_digits <= digits[0] - digits[1] and width.fraction_digits <= digits[1]
    if kind == "int64":
        return width.all_integers and width.integer_digits <= _INT64_DIGITS
    # Maps and lists may have inside what neither text nor struct holds; epoch numbers may lie outside of what a timestamp does.
    return kind in ("bool", "binary") or (kind == "string" and column.dynamodb_type not in ("L", "M"))


def _capacity(arrow_type: str) -> NumberWidth:
    decimal = _DECIMAL.fullmatch(arrow_type)
    if decimal:
        return NumberWidth(38 - int(decimal[1]), int(decimal[1]))
    return NumberWidth(19, 0) if arrow_type == "int64" else NumberWidth()


def _column_of(attribute: str, seen: AttributeStatistics) -> Column | None:
    """Return the column that an attribute would get as a new one: the rules of names and types have one home."""
    columns = SchemaDocument().extend(ExportStatistics(attributes={attribute: seen})).columns
    return columns[0] if columns else None


def _added(
    schema: SchemaDocument,
    missing: Sequence[OverflowLine],
    statistics: ExportStatistics,
    wish: Wish,
    contract: Contract,
) -> tuple[tuple[Column, ...], list[Left]]:
    """Return new columns: for attributes that are named whatever the limit, for the others as far as there is room."""
    named = [line.attribute for line in missing if line.attribute in wish.names]
    others = [line.attribute for line in missing if line.attribute not in wish.names and line.attribute != OTHERS]
    others.sort(key=lambda name: name not in statistics.keys)
    room = max(0, contract.column_limit - len(schema.columns) - len(named))
    chosen = {name for name in (*named, *others[:room]) if name in statistics.attributes}
    seen = replace(statistics, attributes={name: statistics.attributes[name] for name in chosen})
    # Who names columns may leave others as they are, whatever the contract says of these.
    limit = len(schema.columns) + len(chosen)
    extended = schema.extend(seen, column_limit=limit, contract=contract, types_may_differ=True)
    added = extended.columns[len(schema.columns) :]
    holds = {column.attribute for column in added}
    cause = f"the table has its {contract.column_limit} columns; name it with --column to give it one nevertheless"
    return added, [Left(line, Reason.NO_COLUMN, cause) for line in missing if line.attribute not in holds]


def _left(line: OverflowLine, after: Column, wish: Wish, *, is_declared: bool, fits: bool) -> Iterable[Left]:
    """Say what stays in ``_overflow``; ``fits``: whether the column will hold every value of its own type."""
    if is_declared:
        cause = "contract.columns in the configuration says what the column holds; to hold more, declare another type"
        held = _OF_ITS_TYPE if fits else frozenset()
        for reason in line.reasons.keys() - {str(Reason.NO_COLUMN), *held}:
            yield Left(line, reason, cause)
        return
    retyped = line.column is not None and after.dynamodb_type != line.column.dynamodb_type
    if Reason.OTHER_TYPE in line.reasons and not retyped:
        cause = "the column holds the type of most of its values"
        if not wish.retype:
            cause = "the column holds one type; --retype gives it the type of most of its values by now"
        yield Left(line, Reason.OTHER_TYPE, cause)
    if Reason.NESTED in line.reasons:
        yield Left(line, Reason.NESTED, "plain JSON has no sets and no binary, so no wider column holds it")
