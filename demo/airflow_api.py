"""Airflow's REST API, as far as the demo drives it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx

from demo.errors import DemoError

Json = dict[str, Any]
_TRIES = 5


class AirflowApi:
    """The REST API of an Airflow whose users are all administrators.

    :param url: address of its API server.
    """

    def __init__(self, url: str) -> None:
        # Proxies are for other machines.
        self._client = httpx.Client(base_url=url, timeout=30, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def wait_until_ready(self, dag_id: str, check: Callable[[], None], timeout: float) -> None:
        """Wait until the API answers and knows a DAG.

        :param check: raises when waiting has become pointless.
        :param timeout: seconds.
        :raises DemoError: it takes longer.
        """
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            check()
            try:
                if "Authorization" not in self._client.headers:
                    token = self._client.get("/auth/token").raise_for_status().json()["access_token"]
                    self._client.headers["Authorization"] = f"Bearer {token}"
                if self._client.get(f"/api/v2/dags/{dag_id}").status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.5)
        errors = [error["stack_trace"] for error in self.get("/importErrors")["import_errors"]]
        cause = f"it was not there within {timeout:g} s: {errors[0] if errors else 'no import error'}"
        raise DemoError(f"the DAG {dag_id}", cause, "see the logs of dag-processor and api-server")

    def get(self, path: str, **parameters: str | int) -> Json:
        """Return the answer to ``GET /api/v2{path}``."""
        return dict(self._send("GET", path, params=parameters).json())

    def set_paused(self, dag_id: str, *, paused: bool) -> None:
        """Pause or unpause a DAG."""
        self._send("PATCH", f"/dags/{dag_id}", params={"update_mask": "is_paused"}, json={"is_paused": paused})

    def _send(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Send a request that may be sent twice, and again while a busy Airflow does not answer it."""
        cause = ""
        for _ in range(_TRIES):
            try:
                answer = self._client.request(method, f"/api/v2{path}", **more)
            except httpx.TransportError as error:
                cause = f"it does not answer: {error}"
            else:
                if answer.is_success:
                    return answer
                cause = f"it answers {answer.status_code}: {answer.text}"
                if not answer.is_server_error:
                    break
            time.sleep(1)
        raise DemoError(f"Airflow's {method} {path}", cause, "see the log of api-server")

    def runs(self, dag_id: str) -> list[Json]:
        """Return the runs of a DAG, oldest data interval first."""
        return list(self.get(f"/dags/{dag_id}/dagRuns", order_by="logical_date", limit=100)["dag_runs"])

    def task_instances(self, dag_id: str, run_id: str) -> list[Json]:
        """Return the task instances of a run, mapped ones each."""
        answer = self.get(f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances", limit=100)
        return list(answer["task_instances"])

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str) -> Any:
        """Return what a task of a run pushed."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        return self.get(path, deserialize="true")["value"]

    def last_error(self, task_instance: Json) -> str:
        """Return what the last try of a task failed with, as its log has it."""
        path = "/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/logs/{try_number}".format_map(task_instance)
        said = "no word in its log"
        for line in self.get(path, map_index=task_instance["map_index"], full_content="true")["content"]:
            for error in line.get("error_detail") or ():
                said = f"{error['exc_type']}: {error['exc_value']}"
        return said
