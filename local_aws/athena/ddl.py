"""Athena's catalog statements, done through Glue: databases, external tables, views, partitions, SHOW and DESCRIBE.

INSERT, CREATE TABLE AS, UNLOAD, MERGE and Iceberg tables are refused with NOT_SUPPORTED.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlglot import exp

from local_aws import glue
from local_aws.athena import catalog, create_table, partition_ddl, show, views
from local_aws.athena.engine import Session
from local_aws.athena.errors import QueryFailed
from local_aws.athena.results import Result
from local_aws.athena.statements import keyword
from local_aws.athena.storage import Storage
from local_aws.glue_catalog import GlueError


def run(statement: exp.Expr, text: str, database: str, storage: Storage) -> Result:
    """Do a statement that is no query; `text` is what the user wrote, `database` what names without one mean.

    Raises QueryFailed.
    """
    work = _WORK.get(keyword(statement))
    if work is None:
        raise QueryFailed(
            "NOT_SUPPORTED",
            f"The lab's Athena does not do {keyword(statement)}: use SELECT, catalog statements or Glue",
        )
    try:
        return work(statement, text, database.lower(), storage)
    except GlueError as error:
        raise hive_failure(str(error)) from error


def hive_failure(reason: str) -> QueryFailed:
    """A failed catalog statement in Hive's words, which Athena passes on."""
    return QueryFailed(
        "FAILED", f"Execution Error, return code 1 from org.apache.hadoop.hive.ql.exec.DDLTask. {reason}"
    )


def _create(statement: exp.Expr, text: str, database: str, storage: Storage) -> Result:
    kind = _kind(statement, text)
    if kind in ("DATABASE", "SCHEMA"):
        create_table.create_database(text)
    elif kind == "VIEW" and isinstance(statement, exp.Create):
        _create_view(statement, database, storage)
    elif isinstance(statement, exp.Create):
        create_table.create_table(statement, database)
    else:
        raise QueryFailed("NOT_SUPPORTED", f"The lab's Athena does not understand this CREATE {kind}")
    return Result()


def _kind(statement: exp.Expr, text: str) -> str:
    if not isinstance(statement, exp.Command):
        return str(statement.args.get("kind") or "TABLE").upper()
    cursor = partition_ddl.Cursor(text)
    cursor.expect("CREATE")
    return cursor.next_text().upper()


def _create_view(statement: exp.Create, database: str, storage: Storage) -> None:
    target = statement.find(exp.Table)
    assert target is not None
    schema, name = (target.db or database).lower(), target.name.lower()
    query = statement.expression
    folder = Path(tempfile.mkdtemp(prefix="lab-athena-"))
    session = Session(storage, folder, database)
    try:
        columns = session.columns(query)
    finally:
        session.close()
        shutil.rmtree(folder, ignore_errors=True)
    existing = catalog.find_table(schema, name)
    given = views.table_input(name, query.sql(dialect="athena"), "awsdatacatalog", database, columns)
    if existing is None:
        glue.call("CreateTable", {"DatabaseName": schema, "TableInput": given})
    elif existing.is_view and statement.args.get("replace"):
        glue.call("UpdateTable", {"DatabaseName": schema, "TableInput": given})
    else:
        raise QueryFailed("ALREADY_EXISTS", f"line 1:1: View already exists: '{schema}.{name}'")


def _drop(statement: exp.Expr, _text: str, database: str, _storage: Storage) -> Result:
    kind = str(statement.args.get("kind") or "").upper()
    target = statement.find(exp.Table)
    assert target is not None
    lenient = bool(statement.args.get("exists"))
    if kind in ("DATABASE", "SCHEMA"):
        _drop_database(target.name or target.db, lenient=lenient, cascade=bool(statement.args.get("cascade")))
        return Result()
    schema = (target.db or database).lower()
    table = catalog.find_table(schema, target.name)
    if table is not None and table.is_view != (kind == "VIEW"):
        raise QueryFailed(
            "TYPE_MISMATCH",
            f"'{schema}.{table.name}' is {'a view' if table.is_view else 'a table'}, not a {kind.lower()}",
        )
    if table is not None:
        glue.call("DeleteTable", {"DatabaseName": schema, "Name": table.name})
    elif not lenient:
        raise QueryFailed("FAILED", f"SemanticException [Error 10001]: Table not found {schema}.{target.name.lower()}")
    return Result()


def _drop_database(name: str, *, lenient: bool, cascade: bool) -> None:
    if not catalog.database_exists(name):
        if lenient:
            return
        raise QueryFailed("FAILED", f"SemanticException [Error 10072]: Database does not exist: {name.lower()}")
    if not cascade and glue.call("GetTables", {"DatabaseName": name, "MaxResults": 1})["TableList"]:
        raise hive_failure(
            f"InvalidOperationException(message:Database {name.lower()} is not empty. One or more tables exist.)"
        )
    glue.call("DeleteDatabase", {"Name": name})


def _alter(_statement: exp.Expr, text: str, database: str, _storage: Storage) -> Result:
    partition_ddl.alter(text, database)
    return Result()


def _repair(_statement: exp.Expr, text: str, database: str, storage: Storage) -> Result:
    return partition_ddl.repair(text, database, storage)


def _show(_statement: exp.Expr, text: str, database: str, _storage: Storage) -> Result:
    return show.show(text, database)


def _describe(_statement: exp.Expr, text: str, database: str, _storage: Storage) -> Result:
    return show.describe(text, database)


_WORK: dict[str, Callable[[Any, str, str, Storage], Result]] = {
    "CREATE": _create,
    "DROP": _drop,
    "ALTER": _alter,
    "MSCK": _repair,
    "SHOW": _show,
    "DESCRIBE": _describe,
    "DESC": _describe,
}
