"""Copied into the demo's AIRFLOW_HOME, where Airflow imports it: what each task needs is loaded once, in the scheduler.

LocalExecutor's workers are forks of the scheduler and tasks are forks of workers, so a task finds these modules loaded.
"""

import importlib
import sys

if "scheduler" in sys.argv:
    for _name in (
        "airflow.providers.amazon.aws.hooks.athena",
        "airflow.sdk.execution_time.task_runner",
        "boto3",
        "ddb_export.dag_factory",
        "ddb_export.hooks.lake",
        "pyarrow.parquet",
    ):
        importlib.import_module(_name)
