"""AWS's errors in this package's words: one line that names the thing, the cause and one remedy.

Code by code, from the botocore service models (s3, dynamodb, glue, athena, sts) and from AWS's S3 "Error responses" page.
What is not listed falls back by its HTTP status. botocore is imported when it is needed: the command line works on local
files without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from ddb_export.exceptions import (
    ConfigurationError,
    DdbExportError,
    ExportError,
    ExportRefusedError,
    ExportThrottledError,
    NotReachableError,
    PermissionDeniedError,
    PointInTimeRecoveryError,
    TableMissingError,
)


class ObjectMissingError(NotReachableError):
    """There is no object of this key."""

    retryable = False


class PreconditionFailedError(DdbExportError):
    """A conditional write found another object than it expected; nothing was written.

    One trap: when the connection broke after S3 had stored the object, botocore's retry meets its own first try and S3
    refuses it. Whoever catches this reads the object back; if it is what was to be written, the write has happened.
    """

    retryable = True


_CREDENTIALS = frozenset({
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "InvalidToken",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
})  # fmt: skip
_FORBIDDEN = frozenset({
    "AccessDenied",
    "AccessDeniedException",
    "AllAccessDisabled",
    "AuthorizationError",
    "Forbidden",
    "InvalidObjectState",
    "UnauthorizedOperation",
    "403",
})  # fmt: skip
_THROTTLED = frozenset({
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
})  # fmt: skip
_MISSING_OBJECT = frozenset({"NoSuchKey", "NoSuchVersion", "NotFound", "404"})
_PRECONDITION = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412"})

_GRANT = "grant the permission for {operation} on it to the role that runs this"
_FAMILIES: tuple[tuple[frozenset[str], type[DdbExportError], str], ...] = (
    (
        _CREDENTIALS,
        PermissionDeniedError,
        "renew the AWS credentials, and check that the clock of this machine is right",
    ),
    (_PRECONDITION, PreconditionFailedError, "read what is there now and decide again"),
    (_MISSING_OBJECT, ObjectMissingError, "check the name, or copy what is missing to this place"),
    (_FORBIDDEN, PermissionDeniedError, _GRANT),
    (_THROTTLED, ExportThrottledError, "try again later, or raise the quota"),
)

_REMEDIES: dict[str, tuple[type[DdbExportError], str]] = {
    "NoSuchBucket": (NotReachableError, "check the bucket's name and the account that the credentials belong to"),
    "PermanentRedirect": (NotReachableError, "name the bucket's own region"),
    "AuthorizationHeaderMalformed": (NotReachableError, "name the bucket's own region"),
    "IllegalLocationConstraintException": (NotReachableError, "name the bucket's own region"),
    "InvalidBucketName": (ConfigurationError, "check the bucket's name"),
    "TableNotFoundException": (TableMissingError, "check the table's name, account and region"),
    "ResourceNotFoundException": (TableMissingError, "check the name, account and region"),
    "PointInTimeRecoveryUnavailableException": (
        PointInTimeRecoveryError,
        "switch point-in-time recovery on for the table",
    ),
    "ContinuousBackupsUnavailableException": (PointInTimeRecoveryError, "try again in a minute"),
    "InvalidExportTimeException": (
        PointInTimeRecoveryError,
        "ask for a time that point-in-time recovery reaches",
    ),
    "ExportConflictException": (
        ExportRefusedError,
        "use another client token: this one stands for an export that was asked for in other words",
    ),
    "ExportNotFoundException": (ExportError, "check the export's ARN, account and region"),
    "ValidationException": (ExportRefusedError, "correct the parameter that the message names"),
}


def translate(error: Exception, thing: str, *, remedy: str | None = None) -> DdbExportError:
    """Return one of our errors for one of botocore's; the caller raises it ``from`` the original.

    :param error: a ``botocore.exceptions.ClientError`` or ``BotoCoreError``; ours are returned as they are.
    :param thing: what the call was about, for the message: a URI, a table, an export ARN.
    :param remedy: what a person should do, where the caller knows better than the code does.
    :return: its ``code`` is AWS's error code, for a ``BotoCoreError`` the name of its class.
    """
    from botocore.exceptions import ClientError

    if isinstance(error, DdbExportError):
        return error
    if isinstance(error, ClientError):
        return _translate_answer(error, thing, remedy)
    return _translate_no_answer(error, thing, remedy)


@contextmanager
def aws_errors(thing: str, *, remedy: str | None = None) -> Iterator[None]:
    """Translate what botocore raises inside the ``with`` block.

    :param thing: as for :func:`translate`.
    :param remedy: as for :func:`translate`.
    :raises DdbExportError: in place of botocore's error, which stays its ``__cause__``.
    """
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (ClientError, BotoCoreError, Boto3Error) as error:
        raise translate(_innermost(error), thing, remedy=remedy) from error


def error_code(error: Exception) -> str:
    """Return AWS's error code of a ``ClientError``, such as ``NoSuchKey``; empty for other errors."""
    response: dict[str, Any] = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def _innermost(error: Exception) -> Exception:
    """boto3's S3 transfer wraps botocore's errors; the cause says more than the wrapper."""
    from botocore.exceptions import BotoCoreError, ClientError

    inner = error.__cause__ or error.__context__
    if not isinstance(error, ClientError | BotoCoreError) and isinstance(inner, ClientError | BotoCoreError):
        return cast("Exception", inner)
    return error


def _translate_answer(error: Any, thing: str, remedy: str | None) -> DdbExportError:
    code = error_code(error)
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    message = error.response.get("Error", {}).get("Message") or "no message"
    cause = f"{error.operation_name} answered {code or status}: {message}"
    kind, advice = _classify(code, status, str(error.operation_name))
    return kind(thing, cause, remedy or advice, code=code or str(status))


def _classify(code: str, status: int, operation: str) -> tuple[type[DdbExportError], str]:
    if code in _REMEDIES:
        return _REMEDIES[code]
    for codes, kind, advice in _FAMILIES:
        if code in codes:
            return kind, advice.format(operation=operation)
    if status in (401, 403):
        return PermissionDeniedError, _GRANT.format(operation=operation)
    return NotReachableError, "try again; if it stays, look at the AWS Health Dashboard and the request's parameters"


def _translate_no_answer(error: Exception, thing: str, remedy: str | None) -> DdbExportError:
    from botocore import exceptions as botocore_errors

    code = type(error).__name__
    cause = str(error)
    if isinstance(
        error,
        botocore_errors.NoCredentialsError
        | botocore_errors.PartialCredentialsError
        | botocore_errors.CredentialRetrievalError
        | botocore_errors.TokenRetrievalError
        | botocore_errors.SSOError,
    ):
        advice = "set AWS credentials: an environment variable, a profile, or a role"
        return PermissionDeniedError(thing, cause, remedy or advice, code=code)
    if isinstance(
        error,
        botocore_errors.ProfileNotFound
        | botocore_errors.NoRegionError
        | botocore_errors.InvalidRegionError
        | botocore_errors.ConfigParseError
        | botocore_errors.ParamValidationError,
    ):
        return ConfigurationError(thing, cause, remedy or "correct it, or leave it out", code=code)
    advice = "check the network, the region and the endpoint URL, then try again"
    return NotReachableError(thing, cause, remedy or advice, code=code)
