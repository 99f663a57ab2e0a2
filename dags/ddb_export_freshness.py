"""Looks at every declared table's freshness and tells its notifiers, whatever the tables' own DAGs do.

It makes a DAG only where a table declares an ``sla`` or ``alerts``.
"""

from __future__ import annotations

import os
from pathlib import Path

from airflow.sdk import DAG

from ddb_export import build_freshness_dag, load_tables

TABLES = Path(os.environ.get("DDB_EXPORT_TABLES_DIR") or Path(__file__).parent / "tables")

loaded = load_tables(TABLES, on_error="collect")
watched = [table for table in loaded.tables if table.sla or table.alerts.notifiers]
if watched:
    dag: DAG = build_freshness_dag(watched, [str(error) for error in loaded.errors])
