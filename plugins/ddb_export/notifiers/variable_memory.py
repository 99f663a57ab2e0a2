"""What the freshness DAG remembers in Airflow variables, apart from the lake: for troubles that keep the lake from being written, or the YAML from being read.

A variable knows no compare-and-swap: only the freshness DAG writes these, of which one run is active at a time. What is damaged counts as nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from airflow.sdk import Variable

from ddb_export.pipeline.alerting import Watched

VARIABLE = "ddb_export_incidents"
"""The variable that holds all incidents; deleting it makes lasting ones be told once more."""

WATCHED = "ddb_export_watched"
"""The variable that holds the tables that were watched last; it is read only while the YAML has a mistake."""


class VariableMemory:
    """The incidents of one table, in one variable for all tables.

    :param table: name of the table in the lake, or of whatever the incidents are about.
    """

    def __init__(self, table: str) -> None:
        self._table = table

    def names(self) -> Collection[str]:
        """As :class:`ddb_export.pipeline.incidents.IncidentMemory` says."""
        return self._incidents().keys()

    def read(self, name: str) -> tuple[Any, str | None]:
        """As :class:`ddb_export.pipeline.incidents.IncidentMemory` says."""
        return self._incidents().get(name), None

    def write(self, name: str, document: Mapping[str, Any], version: str | None) -> bool:
        """Write a document; the version does not count."""
        incidents = {**self._incidents(), name: dict(document)}
        Variable.set(VARIABLE, {**_object(VARIABLE), self._table: incidents}, serialize_json=True)
        return True

    def _incidents(self) -> dict[str, Any]:
        found = _object(VARIABLE).get(self._table)
        return found if isinstance(found, dict) else {}


def remembered_tables() -> list[dict[str, Any]]:
    """Return what :func:`remember_tables` wrote; what cannot be read, or was written by another version that knows more, is left out."""
    found = []
    for document in _object(WATCHED).values():
        try:
            Watched.from_json(document)
        except (AttributeError, KeyError, TypeError, ValueError):
            continue
        found.append(dict(document))
    return found


def remember_tables(tables: Sequence[Mapping[str, Any]]) -> None:
    """Remember the tables that are watched.

    :param tables: :meth:`ddb_export.pipeline.alerting.Watched.to_json` of each; nothing is written if that is remembered already.
    """
    documents = {str(table["name"]): dict(table) for table in tables}
    if documents != _object(WATCHED):
        Variable.set(WATCHED, documents, serialize_json=True)


def _object(variable: str) -> dict[str, Any]:
    try:
        found = Variable.get(variable, default=None, deserialize_json=True)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
