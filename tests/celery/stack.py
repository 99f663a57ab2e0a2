"""The containers of the compose file as processes: started as their conditions say, watched by their own health checks, ended by id."""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from demo.airflow_processes import AirflowProcesses, free_ports, groups_of
from demo.errors import DemoError
from scripts.environment import ROOT
from tests.celery.compose import fill_in, in_order, read_services, read_variables
from tests.celery.placement import AIRFLOW_HOME, Container, Placement, place
from tests.scheduler.postgresql import PostgreSql, find_binaries

COMPOSE_FILE = ROOT / "docker-compose.yaml"
BESIDE_THE_FILE = {
    # Nothing is told to Airflow's makers, and nothing of this machine's AWS is used.
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
_AS_IN_A_CONTAINER = Path(__file__).with_name("as_in_a_container")
_HEALTHY, _COMPLETED = "service_healthy", "service_completed_successfully"
_COMES_BACK = "unless-stopped"
_POLL_SECONDS = 1.0
_COMPLETION_SECONDS = 300.0
_SLOWER = 3
_NOT_COPIED = shutil.ignore_patterns(".venv", "__pycache__")


class ContainerProcesses(AirflowProcesses):
    """One process per container, each with a log below ``home/logs``."""

    def begin(self, name: str, command: list[str], environment: Mapping[str, str], folder: Path) -> None:
        """Start a process in a folder."""
        self.log(name).parent.mkdir(parents=True, exist_ok=True)
        self._open(name, command, environment, folder)

    def wait(self, name: str) -> None:
        """Wait for a process that ends by itself.

        :raises DemoError: it failed or takes too long.
        """
        try:
            code = self._processes[name].wait(_COMPLETION_SECONDS)
        except subprocess.TimeoutExpired:
            raise DemoError(name, f"it runs for over {_COMPLETION_SECONDS:g} s", f"see {self.log(name)}") from None
        del self._processes[name]
        if code:
            raise DemoError(name, f"it ended with code {code}", f"see {self.log(name)}")

    def hold(self, name: str) -> None:
        """Stop all processes of a container where they are, with SIGSTOP."""
        # A process that was started while the groups were listed is found by the second look.
        for _ in range(2):
            self._signal(name, signal.SIGSTOP)

    def release(self, name: str) -> None:
        """Let a container that was held go on."""
        self._signal(name, signal.SIGCONT)

    def _signal(self, name: str, sent: signal.Signals) -> None:
        for group in groups_of({self._processes[name].pid}):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, sent)


@dataclass
class Stack:
    """All containers of some profiles; a context manager that ends them whatever happens.

    :param folder: made anew: the generated ``.env``, logs, volumes, the containers' folders.
    :param programs: folder of ``airflow``, ``celery`` and ``python``: what stands for the image.
    :param profiles: of the compose file.
    :param dotenv: lines for ``.env`` beside the secrets.
    :param settings: environment of Airflow's containers on top of the file's; the file's own are never changed.
    :param left_out: services that are not started.
    :param say: is told one line per stage.
    """

    folder: Path
    programs: Path
    say: Callable[[str], None]
    profiles: frozenset[str] = frozenset({"lab"})
    dotenv: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    left_out: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.variables = self._write_dotenv()
        services = read_services(COMPOSE_FILE.read_text(encoding="utf-8"), self.variables)
        wanted = [each for each in in_order(services, self.profiles) if each.name not in self.left_out]
        self.placement: Placement = place(wanted, self.folder / "containers", free_ports)
        self.processes = ContainerProcesses(self.folder, {})
        self._opened = ExitStack()
        self._begun: dict[str, float] = {}
        self._reached: set[tuple[str, str]] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.processes.stop()
        self._opened.close()

    def url(self, service: str, port: int) -> str:
        """Return where a port of a service is on this machine."""
        return f"http://127.0.0.1:{self.placement.containers[service].ports[port]}"

    def volume(self, name: str) -> Path:
        """Return the folder that stands for a named volume."""
        folder = self.folder / "volumes" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def start(self, *services: str) -> None:
        """Start these services, or all, each when those that it waits for are as it says; wait until all are healthy.

        What runs already is left as it is.

        :raises DemoError: one ends, fails, or does not become healthy in the time that the file gives it.
        """
        wanted = [each for each in self.placement.containers.values() if not services or each.service.name in services]
        for each in wanted:
            if each.name not in self._begun:
                for name, condition in each.service.needs.items():
                    self._wait_for(name, condition)
                self._start(each)
        for each in wanted:
            self._wait_for(each.service.name, _HEALTHY if each.service.health else _COMPLETED)

    def start_again(self, name: str) -> None:
        """Start a container that was killed, as an engine does where the file says ``restart: unless-stopped``; wait until it is healthy.

        Its files are as it left them; the log of its life before is kept beside the new one.

        :raises DemoError: the file does not let it come back, or it does not become healthy in the time that the file gives it.
        """
        container = self.placement.containers[name]
        service = container.service
        if service.restart != _COMES_BACK:
            cause = f"its restart is {service.restart!r}, so no engine starts it again"
            raise DemoError(f"the service {service.name}", cause, f"set restart: {_COMES_BACK} in {COMPOSE_FILE.name}")
        log = self.processes.log(name)
        log.rename(log.with_name(f"{name}-killed.log"))
        self._reached.discard((name, _HEALTHY))
        self._begin(container)
        self._wait_for(service.name, _HEALTHY)

    def check_health(self, container: Container) -> str:
        """Run a health check once; return why it failed, or nothing.

        It may take longer than the file allows one check, as all containers share the processors of this machine.

        :raises DemoError: its program is not installed.
        """
        health = container.service.health
        if health is None:
            return ""
        command, seconds = self.placement.health(container), _SLOWER * health.timeout
        try:
            answer = subprocess.run(
                command,
                capture_output=True,
                text=True,
                check=False,
                env=self.environment(container),
                cwd=_working_folder(container),
                timeout=seconds,
            )
        except subprocess.TimeoutExpired:
            return f"no answer within {seconds} s"
        except FileNotFoundError:
            raise DemoError(command[0], "PATH does not have it", f"apt-get install {command[0]}") from None
        said = " ".join((answer.stdout + answer.stderr).split())
        return f"exit code {answer.returncode}: {said[-200:]}" if answer.returncode else ""

    def environment(self, container: Container) -> dict[str, str]:
        """Return the whole environment of a container's processes."""
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "AWS_", "PYTHON"))
        }
        said = self.placement.environment(container)
        settings = self.settings if "AIRFLOW_HOME" in said else {}
        if twice := settings.keys() & said.keys():
            raise DemoError(f"the setting {min(twice)}", "the compose file has it too", "leave it to the file")
        python_path = ":".join(filter(None, (str(_AS_IN_A_CONTAINER), said.get("PYTHONPATH", ""))))
        path = f"{self.programs}:{inherited.get('PATH', os.defpath)}:{find_binaries()}"
        return {**inherited, **BESIDE_THE_FILE, **settings, **said, "PYTHONPATH": python_path, "PATH": path}

    def _write_dotenv(self) -> dict[str, str]:
        sample = (ROOT / ".env.sample").read_text(encoding="utf-8")
        api, lab = free_ports(2)
        added = {"AIRFLOW_PORT": str(api), "LAB_PORT": str(lab), **self.dotenv}
        text = fill_in(sample, make_secret) + "".join(f"{name}={value}\n" for name, value in added.items())
        self.folder.joinpath(".env").write_text(text)
        return read_variables(text)

    def _start(self, container: Container) -> None:
        self._mount(container)
        self._begin(container)

    def _begin(self, container: Container) -> None:
        self._begun[container.name] = time.monotonic()
        if container.service.name == "postgres":
            database = PostgreSql(port=container.ports[5432], password=self.variables["POSTGRES_PASSWORD"])
            self._opened.enter_context(database)
        else:
            command = self.placement.command(container)
            self.processes.begin(container.name, command, self.environment(container), _working_folder(container))

    def _mount(self, container: Container) -> None:
        """Make the container's folder: copies of the project's, and named volumes as the folders that all share."""
        for volume in container.service.volumes:
            target = container.root / volume.target.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            source = ROOT / volume.source
            if volume.named:
                target.symlink_to(self.volume(volume.source))
            elif source.is_dir():
                shutil.copytree(source, target, ignore=_NOT_COPIED)
            else:
                shutil.copyfile(source, target)
        _working_folder(container).mkdir(parents=True, exist_ok=True)

    def _wait_for(self, service: str, condition: str) -> None:
        """Wait until all containers of a service are as others need them; the second time this is known."""
        for each in self.placement.containers.values():
            if each.service.name == service and (each.name, condition) not in self._reached:
                if condition == _COMPLETED:
                    self.processes.wait(each.name)
                else:
                    self._wait_until_healthy(each)
                self._reached.add((each.name, condition))
                took = time.monotonic() - self._begun[each.name]
                self.say(f"{each.name}: {condition.removeprefix('service_').replace('_', ' ')} after {took:.0f} s")

    def _wait_until_healthy(self, container: Container) -> None:
        assert container.service.health is not None
        patience = container.service.health.patience
        end = self._begun[container.name] + patience
        while cause := self.check_health(container):
            self.processes.require_alive()
            if time.monotonic() > end:
                raise DemoError(
                    container.name,
                    f"its health check does not pass within {patience} s: {cause}",
                    f"see {self.processes.log(container.name)}",
                )
            time.sleep(_POLL_SECONDS)


def _working_folder(container: Container) -> Path:
    """Return where a container's processes run; the lab's image is this project's folder, with the lab's environment in it."""
    return ROOT if container.service.name == "lab" else container.root / AIRFLOW_HOME.lstrip("/")


def make_secret(name: str) -> str:
    """Make a secret as ``.env.sample`` tells.

    :param name: of the variable.
    """
    return base64.urlsafe_b64encode(os.urandom(32)).decode() if "FERNET" in name else secrets.token_hex(32)
