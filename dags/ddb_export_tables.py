"""One DAG per table that is declared below ``dags/tables/`` (or in the folder that ``DDB_EXPORT_TABLES_DIR`` names).

A file with a mistake takes down none of the other tables; ``ddb_export_configuration.py`` shows the mistake in Airflow's list
of import errors.
"""

from __future__ import annotations

import os
from pathlib import Path

from airflow.sdk import DAG, get_parsing_context

from ddb_export import build_dag, load_tables

TABLES = Path(os.environ.get("DDB_EXPORT_TABLES_DIR") or Path(__file__).parent / "tables")

# A worker parses this file for each task: it then wants the DAG of that task only.
wanted = get_parsing_context().dag_id

for table in load_tables(TABLES, on_error="collect").tables:
    if wanted in {None, table.dag_id}:
        dag: DAG = build_dag(table)
        globals()[dag.dag_id] = dag
