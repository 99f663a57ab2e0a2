"""Follows Airflow's runs until they have ended, and says in short lines what happens in them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from demo.airflow_api import AirflowApi
from demo.console import Console
from demo.errors import DemoError

_POLL_SECONDS = 1.0
_ENDED = ("success", "failed")
_TOLD = {
    ("export_base", "deferred"): "full export runs; the task waits in the triggerer",
    ("window.export", "deferred"): "incremental export runs; the task waits in the triggerer",
    ("window.export", "up_for_retry"): "the export FAILED; the task tries again",
    ("export_base", "success"): "full export COMPLETED",
    ("window.export", "success"): "incremental export COMPLETED",
    ("verify_base", "success"): "verified: every file, byte for byte",
    ("window.verify", "success"): "verified: every file, byte for byte",
    ("convert", "success"): "converted to Parquet",
    ("publish", "success"): "published to Glue",
    ("check", "success"): "Athena counts what was published",
}


@dataclass
class Progress:
    """What has been told of a DAG's runs so far.

    :param require_alive: raises when waiting has become pointless.
    """

    api: AirflowApi
    dag_id: str
    console: Console
    require_alive: Callable[[], None]
    _told: set[tuple[str, str, str]] = field(default_factory=set)

    def follow(self, count: int, until: datetime, timeout: float) -> list[str]:
        """Wait until the first ``count`` runs have ended well; return their ids, oldest data first.

        :param until: runs whose data ends later are not waited for.
        :param timeout: seconds.
        :raises DemoError: a run failed, or they take longer.
        """
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            self.require_alive()
            found = self.api.runs(self.dag_id)
            runs = [run for run in found if datetime.fromisoformat(run["data_interval_end"]) <= until]
            for run in runs:
                self._tell(run)
                if run["state"] == "failed":
                    cause, _, remedy = self._cause(run).partition(". Remedy: ")
                    raise DemoError(f"run {run['dag_run_id']}", cause, remedy or "see the logs of its tasks")
            if len(runs) >= count and all(run["state"] in _ENDED for run in runs[:count]):
                return [str(run["dag_run_id"]) for run in runs[:count]]
            time.sleep(_POLL_SECONDS)
        states = ", ".join(f"{run['dag_run_id']} is {run['state']}" for run in self.api.runs(self.dag_id))
        cause = f"not done after {timeout:g} s: {states or 'there is no run'}"
        raise DemoError(f"the {count} runs of {self.dag_id}", cause, "see Airflow's logs")

    def _tell(self, run: dict[str, Any]) -> None:
        run_id = str(run["dag_run_id"])
        if run["state"] == "queued" or (run_id, "", "ended") in self._told:
            return
        if self._is_news(run_id, "", "begun"):
            interval = f"{run['data_interval_start'][:10]} → {run['data_interval_end'][:10]}"
            self.console.step(f"run of {interval} begins")
        instances = self.api.task_instances(self.dag_id, run_id)
        for task_id in dict.fromkeys(instance["task_id"] for instance in instances):
            states = {str(each["state"]) for each in instances if each["task_id"] == task_id}
            # Of mapped tasks only what all of them have reached is worth a line.
            state = states.pop() if len(states) == 1 else ""
            words = _TOLD.get((task_id, state))
            if words and self._is_news(run_id, task_id, state):
                self.console.step(f"    {words}")
        if run["state"] in _ENDED:
            self._told.add((run_id, "", "ended"))

    def _is_news(self, *what: str) -> bool:
        run_id, task_id, state = what
        news = (run_id, task_id, state) not in self._told
        self._told.add((run_id, task_id, state))
        return news

    def _cause(self, run: dict[str, Any]) -> str:
        """Return the words of the task that failed first; the later ones often failed because of it."""
        instances = self.api.task_instances(self.dag_id, run["dag_run_id"])
        failed = sorted((each for each in instances if each["state"] == "failed"), key=lambda each: each["end_date"])
        if not failed:
            return "it failed without a failed task"
        said = self.api.last_error(failed[0])
        return f"task {failed[0]['task_display_name']} failed with {said}"
