"""The operator that merges the many small files of partitions: because a person asks for it, or because the table's policy says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from ddb_export.domain.compaction import TARGET_FILE_BYTES, CompactionEstimate, budget_error, estimate_compaction
from ddb_export.domain.cost import money, prices_of, usd
from ddb_export.domain.metrics import Stage
from ddb_export.operators.base import LakeOperator
from ddb_export.operators.rewriting import BY_REQUEST, require_affordable, require_wanted
from ddb_export.operators.runs import is_true
from ddb_export.pipeline.compaction import CompactionPlan, TableCompaction
from ddb_export.pipeline.progress import StepLog
from ddb_export.pipeline.tasks import TableWork

if TYPE_CHECKING:
    from airflow.sdk import Context


class CompactFilesOperator(LakeOperator):
    """Merges the files of partitions that have at least twice as many as they need, and switches readers to the merged ones.

    Without a request, and unless the policy is ``automatic``, it is skipped; so it is where no partition has so many files. What would cost more
    than the budget fails a run that asks for it, and only warns one that does not.

    Returns a flat object: ``partitions, files_before, files_after, bytes, usd, left``; ``usd`` as text, ``left`` counts partitions that
    others changed meanwhile.

    :param compact: whether a person asks for it; ``"true"`` and ``"True"`` count. Templated, like ``dry_run_only``.
    :param policy: ``by_request`` or ``automatic``.
    :param target_file_bytes: size in bytes that files are merged up to.
    :param budget: most that the run may be estimated to cost, in USD as text; None for no limit.
    :param prices: prices that replace those which this package knows, by name, in USD as text.
    :param dry_run_only: say what would be done; write nothing.
    """

    template_fields: Sequence[str] = (*LakeOperator.template_fields, "compact", "dry_run_only")
    ui_color = "#4292c6"
    stage = Stage.COMPACT

    def __init__(
        self,
        *,
        compact: bool | str = False,
        policy: str = BY_REQUEST,
        target_file_bytes: int = TARGET_FILE_BYTES,
        budget: str | None = None,
        prices: Mapping[str, str] | None = None,
        dry_run_only: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.compact = compact
        self.policy = policy
        self.target_file_bytes = target_file_bytes
        self.budget = budget
        self.prices = dict(prices or {})
        self.dry_run_only = dry_run_only

    def execute(self, context: Context) -> dict[str, Any]:
        """Plan, compare with the budget, and compact.

        :raises BudgetError: a person asks for it, and it would cost more than the budget allows.
        :raises ConversionError: published files are gone. :raises PublishError: Glue refused. :raises PlanError: a widening is under way.
        """
        asked = is_true(self.compact)
        owner = self.ledger.read().owner
        if owner is None:
            raise AirflowSkipException("there is no ledger yet, so there is nothing to compact")
        require_wanted(
            self.policy,
            asked=asked,
            nobody="nobody asks for larger files: neither the param compact nor the policy compaction",
        )
        compaction = TableCompaction(TableWork(self.ledger, self.store), self.hook.glue)
        plan = compaction.plan(self.target_file_bytes)
        for partition, reason in plan.left:
            self.log.warning("%s is left alone: %s", partition, reason)
        if plan.is_empty:
            raise AirflowSkipException("no partition has so many small files that merging them is worth it")
        estimated = estimate_compaction(plan.compactions, prices_of(owner.table_arn.split(":")[3], self.prices))
        self._say(plan, estimated)
        budget = None if self.budget is None else money(self.budget, "budget")
        require_affordable(budget_error(self.lake_name, estimated, budget), self.log.warning, asked=asked)
        if is_true(self.dry_run_only):
            raise AirflowSkipException("dry run, as dry_run is true in the run's conf: nothing is rewritten")
        steps = partial(StepLog(Stage.COMPACT, self.lake_name), "merge files")
        done = compaction.run(plan, self.clock, steps)
        return {
            "partitions": len(done.done),
            "files_before": estimated.files_before,
            "files_after": estimated.files_after,
            "bytes": estimated.bytes_read,
            "usd": f"{estimated.usd:f}",
            "left": len(done.left),
        }

    def _say(self, plan: CompactionPlan, estimated: CompactionEstimate) -> None:
        for each in plan.compactions:
            self.log.info("%s: %s files become %s", each.entry.partition, each.entry.files, len(each.merges))
        for line in estimated.basis:
            self.log.info("%s", line)
        self.log.info(
            "%s partitions, %s files become %s, %s bytes; about %s",
            estimated.partitions,
            estimated.files_before,
            estimated.files_after,
            estimated.bytes_read,
            usd(estimated.usd),
        )
