"""Which failures are worth another try."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import RetryDecision, RetryPolicy

from ddb_export.exceptions import DdbExportError

if TYPE_CHECKING:
    from airflow.sdk import Context


class DdbExportRetryPolicy(RetryPolicy):
    """Fails at once where only a person can help, and leaves everything else to the task's retries.

    A missing permission, a table without point-in-time recovery or a damaged file is the same on the next try; each try would only
    put off the message. Throttling, a broken connection or an export that DynamoDB could not finish may pass.
    """

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        """Decide from the error's ``retryable``; errors that are not ours follow Airflow's own rule."""
        if isinstance(exception, DdbExportError) and not exception.retryable:
            return RetryDecision.fail(f"{type(exception).__name__}: only a person can help")
        return RetryDecision.default()

    def serialize(self) -> dict[str, Any]:
        """Return no state: there is none."""
        return {}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> DdbExportRetryPolicy:  # noqa: ARG003  # Airflow's signature
        """Make the policy again."""
        return cls()
