"""The SQL that counts what was published. Identifiers and values are quoted, whatever they hold."""

from __future__ import annotations

from collections.abc import Sequence

from ddb_export.domain.ledger import PublishedEntry


def count_query(entries: Sequence[PublishedEntry]) -> str:
    """Return the query that counts the rows of published partitions of one Glue table."""
    database, table = entries[0].glue_table.split(".", 1)
    partitions = " OR ".join(
        "(" + " AND ".join(f"{identifier(key)} = {literal(value)}" for key, value in _values(entry)) + ")"
        for entry in entries
    )
    return f"SELECT count(*) FROM {identifier(database)}.{identifier(table)} WHERE {partitions}"  # noqa: S608  # quoted


def identifier(name: str) -> str:
    """Quote an identifier for Athena's SELECT."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    """Quote a text value."""
    return "'" + value.replace("'", "''") + "'"


def _values(entry: PublishedEntry) -> list[tuple[str, str]]:
    pairs = (part.split("=", 1) for part in entry.partition.split("/") if "=" in part)
    return [(key, value) for key, value in pairs]
