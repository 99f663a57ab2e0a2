"""docker-compose.yaml in a real container engine, with the profile ``lab``: ``make engine-check``.

    python -m tests.engine                builds the images, brings everything up, looks, kills, stops; with the published base images
    python -m tests.engine --stand-ins    makes stand-ins first for the base images that the engine does not have, where no registry is in reach

It talks to the engine that ``docker`` talks to (``DOCKER_HOST``). Containers' logs stay in ``build/engine``; a run that ends well writes
``docs/evidence/engine.log``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from demo.airflow_api import Json
from demo.cloud import Cloud
from demo.declared_table import WINDOWS
from demo.demonstration import DAG_ID
from demo.errors import DemoError
from local_aws.client import Lab
from scripts.environment import BUILD, StepError
from tests.celery.api import CeleryApi
from tests.celery.demonstration import require_exported
from tests.engine import boundaries, life, stand_ins
from tests.engine.engine import EngineError, Project, docker, wait_for
from tests.scheduler import evidence
from tests.scheduler.stage import ended_by_signals, one_at_a_time

_PARSED_SECONDS = 600.0
_RUNS_SECONDS = 1800.0
_ENDED = ("success", "failed")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the check; the exit code is 0, 1 if something did not hold or there is no engine, 130 if it was stopped."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.engine", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stand-ins", action="store_true", help="make the base images that the engine does not have")
    options = parser.parse_args(arguments)
    started = time.monotonic()
    lines: list[str] = []

    def say(text: str) -> None:
        lines.append(text)
        print(text, flush=True)

    def tell(text: str) -> None:
        say(f"{time.monotonic() - started:4.0f} s  {text}")

    try:
        with ended_by_signals(), one_at_a_time(BUILD / "engine"):
            project = Project()
            say(_head(project))
            life.remove(project)
            if options.stand_ins:
                stand_ins.make(project, tell)
            try:
                _check(project, tell)
            finally:
                life.remove(project)
    except KeyboardInterrupt:
        print("stopped; nothing of it runs", file=sys.stderr)
        return 130
    except (EngineError, DemoError, StepError, AssertionError, subprocess.SubprocessError) as error:
        say(f"FAILED: {error}, {time.monotonic() - started:.0f} s")
        return 1
    machine = f"{os.cpu_count()} processors at a load of {os.getloadavg()[2]:.0f}"
    say(f"ok: docker-compose.yaml in an engine, {time.monotonic() - started:.0f} s; {machine}")
    evidence.keep("engine", lines)
    return 0


def _check(project: Project, say: Callable[[str], None]) -> None:
    project.run("build")
    life.come_up(project, say)
    for line in stand_ins.described(project):
        say(line)
    boundaries.require(project, say)
    life.answer_inside(project, say)
    address = project.url("api-server", 8080)
    with CeleryApi.at(address, project.variables) as api:
        api.wait_until_ready(DAG_ID, lambda: None, _PARSED_SECONDS)
        api.set_paused(DAG_ID, paused=False)
        say(f"{DAG_ID} is there; unpaused by {address}")

        def ended() -> list[Json]:
            runs = [run for run in api.runs(DAG_ID) if run["state"] in _ENDED]
            return runs if len(runs) > WINDOWS else []

        _require_green(project, api, wait_for(f"{1 + WINDOWS} runs of {DAG_ID}", ended, _RUNS_SECONDS), say)
    require_exported(Cloud(Lab(project.url("lab", 4566))), say)
    life.come_back(project, say)
    life.end(project, say)


def _require_green(project: Project, api: CeleryApi, runs: Sequence[Json], say: Callable[[str], None]) -> None:
    names = {each.id[:12]: each.name for each in project.containers()}
    where: Counter[str] = Counter()
    for run in runs:
        tasks = api.task_instances(run["dag_id"], run["dag_run_id"])
        failed = [each for each in tasks if each["state"] not in {"success", "skipped"}]
        assert not failed, {each["task_id"]: api.last_error(each) for each in failed}
        assert run["state"] == "success", run
        where.update(names[each["hostname"]] for each in tasks if each["hostname"])
    tasks_of = ", ".join(f"{number} on {name}" for name, number in sorted(where.items()))
    say(f"{len(runs)} runs green, no task failed; tasks: {tasks_of}")
    assert set(where) == {"worker-1", "worker-2"}, where


def _head(project: Project) -> str:
    version = docker("version", "--format", "Docker {{.Server.Version}}, client {{.Client.Version}}").strip()
    compose = project.run("version", "--short").strip()
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {evidence.commit()}, {version}, Docker Compose {compose}"


if __name__ == "__main__":
    sys.exit(main())
