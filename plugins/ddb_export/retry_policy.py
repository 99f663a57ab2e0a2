"""Which failures are worth another try."""

from __future__ import annotations

import logging
import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import RetryDecision, RetryPolicy

from ddb_export.domain.waiting import longest_back_off
from ddb_export.exceptions import DdbExportError, ExportThrottledError

if TYPE_CHECKING:
    from airflow.sdk import Context


_log = logging.getLogger(__name__)

_FIRST_DELAY = timedelta(minutes=1)
_LONGEST_DELAY = timedelta(minutes=15)


class DdbExportRetryPolicy(RetryPolicy):
    """Fails at once where only a person can help, and tries later where AWS asked to wait.

    A missing permission, a table without point-in-time recovery or a damaged file is the same on the next try; each try would only
    put off the message. Throttling and full quotas pass, but not at once: the next try comes after 1, 2, 4, … up to 15 minutes,
    of which a random part is taken off, so that tasks that were refused together do not come back together. A broken connection or
    an export that DynamoDB could not finish is left to the task's own retries.
    """

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        """Decide from the kind of error; errors that are not ours follow Airflow's own rule.

        Airflow asks after every failure of a task, the last one included: it is where the log says what the runbook knows of it.
        """
        if isinstance(exception, DdbExportError):
            _log.error("what to do: docs/runbook.md#%s", _runbook_anchor(exception))
        if isinstance(exception, ExportThrottledError):
            longest = longest_back_off(max(try_number, 1), _FIRST_DELAY.total_seconds(), _LONGEST_DELAY.total_seconds())
            delay = timedelta(seconds=round(random.uniform(longest / 2, longest), 3))  # noqa: S311  # no secret
            return RetryDecision.retry(delay, f"{exception.code or 'throttled'}: AWS asked to wait")
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


def _runbook_anchor(error: DdbExportError) -> str:
    """Return the place of an error in the runbook: the class that :mod:`ddb_export.exceptions` has of it."""
    known = DdbExportError.__module__
    return next(each.__name__ for each in type(error).__mro__ if each.__module__ == known)
