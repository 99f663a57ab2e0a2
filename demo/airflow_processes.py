"""A real Airflow of the demo's own: scheduler, triggerer, DAG processor and API server, each in a session of its own.

``airflow standalone`` leaves its children behind when it is ended, so the four are started here one by one. Airflow puts each task into a
process group of its own; all groups of a session are ended by their ids.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import psutil  # type: ignore[import-untyped]

from demo.errors import DemoError

COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")
_ROOT = Path(__file__).resolve().parent.parent
_GRACE_SECONDS = 4.0
_PRELOAD = Path(__file__).with_name("airflow_local_settings.py")


@dataclass
class AirflowProcesses:
    """The processes of one Airflow; a context manager that ends them whatever happens.

    :param home: AIRFLOW_HOME, made anew.
    :param variables: environment on top of Airflow's settings: connections, the folder of declared tables.
    :param port: port of the API server and the UI.
    :param python: interpreter of the environment that Airflow runs from.
    """

    home: Path
    variables: Mapping[str, str]
    port: int = 0
    python: Path = Path(sys.executable)
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.port = self.port or free_ports(1)[0]

    @property
    def url(self) -> str:
        """Address of the UI and the REST API."""
        return f"http://127.0.0.1:{self.port}"

    def log(self, component: str) -> Path:
        """Return the file that holds what a component says."""
        return self.home / "logs" / f"{component}.log"

    def start(self) -> None:
        """Make the database, then start the four components; returns before they answer.

        :raises DemoError: the database cannot be made.
        """
        self.home.joinpath("logs").mkdir(parents=True, exist_ok=True)
        self.home.joinpath("plugins").mkdir(exist_ok=True)
        self._preload()
        environment = self._environment()
        self._launch("migrate", ["db", "migrate"], environment)
        if self._processes.pop("migrate").wait() != 0:
            raise DemoError("Airflow's database", "airflow db migrate failed", f"see {self.log('migrate')}")
        for component in COMPONENTS:
            self._launch(component, [component], environment)

    def require_alive(self) -> None:
        """Check that no component has ended.

        :raises DemoError: one has.
        """
        for component, process in self._processes.items():
            if (code := process.poll()) is not None:
                raise DemoError(f"Airflow's {component}", f"it ended with code {code}", f"see {self.log(component)}")

    def stop(self) -> None:
        """End all process groups of the components' sessions, by id; a second call does nothing."""
        sessions = {process.pid for process in self._processes.values()}
        if not sessions:
            return
        for sent in (signal.SIGTERM, signal.SIGKILL):
            for group in groups_of(sessions):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(group, sent)
            if self._ended(sessions):
                break
        self._processes.clear()

    def kill(self, component: str) -> None:
        """Kill a component and all that it started with SIGKILL, as when its machine or container is lost."""
        process = self._processes.pop(component)
        for group in groups_of({process.pid}):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def _ended(self, sessions: set[int]) -> bool:
        end = time.monotonic() + _GRACE_SECONDS
        while time.monotonic() < end:
            for process in self._processes.values():
                process.poll()
            if not groups_of(sessions):
                return True
            time.sleep(0.1)
        return False

    def _launch(self, name: str, arguments: list[str], environment: Mapping[str, str]) -> None:
        self._open(name, [str(self.python), "-m", "airflow", *arguments], environment, self.home)

    def _open(self, name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        with self.log(name).open("wb") as log:
            self._processes[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                cwd=folder,
                start_new_session=True,
            )

    def _preload(self) -> None:
        config = self.home / "config"
        config.mkdir(exist_ok=True)
        config.joinpath(_PRELOAD.name).write_bytes(_PRELOAD.read_bytes())

    def _environment(self) -> dict[str, str]:
        # What the caller has for another Airflow or a real AWS must not reach this one.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "AWS_"))}
        return {**inherited, **self._settings(), **self.variables}

    def _settings(self) -> dict[str, str]:
        worker_logs, trigger_logs = free_ports(2)
        return {
            "AIRFLOW_HOME": str(self.home),
            "PYTHONWARNINGS": "ignore",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AIRFLOW__CORE__DAGS_FOLDER": str(_ROOT / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(self.home / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__FERNET_KEY": "",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home}/airflow.db",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(64),
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.home / "logs"),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(worker_logs),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(trigger_logs),
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
            # A worker may notice the end of its task as late as this (default 5 s). A deferred task that is resumed before
            # then looks killed to the scheduler; real exports take minutes, those of the demo seconds.
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
            # Its DAGs do not change while it runs.
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
            "AIRFLOW__DAG_PROCESSOR__PRINT_STATS_INTERVAL": "0",
            "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        }


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback interface that nobody listens on."""
    with contextlib.ExitStack() as opened:
        sockets = [opened.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def groups_of(sessions: set[int]) -> set[int]:
    """Return the ids of the process groups that live in sessions, zombies aside."""
    groups = set()
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, PermissionError, psutil.Error):
            if os.getsid(process.pid) in sessions and process.status() != psutil.STATUS_ZOMBIE:
                groups.add(os.getpgid(process.pid))
    return groups
