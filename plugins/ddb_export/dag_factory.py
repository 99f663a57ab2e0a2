"""DAGs from what users declare: one per table, the same shape for all.

::

    plan ─> export_base ─> verify_base ─> window[]( export ─> verify ) ─> hand_over
         ─> scan[] ─> merge_schema ─> convert[] ─> publish ─> check

With the output ``raw``, ``register_raw`` stands between hand_over and check; with ``views``, ``plan_views ─> views[]`` follow publish.

Windows run side by side, each to its own entry in the ledger; one that fails keeps no other back, but fails the run at its
end. Nothing here talks to AWS: a DAG file is parsed every few seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, Asset, BaseOperator, CronDataIntervalTimetable, Param, TriggerRule, XComArg, task_group

from ddb_export.operators.check import CheckPublishedOperator
from ddb_export.operators.convert import ConvertDataFilesOperator, MergeSchemaOperator, ScanDataFilesOperator
from ddb_export.operators.export import DynamoDBExportOperator
from ddb_export.operators.hand_over import HandOverOperator
from ddb_export.operators.plan import PlanExportsOperator
from ddb_export.operators.publish import PublishExportsOperator
from ddb_export.operators.raw_tables import RegisterRawExportsOperator
from ddb_export.operators.runs import HAND_OVER_TASK
from ddb_export.operators.verify import VerifyExportOperator
from ddb_export.operators.views import PlanViewsOperator
from ddb_export.operators.widen import WidenColumnsOperator
from ddb_export.pipeline.verification import VerificationLevel

if TYPE_CHECKING:
    from ddb_export.config.model import TableConfiguration


def build_dag(table: TableConfiguration) -> DAG:
    """Return the DAG that keeps a table's lake in step.

    :param table: what the user declared.
    :return: the DAG ``ddb_export__{name}``; it begins paused unless the configuration says otherwise.
    """
    timetable = CronDataIntervalTimetable(table.schedule, timezone=table.timezone) if table.schedule else None
    with DAG(
        dag_id=table.dag_id,
        schedule=timetable,
        start_date=table.start_date,
        catchup=table.catchup,
        max_active_runs=1,
        is_paused_upon_creation=table.paused_at_creation,
        tags=["ddb_export", *table.tags],
        params=_params(),
        default_args=_default_args(table),
        description=f"Keeps {table.lake_uri} in step with the DynamoDB table {table.table_name}",
        doc_md=__doc__,
    ) as dag:
        _add_tasks(table)
    return dag


_POLL_SECONDS = 1
_PLANNED_EXPORTS = "{{ ti.xcom_pull(task_ids='plan', key='exports') | tojson }}"
"""What the plan task pushed, or null: an XComArg would fail, in Airflow's words, where the plan task did."""


def lake_asset(table: TableConfiguration) -> Asset:
    """Return the asset whose events tell that a table's lake has grown; its name never changes."""
    return Asset(name=table.dag_id, uri=f"{table.lake_uri}/")


def _params() -> dict[str, Param]:
    """Return new parameters: Airflow writes a run's values into the objects."""
    return {
        "from": _moment(
            "Export from",
            "Start of a stretch to export, inclusive. Empty: where the data is complete, if 'to' is given.",
        ),
        "to": _moment(
            "Export to", "End of that stretch, exclusive. Empty: now less the time to settle, if 'from' is given."
        ),
        "re_export": Param(
            default=False,
            type="boolean",
            title="Export again",
            description="Export each verified window between 'from' and 'to' again. Every one is billed again.",
        ),
        "full_export": Param(
            default=False,
            type="boolean",
            title="One more full export",
            description="Make a snapshot now beside the chain, which goes on. It is billed by the table's size.",
        ),
        "new_base": Param(
            default=False,
            type="boolean",
            title="Begin a new chain",
            description="Close the chain and make a new full export now. It is billed by the table's size.",
        ),
        "widen": Param(
            default=False,
            type="boolean",
            title="Widen columns",
            description="Rewrite older partitions so that columns hold what is in _overflow. DynamoDB bills nothing for it.",
        ),
        "dry_run": Param(
            default=False,
            type="boolean",
            title="Dry run",
            description="Say in the plan task's log what would be done; claim, export and bill nothing.",
        ),
    }


def _moment(title: str, description: str) -> Param:
    return Param(default=None, type=["null", "string"], format="date-time", title=title, description=description)


def _pushed(task: BaseOperator, key: str) -> XComArg:
    """Return what a task pushes under a key of its own; ``task.output`` is what it returns."""
    return XComArg(task, key=key)


def _default_args(table: TableConfiguration) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "owner": table.owner,
        "retries": table.retries,
        "retry_delay": table.retry_delay,
        "pool": table.pool,
        "bucket": table.bucket,
        "prefix": table.prefix,
        "lake_name": table.name,
        "bucket_owner": table.bucket_owner,
        "aws_conn_id": table.aws_conn_id,
        "region_name": table.region,
    }
    return {**arguments, "queue": table.queue} if table.queue else arguments


def _add_tasks(table: TableConfiguration) -> None:
    exporting: dict[str, Any] = {
        "table": table.table,
        "export_view": table.export_view,
        "kms_key": table.kms_key,
        "settle": table.settle,
    }
    plan = PlanExportsOperator(
        task_id="plan",
        schedule=table.schedule,
        timezone=table.timezone,
        outputs=table.outputs,
        base_time=table.base_time,
        database=table.database,
        on_chain_end=table.on_chain_end,
        budget=None if table.budget.run is None else f"{table.budget.run:f}",
        month_budget=None if table.budget.month is None else f"{table.budget.month:f}",
        prices=table.own_prices,
        contract=table.contract.contract.to_json(),
        start="{{ params['from'] or '' }}",
        end="{{ params['to'] or '' }}",
        re_export="{{ params.re_export }}",
        full_export="{{ params.full_export }}",
        new_base="{{ params.new_base }}",
        dry_run_only="{{ params.dry_run }}",
        **exporting,
    )
    verify_base = _add_base(plan, table, exporting)

    @task_group(group_id="window")
    def window(start: str, end: str) -> None:
        export = DynamoDBExportOperator(
            task_id="export",
            start=start,
            end=end,
            poll_interval=table.poll_interval,
            trigger_rule=TriggerRule.NONE_FAILED,
            max_active_tis_per_dagrun=table.max_active_windows,
            **exporting,
        )
        VerifyExportOperator(task_id="verify", export=export.output, level=_level(table))

    windows = window.expand_kwargs(plan.output)
    hand_over = HandOverOperator(
        task_id=HAND_OVER_TASK,
        exports=_PLANNED_EXPORTS,
        outputs=table.outputs,
        file_groups=table.file_groups,
        trigger_rule=TriggerRule.ALL_DONE,
    )
    verify_base >> windows >> hand_over
    verify_base >> hand_over
    _add_conversion(hand_over, table)


def _add_base(plan: PlanExportsOperator, table: TableConfiguration, exporting: dict[str, Any]) -> VerifyExportOperator:
    export_base = DynamoDBExportOperator(
        task_id="export_base",
        export_time=_pushed(plan, "base_time"),
        poll_interval=table.poll_interval,
        skip_without_time=True,
        **exporting,
    )
    return VerifyExportOperator(task_id="verify_base", export=export_base.output, level=_level(table))


def _level(table: TableConfiguration) -> str:
    """Return how far exports are verified: who asks for raw files only need not be allowed to read them."""
    return VerificationLevel.MANIFEST if table.outputs == ("raw",) else VerificationLevel.BYTES


def _add_conversion(hand_over: HandOverOperator, table: TableConfiguration) -> None:
    contract = table.contract.contract.to_json()
    scan = ScanDataFilesOperator.partial(task_id="scan").expand_kwargs(hand_over.output)
    merge_schema = MergeSchemaOperator(
        task_id="merge_schema",
        file_groups=hand_over.output,
        contract=contract,
        trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS,
    )
    convert = ConvertDataFilesOperator.partial(task_id="convert", contract=contract).expand_kwargs(merge_schema.output)
    publish = PublishExportsOperator(
        task_id="publish",
        file_groups=merge_schema.output,
        database=table.database,
        contract=contract,
        partition_index=table.glue.partition_index,
        trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS,
    )
    check = CheckPublishedOperator(
        task_id="check",
        exports=_PLANNED_EXPORTS,
        outputs=table.outputs,
        workgroup=table.athena.workgroup,
        output_location=table.athena_output_location,
        outlets=[lake_asset(table)],
        trigger_rule=TriggerRule.ALL_DONE,
    )
    scan >> merge_schema
    convert >> publish >> check >> _add_widening(table)
    if "raw" in table.outputs:
        register_raw = RegisterRawExportsOperator(
            task_id="register_raw", exports=_PLANNED_EXPORTS, database=table.database, trigger_rule=TriggerRule.ALL_DONE
        )
        hand_over >> register_raw >> check
    if table.views:
        _add_views(publish, table)


def _add_widening(table: TableConfiguration) -> WidenColumnsOperator:
    return WidenColumnsOperator(
        task_id="widen",
        widen="{{ params.widen }}",
        policy=table.widening,
        budget=None if table.budget.run is None else f"{table.budget.run:f}",
        prices=table.own_prices,
        contract=table.contract.contract.to_json(),
        dry_run_only="{{ params.dry_run }}",
        trigger_rule=TriggerRule.NONE_FAILED,
    )


def _add_views(publish: PublishExportsOperator, table: TableConfiguration) -> None:
    # Loaded where it is asked for: it brings much with it, and every DAG file is parsed every few seconds.
    from airflow.providers.amazon.aws.operators.athena import AthenaOperator

    plan_views = PlanViewsOperator(task_id="plan_views", table=table.table, database=table.database)
    AthenaOperator.partial(
        task_id="views",
        database=table.database,
        output_location=table.athena_output_location,
        workgroup=table.athena.workgroup,
        sleep_time=_POLL_SECONDS,
    ).expand(query=plan_views.output)
    publish >> plan_views
