"""Runs one query: finds its tables in Glue, binds them to files, lets DuckDB answer and names failures as Athena does."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
from sqlglot import exp
from sqlglot.optimizer.scope import Scope, traverse_scope

from local_aws.athena import catalog, dialect, pruning, results, views
from local_aws.athena.binding import PATH, Binder
from local_aws.athena.catalog import Table
from local_aws.athena.errors import SYSTEM_ERROR, QueryFailed
from local_aws.athena.hive_types import quoted
from local_aws.athena.results import Result, ResultColumn
from local_aws.athena.storage import Storage

_CATALOG = "awsdatacatalog"
_BATCH_ROWS = 4096
_VIEW_DEPTH = 16


@dataclass
class _Reading:
    """A table of the query and the conditions under which it is read, None for a mention without any."""

    table: Table
    conditions: list[exp.Expr | None] = field(default_factory=list)


class Session:
    """One query's DuckDB, in memory, that can see nothing but `folder`; close it when done.

    `database` is the one that names without a database mean.
    """

    def __init__(self, storage: Storage, folder: Path, database: str) -> None:
        self._database = database.lower()
        self._with_path = False
        self._readings: dict[tuple[str, str], _Reading] = {}
        self._views: dict[tuple[str, str], str] = {}
        self.connection = _connect(folder)
        self._binder = Binder(self.connection, storage, folder, wanted=None)

    def close(self) -> None:
        """Let go of the memory."""
        self.connection.close()

    def run(self, query: exp.Expr) -> Result:
        """The answer to a SELECT; raises QueryFailed."""
        sql = self._prepare(query)
        try:
            self._bind(empty=False)
            return self._answer(sql)
        except duckdb.Error as error:
            raise _failure(error, query) from error

    def columns(self, query: exp.Expr) -> list[ResultColumn]:
        """The columns of a SELECT's answer, without reading any file; raises QueryFailed."""
        sql = self._prepare(query)
        try:
            self._bind(empty=True)
            return self._answer(sql).columns
        except duckdb.Error as error:
            raise _failure(error, query) from error

    def _prepare(self, query: exp.Expr) -> str:
        resolved = query.copy()
        dialect.name_unnamed(resolved)
        self._with_path = _mentions(resolved, PATH)
        self._binder.wanted = _wanted(resolved)
        self._resolve(resolved, self._database, depth=0)
        return dialect.to_duckdb(resolved)

    def _bind(self, *, empty: bool) -> None:
        for reading in self._readings.values():
            if empty:
                self._binder.bind_empty(reading.table, with_path=self._with_path)
                continue
            partitions = catalog.partitions(reading.table) if reading.table.keys else []
            needed = pruning.keep_needed(self.connection, reading.table, partitions, reading.conditions)
            self._binder.bind(reading.table, needed, with_path=self._with_path)
        for (database, name), sql in self._views.items():
            self._make_macros(sql)
            self.connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(database)}")
            self.connection.execute(f"CREATE VIEW {quoted(database)}.{quoted(name)} AS {sql}")
        for setting in ("enable_external_access=false", "lock_configuration=true"):
            self.connection.execute(f"SET {setting}")

    def _make_macros(self, sql: str) -> None:
        for macro in dialect.macros_for(sql):
            self.connection.execute(macro)

    def _answer(self, sql: str) -> Result:
        self._make_macros(sql)
        # Binding errors come as JSON from here only; the relation below reports them as prose.
        self.connection.execute(f"EXPLAIN {sql}").fetchall()
        relation = self.connection.sql(sql)
        columns = [results.result_column(*pair) for pair in zip(relation.columns, relation.types, strict=True)]
        rows = results.rows_of(relation.to_arrow_reader(_BATCH_ROWS), columns)
        return Result(columns, rows, header=True, extension="csv", scanned=self._binder.scanned)

    def _resolve(self, query: exp.Expr, database: str, depth: int) -> None:
        for scope in traverse_scope(query):
            bases = {name: source for name, source in scope.sources.items() if isinstance(source, exp.Table)}
            alone = len(scope.selected_sources) == 1
            for node, _ in list(scope.selected_sources.values()):
                if isinstance(node, exp.Table) and any(node is base for base in bases.values()):
                    self._resolve_table(node, database, alone=alone, depth=depth)
            if self._with_path and bases:
                _hide_path(scope)

    def _resolve_table(self, node: exp.Table, database: str, *, alone: bool, depth: int) -> None:
        if not isinstance(node.this, exp.Identifier):
            raise QueryFailed(
                "FUNCTION_NOT_FOUND", f"{dialect.position(node.this)}: Table function '{node.name}' not registered"
            )
        named = (node.db or database).lower()
        table = _find(node, named)
        node.set("catalog", None)
        node.set("db", exp.to_identifier(table.database, quoted=True))
        key = (table.database, table.name)
        if table.is_view:
            node.set("this", exp.to_identifier(table.name, quoted=True))
            self._resolve_view(table, depth)
            return
        condition = pruning.partition_condition(node, table, alone=alone)
        node.set("this", exp.to_identifier(table.name, quoted=True))
        self._readings.setdefault(key, _Reading(table)).conditions.append(condition)

    def _resolve_view(self, view: Table, depth: int) -> None:
        key = (view.database, view.name)
        if key in self._views:
            return
        if depth >= _VIEW_DEPTH:
            raise QueryFailed("VIEW_IS_RECURSIVE", f"View '{_CATALOG}.{view.database}.{view.name}' is recursive")
        sql, schema = views.stored_query(view.definition)
        inner = dialect.parse(sql)
        dialect.name_unnamed(inner)
        self._binder.wanted = None
        # The views that this one reads are put before it.
        self._resolve(inner, schema.lower(), depth + 1)
        self._views[key] = dialect.to_duckdb(inner)


def _connect(folder: Path) -> duckdb.DuckDBPyConnection:
    spill = folder / "spill"
    connection = duckdb.connect(":memory:")
    for name, value in {
        "threads": "2",
        "memory_limit": "512MB",
        "temp_directory": str(spill),
        "TimeZone": "UTC",
        "integer_division": "true",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "errors_as_json": "true",
        "allowed_directories": [str(folder)],
    }.items():
        connection.execute(f"SET {name} = {value!r}")
    return connection


def _find(node: exp.Table, database: str) -> Table:
    where = dialect.position(node.this)
    if node.catalog and node.catalog.lower() not in (_CATALOG, "hive"):
        raise QueryFailed("CATALOG_NOT_FOUND", f"{where}: Catalog '{node.catalog.lower()}' does not exist")
    table = catalog.find_table(database, node.name)
    if table is None:
        if not catalog.database_exists(database):
            raise QueryFailed("SCHEMA_NOT_FOUND", f"{where}: Schema '{database}' does not exist")
        name = f"{_CATALOG}.{database}.{node.name.lower()}"
        raise QueryFailed("TABLE_NOT_FOUND", f"{where}: Table '{name}' does not exist")
    if table.parameters.get("table_type", "").upper() == "ICEBERG":
        raise QueryFailed("NOT_SUPPORTED", f"{where}: the lab's Athena does not read Iceberg tables yet")
    return table


def _mentions(query: exp.Expr, name: str) -> bool:
    return any(column.name.lower() == name for column in query.find_all(exp.Column))


def _wanted(query: exp.Expr) -> frozenset[str] | None:
    """The lower-case names that may be columns of tables, None if a star asks for all."""
    stars = (star for star in query.find_all(exp.Star) if not isinstance(star.parent, exp.Count))
    if next(stars, None) is not None:
        return None
    return frozenset(identifier.name.lower() for identifier in query.find_all(exp.Identifier))


def _hide_path(scope: Scope) -> None:
    """`*` does not stand for the hidden column."""
    select = scope.expression
    if not isinstance(select, exp.Select):
        return
    for item in select.expressions:
        star = item if isinstance(item, exp.Star) else item.find(exp.Star) if isinstance(item, exp.Column) else None
        if star is not None:
            star.set("except_", [exp.to_identifier(PATH, quoted=True)])


def _failure(error: duckdb.Error, query: exp.Expr) -> QueryFailed:
    found = _details(error)
    message = str(found.get("exception_message", error)).split("\n")[0]
    name, kind, subtype = str(found.get("name", "")), found.get("exception_type"), found.get("error_subtype")
    where = dialect.position_of_name(query, name) if name else "line 1:1"
    if subtype == "COLUMN_NOT_FOUND":
        return QueryFailed(
            "COLUMN_NOT_FOUND",
            f"{where}: Column '{name}' cannot be resolved or requester is not authorized to access requested resources",
        )
    if kind == "Catalog" and "Function" in str(found.get("type", "")):
        return QueryFailed("FUNCTION_NOT_FOUND", f"{where}: Function '{name}' not registered")
    if subtype == "NO_MATCHING_FUNCTION":
        return QueryFailed("TYPE_MISMATCH", f"{where}: {message}")
    code = _CODES.get(str(kind))
    if code is None:
        return QueryFailed("GENERIC_INTERNAL_ERROR", message, SYSTEM_ERROR)
    if kind == "Binder" and "GROUP BY" in message:
        code = "EXPRESSION_NOT_AGGREGATE"
    return QueryFailed(code, message if code in _WITHOUT_POSITION else f"{where}: {message}")


# DuckDB's kinds of errors and what Athena calls the like.
_CODES = {
    "Binder": "TYPE_MISMATCH",
    "Catalog": "SYNTAX_ERROR",
    "Parser": "SYNTAX_ERROR",
    "Conversion": "INVALID_CAST_ARGUMENT",
    "Out of Range": "NUMERIC_VALUE_OUT_OF_RANGE",
    "Invalid Input": "INVALID_FUNCTION_ARGUMENT",
    "Out of Memory": "EXCEEDED_LOCAL_MEMORY_LIMIT",
    "Not implemented": "NOT_SUPPORTED",
    "Permission": "NOT_SUPPORTED",
}
_WITHOUT_POSITION = frozenset({"INVALID_CAST_ARGUMENT", "NUMERIC_VALUE_OUT_OF_RANGE", "EXCEEDED_LOCAL_MEMORY_LIMIT"})


def _details(error: duckdb.Error) -> dict[str, Any]:
    text = str(error)
    try:
        found = json.loads(text[text.index("{") :])
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
