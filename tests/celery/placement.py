"""Where containers' names, ports and paths are on this machine: what turns a service's command into one that runs here.

Pure. A container has a network, a file system and a name of its own; a process has the machine's. So ``postgres:5432`` becomes a port of the
loopback interface, ``/opt/airflow/…`` a folder below the container's own, and what the image or the engine would say, and nothing else, is added.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.celery.compose import Service

AIRFLOW_HOME = "/opt/airflow"
"""Of the image apache/airflow, whose working folder it is too."""

_AIRFLOW_IMAGE = "ddb-export-airflow"
_LOOPBACK = "127.0.0.1"
_ANY = "0.0.0.0"
_PORT_SETTINGS = {
    "api-server": {8080: "AIRFLOW__API__PORT"},
    "scheduler": {8974: "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT"},
    "worker": {8793: "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT"},
    "triggerer": {8794: "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT"},
}
"""Ports that Airflow's components take by default, and what tells them another: containers share none, processes do."""

_PORTS_OF_SERVERS = {"redis-server": 6379, "redis-cli": 6379, "pg_isready": 5432}
_OPTIONS_OF_SERVERS = {
    "redis-server": ("--bind", "{loopback}", "--port", "{port}"),
    "redis-cli": ("-h", "{loopback}", "-p", "{port}"),
    "pg_isready": ("--host", "{loopback}", "--port", "{port}"),
}
"""What the two servers and their clients must be told where they are not alone: in a container they take the default port."""


@dataclass(frozen=True)
class Container:
    """One container of a service.

    :param name: also its host name; ``worker-1`` where a service has several.
    :param root: the folder that stands for its file system.
    :param ports: for each port inside it the port of this machine.
    """

    name: str
    service: Service
    root: Path
    ports: Mapping[int, int]


@dataclass(frozen=True)
class Placement:
    """All containers on this machine.

    :param containers: by name, in the order of starting.
    :param tops: first names of the paths at which volumes are mounted, such as ``opt``.
    """

    containers: Mapping[str, Container]
    tops: frozenset[str]

    def command(self, container: Container) -> list[str]:
        """Return what the container runs, as it runs here."""
        return self._on_this_machine(container, container.service.command)

    def health(self, container: Container) -> list[str]:
        """Return its health check, as it runs here; empty where it has none."""
        health = container.service.health
        return self._on_this_machine(container, health.command) if health else []

    def environment(self, container: Container) -> dict[str, str]:
        """Return its variables: those of the file, the engine's host name, and for Airflow the image's home and ports of its own."""
        declared = {name: self._here(container, text) for name, text in container.service.environment.items()}
        given = {"HOSTNAME": container.name}
        if container.service.image.startswith(_AIRFLOW_IMAGE):
            given["AIRFLOW_HOME"] = str(container.root) + AIRFLOW_HOME
            settings = _PORT_SETTINGS.get(container.service.name, {})
            given |= {setting: str(container.ports[port]) for port, setting in settings.items()}
        return {**given, **declared}

    def _on_this_machine(self, container: Container, command: Sequence[str]) -> list[str]:
        program, *words = command
        options = {"port": str(container.ports.get(_PORTS_OF_SERVERS.get(program, 0), "")), "loopback": _LOOPBACK}
        added = [each.format_map(options) for each in _OPTIONS_OF_SERVERS.get(program, ())]
        return [program, *added, *(self._argument(container, each) for each in words)]

    def _argument(self, container: Container, text: str) -> str:
        """Return one word of a command: it may be a port, or every address, which here is the loopback interface's."""
        if text.isdigit() and int(text) in container.ports:
            return str(container.ports[int(text)])
        return _LOOPBACK if text == _ANY else self._here(container, text)

    def _here(self, container: Container, text: str) -> str:
        for other in self.containers.values():
            text = _with_ports(text, re.escape(other.service.name), other)
        text = _with_ports(text, rf"localhost|{re.escape(_LOOPBACK)}", container)
        tops = "|".join(sorted(self.tops))
        return re.sub(rf"(?<![\w./:-])/(?=(?:{tops})/)", lambda _: f"{container.root}/", text)


def place(services: Iterable[Service], folder: Path, free_ports: Callable[[int], list[int]]) -> Placement:
    """Give each container of these services a folder and ports.

    A port that the file publishes is where the file publishes it; every other is a free one.

    :param folder: the containers' folders are made below it. :param free_ports: returns that many free ports.
    """
    wanted = [
        Container(name, service, folder / name, {})
        for service in services
        for name in ([service.name] if service.replicas == 1 else _numbered(service))
    ]
    inside = {each.name: ports_of(each.service, services) for each in wanted}
    free = iter(free_ports(sum(len(ports) for ports in inside.values())))
    placed = {
        each.name: replace(
            each, ports={**{port: next(free) for port in sorted(inside[each.name])}, **each.service.published}
        )
        for each in wanted
    }
    tops = {volume.target.split("/")[1] for each in services for volume in each.volumes}
    return Placement(placed, frozenset(tops))


def ports_of(service: Service, services: Iterable[Service]) -> set[int]:
    """Return the ports inside a service: published ones, those that others or its own health check name, Airflow's defaults."""
    own = re.compile(rf"\b(?:localhost|{re.escape(_LOOPBACK)}):(\d+)")
    others = re.compile(rf"(?<![\w.-]){re.escape(service.name)}:(\d+)")
    named = [found for text in service.texts for found in own.findall(text)]
    named += [found for each in services for text in each.texts for found in others.findall(text)]
    return {int(port) for port in named} | service.published.keys() | _PORT_SETTINGS.get(service.name, {}).keys()


def _numbered(service: Service) -> list[str]:
    return [f"{service.name}-{number}" for number in range(1, service.replicas + 1)]


def _with_ports(text: str, host: str, container: Container) -> str:
    def here(found: re.Match[str]) -> str:
        port = container.ports.get(int(found["port"]))
        return f"{_LOOPBACK}:{port}" if port else found[0]

    return re.sub(rf"(?<![\w.-])(?:{host}):(?P<port>\d+)\b", here, text)
