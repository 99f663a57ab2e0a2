"""The JSON schema of the YAML files, for editors that complete keys and underline mistakes."""

from __future__ import annotations

from typing import Any

from ddb_export.config.model import TableConfiguration


def export_json_schema() -> dict[str, Any]:
    """The schema of one file: a table, or ``defaults`` and ``tables``.

    Only ``table`` is required, because every other key can come from a default of the file or the folder.

    :return: a JSON schema (draft 2020-12) as plain data.
    """
    table = TableConfiguration.model_json_schema(mode="validation", ref_template="#/$defs/{model}")
    definitions = table.pop("$defs", {})
    table["required"] = ["table"]
    shared = {key: value for key, value in table["properties"].items() if key not in ("table", "name")}
    defaults = {"type": "object", "additionalProperties": False, "properties": shared}
    several = {
        "type": "object",
        "additionalProperties": False,
        "required": ["tables"],
        "patternProperties": {"^x-": {}},
        "properties": {
            "defaults": {"$ref": "#/$defs/Defaults", "description": "Defaults for the tables of this file."},
            "tables": {"type": "array", "items": {"$ref": "#/$defs/TableConfiguration"}},
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Tables of ddb_export",
        "anyOf": [{"$ref": "#/$defs/TableConfiguration"}, {"$ref": "#/$defs/SeveralTables"}],
        "$defs": {**definitions, "TableConfiguration": table, "Defaults": defaults, "SeveralTables": several},
    }
