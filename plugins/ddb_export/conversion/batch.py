"""A block of lines → one Arrow record batch with the contract's columns; the exact path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pyarrow as pa

from ddb_export.conversion.cells import ItemEncoder, column_type
from ddb_export.conversion.data_file import lines_of
from ddb_export.conversion.record import InvalidRecordError, Record, parse_record
from ddb_export.domain.attribute_value import AttributeValueError, json_text, parse_number
from ddb_export.domain.contract import NO_CONTRACT, Contract, OnViolation
from ddb_export.domain.export import ExportType, ExportViewType
from ddb_export.domain.schema import Column, contract_columns

_CONTRACT_TYPES = {"string": pa.string(), "boolean": pa.bool_(), "timestamp": pa.timestamp("us", tz="UTC")}


@dataclass(frozen=True, slots=True)
class RowFormat:
    """All that decides what a record looks like as a row.

    :ivar columns: the attribute columns of the schema document.
    :ivar table_id: value of ``_table_id``.
    :ivar ttl_attribute: the table's TTL attribute, if one is known.
    :ivar view: the view of an incremental export.
    :ivar contract: what is dropped and hashed, and what becomes of values that do not fit.
    :raises ConfigurationError: values are to be hashed, and there is no key.
    """

    export_type: ExportType
    columns: tuple[Column, ...]
    table_id: str
    ttl_attribute: str | None = None
    view: ExportViewType | None = None
    contract: Contract = NO_CONTRACT

    def __post_init__(self) -> None:
        if self.contract.hashed:
            _ = self.contract.required_key

    @property
    def is_incremental(self) -> bool:
        """Whether rows are changes."""
        return self.export_type is ExportType.INCREMENTAL_EXPORT

    def arrow_schema(self, metadata: Mapping[str, str] | None = None) -> pa.Schema:
        """Contract columns, then one column per attribute."""
        fields = [pa.field(name, _CONTRACT_TYPES[kind]) for name, kind in contract_columns(self.export_type)]
        fields += [pa.field(column.name, column_type(column)) for column in self.columns]
        return pa.schema(fields, metadata=dict(metadata) if metadata else None)


@dataclass(slots=True)
class EncodedBlock:
    """The rows of one block, and what was noticed about them.

    :ivar quarantined: (index of the line in the block, reason, line).
    :ivar overflowed: attribute → rows whose value, other than NULL, went to ``_overflow``.
    :ivar violation: index and reason of the first line with a value that its column cannot hold; only where the contract minds.
    """

    batch: pa.RecordBatch
    lines: int
    quarantined: list[tuple[int, str, bytes]] = field(default_factory=list)
    overflowed: dict[str, int] = field(default_factory=dict)
    violation: tuple[int, str] | None = None


class ExactBlockEncoder:
    """Encodes blocks record by record, with nothing but the exact rules."""

    def __init__(self, row_format: RowFormat) -> None:
        self._format = row_format
        self._schema = row_format.arrow_schema()
        self._items = ItemEncoder(row_format.columns)
        self._columns = {column.attribute: column for column in row_format.columns}

    def encode(self, block: bytes) -> EncodedBlock:
        """Encode the lines of one block, in their order."""
        return self.encode_lines(lines_of(block))

    def encode_lines(self, lines: Sequence[bytes]) -> EncodedBlock:
        """Encode lines, in their order."""
        rows = []
        quarantined: list[tuple[int, str, bytes]] = []
        overflowed: dict[str, int] = {}
        first_violation = None
        for index, line in enumerate(lines):
            try:
                record = parse_record(line, self._format.export_type, self._format.view)
            except InvalidRecordError as error:
                quarantined.append((index, str(error), line))
                continue
            cells, overflow = self._items.encode(self._format.contract.redacted(record.item))
            if violation := self._violation(overflow):
                quarantined.append((index, violation, line))
                first_violation = first_violation or (index, violation)
                continue
            count_overflow(overflow, overflowed)
            rows.append(self._row(record, cells, overflow))
        return EncodedBlock(self._batch(rows), len(lines), quarantined, overflowed, first_violation)

    def encode_records(self, records: Sequence[Record], overflowed: dict[str, int]) -> pa.RecordBatch:
        """Encode valid records, whatever overflows; counts what does into ``overflowed``."""
        rows = []
        for record in records:
            cells, overflow = self._items.encode(self._format.contract.redacted(record.item))
            count_overflow(overflow, overflowed)
            rows.append(self._row(record, cells, overflow))
        return self._batch(rows)

    def violates(self, overflowed: Mapping[str, int]) -> bool:
        """Whether values that overflowed violate a contract that minds; without one, none does."""
        if self._format.contract.on_violation is OnViolation.OVERFLOW:
            return False
        return any(rows and attribute in self._columns for attribute, rows in overflowed.items())

    def _violation(self, overflow: Mapping[str, Any]) -> str | None:
        if self._format.contract.on_violation is OnViolation.OVERFLOW:
            return None
        for attribute in sorted(overflow):
            column = self._columns.get(attribute)
            if column is not None and "NULL" not in overflow[attribute]:
                return f"attribute {attribute!a}: the value does not fit the column {column.name} {column.glue_type}"
        return None

    def _batch(self, rows: Sequence[list[Any]]) -> pa.RecordBatch:
        columns = zip(*rows, strict=True) if rows else [()] * len(self._schema)
        arrays = [pa.array(cells, type=kind) for cells, kind in zip(columns, self._schema.types, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)

    def _row(self, record: Record, cells: list[Any], overflow: Mapping[str, Any]) -> list[Any]:
        text = overflow_text(overflow)
        if not self._format.is_incremental:
            return [self._format.table_id, text, *cells]
        old_image = record.old_image
        return [
            record.operation,
            record.written_at,
            None if old_image is None else json_text(self._format.contract.redacted(old_image)),
            ttl_expired(old_image, self._format.ttl_attribute, record.written_at or 0),
            self._format.table_id,
            text,
            *cells,
        ]


def overflow_text(overflow: Mapping[str, Any] | None) -> str | None:
    """The cell of ``_overflow``: attributes in code-point order, so that no path of conversion shows."""
    return json_text({name: overflow[name] for name in sorted(overflow)}) if overflow else None


def count_overflow(overflow: Mapping[str, Any], overflowed: dict[str, int]) -> None:
    """Count overflow values by attribute; a NULL is at home there and does not count."""
    for attribute, value in overflow.items():
        if "NULL" not in value:
            overflowed[attribute] = overflowed.get(attribute, 0) + 1


def ttl_expired(old_image: Mapping[str, Any] | None, ttl_attribute: str | None, written_at: int) -> bool | None:
    """Whether the old image's time to live had passed when it was overwritten or removed.

    An inference: exports do not say who wrote. TTL values are numbers of seconds since the epoch (Developer
    Guide, "Time to Live"); any other value never expires.

    :param written_at: microseconds since the epoch.
    :returns: null without old image; false where no TTL attribute is known.
    """
    if old_image is None:
        return None
    value = old_image.get(ttl_attribute) if ttl_attribute is not None else None
    if not value or "N" not in value:
        return False
    try:
        shape = parse_number(value["N"])
    except AttributeValueError:
        return False
    return Decimal(shape.plain) <= Decimal(written_at).scaleb(-6)
