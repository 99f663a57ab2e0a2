"""The last operator of a run: it asks whether everything is verified, published, and what Athena sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from ddb_export.aws.errors import aws_errors
from ddb_export.domain.ledger import Chain, PublishedEntry, VerifiedEntry, subject_of
from ddb_export.domain.planning_rules import RAW, outputs_of
from ddb_export.domain.utc import iso
from ddb_export.exceptions import ExportError, PublishError
from ddb_export.operators.base import LakeOperator
from ddb_export.operators.hand_over import planned_names
from ddb_export.pipeline.counting import count_query

if TYPE_CHECKING:
    from airflow.sdk import Context

_POLL_SECONDS = 1


class CheckPublishedOperator(LakeOperator):
    """Fails the run if anything that it planned is missing, asks Athena for what was published, and says so in an asset event.

    Returns and attaches to the asset event of each outlet, flat: ``table, head, exports, export_arns, windows, rows, items,
    billed_bytes, paths`` (lists in the same order), ``query_execution_ids``.

    :param exports: names of the attempts that the run planned.
    :param outputs: outputs that the table publishes.
    :param workgroup: Athena workgroup.
    :param output_location: ``s3://`` folder of Athena's results.
    """

    template_fields: Sequence[str] = (*LakeOperator.template_fields, "exports", "workgroup", "output_location")
    ui_color = "#2171b5"
    ui_fgcolor = "#ffffff"

    def __init__(
        self,
        *,
        exports: Any,
        outputs: Sequence[str] = ("snapshots", "changes"),
        workgroup: str = "primary",
        output_location: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.exports = exports
        self.outputs = tuple(outputs)
        self.workgroup = workgroup
        self.output_location = output_location

    def execute(self, context: Context) -> dict[str, Any]:
        """Check, query, tell.

        :raises ExportError: something planned is not verified. :raises PublishError: something verified is not
            published, or Athena counts other rows than were published.
        """
        names = planned_names(self.task_id, self.exports)
        if not names:
            raise AirflowSkipException("nothing was planned, so there is nothing to check")
        chain = self.ledger.read()
        verified = self.ledger.verified_of(chain, names)
        published = self._published(chain, names, verified)
        # Counting raw files would read them, which whoever asks for them may not be allowed to.
        queries = [self._query(published, output) for output in self.outputs if output != RAW]
        summary = self._summary(chain, verified, published, [query for query in queries if query])
        for outlet in self.outlets or ():
            context["outlet_events"][outlet].extra = summary
        return summary

    def _published(self, chain: Chain, names: Sequence[str], verified: Sequence[VerifiedEntry]) -> list[PublishedEntry]:
        subjects = {entry.subject for entry in verified}
        missing = [name for name in names if subject_of(name) not in subjects | chain.superseded]
        if missing:
            raise ExportError(
                f"export {', '.join(missing)} of {self.lake_name}",
                f"not verified, so the run is not complete ({len(subjects)} of {len(names)} are)",
                "see the log of its export or verify task; the next run, or clearing this one, goes on with it",
            )
        found = []
        for entry in verified:
            for output in outputs_of(entry.kind, self.outputs):
                published = self.ledger.published_entry(output, entry.export)
                if published is None:
                    tasks = (
                        "register_raw task, then clear it"
                        if output == RAW
                        else "convert and publish tasks, then clear them"
                    )
                    raise PublishError(
                        f"export {entry.export} of {self.lake_name}",
                        f"it is verified, but its {output} are not published",
                        f"see the log of the {tasks}; nothing is exported again",
                    )
                found.append(published)
        return found

    def _query(self, published: Sequence[PublishedEntry], output: str) -> str | None:
        """Compare Athena's count with the published rows; return the id of the query."""
        entries = [entry for entry in published if entry.output == output]
        if not entries:
            return None
        with aws_errors(f"Athena count of {entries[0].glue_table} in workgroup {self.workgroup}"):
            query_id, counted = self._count(entries)
        expected = sum(entry.rows for entry in entries)
        if counted != expected:
            raise PublishError(
                entries[0].glue_table,
                f"Athena counts {counted} rows in the published partitions, {expected} were published",
                "clear the publish task; if it stays, look for writes of others to these folders",
            )
        self.log.info("Athena counts %s rows of %s, as published (query %s)", counted, output, query_id)
        return query_id

    def _count(self, entries: Sequence[PublishedEntry]) -> tuple[str, int]:
        hook = self.hook.athena
        table = entries[0].glue_table
        query_id: str = hook.run_query(
            count_query(entries),
            {"Database": table.split(".", 1)[0]},
            {"OutputLocation": self.output_location},
            workgroup=self.workgroup,
        )
        state = hook.poll_query_status(query_id, sleep_time=_POLL_SECONDS)
        if state != "SUCCEEDED":
            raise PublishError(
                f"Athena query {query_id} on {table}",
                f"it ended as {state}: {hook.get_state_change_reason(query_id)}",
                "see the cause; clear this task to ask again",
            )
        results: Any = hook.get_query_results(query_id)
        return query_id, int(results["ResultSet"]["Rows"][1]["Data"][0]["VarCharValue"])

    def _summary(
        self,
        chain: Chain,
        verified: Sequence[VerifiedEntry],
        published: Sequence[PublishedEntry],
        queries: Sequence[str],
    ) -> dict[str, Any]:
        return {
            "table": verified[0].table_arn,
            "head": iso(chain.head) if chain.head else None,
            "exports": [entry.export for entry in verified],
            "export_arns": [entry.export_arn for entry in verified],
            "windows": [str(entry.window) if entry.window else None for entry in verified],
            "items": [entry.item_count for entry in verified],
            "billed_bytes": [entry.billed_bytes for entry in verified],
            "rows": [entry.rows for entry in published],
            "paths": [entry.location for entry in published],
            "query_execution_ids": list(queries),
        }
