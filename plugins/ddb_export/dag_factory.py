"""DAGs from what users declare: one per table, the same shape for all.

::

    plan ─> export_base ─> verify_base ─> window[]( export ─> verify ) ─> hand_over
         ─> scan[] ─> merge_schema ─> convert[] ─> publish ─> check

With the output ``raw``, ``register_raw`` stands between hand_over and check; with ``views``, ``plan_views ─> views[]`` follow widen. Behind
publish, ``announce_snapshots`` and ``announce_changes[]`` tell Airflow of what is published.

Windows run side by side, each to its own entry in the ledger; one that fails keeps no other back, but fails the run at its
end. Nothing here talks to AWS: a DAG file is parsed every few seconds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import (
    DAG,
    BaseOperator,
    CronDataIntervalTimetable,
    Param,
    TaskGroup,
    TriggerRule,
    XComArg,
    task_group,
)

from ddb_export.assets import add_announcements, lake_asset
from ddb_export.group_declaration import arguments_of_dag, declared_in
from ddb_export.notifiers.deadline import deadline_alerts
from ddb_export.operators.check import CheckPublishedOperator
from ddb_export.operators.compact import CompactFilesOperator
from ddb_export.operators.convert import ConvertDataFilesOperator, MergeSchemaOperator, ScanDataFilesOperator
from ddb_export.operators.export import DynamoDBExportOperator
from ddb_export.operators.hand_over import HandOverOperator
from ddb_export.operators.plan import PlanExportsOperator
from ddb_export.operators.publish import PublishExportsOperator
from ddb_export.operators.raw_tables import RegisterRawExportsOperator
from ddb_export.operators.rewriting import AUTOMATIC
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
        deadline=deadline_alerts(table) or None,
        default_args=_default_args(table),
        description=f"Keeps {table.lake_uri} in step with the DynamoDB table {table.table_name}",
        doc_md=__doc__,
    ) as dag:
        _add_tasks(table, _asked_by_params())
    return dag


_POLL_SECONDS = 1


def export_task_group(
    table: TableConfiguration | str, *, group_id: str | None = None, obeys_params: bool = False, **keys: Any
) -> TaskGroup:
    """Add all tasks of a table to the DAG that is being written, as one group beside its own tasks.

    The group's last task, ``done``, succeeds where the table is in step; a task behind the group runs then. The DAG says when: of the keys
    of the YAML, ``catchup``, ``tags`` and ``paused_at_creation`` are its matter, and its ``default_args`` count where the table's
    declaration is silent. ``sla`` and ``alerts`` are read from YAML by the freshness DAG.

    :param table: what the user declared, or the table's name or ARN, with the other keys of the YAML as keywords. ``schedule``, ``timezone`` and
        ``start_date`` are the DAG's then, if they are not given.
    :param group_id: name of the group; by default the table's name, with ``_`` for what a group's name cannot hold.
    :param obeys_params: whether runs by hand are told what to do by the DAG's params, which must have those of :func:`export_params`.
    :raises ConfigurationError: a key is wrong, or the DAG's schedule gives no data intervals.
    :raises RuntimeError: no DAG is being written.
    """
    declared_name = keys.get("name") or table.rpartition("/")[2] if isinstance(table, str) else table.name
    with TaskGroup(group_id or re.sub(r"[^A-Za-z0-9_-]", "_", str(declared_name))) as group:
        declared = declared_in(group.dag, table, keys)
        said = {**group.dag.default_args, **group.default_args}
        group.default_args = {**_default_args(declared), **arguments_of_dag(said, declared)}
        group.tooltip = f"Keeps {declared.lake_uri} in step with the DynamoDB table {declared.table_name}"
        last = _add_tasks(declared, _asked_by_params() if obeys_params else {})
        last >> EmptyOperator(task_id="done", trigger_rule=TriggerRule.NONE_FAILED)
    return group


def export_params() -> dict[str, Param]:
    """Return the params by which a run by hand is told what to do, new ones with each call, for the DAG around a group that obeys them."""
    return _params()


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
        "compact": Param(
            default=False,
            type="boolean",
            title="Merge small files",
            description="Merge the many small files of partitions into few large ones. DynamoDB bills nothing for it.",
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
        "role_arn": table.role_arn,
    }
    return {**arguments, "queue": table.queue} if table.queue else arguments


def _asked_by_params() -> dict[str, Any]:
    """Return the templates by which the plan task reads what a run by hand was told, and the widening task whether it was."""
    return {
        "start": "{{ params['from'] or '' }}",
        "end": "{{ params['to'] or '' }}",
        "re_export": "{{ params.re_export }}",
        "full_export": "{{ params.full_export }}",
        "new_base": "{{ params.new_base }}",
        "dry_run_only": "{{ params.dry_run }}",
        "widen": "{{ params.widen }}",
        "compact": "{{ params.compact }}",
    }


def _planned(plan: PlanExportsOperator, key: str = "exports") -> str:
    """What the plan task pushed, or null: an XComArg would fail, in Airflow's words, where the plan task did."""
    return f"{{{{ ti.xcom_pull(task_ids='{plan.task_id}', key='{key}') | tojson }}}}"


def _add_tasks(table: TableConfiguration, asked: Mapping[str, Any]) -> list[BaseOperator]:
    """Add a table's tasks.

    :param asked: templates of what a run by hand is told; empty where nobody tells it anything.
    :return: the last ones.
    """
    exporting: dict[str, Any] = {
        "table": table.table,
        "export_view": table.export_view,
        "kms_key": table.kms_key,
        "settle": table.settle,
        "export_filter": table.export_filter.to_json() if table.export_filter else None,
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
        widen=table.widening == AUTOMATIC or asked.get("widen", False),
        **exporting,
        **{key: template for key, template in asked.items() if key not in ("widen", "compact")},
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
        exports=_planned(plan),
        outputs=table.outputs,
        file_groups=table.file_groups,
        trigger_rule=TriggerRule.ALL_DONE,
    )
    verify_base >> windows >> hand_over
    verify_base >> hand_over
    return _add_conversion(plan, hand_over, table, asked)


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


def _add_conversion(
    plan: PlanExportsOperator, hand_over: HandOverOperator, table: TableConfiguration, asked: Mapping[str, Any]
) -> list[BaseOperator]:
    contract = table.contract.contract.to_json()
    scan = ScanDataFilesOperator.partial(task_id="scan").expand_kwargs(hand_over.output)
    merge_schema = MergeSchemaOperator(
        task_id="merge_schema",
        file_groups=hand_over.output,
        widen=plan.widen,
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
        exports=_planned(plan),
        outputs=table.outputs,
        workgroup=table.athena.workgroup,
        output_location=table.athena_output_location,
        estimate=_planned(plan, "estimate"),
        prices=table.own_prices,
        outlets=[lake_asset(table)],
        trigger_rule=TriggerRule.ALL_DONE,
    )
    scan >> merge_schema
    last: list[BaseOperator] = [_add_compaction(table, asked)]
    widen = _add_widening(table, asked)
    convert >> publish >> check >> widen >> last
    publishing: list[BaseOperator] = [publish]
    if "raw" in table.outputs:
        register_raw = RegisterRawExportsOperator(
            task_id="register_raw",
            exports=_planned(plan),
            database=table.database,
            trigger_rule=TriggerRule.ALL_DONE,
        )
        hand_over >> register_raw >> check
        publishing.append(register_raw)
    if table.views:
        last.append(_add_views(widen, table, asked))
    return [*last, *add_announcements(table, plan, publishing)]


def _add_widening(table: TableConfiguration, asked: Mapping[str, Any]) -> WidenColumnsOperator:
    return WidenColumnsOperator(
        task_id="widen",
        policy=table.widening,
        budget=None if table.budget.run is None else f"{table.budget.run:f}",
        prices=table.own_prices,
        contract=table.contract.contract.to_json(),
        trigger_rule=TriggerRule.NONE_FAILED,
        **{key: template for key, template in asked.items() if key in ("widen", "dry_run_only")},
    )


def _add_compaction(table: TableConfiguration, asked: Mapping[str, Any]) -> CompactFilesOperator:
    return CompactFilesOperator(
        task_id="compact",
        policy=table.compaction.policy,
        target_file_bytes=table.compaction.target_file_bytes,
        budget=None if table.budget.run is None else f"{table.budget.run:f}",
        prices=table.own_prices,
        trigger_rule=TriggerRule.NONE_FAILED,
        **{key: template for key, template in asked.items() if key in ("compact", "dry_run_only")},
    )


def _add_views(widen: WidenColumnsOperator, table: TableConfiguration, asked: Mapping[str, Any]) -> Any:
    # Loaded where it is asked for: it brings much with it, and every DAG file is parsed every few seconds.
    from ddb_export.operators.athena import AssumedRoleAthenaOperator

    plan_views = PlanViewsOperator(
        task_id="plan_views",
        table=table.table,
        database=table.database,
        contract=table.contract.contract.to_json(),
        dry_run_only=asked.get("dry_run_only", False),
        # Where a window is missing, check fails, and the latest state must leave out what came behind it.
        trigger_rule=TriggerRule.ALL_DONE,
    )
    views = AssumedRoleAthenaOperator.partial(
        task_id="views",
        database=table.database,
        output_location=table.athena_output_location,
        workgroup=table.athena.workgroup,
        sleep_time=_POLL_SECONDS,
    ).expand(query=plan_views.output)
    widen >> plan_views
    return views
