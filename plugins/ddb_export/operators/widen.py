"""The operator that gives published columns wider types: because a person asks for it, or because the table's policy says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from ddb_export.domain.cost import money, prices_of, usd
from ddb_export.domain.metrics import Stage
from ddb_export.domain.widening import WideningEstimate, budget_error, estimate_widening
from ddb_export.domain.wider_columns import Wish
from ddb_export.operators.contracted import ContractedOperator
from ddb_export.operators.rewriting import BY_REQUEST, require_affordable, require_wanted
from ddb_export.operators.runs import is_true
from ddb_export.pipeline.progress import StepLog
from ddb_export.pipeline.widening import TableWidening, WideningPlan, change_words

if TYPE_CHECKING:
    from airflow.sdk import Context


class WidenColumnsOperator(ContractedOperator):
    """Rewrites the partitions whose columns are too narrow for what they should hold, and switches readers to them.

    Partitions that show what the contract drops or hashes by now are rewritten with them. Without a request, and unless the policy is
    ``automatic``, it is skipped; so it is where there is nothing to rewrite. A switch that someone began
    is finished in any case, and a widening that was begun before goes on first. What would cost more than the budget fails a run that asks for it, and only warns one that does not.

    Returns a flat object: ``widening, changes, partitions, files, bytes, usd, schema_version``; ``changes`` in words, ``usd`` as text.

    :param widen: whether a person asks for it; ``"true"`` and ``"True"`` count. Templated, like ``dry_run_only``.
    :param policy: ``by_request`` or ``automatic``.
    :param budget: most that the run may be estimated to cost, in USD as text; None for no limit.
    :param prices: prices that replace those which this package knows, by name, in USD as text.
    :param dry_run_only: say what would be done; write nothing.
    """

    template_fields: Sequence[str] = (*ContractedOperator.template_fields, "widen", "dry_run_only")
    ui_color = "#4292c6"
    stage = Stage.WIDEN

    def __init__(
        self,
        *,
        widen: bool | str = False,
        policy: str = BY_REQUEST,
        budget: str | None = None,
        prices: Mapping[str, str] | None = None,
        dry_run_only: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.widen = widen
        self.policy = policy
        self.budget = budget
        self.prices = dict(prices or {})
        self.dry_run_only = dry_run_only

    def execute(self, context: Context) -> dict[str, Any]:
        """Plan, compare with the budget, and widen.

        :raises BudgetError: a person asks for it, and it would cost more than the budget allows.
        :raises VerificationError: raw files that are needed are gone. :raises PublishError: Glue refused.
        """
        asked = is_true(self.widen)
        widening = TableWidening(self.work, self.hook.glue)
        if not is_true(self.dry_run_only):
            widening.finish_switch(self.clock)
        require_wanted(
            self.policy,
            asked=asked,
            nobody="nobody asks for wider columns: neither the param widen nor the policy widening",
        )
        owner = self.ledger.read().owner
        if owner is None:
            raise AirflowSkipException("there is no ledger yet, so there is nothing to widen")
        plan = widening.plan(Wish(), self.clock())
        if plan.is_empty:
            if not is_true(self.dry_run_only):
                widening.note_what_is_shown()
            raise AirflowSkipException(
                "no column is too narrow for what it should hold, and every partition is as the contract says"
            )
        estimated = estimate_widening(plan.entries, prices_of(owner.table_arn.split(":")[3], self.prices))
        summary = self._summary(plan, estimated)
        if not plan.under_way:
            budget = None if self.budget is None else money(self.budget, "budget")
            require_affordable(budget_error(self.lake_name, estimated, budget), self.log.warning, asked=asked)
        if is_true(self.dry_run_only):
            raise AirflowSkipException("dry run, as dry_run is true in the run's conf: nothing is rewritten")
        steps = StepLog(Stage.WIDEN, f"{self.lake_name}, widening {plan.widening.number}")
        done = widening.run(plan, self.clock, steps)
        if not plan.rewrites:
            raise AirflowSkipException(f"widening {done.number} is given up, and nothing takes its place")
        self.say(f"done; the columns have version {done.to_version}", f"{self.lake_name}, widening {done.number}")
        return {**summary, "schema_version": done.to_version}

    def _summary(self, plan: WideningPlan, estimated: WideningEstimate) -> dict[str, Any]:
        changes = change_words(plan.decision)
        for line in (*changes, *estimated.basis):
            self.log.info("%s", line)
        for risk in plan.risks:
            self.log.warning("%s", risk.words)
        self.log.info(
            "%s partitions are rewritten from %s raw files, %s bytes; about %s",
            estimated.partitions,
            estimated.files,
            estimated.bytes_read,
            usd(estimated.usd),
        )
        return {
            "widening": plan.widening.number,
            "changes": "; ".join(changes),
            "partitions": estimated.partitions,
            "files": estimated.files,
            "bytes": estimated.bytes_read,
            "usd": f"{estimated.usd:f}",
        }
