"""Looks at every declared table's freshness and tells its notifiers, whatever the tables' own DAGs do.

It makes a DAG where a table declares an ``sla`` or ``alerts``, and always while the YAML has a mistake: the mistake may have taken
away all that would be watched, and the DAG remembers what that was.
"""

from __future__ import annotations

import os
from pathlib import Path

from airflow.sdk import DAG

from ddb_export import build_freshness_dag, load_tables

TABLES = Path(os.environ.get("DDB_EXPORT_TABLES_DIR") or Path(__file__).parent / "tables")

loaded = load_tables(TABLES, on_error="collect")
watched = [table for table in loaded.tables if table.sla or table.alerts.notifiers]
if watched or loaded.errors:
    dag: DAG = build_freshness_dag(watched, [str(error) for error in loaded.errors])
