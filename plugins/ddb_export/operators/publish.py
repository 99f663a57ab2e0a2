"""The operator that shows converted exports to readers: Glue tables, partitions, ``_live.json``, evidence."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ddb_export.exceptions import DdbExportError
from ddb_export.operators.base import LakeOperator
from ddb_export.pipeline.file_groups import FileGroup
from ddb_export.pipeline.tasks import TableWork

if TYPE_CHECKING:
    from airflow.sdk import Context


class PublishExportsOperator(LakeOperator):
    """Registers each converted export as a partition; an export that is not whole does not keep back the others.

    Returns one flat object per published export: ``export, output, glue_table, partition, generation, location, files, rows,
    quarantined, bytes``.

    :param file_groups: what :class:`~ddb_export.operators.convert.MergeSchemaOperator` returned.
    :param database: Glue database of the tables.
    """

    template_fields: Sequence[str] = (*LakeOperator.template_fields, "file_groups", "database")
    ui_color = "#4292c6"

    def __init__(self, *, file_groups: Any, database: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.file_groups = file_groups
        self.database = database

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Publish what is whole, then raise the first thing that kept an export back.

        :raises ConversionError: an export is not converted whole. :raises PublishError: Glue refused.
        """
        groups = [FileGroup.from_xcom(group) for group in self.file_groups or ()]
        published: list[dict[str, Any]] = []
        kept_back: list[DdbExportError] = []
        for export, export_groups in groupby(groups, key=lambda group: group.export):
            try:
                published += self._publish(export, list(export_groups))
            except DdbExportError as error:
                self.log.warning("kept back: %s", error)
                kept_back.append(error)
        if len(kept_back) > 1:
            self.log.error("%s exports are kept back, %s are published", len(kept_back), len(published))
        if kept_back:
            raise kept_back[0]
        return published

    def _publish(self, export: str, groups: Sequence[FileGroup]) -> list[dict[str, Any]]:
        entry = self.verified_entry(export)
        work = TableWork(self.ledger, self.store)
        done = work.publish(entry, groups, self.hook.glue, self.database, datetime.now(UTC))
        if done is None:
            return []
        self.log.info("%s: %s rows are visible in %s at %s", export, done.rows, done.glue_table, done.partition)
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
        }
        return [summary]
