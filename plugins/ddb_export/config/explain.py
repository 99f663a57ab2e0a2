"""Turns pydantic's findings into what a person can act on: the key, what was given, what to write instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ddb_export.config.fields import Accepts
from ddb_export.config.problems import kind, nearest, show
from ddb_export.config.synonyms import choice, keys_meant
from ddb_export.exceptions import ConfigurationError

Location = tuple[int | str, ...]
Part = TypeVar("Part", bound=BaseModel)


@dataclass(frozen=True)
class Explanation:
    """One finding: ``location`` leads to the value, and ``at`` says which part of it to point at.

    ``meant`` is the valid key that an unknown one most likely stands for. ``block`` leads to the mapping whose keys contradict
    each other, where that is what is wrong.
    """

    location: Location
    at: Literal["key", "value", "mapping"]
    cause: str
    remedy: str
    meant: str | None = None
    block: Location = ()


def read_part(model: type[Part], document: Mapping[str, Any], name: str) -> Part:
    """Read a part of a configuration in the form of the YAML files, with their errors.

    :param name: what errors call it.
    :raises ConfigurationError: the first thing that is wrong, in one line.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        found = explain(model, error, lambda _: None)[0]
        raise ConfigurationError(name, found.cause, found.remedy) from None


def explain(
    model: type[BaseModel], error: ValidationError, written: Callable[[Location], str | None]
) -> list[Explanation]:
    """Explain all findings of a validation: unknown keys, then wrong values, then missing keys in one finding.

    A key that is missing because an unknown one stands for it, misspelt, is not reported a second time.

    :param model: the model that was validated.
    :param error: pydantic's error.
    :param written: gives the literal text of a plain YAML word at a location, or None.
    """
    details = error.errors(include_url=False)
    unknown = [_unknown_key(model, detail) for detail in details if detail["type"] == "extra_forbidden"]
    meant = {(*found.location[:-1], found.meant) for found in unknown}
    missing: dict[Location, list[str]] = {}
    wrong = []
    for detail in details:
        if detail["type"] == "missing":
            if detail["loc"] not in meant:
                missing.setdefault(detail["loc"][:-1], []).append(str(detail["loc"][-1]))
        elif detail["type"] not in ("extra_forbidden", "default_factory_not_called"):
            wrong.append(_wrong_value(model, detail, written))
    return [*unknown, *wrong, *(_missing_keys(model, location, keys) for location, keys in missing.items())]


def _missing_keys(model: type[BaseModel], location: Location, keys: list[str]) -> Explanation:
    quoted = ", ".join(f"'{key}'" for key in keys)
    cause = f"the required key {quoted} is missing" if len(keys) == 1 else f"the required keys {quoted} are missing"
    first = keys[0]
    return Explanation(location, "mapping", cause, f"add {first}: {_accepts(model, (*location, first))}")


def _unknown_key(model: type[BaseModel], detail: ErrorDetails) -> Explanation:
    # The value of an unknown key is never shown: it may be a credential that does not belong here.
    *parents, key = detail["loc"]
    owner = _model_at(model, tuple(parents))
    names = list(owner.model_fields) if owner else []
    near = nearest(str(key), names)
    meant = keys_meant(str(key), names) or ((near,) if near else ())
    if block := _block_with(owner, str(key)):
        remedy, meant = f"move it into '{block}'", ()
    else:
        remedy = f"write {choice(meant)}" if meant else "remove it; the keys are " + ", ".join(names)
    only = meant[0] if len(meant) == 1 else None
    return Explanation(detail["loc"], "key", f"unknown key '{_dotted(detail['loc'])}'", remedy, only)


def _block_with(owner: type[BaseModel] | None, key: str) -> str | None:
    """The block of a mapping that has a key of exactly this name."""
    for name in owner.model_fields if owner else ():
        block = _model_at(owner, (name,)) if owner else None
        if block and key in block.model_fields:
            return name
    return None


def _wrong_value(
    model: type[BaseModel], detail: ErrorDetails, written: Callable[[Location], str | None]
) -> Explanation:
    context: dict[str, Any] = detail.get("ctx", {})
    location, value = detail["loc"], detail["input"]
    remedy: str | None = None
    block: Location = ()
    if detail["type"] == "refused":
        if context["key"]:
            block = location
            location, value = (*location, context["key"]), value.get(context["key"])
        reason, remedy = context["reason"], context["remedy"]
    elif detail["type"] in ("literal_error", "greater_than_equal", "less_than_equal"):
        reason = "is not accepted"
    else:
        reason = f"is {kind(value)}" if value is not None else "is not accepted"
    shown = show(value, written(location))
    accepted = _accepts(model, location)
    if detail["type"] == "literal_error" and isinstance(value, str):
        words = {word.lower(): word for word in _words_of(context)}
        near = nearest(value, words)
        remedy = f"write {words[near]}" if near else None
    cause = " ".join(part for part in (_dotted(location), shown, reason) if part)
    return Explanation(location, "value", cause, remedy or f"write {accepted}", block=block)


def _words_of(context: dict[str, Any]) -> list[str]:
    # pydantic names the words of a Literal as "'a', 'b' or 'c'".
    return re.findall(r"'([^']*)'", context.get("expected", ""))


def _dotted(location: Location) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _model_at(model: type[BaseModel], location: Location) -> type[BaseModel] | None:
    annotation: Any = model
    for part in location:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            field = annotation.model_fields.get(str(part))
            annotation = _without_null(field.annotation) if field else None
        else:
            annotation = _value_type(annotation)
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _without_null(annotation: Any) -> Any:
    """The model of a key that may also be null; any other type as it is."""
    others = [each for each in get_args(annotation) if each is not NoneType]
    may_be_null = len(others) == 1 and NoneType in get_args(annotation)
    return others[0] if may_be_null and isinstance(others[0], type) else annotation


def _value_type(annotation: Any) -> Any:
    """The type of a mapping's values; None for another type."""
    return get_args(annotation)[1] if get_origin(annotation) is Mapping else None


def _accepts(model: type[BaseModel], location: Location) -> str:
    """The words of the innermost type that has some, on the way to a location."""
    words = "another value"
    owner: type[BaseModel] | None = model
    for index, part in enumerate(location):
        if isinstance(part, int):
            continue
        if owner is None:
            owner = _model_at(model, location[: index + 1])
            if owner:
                words = "a mapping of " + ", ".join(owner.model_fields)
                continue
        field = owner.model_fields.get(part) if owner else None
        if field is None:
            break
        inner = [*_accepts_inside(field.annotation)]
        own = [note.words for note in field.metadata if isinstance(note, Accepts)]
        item = len(location) > index + 1 and isinstance(location[index + 1], int)
        words = next(iter(inner if item else own or inner), words)
        owner = _model_at(model, location[: index + 1])
        if owner:
            words = "a mapping of " + ", ".join(owner.model_fields)
    return words


def _accepts_inside(annotation: Any) -> Iterator[str]:
    for argument in get_args(annotation):
        if isinstance(argument, Accepts):
            yield argument.words
        else:
            yield from _accepts_inside(argument)
    for note in getattr(annotation, "__metadata__", ()):
        if isinstance(note, Accepts):
            yield note.words
