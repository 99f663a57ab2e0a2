"""A widening as the ledger knows it: its decision, its price, and which partitions it rewrites.

What is decided is :mod:`ddb_export.domain.wider_columns`; how it is done :mod:`ddb_export.pipeline.widening`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ddb_export.domain.column_types import MOST_DECIMAL_DIGITS, decimal_digits
from ddb_export.domain.cost import rewriting_error
from ddb_export.domain.overflow import OTHERS
from ddb_export.domain.redaction import NOTHING, Redaction, made_under
from ddb_export.domain.schema import Column, SchemaDocument, require_column_agreement
from ddb_export.domain.utc import iso, parse_utc
from ddb_export.domain.wider_columns import ColumnChange
from ddb_export.exceptions import BudgetError, ConfigurationError, PlanError

if TYPE_CHECKING:
    from ddb_export.domain.contract import Contract
    from ddb_export.domain.cost import Prices
    from ddb_export.domain.evidence import PublishedEntry, VerifiedEntry

WIDENING_FORMAT = 1
"""Version of the document's form."""

S3_GET_PER_THOUSAND = Decimal("0.0004")
"""A thousand requests that read from S3, in USD (S3's price list for us-east-1, S3 Standard)."""

_REQUESTS_PER_EXPORT = 12
_READS_PER_EXPORT = 8


@dataclass(frozen=True, slots=True)
class Widening:
    """A widening that was decided: one document of the ledger, written before anything else is.

    :param number: from 1; the next one may be decided when this one has ended.
    :param from_version: version of the schema document that it was decided by.
    :param changes: as in :class:`Decision`, like ``added`` and ``refilled``.
    :param ended: ``done`` or ``abandoned``; None while it is under way. :param to_version: version that it made current.
    :param declared: attributes whose new type the contract declared; None where an older version of this package wrote the document.
    :param redaction: what the contract takes out, if partitions that were made when it took out something else are rewritten too; None if
        that was not asked. Which ones these are is said by the contract of whoever rewrites them.
    """

    number: int
    from_version: int
    changes: tuple[ColumnChange, ...]
    added: tuple[Column, ...]
    refilled: tuple[str, ...]
    decided_at: datetime
    ended: str | None = None
    to_version: int | None = None
    redaction: Redaction | None = None
    declared: tuple[str, ...] | None = None

    def disagreement(self, contract: Contract) -> str | None:
        """Say why the contract does not want these columns any more; None while it does.

        What a contract asked for must not outlive it. After the point of no return nobody asks: columns change for all or for none.
        """
        for change in self.changes:
            rule = contract.by_attribute.get(change.after.attribute)
            if (rule is None or rule.declared_type is None) and self._is_declared(change):
                return f"no contract declares {change.after.glue_type} for column {change.after.name} any more"
        for column in (*(change.after for change in self.changes), *self.added):
            if column.attribute in contract.dropped:
                return f"the contract drops the attribute of column {column.name} by now"
            try:
                require_column_agreement(column, contract)
            except ConfigurationError:
                return f"the contract says something else than {column.glue_type} for column {column.name} by now"
        return None

    def _is_declared(self, change: ColumnChange) -> bool:
        return not _is_wider(change) if self.declared is None else change.after.attribute in self.declared

    def is_applied(self, schema: SchemaDocument) -> bool:
        """Tell whether a version of the schema document has the columns that this widening decided."""
        present = {column.name: column for column in schema.columns}
        attributes = {column.attribute for column in schema.columns}
        return all(present.get(each.after.name) == each.after for each in self.changes) and attributes.issuperset(
            column.attribute for column in self.added
        )

    def apply(self, schema: SchemaDocument) -> SchemaDocument:
        """Return a version with the columns that this widening decided, and the next number; itself if it has them.

        :raises PlanError: the schema has changed so that the decision does not fit any more.
        """
        if self.is_applied(schema):
            return schema
        changed = {each.before.name: each for each in self.changes}
        columns = tuple(self._changed(column, changed.get(column.name)) for column in schema.columns)
        attributes = {column.attribute for column in columns}
        added = tuple(column for column in self.added if column.attribute not in attributes)
        if {column.name for column in added} & {column.name for column in columns}:
            raise self._outdated("another attribute took the name of a new column")
        return SchemaDocument(schema.version + 1, columns + added)

    def _changed(self, column: Column, change: ColumnChange | None) -> Column:
        if change is None or column == change.after:
            return column
        if column != change.before:
            raise self._outdated(f"column {column.name} is {column.glue_type} by now")
        return change.after

    def _outdated(self, cause: str) -> PlanError:
        return PlanError(f"widening {self.number}", f"its decision is outdated: {cause}", "widen again")

    def is_stale(self, entry: PublishedEntry, columns: SchemaDocument, redaction: Redaction) -> bool:
        """Tell whether a partition has to be rewritten.

        :param columns: the columns that its files have. A column that they lack reads as NULL, whatever its type.
        :param redaction: what the contract takes out now.
        """
        if self.redaction is not None and redaction.differences(made_under(entry)):
            return True
        has = set(columns.columns)
        if any(change.before in has for change in self.changes):
            return True
        attributes = {column.attribute for column in columns.columns}
        gained = {*self.refilled, *(column.attribute for column in self.added)} - attributes
        return bool(gained) and (
            entry.overflowed is None or bool(gained & {*entry.overflowed} or OTHERS in entry.overflowed)
        )

    def to_json(self) -> dict[str, Any]:
        """Return the document that :meth:`from_json` reads."""
        return {
            "format": WIDENING_FORMAT,
            "number": self.number,
            "from_version": self.from_version,
            "changes": [{"before": each.before.to_json(), "after": each.after.to_json()} for each in self.changes],
            "added": [column.to_json() for column in self.added],
            "refilled": list(self.refilled),
            "decided_at": iso(self.decided_at),
            "ended": self.ended,
            "to_version": self.to_version,
            "redaction": None if self.redaction is None else self.redaction.to_json(),
            "declared": None if self.declared is None else list(self.declared),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Widening:
        """Read what :meth:`to_json` wrote.

        :raises ValueError: a newer version of this package wrote it.
        """
        if document["format"] != WIDENING_FORMAT:
            raise ValueError(f"format {document['format']} is not known")
        changes, redaction, declared = document["changes"], document.get("redaction"), document.get("declared")
        return cls(
            document["number"],
            document["from_version"],
            tuple(ColumnChange(Column.from_json(each["before"]), Column.from_json(each["after"])) for each in changes),
            tuple(Column.from_json(column) for column in document["added"]),
            tuple(document["refilled"]),
            parse_utc(document["decided_at"]),
            document["ended"],
            document["to_version"],
            None if redaction is None else Redaction.from_json(redaction),
            None if declared is None else tuple(declared),
        )


def _is_wider(change: ColumnChange) -> bool:
    """Tell whether a change is one that follows from numbers alone: to more digits, or to exact text."""
    before, after = change.before, change.after
    if before.dynamodb_type != after.dynamodb_type or after.unit or after.members:
        return False
    kinds = [each.arrow_type.removeprefix("list<").removesuffix(">") for each in (before, after)]
    digits = [decimal_digits(kind) for kind in kinds]
    if kinds[0] == "int64":
        return kinds[1] == "string" or bool(digits[1] and digits[1][0] == MOST_DECIMAL_DIGITS)
    if digits[0]:
        return kinds[1] == "string" or bool(digits[1] and digits[1][0] == MOST_DECIMAL_DIGITS and digits[1] > digits[0])
    return False


@dataclass(frozen=True, slots=True)
class WideningEstimate:
    """What a widening reads, and what that costs. DynamoDB is asked for nothing, so it bills nothing.

    :param partitions: partitions that are rewritten. :param files: raw data files that are read.
    :param bytes_read: their size. :param reads: requests that read from S3; ``writes`` those that write or list.
    :param usd: what the requests cost; the time of the machine that converts is not in it.
    """

    partitions: int
    files: int
    bytes_read: int
    reads: int
    writes: int
    usd: Decimal
    basis: tuple[str, ...]


def estimate_widening(entries: Sequence[VerifiedEntry], prices: Prices) -> WideningEstimate:
    """Say what rewriting these exports costs.

    :param entries: the exports behind the partitions that are rewritten.
    """
    files = sum(entry.files for entry in entries)
    reads = files + _READS_PER_EXPORT * len(entries)
    writes = 2 * files + _REQUESTS_PER_EXPORT * len(entries)
    price = (reads * S3_GET_PER_THOUSAND + writes * prices.s3_put_per_thousand) / 1000
    basis = (
        (
            f"S3: about {reads:,} requests that read, at {S3_GET_PER_THOUSAND:f} USD per 1,000, and {writes:,} that write"
            f" or list, at {prices.s3_put_per_thousand:f} USD per 1,000"
        ),
        "DynamoDB is asked for nothing, so it bills nothing; the older files stay until someone deletes them",
    )
    size = sum(entry.bytes_read for entry in entries)
    return WideningEstimate(len(entries), files, size, reads, writes, price if entries else Decimal(0), basis)


def budget_error(name: str, estimated: WideningEstimate, budget: Decimal | None) -> BudgetError | None:
    """Return the error for a widening that costs more than a run may; None if it does not.

    :param name: of the table. :param budget: most that one run may cost, in USD; None for no limit.
    """
    return rewriting_error(f"widening of {name}", estimated.usd, budget, "widen fewer columns at a time")


def stale_entries(
    widening: Widening,
    shown: Iterable[PublishedEntry],
    replaced: Collection[str],
    columns_of: Callable[[int], SchemaDocument],
    redaction: Redaction = NOTHING,
) -> list[PublishedEntry]:
    """Return the partitions that are to be rewritten.

    :param shown: what readers see. :param replaced: names of attempts that a later verified one is about to replace; they are left
        alone, because whoever publishes the later one shows it with the newest columns.
    :param columns_of: version of the schema document → its columns. :param redaction: what the contract takes out now.
    """
    kept = [entry for entry in shown if entry.export not in replaced]
    return [entry for entry in kept if widening.is_stale(entry, columns_of(entry.schema_version), redaction)]
