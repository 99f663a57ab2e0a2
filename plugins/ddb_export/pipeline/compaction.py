"""Compaction: partitions of many small files get a generation of few large ones, with the same rows in the same order.

====================  ================================================================  ==================================
step                  what is written                                                   what a reader sees
====================  ================================================================  ==================================
1 merge               new files beside those that are shown, and a note on each         the many files
2 switch              of 25 partitions at a time: the location in Glue, then            each partition as a whole, before
                      ``_live.json`` if nobody else has changed it, then evidence       or after; the rows are the same
====================  ================================================================  ==================================

Nothing is begun in the ledger, so nothing can be left open: names follow from what is merged and the target, so that whoever comes next
finds what is done and goes on. Two at once write the same bytes. The older files stay, for queries that are running.

**Runs that go on meanwhile.** Right before the switch it is looked whether a partition still shows what was merged, and after it whether others
published something newer: then readers are sent there; who publishes looks once more too, after its evidence
(:func:`~ddb_export.pipeline.compacted.keep_published`). While a widening is under way nothing is compacted, since it rewrites the
same partitions. Publishing an export again ends with its compacted files (:func:`~ddb_export.pipeline.compacted.keep_compacted`); publishing it with
other columns, a later attempt or a widening shows files that are not compacted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING

from ddb_export.domain.compaction import TARGET_FILE_BYTES, Compaction, DataFile, may_be_compacted
from ddb_export.domain.evidence import subject_of
from ddb_export.domain.layout import LIVE
from ddb_export.domain.shown import shown_entries
from ddb_export.exceptions import DdbExportError, PlanError
from ddb_export.pipeline.compacted import has_converted_files, make_files, point_at, read_live, switch
from ddb_export.pipeline.widening import OUTPUTS, TableWidening

if TYPE_CHECKING:
    from ddb_export.aws.glue import GlueGateway
    from ddb_export.domain.evidence import PublishedEntry
    from ddb_export.pipeline.tasks import TableWork

log = logging.getLogger(__name__)

_PARTITIONS_AT_ONCE = 25
_READERS = 16

Step = Callable[[int, int], None]
"""Told of the work: how many of the files that are merged are done, of how many."""

Made = tuple[Compaction, tuple[DataFile, ...]]


@dataclass(frozen=True, slots=True)
class CompactionPlan:
    """What a compaction would do.

    :param compactions: partitions that are worth it, in order of Glue tables and partitions.
    :param left: partitions that might be, and why they are left alone.
    """

    compactions: tuple[Compaction, ...]
    left: tuple[tuple[str, str], ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.compactions


@dataclass(frozen=True, slots=True)
class CompactionOutcome:
    """What a compaction did.

    :param done: evidence of the partitions that were compacted. :param left: those that others changed meanwhile.
    """

    done: tuple[PublishedEntry, ...]
    left: tuple[str, ...]


class TableCompaction:
    """The compaction of one table.

    :param work: the steps of its exports. :param glue: the catalog.
    """

    def __init__(self, work: TableWork, glue: GlueGateway) -> None:
        self._work = work
        self._ledger = work.ledger
        self._glue = glue

    def plan(
        self, target: int = TARGET_FILE_BYTES, start: datetime | None = None, end: datetime | None = None
    ) -> CompactionPlan:
        """Say what a compaction would do; nothing is written.

        :param target: size in bytes that files are merged up to.
        :param start: partitions whose data begins from here (UTC) … :param end: … and before here; None for no limit.
        :raises PlanError: a widening is under way.
        """
        self._refuse_beside_widening()
        chain = self._ledger.read_every_object()
        shown = shown_entries(chain, self._ledger.published_entries(OUTPUTS))
        entries = may_be_compacted(chain, shown, start, end, target)
        with ThreadPoolExecutor(_READERS) as readers:
            found = list(readers.map(lambda entry: self._compaction(entry, target), entries))
        left = [
            (entry.partition, f"its {LIVE} does not show {entry.generation}, as the ledger does")
            for entry, each in zip(entries, found, strict=True)
            if each is None
        ]
        worthwhile = []
        for each in (each for each in found if each and each.is_worthwhile):
            if each.entry.made_from and not has_converted_files(self._ledger, each):
                left.append((each.entry.partition, f"the converted files of {each.made_from} are gone"))
            else:
                worthwhile.append(each)
        return CompactionPlan(
            tuple(sorted(worthwhile, key=lambda each: (each.entry.glue_table, each.entry.partition))), tuple(left)
        )

    def run(
        self, plan: CompactionPlan, now: Callable[[], datetime], step: Step = lambda _done, _of: None
    ) -> CompactionOutcome:
        """Do what a plan says, or what is left of it. A partition that cannot be merged does not keep back the others.

        :param now: tells the time, by AWS's clock.
        :raises ConversionError: published files are gone; the others are compacted.
        :raises PlanError: a widening was begun meanwhile. :raises PublishError: Glue refused.
        """
        total = sum(len(each.files) for each in plan.compactions)
        done: list[PublishedEntry] = []
        merged, first_error = 0, None
        step(0, total)
        for batch in _batches(plan.compactions):
            made: list[Made] = []
            for compaction in batch:
                try:
                    made.append((compaction, make_files(self._ledger, compaction)))
                except DdbExportError as error:
                    log.warning("kept back: %s", error)
                    first_error = first_error or error
                merged += len(compaction.files)
                step(merged, total)
            done += self._switch(made, now())
        if first_error:
            raise first_error
        switched = {entry.partition for entry in done}
        left = (each.entry.partition for each in plan.compactions if each.entry.partition not in switched)
        return CompactionOutcome(tuple(done), tuple(left))

    def _compaction(self, entry: PublishedEntry, target: int) -> Compaction | None:
        live, _ = read_live(self._ledger, f"{entry.partition}/{LIVE}")
        try:
            return Compaction.from_live(entry, live, target) if live else None
        except (KeyError, TypeError, ValueError):
            return None  # written by hand, or by another program

    def _refuse_beside_widening(self) -> None:
        widening = TableWidening(self._work, self._glue).under_way()
        if widening is not None:
            raise PlanError(
                f"compaction of {self._ledger.lake.name}",
                f"widening {widening.number} is under way, and rewrites the same partitions",
                f"ddb-export widen {self._ledger.lake.name} goes on with it; then compact",
            )

    def _switch(self, made: Sequence[Made], now: datetime) -> list[PublishedEntry]:
        self._refuse_beside_widening()
        chain = self._ledger.read()
        exports = [compaction.entry.export for compaction, _ in made]
        verified = {entry.export for entry in self._ledger.verified_of(chain, exports)}
        present = [
            (compaction, files)
            for compaction, files in made
            if compaction.entry.export in verified and self._is_shown(compaction)
        ]
        entries = switch(self._ledger, self._glue, present, now)
        verified_by_now = self._ledger.verified_of(self._ledger.read(), exports) if entries else []
        attempts = {entry.subject: entry.export for entry in verified_by_now}
        return [entry for entry in entries if not self._send_on(entry, attempts)]

    def _is_shown(self, compaction: Compaction) -> bool:
        entry = self._ledger.published_entry(compaction.entry.output, compaction.entry.export)
        return entry is not None and entry.generation in (compaction.entry.generation, compaction.name)

    def _send_on(self, entry: PublishedEntry, attempts: Mapping[str, str]) -> bool:
        """Send readers on to what others published at the very moment of the switch; tell whether there is something.

        :param attempts: subject → the attempt at it that is verified by now.
        """
        export = attempts.get(subject_of(entry.export), entry.export)
        newest = self._ledger.published_entry(entry.output, export)
        if newest is None or newest.order <= entry.order:
            return False
        log.info("%s: %s was published meanwhile; readers get that", entry.partition, newest.generation)
        point_at(self._ledger, self._glue, newest)
        return True


def _batches(compactions: Sequence[Compaction]) -> Iterator[Sequence[Compaction]]:
    """Cut by Glue tables, and so that little time passes between a look at partitions and their switch."""
    for _, group in groupby(compactions, key=lambda each: each.entry.glue_table):
        of_table = list(group)
        for first in range(0, len(of_table), _PARTITIONS_AT_ONCE):
            yield of_table[first : first + _PARTITIONS_AT_ONCE]
