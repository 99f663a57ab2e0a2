"""What S3 does and ministack 1.5.33 does not: the expected bucket owner, and SSE-KMS without a key."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from local_aws import hooks
from local_aws.api_call import ApiCall
from local_aws.service_errors import ErrorAnswer, service_error

EXPECTED_OWNER = "x-amz-expected-bucket-owner"
ENCRYPTION = "x-amz-server-side-encryption"
KMS_KEY = "x-amz-server-side-encryption-aws-kms-key-id"


def wrong_owner(call: ApiCall, headers: dict[str, str]) -> ErrorAnswer | None:
    """403 AccessDenied if the request names another owner than the bucket has."""
    expected = headers.get(EXPECTED_OWNER)
    bucket = call.parameters.get("Bucket")
    if not expected or not bucket:
        return None
    owner = hooks.s3()._bucket_owner_account(bucket)
    if owner is None or owner == expected:
        return None
    return service_error("s3", "AccessDenied", "Access Denied", 403)


def with_default_kms_key(scope: MutableMapping[str, Any], call: ApiCall, headers: dict[str, str]) -> Any:
    """The request with the account's ``aws/s3`` key named, where it asks for SSE-KMS and names none."""
    if headers.get(ENCRYPTION) != "aws:kms" or KMS_KEY in headers:
        return scope
    key = f"arn:aws:kms:{call.region}:{call.account}:alias/aws/s3"
    return {**scope, "headers": [*scope["headers"], (KMS_KEY.encode(), key.encode())]}
