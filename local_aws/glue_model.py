"""The limits that botocore's service model declares, checked the way AWS's front door checks them.

boto3 checks minima and required members on the client only; maxima, patterns and enums are left to the service.
Glue's and Athena's emulations both ask this room, so that a request AWS would refuse is refused here too.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StructureShape

_SHOWN = 256


@lru_cache(maxsize=4)
def service_model(service: str) -> ServiceModel:
    """Botocore's own model of `service` (`glue`, `athena`), loaded once."""
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


def violations(service: str, operation: str, request: dict[str, Any]) -> list[str]:
    """What in `request` breaks the model of `operation`, each in AWS's words; empty if nothing does.

    Checked: required members, length and number of elements, ranges, enums (source: botocore model). Patterns are
    not: botocore keeps them in Java's dialect.
    """
    shape = service_model(service).operation_model(operation).input_shape
    return _check(shape, request, "") if shape is not None else []


def violation_message(found: list[str]) -> str:
    """The one message that AWS makes of several violations."""
    plural = "error" if len(found) == 1 else "errors"
    return f"{len(found)} validation {plural} detected: " + "; ".join(found)


def _check(shape: Shape, value: Any, path: str) -> list[str]:
    if value is None:
        return []
    if isinstance(shape, StructureShape):
        return _check_structure(shape, value, path)
    found = _check_bounds(shape, value, path)
    if isinstance(shape, ListShape):
        for index, element in enumerate(value, start=1):
            found += _check(shape.member, element, f"{path}.{index}.member")
    elif isinstance(shape, MapShape):
        for key, element in value.items():
            found += _check_bounds(shape.key, key, path) + _check(shape.value, element, f"{path}.{key}")
    return found


def _check_structure(shape: StructureShape, value: dict[str, Any], path: str) -> list[str]:
    found = [
        f"Value null at '{_member(path, name)}' failed to satisfy constraint: Member must not be null"
        for name in shape.required_members
        if value.get(name) is None
    ]
    for name, element in value.items():
        if name in shape.members:
            found += _check(shape.members[name], element, _member(path, name))
    return found


def _check_bounds(shape: Shape, value: Any, path: str) -> list[str]:
    bounds = shape.metadata
    counted = isinstance(value, str | list | dict)
    size = len(value) if counted else value
    found = []
    if bounds.get("enum") and value not in bounds["enum"]:
        found.append(_text(value, path, f"Member must satisfy enum value set: [{', '.join(bounds['enum'])}]"))
    if isinstance(size, bool) or not isinstance(size, int | float):
        return found
    what = "length" if counted else "value"
    if "min" in bounds and size < bounds["min"]:
        found.append(_text(value, path, f"Member must have {what} greater than or equal to {bounds['min']}"))
    if "max" in bounds and size > bounds["max"]:
        found.append(_text(value, path, f"Member must have {what} less than or equal to {bounds['max']}"))
    return found


def _text(value: Any, path: str, constraint: str) -> str:
    shown = str(value)
    if len(shown) > _SHOWN:
        shown = shown[:_SHOWN] + "…"
    return f"Value '{shown}' at '{path}' failed to satisfy constraint: {constraint}"


def _member(path: str, name: str) -> str:
    camel = name[:1].lower() + name[1:]
    return f"{path}.{camel}" if path else camel
