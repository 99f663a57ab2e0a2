"""One line of a data file → a valid record, or the reason why it is none.

This is the exact path: the standard library's parser and the rules of :mod:`ddb_export.domain.attribute_value`,
no shortcuts. Faster paths must agree with it line by line and leave to it each line that they are not sure of.

Shapes (Developer Guide, "DynamoDB table export output format", and genuine exports): full
``{"Item": {…}}``; incremental ``{"Metadata": {"WriteTimestampMicros": {"N": "…"}}, "Keys": {…}, "OldImage":
{…}, "NewImage": {…}}``, where the guide's examples show the timestamp as a bare string; both are read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ddb_export.domain.attribute_value import AttributeValueError, parse_number, validate_item
from ddb_export.domain.export import ExportType, ExportViewType

_LATEST_MICROS = 253_402_300_799_999_999
"""The end of year 9999, the last time that Parquet readers and Python agree on."""


class InvalidRecordError(ValueError):
    """A line is no valid record. The text says why and never repeats item data."""


@dataclass(frozen=True, slots=True)
class Record:
    """A valid record.

    :ivar item: the image that typed columns hold: the item, the new image, or a removed item's keys.
    :ivar operation: value of ``_op``; null in full exports.
    :ivar written_at: microseconds since 1970-01-01T00:00Z; null in full exports.
    :ivar old_image: the old image, where there is one.
    :ivar keys: the keys of a change; null in full exports.
    """

    item: Mapping[str, Any]
    operation: str | None = None
    written_at: int | None = None
    old_image: Mapping[str, Any] | None = None
    keys: Mapping[str, Any] | None = None


def parse_record(line: bytes, export_type: ExportType, view: ExportViewType | None = None) -> Record:
    """Parse one line exactly.

    :param view: of an incremental export; decides between ``PUT`` and ``INSERT``.
    :raises InvalidRecordError: if the line is no valid record of that export type.
    """
    document = parse_json(line)
    if not isinstance(document, dict):
        raise InvalidRecordError("the line is not a JSON object")
    if export_type is ExportType.FULL_EXPORT:
        return Record(_image(document, "Item", required=True))
    return _change(document, view)


def operation_of(*, has_new_image: bool, has_old_image: bool, view: ExportViewType | None) -> str:
    """The value of ``_op``: what the images and the export's view tell about the write."""
    if not has_new_image:
        return "REMOVE"
    if view is ExportViewType.NEW_IMAGE:
        return "PUT"
    return "MODIFY" if has_old_image else "INSERT"


def written_at_micros(metadata: Any) -> int:
    """The WriteTimestampMicros of a record's Metadata, in microseconds since the epoch.

    :raises InvalidRecordError: if there is none, or none that is a time.
    """
    stamp = metadata.get("WriteTimestampMicros") if isinstance(metadata, dict) else None
    if isinstance(stamp, dict) and len(stamp) == 1:
        stamp = stamp.get("N")
    if isinstance(stamp, int) and not isinstance(stamp, bool):
        stamp = str(stamp)
    if not isinstance(stamp, str):
        raise InvalidRecordError("Metadata has no WriteTimestampMicros")
    try:
        shape = parse_number(stamp)
    except AttributeValueError as error:
        raise InvalidRecordError(f"WriteTimestampMicros: {error}") from None
    if shape.fraction_digits or not 0 <= (micros := int(shape.plain)) <= _LATEST_MICROS:
        raise InvalidRecordError("WriteTimestampMicros is no time in whole microseconds")
    return micros


def _change(document: dict[str, Any], view: ExportViewType | None) -> Record:
    keys = _image(document, "Keys", required=True)
    new_image = _image(document, "NewImage")
    old_image = _image(document, "OldImage")
    return Record(
        keys if new_image is None else new_image,
        operation_of(has_new_image=new_image is not None, has_old_image=old_image is not None, view=view),
        written_at_micros(document.get("Metadata")),
        old_image,
        keys,
    )


def _image(document: dict[str, Any], name: str, *, required: bool = False) -> Any:
    if name not in document:
        if required:
            raise InvalidRecordError(f"the record has no {name}")
        return None
    try:
        validate_item(document[name])
    except AttributeValueError as error:
        raise InvalidRecordError(f"{name}: {error}") from None
    return document[name]


def parse_json(line: bytes) -> Any:
    """Parse JSON strictly; its numbers come out as 0, because no payload is a JSON number.

    :raises InvalidRecordError: if it is not JSON, not UTF-8, empty, or names a member twice.
    """
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidRecordError("the line is not UTF-8") from None
    if not text.strip():
        raise InvalidRecordError("the line is empty")
    try:
        return json.loads(
            text,
            parse_int=_number_literal,
            parse_float=_number_literal,
            parse_constant=_refuse_constant,
            object_pairs_hook=_without_duplicates,
        )
    except InvalidRecordError:
        raise
    except (ValueError, RecursionError):
        raise InvalidRecordError("the line is not JSON") from None


def _number_literal(_: str) -> int:
    # No payload is a JSON number, so its value never matters; digits without end must not cost time.
    return 0


def _refuse_constant(text: str) -> None:
    raise InvalidRecordError(f"the line is not JSON ({text})")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise InvalidRecordError("a name occurs twice in one JSON object")
    return members
