"""Which partitions a query can need: the conditions of its WHERE clauses that speak of partition keys alone.

Only conditions that certainly apply to the table are used: AND-ed terms of the WHERE of the very SELECT that reads it,
not on the nullable side of an outer join. Where in doubt a partition is read; the query's own WHERE still decides.
"""

from __future__ import annotations

import duckdb
from sqlglot import exp

from local_aws.athena.binding import create_key_table
from local_aws.athena.catalog import Partition, Table, value_or_null
from local_aws.athena.dialect import to_duckdb
from local_aws.athena.hive_types import quoted

_CANDIDATES = "_lab_candidates"


def keep_needed(
    connection: duckdb.DuckDBPyConnection, table: Table, partitions: list[Partition], reads: list[exp.Expr | None]
) -> list[Partition]:
    """Those of `partitions` that at least one of `reads`, the table's conditions (None: all of it), can need."""
    if not partitions or any(condition is None for condition in reads):
        return partitions
    columns: dict[str, list[str | None]] = {"number": [str(index) for index in range(len(partitions))]}
    for index in range(len(table.keys)):
        columns[f"key_{index}"] = [value_or_null(partition.values[index]) for partition in partitions]
    create_key_table(connection, _CANDIDATES, columns, table.keys)
    try:
        named = ", ".join(f"key_{index} AS {quoted(key.name)}" for index, key in enumerate(table.keys))
        anywhere = " OR ".join(f"({to_duckdb(condition)})" for condition in reads if condition is not None)
        found = connection.execute(
            f"SELECT number FROM (SELECT number, {named} FROM {_CANDIDATES}) WHERE {anywhere}"
        ).fetchall()
    except duckdb.Error:
        # The query itself will tell what is wrong with the condition; until then nothing is left out.
        return partitions
    finally:
        connection.execute(f"DROP TABLE {_CANDIDATES}")
    kept = {int(row[0]) for row in found}
    return [partition for index, partition in enumerate(partitions) if index in kept]


def partition_condition(read: exp.Table, table: Table, *, alone: bool) -> exp.Expr | None:
    """The condition on partition keys under which this mention of `table` is read, None if there is none.

    `alone` says that no other relation stands in the same FROM, so that unqualified names must be this table's.
    """
    select = read.find_ancestor(exp.Select)
    if select is None or read.find_ancestor(exp.From, exp.Join) is None or _nullable(read, select):
        return None
    where = select.args.get("where")
    if where is None:
        return None
    keys = {key.name for key in table.keys}
    name = read.alias_or_name.lower()
    terms = where.this.flatten() if isinstance(where.this, exp.And) else [where.this]
    usable = [exp.paren(term.copy()) for term in terms if _only_keys(term, name, keys, alone=alone)]
    if not usable:
        return None
    for term in usable:
        for column in list(term.find_all(exp.Column)):
            column.replace(exp.column(exp.to_identifier(column.name.lower(), quoted=True)))
    return exp.and_(*usable)


def _nullable(read: exp.Table, select: exp.Select) -> bool:
    joins = select.args.get("joins") or []
    sides = {(join.side or "").upper() for join in joins}
    if sides & {"RIGHT", "FULL"}:
        return True
    return any((join.side or "").upper() == "LEFT" and join.find(exp.Table) is read for join in joins)


def _only_keys(term: exp.Expr, name: str, keys: set[str], *, alone: bool) -> bool:
    columns = list(term.find_all(exp.Column))
    if not columns or term.find(exp.Subquery, exp.Select, exp.Window, exp.AggFunc):
        return False
    for column in columns:
        qualifier = column.table.lower()
        if column.name.lower() not in keys or (qualifier != name if qualifier else not alone):
            return False
    # Answers that change between planning and running must not leave anything out.
    return term.find(exp.Rand) is None
