"""When operators rewrite what is published: because a person asks for it, or because the table's policy says so, within the budget."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

if TYPE_CHECKING:
    from ddb_export.exceptions import BudgetError

BY_REQUEST = "by_request"
AUTOMATIC = "automatic"


def require_wanted(policy: str, *, asked: bool, nobody: str) -> None:
    """Skip the task where neither a person nor the policy wants it.

    :param policy: :data:`BY_REQUEST` or :data:`AUTOMATIC`. :param asked: whether a person asks for it. :param nobody: what is said else.
    """
    if not asked and policy != AUTOMATIC:
        raise AirflowSkipException(nobody)


def require_affordable(error: BudgetError | None, warn: Callable[..., Any], *, asked: bool) -> None:
    """Fail a run that asks for what its budget does not allow; where nobody asks, warn and skip.

    :param error: why the budget does not allow it; None if it does. :param warn: the ``warning`` of the task's log.
    :raises BudgetError: a person asks for it.
    """
    if error and asked:
        raise error
    if error:
        warn("%s", error)
        raise AirflowSkipException("it would cost more than the budget allows; see the warning above")
