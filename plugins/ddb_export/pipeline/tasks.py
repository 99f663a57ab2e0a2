"""The work on one verified export, cut so that mapped tasks can share it: scan, merge, convert, publish.

What one task leaves for the next lies beside the ledger, under names that follow from the export and the group alone; so a step can
run again, anywhere, and XComs stay small whatever the size of an export.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from ddb_export.aws.errors import ObjectMissingError
from ddb_export.domain.export import export_id
from ddb_export.domain.layout import LIVE, window_partition
from ddb_export.domain.ledger import Chain, Claim, PublishedEntry, VerifiedEntry
from ddb_export.domain.planning import output_of
from ddb_export.domain.statistics import ExportStatistics
from ddb_export.domain.window import window_of
from ddb_export.exceptions import ConversionError, VerificationError
from ddb_export.pipeline.catalog import glue_partition, glue_table, partition_values
from ddb_export.pipeline.conversion import (
    ConvertedPart,
    ExportSource,
    Generation,
    convert_files,
    plan_generation,
    publish_generation,
    scan_files,
)
from ddb_export.pipeline.file_groups import FileGroup, by_export
from ddb_export.pipeline.verification import VerificationLevel, locate_export, read_manifests, verify_export

if TYPE_CHECKING:
    from ddb_export.aws.glue import GlueGateway, GlueTable
    from ddb_export.aws.object_store import ObjectStore
    from ddb_export.domain.export import ExportDescription
    from ddb_export.pipeline.ledger import Ledger

log = logging.getLogger(__name__)

_RESTORE = (
    "restore the raw export from the bucket's older versions, or export it again: trigger the DAG by hand with from, to and"
    " re_export: true"
)


@contextmanager
def _raw_export(entry: VerifiedEntry) -> Iterator[None]:
    """Say what to do where files of a verified export are gone."""
    try:
        yield
    except ObjectMissingError as error:
        raise VerificationError(f"raw files of {entry.export}", str(error.cause), _RESTORE) from error


@dataclass(frozen=True, slots=True)
class TableWork:
    """The steps of one table's exports.

    :param ledger: its ledger. :param store: the bucket of its lake.
    """

    ledger: Ledger
    store: ObjectStore

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
        location = locate_export(self.store, _export_folder(claim.request.s3_prefix, description.export_arn))
        report = verify_export(
            self.store,
            read_manifests(self.store, location),
            level=level,
            expected=claim.request,
            table_id=claim.table_id,
            description=description,
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
            )
        )

    def scan(self, entry: VerifiedEntry, group: FileGroup) -> ExportStatistics:
        """Count what decides the columns, and leave it for :meth:`merge_schema`."""
        with _raw_export(entry):
            source = self._source(entry)
            statistics = scan_files(source, group.indexes(len(source.manifests.files)))
        self.ledger.write_note(group.statistics_path, statistics.to_json())
        return statistics

    def merge_schema(self, groups: Iterable[FileGroup]) -> list[FileGroup]:
        """Extend the schema document by every export whose groups are all scanned.

        :return: the groups of these exports, each with the schema version to convert to. An export with a group that
            is not scanned is left out.
        """
        ready: list[FileGroup] = []
        for export_groups in by_export(groups):
            notes = [self.ledger.read_note(group.statistics_path) for group in export_groups]
            if any(note is None for note in notes):
                log.warning("export %s: not all of its files are scanned; left out", export_groups[0].export)
                continue
            statistics = ExportStatistics.merge_all(ExportStatistics.from_json(note) for note in notes)
            self.ledger.extend_schema(statistics)
            ready += export_groups
        version = self.ledger.read_schema().version
        return [replace(group, schema_version=version) for group in ready]

    def convert(self, entry: VerifiedEntry, group: FileGroup) -> list[ConvertedPart]:
        """Convert a group's files, and leave the list of the parts for :meth:`publish`."""
        with _raw_export(entry):
            source = self._source(entry)
            generation = self._generation(source, entry, group)
            indexes = group.indexes(len(source.manifests.files))
            parts = convert_files(source, generation, self.store, self.ledger.lake.root, indexes)
        document = {"parts": [part.to_json() for part in parts]}
        self.ledger.write_note(group.converted_path(generation), document)
        return parts

    def publish(
        self, entry: VerifiedEntry, groups: Sequence[FileGroup], glue: GlueGateway, database: str, now: datetime
    ) -> PublishedEntry | None:
        """Show an export's converted files to readers, and record the evidence.

        The order is the promise: files, table, what it replaces goes, partition, ``_live.json``, evidence. Whatever is
        interrupted is done again.

        :return: the evidence; that of the newer generation where one is shown already; None where a later attempt or other windows
            were verified in its place, so that it must not be shown (again).
        :raises ConversionError: a group is not converted, or the counts do not add up; readers see nothing of it.
        """
        chain = self.ledger.read()
        if self.ledger.verified_of(chain, [entry.export]) != [entry]:
            log.info("export %s: others were verified in its place; it is not shown", entry.export)
            return None
        shown = self.ledger.published_entry(output_of(entry.kind), entry.export)
        if shown and shown.schema_version > (groups[0].schema_version or 0):
            log.info("export %s: it is shown with columns of version %s already", entry.export, shown.schema_version)
            return shown
        with _raw_export(entry):
            source = self._source(entry)
        generation = self._generation(source, entry, groups[0])
        parts = self._converted(entry, generation, groups)
        output = output_of(entry.kind)
        table = glue_table(self.ledger.lake, self.ledger.read_schema(), output, database)
        glue.upsert_table(table)
        self._remove_replaced(chain, entry, glue, table)
        partition = glue_partition(self.ledger.lake, table, entry, generation)
        glue.upsert_partitions(table, [partition])
        published = publish_generation(source, generation, parts, self.store, self.ledger.lake.root)
        return self.ledger.record_published(
            PublishedEntry(
                output=output,
                export=entry.export,
                generation=generation.name,
                location=partition.location,
                partition=generation.partition,
                glue_table=table.full_name,
                files=len(published.files),
                rows=published.rows,
                quarantined=published.quarantined,
                output_bytes=sum(size for _, _, size in published.files),
                schema_version=generation.schema.version,
                schema_fingerprint=generation.schema.fingerprint,
                published_at=now,
            )
        )

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
                _RESTORE,
            )
        return ExportSource(self.store, manifests)

    def _generation(self, source: ExportSource, entry: VerifiedEntry, group: FileGroup) -> Generation:
        return plan_generation(source, self.ledger.read_schema(group.schema_version), entry.ttl_attribute)

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
        counted = sum(part.rows + part.quarantined for part in parts)
        self._require_files(entry, generation, parts)
        if counted != entry.item_count:
            raise ConversionError(
                f"export {entry.export}",
                f"{counted} lines were converted, but the verified export has {entry.item_count}",
                "clear the convert tasks of this run",
            )
        return parts

    def _require_files(self, entry: VerifiedEntry, generation: Generation, parts: Sequence[ConvertedPart]) -> None:
        """Refuse to show files that are gone: the lists of converted parts may be older than a cleaning of the lake."""
        lake = self.ledger.lake
        sizes = {each.key: each.size for each in self.store.list_objects(f"{lake.key(generation.folder)}/")}
        for path, _, size in (file for part in parts for file in part.files):
            if sizes.get(lake.key(path)) != size:
                raise ConversionError(
                    lake.uri(path),
                    f"it was made from {entry.export} and is gone, or not what was made",
                    "clear the convert tasks of this run",
                )


def _export_folder(s3_prefix: str, export_arn: str) -> str:
    return f"{s3_prefix}/AWSDynamoDB/{export_id(export_arn)}"
