"""An error in the shape that each AWS service gives it on the wire."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from xml.sax.saxutils import escape

JSON_SERVICES = frozenset(("dynamodb", "dynamodbstreams", "glue", "athena", "kms", "logs", "events", "secretsmanager"))
THROTTLING: dict[str, tuple[str, int]] = {
    # Sources: probe of the live service (DynamoDB); S3 and query services by their public error lists.
    "dynamodb": ("ThrottlingException", 400),
    "s3": ("SlowDown", 503),
    "athena": ("TooManyRequestsException", 400),
    "glue": ("ThrottlingException", 400),
    "kms": ("ThrottlingException", 400),
    "sqs": ("RequestThrottled", 403),
}
ACCESS_DENIED: dict[str, tuple[str, int]] = {
    "s3": ("AccessDenied", 403),
    "sts": ("AccessDenied", 403),
    "iam": ("AccessDenied", 403),
    "sns": ("AuthorizationError", 403),
    "sqs": ("AccessDenied", 403),
    "ses": ("AccessDenied", 403),
}


@dataclass(frozen=True)
class ErrorAnswer:
    """A whole HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes
    code: str


def service_error(service: str, code: str, message: str, status: int, *, json_protocol: bool = False) -> ErrorAnswer:
    """The error ``code`` as ``service`` answers it."""
    request_id = str(uuid.uuid4())
    if service == "s3":
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
            f"<RequestId>{request_id}</RequestId></Error>"
        )
        headers = {"Content-Type": "application/xml", "x-amz-request-id": request_id}
    elif json_protocol or service in JSON_SERVICES:
        body = json.dumps({"__type": code, "message": message, "Message": message})
        headers = {"Content-Type": "application/x-amz-json-1.1", "x-amzn-errortype": code}
        headers["x-amzn-requestid"] = request_id
    else:
        sender = "Sender" if status < 500 else "Receiver"
        body = (
            f"<ErrorResponse><Error><Type>{sender}</Type><Code>{escape(code)}</Code>"
            f"<Message>{escape(message)}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
        )
        headers = {"Content-Type": "text/xml", "x-amzn-requestid": request_id}
    return ErrorAnswer(status, headers, body.encode(), code)


def throttling_code(service: str) -> tuple[str, int]:
    """The error code and HTTP status with which a service throttles."""
    return THROTTLING.get(service, ("Throttling", 400))


def access_denied_code(service: str) -> tuple[str, int]:
    """The error code and HTTP status with which a service denies access."""
    return ACCESS_DENIED.get(service, ("AccessDeniedException", 400))
