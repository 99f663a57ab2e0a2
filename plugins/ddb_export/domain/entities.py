"""Entities of a single-table design: which of them an item is, told by the text of one attribute.

An item is at most one entity, whatever the order in which they are declared: ``equals`` comes before patterns, then the pattern with most
characters that are not ``*``, then the name. The same rule stands in Athena's SQL, in pyarrow's expressions and in words, all made here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

ENTITY_VIEWS = ("", "_snapshots", "_changes")
"""What follows ``{name}_{entity}`` in the names of an entity's views."""


@dataclass(frozen=True, slots=True)
class EntityMatch:
    """One entity, and the text that tells it.

    :ivar name: of the entity. :ivar text: what the attribute is. :ivar is_pattern: whether ``*`` in it stands for any characters.
    """

    name: str
    text: str
    is_pattern: bool = False

    @property
    def like(self) -> str:
        """The text as a pattern of SQL's LIKE, with the backslash as its escape."""
        escaped = "".join(f"\\{each}" if each in "\\%_" else each for each in self.text)
        return escaped.replace("*", "%") if self.is_pattern else escaped

    @property
    def regular_expression(self) -> str:
        r"""A pattern in the syntax of RE2, which matches the whole text; for pyarrow.

        Not :attr:`like`: where a pattern has one ``%`` only, at an end, ``match_like`` of pyarrow 26 takes ``\\`` for two characters.
        """
        return rf"\A(?s:{'.*'.join(map(_literal, self.text.split('*')))})\z"

    @property
    def order(self) -> tuple[Any, ...]:
        """What tells which of two comes first."""
        return self.is_pattern, -len(self.text.replace("*", "")), self.name

    def to_json(self) -> Any:
        """Return the text of a pattern, or ``{"equals": text}``."""
        return self.text if self.is_pattern else {"equals": self.text}


def _literal(text: str) -> str:
    """Return text as RE2 takes it to the letter: a backslash before NUL, which is ASCII too, would not do."""
    return "".join(each if each.isalnum() or not each.isascii() else f"\\x{{{ord(each):x}}}" for each in text)


@dataclass(frozen=True)
class Entities:
    """The entities of a table.

    :ivar attribute: exact name of the attribute that tells them. :ivar matches: one for each.
    """

    attribute: str
    matches: tuple[EntityMatch, ...]

    @cached_property
    def ordered(self) -> Sequence[EntityMatch]:
        """The entities in the order in which they are looked at: the first that matches is it."""
        return sorted(self.matches, key=lambda match: match.order)

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits of all that decides which entity an item is."""
        text = json.dumps([self.attribute, [[each.name, each.to_json()] for each in self.ordered]])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """Return them in the form of the configuration."""
        return {"attribute": self.attribute, "tables": {each.name: each.to_json() for each in self.matches}}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Entities:
        """Read what :meth:`to_json` wrote."""
        matches = [
            EntityMatch(name, match, True) if isinstance(match, str) else EntityMatch(name, match["equals"])
            for name, match in document["tables"].items()
        ]
        return cls(document["attribute"], tuple(matches))


@dataclass(frozen=True, slots=True)
class EntityColumns:
    """Which columns the rows of each entity have, as far as it is known.

    :ivar columns: entity → names of columns that are not null in at least one of its rows.
    :ivar whole: whether all that readers see was looked at; if not, an entity may have columns that are not named here.
    """

    columns: Mapping[str, frozenset[str]]
    whole: bool = True

    @classmethod
    def merge_all(cls, parts: Iterable[EntityColumns]) -> EntityColumns:
        """Return what all parts know together."""
        columns: dict[str, frozenset[str]] = {}
        whole = True
        for part in parts:
            whole = whole and part.whole
            for entity, names in part.columns.items():
                columns[entity] = columns.get(entity, frozenset()) | names
        return cls(columns, whole)


def found_json(entities: Entities | None, found: Iterable[Mapping[str, Iterable[str]]]) -> dict[str, Any] | None:
    """Return ``{"rules": fingerprint, "columns": {entity: [names]}}``: what evidence says of the columns that parts of an export have.

    None where no entities are declared.
    """
    if entities is None:
        return None
    merged = EntityColumns.merge_all(
        EntityColumns({entity: frozenset(names) for entity, names in part.items()}) for part in found
    )
    columns = {entity: sorted(names) for entity, names in sorted(merged.columns.items())}
    return {"rules": entities.fingerprint, "columns": columns}


def known_columns(entities: Entities, documents: Iterable[Mapping[str, Any] | None]) -> EntityColumns:
    """Return what evidence says together.

    :param documents: what :func:`found_json` wrote, by whatever rules; None where evidence says nothing.
    """
    return EntityColumns.merge_all(
        EntityColumns({entity: frozenset(names) for entity, names in document["columns"].items()})
        if document and document["rules"] == entities.fingerprint
        else EntityColumns({}, whole=False)
        for document in documents
    )
