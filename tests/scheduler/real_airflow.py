"""The processes of an Airflow on PostgreSQL, of which each can be killed and started again, and its REST API."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx

from demo.airflow_api import AirflowApi, Json
from demo.airflow_processes import AirflowProcesses

_POLL_SECONDS = 0.5
_RACE = re.compile(r"PendingRollbackError.*UniqueViolation.*\n.*\(dag_id, (logical_date|run_id)\)")
_QUICK = {
    # What Airflow waits before it takes a process for dead: minutes by default, so that a slow network kills nothing.
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "10",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
    "AIRFLOW__CORE__PARALLELISM": "6",
    "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "16",
}


class RealAirflow(AirflowProcesses):
    """An Airflow with the database that it is given; the components can be killed one by one.

    :param home: AIRFLOW_HOME, made anew.
    :param database: address of an empty database.
    :param variables: environment on top: connections, the folder of declared tables.
    :param python: interpreter of the environment that it runs from.
    """

    def __init__(self, home: Path, database: str, variables: Mapping[str, str], python: Path) -> None:
        settings = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database, **_QUICK}
        super().__init__(home, {**settings, **variables}, python=python)

    @cached_property
    def _one_environment(self) -> dict[str, str]:
        return super()._environment()

    def _environment(self) -> dict[str, str]:
        # Its secrets are drawn once: a component that is started again must be believed by the others.
        return self._one_environment

    @property
    def restarts(self) -> int:
        """How often :meth:`supervise` has started the scheduler again."""
        return len(list(self.home.joinpath("logs").glob("scheduler-ended-*.log")))

    def supervise(self) -> None:
        """Do what systemd or Kubernetes does: start the scheduler again where Airflow's own race has ended it.

        In Airflow 3.3.2 a scheduler ends when a backfill makes the run of the interval that it is about to make itself
        (https://github.com/apache/airflow/issues/59120).

        :raises DemoError: a component has ended, and for another reason.
        """
        scheduler = self._processes["scheduler"]
        if scheduler.poll() is not None and _RACE.search(self.log("scheduler").read_text()):
            self.kill("scheduler")
            self.start_again("scheduler", "ended")
        self.require_alive()

    def start_again(self, component: str, reason: str = "killed") -> None:
        """Start a component that was killed or stopped; its log so far is kept beside the new one."""
        log = self.log(component)
        log.rename(log.with_name(f"{component}-{reason}-{time.time():.0f}.log"))
        self._launch(component, [component], self._environment())


class RestApi(AirflowApi):
    """What a person does through the REST API: trigger, backfill, clear, and look."""

    def trigger(self, dag_id: str, **conf: Any) -> str:
        """Begin a run by hand, without a logical date; return its id."""
        answer = self.post(f"/dags/{dag_id}/dagRuns", {"logical_date": None, "conf": conf})
        return str(answer["dag_run_id"])

    def backfill(self, dag_id: str, first: datetime, last: datetime, **options: Any) -> int:
        """Create a backfill and return its id.

        :param first: logical date of the first run. :param last: that of the last run, inclusive.
        :param options: ``run_backwards``, ``reprocess_behavior``, ``max_active_runs``, ``dag_run_conf``.
        """
        return int(self.post("/backfills", _span(dag_id, first, last, options))["id"])

    def backfill_dry_run(self, dag_id: str, first: datetime, last: datetime, **options: Any) -> list[str]:
        """Return the logical dates that such a backfill would run."""
        answer = self.post("/backfills/dry_run", _span(dag_id, first, last, options))
        return [each["logical_date"] for each in answer["backfills"]]

    def clear(self, dag_id: str, run_id: str, task_ids: Sequence[str] = (), **options: Any) -> None:
        """Clear tasks of a run, all of them by default."""
        body = {"dry_run": False, "only_failed": False, "dag_run_id": run_id, **options}
        self.post(f"/dags/{dag_id}/clearTaskInstances", {**body, **({"task_ids": list(task_ids)} if task_ids else {})})

    def run(self, dag_id: str, run_id: str) -> Json:
        """Return a run."""
        return self.get(f"/dags/{dag_id}/dagRuns/{run_id}")

    def log(self, task_instance: Json, try_number: int | None = None) -> str:
        """Return what a task instance said, one line each; the last try by default."""
        wanted = {**task_instance, "try_number": try_number or task_instance["try_number"]}
        path = "/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/logs/{try_number}".format_map(wanted)
        content = self.get(path, map_index=task_instance["map_index"], full_content="true")["content"]
        return "\n".join(str(line.get("event", line)) if isinstance(line, dict) else str(line) for line in content)

    def instance(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> Json:
        """Return one task instance of a run."""
        found = self.task_instances(dag_id, run_id)
        return next(each for each in found if (each["task_id"], each["map_index"]) == (task_id, map_index))

    def post(self, path: str, body: Mapping[str, Any]) -> Json:
        """Send something that must not be sent twice.

        :raises httpx.HTTPStatusError: Airflow refuses it; the message has its words.
        """
        answer = self._client.post(f"/api/v2{path}", json=body)
        if not answer.is_success:
            raise httpx.HTTPStatusError(f"{answer.status_code}: {answer.text}", request=answer.request, response=answer)
        return dict(answer.json())


def wait_for(what: str, question: Callable[[], Any], timeout: float = 180.0) -> Any:
    """Ask until the answer is true, and return it.

    :param timeout: seconds.
    """
    end = time.monotonic() + timeout
    while not (answer := question()):
        assert time.monotonic() < end, f"{what}: not within {timeout:g} s"
        time.sleep(_POLL_SECONDS)
    return answer


def _span(dag_id: str, first: datetime, last: datetime, options: Mapping[str, Any]) -> Json:
    return {"dag_id": dag_id, "from_date": first.isoformat(), "to_date": last.isoformat(), **options}
