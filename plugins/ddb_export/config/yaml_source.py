"""YAML that remembers where each key and value was written, and how.

PyYAML's nodes carry positions that its plain values have lost; this module keeps both. Only plain data is
read (mappings, lists, text, numbers, true/false, null, dates and times); anchors, aliases and ``<<`` work, a
key given twice is an error, and so is any tag that would make another object.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import yaml
from yaml.constructor import ConstructorError, SafeConstructor
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from ddb_export.config.problems import Problem, ProblemError

try:
    from yaml import CSafeLoader as _FastLoader
except ImportError:  # PyYAML without libyaml: the same, slower
    from yaml import SafeLoader as _FastLoader  # type: ignore[assignment]

_TAG = "tag:yaml.org,2002:"
_SCALARS = frozenset(_TAG + name for name in ("str", "int", "float", "bool", "null", "timestamp"))
_LARGEST_FILE = 1_000_000
_DEEPEST = 20
_STAR_AND_MORE = re.compile(r"\*[^\s,\]}]+[ \t]+[^\s#,\]}]")
"""A word that begins with ``*`` and has another one behind it in its line, as cron expressions have; no alias was meant."""


@dataclass(frozen=True)
class Located:
    """A value of a YAML file with its place.

    :param value: a scalar, a list of :class:`Located`, or a mapping of keys to :class:`Entry`.
    :param path: the file, as it was named to the loader.
    :param line: counted from 1.
    :param column: counted from 1.
    :param written: how a scalar without quotes was written, such as ``012`` or ``yes``; None for others.
    """

    value: object
    path: str
    line: int
    column: int
    written: str | None = None

    @property
    def entries(self) -> Mapping[str, Entry] | None:
        """The entries, if this is a mapping."""
        return self.value if isinstance(self.value, dict) else None

    @property
    def items(self) -> list[Located] | None:
        """The items, if this is a list."""
        return self.value if isinstance(self.value, list) else None

    def problem(self, cause: str, remedy: str) -> Problem:
        """Something that is wrong at this place."""
        return Problem(self.path, self.line, self.column, cause, remedy)


@dataclass(frozen=True)
class Entry:
    """A key of a mapping, and its value."""

    key: Located
    value: Located


def read_yaml(file: Path) -> Located | None:
    """Read one YAML document.

    :param file: a file of UTF-8 text.
    :return: its content, or None if it holds nothing but comments.
    :raises ProblemError: the file cannot be read, or is not plain YAML; names line and column.
    """
    path = str(file)
    try:
        if file.stat().st_size > _LARGEST_FILE:
            raise ProblemError(Problem(path, 1, 1, "the file is larger than 1 MB", "split it into several files"))
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ProblemError(
            Problem(path, 1, 1, f"the file cannot be read ({reason})", "check that it exists and may be read")
        ) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ProblemError(Problem(path, line, 1, "the file is not UTF-8 text", "save it as UTF-8")) from None
    node = _compose(text, path)
    return None if node is None else _Reader(path).read(node)


def _compose(text: str, path: str) -> Node | None:
    try:
        return yaml.compose(text, Loader=_FastLoader)
    except (yaml.YAMLError, RecursionError):
        pass
    # libyaml words its errors in its own way; those of the Python parser are the same on every machine.
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        alias_mark = error.context_mark if error.context == "while scanning an alias" else None
        mark = alias_mark or error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        reason = str(error.problem or error.context)
        if alias_mark or (mark and _STAR_AND_MORE.match(text, mark.index)):
            reason = f"an alias (*name) cannot be read here: {reason}"
        raise ProblemError(_syntax_problem(path, line, column, reason)) from None
    except yaml.YAMLError as error:
        line = text[: getattr(error, "position", 0)].count("\n") + 1
        cause = "the file holds a character that YAML does not allow"
        raise ProblemError(Problem(path, line, 1, cause, "remove the control character")) from None
    except RecursionError:
        raise ProblemError(_too_deep(path, 1, 1)) from None


def _syntax_problem(path: str, line: int, column: int, reason: str) -> Problem:
    remedy = "check indentation, colons and quotes in this line and the one before"
    if "'\\t'" in reason:
        remedy = "indent with spaces, not with tabs"
    elif "another document" in reason:
        remedy = "keep one document per file; several tables go into the list 'tables'"
    elif reason.startswith("an alias "):
        remedy = "put the value in quotes, such as '*/15 * * * *'"
    elif "undefined alias" in reason:
        remedy = "define the anchor (&name) above the alias (*name)"
    elif reason.startswith(("found character '@'", "found character '%'", "found character '`'")):
        remedy = "put the value in quotes, such as '@daily'"
    return Problem(path, line, column, f"not valid YAML: {reason}", remedy)


def _too_deep(path: str, line: int, column: int) -> Problem:
    return Problem(path, line, column, f"nested more than {_DEEPEST} levels deep", "write a flat mapping")


class _Reader:
    """Turns the nodes of one file into located values; a node that is aliased is read once."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._read: dict[int, Located] = {}
        self._open: list[int] = []
        self._constructor = SafeConstructor()

    def read(self, node: Node) -> Located:
        if id(node) in self._read:
            return self._read[id(node)]
        if id(node) in self._open:
            self._refuse(node, "an alias refers to the value that it stands in", "write the value out")
        if len(self._open) > _DEEPEST:
            raise ProblemError(_too_deep(self._path, *_place(node)))
        self._open.append(id(node))
        located = self._located(node)
        self._open.pop()
        self._read[id(node)] = located
        return located

    def _located(self, node: Node) -> Located:
        if isinstance(node, ScalarNode) and node.tag in _SCALARS:
            written = None if node.style else node.value
            return Located(self._scalar(node), self._path, *_place(node), written)
        if isinstance(node, SequenceNode) and node.tag == _TAG + "seq":
            return Located([self.read(item) for item in node.value], self._path, *_place(node))
        if isinstance(node, MappingNode) and node.tag == _TAG + "map":
            return Located(self._mapping(node), self._path, *_place(node))
        tag = node.tag.replace(_TAG, "!!")
        remedy = "write plain text, a number, a list or a mapping"
        return self._refuse(node, f"the YAML tag '{tag}' is not supported", remedy)

    def _scalar(self, node: ScalarNode) -> object:
        try:
            value = self._constructor.construct_object(node)
        except (ValueError, OverflowError, ConstructorError):
            name = node.tag.replace(_TAG, "")
            self._refuse(node, f"{node.value[:60]} is no valid {name}", "correct it, or put it in quotes")
        if isinstance(value, datetime):
            # YAML 1.1, timestamp: "If the time zone is omitted, the timestamp is assumed to be in UTC".
            return value.replace(tzinfo=UTC) if value.tzinfo is None else value
        return value

    def _mapping(self, node: MappingNode) -> dict[str, Entry]:
        own: dict[str, Entry] = {}
        merged: dict[str, Entry] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _TAG + "merge":
                for name, entry in self._merged(value_node).items():
                    merged.setdefault(name, entry)
                continue
            if not isinstance(key_node, ScalarNode):
                self._refuse(key_node, "a key is a list or a mapping", "write a word as the key")
            key = Located(key_node.value, self._path, *_place(key_node))
            if key_node.value in own:
                first = own[key_node.value].key.line
                self._refuse(
                    key_node,
                    f"the key '{key_node.value}' is given twice, first in line {first}",
                    "keep one of them",
                )
            own[key_node.value] = Entry(key, self.read(value_node))
        return {**merged, **own}

    def _merged(self, node: Node) -> dict[str, Entry]:
        merged: dict[str, Entry] = {}
        for source in node.value if isinstance(node, SequenceNode) else [node]:
            located = self.read(source)
            if located.entries is None:
                self._refuse(source, "'<<' takes a mapping", "name an anchor of a mapping, such as <<: *common")
            for name, entry in (located.entries or {}).items():
                merged.setdefault(name, entry)
        return merged

    def _refuse(self, node: Node, cause: str, remedy: str) -> NoReturn:
        raise ProblemError(Problem(self._path, *_place(node), cause, remedy))


def _place(node: Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1
