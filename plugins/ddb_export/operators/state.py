"""What a task remembers beyond its tries: Airflow 3.3's task state store, which survives retry, deferral and clear."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.execution_time.context import NEVER_EXPIRE

if TYPE_CHECKING:
    from airflow.sdk import Context


def recall(context: Context, key: str) -> Any:
    """Return what was remembered under a key, None if nothing was."""
    return context["task_state_store"].get(key)


def remember(context: Context, key: str, value: Any) -> None:
    """Remember a JSON value for as long as the run exists; Airflow's default would let it expire after 30 days."""
    context["task_state_store"].set(key, value, retention=NEVER_EXPIRE)


def forget(context: Context, key: str) -> None:
    """Forget a key."""
    context["task_state_store"].delete(key)
