"""Raw exports in the Glue catalog, as they are: nobody reads a data file for it.

A partition points at exactly the data folder of one verified attempt, which lies below a prefix that no other attempt has. Before that a
listing is compared with the manifest: a folder that holds anything else would be read with it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ddb_export.aws.glue import JSON_TEXT, GlueColumn, GluePartition, GlueTable
from ddb_export.domain.layout import glue_name, raw_partition, snapshot_partition, window_partition
from ddb_export.domain.ledger import Chain, PublishedEntry, VerifiedEntry
from ddb_export.domain.planning_rules import RAW, output_of
from ddb_export.domain.window import window_of
from ddb_export.exceptions import PublishError, VerificationError
from ddb_export.pipeline.catalog import FILTER_PARAMETER, PARTITION_KEYS, filter_parameters, partition_values
from ddb_export.pipeline.location import locate_export
from ddb_export.pipeline.source import ExportSource, read_manifests

if TYPE_CHECKING:
    from ddb_export.aws.glue import GlueGateway
    from ddb_export.aws.object_store import ObjectStore
    from ddb_export.domain.layout import Lake
    from ddb_export.pipeline.ledger import Ledger

log = logging.getLogger(__name__)

RAW_COLUMNS: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "snapshots": (("item", "Item", "the item, as DynamoDB JSON"),),
    "changes": (
        ("metadata", "Metadata", "when DynamoDB wrote it, as DynamoDB JSON"),
        ("keys", "Keys", "the item's key, as DynamoDB JSON"),
        ("newimage", "NewImage", "the item after the window, as DynamoDB JSON; null if it was deleted"),
        ("oldimage", "OldImage", "the item before the window, as DynamoDB JSON; null if there was none"),
    ),
}
"""Typed output of the same kind → column, the line's member that it holds, and its comment."""


def raw_table(lake: Lake, output: str, database: str) -> GlueTable:
    """Return the table of raw exports as it should stand in the catalog.

    :param output: ``snapshots`` for full exports, ``changes`` for windows.
    """
    columns = RAW_COLUMNS[output]
    # Folding case would fold it in attribute names too, which differ by case.
    parameters = {
        "case.insensitive": "false",
        **{f"mapping.{column}": member for column, member, _ in columns},
    }
    serde: dict[str, Any] = {**JSON_TEXT["SerdeInfo"], "Parameters": parameters}
    return GlueTable(
        database=database,
        name=f"{glue_name(lake.name)}_raw_{output}",
        location=lake.uri("raw") + "/",
        made_for=lake.uri(),
        columns=tuple(GlueColumn(column, "string", comment) for column, _, comment in columns),
        partition_keys=PARTITION_KEYS[output],
        description=f"DynamoDB exports of {lake.name} as they are, one line a record: {output}. Kept by ddb_export.",
        storage={**JSON_TEXT, "SerdeInfo": serde},
        classification="json",
    )


@dataclass(frozen=True, slots=True)
class RawTables:
    """The raw tables of one lake.

    :param ledger: its ledger. :param store: the bucket of its lake.
    """

    ledger: Ledger
    store: ObjectStore

    def publish(self, entry: VerifiedEntry, glue: GlueGateway, database: str, now: datetime) -> PublishedEntry | None:
        """Register an export's own files, and record the evidence.

        :return: the evidence; None where others were verified in its place, so that it must not be shown (again).
        :raises VerificationError: the data folder does not hold exactly what the manifest names. :raises PublishError: Glue refused,
            or another window that replaces the same ones is not verified yet.
        """
        chain = self.ledger.read()
        if self.ledger.verified_of(chain, [entry.export]) != [entry]:
            log.info("export %s: others were verified in its place; it is not shown", entry.export)
            return None
        output = output_of(entry.kind)
        table = raw_table(self.ledger.lake, output, database)
        location, size = self._data_folder(entry)
        glue.upsert_table(replace(table, parameters=filter_parameters(chain)))
        self._remove_replaced(chain, entry, glue, table)
        typed = window_partition(entry.window) if entry.window else snapshot_partition(_export_time(entry))
        made_from = {
            "ddb_export.export": entry.export,
            "ddb_export.export_arn": entry.export_arn,
            "ddb_export.verified": entry.level,
            "ddb_export.data_files": str(entry.files),
            "ddb_export.items": str(entry.item_count),
            **({FILTER_PARAMETER: entry.export_filter} if entry.export_filter else {}),
        }
        partition = GluePartition(partition_values(typed), location, table.columns, made_from, table.storage)
        glue.upsert_partitions(table, [partition])
        return self.ledger.record_published(
            PublishedEntry(
                output=RAW,
                export=entry.export,
                generation=RAW,
                location=location,
                partition=raw_partition(typed),
                glue_table=table.full_name,
                files=entry.files,
                rows=entry.item_count,
                quarantined=0,
                output_bytes=size,
                schema_version=0,
                schema_fingerprint="",
                published_at=now,
            )
        )

    def _data_folder(self, entry: VerifiedEntry) -> tuple[str, int]:
        """Return the URI of the one folder that holds the export's data files, and their bytes."""
        manifests = read_manifests(self.store, locate_export(self.store, entry.manifest_key))
        source = ExportSource(self.store, manifests)
        named = {source.key(file) for file in manifests.files}
        # An export without any record may have no data folder: its place would be beside the manifests.
        beside = f"{entry.manifest_key.rpartition('/')[0]}/data"
        folders = {key.rpartition("/")[0] for key in named} or {beside}
        if len(folders) > 1:
            raise VerificationError(
                self.store.uri(entry.manifest_key),
                f"its data files lie in {len(folders)} folders, and a partition has one",
                "export it again: trigger the DAG by hand with from, to and re_export: true",
            )
        folder = folders.pop()
        there = {each.key: each.size for each in self.store.list_objects(f"{folder}/")}
        if others := sorted(there.keys() ^ named):
            raise VerificationError(
                self.store.uri(others[0]),
                "its manifest does not name it" if others[0] in there else "its manifest names it, and it is gone",
                "take out what does not belong to the export, or restore what is missing, then clear this task",
            )
        return self.store.uri(folder) + "/", sum(there.values())

    def _remove_replaced(self, chain: Chain, entry: VerifiedEntry, glue: GlueGateway, table: GlueTable) -> None:
        """Hide the windows that this one replaces: the same changes must not be seen twice."""
        for subject in self.ledger.claim_of(entry.export).supersedes:
            if subject not in chain.superseded:
                raise PublishError(
                    f"export {entry.export}",
                    f"it replaces {subject} together with another window, which is not verified yet",
                    "see the log of the other window's tasks; the run that verifies it registers both",
                )
            glue.remove_partition(table, partition_values(window_partition(window_of(subject))))


def _export_time(entry: VerifiedEntry) -> datetime:
    if entry.export_time is None:
        raise ValueError("a full export has an export_time")
    return entry.export_time
