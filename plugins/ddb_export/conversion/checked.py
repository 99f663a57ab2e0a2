"""Decoded lines → checked payloads by attribute and type tag, from which statistics and columns follow."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import attrgetter
from typing import Any

import orjson
from msgspec.structs import astuple

from ddb_export.conversion.checked_payloads import CheckedPayloads
from ddb_export.conversion.compact_lines import holds_nothing_else
from ddb_export.conversion.payloads import InvalidPayloadsError, count_members, lines_with_uncounted_names
from ddb_export.conversion.statistics_collector import StatisticsCollector
from ddb_export.conversion.typed_lines import Images, LineDecoder, Run, Slot


def checked_slots(images: Images, scales: Mapping[Slot, int]) -> dict[Slot, CheckedPayloads]:
    """Check all images and sort their payloads by attribute and tag; slots without any value are left out.

    :param scales: most digits after the point of the numbers of a slot, as far as they are known.
    :raises InvalidPayloadsError: with the rows whose image is invalid.
    """
    read_exactly = _exact_payloads(images.exact)
    checked = {}
    for slot, payloads in _typed_payloads(images):
        for row, payload in read_exactly.pop(slot, ()):
            payloads[row] = payload
        found = CheckedPayloads(slot[1], payloads, scales.get(slot))
        if found.count:
            checked[slot] = found
    for slot, placed in read_exactly.items():
        payloads = [None] * len(images.typed)
        for row, payload in placed:
            payloads[row] = payload
        checked[slot] = CheckedPayloads(slot[1], payloads, scales.get(slot))
    return checked


def _typed_payloads(images: Images) -> Iterator[tuple[Slot, list[Any]]]:
    """The payloads of each slot of the shape, per row; images are turned into columns all at once."""
    values_by_attribute = zip(*map(astuple, images.typed), strict=True)
    for (attribute, (tags, absent)), values in zip(images.shape.attributes.items(), values_by_attribute, strict=False):
        if len(tags) > 1:
            _check_ambiguous(tags, absent, values)
        for tag in tags:
            yield (attribute, tag), [*map(attrgetter(tag), values)]


def _exact_payloads(exact: Mapping[int, Mapping[str, Any]]) -> dict[Slot, list[tuple[int, Any]]]:
    payloads: dict[Slot, list[tuple[int, Any]]] = {}
    for row, image in exact.items():
        for attribute, value in image.items():
            ((tag, payload),) = value.items()
            if tag in ("L", "M"):
                payload = orjson.dumps(payload)
            payloads.setdefault((attribute, tag), []).append((row, payload))
    return payloads


def _check_ambiguous(tags: Sequence[str], absent: Any, values: Sequence[Any]) -> None:
    invalid = [
        row
        for row, value in enumerate(values)
        if value is not absent and sum(getattr(value, tag) is not None for tag in tags) != 1
    ]
    if invalid:
        raise InvalidPayloadsError(invalid)


class CheckedRun:
    """Successive lines, decoded and checked.

    :ivar run: the decoded lines.
    :ivar slots: the checked payloads of the image that typed columns hold.
    :ivar old_slots: those of the old images.
    """

    def __init__(self, run: Run, slots: dict[Slot, CheckedPayloads], old_slots: dict[Slot, CheckedPayloads]) -> None:
        self.run = run
        self.slots = slots
        self.old_slots = old_slots

    def collect(self, collector: StatisticsCollector) -> None:
        """Add what was seen to the statistics."""
        collector.lines += len(self.run.lines)
        collector.rows += self.run.rows
        for (attribute, tag), checked in self.slots.items():
            collector.count(attribute, tag, checked.count)
            if checked.numbers is not None:
                width = checked.numbers.width
                collector.widen_to(attribute, tag, width.integer_digits, width.fraction_digits)

    def note_scales(self, scales: dict[Slot, int]) -> None:
        """Note how many digits after the point the numbers have, for the runs that come."""
        for slot, checked in self.slots.items():
            if checked.numbers is not None:
                scales[slot] = max(scales.get(slot, 0), checked.numbers.width.fraction_digits)


class ExactRun:
    """Successive lines, read record by record: what is best where few of very many attributes are in each.

    :ivar records: the valid ones.
    :ivar quarantined: (index of the line, reason, line) of the others.
    :ivar content: the lines.
    """

    def __init__(self, lines: Sequence[bytes], decoder: LineDecoder) -> None:
        self.content = lines
        self.lines = len(lines)
        self.records, self.quarantined = decoder.read(lines)

    def collect(self, collector: StatisticsCollector) -> None:
        """Add what was seen to the statistics."""
        collector.lines += self.lines
        for record in self.records:
            collector.add(record.item)

    def judge(self, decoder: LineDecoder) -> None:
        """Let the decoder decide how to go on."""
        slots = {attribute for record in self.records for attribute in record.item}
        decoder.judge(len(self.records), len(slots), sum(len(record.item) for record in self.records))


def checked_runs(lines: Sequence[bytes], decoder: LineDecoder) -> Iterator[CheckedRun | ExactRun]:
    """Decode and check lines, in runs; what is in doubt is decoded again, exactly."""
    for part in decoder.runs(lines):
        if decoder.reads_exactly:
            exact = ExactRun(part, decoder)
            exact.judge(decoder)
            yield exact
            continue
        checked = _check(part, decoder)
        decoder.judge(checked.run.rows, len(checked.slots), sum(found.count for found in checked.slots.values()))
        if not decoder.reads_exactly:
            decoder.learn(checked.run)
        checked.note_scales(decoder.scales)
        yield checked


def _check(lines: Sequence[bytes], decoder: LineDecoder) -> CheckedRun:
    doubtful: set[int] = set()
    while True:
        run = decoder.decode(lines, doubtful)
        try:
            checked = _check_images(run, decoder.scales)
        except InvalidPayloadsError as error:
            doubtful |= {run.line_of_row[row] for row in error.rows}
            continue
        except _DoubtfulLinesError as error:
            doubtful |= error.lines
            continue
        if checked is not None:
            return checked
        exact = _check_images(decoder.decode(lines, set(range(len(lines)))), decoder.scales)
        assert exact is not None  # noqa: S101 - lines read exactly have nothing left to doubt
        return exact


class _DoubtfulLinesError(Exception):
    """Lines in which names cannot be counted fast.

    :ivar lines: their indexes.
    """

    def __init__(self, lines: set[int]) -> None:
        self.lines = lines
        super().__init__(f"{len(lines)} doubtful lines")


def _check_images(run: Run, scales: Mapping[Slot, int]) -> CheckedRun | None:
    """Check all images; ``None`` where a name may occur twice in an object, which typed structs cannot tell.

    :raises InvalidPayloadsError: with the rows whose image is invalid.
    :raises _DoubtfulLinesError: with the lines of which it cannot be said.
    """
    slots, keys, old_slots = (checked_slots(images, scales) for images in (run.images, run.keys, run.old_images))
    result = CheckedRun(run, slots, old_slots)
    if len(run.images.exact) == run.rows:
        return result
    checked = ((run.images, slots), (run.keys, keys), (run.old_images, old_slots))
    exact_lines = {run.line_of_row[row] for row in run.images.exact} | {index for index, _, _ in run.quarantined}
    typed: Sequence[int] = range(len(run.lines))
    lines = run.lines
    if exact_lines:
        typed = [index for index in typed if index not in exact_lines]
        lines = [run.lines[index] for index in typed]
    if holds_nothing_else(run, checked, lines):
        return result
    text = b"\n".join(lines)
    if uncounted := lines_with_uncounted_names(text):
        raise _DoubtfulLinesError({typed[index] for index in uncounted})
    members = run.members
    for images, found in checked:
        members += sum(2 * each.count + each.members for each in found.values())
        members -= sum(_members_of(image) for image in images.exact.values())
    return result if members == count_members(text) else None


def _members_of(image: Mapping[str, Any]) -> int:
    return 2 * len(image) + sum(
        count_members(orjson.dumps(payload))
        for value in image.values()
        for tag, payload in value.items()
        if tag in ("L", "M")
    )


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Pause the cycle collector: millions of small objects without cycles make it cost more than the work."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
