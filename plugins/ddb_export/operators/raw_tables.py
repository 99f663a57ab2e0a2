"""The operator that registers raw exports in the Glue catalog, unread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from ddb_export.domain.metrics import Stage
from ddb_export.domain.progress import counted
from ddb_export.domain.search_words import words_of_entry
from ddb_export.exceptions import DdbExportError
from ddb_export.operators.base import LakeOperator
from ddb_export.operators.hand_over import planned_names
from ddb_export.operators.lineage import TellsLineage, published
from ddb_export.operators.runs import list_of
from ddb_export.pipeline.raw_tables import RawTables, raw_table

if TYPE_CHECKING:
    from airflow.sdk import Context

    from ddb_export.aws.glue import GlueColumn


class RegisterRawExportsOperator(TellsLineage, LakeOperator):
    """Registers the verified exports of a run as partitions over their own files; an export that is refused keeps back no other.

    It needs no permission to read data: it reads manifests, lists the data folder, and writes to Glue and the ledger.

    Returns one flat object per export: ``export, output, glue_table, partition, location, files, rows, bytes``.

    :param exports: names of the attempts that the run planned; a list, or its JSON text, as a template gives it.
    :param database: Glue database of the tables.
    """

    template_fields: Sequence[str] = (*LakeOperator.template_fields, "exports", "database")
    ui_color = "#4292c6"
    stage = Stage.REGISTER

    def __init__(self, *, exports: Any, database: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.exports = exports
        self.database = database

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Register what is verified, then raise the first thing that kept an export back.

        :raises VerificationError: a data folder is not what its manifest names. :raises PublishError: Glue refused.
        """
        if list_of(self.exports) is None:
            raise AirflowSkipException("the run has no plan; see the plan task's log")
        names = planned_names(self.task_id, self.exports)
        tables = RawTables(self.ledger, self.store)
        registered: list[dict[str, Any]] = []
        kept_back: list[DdbExportError] = []
        for entry in self.ledger.verified_of(self.ledger.read(), names):
            try:
                done = tables.publish(entry, self.hook.glue, self.database, self.clock())
            except DdbExportError as error:
                self.log.warning("kept back: %s", error)
                kept_back.append(error)
                continue
            if done:
                self.note_moved(published(self.lake, entry, done))
                seen = f"{counted(done.rows, 'record')} can be read in {done.glue_table}; nothing was read here"
                self.say(seen, words_of_entry(self.lake_name, entry))
                registered.append({
                    "export": done.export,
                    "output": done.output,
                    "glue_table": done.glue_table,
                    "partition": done.partition,
                    "location": done.location,
                    "files": done.files,
                    "rows": done.rows,
                    "bytes": done.output_bytes,
                })  # fmt: skip
        if kept_back:
            raise kept_back[0]
        return registered

    def lineage_columns(self, output: str) -> Sequence[GlueColumn]:
        """Return the columns of the table of raw files, which nobody read for it."""
        table = raw_table(self.lake, output, self.database)
        return (*table.columns, *table.partition_keys)
