"""What `docker compose --profile lab up` shows: the demo's table, exported and made current by tasks on two workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from ddb_export.domain.utc import iso
from demo.airflow_api import Json
from demo.cloud import Cloud
from demo.declared_table import WINDOWS
from demo.demonstration import DAG_ID
from local_aws.client import Lab
from tests.celery.api import CeleryApi
from tests.celery.stack import Stack
from tests.scheduler.real_airflow import wait_for

_DOTENV = {"WORKERS": "2", "WORKER_CONCURRENCY": "2"}
_PARSED_SECONDS = 400.0
"""The DAG processor looks for new files each 300 s."""
_RUN_SECONDS = 900.0
_ENDED = ("success", "failed")


def check(folder: Path, programs: Path, say: Callable[[str], None]) -> None:
    """Run it.

    :param folder: for logs and all else, made anew. :param programs: of the image. :param say: is told one line per stage.
    :raises demo.errors.DemoError: a container fails. :raises AssertionError: something did not hold.
    """
    with Stack(folder, programs, say, dotenv=_DOTENV) as stack:
        stack.start()
        with CeleryApi.of(stack) as api:
            api.wait_until_ready(DAG_ID, stack.processes.require_alive, _PARSED_SECONDS)
            say(f"{DAG_ID} is there; unpaused")
            runs = runs_of(stack, api, DAG_ID, 1 + WINDOWS)
            require_green(runs, api, say)
        require_exported(Cloud(Lab(stack.url("lab", 4566))), say)
        require_healthy(stack, say)


def runs_of(stack: Stack, api: CeleryApi, dag_id: str, count: int) -> list[Json]:
    """Unpause a DAG and return its first runs when they have ended."""
    api.set_paused(dag_id, paused=False)

    def ended() -> list[Json]:
        stack.processes.require_alive()
        runs = [run for run in api.runs(dag_id) if run["state"] in _ENDED]
        return runs if len(runs) >= count else []

    return list(wait_for(f"{count} runs of {dag_id}", ended, _RUN_SECONDS))


def require_green(runs: Sequence[Json], api: CeleryApi, say: Callable[[str], None]) -> None:
    """Check that no task of these runs failed, and that they ran on both workers."""
    hosts: Counter[str] = Counter()
    for run in runs:
        tasks = api.task_instances(run["dag_id"], run["dag_run_id"])
        failed = [each for each in tasks if each["state"] not in {"success", "skipped"}]
        assert not failed, {each["task_id"]: api.last_error(each) for each in failed}
        assert run["state"] == "success"
        hosts.update(each["hostname"] for each in tasks if each["hostname"])
    where = ", ".join(f"{number} on {host}" for host, number in sorted(hosts.items()))
    say(f"{len(runs)} runs green, no task failed; tasks: {where}")
    assert set(hosts) == {"worker-1", "worker-2"}, hosts


def require_exported(cloud: Cloud, say: Callable[[str], None]) -> None:
    """Check that the base and each window were exported once, and that the table is complete up to the last midnight."""
    exports = [each["status"] for each in cloud.exports()]
    assert exports == ["COMPLETED"] * (1 + WINDOWS), exports
    head = cloud.ledger.read().head
    assert head is not None
    say(f"{len(exports)} exports, each COMPLETED and none twice; complete until {iso(head)}")


def require_healthy(stack: Stack, say: Callable[[str], None]) -> None:
    """Check that every container is healthy still."""
    causes = {name: stack.check_health(each) for name, each in stack.placement.containers.items()}
    assert not any(causes.values()), causes
    say("every health check of the file passes")
