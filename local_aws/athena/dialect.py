"""Athena's SQL made DuckDB's: parsing, positions for messages, function by function rewriting.

sqlglot translates nearly everything; what it leaves as it was, or translates with another meaning, is listed here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import sqlglot
from sqlglot import exp

from local_aws.athena.errors import RequestRefused

DIALECT = "athena"

# Trino's functions that DuckDB lacks: a macro for each, made only when the query uses it.
MACROS = {
    # DuckDB counts lists and maps by functions of different names and macros know no types: JSON is both.
    "_lab_cardinality": (
        "(c) AS CASE json_type(to_json(c)) WHEN 'ARRAY' THEN json_array_length(to_json(c))::BIGINT"
        " ELSE len(json_keys(to_json(c))) END"
    ),
    "arrays_overlap": "(a, b) AS list_has_any(a, b)",
    "array_union": "(a, b) AS list_distinct(list_concat(a, b))",
    "from_utf8": "(b) AS decode(b)",
    "infinity": "() AS CAST('Infinity' AS DOUBLE)",
    "is_json_scalar": "(j) AS json_type(j::JSON) NOT IN ('OBJECT', 'ARRAY')",
    "json_array_contains": "(j, v) AS list_contains(json_extract_string(j::JSON, '$[*]'), v::VARCHAR)",
    "json_array_get": "(j, i) AS json_extract(j::JSON, '$[' || i || ']')",
    "json_size": "(j, p) AS coalesce(json_array_length(j::JSON, p), len(json_keys(j::JSON, p)), 0)::BIGINT",
    "map_agg": "(k, v) AS map(list(k), list(v))",
    "nan": "() AS CAST('NaN' AS DOUBLE)",
    "to_iso8601": "(t) AS strftime(t, CASE WHEN typeof(t) = 'DATE' THEN '%Y-%m-%d' ELSE '%Y-%m-%dT%H:%M:%S.%g' END)",
    "to_utf8": "(s) AS encode(s)",
    "zip": "(a, b) AS list_zip(a, b)",
}


def quiet() -> None:
    """Keep sqlglot from logging each statement that it reads as a mere command."""
    logging.getLogger("sqlglot").setLevel(logging.ERROR)


def parse(sql: str) -> exp.Expr:
    """The one statement of `sql`.

    Raises RequestRefused (MALFORMED_QUERY): Athena refuses what it cannot parse before a query exists.
    ASSUMPTION: the words after the position; Athena lists the tokens that it expected.
    """
    try:
        statements = [statement for statement in sqlglot.parse(sql, dialect=DIALECT) if statement is not None]
    except sqlglot.errors.ParseError as error:
        where: dict[str, Any] = error.errors[0] if error.errors else {}
        line, end, token = where.get("line") or 1, where.get("col") or 1, where.get("highlight") or ""
        position = f"line {line}:{max(1, end - len(token) + 1)}"
        text = f"{position}: mismatched input '{token}': {where.get('description', 'the statement ends too early')}"
        raise RequestRefused(text, athena_code="MALFORMED_QUERY") from error
    except sqlglot.errors.SqlglotError as error:
        raise RequestRefused(f"line 1:1: {error}", athena_code="MALFORMED_QUERY") from error
    if not statements:
        raise RequestRefused("line 1:1: mismatched input '<EOF>'", athena_code="MALFORMED_QUERY")
    if len(statements) > 1:
        raise RequestRefused(f"Only one sql statement is allowed. Got: {sql}", athena_code="MALFORMED_QUERY")
    return statements[0]


def bind_parameters(statement: exp.Expr, values: list[str]) -> exp.Expr:
    """`statement` with each `?` replaced by one of `values`, which are SQL literals; raises RequestRefused."""
    places = list(statement.find_all(exp.Placeholder, bfs=False))
    if len(places) != len(values):
        raise RequestRefused(f"Incorrect number of parameters: expected {len(places)} but found {len(values)}")
    for place, value in zip(places, values, strict=True):
        literal = parse(f"SELECT {value}").expressions[0]
        if literal.find(exp.Column, exp.Select):
            raise RequestRefused(f"'{value}' is no literal; quote text as 'text'")
        place.replace(literal)
    return statement


def position(node: exp.Expr | None) -> str:
    """`line L:C` of an identifier in the statement that the user wrote."""
    meta = node.meta if node is not None else {}
    if "line" not in meta:
        return "line 1:1"
    return f"line {meta['line']}:{max(1, meta['col'] - (meta['end'] - meta['start']))}"


def position_of_name(statement: exp.Expr, name: str) -> str:
    """`line L:C` of the first identifier or function that is called `name`."""
    for node in statement.find_all(exp.Identifier, exp.Anonymous, bfs=False):
        if node.name.lower() == name.lower() and "line" in node.meta:
            return position(node)
    return "line 1:1"


def name_unnamed(query: exp.Expr) -> None:
    """Give result columns without a name Trino's `_col0`, `_col1`, …; in place.

    ASSUMPTION: behind a `*` the number counts the items of the list, not the columns that the star stands for.
    """
    for select in query.find_all(exp.Select):
        for index, item in enumerate(select.expressions):
            if isinstance(item, exp.Alias | exp.Aliases | exp.Column | exp.Star):
                continue
            name = item.expression.name if isinstance(item, exp.Dot) else f"_col{index}"
            item.replace(exp.alias_(item.copy(), name, quoted=True))


def to_duckdb(query: exp.Expr) -> str:
    """The query in DuckDB's dialect; the argument is not changed."""
    root = query.copy()
    # From the leaves up, so that what a rule wraps has been rewritten already.
    for node in reversed(list(root.walk())):
        rule = _RULES.get(type(node))
        replacement = rule(node) if rule is not None else node
        if replacement is node:
            continue
        if node is root:
            root = replacement
        else:
            node.replace(replacement)
    return root.sql(dialect="duckdb")


def macros_for(sql: str) -> list[str]:
    """The statements that create the macros which `sql`, a statement in DuckDB's dialect, needs."""
    used = {token.text.lower() for token in sqlglot.tokenize(sql, dialect="duckdb")}
    return [f"CREATE OR REPLACE TEMP MACRO {name}{body}" for name, body in MACROS.items() if name in used]


def _date_diff(node: exp.Expr) -> exp.Expr:
    # Trino counts whole units that have passed, DuckDB's date_diff counts boundaries that were crossed.
    unit = exp.Literal.string(node.text("unit").lower() or "day")
    return exp.Anonymous(this="date_sub", expressions=[unit, node.args["expression"], node.args["this"]])


def _cardinality(node: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this="_lab_cardinality", expressions=[node.args["this"]])


def _format(node: exp.Expr) -> exp.Expr:
    template, values = node.this, node.expressions
    if isinstance(template, exp.Literal) and template.name.count("%") == template.name.count("%s"):
        # Trino's %s takes any type.
        values = [exp.cast(value, "TEXT") for value in values]
    return exp.Anonymous(this="printf", expressions=[template, *values])


def _plain_decimal(node: exp.Expr) -> exp.Expr:
    """DECIMAL without a size is decimal(38,0) in Trino; before a literal it has the literal's own size."""
    target = node.args["to"]
    if target.this != exp.DataType.Type.DECIMAL or target.expressions:
        return node
    operand = node.this
    scale = len(operand.this.partition(".")[2]) if isinstance(operand, exp.Literal) and operand.is_string else 0
    return exp.cast(operand, f"DECIMAL(38, {scale})", dialect="duckdb")


def _date_arithmetic(node: exp.Expr) -> exp.Expr:
    """Whole days added to a date stay a date in Trino."""
    operand = node.this
    if isinstance(node, exp.Add | exp.Sub) and not isinstance(node.expression, exp.Interval):
        return node
    is_date = isinstance(operand, exp.CurrentDate | exp.Date) or (
        isinstance(operand, exp.Cast) and operand.to.this == exp.DataType.Type.DATE
    )
    return exp.Cast(this=node.copy(), to=exp.DataType.build("DATE")) if is_date else node


def _slice(node: exp.Expr) -> exp.Expr:
    # Trino gives start and length, DuckDB start and end.
    start, length = node.args["start"], node.args["end"]
    return exp.Anonymous(this="list_slice", expressions=[node.this, start, start.copy() + length - 1])


def _position_in_array(node: exp.Expr) -> exp.Expr:
    return exp.func("coalesce", exp.Anonymous(this="list_position", expressions=[node.this, node.expression]), "0")


_RULES: dict[type[exp.Expr], Callable[[Any], exp.Expr]] = {
    exp.DateDiff: _date_diff,
    exp.ArraySize: _cardinality,
    exp.Format: _format,
    exp.Cast: _plain_decimal,
    exp.TryCast: _plain_decimal,
    exp.DateAdd: _date_arithmetic,
    exp.Add: _date_arithmetic,
    exp.Sub: _date_arithmetic,
    exp.ArraySlice: _slice,
    exp.ArrayPosition: _position_in_array,
}
