"""The operator that decides what a run of a table's DAG has to do, and claims it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ddb_export.domain.cost import Budget, Estimate, money, require_within_budget, require_within_month, usd
from ddb_export.domain.export import ExportViewType
from ddb_export.domain.export_filter import filter_of
from ddb_export.domain.layout import glue_name
from ddb_export.domain.metrics import ESTIMATED_USD, Stage
from ddb_export.domain.planning import ChainEnd, Plan, PlanRequest, RunKind
from ddb_export.domain.planning_rules import RAW
from ddb_export.domain.progress import counted, length_in_words
from ddb_export.domain.schedule import schedule_boundaries
from ddb_export.domain.spending import RunEstimate
from ddb_export.domain.utc import ceil_minute, floor_minute, iso
from ddb_export.domain.window import Stretch
from ddb_export.exceptions import ClaimConflictError, PlanError
from ddb_export.metrics import tell_gauge
from ddb_export.operators.base import instant
from ddb_export.operators.contracted import ContractedOperator
from ddb_export.operators.runs import EXPORT_END_KEY, HAND_OVER_TASK, data_interval, is_true, run_kind, task_beside
from ddb_export.operators.state import forget, recall, remember
from ddb_export.pipeline.estimate import estimate_run, explain_estimate, note_estimate
from ddb_export.pipeline.planning import (
    Destination,
    PlannedRun,
    claim_plan,
    explain_plan,
    plan_run,
    replay_run,
    require_first_run,
)
from ddb_export.pipeline.spending import spent_this_month

if TYPE_CHECKING:
    from airflow.sdk import Context

    from ddb_export.domain.ledger import Claim

PLAN_KEY = "plan"
"""Key of the run's plan in the task's state store. It survives retry and clear, and is never renamed."""

_PLANS = 5


class PlanExportsOperator(ContractedOperator):
    """Decides which exports a run needs, claims them in the ledger, and hands them to the tasks that follow.

    A scheduled run answers for everything between the base and the end of its data interval; a manual run for everything up to now, or
    for what its parameters say; a backfill run for its own interval. A run that comes before its windows have settled waits,
    deferred. The plan is kept: a cleared run does the same again, from the raw exports that exist.

    Returns a list of windows, ``{"start", "end"}`` each, for mapping. XComs: ``base_time`` (ISO 8601, empty without a full
    export), ``exports`` (names of the attempts), ``head`` and ``until`` (ISO 8601, absent if there is none), ``estimate``
    (``{"usd", "subjects"}``: what the run was estimated to cost when it was planned, and what DynamoDB was to be asked for).

    :param table: name or ARN of the DynamoDB table.
    :param schedule: cron expression at whose boundaries windows are cut; None for no boundaries.
    :param timezone: IANA time zone of the cron expression.
    :param settle: how long after its end a window may be asked for.
    :param export_view: view of incremental exports.
    :param outputs: outputs that must be published.
    :param base_time: explicit time of the first base.
    :param kms_key: KMS key of the exported files.
    :param export_filter: what of the table is exported, in the form of YAML's ``filter``; None for all of it.
    :param database: Glue database of the tables, where an earlier chain may have left signs; None to look at none.
    :param on_chain_end: ``fail`` or ``new_base``: what to do where the chain cannot go on.
    :param budget: most that the run may be estimated to cost, in USD as text such as ``"25.50"``; None for no limit.
    :param month_budget: most that the exports of the table may cost in a month (UTC), likewise.
    :param prices: prices that replace those which this package knows, by name, in USD as text.
    :param start: inclusive start of the stretch that is to be exported, ISO 8601 with a zone; without it, where the data is
        complete. Manual runs only, like the following; templated, like them.
    :param end: exclusive end of that stretch; without it, now less the time to settle.
    :param re_export: export each verified window between ``start`` and ``end`` again. ``"true"`` and ``"True"`` count.
    :param full_export: make one more full export, which leaves the chain as it is.
    :param new_base: close the chain and begin a new one.
    :param widen: whether the run widens columns at its end, by request or by policy: then a type of the contract that contradicts a
        published column is no reason to refuse the run.
    :param dry_run_only: say what would be done, claim nothing, return no windows.
    """

    template_fields: Sequence[str] = (
        *ContractedOperator.template_fields,
        "table",
        "base_time",
        "start",
        "end",
        "re_export",
        "full_export",
        "new_base",
        "widen",
        "dry_run_only",
    )
    ui_color = "#dbe9f6"
    stage = Stage.PLAN

    def __init__(
        self,
        *,
        table: str,
        schedule: str | None = None,
        timezone: str = "UTC",
        settle: timedelta = timedelta(minutes=5),
        export_view: str = ExportViewType.NEW_AND_OLD_IMAGES,
        outputs: Sequence[str] = ("snapshots", "changes"),
        base_time: datetime | str | None = None,
        kms_key: str | None = None,
        export_filter: Mapping[str, Any] | None = None,
        database: str | None = None,
        on_chain_end: str = ChainEnd.FAIL,
        budget: str | None = None,
        month_budget: str | None = None,
        prices: Mapping[str, str] | None = None,
        start: datetime | str | None = None,
        end: datetime | str | None = None,
        re_export: bool | str = False,
        full_export: bool | str = False,
        new_base: bool | str = False,
        widen: bool | str = False,
        dry_run_only: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.schedule = schedule
        self.timezone = timezone
        self.settle = settle
        self.export_view = export_view
        self.outputs = tuple(outputs)
        self.base_time = base_time
        self.kms_key = kms_key
        self.export_filter = export_filter
        self.database = database
        self.on_chain_end = on_chain_end
        self.budget = budget
        self.month_budget = month_budget
        self.prices = dict(prices or {})
        self.start = start
        self.end = end
        self.re_export = re_export
        self.full_export = full_export
        self.new_base = new_base
        self.widen = widen
        self.dry_run_only = dry_run_only

    def execute(self, context: Context) -> list[dict[str, str]]:
        """Plan, claim, and hand over; or wait, deferred, until the run's windows have settled."""
        kept = self._kept_plan(context)
        if kept and not is_true(self.dry_run_only):
            self.log.info("plan of an earlier try of this run is done again; nothing that exists is exported twice")
            made_for = kept.get("table_id")
            run = replay_run(self.hook.dynamodb, self.ledger, self.table, Plan.from_json(kept), made_for)
            self._require_first_run(context, run)
            try:
                return self._hand_over(context, run, kept.get("estimate"))
            except ClaimConflictError as error:
                # The try died before it had claimed all of its plan, and another run was faster.
                self.log.info("planning again: %s", error)
                forget(context, PLAN_KEY)
        for _ in range(_PLANS):
            run = self._planned(context)
            estimated = self._estimated(run)
            spent = self._spent_this_month(run, estimated)
            if is_true(self.dry_run_only):
                self.log.info("dry run, as dry_run is true in the run's conf: nothing is claimed, exported or billed")
                return self._push(context, run, ())
            self.ledger.summarise(run.chain, self.outputs)
            require_within_budget(estimated, self._budget, f"run {context['dag_run'].run_id}")
            require_within_month(estimated, self._budget, spent, f"run {context['dag_run'].run_id}")
            if run.plan.wait_until:
                self._wait(run.plan.wait_until, run.now)
            made_for = run.identity.table_id
            tell_gauge(ESTIMATED_USD, estimated.total, table=self.lake_name)
            note_estimate(self.ledger, estimated)
            expected = RunEstimate(estimated.total, tuple(line.planned.subject for line in estimated.billed))
            document = {
                **run.plan.to_json(),
                "run_kind": str(run_kind(context)),
                "table_id": made_for,
                "estimate": expected.to_json(),
            }
            remember(context, PLAN_KEY, document)
            try:
                return self._hand_over(context, run, document["estimate"])
            except ClaimConflictError as error:
                self.log.info("planning again: %s", error)
                forget(context, PLAN_KEY)
        raise ClaimConflictError(f"table {self.table}", "other runs kept claiming meanwhile", "clear this task")

    def _kept_plan(self, context: Context) -> Any:
        """Return the plan that an earlier try of this run made.

        A backfill that reprocesses a scheduled run makes it its own: Airflow 3.3 changes the run's type and keeps its task states. What
        the schedule asked of it then is no longer what the backfill asks (``airflow/models/backfill.py``, ``_handle_clear_run``).
        """
        kept = recall(context, PLAN_KEY)
        kind = run_kind(context)
        if kept and kept.get("run_kind", kind) != kind:
            self.log.info("the run was made as a %s run and is a %s run now; planning anew", kept["run_kind"], kind)
            return None
        return kept

    def resume(self, context: Context, event: dict[str, Any] | None = None) -> list[dict[str, str]]:
        """Go on after waiting; the world is looked at anew."""
        return self.execute(context)

    def _planned(self, context: Context) -> PlannedRun:
        if self.contract:
            self._require_agreement()
        run = plan_run(self.hook.dynamodb, self.ledger, self.table, self._request(context), self._boundaries)
        self._require_first_run(context, run)
        for line in explain_plan(run):
            self.say(line, self.lake_name)
        self._compare_hand_over(context, run)
        return run

    def _require_agreement(self) -> None:
        """Refuse, before anything is paid for, a contract that what is published cannot follow, or that has no key."""
        contract, schema = self._contract_with_key(), self.ledger.read_schema()
        schema.require_agreement(contract, types_may_differ=is_true(self.widen))
        for column in schema.contradicted(contract):
            self.log.warning(
                "contract.columns.%s: the attribute is published as column %s %s; this run publishes it so, dropped or hashed as the"
                " contract says, and its task widen then rewrites everything with the contract's type",
                *(column.attribute, column.name, column.glue_type),
            )

    @property
    def _budget(self) -> Budget:
        run, month = self.budget, self.month_budget
        return Budget(
            money(run, "budget") if run is not None else None,
            money(month, "month_budget") if month is not None else None,
        )

    def _spent_this_month(self, run: PlannedRun, estimated: Estimate) -> Decimal:
        """Return what the month's budget is used for already, and say so; it is read only where there is such a budget."""
        if self._budget.month is None:
            return Decimal(0)
        spent = spent_this_month(
            self.hook.dynamodb, self.ledger, run, estimated, self.prices, note_it=not is_true(self.dry_run_only)
        )
        self.log.info("exports of this month: %s; the budget is %s a month", usd(spent), usd(self._budget.month))
        return spent

    def _estimated(self, run: PlannedRun) -> Estimate:
        """Return what the run will cost, and say so."""
        estimated = estimate_run(self.hook.dynamodb, self.ledger, self.store, run, self.prices)
        for line in explain_estimate(estimated, self._budget):
            self.say(line, self.lake_name)
        return estimated

    def _require_first_run(self, context: Context, run: PlannedRun) -> None:
        """Refuse an empty ledger where an earlier chain has left signs: it was lost, and would be paid for again."""
        if not run.chain.claims and not is_true(self.new_base):
            require_first_run(self.ledger, self.store, self._earlier_signs(context))

    def _request(self, context: Context) -> PlanRequest:
        kind = run_kind(context)
        interval = data_interval(context) if kind is not RunKind.MANUAL else None
        return PlanRequest(
            kind=kind,
            now=context["ti"].start_date,
            settle=self.settle,
            interval=interval,
            view=ExportViewType(self.export_view),
            outputs=self.outputs,
            base_time=instant(self.base_time, "base_time"),
            new_base=is_true(self.new_base),
            full_export=is_true(self.full_export),
            wanted=self._wanted(context),
            re_export=is_true(self.re_export),
            on_chain_end=ChainEnd(self.on_chain_end),
            export_filter=filter_of(self.export_filter),
        )

    def _wanted(self, context: Context) -> Stretch | None:
        """Return the stretch that the run was given, widened to whole minutes; None if it was given none."""
        start, end = instant(self.start, "from"), instant(self.end, "to")
        if start is None and end is None:
            return None
        if start is None:
            start = self.ledger.read(self.outputs).head
        if end is None:
            _, now = self.hook.dynamodb.recovery(self.table)
            end = floor_minute(now - self.settle)
        if start is None or end <= start:
            raise PlanError(
                f"run {context['dag_run'].run_id}",
                f"'to' is {iso(end)}, which is not after 'from', {iso(start) if start else 'where the table has no base'}",
                "give an end that lies after the start",
            )
        return Stretch(floor_minute(start), ceil_minute(end))

    def _boundaries(self, start: datetime, end: datetime) -> list[datetime]:
        return list(schedule_boundaries(self.schedule, self.timezone, start, end)) if self.schedule else []

    def _wait(self, moment: datetime, now: datetime) -> None:
        from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger

        delay = moment - now
        self.say(
            f"windows settle at {iso(moment)} by AWS's clock; waiting {length_in_words(delay)}, deferred",
            self.lake_name,
        )
        self.defer(trigger=TimeDeltaTrigger(delay), method_name="resume", timeout=None)

    def _hand_over(self, context: Context, run: PlannedRun, expected: Mapping[str, Any] | None) -> list[dict[str, str]]:
        if expected:
            context["ti"].xcom_push(key="estimate", value=expected)
        destination = Destination(
            ExportViewType(self.export_view), self.bucket_owner, self.kms_key, filter_of(self.export_filter)
        )
        claims = claim_plan(self.ledger, run, destination)
        if claims:
            names = claims[0].export if len(claims) == 1 else f"{claims[0].export} … {claims[-1].export}"
            self.say(f"hands over {counted(len(claims), 'export')}: {names}", self.lake_name)
        # After an outage there are hundreds, and every task that follows reads the ledger.
        self.ledger.summarise(self.ledger.read(self.outputs), self.outputs)
        return self._push(context, run, claims)

    def _push(self, context: Context, run: PlannedRun, claims: Sequence[Claim]) -> list[dict[str, str]]:
        """Push what the next tasks pull: always, as Airflow takes a value of None for a missing one and fails who pulls it."""
        base: Claim | None = next((claim for claim in claims if claim.window is None), None)
        ti = context["ti"]
        base_time = base.request.export_time if base else None
        ti.xcom_push(key="base_time", value=iso(base_time) if base_time else "")
        ti.xcom_push(key="exports", value=[claim.export for claim in claims])
        if run.chain.head:
            ti.xcom_push(key="head", value=iso(run.chain.head))
        if run.plan.until:
            ti.xcom_push(key="until", value=iso(run.plan.until))
        return [{"start": iso(claim.window.start), "end": iso(claim.window.end)} for claim in claims if claim.window]

    def _previous_end(self, context: Context) -> str | None:
        """Return the end that the last scheduled run handed over, as XCom has it."""
        task_id = task_beside(self.task_id, HAND_OVER_TASK)
        pulled = context["ti"].xcom_pull(
            task_ids=task_id, key=EXPORT_END_KEY, include_prior_dates=True, map_indexes=-1, default=None
        )
        return str(pulled) if pulled else None

    def _compare_hand_over(self, context: Context, run: PlannedRun) -> None:
        """Compare the previous run's word with the ledger, which wins."""
        if run_kind(context) is not RunKind.SCHEDULED:
            return
        said = self._previous_end(context)
        proved = iso(run.chain.head) if run.chain.head else None
        if said and said != proved:
            self.log.warning("the previous run handed over %s, the ledger proves %s; the ledger wins", said, proved)
        elif said:
            self.log.info("going on from %s, which the previous run handed over and the ledger proves", said)

    def _earlier_signs(self, context: Context) -> list[str]:
        signs = []
        if run_kind(context) is RunKind.SCHEDULED and (said := self._previous_end(context)):
            signs.append(f"an earlier run handed over {said} in XCom")
        return [*signs, *(self._signs_in_glue(self.database) if self.database else ())]

    def _signs_in_glue(self, database: str) -> Iterator[str]:
        raw = ("raw_snapshots", "raw_changes") if RAW in self.outputs else ()
        for suffix in (*(output for output in self.outputs if output != RAW), *raw):
            name = f"{glue_name(self.lake_name)}_{suffix}"
            if made_for := self.hook.glue.made_for(database, name):
                yield f"Glue table {database}.{name} was made for {made_for}"
