"""What was seen in exports that are published: from the notes that their scans left, else from the raw files once more."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ddb_export.domain.attribute_value import TYPE_TAGS
from ddb_export.domain.export import export_id
from ddb_export.domain.overflow import overflow_reasons
from ddb_export.domain.statistics import ExportStatistics, NumberWidth
from ddb_export.domain.wider_columns import wider_number
from ddb_export.exceptions import VerificationError
from ddb_export.pipeline.file_groups import Cut, FileGroup
from ddb_export.pipeline.retention_records import RetentionRecords

if TYPE_CHECKING:
    from ddb_export.domain.ledger import Chain, PublishedEntry, VerifiedEntry
    from ddb_export.domain.schema import SchemaDocument
    from ddb_export.pipeline.tasks import Rewritten, TableWork

log = logging.getLogger(__name__)

_READERS = 16


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen in many exports.

    :param merged: together. :param complete: whether that is all of them. :param scanned: how many had to be read again.
    """

    merged: ExportStatistics
    complete: bool
    scanned: int


class RecordedStatistics:
    """Reads and keeps the statistics of exports.

    :param work: the steps of the table's exports.
    """

    def __init__(self, work: TableWork) -> None:
        self._work = work
        self._known: dict[str, ExportStatistics] = {}

    def of(self, chain: Chain, shown: Sequence[PublishedEntry]) -> Seen:
        """Return what was seen in all that readers see; what nothing overflowed of is not read again for it.

        :raises VerificationError: raw files that have to be read are gone.
        """
        complete, scanned = True, 0
        for entry in shown:
            statistics = recorded(self._work, entry.export)
            if statistics is None and (entry.overflowed is None or entry.overflowed):
                log.info("export %s: no statistics are recorded; its data files are read", entry.export)
                statistics = self._work.scan(chain.verified[entry.export], FileGroup(entry.export, 0, 1))
                scanned += 1
            if statistics is None:
                complete = False
            else:
                self._known[entry.export] = statistics
        return Seen(ExportStatistics.merge_all(self._known.values()), complete, scanned)

    def reconstructed(
        self, entries: Iterable[PublishedEntry], columns_of: Callable[[int], SchemaDocument]
    ) -> list[PublishedEntry]:
        """Return entries of versions that did not count overflow yet, with what their statistics tell of it.

        How many rows were too wide is not known; that some were is taken from the widest value.
        """
        return [replace(entry, overflowed=self._overflow(entry, columns_of(entry.schema_version))) for entry in entries]

    def _overflow(self, entry: PublishedEntry, schema: SchemaDocument) -> dict[str, dict[str, int]]:
        statistics = self._work.contract.statistics(self._known.get(entry.export, ExportStatistics()))
        columns = {column.attribute: column for column in schema.columns}
        counted = {}
        for name, seen in statistics.attributes.items():
            column = columns.get(name)
            tag = column.dynamodb_type if column else None
            others = sum(rows for each, rows in seen.counts.items() if each in TYPE_TAGS and each != tag)
            too_wide = column is not None and _exceeds(column.arrow_type, seen.numbers, seen.set_numbers)
            if others or too_wide:
                counted[name] = others + too_wide
        return overflow_reasons(counted, statistics, schema)

    def require_raw(self, entries: Sequence[VerifiedEntry]) -> None:
        """Refuse to begin what cannot be ended, because raw files are gone.

        :raises VerificationError: it names the first export, and what to do.
        """
        records = RetentionRecords(self._work.store, self._work.ledger.lake)
        with ThreadPoolExecutor(_READERS) as readers:
            removals = list(readers.map(records.removal, [entry.export for entry in entries]))
            there = list(readers.map(self._stored, entries))
        removed = [removal for removal in removals if removal]
        if removed:
            more = f" ({len(removed)} of {len(entries)} exports that it needs)" if len(removed) > 1 else ""
            raise VerificationError(
                f"raw files of {removed[0].export}",
                f"{removed[0].words}, but a widening rewrites partitions from raw files{more}",
                "leave the columns as they are, values that do not fit stay exact in _overflow; or export again what"
                " point-in-time recovery reaches: trigger the DAG by hand with from, to and re_export: true",
            )
        for entry, files in zip(entries, there, strict=True):
            if files < entry.files + 1:
                raise VerificationError(
                    f"raw files of {entry.export}",
                    f"{max(0, files - 1)} of {entry.files} data files are there, and a widening rewrites partitions from them",
                    "restore them from the bucket's older versions, or export the window again while point-in-time"
                    " recovery reaches it: trigger the DAG by hand with from, to and re_export: true",
                )

    def _stored(self, entry: VerifiedEntry) -> int:
        """Return how many data files are there, and one more for the manifest."""
        folder, _, _ = entry.manifest_key.rpartition(f"/{export_id(entry.export_arn)}/")
        keys = [each.key for each in self._work.store.list_objects(f"{folder}/")]
        return sum("/data/" in key for key in keys) + any(key == entry.manifest_key for key in keys)


def _exceeds(arrow_type: str, numbers: NumberWidth, set_numbers: NumberWidth) -> bool:
    is_list = arrow_type.startswith("list<")
    element = arrow_type[5:-1] if is_list else arrow_type
    if not element.startswith(("int64", "decimal128(38")):
        return False
    return wider_number(element, set_numbers if is_list else numbers) != element


def recorded(work: TableWork, export: str) -> ExportStatistics | None:
    """Return what the scans of an export left, None unless all groups of one cut did."""
    complete = sorted(_complete(work, export), key=len)
    for groups in complete:
        notes = [work.ledger.read_note(group.statistics_path) for group in groups]
        if None not in notes:
            return ExportStatistics.merge_all(ExportStatistics.from_json(note) for note in notes)
    return None


def _complete(work: TableWork, export: str) -> list[list[FileGroup]]:
    folder = work.ledger.lake.key(f"ledger/statistics/{export}/")
    names = {each.key.removeprefix(folder).removesuffix(".json") for each in work.store.list_objects(folder)}
    found = []
    for number in {int(name.split("-of-")[1][:4]) for name in names if "-of-" in name}:
        for cut in Cut:
            groups = [FileGroup(export, group, number, cut=cut) for group in range(number)]
            if names.issuperset(group.name for group in groups):
                found.append(groups)
    return found


def reasons_of(work: TableWork, made: Rewritten) -> dict[str, dict[str, int]]:
    """Say what the columns of a rewritten export could not hold, and why."""
    counted: dict[str, int] = {}
    for attribute, rows in (pair for part in made.parts for pair in (part.overflowed or {}).items()):
        counted[attribute] = counted.get(attribute, 0) + rows
    seen = recorded(work, made.entry.export) if counted else None
    return overflow_reasons(counted, seen and work.contract.statistics(seen), made.generation.schema)
