"""docker-compose.yaml as its engine reads it: merge keys, ``${…}`` from ``.env``, services with their commands, variables and health checks.

Pure: texts in, values out. The rules are those of the Compose specification (interpolation; services' ``command``, ``depends_on``,
``environment``, ``healthcheck``, ``volumes``, ``ports``, ``profiles``, ``deploy``, ``user``), as far as this project's file uses them; what
is not known is refused. ``make compose-config`` compares what is read here with what Docker Compose reads. An ``env_file`` is not read: the
project's is the user's own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

_VARIABLE = re.compile(
    r"\$(?:(?P<dollar>\$)|\{(?P<name>\w+)(?::(?P<rule>[-?])(?P<text>(?:[^{}]|\$\{[^{}]*\})*))?\}|(?P<other>.?))"
)
_DURATION = re.compile(r"(?P<number>\d+)(?P<unit>[sm])")
_UNITS = {"s": 1, "m": 60}
_SEEN_FROM_OUTSIDE = frozenset({"AIRFLOW__API__BASE_URL"})
"""Variables with an address as people's browsers have it: its port is a published one, no container's."""

_SHELL = ("/bin/sh", "-c")
"""What Compose runs a health check of the form CMD-SHELL with."""


class ComposeError(ValueError):
    """The file cannot be read; the message is one line with the thing, the cause and a remedy."""


@dataclass(frozen=True)
class Health:
    """A health check: its command, and how long a service may take to pass it.

    :param patience: seconds from the start of the service after which an engine calls it unhealthy: the start period and all retries.
    :param timeout: seconds that one check may take.
    """

    command: tuple[str, ...]
    patience: int
    timeout: int


@dataclass(frozen=True)
class Volume:
    """A mount: a folder of the project (a source that begins with a point) or a named volume, at a path of the container."""

    source: str
    target: str

    @property
    def named(self) -> bool:
        """Tell whether it is a volume that services share, and no folder of the project."""
        return not self.source.startswith(".")


@dataclass(frozen=True)
class Service:
    """A service, all its values interpolated.

    :param command: empty where it is the image's own. :param user: empty where it is the image's own.
    :param published: for each port of the container the port of this machine.
    :param needs: for each service that it waits for the condition, such as ``service_healthy``.
    :param optional: those of them that it does without where they are not started (``required: false``).
    :param profiles: empty: it is started always.
    :param restart: when an engine starts it again by itself, such as ``unless-stopped``; ``no`` where the file says nothing.
    """

    name: str
    image: str
    user: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    volumes: tuple[Volume, ...]
    published: Mapping[int, int]
    health: Health | None
    needs: Mapping[str, str]
    optional: frozenset[str]
    profiles: frozenset[str]
    replicas: int
    restart: str

    @property
    def texts(self) -> tuple[str, ...]:
        """All texts in which names, ports and paths of containers may stand."""
        inside = (value for name, value in self.environment.items() if name not in _SEEN_FROM_OUTSIDE)
        return (*self.command, *inside, *(self.health.command if self.health else ()))


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """Return a text as Compose reads it: ``${NAME}``, ``${NAME:-default}``, ``${NAME:?message}``, ``$$``.

    A default may hold variables. A variable that is not set and has neither default nor message is empty.

    :raises ComposeError: a variable that must be set is not set or empty, or the form is another one.
    """

    def value(found: re.Match[str]) -> str:
        if found["dollar"]:
            return "$"
        if found["name"] is None:
            raise ComposeError(f"{text!r}: a lone $ is no form of Compose. Remedy: write $$ or ${{NAME}}")
        given = variables.get(found["name"], "")
        if found["rule"] == "?" and not given:
            raise ComposeError(f"{found['name']}: {found['text']}. Remedy: set it in .env")
        return given or interpolate(found["text"], variables) if found["rule"] == "-" else given

    return _VARIABLE.sub(value, text)


def read_variables(text: str) -> dict[str, str]:
    """Return what a ``.env`` sets: lines ``NAME=value``, without quotes; other lines are comments."""
    lines = [line.partition("=") for line in text.splitlines() if re.match(r"[A-Z]\w*=", line)]
    return {name: value for name, _, value in lines}


def fill_in(sample: str, make: Callable[[str], str]) -> str:
    """Return ``.env.sample`` as a user fills it in: each name without a value gets one.

    :param make: returns the value for a name.
    """
    return re.sub(r"(?m)^([A-Z_]+)=$", lambda found: f"{found[1]}={make(found[1])}", sample)


def read_services(text: str, variables: Mapping[str, str]) -> dict[str, Service]:
    """Return the services of a compose file, by name.

    :raises ComposeError: a variable is missing, or the file has a form that is not known here.
    """
    parsed = _interpolated(yaml.safe_load(text), variables)
    return {name: _service(name, declared, variables) for name, declared in parsed["services"].items()}


def in_order(services: Mapping[str, Service], profiles: frozenset[str]) -> list[Service]:
    """Return the services that these profiles start, each behind those that it waits for; else in the file's order.

    :raises ComposeError: two wait for each other, or one for what these profiles do not start.
    """
    waiting = [each for each in services.values() if not each.profiles or each.profiles & profiles]
    absent = services.keys() - {each.name for each in waiting}
    started: list[Service] = []
    while waiting:
        there = {each.name for each in started}
        ready = next((each for each in waiting if each.needs.keys() - (each.optional & absent) <= there), None)
        if ready is None:
            raise ComposeError(f"{waiting[0].name}: waits for what never starts. Remedy: correct its depends_on")
        waiting.remove(ready)
        started.append(ready)
    return started


def _interpolated(value: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _interpolated(each, variables) for key, each in value.items()}
    if isinstance(value, list):
        return [_interpolated(each, variables) for each in value]
    return interpolate(value, variables) if isinstance(value, str) else value


def _service(name: str, declared: Mapping[str, Any], variables: Mapping[str, str]) -> Service:
    needs = declared.get("depends_on", {})
    return Service(
        name=name,
        image=declared["image"],
        user=declared.get("user", ""),
        command=tuple(declared.get("command", ())),
        environment=_environment(declared.get("environment", {}), variables),
        volumes=tuple(_volume(each) for each in declared.get("volumes", ())),
        published=dict(_published(each) for each in declared.get("ports", ())),
        health=_health(declared["healthcheck"]) if "healthcheck" in declared else None,
        needs={other: each["condition"] for other, each in needs.items()},
        optional=frozenset(other for other, each in needs.items() if not each.get("required", True)),
        profiles=frozenset(declared.get("profiles", ())),
        replicas=int(declared.get("deploy", {}).get("replicas", 1)),
        restart=str(declared.get("restart", "no")),
    )


def _environment(declared: Mapping[str, Any], variables: Mapping[str, str]) -> dict[str, str]:
    """Return a service's variables; one without a value has that of ``.env``, and is not set where ``.env`` does not set it."""
    found = {key: variables.get(key) if value is None else str(value) for key, value in declared.items()}
    return {key: value for key, value in found.items() if value is not None}


def _volume(text: str) -> Volume:
    source, target, *_ = text.split(":")
    return Volume(source, target)


def _published(text: str) -> tuple[int, int]:
    _, outside, inside = text.split(":")
    return int(inside), int(outside)


def _health(declared: Mapping[str, Any]) -> Health:
    kind, *command = declared["test"]
    if kind not in {"CMD", "CMD-SHELL"}:
        raise ComposeError(f"healthcheck {kind}: is not known here. Remedy: teach tests/celery/compose.py")
    start, interval, timeout = (_seconds(declared[key]) for key in ("start_period", "interval", "timeout"))
    shell = _SHELL if kind == "CMD-SHELL" else ()
    return Health((*shell, *command), start + int(declared["retries"]) * (interval + timeout), timeout)


def _seconds(text: str) -> int:
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ComposeError(f"duration {text!r}: is not known here. Remedy: write it as 30s or 2m")
    return int(found["number"]) * _UNITS[found["unit"]]
