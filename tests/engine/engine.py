"""The engine and one Compose project in it: commands that are sent, and what Docker says of containers, images and volumes.

The project has a name, an ``.env`` and ports of its own, so that it never meets one that somebody runs for good.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo.airflow_processes import free_ports
from scripts.compose_config import find_compose
from scripts.environment import BUILD, ROOT
from tests.celery.compose import Service, fill_in, read_services, read_variables
from tests.celery.stack import COMPOSE_FILE, make_secret

PROJECT = "ddb-export-engine-check"
PROFILE = "lab"
HEALTHY, UNHEALTHY, RUNNING, EXITED = "healthy", "unhealthy", "running", "exited"
_SERVICE_LABEL = "com.docker.compose.service"
_PROJECT_LABEL = "com.docker.compose.project"
_POLL_SECONDS = 2.0

Json = dict[str, Any]


class EngineError(RuntimeError):
    """The engine cannot do what was asked; the message is one line with the thing, the cause and a remedy."""


@dataclass(frozen=True)
class Container:
    """What ``docker inspect`` says of a container, at one moment."""

    said: Json

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.said["Id"])

    @property
    def name(self) -> str:
        """Its name without the project's, such as ``worker-2``."""
        return str(self.said["Name"]).removeprefix(f"/{PROJECT}-")

    @property
    def service(self) -> str:
        """Its service in the compose file."""
        return str(self.said["Config"]["Labels"][_SERVICE_LABEL])

    @property
    def status(self) -> str:
        """Its state, such as ``running`` or ``exited``."""
        return str(self.said["State"]["Status"])

    @property
    def health(self) -> str:
        """``healthy``, ``starting``, ``unhealthy``; empty where it has no health check."""
        return str(self.said["State"].get("Health", {}).get("Status", ""))

    @property
    def exit_code(self) -> int:
        """The code with which it ended."""
        return int(self.said["State"]["ExitCode"])

    @property
    def restarts(self) -> int:
        """How often the engine brought it back by itself."""
        return int(self.said["RestartCount"])


@dataclass
class Project:
    """The services of the compose file with the profile ``lab``, in the engine that ``docker`` talks to.

    :param folder: for the generated ``.env`` and the containers' logs, made if need be.
    """

    folder: Path = BUILD / "engine"
    compose: list[str] = field(default_factory=find_compose)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        sample = (ROOT / ".env.sample").read_text(encoding="utf-8")
        self._names = {line.partition("=")[0].lstrip("#") for line in sample.splitlines() if "=" in line}
        api, lab = free_ports(2)
        own = f"AIRFLOW_PORT={api}\nLAB_PORT={lab}\nWORKERS=2\nWORKER_CONCURRENCY=2\n"
        text = fill_in(sample, make_secret) + own
        self._dotenv = self.folder / ".env"
        self._dotenv.write_text(text)
        self._dotenv.chmod(0o600)
        self.variables = read_variables(text)
        self.services: dict[str, Service] = read_services(COMPOSE_FILE.read_text(encoding="utf-8"), self.variables)

    def url(self, service: str, port: int) -> str:
        """Return where a port of a service is published."""
        return f"http://127.0.0.1:{self.services[service].published[port]}"

    def run(self, *arguments: str, timeout: float = 1800) -> str:
        """Run ``docker compose`` for this project and return what it printed.

        :param timeout: seconds. :raises EngineError: it failed.
        """
        about = ["--project-name", PROJECT, "--project-directory", str(ROOT), "--file", str(COMPOSE_FILE)]
        command = [*self.compose, *about, "--env-file", str(self._dotenv), "--profile", PROFILE, *arguments]
        # What the shell sets would win over the file.
        environment = {name: value for name, value in os.environ.items() if name not in self._names}
        return _run(command, timeout, environment)

    def containers(self) -> list[Container]:
        """Return the project's containers, ended ones too."""
        ids = docker("ps", "--all", "--quiet", "--filter", f"label={_PROJECT_LABEL}={PROJECT}").split()
        said = json.loads(docker("inspect", *ids)) if ids else []
        return sorted((Container(each) for each in said), key=lambda each: each.name)

    def container(self, name: str) -> Container:
        """Return a container by its name, such as ``worker-2``, as it is now."""
        return next(each for each in self.containers() if each.name == name)

    def left(self) -> list[str]:
        """Name the containers, volumes and networks of the project that the engine has."""
        mine = ("--filter", f"label={_PROJECT_LABEL}={PROJECT}", "--format", "{{.Name}}")
        kinds = (("volume", "ls", *mine), ("network", "ls", *mine))
        return [each.name for each in self.containers()] + [name for kind in kinds for name in docker(*kind).split()]

    def ready(self, container: Container) -> bool:
        """Tell whether a container is as the file wants it: healthy, or ended well where it has no health check.

        :raises EngineError: it ended badly, or is unhealthy.
        """
        if self.services[container.service].health is None:
            if container.status == EXITED and container.exit_code:
                raise EngineError(self._told(container, f"it ended with code {container.exit_code}"))
            return container.status == EXITED
        if container.health == UNHEALTHY or container.status == EXITED:
            raise EngineError(self._told(container, f"it is {container.health or container.status}"))
        return container.health == HEALTHY

    def keep_logs(self) -> None:
        """Write what the containers said to ``logs`` in the folder."""
        logs = self.folder / "logs"
        logs.mkdir(exist_ok=True)
        for each in self.containers():
            logs.joinpath(f"{each.name}.log").write_text(_logs(each, "--timestamps"))

    def _told(self, container: Container, cause: str) -> str:
        checks = container.said["State"].get("Health", {}).get("Log") or [{"Output": ""}]
        said = " ".join((_logs(container, "--tail", "5") + checks[-1]["Output"]).split())[-400:]
        return f"{container.name}: {cause}: {said}. Remedy: see {self.folder / 'logs' / container.name}.log"


def docker(*arguments: str, timeout: float = 1800) -> str:
    """Run ``docker`` and return what it printed.

    :param timeout: seconds. :raises EngineError: it failed, or there is none.
    """
    return _run(["docker", *arguments], timeout, dict(os.environ))


def _logs(container: Container, *options: str) -> str:
    """Return what a container said, on both of its streams."""
    command = ["docker", "logs", *options, container.id]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True).stdout


def wait_for(what: str, question: Callable[[], Any], timeout: float) -> Any:
    """Ask until the answer is true, and return it.

    :param timeout: seconds. :raises EngineError: it takes longer.
    """
    end = time.monotonic() + timeout
    while not (answer := question()):
        if time.monotonic() > end:
            raise EngineError(f"{what}: not within {timeout:g} s. Remedy: see {BUILD / 'engine' / 'logs'}")
        time.sleep(_POLL_SECONDS)
    return answer


def _run(command: Sequence[str], timeout: float, environment: dict[str, str]) -> str:
    what = " ".join([command[0], *[each for each in command[1:] if not each.startswith(("-", "/"))][-3:]])
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=timeout, env=environment, cwd=ROOT
        )
    except FileNotFoundError:
        raise EngineError(f"{command[0]}: PATH has none. Remedy: install Docker") from None
    except subprocess.TimeoutExpired:
        raise EngineError(f"{what}: not done within {timeout:g} s. Remedy: see what the engine does") from None
    if done.returncode:
        said = " ".join((done.stdout + done.stderr).split())[-600:]
        raise EngineError(f"{what}: code {done.returncode}: {said}. Remedy: see what it says")
    return done.stdout
