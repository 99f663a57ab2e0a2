"""Failures of a query in Athena's words: what ends up in `StateChangeReason` and `AthenaError`.

Every part of the engine raises one of the two types below; only the handlers turn them into answers of the API.
"""

from __future__ import annotations

from typing import Final

SYSTEM_ERROR: Final = 1
USER_ERROR: Final = 2

# ASSUMPTION: AWS numbers its error types in a public table that we do not have; these keep the kinds apart.
_ERROR_TYPES: Final = {
    "SYNTAX_ERROR": 1,
    "NOT_SUPPORTED": 3,
    "COLUMN_NOT_FOUND": 1004,
    "TYPE_MISMATCH": 1005,
    "SCHEMA_NOT_FOUND": 1006,
    "TABLE_NOT_FOUND": 1006,
    "HIVE_CANNOT_OPEN_SPLIT": 1100,
    "HIVE_BAD_DATA": 1101,
    "PERMISSION_DENIED": 1200,
}


class QueryFailed(Exception):
    """A query that was accepted and ended in the state FAILED.

    `code` is Athena's name of the error (`TABLE_NOT_FOUND`, …), `detail` the rest of the line, `category` 1 for the
    service's fault and 2 for the user's (botocore model `athena`, AthenaError.ErrorCategory).
    """

    def __init__(self, code: str, detail: str, category: int = USER_ERROR) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.category = category

    @property
    def error_type(self) -> int:
        """The number of `AthenaError.ErrorType`, 0..9999."""
        return _ERROR_TYPES.get(self.code, 1299)


class RequestRefused(Exception):
    """A request that the API refuses before any query exists.

    `error` is the exception's name in botocore's model, `athena_code` the `AthenaErrorCode` member or None.
    """

    def __init__(self, message: str, error: str = "InvalidRequestException", athena_code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.error = error
        self.athena_code = athena_code
