"""DynamoDB values as text Ion, the way the Developer Guide (S3DataExport.Output) shows export files.

No genuine Ion export is public; the shapes below follow the guide's table of type mappings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

_IDENTIFIER = re.compile(r"^[A-Za-z_$][A-Za-z0-9_$]*$")
_RESERVED = frozenset(("null", "true", "false", "nan"))


def struct(item: dict[str, Any]) -> str:
    """An item or nested map as an Ion struct."""
    return "{" + ",".join(f"{_symbol(name)}:{value(attribute)}" for name, attribute in item.items()) + "}"


def value(attribute: dict[str, Any]) -> str:
    """One attribute value (``{TYPE: value}``) as Ion."""
    ((tag, content),) = attribute.items()
    return _WRITERS[tag](content) if tag in _WRITERS else _set(tag, content)


def _set(tag: str, members: list[str]) -> str:
    return f"$dynamodb_{tag}::[" + ",".join(value({tag[0]: member}) for member in members) + "]"


def _list(members: list[dict[str, Any]]) -> str:
    return "[" + ",".join(map(value, members)) + "]"


def _decimal(number: str) -> str:
    # An Ion integer would be another type: the guide shows decimals with a trailing point.
    return number if "." in number else number + "."


def _symbol(name: str) -> str:
    if _IDENTIFIER.match(name) and name not in _RESERVED and not name.startswith("$"):
        return name
    quoted = json.dumps(name, ensure_ascii=False)[1:-1].replace('\\"', '"').replace("'", "\\'")
    return f"'{quoted}'"


_WRITERS: dict[str, Callable[[Any], str]] = {
    "S": lambda text: json.dumps(text, ensure_ascii=False),
    "N": _decimal,
    "B": lambda base64: f"{{{{{base64}}}}}",
    "BOOL": lambda truth: "true" if truth else "false",
    # ASSUMPTION: the guide's table leaves NULL out.
    "NULL": lambda _always: "null",
    "L": _list,
    "M": struct,
}
