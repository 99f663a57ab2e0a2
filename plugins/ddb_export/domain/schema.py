"""The schema document: which attribute of a table is held by which typed column, once and for all.

A column is published with the first export that has its attribute and never changes its type by itself; a
value that does not fit goes to the overflow column. The rules for names and types are a contract with the
people who query the lake, and follow from the statistics of the whole export (:mod:`.statistics`), or from
what the table's owner declared (:mod:`.contract`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ddb_export.domain.attribute_value import TYPE_TAGS
from ddb_export.domain.column_types import DeclaredType, scalar_tag
from ddb_export.domain.contract import DEFAULT_COLUMN_LIMIT, NO_CONTRACT, ColumnRule, Contract
from ddb_export.domain.statistics import AttributeStatistics, ExportStatistics, NumberWidth
from ddb_export.exceptions import ConfigurationError

__all__ = [
    "CHANGES_COLUMNS",
    "DEFAULT_COLUMN_LIMIT",
    "SNAPSHOT_COLUMNS",
    "AttributeStatistics",
    "Column",
    "ExportStatistics",
    "NumberWidth",
    "SchemaDocument",
    "contract_columns",
    "glue_columns",
]

SNAPSHOT_COLUMNS = (("_table_id", "string"), ("_overflow", "string"))
"""Name and Glue type of the columns that each snapshot file begins with."""

CHANGES_COLUMNS = (
    ("_op", "string"),
    ("_written_at", "timestamp"),
    ("_old_image", "string"),
    ("_ttl_expired", "boolean"),
    *SNAPSHOT_COLUMNS,
)
"""Name and Glue type of the columns that each changes file begins with."""

RESERVED_NAMES = frozenset(
    {name for name, _ in CHANGES_COLUMNS} | {"dt", "export_window", "export_time"},
)

_GLUE_NAME_LENGTH = 255
"""Longest column name that Glue takes (Glue API, ``NameString``)."""

_DECIMAL_DIGITS = 38
_INT64_DIGITS = 18
_SIMPLE_ARROW_TYPES = {"S": "string", "B": "binary", "BOOL": "bool", "L": "string", "M": "string"}
_GLUE_TYPES = {
    "string": "string",
    "int64": "bigint",
    "binary": "binary",
    "bool": "boolean",
    "timestamp[us, tz=UTC]": "timestamp",
}
_DECIMAL = re.compile(r"decimal128\((\d+), (\d+)\)")
_LIST = re.compile(r"list<(.+)>")


@dataclass(frozen=True, slots=True)
class Column:
    """One typed column and the attribute whose values it holds.

    :ivar name: the column's name: lower case, ``[a-z0-9_]`` only.
    :ivar attribute: the exact name of the attribute.
    :ivar dynamodb_type: the type tag whose values the column holds.
    :ivar arrow_type: ``string``, ``int64``, ``decimal128(p, s)``, ``binary``, ``bool``, or ``list<…>`` of one; by declaration also
        ``timestamp[us, tz=UTC]`` and ``struct``.
    :ivar unit: of a timestamp, and of those in a struct: what its epoch numbers count, ``s``, ``ms`` or ``us``.
    :ivar members: of a struct, in their order; ``attribute`` is a member's exact name.
    """

    name: str
    attribute: str
    dynamodb_type: str
    arrow_type: str
    unit: str | None = None
    members: tuple[Column, ...] = ()

    def __post_init__(self) -> None:
        if self.dynamodb_type not in TYPE_TAGS:
            raise ValueError(f"column {self.name}: {self.dynamodb_type!r} is no DynamoDB type")
        _ = self.glue_type

    @property
    def glue_type(self) -> str:
        """The type in Glue's and Athena's words, such as ``decimal(38,2)`` or ``array<bigint>``."""
        if self.arrow_type == "struct":
            return f"struct<{','.join(f'{member.name}:{member.glue_type}' for member in self.members)}>"
        return _glue_type(self.arrow_type)

    def to_json(self) -> dict[str, Any]:
        """``{"name": …, "attribute": …, "dynamodb_type": …, "arrow_type": …}``; ``unit`` and ``members`` where there are some."""
        document: dict[str, Any] = {
            "name": self.name,
            "attribute": self.attribute,
            "dynamodb_type": self.dynamodb_type,
            "arrow_type": self.arrow_type,
        }
        if self.unit is not None:
            document["unit"] = self.unit
        if self.members:
            document["members"] = [member.to_json() for member in self.members]
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Column:
        """The inverse of :meth:`to_json`."""
        return cls(
            document["name"],
            document["attribute"],
            document["dynamodb_type"],
            document["arrow_type"],
            document.get("unit"),
            tuple(map(cls.from_json, document.get("members", ()))),
        )


@dataclass(frozen=True, slots=True)
class SchemaDocument:
    """All published columns of a table, in the order of their publication.

    :ivar version: 0 without columns; grows by one with each extension.
    """

    version: int = 0
    columns: tuple[Column, ...] = ()

    @property
    def fingerprint(self) -> str:
        """64 hex digits that follow from the columns alone: equal fingerprints write equal files."""
        text = json.dumps([column.to_json() for column in self.columns], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def extend(
        self,
        statistics: ExportStatistics,
        *,
        column_limit: int | None = None,
        contract: Contract = NO_CONTRACT,
        types_may_differ: bool = False,
    ) -> SchemaDocument:
        """Add a column for each attribute that has none yet; published columns stay as they are.

        An attribute's type is that of most of its values, ties in the order S N B BOOL SS NS BS L M. An
        attribute that is only ever NULL has no type and waits. Where the limit leaves no room for all new
        attributes, key attributes win, because nothing tells rows apart without them, then those of the contract, the one that tells
        entities among them, then those in most rows, ties in code-point order.

        :param statistics: of *all* data files of one export; deciding from a part would decide wrongly.
        :param column_limit: most columns of the document; by default the contract's.
        :param contract: types and names that are declared; it may say nothing else about what is published.
        :param types_may_differ: as in :meth:`require_agreement`.
        :returns: a document with the next version, or this very document if nothing was added.
        :raises ConfigurationError: the contract contradicts a published column.
        """
        self.require_agreement(contract, types_may_differ=types_may_differ)
        statistics = contract.statistics(statistics)
        limit = contract.column_limit if column_limit is None else column_limit
        rules = contract.by_attribute
        known = {column.attribute for column in self.columns}
        candidates = [name for name, seen in statistics.attributes.items() if name not in known and _has_type(seen)]
        first = {*rules, *([contract.entities.attribute] if contract.entities else [])}
        keys = statistics.keys
        candidates.sort(key=lambda name: (name not in keys, name not in first, -statistics.attributes[name].rows, name))
        chosen = sorted(candidates[: max(0, limit - len(self.columns))])
        if not chosen:
            return self
        names = self._names(chosen, rules)
        added = tuple(_new_column(names[name], name, statistics.attributes[name], rules.get(name)) for name in chosen)
        return SchemaDocument(self.version + 1, self.columns + added)

    def contradicted(self, contract: Contract) -> tuple[Column, ...]:
        """Return the published columns that have another type than the contract gives them, which only a widening mends."""
        return tuple(column for column in self.columns if column_as_declared(column, contract) != column)

    def require_agreement(self, contract: Contract, *, types_may_differ: bool = False) -> None:
        """Refuse a contract that says something else about what is published: a published column never changes by itself.

        :param types_may_differ: let pass what a widening mends, because one is going to. Names it cannot change.
        :raises ConfigurationError: it does.
        """
        for column in self.columns:
            require_column_agreement(column, contract, types_may_differ=types_may_differ)
        names = {column.name: column for column in self.columns}
        for rule in contract.rules:
            holder = names.get(rule.name or "")
            if holder is not None and holder.attribute != rule.attribute:
                raise ConfigurationError(
                    f"contract.columns.{rule.attribute}.name",
                    f"the column {holder.name} is published, and holds the attribute {holder.attribute!r}",
                    "give it another name",
                )

    def _names(self, attributes: Iterable[str], rules: Mapping[str, ColumnRule]) -> dict[str, str]:
        declared = {rule.attribute: rule.name for rule in rules.values() if rule.name}
        taken = RESERVED_NAMES | {column.name for column in self.columns} | set(declared.values())
        others = [attribute for attribute in attributes if attribute not in declared]
        return {**declared, **dict(zip(others, _unique_names(others, taken), strict=True))}

    def to_json(self) -> dict[str, Any]:
        """``{"version": n, "columns": [Column.to_json(), …]}``."""
        return {"version": self.version, "columns": [column.to_json() for column in self.columns]}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> SchemaDocument:
        """The inverse of :meth:`to_json`."""
        return cls(int(document["version"]), tuple(Column.from_json(column) for column in document["columns"]))


def contract_columns(export_type: str) -> tuple[tuple[str, str], ...]:
    """Name and Glue type of the columns that come before the attributes.

    :param export_type: ``FULL_EXPORT`` or ``INCREMENTAL_EXPORT``.
    """
    return CHANGES_COLUMNS if export_type == "INCREMENTAL_EXPORT" else SNAPSHOT_COLUMNS


def glue_columns(schema: SchemaDocument, export_type: str) -> list[tuple[str, str]]:
    """Name and Glue type of all columns of a file, in the file's order.

    :param export_type: ``FULL_EXPORT`` or ``INCREMENTAL_EXPORT``.
    """
    return [*contract_columns(export_type), *((column.name, column.glue_type) for column in schema.columns)]


def _has_type(statistics: AttributeStatistics) -> bool:
    return any(statistics.counts.get(tag) for tag in TYPE_TAGS)


def _dominant_type(statistics: AttributeStatistics) -> str:
    return max(TYPE_TAGS, key=lambda tag: statistics.counts.get(tag, 0))


def require_column_agreement(column: Column, contract: Contract, *, types_may_differ: bool = False) -> None:
    """Refuse a contract that says something else about a column that is published, or is about to be.

    :param types_may_differ: ask for its name only. :raises ConfigurationError: it does.
    """
    rule = contract.by_attribute.get(column.attribute)
    if rule is None:
        return
    if rule.name and rule.name != column.name:
        raise ConfigurationError(
            f"contract.columns.{rule.attribute}.name",
            f"the attribute is published as column {column.name}, and a published column keeps its name",
            f"write name: {column.name}, or leave it out; to give the data another name, make a view",
        )
    wanted = column if types_may_differ else column_as_declared(column, contract)
    if wanted != column:
        words = "hash: true makes it string" if rule.hash else f"the contract says {rule.type}"
        if wanted.glue_type == column.glue_type:
            words += f" with other values ({wanted.dynamodb_type}, not {column.dynamodb_type}), units or member names"
        raise ConfigurationError(
            f"contract.columns.{rule.attribute}",
            f"the attribute is published as column {column.name} {column.glue_type}, and {words}",
            "rewrite what is published, with ddb-export widen (its --plan says what it costs) or a run by hand with widen: true,"
            " or declare what is published",
        )


def column_as_declared(column: Column, contract: Contract) -> Column:
    """Return a column with the type that the contract gives it; itself where it gives none, or this very one."""
    rule = contract.by_attribute.get(column.attribute)
    declared = rule.declared_type if rule else None
    if rule is None or declared is None:
        return column
    tag = column.dynamodb_type if column.dynamodb_type in declared.tags and not rule.hash else declared.tag
    return declared_column(column.name, column.attribute, declared, tag, rule.unit)


def declared_column(name: str, attribute: str, declared: DeclaredType, tag: str, unit: str | None) -> Column:
    """Return the column of a declared type.

    :param tag: the DynamoDB type whose values it holds, one of the declared type's.
    :param unit: of its timestamps.
    """
    inner = dict(declared.members)
    members = tuple(
        declared_column(member, exact, kind, _member_tag(kind), unit)
        for member, (exact, kind) in zip(_unique_names(inner, frozenset()), inner.items(), strict=True)
    )
    return Column(name, attribute, tag, declared.arrow, unit if declared.has_timestamps else None, members)


def _member_tag(kind: DeclaredType) -> str:
    """Return the type tag of a struct's member: there, arrays hold lists and strings hold strings only."""
    if kind.element is not None:
        return "L"
    return "M" if kind.members else scalar_tag(kind.arrow)


def _new_column(name: str, attribute: str, statistics: AttributeStatistics, rule: ColumnRule | None = None) -> Column:
    declared = rule.declared_type if rule else None
    if rule and declared:
        tag = max(declared.tags, key=lambda tag: statistics.counts.get(tag, 0))
        return declared_column(name, attribute, declared, tag, rule.unit)
    tag = _dominant_type(statistics)
    if tag == "N":
        arrow_type = _number_type(statistics.numbers)
    elif tag == "NS":
        arrow_type = f"list<{_number_type(statistics.set_numbers)}>"
    elif tag in ("SS", "BS"):
        arrow_type = f"list<{_SIMPLE_ARROW_TYPES[tag[0]]}>"
    else:
        arrow_type = _SIMPLE_ARROW_TYPES[tag]
    return Column(name, attribute, tag, arrow_type)


def _number_type(width: NumberWidth) -> str:
    if width.all_integers and width.integer_digits <= _INT64_DIGITS:
        return "int64"
    if width.integer_digits + width.fraction_digits <= _DECIMAL_DIGITS:
        return f"decimal128({_DECIMAL_DIGITS}, {width.fraction_digits})"
    return "string"


def _unique_names(attributes: Iterable[str], taken: frozenset[str]) -> list[str]:
    used = set(taken)
    names = []
    for attribute in attributes:
        base = re.sub(r"[^a-z0-9_]", "_", attribute.lower())[:_GLUE_NAME_LENGTH] or "_"
        name, number = base, 1
        while name in used:
            number += 1
            suffix = f"_{number}"
            name = base[: _GLUE_NAME_LENGTH - len(suffix)] + suffix
        used.add(name)
        names.append(name)
    return names


def _glue_type(arrow_type: str) -> str:
    if simple := _GLUE_TYPES.get(arrow_type):
        return simple
    if decimal := _DECIMAL.fullmatch(arrow_type):
        return f"decimal({decimal[1]},{decimal[2]})"
    if element := _LIST.fullmatch(arrow_type):
        return f"array<{_glue_type(element[1])}>"
    raise ValueError(f"{arrow_type!r} is no column type of the lake")
