"""Runs once for each window of the table ``orders`` that is published, and counts its rows in Athena."""

from __future__ import annotations

from typing import Any

from airflow.providers.amazon.aws.operators.athena import AthenaOperator
from airflow.sdk import Asset, PartitionedAssetTimetable, dag, task

from ddb_export import PartitionKey, asset_name

CHANGES = Asset.ref(name=asset_name("orders", "changes"))


@dag(schedule=PartitionedAssetTimetable(assets=CHANGES), is_paused_upon_creation=True, max_active_runs=4)
def orders_each_window() -> None:
    """Run for ``dag_run.partition_key``: one window."""

    @task
    def window(dag_run: Any = None, triggering_asset_events: Any = None) -> dict[str, Any]:
        key = PartitionKey.parse(dag_run.partition_key)
        told = triggering_asset_events[CHANGES][-1].extra
        print(f"{key.table} from {key.window.start} to {key.window.end}: {told['rows']} rows in {told['location']}")
        return {"table": told["glue_table"], "condition": key.condition}

    count = AthenaOperator(
        task_id="count",
        query="SELECT count(*) FROM {{ ti.xcom_pull('window')['table'] }} WHERE {{ ti.xcom_pull('window')['condition'] }}",
        database="lake",
        output_location="s3://company-lake/athena-results/",
        aws_conn_id="aws_default",
    )
    window() >> count


orders_each_window()
