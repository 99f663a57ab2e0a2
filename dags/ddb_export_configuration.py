"""Shows mistakes in the declared tables as an import error of this file; it makes no DAG of its own.

Airflow drops every DAG of a file that raises, so the check stands apart from ``ddb_export_tables.py``.
"""

from __future__ import annotations

import os
from pathlib import Path

from ddb_export import load_tables

TABLES = Path(os.environ.get("DDB_EXPORT_TABLES_DIR") or Path(__file__).parent / "tables")

load_tables(TABLES)
