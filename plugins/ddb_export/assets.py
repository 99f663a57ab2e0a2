"""The assets of a table's lake, and the tasks that send the events of its outputs.

``lake_asset`` tells once a run that the lake has grown; ``output_asset`` tells of each window and each full export by itself, under a
partition key. Airflow starts DAGs on the events of either kind, never on both: events with a key are for
``PartitionedAssetTimetable``, events without one for all others (airflow-core 3.3.2, ``AssetManager._queue_dagruns``).

Names and URIs never change: Airflow forgets what it knows of an asset that is renamed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, TriggerRule

from ddb_export.domain.planning_rules import RAW
from ddb_export.exceptions import UsageError
from ddb_export.operators.announce import AnnouncePublishedOperator

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

    from ddb_export.config.model import TableConfiguration
    from ddb_export.operators.plan import PlanExportsOperator

SNAPSHOTS, CHANGES = "snapshots", "changes"


def lake_asset(table: TableConfiguration) -> Asset:
    """Return the asset whose events tell that a table's lake has grown; its name never changes."""
    return Asset(name=table.dag_id, uri=f"{table.lake_uri}/")


def output_asset(table: TableConfiguration, output: str) -> Asset:
    """Return the asset of one output, whose events tell of one window or full export each, with a partition key.

    :param table: what the user declared.
    :param output: ``snapshots``, ``changes`` or ``raw``.
    :raises UsageError: there is no such output.
    """
    return Asset(name=asset_name(table.name, output), uri=f"{table.lake_uri}/{output}/")


def asset_name(table: str, output: str) -> str:
    """Return the name of :func:`output_asset`, by which a DAG elsewhere can refer to it: ``Asset.ref(name=…)``.

    :param table: the table's name in the lake. :param output: ``snapshots``, ``changes`` or ``raw``.
    :raises UsageError: there is no such output.
    """
    if output not in (SNAPSHOTS, CHANGES, RAW):
        raise UsageError(
            f"output {output!r} of {table}", "there is none of this name", "write snapshots, changes or raw"
        )
    # The model brings pydantic with it, which a DAG of somebody else need not load.
    from ddb_export.config.model import DAG_ID_PREFIX

    # No table's name has a slash, so that no other table's assets can have this name.
    return f"{DAG_ID_PREFIX}{table}/{output}"


def add_announcements(
    table: TableConfiguration, plan: PlanExportsOperator, publishing: Sequence[BaseOperator]
) -> list[BaseOperator]:
    """Add a task for each output that tells of each window, or of the full export, that the run has published.

    :param plan: the task that handed over the windows. :param publishing: the tasks that publish them.
    :return: the tasks, behind those that publish.
    """
    added: list[Any] = []
    for output in (output for output in (SNAPSHOTS, CHANGES, RAW) if output in table.outputs):
        # Whatever became of the others: what is published has to be told of, and the ledger says what is.
        common: dict[str, Any] = {
            "output_name": output,
            "exports": f"{{{{ ti.xcom_pull(task_ids='{plan.task_id}', key='exports') | tojson }}}}",
            "outlets": [output_asset(table, output)],
            "trigger_rule": TriggerRule.ALL_DONE,
        }
        if output != CHANGES:
            task_id = "announce_raw_snapshots" if output == RAW else "announce_snapshots"
            # An XComArg would fail, in Airflow's words, where the plan task did.
            moment = f"{{{{ ti.xcom_pull(task_ids='{plan.task_id}', key='base_time') or '' }}}}"
            added.append(AnnouncePublishedOperator(task_id=task_id, export_time=moment, **common))
        if output != SNAPSHOTS:
            task_id = "announce_raw_changes" if output == RAW else "announce_changes"
            windows = AnnouncePublishedOperator.partial(task_id=task_id, **common).expand_kwargs(plan.output)
            added.append(windows)
    for task in publishing:
        task >> added
    return added
