"""The Airflow plugin: what this package adds to Airflow's own pages and components.

Airflow finds it in one of two ways, and has one plugin however it was found:

* the wheel's entry point ``airflow.plugins`` imports ``ddb_export.plugin``;
* the folder loader executes this file as a top-level module ``plugin`` (the one file that ``plugins/.airflowignore``
  lets pass; Airflow 3.3 runs every other ``.py`` file below ``plugins/`` under its bare file name).

When both are there, a second plugin of the same name would be shown as an import error, and the task SDK's loader
would drop every plugin after it (``airflow.sdk.plugins_manager``, 3.3.2). So the folder's file stands back when the
entry point is installed, and otherwise hands over the very class of ``ddb_export.plugin``: it never exists twice.

Scheduler, workers, triggerer and API server all load this module: it stays light and imports absolutely.
"""

from __future__ import annotations

from importlib.metadata import entry_points

if __name__ == "ddb_export.plugin":
    from airflow.sdk.plugins_manager import AirflowPlugin

    class DdbExportPlugin(AirflowPlugin):
        """Registers ``ddb_export`` with Airflow; it shows in ``airflow plugins`` by this name."""

        name = "ddb_export"

elif not entry_points(group="airflow.plugins", name="ddb_export"):
    from ddb_export.plugin import DdbExportPlugin  # noqa: F401  # the loader reads it from this module
