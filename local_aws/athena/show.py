"""SHOW and DESCRIBE: what Glue knows, in the form of rows without a header."""

from __future__ import annotations

from fnmatch import fnmatchcase

from local_aws import glue
from local_aws.athena import catalog, results
from local_aws.athena.errors import QueryFailed
from local_aws.athena.partition_ddl import Cursor
from local_aws.athena.results import Result, text_column


def show(text: str, database: str) -> Result:
    """SHOW DATABASES | SCHEMAS | TABLES | VIEWS | PARTITIONS | COLUMNS, with a pattern where Athena takes one."""
    cursor = Cursor(text)
    cursor.expect("SHOW")
    what = cursor.next_text().upper()
    if what in ("DATABASES", "SCHEMAS"):
        cursor.take("LIKE")
        names = [found["Name"] for found in _all("GetDatabases", {}, "DatabaseList")]
        return _names("database_name", names, cursor)
    if what in ("TABLES", "VIEWS"):
        if cursor.take("IN") or cursor.take("FROM"):
            database = cursor.next_text()
        cursor.take("LIKE")
        tables = _all("GetTables", {"DatabaseName": database}, "TableList")
        wanted = [t["Name"] for t in tables if what == "TABLES" or t.get("TableType") == catalog.VIRTUAL_VIEW]
        return _names("tab_name", wanted, cursor)
    if what == "PARTITIONS":
        table = cursor.table(database)
        labels = [
            "/".join(f"{key.name}={value}" for key, value in zip(table.keys, partition.values, strict=True))
            for partition in catalog.partitions(table)
        ]
        return _names("partition", labels, cursor)
    if what == "COLUMNS" and (cursor.take("IN") or cursor.take("FROM")):
        table = cursor.table(database)
        return _names("field", [column.name for column in (*table.place.columns, *table.keys)], cursor)
    raise QueryFailed("NOT_SUPPORTED", f"The lab's Athena does not do SHOW {what}")


def describe(text: str, database: str) -> Result:
    """DESCRIBE [EXTENDED | FORMATTED] table.

    ASSUMPTION: each row is one value of padded fields between tabs, as Athena passes on Hive's text.
    """
    cursor = Cursor(text)
    cursor.next_text()
    if not cursor.take("EXTENDED"):
        cursor.take("FORMATTED")
    table = cursor.table(database)
    lines = [(column.name, column.type.text) for column in (*table.place.columns, *table.keys)]
    if table.keys:
        lines += [("", ""), ("# Partition Information", ""), ("# col_name", "data_type")]
        lines += [(key.name, key.type.text) for key in table.keys]
    rows: list[results.Row] = [[f"{name:<20}\t{kind:<20}\t{'':<20}"] for name, kind in lines]
    return Result([text_column("col_name"), text_column("data_type"), text_column("comment")], rows)


def _all(operation: str, request: dict[str, str], member: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    answer = glue.call(operation, request)
    while True:
        found += answer[member]
        if "NextToken" not in answer:
            return found
        answer = glue.call(operation, {**request, "NextToken": answer["NextToken"]})


def _names(column: str, names: list[str], cursor: Cursor) -> Result:
    if not cursor.at_end:
        patterns = cursor.next_text().lower().split("|")
        names = [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]
    return Result([text_column(column)], [[name] for name in names])
