"""What a task remembers beyond its tries: Airflow 3.3's task state store, which survives retry, deferral and clear."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from airflow.sdk.execution_time.context import NEVER_EXPIRE

if TYPE_CHECKING:
    from airflow.sdk import Context

_KEY = re.compile(r"[A-Za-z0-9._-]+")


def recall(context: Context, key: str) -> Any:
    """Return what was remembered under a key, None if nothing was."""
    return context["task_state_store"].get(key)


def remember(context: Context, key: str, value: Any) -> None:
    """Remember a JSON value for as long as the run exists; Airflow's default would let it expire after 30 days.

    :param key: letters, digits, ``.``, ``_`` and ``-``: Airflow 3.3.0 puts the key into a path of its API without quoting it, so
        that a slash makes it answer 404 (3.3.1 quotes; seen in ``airflow/sdk/api/client.py`` of both).
    :raises ValueError: the key has another character.
    """
    if not _KEY.fullmatch(key):
        raise ValueError(f"{key!r}: Airflow 3.3.0 cannot keep it. Remedy: use letters, digits, '.', '_' and '-' only")
    context["task_state_store"].set(key, value, retention=NEVER_EXPIRE)


def forget(context: Context, key: str) -> None:
    """Forget a key."""
    context["task_state_store"].delete(key)
