"""The work on one verified export, cut so that mapped tasks can share it: scan, merge, convert, publish.

What one task leaves for the next lies beside the ledger, under names that follow from the export and the group alone; so a step can
run again, anywhere, and XComs stay small whatever the size of an export.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ddb_export.aws.errors import ObjectMissingError
from ddb_export.aws.glue import GlueColumn, GluePartition, GlueTable
from ddb_export.domain.export import ExportType, export_id
from ddb_export.domain.layout import LIVE, glue_name, window_partition
from ddb_export.domain.ledger import Chain, Claim, PublishedEntry, VerifiedEntry
from ddb_export.domain.planning import output_of
from ddb_export.domain.schema import SchemaDocument, glue_columns
from ddb_export.domain.statistics import ExportStatistics
from ddb_export.domain.window import window_of
from ddb_export.exceptions import ConversionError, VerificationError
from ddb_export.pipeline.conversion import (
    ConvertedPart,
    ExportSource,
    Generation,
    convert_files,
    plan_generation,
    publish_generation,
    scan_files,
)
from ddb_export.pipeline.verification import VerificationLevel, locate_export, read_manifests, verify_export

if TYPE_CHECKING:
    from ddb_export.aws.glue import GlueGateway
    from ddb_export.aws.object_store import ObjectStore
    from ddb_export.domain.export import ExportDescription
    from ddb_export.pipeline.ledger import Ledger

log = logging.getLogger(__name__)

MOST_GROUPS = 1024
"""Most items that Airflow maps a task over (``[core] max_map_length``)."""

GROUP_BYTES = 32 * 1024 * 1024
"""Compressed bytes that are worth a mapped task of their own: starting a task takes seconds, converting this much too."""

PARTITION_KEYS: Mapping[str, tuple[GlueColumn, ...]] = {
    "snapshots": (GlueColumn("export_time", "string", "moment of the full export, UTC"),),
    "changes": (
        GlueColumn("dt", "string", "UTC date of the window's start"),
        GlueColumn("export_window", "string", "start and end of the window, UTC"),
    ),
}


@dataclass(frozen=True, slots=True)
class FileGroup:
    """Some of an export's data files: every ``groups``-th of the manifest, beginning at ``group``.

    :param export: name of the attempt. :param schema_version: columns to convert to; None before they are known.
    """

    export: str
    group: int
    groups: int
    schema_version: int | None = None

    def indexes(self, files: int) -> range:
        """Return the places in the manifest of its files."""
        return range(self.group, files, self.groups)

    @property
    def name(self) -> str:
        """Its name in notes."""
        return f"{self.group:04d}-of-{self.groups:04d}"

    @property
    def statistics_path(self) -> str:
        """Where its statistics lie, below the ledger."""
        return f"statistics/{self.export}/{self.name}.json"

    def converted_path(self, generation: Generation) -> str:
        """Where the list of its converted parts lies, below the ledger."""
        return f"converted/{self.export}/{generation.name}/{self.name}.json"

    def to_xcom(self) -> dict[str, Any]:
        """Return a flat JSON object; its keys are the arguments of the mapped operators."""
        return {
            "export": self.export,
            "group": self.group,
            "groups": self.groups,
            **({} if self.schema_version is None else {"schema_version": self.schema_version}),
        }

    @classmethod
    def from_xcom(cls, document: Mapping[str, Any]) -> FileGroup:
        """Read what :meth:`to_xcom` wrote."""
        version = document.get("schema_version")
        return cls(
            document["export"],
            int(document["group"]),
            int(document["groups"]),
            None if version is None else int(version),
        )


def group_files(entries: Sequence[VerifiedEntry], most_groups: int) -> list[FileGroup]:
    """Cut the data files of exports into groups, at least one an export, never more than Airflow maps over."""
    allowed = max(1, min(most_groups, MOST_GROUPS // max(1, len(entries))))
    groups = []
    for entry in entries:
        count = max(1, min(allowed, entry.files, -(-entry.bytes_read // GROUP_BYTES)))
        groups += [FileGroup(entry.export, group, count) for group in range(count)]
    return groups


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
        for export_groups in _by_export(groups):
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
        table = self._table(generation, output, database)
        glue.upsert_table(table)
        self._remove_replaced(chain, entry, glue, table)
        location = self.ledger.lake.uri(generation.folder) + "/"
        partition = GluePartition(_values(generation.partition), location, table.columns, _made_from(entry, generation))
        glue.upsert_partitions(table, [partition])
        published = publish_generation(source, generation, parts, self.store, self.ledger.lake.root)
        return self.ledger.record_published(
            PublishedEntry(
                output=output,
                export=entry.export,
                generation=generation.name,
                location=location,
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
            glue.remove_partition(table, _values(partition))
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

    def _table(self, generation: Generation, output: str, database: str) -> GlueTable:
        lake = self.ledger.lake
        export_type = ExportType.FULL_EXPORT if output == "snapshots" else ExportType.INCREMENTAL_EXPORT
        schema: SchemaDocument = self.ledger.read_schema()
        attributes = {column.name: column.attribute for column in schema.columns}
        return GlueTable(
            database=database,
            name=f"{glue_name(lake.name)}_{output}",
            location=lake.uri(output) + "/",
            made_for=lake.uri(),
            columns=tuple(
                GlueColumn(name, glue_type, _comment(attributes.get(name)))
                for name, glue_type in glue_columns(schema, export_type)
            ),
            partition_keys=PARTITION_KEYS[output],
            description=f"DynamoDB exports of {lake.name}: {output}. Kept by ddb_export.",
        )


def _comment(attribute: str | None) -> str:
    """Name the attribute, whose name is often not the column's; Glue takes 255 characters without line breaks."""
    return f"attribute {attribute}"[:255] if attribute and attribute.isprintable() else ""


def _values(partition: str) -> tuple[str, ...]:
    """Return the partition's values, which its path spells as ``key=value``."""
    return tuple(part.split("=", 1)[1] for part in partition.split("/") if "=" in part)


def _made_from(entry: VerifiedEntry, generation: Generation) -> dict[str, str]:
    return {
        "ddb_export.export_arn": entry.export_arn,
        "ddb_export.generation": generation.name,
        "ddb_export.items": str(entry.item_count),
    }


def _export_folder(s3_prefix: str, export_arn: str) -> str:
    return f"{s3_prefix}/AWSDynamoDB/{export_id(export_arn)}"


def _by_export(groups: Iterable[FileGroup]) -> list[list[FileGroup]]:
    found: dict[str, list[FileGroup]] = {}
    for group in groups:
        found.setdefault(group.export, []).append(group)
    return list(found.values())
