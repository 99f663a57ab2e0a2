"""A block of lines → Arrow record batches with the contract's columns; the fast path.

Writes what :class:`ddb_export.conversion.batch.ExactBlockEncoder` writes, many rows at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import pyarrow as pa

from ddb_export.conversion.batch import EncodedBlock, ExactBlockEncoder, RowFormat, overflow_text, ttl_expired
from ddb_export.conversion.cells import cell_encoder, column_type, scalar_encoder
from ddb_export.conversion.checked import CheckedRun, ExactRun
from ddb_export.conversion.checked_payloads import CheckedPayloads
from ddb_export.conversion.nested_values import parse_together
from ddb_export.conversion.payloads import epoch_timestamps
from ddb_export.conversion.record import parse_json
from ddb_export.conversion.typed_lines import Slot
from ddb_export.domain.attribute_value import json_text
from ddb_export.domain.column_types import UNITS
from ddb_export.domain.contract import Contract
from ddb_export.domain.schema import Column


class RunEncoder:
    """Encodes checked runs of lines.

    :param row_format: what rows look like.
    """

    def __init__(self, row_format: RowFormat) -> None:
        self._format = row_format
        self._schema = row_format.arrow_schema()
        self._exact = ExactBlockEncoder(row_format)
        self._columns = [_ColumnEncoder(column) for column in row_format.columns]

    def encode(self, checked: CheckedRun | ExactRun) -> EncodedBlock:
        """Encode one run, rows in the order of their lines."""
        if isinstance(checked, ExactRun):
            counts: dict[str, int] = {}
            records = self._exact.encode_records(checked.records, counts)
            encoded = EncodedBlock(records, checked.lines, checked.quarantined, counts)
            return self._exact.encode_lines(checked.content) if self._exact.violates(counts) else encoded
        encoded = self._encode(checked)
        return self._exact.encode_lines(checked.run.lines) if self._exact.violates(encoded.overflowed) else encoded

    def _encode(self, checked: CheckedRun) -> EncodedBlock:
        run = checked.run
        slots = _redacted(checked.slots, self._format.contract)
        overflow: dict[int, dict[str, Any]] = {}
        overflowed: dict[str, int] = {}
        arrays = []
        in_columns = set()
        missing: dict[pa.DataType, pa.Array] = {}
        for encoder in self._columns:
            found = slots.get(encoder.slot)
            if found is None:
                if encoder.type not in missing:
                    missing[encoder.type] = pa.nulls(run.rows, encoder.type)
                arrays.append(missing[encoder.type])
                continue
            in_columns.add(encoder.slot)
            array, misfits = encoder.encode(found)
            arrays.append(array)
            if misfits:
                self._overflow(encoder.slot, found, set(misfits), overflow, overflowed)
        for slot, found in slots.items():
            if slot not in in_columns:
                self._overflow(slot, found, None, overflow, overflowed)
        texts: list[str | None] = [None] * run.rows
        for row, values in overflow.items():
            texts[row] = overflow_text(values)
        contract = [pa.repeat(self._format.table_id, run.rows), pa.array(texts, pa.string())]
        if self._format.is_incremental:
            contract = self._change_columns(checked) + contract
        batch = pa.RecordBatch.from_arrays(contract + arrays, schema=self._schema)
        return EncodedBlock(batch, len(run.lines), run.quarantined, overflowed)

    @staticmethod
    def _overflow(
        slot: tuple[str, str],
        found: CheckedPayloads,
        rows: set[int] | None,
        overflow: dict[int, dict[str, Any]],
        overflowed: dict[str, int],
    ) -> None:
        attribute, tag = slot
        count = 0
        for row, value in found.values():
            if rows is None or row in rows:
                overflow.setdefault(row, {})[attribute] = value
                count += 1
        if tag != "NULL":
            overflowed[attribute] = overflowed.get(attribute, 0) + count

    def _change_columns(self, checked: CheckedRun) -> list[pa.Array]:
        run = checked.run
        attribute = self._format.ttl_attribute
        expiries = None if attribute is None else checked.old_slots.get((attribute, "N"))
        expired: list[bool | None] = [None if text is None else False for text in run.old_texts]
        if attribute is not None and expiries is not None:
            for row, number in enumerate(expiries.payloads):
                if number is not None:
                    expired[row] = ttl_expired({attribute: {"N": number}}, attribute, run.written_at[row])
        return [
            pa.array(run.operations, pa.string()),
            pa.array(run.written_at, pa.int64()).cast(pa.timestamp("us", tz="UTC")),
            pa.array(_old_image_texts(run.old_texts, self._format.contract), pa.string()),
            pa.array(expired, pa.bool_()),
        ]


def _redacted(slots: dict[Slot, CheckedPayloads], contract: Contract) -> dict[Slot, CheckedPayloads]:
    """Leave out what the contract drops, and put hashes in the place of what it hashes."""
    if not contract.redacts:
        return slots
    kept: dict[Slot, CheckedPayloads] = {}
    hashes: dict[str, list[str | None]] = {}
    for (attribute, tag), found in slots.items():
        if attribute in contract.hashed and tag != "NULL":
            of_rows = hashes.setdefault(attribute, [None] * len(found.payloads))
            for row, value in found.values():
                of_rows[row] = contract.hash_of(value)["S"]
        elif attribute not in contract.dropped:
            kept[attribute, tag] = found
    return {**kept, **{(attribute, "S"): CheckedPayloads("S", of_rows) for attribute, of_rows in hashes.items()}}


def _old_image_texts(texts: Sequence[Any], contract: Contract) -> list[Any]:
    raws = [bytes(text) for text in texts if text is not None and not isinstance(text, dict)]
    parsed = parse_together(raws)
    if contract.redacts:
        images = iter([parse_json(raw) for raw in raws] if parsed is None else parsed)
        old_images = (text if text is None or isinstance(text, dict) else next(images) for text in texts)
        return [None if image is None else json_text(contract.redacted(image)) for image in old_images]
    compact = iter([json_text(parse_json(raw)).encode() for raw in raws] if parsed is None else raws)
    return [None if text is None else json_text(text) if isinstance(text, dict) else next(compact) for text in texts]


class _ColumnEncoder:
    """Encodes the payloads of one column."""

    def __init__(self, column: Column) -> None:
        self.slot = (column.attribute, column.dynamodb_type)
        self.type = column_type(column)
        self._type_text = column.arrow_type
        self._factor = UNITS[column.unit] if column.unit and not column.members else None
        self._encode_cell = cell_encoder(column)
        self._is_list = column.arrow_type.startswith("list<")
        if self._is_list:
            self._element_text = column.arrow_type[5:-1]
            self._encode_element = scalar_encoder(column.dynamodb_type[0], self._element_text)

    def encode(self, found: CheckedPayloads) -> tuple[pa.Array, Sequence[int]]:
        """The array, and the rows whose value does not fit."""
        if found.nested is not None:
            return found.nested.array() if self._type_text == "string" else self._encode_nested(found)
        if self._factor is not None and found.numbers is not None:
            timestamps = epoch_timestamps(found.numbers, self._factor)
            return self._encode_each(found.payloads) if timestamps is None else (timestamps, ())
        if self._is_list:
            return self._encode_lists(found)
        if found.numbers is not None:
            return found.numbers.array(self._type_text, self._encode_cell)
        if found.array is not None and found.array.type == self.type:
            return found.array, ()
        return pa.array(found.payloads if found.bytes is None else found.bytes, self.type), ()

    def _encode_lists(self, found: CheckedPayloads) -> tuple[pa.Array, Sequence[int]]:
        if found.numbers is not None:
            elements, misfits = found.numbers.array(self._element_text, self._encode_element)
            if misfits:
                return self._encode_each(found.payloads)
        elif found.bytes is not None:
            elements = pa.array(found.bytes, pa.binary())
        else:
            return pa.array(found.payloads, self.type), ()
        sizes = [0 if payload is None else len(payload) for payload in found.payloads]
        offsets = pa.array([0, *accumulate(sizes)], pa.int32())
        # Valid sets are not empty.
        missing = pa.array([size == 0 for size in sizes], pa.bool_())
        return pa.ListArray.from_arrays(offsets, elements, self.type, mask=missing), ()

    def _encode_nested(self, found: CheckedPayloads) -> tuple[pa.Array, Sequence[int]]:
        payloads: list[Any] = [None] * len(found.payloads)
        for row, value in found.values():
            payloads[row] = value[found.tag]
        return self._encode_each(payloads)

    def _encode_each(self, payloads: Sequence[Any]) -> tuple[pa.Array, Sequence[int]]:
        cells = [None if payload is None else self._encode_cell(payload) for payload in payloads]
        misfits = [row for row, cell in enumerate(cells) if cell is None and payloads[row] is not None]
        return pa.array(cells, self.type), misfits
