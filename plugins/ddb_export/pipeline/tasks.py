"""The work on one verified export, cut so that mapped tasks can share it: scan, merge, convert, publish.

What one task leaves for the next lies beside the ledger, under names that follow from the export and the group alone; so a step can
run again, anywhere, and XComs stay small whatever the size of an export.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from ddb_export.domain.contract import NO_CONTRACT, Contract, OnViolation
from ddb_export.domain.export import export_id
from ddb_export.domain.layout import LIVE, window_partition
from ddb_export.domain.ledger import Chain, Claim, PublishedEntry, VerifiedEntry
from ddb_export.domain.metrics import Stage
from ddb_export.domain.overflow import overflow_reasons
from ddb_export.domain.planning import output_of
from ddb_export.domain.schema import SchemaDocument
from ddb_export.domain.search_words import words_of_claim, words_of_entry
from ddb_export.domain.statistics import ExportStatistics
from ddb_export.domain.window import window_of
from ddb_export.exceptions import ConversionError, VerificationError
from ddb_export.pipeline.catalog import filter_parameters, glue_partition, glue_table, partition_values
from ddb_export.pipeline.compacted import keep_compacted, keep_published
from ddb_export.pipeline.conversion import (
    ConvertedPart,
    ExportSource,
    Generation,
    convert_files,
    plan_generation,
    publish_generation,
    scan_files,
)
from ddb_export.pipeline.file_groups import FileGroup, by_export, share_out
from ddb_export.pipeline.key_attributes import known_key_attributes
from ddb_export.pipeline.progress import ProgressLog, amount_of
from ddb_export.pipeline.published_evidence import evidence_of
from ddb_export.pipeline.raw_files import RESTORE, raw_files_of
from ddb_export.pipeline.verification import VerificationLevel, locate_export, read_manifests, verify_export

if TYPE_CHECKING:
    from ddb_export.aws.glue import GlueGateway, GlueTable
    from ddb_export.aws.object_store import ObjectStore
    from ddb_export.domain.export import ExportDescription
    from ddb_export.pipeline.ledger import Ledger

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A verified export converted once more, not shown yet.

    :param parts: what became of each data file, of all of them.
    """

    entry: VerifiedEntry
    source: ExportSource
    generation: Generation
    parts: tuple[ConvertedPart, ...]


@dataclass(frozen=True, slots=True)
class TableWork:
    """The steps of one table's exports.

    :param ledger: its ledger. :param store: the bucket of its lake. :param contract: what is fixed about its columns, with the key of
        its hashes.
    """

    ledger: Ledger
    store: ObjectStore
    contract: Contract = NO_CONTRACT

    def verify(
        self,
        claim: Claim,
        description: ExportDescription,
        ttl_attribute: str | None,
        now: datetime,
        level: VerificationLevel = VerificationLevel.BYTES,
    ) -> VerifiedEntry:
        """Verify a COMPLETED export against its claim, and record the evidence.

        :raises VerificationError: something does not hold; nothing is recorded.
        """
        folder = f"{claim.request.s3_prefix}/AWSDynamoDB/{export_id(description.export_arn)}"
        location = locate_export(self.store, folder)
        manifests = read_manifests(self.store, location)
        words = words_of_claim(self.ledger.lake.name, claim, description.export_arn)
        with ProgressLog(Stage.VERIFY, words, amount_of(manifests.files)) as progress:
            report = verify_export(
                self.store,
                manifests,
                level=level,
                expected=claim.request,
                table_id=claim.table_id,
                description=description,
                progress=progress,
            )
        report.require_ok()
        request = claim.request
        return self.ledger.record_verified(
            VerifiedEntry(
                export=claim.export,
                kind=claim.kind,
                attempt=claim.attempt,
                export_arn=description.export_arn,
                table_arn=request.table_arn,
                table_id=claim.table_id,
                export_time=request.export_time,
                start=request.window.start if request.window else None,
                end=request.window.end if request.window else None,
                view=str(request.view) if request.view else None,
                bucket=request.bucket,
                manifest_key=location.summary_key,
                level=str(report.level),
                files=len(report.files),
                item_count=description.item_count or 0,
                bytes_read=report.bytes,
                billed_bytes=description.billed_bytes or 0,
                ttl_attribute=ttl_attribute,
                verified_at=now,
                export_filter=str(request.export_filter) if request.export_filter else None,
            )
        )

    def scan(self, entry: VerifiedEntry, group: FileGroup) -> ExportStatistics:
        """Count what decides the columns, and leave it for :meth:`merge_schema`."""
        with raw_files_of(entry, self.store, self.ledger.lake):
            source = self._source(entry)
            indexes = group.indexes(source.manifests.files)
            with ProgressLog(Stage.SCAN, self._about(entry, group), amount_of(source.chosen(indexes))) as progress:
                statistics = scan_files(source, indexes, progress=progress)
        self.ledger.write_note(group.statistics_path, statistics.to_json())
        return statistics

    def merge_schema(self, groups: Iterable[FileGroup], *, types_may_differ: bool = False) -> list[FileGroup]:
        """Extend the schema document by every export whose groups are all scanned.

        :param types_may_differ: whether the contract may give published columns another type, because a widening follows. Until then
            they keep theirs, and what does not fit overflows, whatever ``on_violation`` says; what is dropped or hashed is so.
        :return: the groups of these exports, each with the schema version to convert to. An export with a group that
            is not scanned is left out.
        :raises ConfigurationError: the contract contradicts a published column.
        """
        ready: list[FileGroup] = []
        keys = known_key_attributes(self.ledger)
        for export_groups in by_export(groups):
            notes = [self.ledger.read_note(group.statistics_path) for group in export_groups]
            if any(note is None for note in notes):
                log.warning("export %s: not all of its files are scanned; left out", export_groups[0].export)
                continue
            statistics = ExportStatistics.merge_all(ExportStatistics.from_json(note) for note in notes)
            statistics = replace(statistics, keys=statistics.keys | keys)
            self.ledger.extend_schema(statistics, self.contract, types_may_differ=types_may_differ)
            ready += export_groups
        version = self.ledger.read_schema().version
        return [replace(group, schema_version=version) for group in ready]

    def convert(self, entry: VerifiedEntry, group: FileGroup) -> list[ConvertedPart]:
        """Convert a group's files, and leave the list of the parts for :meth:`publish`."""
        with raw_files_of(entry, self.store, self.ledger.lake):
            source = self._source(entry)
            return self._convert(entry, group, source, self._generation(source, entry, group))

    def publish(
        self, entry: VerifiedEntry, groups: Sequence[FileGroup], glue: GlueGateway, database: str, now: datetime
    ) -> PublishedEntry | None:
        """Show an export's converted files to readers, and record the evidence.

        The order is the promise: files, table, what it replaces goes, partition, ``_live.json``, evidence. Whatever is
        interrupted is done again.

        :return: the evidence; that of the newer generation where one is shown already; None where a later attempt or other windows
            were verified in its place, so that it must not be shown (again).
        :raises ConversionError: a group is not converted, the counts do not add up, or more is quarantined than the contract allows;
            readers see nothing of it.
        """
        chain = self.ledger.read()
        if self.ledger.verified_of(chain, [entry.export]) != [entry]:
            log.info("export %s: others were verified in its place; it is not shown", entry.export)
            return None
        shown = self.ledger.published_entry(output_of(entry.kind), entry.export)
        if shown and shown.schema_version > (groups[0].schema_version or 0):
            log.info("export %s: it is shown with columns of version %s already", entry.export, shown.schema_version)
            return shown
        groups = self._with_present_types(entry, groups)
        with raw_files_of(entry, self.store, self.ledger.lake):
            source = self._source(entry)
        generation = self._generation(source, entry, groups[0])
        parts = self._converted(entry, generation, groups)
        output = output_of(entry.kind)
        table = glue_table(self.ledger.lake, self.ledger.read_schema(), output, database)
        glue.upsert_table(replace(table, parameters=filter_parameters(chain)))
        self._remove_replaced(chain, entry, glue, table)
        partition = glue_partition(self.ledger.lake, table, entry, generation)
        glue.upsert_partitions(table, [partition])
        published = publish_generation(source, generation, parts, self.store, self.ledger.lake.root)
        if self._types_changed(generation.schema):
            log.info("export %s: columns were widened meanwhile; it is published with the newest ones", entry.export)
            return self.publish(entry, groups, glue, database, now)
        overflowed = self._overflowed(generation, groups, parts)
        done = self.ledger.record_published(
            evidence_of(
                entry,
                generation,
                published,
                full_name=table.full_name,
                location=partition.location,
                overflowed=overflowed,
                now=now,
            )
        )
        done = keep_compacted(self.ledger, glue, done, now) if shown else done
        keep_published(self.ledger, glue, done)
        return done

    def rewrite(self, entry: VerifiedEntry, schema: SchemaDocument, quarantined: int = 0) -> Rewritten:
        """Convert a verified export to these columns, beside what readers see; what an earlier try has converted is kept.

        :param schema: the columns; not every widening's is a version of the schema document.
        :param quarantined: how many of its lines readers miss already: no more than these are never too many.
        :raises VerificationError: raw files are gone, or are not what was verified.
        :raises ConversionError: a value does not fit and the contract says ``fail``, or more is quarantined than it allows.
        """
        with raw_files_of(entry, self.store, self.ledger.lake):
            source = self._source(entry)
            generation = self._generation_with(source, entry, schema)
            groups = share_out(entry.export, source.manifests.files)
            there = self._stored_files(generation)
            parts: list[ConvertedPart] = []
            for group in groups:
                note = self.ledger.read_note(group.converted_path(generation))
                made = [ConvertedPart.from_json(part) for part in note["parts"]] if note else None
                if made is None or any(there.get(path) != size for part in made for path, _, size in part.files):
                    made = self._convert(entry, group, source, generation, only_if_long=True)
                parts += made
        self._require_counts(entry, parts, quarantined)
        return Rewritten(entry, source, generation, tuple(parts))

    def _convert(
        self,
        entry: VerifiedEntry,
        group: FileGroup,
        source: ExportSource,
        generation: Generation,
        *,
        only_if_long: bool = False,
    ) -> list[ConvertedPart]:
        """Convert a group's files, and note the parts. In the log as :class:`ProgressLog` says."""
        indexes = group.indexes(source.manifests.files)
        whole = amount_of(source.chosen(indexes))
        with ProgressLog(Stage.CONVERT, self._about(entry, group), whole, only_if_long=only_if_long) as progress:
            parts = convert_files(source, generation, self.store, self.ledger.lake.root, indexes, progress=progress)
        self.ledger.write_note(group.converted_path(generation), {"parts": [part.to_json() for part in parts]})
        return parts

    def _about(self, entry: VerifiedEntry, group: FileGroup) -> str:
        return f"{words_of_entry(self.ledger.lake.name, entry)}, group {group.group + 1} of {group.groups}"

    def _with_present_types(self, entry: VerifiedEntry, groups: Sequence[FileGroup]) -> Sequence[FileGroup]:
        """Convert again what was converted to types that a widening has changed since; other tasks need not run again."""
        if not self._types_changed(self.ledger.read_schema(groups[0].schema_version)):
            return groups
        version = self.ledger.read_schema().version
        log.info("export %s: columns were widened meanwhile; it is converted to version %s", entry.export, version)
        present = [replace(group, schema_version=version) for group in groups]
        for group in present:
            self.convert(entry, group)
        return present

    def _types_changed(self, schema: SchemaDocument) -> bool:
        """Tell whether the newest version has another type for one of these columns: only a widening does that."""
        newest = self.ledger.read_schema()
        present = {column.name: column for column in newest.columns}
        return any(present.get(column.name, column) != column for column in schema.columns)

    def _overflowed(
        self, generation: Generation, groups: Sequence[FileGroup], parts: Sequence[ConvertedPart]
    ) -> dict[str, dict[str, int]]:
        """Say what the columns could not hold, and why; the scans left what tells the reasons."""
        counted: dict[str, int] = {}
        for attribute, rows in (pair for part in parts for pair in (part.overflowed or {}).items()):
            counted[attribute] = counted.get(attribute, 0) + rows
        if not counted:
            return {}
        notes = [self.ledger.read_note(group.statistics_path) for group in groups]
        whole = None if None in notes else ExportStatistics.merge_all(map(ExportStatistics.from_json, notes))
        return overflow_reasons(counted, whole and self.contract.statistics(whole), generation.schema)

    def _remove_replaced(self, chain: Chain, entry: VerifiedEntry, glue: GlueGateway, table: GlueTable) -> None:
        """Hide the windows that this one replaces: the same changes must not be seen twice.

        :raises ConversionError: another window that replaces them too is not verified yet.
        """
        for subject in self.ledger.claim_of(entry.export).supersedes:
            if subject not in chain.superseded:
                raise ConversionError(
                    f"export {entry.export}",
                    f"it replaces {subject} together with another window, which is not verified yet",
                    "see the log of the other window's tasks; the run that verifies it publishes both",
                )
            partition = window_partition(window_of(subject))
            glue.remove_partition(table, partition_values(partition))
            self.store.delete(self.ledger.lake.key(f"{partition}/{LIVE}"))

    def _source(self, entry: VerifiedEntry) -> ExportSource:
        manifests = read_manifests(self.store, locate_export(self.store, entry.manifest_key))
        summary = manifests.summary
        if summary is None or summary.export_arn != entry.export_arn:
            raise VerificationError(
                self.store.uri(entry.manifest_key),
                "it is missing, or not the manifest that was verified",
                RESTORE,
            )
        return ExportSource(self.store, manifests)

    def _generation(self, source: ExportSource, entry: VerifiedEntry, group: FileGroup) -> Generation:
        return self._generation_with(source, entry, self.ledger.read_schema(group.schema_version))

    def _generation_with(self, source: ExportSource, entry: VerifiedEntry, schema: SchemaDocument) -> Generation:
        contract = self.contract
        if schema.contradicted(contract):
            # It is not the value's fault that the column still has the type of before: the widening that follows judges it anew.
            contract = replace(contract, on_violation=OnViolation.OVERFLOW)
        return plan_generation(source, schema, entry.ttl_attribute, contract)

    def _converted(
        self, entry: VerifiedEntry, generation: Generation, groups: Sequence[FileGroup]
    ) -> list[ConvertedPart]:
        parts: list[ConvertedPart] = []
        for group in groups:
            note = self.ledger.read_note(group.converted_path(generation))
            if note is None:
                raise ConversionError(
                    f"export {entry.export}", f"its file group {group.name} is not converted", "clear the convert task"
                )
            parts += [ConvertedPart.from_json(part) for part in note["parts"]]
        self._require_files(entry, generation, parts)
        self._require_counts(entry, parts)
        return parts

    def _require_counts(self, entry: VerifiedEntry, parts: Sequence[ConvertedPart], allowed: int = 0) -> None:
        """Refuse lines that are missing, and more of them in quarantine than the contract allows, or than ``allowed``."""
        counted = sum(part.rows + part.quarantined for part in parts)
        if counted != entry.item_count:
            raise ConversionError(
                f"export {entry.export}",
                f"{counted} lines were converted, but the verified export has {entry.item_count}",
                "clear the convert tasks of this run",
            )
        quarantined = sum(part.quarantined for part in parts)
        if quarantined > allowed:
            self.contract.require_quarantine(f"export {entry.export}", quarantined, entry.item_count)

    def _require_files(self, entry: VerifiedEntry, generation: Generation, parts: Sequence[ConvertedPart]) -> None:
        """Refuse to show files that are gone: the lists of converted parts may be older than a cleaning of the lake."""
        lake = self.ledger.lake
        sizes = self._stored_files(generation)
        for path, _, size in (file for part in parts for file in part.files):
            if sizes.get(path) != size:
                raise ConversionError(
                    lake.uri(path),
                    f"it was made from {entry.export} and is gone, or not what was made",
                    "clear the convert tasks of this run",
                )

    def _stored_files(self, generation: Generation) -> dict[str, int]:
        """Return path below the table's folder → size of the files of a generation."""
        root = self.ledger.lake.key("")
        stored = self.store.list_objects(f"{root}{generation.folder}/")
        return {each.key.removeprefix(root): each.size for each in stored}
