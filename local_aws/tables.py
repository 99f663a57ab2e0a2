"""Looking up a table of the calling account, and DynamoDB's answers in ministack's form."""

from __future__ import annotations

from typing import Any

from local_aws import hooks

Answer = tuple[int, dict[str, str], bytes]


class ApiError(Exception):
    """An error that DynamoDB answers with: its type and message (HTTP 400)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def answer(self) -> Answer:
        """The error as ministack's handlers return it."""
        answer: Answer = hooks.responses().error_response_json(self.code, self.message, 400)
        return answer


def json_answer(data: dict[str, Any]) -> Answer:
    """A success as ministack's handlers return it."""
    answer: Answer = hooks.responses().json_response(data)
    return answer


def table_named(name: object) -> dict[str, Any] | None:
    """The table with this name or ARN in the calling account and region, None if there is none."""
    dynamodb = hooks.dynamodb()
    table: dict[str, Any] | None = dynamodb._tables.get(dynamodb._normalize_table_name(name))
    return table
