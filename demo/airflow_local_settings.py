"""Copied into AIRFLOW_HOME/config, where Airflow imports it: what each task needs is loaded once.

LocalExecutor's workers are forks of the scheduler, Celery's of the worker, and tasks are forks of these: a task finds the modules loaded.
"""

import importlib
import sys

if {"scheduler", "celery"} & set(sys.argv):
    for _name in (
        "airflow.providers.amazon.aws.hooks.athena",
        "airflow.sdk.execution_time.task_runner",
        "boto3",
        "ddb_export.dag_factory",
        "ddb_export.hooks.lake",
        "pyarrow.parquet",
    ):
        importlib.import_module(_name)
