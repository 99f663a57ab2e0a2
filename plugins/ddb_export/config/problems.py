"""How the configuration says what is wrong: where, what was given, and the one thing to write instead."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import NoReturn

from pydantic_core import PydanticCustomError

from ddb_export.exceptions import ConfigurationError, DdbExportError

_LONGEST_SHOWN = 60
_USER_INFORMATION = re.compile(r"(?<=://)[^/@\s]*@")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in one place.

    :param path: the file, as it was named to the loader.
    :param line: counted from 1.
    :param column: counted from 1.
    :param cause: what is wrong, naming the key and what was given.
    :param remedy: what to write instead.
    """

    path: str
    line: int
    column: int
    cause: str
    remedy: str

    @property
    def place(self) -> str:
        """``path:line:column``, which editors and terminals can open."""
        return f"{self.path}:{self.line}:{self.column}"

    def __str__(self) -> str:
        return str(ConfigurationError(self.place, self.cause, self.remedy))


class InvalidFileError(ConfigurationError):
    """One or more YAML files cannot be used.

    The message is that of the first problem, and counts the others.

    :ivar errors: all problems in the order of the files; of each table misspelt keys first, missing ones last.
    """

    errors: tuple[Problem, ...]

    @classmethod
    def of(cls, problems: Sequence[Problem]) -> InvalidFileError:
        """Make the error of at least one problem."""
        ordered = sorted(dict.fromkeys(problems), key=lambda found: found.path)
        first = ordered[0]
        files = len({problem.path for problem in ordered})
        where = "this file" if files == 1 else f"{files} files"
        more = f" (the first of {len(ordered)} errors in {where})" if len(ordered) > 1 else ""
        error = cls(first.place, first.cause + more, first.remedy)
        error.errors = tuple(ordered)
        return error

    @property
    def path(self) -> str:
        """The file of the first problem."""
        return self.errors[0].path

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self).of, (self.errors,))


class ProblemError(Exception):
    """Ends the reading of one file with its problems; the loader turns it into an :class:`InvalidFileError`."""

    def __init__(self, problem: Problem, *others: Problem) -> None:
        self.problems = (problem, *others)
        super().__init__(str(problem))


def refuse(reason: str, remedy: str | None = None, *, key: str | None = None) -> NoReturn:
    """Refuse a value from inside a pydantic validator.

    :param reason: goes on after "{key} {value}", such as "is not a bucket name".
    :param remedy: what to write; by default what the key accepts.
    :param key: the key to blame, where a check looks at several.
    :raises PydanticCustomError: always; carries the three in its context.
    """
    raise PydanticCustomError("refused", "{reason}", {"reason": reason, "remedy": remedy, "key": key})


def refuse_as(error: DdbExportError, *, key: str | None = None) -> NoReturn:
    """Refuse a value for the reason of one of our own errors."""
    refuse(error.cause, error.remedy, key=key)


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The valid word that a person most likely meant, or None if none is near."""
    found = difflib.get_close_matches(word.lower(), list(words), n=1, cutoff=0.6)
    return found[0] if found else None


def show(value: object, written: str | None = None) -> str:
    """A value as it may stand in a message: short, and without the credentials of a URI.

    :param value: what YAML or Python gave.
    :param written: how it was written, if it was a plain word in YAML (``012``, ``yes``, ``1:30``).
    """
    if isinstance(value, str):
        text = _USER_INFORMATION.sub("***@", value)
        return f"'{text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + '…'}'"
    if isinstance(value, (dict, list, tuple)):
        return ""
    if value is None:
        return "null"
    if written is not None:
        return written[:_LONGEST_SHOWN]
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    text = str(value)[:_LONGEST_SHOWN]
    return text.lower() if isinstance(value, bool) else text


def kind(value: object) -> str:
    """What kind of value YAML saw, in words."""
    if value is None:
        return "nothing"
    kinds: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (bool, "true or false"),
        ((int, float), "a number"),
        (str, "text"),
        (datetime, "a time"),
        (date, "a date"),
        (dict, "a mapping"),
        ((list, tuple), "a list"),
    )
    return next((words for types, words in kinds if isinstance(value, types)), type(value).__name__)
