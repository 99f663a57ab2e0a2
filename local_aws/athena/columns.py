"""How a column of a file becomes the column that Glue declares: exactly, or not at all.

Columns are matched by name without regard to case; one that a file lacks reads as NULL. Where Athena widens (integers,
floats, decimals) the value is cast with a range check; anything else is HIVE_BAD_DATA, never a silent conversion.
"""

from __future__ import annotations

from typing import Any

from local_aws.athena.hive_types import HiveType, quoted

_INTEGERS = ("tinyint", "smallint", "integer", "bigint", "utinyint", "usmallint", "uinteger", "ubigint")
_HIVE_INTEGERS = ("tinyint", "smallint", "int", "bigint")
_TEXT = ("string", "varchar", "char")
_TIMESTAMPS = ("timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns", "timestamp with time zone")


class Incompatible(Exception):
    """A file's type that cannot be read as the declared one; the text names the file's type."""


def conversion(value: str, file_type: Any, declared: HiveType) -> str:
    """A DuckDB expression that reads `value`, an expression of the DuckDB type `file_type`, as `declared`.

    Raises Incompatible.
    """
    kind = str(file_type.id).lower()
    if kind in ("sqlnull", "null"):
        return f"CAST(NULL AS {declared.duckdb})"
    if declared.kind in ("array", "map", "struct"):
        return _nested(value, file_type, declared)
    read = _primitive(value, kind, file_type, declared)
    if read is None:
        raise Incompatible(str(file_type))
    return read


def _primitive(value: str, kind: str, file_type: Any, declared: HiveType) -> str | None:  # noqa: PLR0911 one case for each type
    if declared.kind in _TEXT:
        return {"varchar": value, "enum": f"CAST({value} AS VARCHAR)", "blob": f"decode({value})"}.get(kind)
    if declared.kind == "binary":
        return {"blob": value, "varchar": f"encode({value})"}.get(kind)
    if declared.kind == "timestamp":
        return _timestamp(value, kind)
    if declared.kind in ("boolean", "date"):
        return value if kind == declared.kind else None
    if declared.kind in ("float", "double"):
        widened = kind == "float" or (kind == "double" and declared.kind == "double")
        return f"CAST({value} AS {declared.duckdb})" if widened else None
    if declared.kind == "decimal":
        return _decimal(value, kind, file_type, declared)
    # ASSUMPTION: a wider integer is read into a narrower column if the value fits.
    return f"CAST({value} AS {declared.duckdb})" if declared.kind in _HIVE_INTEGERS and kind in _INTEGERS else None


def _decimal(value: str, kind: str, file_type: Any, declared: HiveType) -> str | None:
    if kind != "decimal":
        return None
    scale = dict(file_type.children)["scale"]
    # ASSUMPTION: fewer fraction digits than the file has are refused; rounding them away would lose data silently.
    return f"CAST({value} AS {declared.duckdb})" if scale <= declared.scale else None


def _timestamp(value: str, kind: str) -> str | None:
    if kind not in _TIMESTAMPS:
        return None
    # Hive tables have millisecond timestamps in Athena. ASSUMPTION: finer ones are rounded half up, as Trino's reader does.
    micros = f"epoch_us({value})"
    return f"make_timestamp(({micros} + 500) - ((({micros} + 500) % 1000) + 1000) % 1000)"


def _nested(value: str, file_type: Any, declared: HiveType) -> str:
    kind = str(file_type.id).lower()
    if declared.kind == "array" and kind in ("list", "array"):
        element = conversion("e", dict(file_type.children)["child"], declared.children[0][1])
        return f"list_transform({value}, lambda e: {element})"
    if declared.kind == "map" and kind == "map":
        parts = dict(file_type.children)
        key = conversion("k", parts["key"], declared.children[0][1])
        item = conversion("v", parts["value"], declared.children[1][1])
        keys = f"list_transform(map_keys({value}), lambda k: {key})"
        return f"CASE WHEN {value} IS NULL THEN NULL ELSE map({keys}, list_transform(map_values({value}), lambda v: {item})) END"
    if declared.kind == "struct" and kind == "struct":
        present: dict[str, tuple[str, Any]] = {}
        for name, child in file_type.children:
            present.setdefault(name.lower(), (name, child))
        fields = [f"{quoted(name)} := {_field(value, present.get(name), child)}" for name, child in declared.children]
        return f"CASE WHEN {value} IS NULL THEN NULL ELSE struct_pack({', '.join(fields)}) END"
    raise Incompatible(str(file_type))


def _field(value: str, found: tuple[str, Any] | None, declared: HiveType) -> str:
    if found is None:
        return f"CAST(NULL AS {declared.duckdb})"
    name, file_type = found
    return conversion(f"struct_extract({value}, {literal(name)})", file_type, declared)


def literal(text: str) -> str:
    """`text` as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


_WIDER = {"tinyint": 0, "smallint": 1, "int": 2, "bigint": 3}


def coercible(from_partition: HiveType, to_table: HiveType) -> bool:
    """Whether Athena reads a partition that declares one type into a table that declares another.

    ASSUMPTION: the widenings of Trino's Hive connector: integers, float to double, text to text, decimals.
    """
    if from_partition == to_table:
        return True
    kinds = (from_partition.kind, to_table.kind)
    if kinds[0] in _WIDER and kinds[1] in _WIDER:
        return _WIDER[kinds[0]] <= _WIDER[kinds[1]]
    if kinds in (("float", "double"), ("decimal", "decimal")) or (kinds[0] in _TEXT and kinds[1] in _TEXT):
        return True
    if kinds[0] == kinds[1] == "struct":
        old = dict(from_partition.children)
        return all(name not in old or coercible(old[name], child) for name, child in to_table.children)
    if kinds[0] == kinds[1] and from_partition.children:
        pairs = zip(from_partition.children, to_table.children, strict=True)
        return all(coercible(old[1], new[1]) for old, new in pairs)
    return False
