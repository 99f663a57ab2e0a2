"""The last operator of a run: it asks whether everything is verified, published, and what Athena sees."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from ddb_export.aws.errors import aws_errors
from ddb_export.domain.cost import prices_of, size_in_words, usd
from ddb_export.domain.evidence import not_verified
from ddb_export.domain.ledger import Chain, PublishedEntry, VerifiedEntry, subject_of
from ddb_export.domain.metrics import BILLED_USD, Stage
from ddb_export.domain.planning_rules import RAW, outputs_of
from ddb_export.domain.spending import RunEstimate
from ddb_export.domain.standing import left_in_words
from ddb_export.domain.utc import iso
from ddb_export.exceptions import ExportError, PublishError
from ddb_export.metrics import tell_gauge
from ddb_export.operators.base import LakeOperator
from ddb_export.operators.hand_over import planned_names
from ddb_export.pipeline.counting import count_query
from ddb_export.pipeline.exports import Exports
from ddb_export.pipeline.standing import came_to_nothing, words_of_left

if TYPE_CHECKING:
    from airflow.sdk import Context

_POLL_SECONDS = 1


class CheckPublishedOperator(LakeOperator):
    """Fails the run if anything that it planned is missing, asks Athena for what was published, and says so in an asset event.

    Returns and attaches to the asset event of each outlet, flat: ``table, head, exports, export_arns, windows, rows, items,
    billed_bytes, paths`` (lists in the same order), ``query_execution_ids``, and what the exports that this run began were billed beside
    what was estimated: ``billed_usd, estimated_usd`` (text; None where the plan left no estimate).

    :param exports: names of the attempts that the run planned.
    :param outputs: outputs that the table publishes.
    :param workgroup: Athena workgroup.
    :param output_location: ``s3://`` folder of Athena's results.
    :param estimate: what the plan task pushed as ``estimate``, or its JSON text; None says nothing of money.
    :param prices: prices in USD that replace AWS's as this package knows them, by name.
    """

    template_fields: Sequence[str] = (
        *LakeOperator.template_fields,
        "exports",
        "workgroup",
        "output_location",
        "estimate",
    )
    ui_color = "#2171b5"
    stage = Stage.CHECK
    ui_fgcolor = "#ffffff"

    def __init__(
        self,
        *,
        exports: Any,
        outputs: Sequence[str] = ("snapshots", "changes"),
        workgroup: str = "primary",
        output_location: str,
        estimate: Any = None,
        prices: Mapping[str, str] = MappingProxyType({}),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.exports = exports
        self.outputs = tuple(outputs)
        self.workgroup = workgroup
        self.output_location = output_location
        self.estimate = estimate
        self.prices = dict(prices)

    def execute(self, context: Context) -> dict[str, Any]:
        """Check, query, tell.

        :raises ExportError: something planned is not verified: an earlier attempt at it is no answer. :raises PublishError: something verified is not
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
        summary |= self._billed(verified)
        for outlet in self.outlets or ():
            context["outlet_events"][outlet].extra = summary
        return summary

    def _published(self, chain: Chain, names: Sequence[str], verified: Sequence[VerifiedEntry]) -> list[PublishedEntry]:
        missing = not_verified(names, verified, chain.superseded)
        if missing:
            raise ExportError(
                f"export {', '.join(missing)} of {self.lake_name}",
                f"not verified, so the run is not complete ({len(names) - len(missing)} of {len(names)} are)"
                + _still_shown(missing, verified),
                self._remedy(chain, missing, verified),
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

    def _remedy(self, chain: Chain, missing: Sequence[str], verified: Sequence[VerifiedEntry]) -> str:
        """Say what to do about attempts that are not verified; nothing where none of them can be, and earlier ones stand."""
        subjects = {subject_of(name) for name in missing}
        if subjects <= {entry.subject for entry in verified}:
            recovery, _ = self.hook.dynamodb.recovery(verified[0].table_arn)
            exports = Exports(self.hook.dynamodb, self.store)
            left = words_of_left(came_to_nothing(exports, self.ledger, chain, recovery.earliest, subjects))
            if subjects <= left.keys():
                return f"nothing is left to do: {'; '.join(left_in_words(left))}"
        return (
            "see the log of its export or verify task; the next run, or clearing this one, goes on with it"
            " while point-in-time recovery reaches it"
        )

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
        exports = ", ".join(entry.export for entry in entries)
        self.say(
            f"Athena counts {counted:,} rows of {output}, as published; query {query_id}",
            f"{self.lake_name}, {exports}",
        )
        return query_id

    def _count(self, entries: Sequence[PublishedEntry]) -> tuple[str, int]:
        from ddb_export.hooks.athena import without_a_line_per_poll

        hook = self.hook.athena
        table = entries[0].glue_table
        query_id: str = hook.run_query(
            count_query(entries),
            {"Database": table.split(".", 1)[0]},
            {"OutputLocation": self.output_location},
            workgroup=self.workgroup,
        )
        with without_a_line_per_poll():
            state = hook.poll_query_status(query_id, sleep_time=_POLL_SECONDS)
        if state != "SUCCEEDED":
            raise PublishError(
                f"Athena query {query_id} on {table}",
                f"it ended as {state}: {hook.get_state_change_reason(query_id)}",
                "see the cause; clear this task to ask again",
            )
        results: Any = hook.get_query_results(query_id)
        return query_id, int(results["ResultSet"]["Rows"][1]["Data"][0]["VarCharValue"])

    def _billed(self, verified: Sequence[VerifiedEntry]) -> dict[str, Any]:
        """Say what the run's exports were billed beside what was estimated."""
        expected = json.loads(self.estimate) if isinstance(self.estimate, str) else self.estimate
        if not expected:
            return {"billed_usd": None, "estimated_usd": None}
        estimated = RunEstimate.from_json(expected)
        bill = estimated.billed(verified, prices_of(verified[0].table_arn.split(":")[3], self.prices))
        tell_gauge(BILLED_USD, bill.usd, table=self.lake_name)
        self.log.info(
            "check: this run's exports: %s billed %s, about %s; %s was estimated",
            bill.exports,
            size_in_words(bill.billed_bytes),
            usd(bill.usd),
            usd(estimated.usd),
        )
        return {"billed_usd": f"{bill.usd:f}", "estimated_usd": f"{estimated.usd:f}"}

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


def _still_shown(missing: Sequence[str], verified: Sequence[VerifiedEntry]) -> str:
    """Say what readers see in the place of next attempts that came to nothing."""
    subjects = {subject_of(name) for name in missing}
    earlier = [entry.export for entry in verified if entry.subject in subjects]
    return f"; readers still see {', '.join(earlier)}" if earlier else ""
