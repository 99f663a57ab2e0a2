"""What happens to the containers in their life: how they come up, are asked inside, come back when they die, and end."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from tests.engine.engine import RUNNING, EngineError, Project, docker, wait_for

_UP_SECONDS = 1500.0
_BACK_SECONDS = 600.0
_DYING = ("scheduler-1", "worker-2")
_KILLED_CODE = 137
_TABLES = "/opt/airflow/lab-bundle/tables"


def come_up(project: Project, say: Callable[[str], None]) -> None:
    """Start everything and wait until each container is healthy or has ended well.

    :raises EngineError: one is not, or becomes unhealthy by the file's own measure.
    """
    started = time.monotonic()
    project.run("up", "--detach", "--no-build", timeout=_UP_SECONDS)
    wait_for("all containers", lambda: all(map(project.ready, project.containers())), _UP_SECONDS)
    found = project.containers()
    wanted = sum(each.replicas for each in project.services.values())
    assert len(found) == wanted, [each.name for each in found]
    said = ", ".join(f"{each.name} {each.health or 'completed'}" for each in found)
    say(f"up after {time.monotonic() - started:.0f} s: {said}")


def answer_inside(project: Project, say: Callable[[str], None]) -> None:
    """Ask the provider's command line in a worker.

    :raises EngineError: it fails.
    """
    said = project.run("exec", "--no-TTY", "worker", "ddb-export", "check", _TABLES)
    say(f"docker compose exec worker ddb-export check: {' '.join(said.split())[-160:]}")


def come_back(project: Project, say: Callable[[str], None]) -> None:
    """Kill a scheduler and a worker from inside; the engine must start them again, and they must become healthy.

    :raises EngineError: one does not.
    """
    for name in _DYING:
        before = project.container(name)
        # From inside, as a crash: what `docker kill` ends was ended by somebody's wish, and stays so. Process 1, the init, ends with the rest,
        # and may take the shell that kills with it.
        with contextlib.suppress(EngineError):
            docker("exec", before.id, "sh", "-c", "kill -KILL -1")

        def is_back(name: str = name, restarts: int = before.restarts) -> bool:
            now = project.container(name)
            return now.restarts > restarts and now.status == RUNNING and project.ready(now)

        begun = time.monotonic()
        wait_for(f"{name} to come back", is_back, _BACK_SECONDS)
        took = time.monotonic() - begun
        say(f"{name}: all of its processes killed, started again by the engine, healthy after {took:.0f} s")


def end(project: Project, say: Callable[[str], None]) -> None:
    """Stop everything within the grace periods, then take it down with its volumes; nothing may be left.

    :raises AssertionError: a container was killed, or something is left.
    """
    begun = time.monotonic()
    running = {each.name for each in project.containers() if each.status == RUNNING}
    project.run("stop")
    took = time.monotonic() - begun
    # An engine that has waited for the grace period in vain kills, which the exit code tells.
    codes = {each.name: each.exit_code for each in project.containers() if each.name in running}
    said = ", ".join(f"{name} {code}" for name, code in sorted(codes.items()))
    say(f"docker compose stop: {len(running)} containers in {took:.0f} s; exit codes: {said}")
    killed = sorted(name for name, code in codes.items() if code == _KILLED_CODE)
    assert not killed, f"not within their grace period: {', '.join(killed)}"
    project.keep_logs()
    # Those that an image asks for have no name that tells whose they are.
    volumes = {
        mount["Name"] for each in project.containers() for mount in each.said["Mounts"] if mount["Type"] == "volume"
    }
    project.run("down", "--volumes")
    left = {*project.left(), *volumes.intersection(docker("volume", "ls", "--quiet").split())}
    assert not left, left
    say(f"docker compose down --volumes: no container or network is left, and none of {len(volumes)} volumes")


def remove(project: Project) -> None:
    """Take everything down, whatever state it is in; what the containers said is kept."""
    try:
        if project.containers():
            project.keep_logs()
    finally:
        project.run("down", "--volumes", "--timeout", "5")
