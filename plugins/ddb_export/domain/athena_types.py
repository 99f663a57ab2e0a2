"""Types of the catalog in Athena's words: Glue keeps Hive's, a query speaks Trino's."""

from __future__ import annotations

_SIMPLE = {
    "string": "varchar",
    "binary": "varbinary",
    "int": "integer",
    "float": "real",
    # Athena and Trino read a Hive timestamp with milliseconds; so does a view's column.
    "timestamp": "timestamp(3)",
}


def athena_type(glue_type: str) -> str:
    """Return the type that Athena's SELECT knows for one of Glue's.

    :param glue_type: such as ``bigint``, ``decimal(38,2)``, ``array<string>`` or ``struct<a:bigint,b:array<string>>``.
    """
    text = glue_type.strip()
    kind, bracket, inner = text.partition("<")
    if not bracket:
        return _SIMPLE.get(kind.lower(), kind.lower())
    parts = _split(inner.removesuffix(">"), ",")
    if kind.lower() != "struct":
        return f"{kind.lower()}({', '.join(athena_type(part) for part in parts)})"
    members = (part.split(":", 1) for part in parts)
    return "row(" + ", ".join(f'"{name.strip()}" {athena_type(of_type)}' for name, of_type in members) + ")"


def _split(text: str, separator: str) -> list[str]:
    """Split at the separators that stand in no brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "<(") - (character in ">)")
        if character == separator and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts
