"""Airflow's REST API as the compose file sets it up: FAB's users, so somebody signs in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from demo.airflow_api import AirflowApi, Json
from tests.celery.stack import Stack


class CeleryApi(AirflowApi):
    """The REST API of a running stack."""

    @classmethod
    @contextmanager
    def of(cls, stack: Stack) -> Iterator[CeleryApi]:
        """Sign in as the user that the container ``migrate`` made.

        :param stack: its API server answers.
        """
        with cls.at(stack.url("api-server", 8080), stack.variables) as api:
            yield api

    @classmethod
    @contextmanager
    def at(cls, url: str, variables: Mapping[str, str]) -> Iterator[CeleryApi]:
        """Sign in as the user that ``migrate`` made, at an address.

        :param variables: of ``.env``.
        """
        api = cls(url)
        try:
            api.sign_in(variables.get("AIRFLOW_ADMIN_NAME", "admin"), variables["AIRFLOW_ADMIN_PASSWORD"])
            yield api
        finally:
            api.close()

    def sign_in(self, name: str, password: str) -> None:
        """Get a token for all further requests.

        :raises httpx.HTTPStatusError: Airflow does not know the user.
        """
        answer = self._client.post("/auth/token", json={"username": name, "password": password})
        self._client.headers["Authorization"] = f"Bearer {answer.raise_for_status().json()['access_token']}"

    def running(self) -> list[Json]:
        """Return the task instances of all DAGs that are running now."""
        answer = self.get("/dags/~/dagRuns/~/taskInstances", state="running", limit=100)
        return list(answer["task_instances"])

    def succeeded(self, operator: str) -> int:
        """Count the task instances of an operator, in all DAGs, that succeeded."""
        path = "/dags/~/dagRuns/~/taskInstances"
        return int(self.get(path, state="success", operator=operator, limit=1)["total_entries"])
