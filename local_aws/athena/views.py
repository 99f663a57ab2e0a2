"""Views as Athena keeps them in Glue: TableType VIRTUAL_VIEW with the query as base64 JSON in ViewOriginalText."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from local_aws.athena.errors import QueryFailed
from local_aws.athena.results import ResultColumn

_PREFIX = "/* Presto View: "
_SUFFIX = " */"
# Trino's names of types and Hive's, where they differ.
_HIVE_NAMES = {"varchar": "string", "integer": "int", "varbinary": "binary", "json": "string", "real": "float"}


def table_input(name: str, sql: str, catalog: str, database: str, columns: list[ResultColumn]) -> dict[str, Any]:
    """Glue's TableInput of a view.

    ASSUMPTION: the members of the JSON (`originalSql, catalog, schema, columns`) are those of Presto's own views; nested
    columns are declared as string, because the view is always answered from its query.
    """
    stored = {
        "originalSql": sql,
        "catalog": catalog,
        "schema": database,
        "columns": [{"name": column.name, "type": column.type} for column in columns],
    }
    encoded = base64.b64encode(json.dumps(stored).encode()).decode()
    return {
        "Name": name,
        "TableType": "VIRTUAL_VIEW",
        "Parameters": {"presto_view": "true", "comment": "Presto View"},
        "PartitionKeys": [],
        "StorageDescriptor": {
            "Columns": [{"Name": column.name, "Type": _hive_name(column)} for column in columns],
            "Location": "",
            "SerdeInfo": {},
        },
        "ViewOriginalText": f"{_PREFIX}{encoded}{_SUFFIX}",
        "ViewExpandedText": "/* Presto View */",
    }


def stored_query(definition: dict[str, Any]) -> tuple[str, str]:
    """The SQL of a view and the database that its names without a database mean; raises QueryFailed."""
    text = definition.get("ViewOriginalText") or ""
    name = f"{definition['DatabaseName']}.{definition['Name']}"
    try:
        encoded = text.removeprefix(_PREFIX).removesuffix(_SUFFIX)
        stored = json.loads(base64.b64decode(encoded, validate=True))
        return stored["originalSql"], stored.get("schema") or definition["DatabaseName"]
    except (ValueError, KeyError, binascii.Error) as error:
        raise QueryFailed(
            "INVALID_VIEW", f"View '{name}' was not made by Athena: its ViewOriginalText is unreadable"
        ) from error


def _hive_name(column: ResultColumn) -> str:
    if column.type == "decimal":
        return f"decimal({column.precision},{column.scale})"
    if column.type in ("array", "map", "row", "timestamp with time zone"):
        return "string"
    return _HIVE_NAMES.get(column.type, column.type)
