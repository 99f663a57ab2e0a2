"""The operators that turn verified exports into typed Parquet: scan (mapped), merge the schema (once), convert (mapped)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ddb_export.domain.cost import size_in_words
from ddb_export.domain.metrics import Stage
from ddb_export.domain.progress import counted
from ddb_export.domain.search_words import words_of_entry
from ddb_export.operators.base import LakeOperator
from ddb_export.operators.contracted import ContractedOperator
from ddb_export.operators.lineage import TellsLineage, converted
from ddb_export.operators.runs import is_true
from ddb_export.pipeline.catalog import glue_table
from ddb_export.pipeline.file_groups import Cut, FileGroup

if TYPE_CHECKING:
    from airflow.sdk import Context

    from ddb_export.aws.glue import GlueColumn


class _FileGroupOperator(ContractedOperator):
    """Base of the mapped operators: one task, one group of an export's data files.

    :param export: name of the verified attempt.
    :param group: number of the group, from 0; ``groups`` how many there are.
    :param schema_version: columns to convert to.
    :param cut: how the files are shared among the groups: ``balanced`` by their items, or ``every_nth`` of the manifest.
    """

    template_fields: Sequence[str] = (
        *LakeOperator.template_fields,
        "export",
        "group",
        "groups",
        "schema_version",
        "cut",
    )
    ui_color = "#6baed6"

    def __init__(
        self,
        *,
        export: str,
        group: int = 0,
        groups: int = 1,
        schema_version: int | None = None,
        cut: str = Cut.EVERY_NTH,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("map_index_template", "{{ task.export }} files {{ task.group }}/{{ task.groups }}")
        super().__init__(**kwargs)
        self.export = export
        self.group = group
        self.groups = groups
        self.schema_version = schema_version
        self.cut = str(cut)

    @property
    def file_group(self) -> FileGroup:
        """The group as the pipeline knows it."""
        version = None if self.schema_version is None else int(self.schema_version)
        return FileGroup(str(self.export), int(self.group), int(self.groups), version, Cut(self.cut))


class ScanDataFilesOperator(_FileGroupOperator):
    """Reads a group of data files and counts what decides the columns, exactly and from every record.

    Returns ``{"export", "group", "groups", "cut", "lines", "attributes"}``.
    """

    stage = Stage.SCAN

    def execute(self, context: Context) -> dict[str, Any]:
        """Scan."""
        statistics = self.work.scan(self.verified_entry(str(self.export)), self.file_group)
        return {**self.file_group.to_xcom(), "lines": statistics.lines, "attributes": len(statistics.attributes)}


class MergeSchemaOperator(ContractedOperator):
    """Extends the table's schema document by what the scans found; published columns never change.

    Returns the file groups to convert, ``{"export", "group", "groups", "cut", "schema_version"}`` each.

    :param file_groups: what :class:`~ddb_export.operators.hand_over.HandOverOperator` returned.
    :param widen: whether the run widens columns at its end, as in :class:`~ddb_export.operators.plan.PlanExportsOperator`. Templated.
    """

    template_fields: Sequence[str] = (*LakeOperator.template_fields, "file_groups", "widen")
    ui_color = "#6baed6"

    def __init__(self, *, file_groups: Any, widen: bool | str = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.file_groups = file_groups
        self.widen = widen

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Merge."""
        groups = [FileGroup.from_xcom(group) for group in self.file_groups or ()]
        merged = self.work.merge_schema(groups, types_may_differ=is_true(self.widen))
        if merged:
            self.log.info("schema: columns have version %s; %s", merged[0].schema_version, self.lake_name)
        return [group.to_xcom() for group in merged]


class ConvertDataFilesOperator(TellsLineage, _FileGroupOperator):
    """Converts a group of data files to Parquet; readers do not see the files before they are published.

    Returns ``{"export", "group", "groups", "cut", "schema_version", "files", "rows", "bytes", "quarantined", "overflowed"}``.
    """

    stage = Stage.CONVERT

    def execute(self, context: Context) -> dict[str, Any]:
        """Convert."""
        entry = self.verified_entry(str(self.export))
        parts = self.work.convert(entry, self.file_group)
        overflowed = sum(sum((part.overflowed or {}).values()) for part in parts)
        summary = {
            **self.file_group.to_xcom(),
            "files": len(parts),
            "rows": sum(part.rows for part in parts),
            "bytes": sum(part.bytes for part in parts),
            "quarantined": sum(part.quarantined for part in parts),
            "overflowed": overflowed,
        }
        self.note_moved(
            converted(self.lake, entry, rows=summary["rows"], files=summary["files"], size=summary["bytes"])
        )
        made = f"{counted(len(parts), 'Parquet file')}, {counted(summary['rows'], 'row')}, {size_in_words(summary['bytes'])}"
        rest = f"{counted(summary['quarantined'], 'line')} in quarantine, {counted(overflowed, 'value')} in _overflow"
        self.say(f"made {made}, {rest}", words_of_entry(self.lake_name, entry))
        return summary

    def lineage_columns(self, output: str) -> Sequence[GlueColumn]:
        """Return the columns that the files were made with."""
        return glue_table(self.lake, self.ledger.read_schema(self.file_group.schema_version), output, "").columns
