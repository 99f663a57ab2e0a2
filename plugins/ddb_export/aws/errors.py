"""AWS's errors in this package's words: one line that names the thing, the cause and one remedy.

Code by code, from the botocore service models (s3, dynamodb, glue, athena, sts) and from AWS's S3 "Error responses" page; what
DynamoDB refuses of exports is explained by :mod:`ddb_export.domain.failures`. What is not listed falls back by its HTTP
status. botocore is imported when it is needed: the command line works on local files without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from ddb_export.domain.failures import Refusal, refusal_of
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


class ObjectArchivedError(NotReachableError):
    """The object is in a storage class from which it must be restored before it can be read."""

    retryable = False


class PreconditionFailedError(DdbExportError):
    """A conditional write found another object than it expected; nothing was written.

    One trap: when the connection broke after S3 had stored the object, botocore's retry meets its own first try and S3
    refuses it. Whoever catches this reads the object back; if it is what was to be written, the write has happened.
    """

    retryable = True


CREDENTIAL_CODES = frozenset({
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
"""Codes that say that the credentials are not, or no longer, valid: others may be at hand."""

_FORBIDDEN = frozenset({
    "AccessDenied",
    "AccessDeniedException",
    "AllAccessDisabled",
    "AuthorizationError",
    "Forbidden",
    "UnauthorizedOperation",
    "403",
})  # fmt: skip
_THROTTLED = frozenset({
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "ContinuousBackupsUnavailableException",
    "RequestLimitExceeded",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
})  # fmt: skip
_MISSING_OBJECT = frozenset({"NoSuchKey", "NoSuchVersion", "NotFound", "404"})
_ARCHIVED = frozenset({"InvalidObjectState", "InvalidObjectStateException"})
_PRECONDITION = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412"})

_GRANT = "grant the permission for {operation} on it to the role that runs this"
_FAMILIES: tuple[tuple[frozenset[str], type[DdbExportError], str], ...] = (
    (
        CREDENTIAL_CODES,
        PermissionDeniedError,
        "renew the AWS credentials, and check that the clock of this machine is right",
    ),
    # S3's own code (S3 API reference, "Error responses"); the other services say InvalidSignatureException or SignatureDoesNotMatch.
    (frozenset({"RequestTimeTooSkewed"}), PermissionDeniedError, "set the clock of this machine by NTP"),
    (_PRECONDITION, PreconditionFailedError, "read what is there now and decide again"),
    (_MISSING_OBJECT, ObjectMissingError, "check the name, or copy what is missing to this place"),
    (
        # S3 API reference, GetObject: objects in GLACIER, DEEP_ARCHIVE and the archive tiers of INTELLIGENT_TIERING.
        _ARCHIVED,
        ObjectArchivedError,
        "it is archived: restore it first (aws s3api restore-object), wait until that is done, then try again",
    ),
    (_FORBIDDEN, PermissionDeniedError, _GRANT),
    (_THROTTLED, ExportThrottledError, "try again later, or raise the quota"),
)

_BUCKETS: dict[str, tuple[type[DdbExportError], str]] = {
    "NoSuchBucket": (NotReachableError, "check the bucket's name and the account that the credentials belong to"),
    "PermanentRedirect": (NotReachableError, "name the bucket's own region"),
    "AuthorizationHeaderMalformed": (NotReachableError, "name the bucket's own region"),
    "IllegalLocationConstraintException": (NotReachableError, "name the bucket's own region"),
    "InvalidBucketName": (ConfigurationError, "check the bucket's name"),
}
"""Where a bucket is wrong: by code, the error and the remedy."""

_EXPORT_OPERATIONS = frozenset({
    "DescribeContinuousBackups",
    "DescribeExport",
    "DescribeTable",
    "DescribeTimeToLive",
    "ExportTableToPointInTime",
    "ListExports",
})  # fmt: skip
"""Calls whose refusals :mod:`ddb_export.domain.failures` explains."""

_KINDS: dict[str, type[DdbExportError]] = {
    "TableNotFoundException": TableMissingError,
    "ResourceNotFoundException": TableMissingError,
    "PointInTimeRecoveryUnavailableException": PointInTimeRecoveryError,
    "InvalidExportTimeException": PointInTimeRecoveryError,
    "ExportConflictException": ExportRefusedError,
    "ExportNotFoundException": ExportError,
    "InternalServerError": NotReachableError,
    "ValidationException": ExportRefusedError,
}
"""Errors of the codes that DynamoDB refuses exports with; their remedies are in :mod:`ddb_export.domain.failures`."""


def translate(error: Exception, thing: str, *, remedy: str | None = None) -> DdbExportError:
    """Return one of our errors for one of botocore's; the caller raises it ``from`` the original.

    :param error: a ``botocore.exceptions.ClientError`` or ``BotoCoreError``; ours are returned as they are.
    :param thing: what the call was about, for the message: a URI, a table, an export ARN.
    :param remedy: what a person should do about AWS's answer, where the caller knows better than the code does; what kept AWS from being
        asked (no region, no credentials, no network) has a remedy of its own.
    :return: its ``code`` is AWS's error code, for a ``BotoCoreError`` the name of its class.
    """
    from botocore.exceptions import ClientError

    if isinstance(error, DdbExportError):
        return error
    if isinstance(error, ClientError):
        return _translate_answer(error, thing, remedy)
    return _translate_no_answer(error, thing)


NO_REGION = "set 'region' in the table's YAML, region_name in the connection, or AWS_DEFAULT_REGION"
"""What to do where botocore knows no region: it is nobody's permission, and nothing to be left out."""
_TRUST = "let the role's trust policy name whoever runs this, allow that sts:AssumeRole on it, or correct role_arn"


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
    known = _explained(code, str(error.operation_name), message)
    if known:
        cause = f"{cause.rstrip('.')}: {known.cause}"
    kind, advice = kind_and_remedy(code, str(error.operation_name), message, status)
    return kind(thing, cause, remedy or advice, code=code or str(status))


def kind_and_remedy(code: str, operation: str, message: str = "", status: int = 0) -> tuple[type[DdbExportError], str]:
    """Return which of our errors an error code of AWS is, and what to do about it.

    :param code: AWS's error code; empty if there is none. :param operation: name of the API call.
    :param message: AWS's message, which tells apart the causes of one code. :param status: HTTP status; 0 if not known.
    """
    if operation == "AssumeRole" and code in ("AccessDenied", "AccessDeniedException"):
        return PermissionDeniedError, _TRUST
    known = _explained(code, operation, message)
    if code in _KINDS:
        general = known or refusal_of(code)
        return _KINDS[code], general.remedy if general else "see the message"
    if code in _BUCKETS:
        return _BUCKETS[code]
    for codes, kind, advice in _FAMILIES:
        if code in codes:
            return kind, known.remedy if known else advice.format(operation=operation)
    if status in (401, 403):
        return PermissionDeniedError, _GRANT.format(operation=operation)
    return NotReachableError, "try again; if it stays, look at the AWS Health Dashboard and the request's parameters"


def _explained(code: str, operation: str, message: str) -> Refusal | None:
    """Other services use some of DynamoDB's codes for other things."""
    return refusal_of(code, message) if operation in _EXPORT_OPERATIONS else None


def _translate_no_answer(error: Exception, thing: str) -> DdbExportError:
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
        return PermissionDeniedError(thing, cause, advice, code=code)
    if isinstance(
        error,
        botocore_errors.ProfileNotFound
        | botocore_errors.InvalidRegionError
        | botocore_errors.ConfigParseError
        | botocore_errors.ParamValidationError,
    ):
        return ConfigurationError(thing, cause, "correct it, or leave it out", code=code)
    if isinstance(error, botocore_errors.NoRegionError):
        return ConfigurationError(thing, cause, NO_REGION, code=code)
    advice = "check the network, the region and the endpoint URL, then try again"
    return NotReachableError(thing, cause, advice, code=code)
