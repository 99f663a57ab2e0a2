"""What a task group declares of its table, and what the DAG around it may say of the group's tasks.

The DAG that somebody else wrote speaks the operators' language (``default_args``), the declaration the YAML's. Where both speak
of one thing, the declaration counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from airflow.sdk.configuration import conf

from ddb_export.dag_schedule import boundaries_of
from ddb_export.exceptions import UsageError

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from ddb_export.config.model import TableConfiguration

_KEY_OF_ARGUMENT: Mapping[str, str] = MappingProxyType({"region_name": "region", "lake_name": "name"})
"""Arguments of our operators whose key in a declaration has another name."""


def declared_in(dag: DAG, table: TableConfiguration | str, keys: Mapping[str, Any]) -> TableConfiguration:
    """Return the declaration, with when windows are cut, and since when, from the DAG where no key says it.

    :param table: what the user declared, then without keys; or the table's name or ARN.
    :param keys: the other keys of the YAML.
    :raises ConfigurationError: a key is wrong, or the DAG's schedule gives no data intervals.
    :raises UsageError: a key would say nothing in a group.
    """
    boundaries = boundaries_of(dag)
    if not isinstance(table, str):
        if keys:
            raise UsageError("export_task_group", "it was given a declared table and keys", "give one of them")
        return table
    from ddb_export.config.model import TableConfiguration

    if of_others := sorted({"alerts", "catchup", "paused_at_creation", "sla", "tags"} & set(keys)):
        remedy = "give catchup, paused_at_creation and tags to the DAG; declare sla and alerts in YAML, which the freshness DAG reads"
        raise UsageError("export_task_group", f"{', '.join(of_others)} would say nothing in a group", remedy)
    return TableConfiguration.declare(table=table, **{**boundaries, "start_date": dag.start_date, **keys})


def arguments_of_dag(said: Mapping[str, Any], declared: TableConfiguration) -> dict[str, Any]:
    """Return what a DAG says of all its tasks, and the table's declaration does not.

    The table's name always comes from the declaration, which the group, its assets and its Glue tables are named by; so does the region
    that an ARN names.

    :param said: the ``default_args`` of the DAG and of the groups around the tasks.
    """
    spoken_for = {*declared.model_fields_set, "name", *(["region"] if declared.table_arn else [])}
    left = {name: value for name, value in said.items() if _KEY_OF_ARGUMENT.get(name, name) not in spoken_for}
    # A null that is written means Airflow's default, and the DAG's queue would count where a group says none.
    if "queue" in spoken_for and declared.queue is None:
        left["queue"] = conf.get_mandatory_value("operators", "default_queue")
    return left
