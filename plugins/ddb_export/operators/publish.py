"""The operator that shows converted exports to readers: Glue tables, partitions, ``_live.json``, evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ddb_export.aws.glue_indexes import ensure_partition_index
from ddb_export.domain.metrics import Stage
from ddb_export.domain.overflow import overflow_words
from ddb_export.domain.progress import counted
from ddb_export.domain.quarantine import REMEDY, quarantined_lines
from ddb_export.domain.redaction import difference_words
from ddb_export.domain.search_words import words_of_entry
from ddb_export.exceptions import DdbExportError
from ddb_export.operators.base import LakeOperator
from ddb_export.operators.contracted import ContractedOperator
from ddb_export.operators.lineage import TellsLineage, published
from ddb_export.pipeline.catalog import PARTITION_KEYS, glue_table
from ddb_export.pipeline.entities import columns_of_entities
from ddb_export.pipeline.file_groups import FileGroup
from ddb_export.pipeline.redactions import begin_publishing, end_publishing
from ddb_export.pipeline.widening import TableWidening

if TYPE_CHECKING:
    from airflow.sdk import Context

    from ddb_export.aws.glue import GlueColumn


class PublishExportsOperator(TellsLineage, ContractedOperator):
    """Registers each converted export as a partition; an export that is not whole does not keep back the others.

    Returns one flat object per published export: ``export, output, glue_table, partition, generation, location, files, rows,
    quarantined, bytes, overflowed, overflow``: ``overflowed`` counts values that no column could hold, ``overflow`` says of which attributes and why.

    :param file_groups: what :class:`~ddb_export.operators.convert.MergeSchemaOperator` returned.
    :param database: Glue database of the tables.
    :param partition_index: whether the tables get an index of their partitions.
    """

    template_fields: Sequence[str] = (*LakeOperator.template_fields, "file_groups", "database")
    ui_color = "#4292c6"
    stage = Stage.PUBLISH

    def __init__(self, *, file_groups: Any, database: str, partition_index: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.file_groups = file_groups
        self.database = database
        self.partition_index = partition_index

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Publish what is whole, then raise the first thing that kept an export back.

        :raises ConversionError: an export is not converted whole. :raises PublishError: Glue refused.
        """
        groups = [FileGroup.from_xcom(group) for group in self.file_groups or ()]
        TableWidening(self.work, self.hook.glue).finish_switch(self.clock)
        if groups:
            self._tell_of_older(begin_publishing(self.work))
        shown: list[dict[str, Any]] = []
        kept_back: list[DdbExportError] = []
        for export, export_groups in groupby(groups, key=lambda group: group.export):
            try:
                shown += self._publish(export, list(export_groups))
            except DdbExportError as error:
                self.log.warning("kept back: %s", error)
                kept_back.append(error)
        if shown:
            end_publishing(self.work)
        if self.partition_index:
            self._index({(done["output"], done["glue_table"]) for done in shown})
        if len(kept_back) > 1:
            self.log.error("%s exports are kept back, %s are published", len(kept_back), len(shown))
        if kept_back:
            raise kept_back[0]
        return shown

    def lineage_columns(self, output: str) -> Sequence[GlueColumn]:
        """Return the columns of the table as it stands in the catalog now."""
        table = glue_table(self.lake, self.ledger.read_schema(), output, self.database)
        return (*table.columns, *table.partition_keys)

    def _tell_of_older(self, stale: Mapping[str, str]) -> None:
        for attribute, made in stale.items():
            self.log.warning(
                "older partitions of %s are still readable as they were made: %s. ddb-export gaps %s counts them;"
                " to see what rewriting them costs: ddb-export widen %s --plan",
                self.lake_name,
                difference_words(attribute, made, self.work.contract.redaction.of(attribute)),
                self.lake_name,
                self.lake_name,
            )

    def _index(self, tables: set[tuple[str, str]]) -> None:
        for output, full_name in sorted(tables):
            database, name = full_name.split(".", 1)
            if ensure_partition_index(self.hook.glue, database, name, [key.name for key in PARTITION_KEYS[output]]):
                self.log.info("%s has an index of its partitions; Glue builds it in the background", full_name)

    def _publish(self, export: str, groups: Sequence[FileGroup]) -> list[dict[str, Any]]:
        entry = self.verified_entry(export)
        done = self.work.publish(entry, groups, self.hook.glue, self.database, self.clock())
        if done is None:
            return []
        self.note_moved(published(self.lake, entry, done))
        if self.work.contract.entities:
            columns_of_entities(self.ledger, self.work.contract.entities, [done])
        amount = f"{counted(done.rows, 'row')} in {counted(done.files, 'file')}"
        seen = f"{amount} can be read in {done.glue_table} at {done.partition}"
        self.say(seen, words_of_entry(self.lake_name, entry))
        overflowed = done.overflowed or {}
        for words in overflow_words(overflowed):
            self.log.warning(
                "%s: in _overflow, exact, %s; to see what a wider column costs: ddb-export widen %s --plan",
                done.export,
                words,
                self.lake_name,
            )
        for lines in quarantined_lines([done], self.ledger.lake):
            self.log.warning("table %s, %s. Remedy: %s", self.lake_name, lines.words, REMEDY)
        summary = {
            "export": done.export,
            "output": done.output,
            "glue_table": done.glue_table,
            "partition": done.partition,
            "generation": done.generation,
            "location": done.location,
            "files": done.files,
            "rows": done.rows,
            "quarantined": done.quarantined,
            "bytes": done.output_bytes,
            "overflowed": sum(sum(reasons.values()) for reasons in overflowed.values()),
            "overflow": "; ".join(overflow_words(overflowed)),
        }
        return [summary]
