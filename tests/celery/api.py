"""Airflow's REST API as the compose file sets it up: FAB's users, so somebody signs in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from demo.airflow_api import AirflowApi
from tests.celery.stack import Stack


class CeleryApi(AirflowApi):
    """The REST API of a running stack."""

    @classmethod
    @contextmanager
    def of(cls, stack: Stack) -> Iterator[CeleryApi]:
        """Sign in as the user that the container ``migrate`` made.

        :param stack: its API server answers.
        """
        api = cls(stack.url("api-server", 8080))
        try:
            api.sign_in(stack.variables.get("AIRFLOW_ADMIN_NAME", "admin"), stack.variables["AIRFLOW_ADMIN_PASSWORD"])
            yield api
        finally:
            api.close()

    def sign_in(self, name: str, password: str) -> None:
        """Get a token for all further requests.

        :raises httpx.HTTPStatusError: Airflow does not know the user.
        """
        answer = self._client.post("/auth/token", json={"username": name, "password": password})
        self._client.headers["Authorization"] = f"Bearer {answer.raise_for_status().json()['access_token']}"
