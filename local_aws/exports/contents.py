"""What an export holds: the items at a time, or the net change of each key in a window, as lines of its format.

Sources: Developer Guide (S3DataExport.Output), genuine exports, tests of other projects that pass against AWS. Within
one incremental export a key has one record: OldImage is the item right before the window, NewImage the one at its end;
an item that was inserted and deleted inside the window has none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from local_aws import hooks
from local_aws.exports import ion
from local_aws.exports.windows import Period
from local_aws.history import Item, Key, TableHistory, key_of, same_item
from local_aws.settings import Settings


@dataclass(frozen=True)
class Record:
    """One item of a full export (``written`` is None), or the net change of one key in a window."""

    key: Item
    new: Item | None
    old: Item | None = None
    written: int | None = None


def full_records(history: TableHistory, period: Period) -> Iterator[Record]:
    """The items at the export's time."""
    for item in history.state_at(period.cut).values():
        yield Record(key_of(item, history.key_names), item)


def incremental_records(history: TableHistory, period: Period, settings: Settings) -> Iterator[Record]:
    """The net changes in the window."""
    before: dict[Key, Item | None] = {}
    after: dict[Key, tuple[int, Item | None]] = {}
    for change in history.between(period.from_time, period.to_time):
        before.setdefault(change.key, change.old)
        after[change.key] = (change.time, change.new)
    for key, (written, new) in after.items():
        old = before[key]
        if old is None and new is None:
            continue
        if same_item(old, new) and not settings.emit_unchanged_items:
            continue
        yield Record(key_of(new or old or {}, history.key_names), new, old, written)


def filtered(records: Iterator[Record], specification: dict[str, Any]) -> Iterator[Record]:
    """The records that match a FilterSpecification, with its projection applied.

    Developer Guide (S3DataExport.Filtered): an incremental export evaluates the newest image, for deletes the old one.
    """
    dynamodb = hooks.dynamodb()
    names = specification.get("ExpressionAttributeNames") or {}
    values = specification.get("ExpressionAttributeValues") or {}
    # ASSUMPTION: a key condition means the same as a condition expression on the key attributes.
    conditions = [specification.get("KeyConditionExpression"), specification.get("FilterExpression")]
    projection = specification.get("ProjectionExpression")
    for record in records:
        image = record.new if record.new is not None else record.old
        if not all(dynamodb._evaluate_condition(text, image, values, names) for text in conditions if text):
            continue
        if projection:
            # ASSUMPTION: the key attributes stay, whatever the projection names.
            yield Record(
                record.key,
                _projected(record.new, projection, names, record.key),
                _projected(record.old, projection, names, record.key),
                record.written,
            )
        else:
            yield record


def _projected(item: Item | None, projection: str, names: dict[str, str], key: Item) -> Item | None:
    return None if item is None else {**key, **hooks.dynamodb()._project_item(item, projection, names)}


def partition_of(record: Record, partitions: int) -> int:
    """Which data file a record goes to: by a hash of its key, as items spread over a table's partitions."""
    key = json.dumps(record.key, sort_keys=True).encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest()) % partitions


def json_line(record: Record, view: str, settings: Settings) -> str:
    """A record as a line of DYNAMODB_JSON (genuine order: Metadata, Keys, OldImage, NewImage)."""
    if record.written is None:
        body: dict[str, Any] = {"Item": record.new}
    else:
        written: object = str(record.written)
        if not settings.write_timestamp_bare_string:
            written = {"N": written}
        body = {"Metadata": {"WriteTimestampMicros": written}, "Keys": record.key, **images(record, view)}
    if settings.numbers_with_exponents:
        body = {name: value if name == "Metadata" else with_exponents(value) for name, value in body.items()}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")) + "\n"


def images(record: Record, view: str) -> dict[str, Item]:
    """OldImage and NewImage of a change, as the view shows them."""
    shown: dict[str, Item] = {}
    if view == "NEW_AND_OLD_IMAGES" and record.old is not None:
        shown["OldImage"] = record.old
    if record.new is not None:
        shown["NewImage"] = record.new
    return shown


def ion_line(record: Record, view: str, _settings: Settings) -> str:
    """A record as a line of ION (incrementals are wrapped in ``Record``, Developer Guide)."""
    if record.written is None:
        return f"$ion_1_0 {{Item:{ion.struct(record.new or {})}}}\n"
    parts = [f"Keys:{ion.struct(record.key)}", f"Metadata:{{WriteTimestampMicros:{record.written}.}}"]
    parts += [f"{name}:{ion.struct(image)}" for name, image in images(record, view).items()]
    return f"$ion_1_0 {{Record:{{{','.join(parts)}}}}}\n"


def with_exponents(value: Any) -> Any:
    """``value`` with every Number in scientific notation where that is shorter, at any depth."""
    if isinstance(value, list):
        return [with_exponents(member) for member in value]
    if not isinstance(value, dict):
        return value
    return {
        tag: _exponent(inner)
        if tag == "N" and isinstance(inner, str)
        else [_exponent(member) for member in inner]
        if tag == "NS" and isinstance(inner, list) and all(isinstance(member, str) for member in inner)
        else with_exponents(inner)
        for tag, inner in value.items()
    }


def _exponent(number: str) -> str:
    short = str(Decimal(number).normalize())
    return short if len(short) < len(number) else number
