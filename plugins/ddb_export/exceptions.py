"""The errors of ddb_export, one class per kind of fact, all below :class:`DdbExportError`.

::

    DdbExportError
    ├── ConfigurationError          what the user declared cannot be used (also ValueError)
    ├── UsageError                  an argument of a command or operator cannot be used (also ValueError)
    ├── NotReachableError           a service or file could not be reached or may not be read
    │   ├── PermissionDeniedError   … because a permission is missing
    │   └── NotAllToldError         a notifier did not take a notice (below ``pipeline.incidents``)
    ├── TableError                  the DynamoDB table cannot be exported as asked
    │   ├── TableMissingError
    │   ├── PointInTimeRecoveryError
    │   └── TableIdentityError      another table stands where the chain's table stood
    ├── ExportError                 an export could not be started, found or used
    │   ├── ExportFailedError       DynamoDB ended it as FAILED
    │   ├── ExportRefusedError      DynamoDB refused the request
    │   └── ExportThrottledError    DynamoDB asked to wait (throttling, concurrency quota)
    ├── VerificationError           an export's description, manifests or files do not agree
    ├── ConversionError             data could not be converted exactly
    ├── LedgerError                 the ledger refuses or contradicts
    │   ├── ClaimConflictError      another writer claimed meanwhile, or boundaries overlap
    │   ├── OwnershipError          the ledger belongs to another table or a newer format
    │   └── EmptyLedgerError        an earlier chain existed but its ledger is gone
    ├── PlanError                   no plan answers the request (also ValueError)
    ├── BudgetError                 a run's estimated price is above the table's budget
    ├── PreflightError              something that a table's runs need is not as they need it
    └── PublishError                Glue or Athena did not take what was published

Every message is one line that names the thing, the cause and one remedy. An error carries the three as
attributes so that logs, ``--json`` output and alerts say the same words.
"""

from __future__ import annotations


class DdbExportError(Exception):
    """Base of all errors of this package.

    :param thing: what it is about (a table, an export ARN, a file, a key of the configuration).
    :param cause: why it cannot be used, in words.
    :param remedy: the one action that a person should take.
    :param code: the AWS error or failure code, if there is one.
    """

    retryable = False
    """Whether trying again without a change by a person can help."""

    def __init__(self, thing: str, cause: str, remedy: str, *, code: str | None = None) -> None:
        self.thing = _one_line(thing)
        self.cause = _one_line(cause)
        self.remedy = _one_line(remedy)
        self.code = code
        super().__init__(f"{self.thing}: {self.cause.rstrip('.')}. Remedy: {self.remedy}")

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.thing, self.cause, self.remedy, self.code))


def _rebuild(error_type: type[DdbExportError], thing: str, cause: str, remedy: str, code: str | None) -> DdbExportError:
    return error_type(thing, cause, remedy, code=code)


def _one_line(text: str) -> str:
    return " ".join(str(text).split())


class ConfigurationError(DdbExportError, ValueError):
    """What the user declared cannot be used."""


class UsageError(DdbExportError, ValueError):
    """An argument of a command or an operator cannot be used."""


class NotReachableError(DdbExportError):
    """A service, bucket or file could not be reached or does not exist."""

    @property
    def retryable(self) -> bool:  # type: ignore[override]
        """Whether it may pass: a broken connection does, a bucket that does not exist stays so."""
        return self.code != "NoSuchBucket"


class PermissionDeniedError(NotReachableError):
    """A permission is missing."""

    retryable = False


class TableError(DdbExportError):
    """The DynamoDB table cannot be exported as asked."""


class TableMissingError(TableError):
    """There is no such table in this account and region."""


class PointInTimeRecoveryError(TableError):
    """Point-in-time recovery is off, or does not reach the time that was asked for."""


class TableIdentityError(TableError):
    """The table was deleted and created again, or another table is named."""


class ExportError(DdbExportError):
    """An export could not be started, found or used."""


PERMANENT_FAILURES = frozenset({"KmsNotFoundException", "S3AccessDenied", "S3NoSuchBucket"})
"""FailureCodes that stay until a person changes something. The set of codes is open: others may pass."""


class ExportFailedError(ExportError):
    """DynamoDB ended the export as FAILED; ``code`` is its FailureCode."""

    @property
    def retryable(self) -> bool:  # type: ignore[override]
        """Whether the next attempt may succeed without a change by a person."""
        return self.code not in PERMANENT_FAILURES


class ExportRefusedError(ExportError):
    """DynamoDB refused the request; ``code`` is the error code."""


class ExportThrottledError(ExportError):
    """DynamoDB asked to wait: throttling, or the quota of concurrent exports."""

    retryable = True


class VerificationError(DdbExportError):
    """An export's description, manifests or files do not agree with each other or with what was asked."""


class ConversionError(DdbExportError):
    """Data could not be converted exactly."""


class LedgerError(DdbExportError):
    """The ledger refuses a write or contradicts itself."""


class ClaimConflictError(LedgerError):
    """Another writer claimed meanwhile, or the boundaries overlap with a claim."""

    retryable = True


class OwnershipError(LedgerError):
    """The ledger belongs to another table, or was written by a newer version of this package."""


class EmptyLedgerError(LedgerError):
    """The ledger is empty although an earlier chain existed."""


class PlanError(DdbExportError, ValueError):
    """No plan answers the request."""


class BudgetError(DdbExportError):
    """What a run would do is estimated to cost more than the table's budget allows; nothing was started."""


class PreflightError(DdbExportError):
    """Something that a table's runs need is missing or not as they need it; nothing was started."""


class PublishError(DdbExportError):
    """Glue or Athena did not take what was to be published."""
