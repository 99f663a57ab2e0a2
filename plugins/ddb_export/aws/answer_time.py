"""What time it is by AWS's clock: the Date header of an answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any


def answer_time(answer: Mapping[str, Any]) -> datetime:
    """Return AWS's time from the Date header of an answer (whole seconds, UTC); the worker's clock without one."""
    header = date_header(answer)
    return parsedate_to_datetime(header).astimezone(UTC) if header else datetime.now(UTC)


def date_header(answer: Mapping[str, Any]) -> str | None:
    """Return the Date header of an answer of boto3; None where it has none, as when a connection broke."""
    header: str | None = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    return header
