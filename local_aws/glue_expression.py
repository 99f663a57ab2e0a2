"""GetPartitions' Expression: the SQL-like filter that Glue evaluates on partition values.

Grammar as documented for Glue's GetPartitions: `=`, `<>`, `!=`, `<`, `<=`, `>`, `>=`, AND, OR, NOT, IN, BETWEEN, LIKE, IS
NULL over the partition keys. Keys of the types string, date, timestamp, int, bigint, long, tinyint, smallint and decimal
may be compared; values are text in Glue and are compared in the type of their key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from typing import Any

import sqlglot
from sqlglot import exp

HIVE_DEFAULT_PARTITION = "__HIVE_DEFAULT_PARTITION__"
_NUMBERS = frozenset({"int", "integer", "bigint", "long", "tinyint", "smallint"})

Row = Mapping[str, Any]
Test = Callable[[Row], "bool | None"]


class ExpressionError(ValueError):
    """An Expression that Glue would refuse with InvalidInputException."""


def compile_expression(expression: str, keys: Mapping[str, str]) -> Callable[[Row], bool]:
    """Turn `expression` into a test of one partition.

    `keys` are the partition keys in lower case with their Hive types. The test takes the typed values of a partition
    (`typed_values`) and says whether it matches; SQL's three-valued logic decides about nulls.
    Raises ExpressionError for a syntax error, an unknown column or a literal that does not fit its key's type.
    """
    try:
        node = sqlglot.parse_one(expression, dialect="presto")
    except sqlglot.errors.SqlglotError as error:
        raise ExpressionError(f"Unsupported expression '{expression}'") from error
    test = _test(node, keys)
    return lambda row: test(row) is True


def typed_values(values: list[str], keys: Mapping[str, str]) -> dict[str, Any]:
    """The values of a partition in the types of its keys; Hive's default partition is null."""
    return {name: _typed(text, kind, name) for (name, kind), text in zip(keys.items(), values, strict=False)}


def _typed(text: str, kind: str, name: str) -> Any:
    if text == HIVE_DEFAULT_PARTITION:
        return None
    base = kind.lower().split("(")[0].strip()
    try:
        if base in _NUMBERS:
            return int(text)
        if base == "decimal":
            return Decimal(text)
        if base == "date":
            return date.fromisoformat(text)
        if base == "timestamp":
            return datetime.fromisoformat(text).replace(tzinfo=None)
    except (ValueError, InvalidOperation) as error:
        raise ExpressionError(f"Value '{text}' of the partition key {name} is no {base}") from error
    return text


def _test(node: exp.Expr, keys: Mapping[str, str]) -> Test:  # noqa: PLR0911 one case for each operator
    if isinstance(node, exp.Paren):
        return _test(node.this, keys)
    if isinstance(node, exp.And | exp.Or):
        return _junction(node, keys)
    if isinstance(node, exp.Not):
        inner = _test(node.this, keys)
        return lambda row: None if (answer := inner(row)) is None else not answer
    if isinstance(node, exp.Boolean):
        constant = bool(node.this)
        return lambda _row: constant
    if isinstance(node, exp.Is):
        return _is_null(node, keys)
    if isinstance(node, exp.In):
        return _in(node, keys)
    if isinstance(node, exp.Between):
        return _between(node, keys)
    if isinstance(node, exp.Like):
        return _like(node, keys)
    return _comparison(node, keys)


def _junction(node: exp.And | exp.Or, keys: Mapping[str, str]) -> Test:
    left, right = _test(node.this, keys), _test(node.expression, keys)
    decisive = isinstance(node, exp.Or)

    def test(row: Row) -> bool | None:
        answers = (left(row), right(row))
        if decisive in answers:
            return decisive
        return None if None in answers else not decisive

    return test


def _is_null(node: exp.Is, keys: Mapping[str, str]) -> Test:
    name, _ = _key(node.this, keys)
    if not isinstance(node.expression, exp.Null):
        raise ExpressionError(f"Unsupported expression '{node.sql(dialect='hive')}'")
    return lambda row: row.get(name) is None


def _in(node: exp.In, keys: Mapping[str, str]) -> Test:
    name, kind = _key(node.this, keys)
    members = [_literal(member, kind, name) for member in node.expressions]
    return lambda row: None if row.get(name) is None else row[name] in members


def _between(node: exp.Between, keys: Mapping[str, str]) -> Test:
    name, kind = _key(node.this, keys)
    low, high = _literal(node.args["low"], kind, name), _literal(node.args["high"], kind, name)
    return lambda row: None if row.get(name) is None else low <= row[name] <= high


def _like(node: exp.Like, keys: Mapping[str, str]) -> Test:
    name, _ = _key(node.this, keys)
    pattern = str(_literal(node.expression, "string", name))
    # fnmatch knows * ? and [ as wildcards: its own are quoted first, then SQL's two are put in their place.
    shell = "".join({"%": "*", "_": "?"}.get(c, f"[{c}]" if c in "*?[" else c) for c in pattern)
    return lambda row: None if row.get(name) is None else fnmatchcase(str(row[name]), shell)


_OPERATORS: dict[type[exp.Expr], Callable[[Any, Any], bool]] = {
    exp.EQ: lambda a, b: bool(a == b),
    exp.NEQ: lambda a, b: bool(a != b),
    exp.LT: lambda a, b: bool(a < b),
    exp.LTE: lambda a, b: bool(a <= b),
    exp.GT: lambda a, b: bool(a > b),
    exp.GTE: lambda a, b: bool(a >= b),
}


def _comparison(node: exp.Expr, keys: Mapping[str, str]) -> Test:
    compare = _OPERATORS.get(type(node))
    if compare is None:
        raise ExpressionError(f"Unsupported expression '{node.sql(dialect='hive')}'")
    left, right = node.args["this"], node.args["expression"]
    if isinstance(_bare(left), exp.Column):
        name, kind = _key(left, keys)
        constant = _literal(right, kind, name)
        return lambda row: None if row.get(name) is None else compare(row[name], constant)
    name, kind = _key(right, keys)
    constant = _literal(left, kind, name)
    return lambda row: None if row.get(name) is None else compare(constant, row[name])


def _bare(node: Any) -> Any:
    while isinstance(node, exp.Paren):
        node = node.this
    return node


def _key(node: Any, keys: Mapping[str, str]) -> tuple[str, str]:
    column = _bare(node)
    if not isinstance(column, exp.Column):
        raise ExpressionError(f"Unsupported expression '{node.sql(dialect='hive')}'")
    name = column.name.lower()
    if name not in keys:
        raise ExpressionError(f"Column '{name}' is no partition key")
    return name, keys[name]


def _literal(node: Any, kind: str, name: str) -> Any:
    bare = _bare(node)
    if isinstance(bare, exp.Neg) and isinstance(bare.this, exp.Literal):
        return _typed("-" + str(bare.this.this), kind, name)
    if isinstance(bare, exp.Cast | exp.Date | exp.Timestamp) and isinstance(bare.this, exp.Literal):
        bare = bare.this
    if not isinstance(bare, exp.Literal):
        raise ExpressionError(f"Unsupported expression '{node.sql(dialect='hive')}'")
    return _typed(str(bare.this), kind, name)
