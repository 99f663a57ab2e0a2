"""Hive's column types, as Glue stores them, and their exact counterparts in DuckDB and Arrow.

Glue keeps types as text (`struct<pk:struct<S:string>>`); sqlglot's Hive grammar reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import pyarrow as pa
import sqlglot
from sqlglot import exp

from local_aws.athena.errors import QueryFailed

_D = exp.DataType.Type
_PRIMITIVES = {
    _D.BOOLEAN: "boolean",
    _D.TINYINT: "tinyint",
    _D.SMALLINT: "smallint",
    _D.INT: "int",
    _D.BIGINT: "bigint",
    _D.FLOAT: "float",
    _D.DOUBLE: "double",
    _D.TEXT: "string",
    _D.VARCHAR: "varchar",
    _D.CHAR: "char",
    _D.BINARY: "binary",
    _D.VARBINARY: "binary",
    _D.DATE: "date",
    _D.TIMESTAMP: "timestamp",
    _D.TIMESTAMPNTZ: "timestamp",
}
_DUCKDB = {
    "boolean": "BOOLEAN",
    "tinyint": "TINYINT",
    "smallint": "SMALLINT",
    "int": "INTEGER",
    "bigint": "BIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "string": "VARCHAR",
    "varchar": "VARCHAR",
    "char": "VARCHAR",
    "binary": "BLOB",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
}
_ARROW = {
    "boolean": pa.bool_(),
    "tinyint": pa.int8(),
    "smallint": pa.int16(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "string": pa.string(),
    "varchar": pa.string(),
    "char": pa.string(),
    "binary": pa.binary(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
}


def quoted(name: str) -> str:
    """`name` as a quoted SQL identifier; the only way names reach a statement."""
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True)
class HiveType:
    """One parsed type: `kind` is Hive's name of it, `children` the (name, type) pairs of a nested one.

    An array has the one child `element`, a map the children `key` and `value`, a struct its fields in order.
    """

    kind: str
    precision: int = 0
    scale: int = 0
    children: tuple[tuple[str, HiveType], ...] = ()

    @property
    def text(self) -> str:
        """The type as Hive writes it."""
        if self.kind == "decimal":
            return f"decimal({self.precision},{self.scale})"
        if self.kind in ("varchar", "char") and self.precision:
            return f"{self.kind}({self.precision})"
        if self.kind == "struct":
            return "struct<" + ",".join(f"{name}:{child.text}" for name, child in self.children) + ">"
        if self.children:
            return f"{self.kind}<" + ",".join(child.text for _, child in self.children) + ">"
        return self.kind

    @property
    def duckdb(self) -> str:
        """The DuckDB type that holds every value of this type exactly."""
        if self.kind == "decimal":
            return f"DECIMAL({self.precision},{self.scale})"
        if self.kind == "array":
            return f"{self.children[0][1].duckdb}[]"
        if self.kind == "map":
            return f"MAP({self.children[0][1].duckdb}, {self.children[1][1].duckdb})"
        if self.kind == "struct":
            return "STRUCT(" + ", ".join(f"{quoted(name)} {child.duckdb}" for name, child in self.children) + ")"
        return _DUCKDB[self.kind]

    @property
    def arrow(self) -> pa.DataType:
        """The Arrow type that holds every value of this type exactly (timestamps in UTC microseconds)."""
        if self.kind == "decimal":
            return pa.decimal128(self.precision, self.scale)
        if self.kind == "array":
            return pa.list_(self.children[0][1].arrow)
        if self.kind == "map":
            return pa.map_(self.children[0][1].arrow, self.children[1][1].arrow)
        if self.kind == "struct":
            return pa.struct([pa.field(name, child.arrow) for name, child in self.children])
        return _ARROW[self.kind]


@lru_cache(maxsize=4096)
def parse_type(text: str) -> HiveType:
    """Read a type in Hive's syntax, as a Glue column declares it.

    Raises QueryFailed (`HIVE_INVALID_METADATA`) for a text that is no Hive type.
    """
    try:
        node = exp.DataType.build(text.strip() or "string", dialect="hive")
    except (sqlglot.errors.SqlglotError, ValueError) as error:
        raise QueryFailed("HIVE_INVALID_METADATA", f"Glue declares a column of the unknown type '{text}'") from error
    return from_node(node)


def from_node(node: exp.DataType) -> HiveType:
    """The type that sqlglot parsed out of a statement in Hive's grammar."""
    kind = node.this
    if kind == _D.ARRAY:
        return HiveType("array", children=(("element", from_node(node.expressions[0])),))
    if kind == _D.MAP:
        key, value = node.expressions
        return HiveType("map", children=(("key", from_node(key)), ("value", from_node(value))))
    if kind == _D.STRUCT:
        # Hive folds the names of struct fields to lower case, as it does with columns.
        fields = tuple((field.this.name.lower(), from_node(field.args["kind"])) for field in node.expressions)
        return HiveType("struct", children=fields)
    if kind == _D.DECIMAL:
        numbers = [int(parameter.this.this) for parameter in node.expressions]
        precision, scale = [*numbers, 0][:2] if numbers else (10, 0)
        return HiveType("decimal", precision=precision, scale=scale)
    if kind not in _PRIMITIVES:
        raise QueryFailed("HIVE_INVALID_METADATA", f"the type '{node.sql(dialect='hive')}' is not known to the lab")
    length = int(node.expressions[0].this.this) if node.expressions else 0
    return HiveType(_PRIMITIVES[kind], precision=length)
