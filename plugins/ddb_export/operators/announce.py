"""The operator that tells Airflow of one published window, or full export, so that other DAGs run once for it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from ddb_export.domain.evidence import PublishedEntry, VerifiedEntry, not_verified, subject_of
from ddb_export.domain.partition_key import PartitionKey
from ddb_export.domain.progress import counted
from ddb_export.domain.search_words import words_of_entry
from ddb_export.domain.utc import compact, iso
from ddb_export.domain.window import Window
from ddb_export.exceptions import UsageError
from ddb_export.operators.base import LakeOperator, instant
from ddb_export.operators.runs import list_of

if TYPE_CHECKING:
    from airflow.sdk import Context


class AnnouncePublishedOperator(LakeOperator):
    """Sends the asset event of one published output, with its partition key; is skipped, and sends none, where it is not published.

    What it tells comes from the ledger, not from the tasks before it: an export that is published is told of although others of its run
    failed. One task tells of one export, because Airflow gives all keys that a task adds to an asset the same metadata
    (task-sdk 1.3.2, ``OutletEventAccessor``).

    Returns and attaches to the event of each outlet, flat: ``table, table_arn, output, kind, from, to, export_time, partition_key, partition,
    export, export_arn, verification, generation, location, glue_table, files, rows, quarantined, bytes, schema_version, published_at``.

    :param output_name: ``snapshots``, ``changes`` or ``raw``.
    :param start: inclusive start of a window, ISO 8601 with a zone; ``end`` its exclusive end. Templated.
    :param export_time: moment of a full export. Templated. Without a window and without a moment the task is skipped.
    :param exports: names of the attempts that the run planned, a list or its JSON text: where a next attempt came to nothing, the earlier
        one is not told of again. Templated; None asks only what is published.
    """

    template_fields: Sequence[str] = (
        *LakeOperator.template_fields,
        "output_name",
        "start",
        "end",
        "export_time",
        "exports",
    )
    ui_color = "#4292c6"

    def __init__(
        self,
        *,
        output_name: str,
        start: datetime | str | None = None,
        end: datetime | str | None = None,
        export_time: datetime | str | None = None,
        exports: Any = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("map_index_template", "{{ task.start }}/{{ task.end }}")
        super().__init__(**kwargs)
        self.output_name = output_name
        self.start = start
        self.end = end
        self.export_time = export_time
        self.exports = exports

    def execute(self, context: Context) -> dict[str, Any]:
        """Look into the ledger, and tell.

        :raises UsageError: a time cannot be read, or there are both a window and a moment.
        """
        key = self._key()
        if key is None:
            raise AirflowSkipException("the run has no full export, so there is nothing to tell")
        chain = self.ledger.read()
        moment = f"full-{compact(key.export_time)}" if key.export_time else None
        found = self.ledger.verified_of(chain, [f"{key.window.key if key.window else moment}-a1"])
        published = self.ledger.published_entry(self.output_name, found[0].export) if found else None
        if published is None:
            raise AirflowSkipException(f"the {self.output_name} of {key} are not published, so nobody is told of them")
        if missing := not_verified(self._planned_attempts(found[0].subject), found):
            raise AirflowSkipException(f"{missing[0]} is not verified, so that there is nothing new to tell of {key}")
        told = self._told(key, found[0], published)
        for outlet in self.outlets or ():
            event = context["outlet_events"][outlet]
            event.extra = told
            event.add_partitions(str(key))
        words = f"told of {counted(published.rows, 'row')} in {published.location} as {key}"
        self.say(words, words_of_entry(self.lake_name, found[0]))
        return told

    def _planned_attempts(self, subject: str) -> list[str]:
        names = list_of(self.exports)
        return [str(name) for name in names if subject_of(str(name)) == subject] if isinstance(names, list) else []

    def _key(self) -> PartitionKey | None:
        start, end = instant(self.start, "start"), instant(self.end, "end")
        export_time = instant(self.export_time, "export_time")
        if start is None and end is None and export_time is None:
            return None
        try:
            window = Window(start, end) if start and end else None
            return PartitionKey(self.lake_name, window, export_time)
        except ValueError as error:
            raise UsageError(f"task {self.task_id}", str(error), "give export_time, or start and end") from error

    def _told(self, key: PartitionKey, entry: VerifiedEntry, published: PublishedEntry) -> dict[str, Any]:
        return {
            "table": self.lake_name,
            "table_arn": entry.table_arn,
            "output": published.output,
            "kind": str(entry.kind),
            "from": iso(entry.start) if entry.start else None,
            "to": iso(entry.end) if entry.end else None,
            "export_time": iso(entry.export_time) if entry.export_time else None,
            "partition_key": str(key),
            "partition": published.partition,
            "export": entry.export,
            "export_arn": entry.export_arn,
            "verification": str(entry.level),
            "generation": published.generation,
            "location": published.location,
            "glue_table": published.glue_table,
            "files": published.files,
            "rows": published.rows,
            "quarantined": published.quarantined,
            "bytes": published.output_bytes,
            "schema_version": published.schema_version,
            "published_at": iso(published.published_at),
        }
