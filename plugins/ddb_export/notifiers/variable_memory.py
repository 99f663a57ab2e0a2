"""The memory of incidents in an Airflow variable, for troubles that keep the lake itself from being written.

A variable knows no compare-and-swap: only the freshness DAG writes it, of which one run is active at a time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from airflow.sdk import Variable

VARIABLE = "ddb_export_incidents"
"""The variable that holds all documents; deleting it makes lasting incidents be told once more."""


class VariableMemory:
    """The incidents of one table, in one variable for all tables.

    :param table: name of the table in the lake, or of whatever the incidents are about.
    """

    def __init__(self, table: str) -> None:
        self._table = table

    def names(self) -> Collection[str]:
        """As :class:`ddb_export.pipeline.incidents.IncidentMemory` says."""
        return self._documents().get(self._table, {}).keys()

    def read(self, name: str) -> tuple[Any, str | None]:
        """As :class:`ddb_export.pipeline.incidents.IncidentMemory` says."""
        return self._documents().get(self._table, {}).get(name), None

    def write(self, name: str, document: Mapping[str, Any], version: str | None) -> bool:
        """Write a document; the version does not count."""
        documents = self._documents()
        documents.setdefault(self._table, {})[name] = dict(document)
        Variable.set(VARIABLE, documents, serialize_json=True)
        return True

    @staticmethod
    def _documents() -> dict[str, dict[str, Any]]:
        found = Variable.get(VARIABLE, default=None, deserialize_json=True)
        return dict(found) if found else {}
