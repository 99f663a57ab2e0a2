"""Waiting for an export's end in the worker, and what a wait hands over when it is over, wherever it was done.

The triggerer and the worker end a wait with the same event, so that whatever goes on after it is one path.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ddb_export.aws.errors import CREDENTIAL_CODES, kind_and_remedy
from ddb_export.domain.export import ExportDescription, ExportStatus
from ddb_export.domain.failures import failure_of
from ddb_export.domain.waiting import PATIENCE, longest_back_off, pause_between_questions
from ddb_export.exceptions import (
    DdbExportError,
    ExportFailedError,
    ExportThrottledError,
    NotReachableError,
    PermissionDeniedError,
)

if TYPE_CHECKING:
    from ddb_export.aws.dynamodb import DynamoDBGateway

log = logging.getLogger(__name__)

_FIRST_BACK_OFF = 1.0
_LONGEST_BACK_OFF = 30.0


def end_event(export_arn: str, status: str) -> dict[str, Any]:
    """Return the event of an export that has ended.

    :param status: ``COMPLETED`` or ``FAILED``.
    """
    return {"status": str(status), "export_arn": export_arn}


def refusal_event(export_arn: str, error: DdbExportError) -> dict[str, Any]:
    """Return the event of an export that can no longer be asked after."""
    return {"status": "error", "export_arn": export_arn, "cause": error.cause, "code": error.code}


def refusal(event: Mapping[str, Any]) -> DdbExportError:
    """Return the error of an event that says that the export could no longer be asked after.

    :param event: what :func:`refusal_event` made.
    :return: a :class:`~ddb_export.exceptions.PermissionDeniedError` where a person has to grant something.
    """
    thing, cause, code = f"export {event['export_arn']}", str(event["cause"]), event.get("code")
    error_type, remedy = kind_and_remedy(code or "", "DescribeExport")
    if error_type is PermissionDeniedError and code not in CREDENTIAL_CODES:
        return error_type(thing, cause, "allow this role dynamodb:DescribeExport, then clear this task", code=code)
    if issubclass(error_type, NotReachableError) or code in CREDENTIAL_CODES:
        # The next try is made by another process with credentials of its own.
        return NotReachableError(thing, cause, "see the cause; a retry asks again", code=code)
    return error_type(thing, cause, remedy, code=code)


def failed(description: ExportDescription, what: str, *, after: str, passing: str) -> ExportFailedError:
    """Return the error of an export that DynamoDB ended as FAILED.

    :param description: what DynamoDB says of it. :param what: what was exported, in words.
    :param after: what a person does when the cause is removed. :param passing: the remedy where the cause may pass by itself.
    """
    code, message = description.failure_code or "UNKNOWN", description.failure_message or "no message"
    known = failure_of(code, message)
    return ExportFailedError(
        description.export_arn,
        f"DynamoDB ended {what} as FAILED with {code}: {message}: {known.cause}",
        passing if known.passes else f"{known.remedy}, then {after}",
        code=code,
    )


def passes(error: DdbExportError, unanswered_for: timedelta) -> bool:
    """Tell whether a wait goes on after a question failed: throttling always passes, a network that is down for a while.

    :param unanswered_for: since when nothing was answered.
    """
    if isinstance(error, ExportThrottledError):
        return True
    return isinstance(error, NotReachableError) and error.retryable and unanswered_for < PATIENCE


def wait_for_end(dynamodb: DynamoDBGateway, export_arn: str, poll_interval: timedelta) -> dict[str, Any]:
    """Wait in this process until an export has ended; return the event that the trigger would have fired.

    :param poll_interval: time between two questions at least; exports that run for long are asked after less often.
    """
    began = time.monotonic()
    unanswered_since: float | None = None
    refusals = 0
    while True:
        try:
            status = dynamodb.describe_export(export_arn).status
        except DdbExportError as error:
            if isinstance(error, ExportThrottledError):
                unanswered_since = None
            elif unanswered_since is None:
                unanswered_since = time.monotonic()
            silent = timedelta(seconds=time.monotonic() - (unanswered_since or time.monotonic()))
            if not passes(error, silent):
                return refusal_event(export_arn, error)
            refusals += 1
            log.info("export %s: asked again: %s", export_arn, error.cause)
        else:
            if status is not ExportStatus.IN_PROGRESS:
                return end_event(export_arn, status)
            refusals, unanswered_since = 0, None
        pause = pause_between_questions(poll_interval.total_seconds(), time.monotonic() - began)
        if refusals:
            pause += random.uniform(0, longest_back_off(refusals, _FIRST_BACK_OFF, _LONGEST_BACK_OFF))  # noqa: S311  # no secret
        time.sleep(pause)
