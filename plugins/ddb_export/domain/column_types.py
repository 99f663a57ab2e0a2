"""The types that a contract may declare, in Hive's words, as Glue and Athena know them.

A declared type says which DynamoDB values a column holds, and how. Numbers keep their exact value (``decimal``), epoch numbers may become
``timestamp``, and maps whose members are known may become ``struct``; a value that does not fit exactly goes to ``_overflow``.
Words: AWS Glue Developer Guide, "Data types", and Athena User Guide, "Data types in Amazon Athena".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

MOST_DECIMAL_DIGITS = 38
"""Most digits of Hive's, Athena's and Arrow's 128-bit decimal."""

DEEPEST_STRUCT = 8
"""Levels of struct in struct that may be declared."""

UNITS: Mapping[str, int] = {"s": 1_000_000, "ms": 1000, "us": 1}
"""Unit of an epoch number → microseconds in it."""

_SCALARS: Mapping[str, tuple[str, str]] = {
    "string": ("S", "string"),
    "bigint": ("N", "int64"),
    "boolean": ("BOOL", "bool"),
    "binary": ("B", "binary"),
    "timestamp": ("N", "timestamp[us, tz=UTC]"),
}
_INSTEAD = {
    **dict.fromkeys(("int", "integer", "long", "smallint", "tinyint", "int64", "number"), "bigint"),
    **dict.fromkeys(("double", "float", "real", "numeric"), "decimal(38,S), S being its fraction digits"),
    **dict.fromkeys(("varchar", "char", "text", "str", "json"), "string"),
    **dict.fromkeys(("bool",), "boolean"),
    **dict.fromkeys(("bytes", "blob", "varbinary"), "binary"),
    **dict.fromkeys(("datetime", "date"), "timestamp, with its unit"),
    **dict.fromkeys(("map", "row"), "struct<name:type,…>"),
    **dict.fromkeys(("list", "set"), "array<type>"),
}
ACCEPTED_TYPES = "string, bigint, decimal(P,S), boolean, binary, timestamp, array<type> or struct<name:type,…>"

_TOKEN = re.compile(r"\s*(?:`((?:[^`]|``)+)`|([^\s<>(),:`]+)|([<>(),:]))")
_DECIMAL_ARROW = re.compile(r"decimal128\((\d+), (\d+)\)")


class DeclaredTypeError(ValueError):
    """The text names no type. ``remedy`` says what to write, if it is known."""

    def __init__(self, reason: str, remedy: str | None = None) -> None:
        self.remedy = remedy
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class DeclaredType:
    """A type as it was declared.

    :ivar kind: ``string``, ``bigint``, ``decimal``, ``boolean``, ``binary``, ``timestamp``, ``array`` or ``struct``.
    :ivar digits: of a decimal, all and those after the point.
    :ivar element: of an array. :ivar members: of a struct, exact name → type.
    """

    kind: str
    digits: tuple[int, int] = (0, 0)
    element: DeclaredType | None = None
    members: tuple[tuple[str, DeclaredType], ...] = ()

    @property
    def text(self) -> str:
        """The type in its one canonical spelling."""
        if self.kind == "decimal":
            return f"decimal({self.digits[0]},{self.digits[1]})"
        if self.element is not None:
            return f"array<{self.element.text}>"
        if self.kind == "struct":
            return f"struct<{','.join(f'{_quoted(name)}:{kind.text}' for name, kind in self.members)}>"
        return self.kind

    @property
    def has_timestamps(self) -> bool:
        """Whether it needs the unit of epoch numbers."""
        return self.kind == "timestamp" or any(kind.has_timestamps for _, kind in self.members)

    @property
    def tag(self) -> str:
        """The DynamoDB type that it holds first of all."""
        return self.tags[0]

    @property
    def tags(self) -> tuple[str, ...]:
        """The DynamoDB types that it can hold, the likeliest first; one column holds one of them.

        ``string`` also holds numbers digit by digit, and lists and maps as JSON text. An array holds a set, or a list whose elements are
        all of the one type.
        """
        if self.kind == "string":
            return ("S", "N", "L", "M")
        if self.kind == "decimal":
            return ("N",)
        if self.kind == "struct":
            return ("M",)
        if self.element is None:
            return (_SCALARS[self.kind][0],)
        if self.element.kind == "string":
            return ("SS", "NS", "L")
        return {"bigint": ("NS", "L"), "decimal": ("NS", "L"), "binary": ("BS", "L")}.get(self.element.kind, ("L",))

    @property
    def arrow(self) -> str:
        """The type as :attr:`ddb_export.domain.schema.Column.arrow_type` has it; of a struct without its members."""
        if self.kind == "decimal":
            return f"decimal128({self.digits[0]}, {self.digits[1]})"
        if self.element is not None:
            return f"list<{self.element.arrow}>"
        return "struct" if self.kind == "struct" else _SCALARS[self.kind][1]


def parse_declared_type(text: str) -> DeclaredType:
    """Read a type in Hive's words; letters of either case, blanks where they do not matter, names in backquotes if need be.

    :raises DeclaredTypeError: it is no type that a column can have.
    """
    tokens = _tokens(text)
    parsed = _parse(tokens, 0)
    if tokens:
        raise DeclaredTypeError(f"goes on after the type, with {tokens[0][1]!r}")
    return parsed


def scalar_tag(arrow_type: str) -> str:
    """Return the type tag of the elements of an array that holds a list, and of a struct's members."""
    if arrow_type.startswith("decimal"):
        return "N"
    return next(tag for tag, arrow in _SCALARS.values() if arrow == arrow_type)


def decimal_digits(arrow_type: str) -> tuple[int, int] | None:
    """Return all digits of a decimal type and those after its point; None for another type."""
    found = _DECIMAL_ARROW.fullmatch(arrow_type)
    return (int(found[1]), int(found[2])) if found else None


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"\w+", name, re.ASCII) else "`" + name.replace("`", "``") + "`"


def _tokens(text: str) -> list[tuple[bool, str]]:
    """Cut a text into (whether it is a name in backquotes, token)."""
    tokens = []
    place = 0
    text = text.rstrip()
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            raise DeclaredTypeError("has a backquote without its other")
        tokens.append((True, found[1].replace("``", "`")) if found[1] else (False, found[2] or found[3]))
        place = found.end()
    return tokens


def _expect(tokens: list[tuple[bool, str]], token: str) -> None:
    if not tokens or tokens[0] != (False, token):
        raise DeclaredTypeError(f"lacks a {token!r}")
    tokens.pop(0)


def _parse(tokens: list[tuple[bool, str]], depth: int) -> DeclaredType:
    if not tokens:
        raise DeclaredTypeError("ends too early")
    quoted, word = tokens.pop(0)
    kind = word.lower()
    if quoted or (kind not in _SCALARS and kind not in ("decimal", "array", "struct")):
        instead = _INSTEAD.get(kind)
        raise DeclaredTypeError("is not a type that a column can have", f"write {instead}" if instead else None)
    if kind == "decimal":
        return DeclaredType(kind, _parse_digits(tokens))
    if kind == "array":
        return _parse_array(tokens)
    if kind == "struct":
        return _parse_struct(tokens, depth)
    return DeclaredType(kind)


def _parse_digits(tokens: list[tuple[bool, str]]) -> tuple[int, int]:
    digits = [MOST_DECIMAL_DIGITS, 0]
    if tokens and tokens[0] == (False, "("):
        tokens.pop(0)
        for place, after in ((0, ","), (1, ")")):
            if not tokens or not re.fullmatch("[0-9]{1,2}", tokens[0][1]):
                raise DeclaredTypeError(
                    "lacks the digits of the decimal", "write decimal(38,2), for two after the point"
                )
            digits[place] = int(tokens.pop(0)[1])
            _expect(tokens, after)
    if not 1 <= digits[0] <= MOST_DECIMAL_DIGITS or digits[1] > digits[0]:
        raise DeclaredTypeError("is a decimal that does not exist", "write decimal(P,S), P from 1 to 38, S up to P")
    return digits[0], digits[1]


def _parse_array(tokens: list[tuple[bool, str]]) -> DeclaredType:
    _expect(tokens, "<")
    element = _parse(tokens, DEEPEST_STRUCT)
    if element.kind in ("array", "timestamp"):
        raise DeclaredTypeError(
            f"is an array of {element.kind}",
            "write an array of string, bigint, decimal(P,S), boolean or binary, or string for JSON text",
        )
    _expect(tokens, ">")
    return DeclaredType("array", element=element)


def _parse_struct(tokens: list[tuple[bool, str]], depth: int) -> DeclaredType:
    if depth >= DEEPEST_STRUCT:
        raise DeclaredTypeError(
            f"is a struct inside an array, or deeper than {DEEPEST_STRUCT} levels", "write string there, for JSON text"
        )
    _expect(tokens, "<")
    members: dict[str, DeclaredType] = {}
    while True:
        if not tokens:
            raise DeclaredTypeError("lacks a '>'")
        name = tokens.pop(0)[1]
        _expect(tokens, ":")
        if name in members:
            raise DeclaredTypeError(f"names the member {name!r} twice")
        members[name] = _parse(tokens, depth + 1)
        if not tokens or tokens[0] != (False, ","):
            break
        tokens.pop(0)
    _expect(tokens, ">")
    return DeclaredType("struct", members=tuple(members.items()))
