"""Lines → typed structs, by shapes that were learned from earlier lines: the fast way into a data file.

msgspec decodes three times as fast as other parsers when it knows the attribute names and type tags beforehand,
and refuses whatever is different. So a :class:`LineDecoder` learns shapes from the first lines, which it reads
exactly (:mod:`.record`), and reads exactly each later line that the typed decoder refuses. Nothing is assumed:
what the types cannot promise (digits, base64, nested values, names that occur twice) is checked by
:mod:`.payloads`, and in case of doubt lines are read exactly.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec

from ddb_export.conversion.record import InvalidRecordError, Record, operation_of, parse_record
from ddb_export.domain.export import ExportType, ExportViewType

_LEARNING_LINES = (64, 512, 2048)
"""Sizes of the first runs of lines; after each the shapes are learned anew. Then whole blocks."""

_LARGEST_SHAPE = 2000
"""Attributes of a shape. Where attribute names are data, the lines past this are read exactly."""

_RUN_CELLS = 2 << 20
"""Rows times attributes of the shape in one run of lines: what one turn of rows into columns takes in memory."""

_MANY_SLOTS = 256
_SLOT_NANOSECONDS, _CELL_NANOSECONDS, _VALUE_NANOSECONDS = 50_000, 60, 8_000
"""What columns cost by slot and by cell of a run, and records by value, as measured once: where a run has more than so
many slots, the cheaper way is taken. Constants, so that files come out the same on every machine."""

_RARE = 64
"""A second type of an attribute becomes part of the shape if one line of so many has it."""

_PAYLOAD_TYPES: dict[str, Any] = {
    "S": str,
    "N": str,
    "B": str,
    "BOOL": bool,
    "NULL": bool,
    "SS": list[str],
    "NS": list[str],
    "BS": list[str],
    "L": msgspec.Raw,
    "M": msgspec.Raw,
}

_ESCAPED = re.compile(r'[\x00-\x1f"\\]')

_ITEM_FRAME = len('{"Item":{}}') - 1
_CHANGE_FRAME = len('{"Metadata":{"WriteTimestampMicros":{"N":""}},"Keys":{}}') - 1
_NEW_IMAGE_FRAME, _OLD_IMAGE_FRAME = len(',"NewImage":{}') - 1, len(',"OldImage":{}') - 1
"""Bytes around images. Of the commas in an image there is one less than attributes."""

Slot = tuple[str, str]
"""An attribute and one type tag of it."""


class Shape:
    """The attributes and type tags that lines are expected to have.

    :param tags: attribute → its expected type tags.
    :ivar attributes: attribute, in the order of an image's fields → its expected type tags, and the struct that
        stands for a missing attribute. A struct with several tags does not promise that exactly one is there.
    """

    def __init__(self, tags: Mapping[str, Sequence[str]]) -> None:
        self.tags = {attribute: tuple(expected) for attribute, expected in tags.items()}
        self.attributes: dict[str, tuple[tuple[str, ...], Any]] = {}
        fields, names = [], {}
        for index, (attribute, expected) in enumerate(self.tags.items()):
            name = f"a{index}"
            names[name] = attribute
            value_type = _value_type(expected)
            absent = value_type(**dict.fromkeys(expected))
            fields.append((name, value_type, absent))
            self.attributes[attribute] = (expected, absent)
        self.image_type: Any = msgspec.defstruct(
            "Image", fields, rename=names, forbid_unknown_fields=True, frozen=True, gc=False
        )
        self.decode = msgspec.json.Decoder(self.image_type).decode


def _value_type(tags: Sequence[str]) -> Any:
    if len(tags) == 1:
        fields: list[Any] = [(tags[0], _PAYLOAD_TYPES[tags[0]])]
    else:
        fields = [(tag, _PAYLOAD_TYPES[tag], None) for tag in tags]
    return msgspec.defstruct("Value", fields, forbid_unknown_fields=True, frozen=True, gc=False)


@dataclass(slots=True)
class Images:
    """One kind of image of a run of lines.

    :ivar shape: of the typed images.
    :ivar typed: a typed image per row; of a row without image, or one that was read exactly, the empty one.
    :ivar exact: row → image that was read exactly.
    """

    shape: Shape
    typed: list[Any] = field(default_factory=list)
    exact: dict[int, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(slots=True)
class Run:
    """Successive lines, decoded.

    :ivar images: of each row what typed columns hold.
    :ivar keys: the keys of changes; :ivar old_images: their old images, both only looked at to be checked.
    :ivar operations: ``_op`` per row; :ivar written_at: microseconds; :ivar old_texts: JSON text per row.
    :ivar line_of_row: index of each row's line.
    :ivar quarantined: (index of the line, reason, line).
    :ivar members: JSON object members of the typed lines outside of their images.
    :ivar frame_bytes: bytes of the typed lines outside of their images, as compact JSON; the braces of an image, less one comma, count here.
    """

    images: Images
    keys: Images
    old_images: Images
    lines: Sequence[bytes]
    operations: list[str] = field(default_factory=list)
    written_at: list[int] = field(default_factory=list)
    old_texts: list[Any] = field(default_factory=list)
    line_of_row: list[int] = field(default_factory=list)
    quarantined: list[tuple[int, str, bytes]] = field(default_factory=list)
    members: int = 0
    frame_bytes: int = 0

    @property
    def rows(self) -> int:
        """Valid records so far."""
        return len(self.images.typed)


class LineDecoder:
    """Decodes the lines of one data file and learns their shapes on the way.

    :param export_type: decides what a record looks like.
    :param view: decides between ``PUT`` and ``INSERT``.
    :ivar reads_exactly: whether the next run is better read record by record; follows from the lines before it.
    :ivar scales: of numbers in the lines so far, most digits after the point.
    :ivar keys: names of the key attributes, of changes: complete after the first valid line, as all lines of a table have the same.
    """

    def __init__(self, export_type: ExportType, view: ExportViewType | None = None) -> None:
        self._export_type = export_type
        self._view = view
        self._runs = 0
        self.reads_exactly = False
        self.keys: frozenset[str] = frozenset()
        self.scales: dict[Slot, int] = {}
        self._failed: list[Record] = []
        self._tags: dict[str, Counter[str]] = {}
        self._shape = Shape({})
        self._keys_shape = Shape({})
        self._build()

    def runs(self, lines: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
        """Cut lines into runs: short ones while there is nothing learned yet."""
        start = 0
        while start < len(lines):
            size = _LEARNING_LINES[self._runs] if self._runs < len(_LEARNING_LINES) else len(lines)
            size = min(size, max(1, _RUN_CELLS // max(1, len(self._shape.tags))))
            yield lines[start : start + size]
            start += size
            self._runs += 1

    def decode(self, lines: Sequence[bytes], doubtful: set[int]) -> Run:
        """Decode a run of lines.

        :param doubtful: indexes of lines that must be read exactly.
        """
        self._failed = []
        run = Run(Images(self._shape), Images(self._keys_shape), Images(self._shape), lines)
        is_full = self._export_type is ExportType.FULL_EXPORT
        add = self._item_adder(run) if is_full else partial(self._add_change, run)
        note_line = run.line_of_row.append
        for index, line in enumerate(lines):
            if index not in doubtful:
                try:
                    add(line)
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, _NotPlainError):
                    pass
                else:
                    note_line(index)
                    continue
            self._add_exactly(run, index, line)
        if is_full:
            run.members = run.rows - len(run.images.exact)
            run.frame_bytes = run.members * _ITEM_FRAME
        return run

    def judge(self, rows: int, slots: int, values: int) -> None:
        """Decide how the next run is read.

        :param rows: of the last run. :param slots: attributes and type tags that it had. :param values: top-level
            values in it.
        """
        by_columns = slots * (_SLOT_NANOSECONDS + rows * _CELL_NANOSECONDS)
        self.reads_exactly = slots > _MANY_SLOTS and values * _VALUE_NANOSECONDS < by_columns

    def read(self, lines: Sequence[bytes]) -> tuple[list[Record], list[tuple[int, str, bytes]]]:
        """Read a run of lines exactly.

        :returns: the valid records, and (index of the line, reason, line) of the others.
        """
        records, quarantined = [], []
        for index, line in enumerate(lines):
            try:
                records.append(self._note_keys(parse_record(line, self._export_type, self._view)))
            except InvalidRecordError as error:
                quarantined.append((index, str(error), line))
        return records, quarantined

    def learn(self, run: Run) -> None:
        """Take the lines that had to be read exactly into the shapes, if they are more than a few."""
        if not self._failed or (self._runs > len(_LEARNING_LINES) and len(self._failed) * 200 < len(run.lines)):
            self._failed = []
            return
        for record in self._failed:
            for attribute, value in (*record.item.items(), *(record.old_image or {}).items()):
                self._tags.setdefault(attribute, Counter()).update(list(value))
            for attribute, value in (record.keys or {}).items():
                self._tags.setdefault(attribute, Counter()).update(list(value))
        threshold = len(run.lines) // _RARE
        self._build(threshold, (record.keys or {} for record in self._failed))
        self._failed = []

    def _build(self, threshold: int = 0, keys: Iterable[Mapping[str, Any]] = ()) -> None:
        expected: dict[str, list[str]] = {name: list(tags) for name, tags in self._shape.tags.items()}
        for attribute, counts in self._tags.items():
            if attribute not in expected and (len(expected) >= _LARGEST_SHAPE or not _can_be_a_field(attribute)):
                continue
            known = expected.setdefault(attribute, [])
            for tag, count in counts.most_common():
                if tag not in known and (not known or count > threshold):
                    known.append(tag)
        self._tags = {}
        key_tags = {name: list(tags) for name, tags in self._keys_shape.tags.items()}
        for key in keys:
            for attribute, value in key.items():
                if _can_be_a_field(attribute):
                    key_tags.setdefault(attribute, list(value))
        if expected != {name: list(tags) for name, tags in self._shape.tags.items()}:
            self._shape = Shape(expected)
        if len(key_tags) != len(self._keys_shape.tags):
            self._keys_shape = Shape(key_tags)
        self._empty = self._shape.image_type()
        self._empty_key = self._keys_shape.image_type()
        record_type = _item_record(self._shape) if self._export_type is ExportType.FULL_EXPORT else _ChangeRecord
        self._decode_record = msgspec.json.Decoder(record_type).decode

    def _item_adder(self, run: Run) -> Callable[[bytes], None]:
        decode_record, append = self._decode_record, run.images.typed.append
        return lambda line: append(decode_record(line).Item)

    def _add_change(self, run: Run, line: bytes) -> None:
        record: Any = self._decode_record(line)
        micros = record.Metadata.WriteTimestampMicros.N
        written_at = _micros(micros)
        has_new, has_old = bool(record.NewImage), bool(record.OldImage)
        # The keys of a removed item are its row, and checked as such.
        key = self._keys_shape.decode(record.Keys) if has_new else self._empty_key
        image = self._shape.decode(record.NewImage if has_new else record.Keys)
        old_image = self._shape.decode(record.OldImage) if has_old else self._empty
        run.images.typed.append(image)
        run.keys.typed.append(key)
        run.old_images.typed.append(old_image)
        run.members += 4 + has_new + has_old
        run.frame_bytes += _CHANGE_FRAME + len(micros) + has_new * _NEW_IMAGE_FRAME + has_old * _OLD_IMAGE_FRAME
        run.operations.append(operation_of(has_new_image=has_new, has_old_image=has_old, view=self._view))
        run.written_at.append(written_at)
        run.old_texts.append(record.OldImage if has_old else None)

    def _add_exactly(self, run: Run, index: int, line: bytes) -> None:
        try:
            record = self._note_keys(parse_record(line, self._export_type, self._view))
        except InvalidRecordError as error:
            run.quarantined.append((index, str(error), line))
            return
        self._failed.append(record)
        row = run.rows
        run.line_of_row.append(index)
        run.images.exact[row] = record.item
        run.images.typed.append(self._empty)
        if self._export_type is ExportType.FULL_EXPORT:
            return
        run.keys.typed.append(self._empty_key)
        run.old_images.typed.append(self._empty)
        if record.old_image is not None:
            run.old_images.exact[row] = record.old_image
        run.operations.append(str(record.operation))
        run.written_at.append(record.written_at or 0)
        run.old_texts.append(record.old_image)

    def _note_keys(self, record: Record) -> Record:
        # The first line of a file is always read exactly: no shape is learned yet.
        if record.keys and not self.keys:
            self.keys = frozenset(record.keys)
        return record


class _NotPlainError(ValueError):
    """A line that is better read exactly."""


def _can_be_a_field(attribute: str) -> bool:
    """Whether msgspec takes the name of an attribute: not if JSON must escape it."""
    return not _ESCAPED.search(attribute)


def _micros(text: str) -> int:
    if len(text) > 16 or not (text.isascii() and text.isdigit()):
        raise _NotPlainError
    return int(text)


def _item_record(shape: Shape) -> Any:
    return msgspec.defstruct(
        "ItemRecord", [("Item", shape.image_type)], forbid_unknown_fields=True, frozen=True, gc=False
    )


class _Number(msgspec.Struct, forbid_unknown_fields=True, frozen=True, gc=False):
    N: str


class _Metadata(msgspec.Struct, forbid_unknown_fields=True, frozen=True, gc=False):
    WriteTimestampMicros: _Number


class _ChangeRecord(msgspec.Struct, forbid_unknown_fields=True, frozen=True, gc=False):
    Metadata: _Metadata
    Keys: msgspec.Raw
    OldImage: msgspec.Raw = msgspec.Raw(b"")
    NewImage: msgspec.Raw = msgspec.Raw(b"")
