"""Widening: published columns take another type, and readers of old and new partitions go on reading right.

A widening is one document of the ledger, ``widening/{number}.json``, and five steps. Each can be done again, by whoever comes; a process
that dies between any two of them loses nothing, and the next one goes on where it was.

====================  ==========================================================  ==========================================
step                  what is written                                             what a reader sees
====================  ==========================================================  ==========================================
1 decide              the document, if its number is free and no other widening   the old columns
                      is under way
2 rewrite             new generations beside those that are shown, from raw       the old columns; nobody looks at these files
3 make it current     the next version of the schema document, if its number      the old columns. Runs that merge their schema
                      is free: one conditional PUT, the point of no return        from now on convert to the new ones
4 switch              in Glue the types of the tables, then the places and        each partition as a whole, before or after;
                      types of partitions, 100 a call, nothing in between;        see below
                      then ``_live.json`` and evidence of each
5 end                 the document says ``done``                                  the new columns
====================  ==========================================================  ==========================================

**Step 4 in time order**, because no call of Glue changes a table and its partitions at once. A table's type changes first; a partition that
is not switched yet keeps the old type beside its old files, since Glue stores columns with each partition. Engines that read a
partition by the partition's own type and cast to the table's answer rightly all the time: Trino (``HiveCoercionPolicy`` casts bigint to
decimal since pull request 20024, decimal to varchar since 14172, bigint to varchar and decimal to decimal since long before, and
elements of arrays likewise) and Athena, which is made of it ("a partition's column type can be different from another
partition's column type, and Athena will CAST to the desired type, if possible": Athena User Guide, "Change a column data
type"). Where an engine cannot cast, the query fails (``HIVE_PARTITION_SCHEMA_MISMATCH``); Spark, which reads Parquet by the table's
types alone, refuses the old files (``SchemaColumnConvertNotSupportedException``) until they are switched. Nobody gets a
wrong answer: what overflowed is NULL and in ``_overflow`` before, in the column after. The other order would be wrong: partitions
first, a wide value would be cast to the narrow type of the table. Readers by path find whole generations, old or new.

**Runs that go on meanwhile.** Before step 3 they publish the old columns; step 4 looks for such partitions until it finds none. After it, a
task that converted to the old types converts again when it publishes (:meth:`~ddb_export.pipeline.tasks.TableWork.publish` compares before and
after it writes to Glue), and finishes step 4 first if whoever began it died.

**Given up.** Before step 3 a widening can be given up, and is: where a value does not fit and the contract forbids that, where the columns
changed under it, and where the contract does not ask for it any more. Nobody saw anything of it. One that is given up by one process while
another makes it current is not given up: what the columns say counts.

Older generations stay where they are, for queries that are running.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from ddb_export.aws.glue_columns import change_column_types, existing_partitions
from ddb_export.domain.ledger import Chain, PublishedEntry, VerifiedEntry
from ddb_export.domain.overflow import overflow_lines
from ddb_export.domain.redaction import stale_lines
from ddb_export.domain.shown import shown_entries
from ddb_export.domain.widening import Widening, stale_entries
from ddb_export.domain.widening_risk import Risk, risks
from ddb_export.domain.wider_columns import Decision, Wish, decide
from ddb_export.exceptions import ClaimConflictError, ConversionError, LedgerError, PlanError, VerificationError
from ddb_export.pipeline import entities
from ddb_export.pipeline.catalog import glue_partition, glue_table, partition_values
from ddb_export.pipeline.conversion import publish_generation
from ddb_export.pipeline.key_attributes import known_key_attributes
from ddb_export.pipeline.published_evidence import evidence_of
from ddb_export.pipeline.recorded_statistics import RecordedStatistics, reasons_of
from ddb_export.pipeline.redactions import end_rewriting
from ddb_export.pipeline.tasks import Rewritten, TableWork
from ddb_export.pipeline.widening_records import DONE, WideningRecords

if TYPE_CHECKING:
    from ddb_export.aws.glue import GlueGateway, GluePartition, GlueTable

log = logging.getLogger(__name__)

OUTPUTS = ("snapshots", "changes")
"""The outputs that have typed columns."""

_TRIES = 20

Step = Callable[[str, int, int], None]
"""Told of the work: what is done, how many of it, of how many."""


@dataclass(frozen=True, slots=True)
class WideningPlan:
    """What a widening would do.

    :param widening: the decision; one that is under way, or one that is not written yet.
    :param decision: what is left besides. :param entries: the exports behind the partitions that have to be rewritten.
    :param scanned: exports whose data files had to be read for the decision. :param under_way: whether it was begun before.
    :param risks: values that columns will not hold then, as far as that is known; not said of one that was begun before.
    :param outdated: one that was begun before, and has to be given up first; ``outdated_because`` says why.
    """

    widening: Widening
    decision: Decision
    entries: tuple[VerifiedEntry, ...]
    scanned: int
    under_way: bool
    risks: tuple[Risk, ...] = ()
    outdated: Widening | None = None
    outdated_because: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.rewrites and self.outdated is None

    @property
    def rewrites(self) -> bool:
        """Whether partitions are rewritten; if not, there may still be an outdated widening to give up."""
        return self.under_way or not self.decision.is_empty


class TableWidening:
    """The widenings of one table.

    :param work: the steps of its exports. :param glue: the catalog.
    """

    def __init__(self, work: TableWork, glue: GlueGateway) -> None:
        self._work = work
        self._ledger = work.ledger
        self._glue = glue
        self._records = WideningRecords(work.ledger)
        self._columns_of = lru_cache(maxsize=256)(self._ledger.read_schema)

    def under_way(self) -> Widening | None:
        """Return the widening that was begun and has not ended, None if there is none.

        :raises LedgerError: its document cannot be read.
        """
        newest = self._records.newest()
        return newest if newest and newest.ended is None else None

    def plan(self, wish: Wish, now: datetime) -> WideningPlan:
        """Say what a widening would do; nothing is written. One that is under way comes first, whatever is wished.

        Unless it is not current yet, and the contract does not ask for it any more: then it is to be given up, and another takes its place.

        :raises UsageError: a name of the wish is unknown. :raises VerificationError: raw files that are needed are gone.
        """
        chain, shown = self._look()
        begun = self._records.newest()
        redaction = self._work.contract.redaction
        outdated = begun if begun and begun.ended is None else None
        because = self._outdated_because(outdated) if outdated else None
        if begun and outdated and because is None:
            of_contract = () if begun.redaction is None else tuple(stale_lines(shown, redaction))
            decision = Decision(begun.changes, begun.added, begun.refilled, stale=of_contract)
            return WideningPlan(
                begun, decision, self._verified(chain, self._stale(begun, chain, shown)), 0, under_way=True
            )
        schema = self._ledger.read_schema()
        lines = overflow_lines(shown, schema)
        reader = RecordedStatistics(self._work)
        statistics = reader.of(chain, shown)
        unknown = [entry for entry in shown if entry.overflowed is None]
        if unknown:
            lines = overflow_lines([*shown, *reader.reconstructed(unknown, self._columns_of)], schema)
        merged = replace(statistics.merged, keys=statistics.merged.keys | known_key_attributes(self._ledger))
        decision = decide(schema, lines, merged, wish, contract=self._work.contract, all_known=statistics.complete)
        # Who names columns asks for these only.
        stale_by_contract = () if wish.names else tuple(stale_lines(shown, redaction))
        decision = replace(decision, stale=stale_by_contract)
        number = begun.number + 1 if begun else 1
        declares = {rule.attribute for rule in self._work.contract.rules if rule.declared_type is not None}
        widening = Widening(
            number,
            schema.version,
            decision.changes,
            decision.added,
            decision.refilled,
            now,
            declared=tuple(each.after.attribute for each in decision.changes if each.after.attribute in declares),
        )
        if stale_by_contract:
            widening = replace(widening, redaction=redaction)
        stale = [] if decision.is_empty else self._stale(widening, chain, shown)
        entries = self._verified(chain, stale)
        reader.require_raw(entries)
        return WideningPlan(
            widening,
            decision,
            entries,
            statistics.scanned,
            under_way=False,
            risks=risks(decision, statistics.merged, self._work.contract),
            outdated=outdated,
            outdated_because=because or "",
        )

    def run(
        self, plan: WideningPlan, now: Callable[[], datetime], step: Step = lambda _what, _done, _of: None
    ) -> Widening:
        """Do all steps of a plan, or what is left of them.

        :param now: tells the time, by AWS's clock. :return: the widening, which has ended.
        :raises PlanError: the columns changed meanwhile so that the decision does not fit; it is given up, readers saw nothing of it.
        :raises ConversionError: a value does not fit and the contract says ``fail``, or more goes to quarantine than it allows; it is given
            up likewise, unless it is current: then it is under way until the contract allows it.
        :raises VerificationError: raw files are gone: one that was begun just now is given up, else it is under way until they are restored.
        :raises ConfigurationError: the contract hashes values, and its key is not at hand; nothing is begun.
        """
        if self._work.contract.hashed:
            _ = self._work.contract.required_key
        if plan.outdated:
            log.warning("widening %s is given up: %s", plan.outdated.number, plan.outdated_because)
            given_up = self._records.make_room(plan.outdated)
            if not plan.rewrites:
                return given_up
        widening = plan.widening if plan.under_way else self._records.begin(plan.widening)
        if not plan.under_way:
            self._require_raw_still(widening, plan.entries)
        try:
            widening = self._make_current(widening, step)
            return self._switch(widening, now, step)
        except PlanError:
            self._records.give_up(widening)
            raise
        except ConversionError as error:
            if self._records.give_up(widening).ended is None:
                raise
            cause = (
                f"{error.cause.rstrip('.')}; widening {widening.number} is given up, and what it has not switched stays"
            )
            raise ConversionError(error.thing, cause, error.remedy) from error

    def _require_raw_still(self, widening: Widening, entries: Sequence[VerifiedEntry]) -> None:
        """Give a widening up that was begun while retention removed what it needs.

        Retention says what it removes and then looks for widenings: whichever of the two comes second sees the other.
        """
        try:
            RecordedStatistics(self._work).require_raw(entries)
        except VerificationError:
            self._records.give_up(widening)
            raise

    def _outdated_because(self, widening: Widening) -> str | None:
        """Say why a widening has to be given up; None where it goes on, as it must once it is current."""
        if self._records.is_current(widening):
            return None
        return widening.disagreement(self._work.contract)

    def finish_switch(self, now: Callable[[], datetime]) -> bool:
        """Finish a widening that is current but not switched, because whoever began it died; tell whether there was one."""
        widening = self.under_way()
        if widening is None or not (widening.changes or widening.added):
            return False
        if not widening.is_applied(self._ledger.read_schema()):
            return False
        log.info("widening %s was not finished; it is now", widening.number)
        self._switch(
            replace(widening, to_version=self._ledger.read_schema().version), now, lambda _what, _done, _of: None
        )
        return True

    def _look(self) -> tuple[Chain, list[PublishedEntry]]:
        chain = self._ledger.read_every_object()
        return chain, shown_entries(chain, self._ledger.published_entries(OUTPUTS))

    def _stale(self, widening: Widening, chain: Chain, shown: Iterable[PublishedEntry]) -> list[PublishedEntry]:
        best = {entry.export for entry in chain.verified_subjects.values()}
        of_table = {entry.export for entry in chain.verified.values() if entry.table_id == chain.table_id}
        return stale_entries(widening, shown, of_table - best, self._columns_of, self._work.contract.redaction)

    @staticmethod
    def _verified(chain: Chain, entries: Iterable[PublishedEntry]) -> tuple[VerifiedEntry, ...]:
        return tuple(chain.verified[entry.export] for entry in entries)

    def _rewrite(self, widening: Widening, step: Step) -> list[tuple[PublishedEntry, Rewritten]]:
        """Rewrite what has the old columns, as long as runs publish such partitions; return all of it."""
        chain, shown = self._look()
        stale = self._stale(widening, chain, shown)
        rewritten = []
        for done, entry in enumerate(stale):
            step("rewrite", done, len(stale))
            columns = self._columns_of(max(entry.schema_version, widening.from_version))
            made = self._work.rewrite(chain.verified[entry.export], widening.apply(columns), entry.quarantined)
            if made.generation.name != entry.generation:
                rewritten.append((entry, made))
        step("rewrite", len(stale), len(stale))
        return rewritten

    def _make_current(self, widening: Widening, step: Step) -> Widening:
        for _ in range(_TRIES):
            newest = self._ledger.read_schema()
            if widening.is_applied(newest):
                return replace(widening, to_version=newest.version)
            wider = widening.apply(newest)
            self._rewrite(widening, step)
            self._records.require_under_way(widening)
            if self._ledger.change_schema(wider):
                return replace(widening, to_version=wider.version)
        raise ClaimConflictError(
            f"columns of {self._ledger.lake.name}", f"others added versions {_TRIES} times meanwhile", "widen again"
        )

    def _switch(self, widening: Widening, now: Callable[[], datetime], step: Step) -> Widening:
        for _ in range(_TRIES):
            rewritten = self._rewrite(widening, step)
            switched = [pair for output in OUTPUTS for pair in self._switch_output(widening, output, rewritten, step)]
            for done, (entry, made) in enumerate(switched):
                step("show", done, len(switched))
                self._show(widening, entry, made, now())
            if not switched:
                self.note_what_is_shown()
                return self._records.end(widening, DONE)
        raise LedgerError(
            f"widening {widening.number} of {self._ledger.lake.name}",
            f"runs published older columns {_TRIES} times meanwhile",
            "widen again: it goes on",
        )

    def note_what_is_shown(self) -> None:
        """Let the notes say what partitions are made under now: those of before may have been rewritten without a widening."""
        end_rewriting(self._work)
        if self._work.contract.entities:
            entities.end_rewriting(self._ledger, self._work.contract.entities)

    def _switch_output(
        self, widening: Widening, output: str, rewritten: Sequence[tuple[PublishedEntry, Rewritten]], step: Step
    ) -> list[tuple[PublishedEntry, Rewritten]]:
        """Switch an output in Glue, tables first; return what was switched."""
        schema = self._ledger.read_schema()
        switched: list[tuple[PublishedEntry, Rewritten]] = []
        for database in self._databases(output):
            table = glue_table(self._ledger.lake, schema, output, database)
            # What a table declares besides comes after its partitions: nothing may stand between its types and theirs.
            self._change_types(widening, table)
            pairs = [pair for pair in rewritten if pair[0].glue_table == table.full_name]
            here = {partition_values(entry.partition): (entry, made) for entry, made in pairs}
            there = existing_partitions(self._glue, table, list(here)) if here else set()
            for values in here.keys() - there:
                log.warning("%s has no partition %s any more; it is left alone", table.full_name, values)
            present = [here[values] for values in sorted(there)]
            step(f"switch {table.full_name}", 0, len(present))
            if present:
                self._glue.upsert_partitions(table, [self._partition(table, made) for _, made in present])
            if self._glue.has_table(table.database, table.name):
                self._glue.upsert_table(table)
            step(f"switch {table.full_name}", len(present), len(present))
            switched += present
        return switched

    def _databases(self, output: str) -> list[str]:
        """Return where an output is registered: another database may have been configured since."""
        entries = self._ledger.published_entries((output,))
        return sorted({entry.glue_table.split(".", 1)[0] for entry in entries})

    def _change_types(self, widening: Widening, table: GlueTable) -> None:
        types = {each.before.name: (each.before.glue_type, each.after.glue_type) for each in widening.changes}
        if types:
            change_column_types(self._glue, table, types)

    def _partition(self, table: GlueTable, made: Rewritten) -> GluePartition:
        return glue_partition(self._ledger.lake, table, made.entry, made.generation)

    def _show(self, widening: Widening, entry: PublishedEntry, made: Rewritten, now: datetime) -> None:
        lake = self._ledger.lake
        published = publish_generation(made.source, made.generation, made.parts, self._work.store, lake.root)
        overflowed = reasons_of(self._work, made)
        location = lake.uri(made.generation.folder) + "/"
        evidence = evidence_of(
            made.entry,
            made.generation,
            published,
            full_name=entry.glue_table,
            location=location,
            overflowed=overflowed,
            now=now,
        )
        self._ledger.record_published(replace(evidence, schema_version=self._version(widening)))

    def _version(self, widening: Widening) -> int:
        if widening.to_version is None:
            raise ValueError(f"widening {widening.number} is not current")
        return widening.to_version


def change_words(decision: Decision) -> list[str]:
    """Return what becomes of columns in words, a line each."""
    added = [f"{column.name}: new, {column.glue_type}" for column in decision.added]
    refilled = [f"{attribute}: filled in partitions from before it had a column" for attribute in decision.refilled]
    return [*map(str, decision.changes), *added, *refilled, *(line.words for line in decision.stale)]
