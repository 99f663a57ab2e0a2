"""The JSON schema of the YAML files, for editors that complete keys and underline mistakes.

What :func:`ddb_export.config.loader.load_tables` takes, the schema takes. The other way round it knows the names and kinds of all keys,
words of choice and plain limits; what a value means (a cron expression, a bucket's name, keys that contradict each other) is left to
``ddb-export check``.
"""

from __future__ import annotations

from typing import Any

from ddb_export.config.file_shape import NOT_SHARED
from ddb_export.config.model import NULL_MEANS_DEFAULT, TableConfiguration

_MERGED = ("TierConfiguration",)
"""Blocks with required keys, of which a table may write some and leave the others to the defaults."""


def export_json_schema() -> dict[str, Any]:
    """Return the schema of one file: a table, ``defaults`` and ``tables``, or a folder's ``_defaults.yaml``.

    Of a table only ``table`` is required, because every other key can come from a default of the file or the folder.

    :return: a JSON schema (draft 2020-12) as plain data.
    """
    table = TableConfiguration.model_json_schema(mode="validation", ref_template="#/$defs/{model}")
    definitions = table.pop("$defs", {})
    for name in _MERGED:
        del definitions[name]["required"]
    properties = table["properties"]
    for key in NULL_MEANS_DEFAULT:
        properties[key] = _or_null(properties[key])
    table |= {"required": ["table"], "description": "One DynamoDB table, where its exports go and when."}
    defaults = {
        "type": "object",
        "description": "What is the same for several tables; the nearest wins: folder, file, table.",
        "additionalProperties": False,
        "properties": {key: value for key, value in properties.items() if key not in NOT_SHARED},
    }
    several = {
        "type": "object",
        "description": "Several tables, and defaults for them.",
        "additionalProperties": False,
        "required": ["tables"],
        "patternProperties": {"^x-": {}},
        "properties": {
            "defaults": {
                "anyOf": [{"$ref": "#/$defs/Defaults"}, {"type": "null"}],
                "description": "Defaults for the tables of this file.",
            },
            "tables": {"type": "array", "items": {"$ref": "#/$defs/TableConfiguration"}},
        },
    }
    shapes = {"TableConfiguration": table, "SeveralTables": several, "Defaults": defaults}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Tables of ddb_export",
        "anyOf": [{"$ref": f"#/$defs/{shape}"} for shape in shapes],
        "$defs": {**definitions, **shapes},
    }


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Let a key be null too; what is said about it stays beside its types."""
    if {"type": "null"} in schema.get("anyOf", ()):
        return schema
    about: dict[str, Any] = {key: schema[key] for key in ("description", "title", "default") if key in schema}
    return {**about, "anyOf": [{key: value for key, value in schema.items() if key not in about}, {"type": "null"}]}
