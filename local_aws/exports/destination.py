"""Writing an export's objects into S3 as the calling account, and the failures that AWS reports for it.

Sources: probes of the live service (failure codes and texts); Developer Guide (the export runs with the caller's
identity and needs PutObject, PutObjectAcl and AbortMultipartUpload). A bucket of another account needs S3BucketOwner
in the request and a bucket policy that lets the caller write.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from local_aws import hooks
from local_aws.exports.package import parts_of

NEEDED_ACTIONS = ("s3:PutObject", "s3:PutObjectAcl", "s3:AbortMultipartUpload")
# Answers whether an account may do an action on a resource ARN.
Permitted = Callable[[str, str, str], bool]


class ExportFailureError(Exception):
    """The export turns FAILED with this FailureCode and FailureMessage."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Destination:
    """Where an export goes, and as whom."""

    account: str
    region: str
    bucket: str
    bucket_owner: str | None
    sse_algorithm: str
    kms_key: str | None
    part_bytes: int
    permitted: Permitted

    def check_access(self) -> None:
        """Raise :class:`ExportFailureError` if the bucket or the KMS key cannot be used."""
        owner = hooks.s3()._bucket_owner_account(self.bucket)
        if owner is None:
            raise _no_such_bucket()
        if owner != (self.bucket_owner or self.account):
            raise _access_denied()
        if self.sse_algorithm == "KMS" and self.kms_key is not None:
            self._check_key(self.kms_key)

    def _check_key(self, key: str) -> None:
        arn = re.match(r"^arn:aws[a-z-]*:kms:([a-z0-9-]+):([0-9]{12}):", key)
        # S3 user guide, "Specifying server-side encryption with AWS KMS": the key is in the bucket's region.
        owner = hooks.s3()._bucket_owner_account(self.bucket)
        with hooks.responses().request_scope(owner, self.region):
            region = hooks.s3().bucket_region(self.bucket)
        if arn and arn.group(1) != region:
            raise ExportFailureError("KmsNotFoundException", f"Invalid arn {arn.group(1)}")
        with hooks.responses().request_scope(arn.group(2) if arn else self.account, region):
            found = hooks.kms()._resolve_key(key)
        if found is None:
            shown = key if arn else f"arn:aws:kms:{region}:{self.account}:key/{key}"
            raise ExportFailureError("KmsNotFoundException", f"Key '{shown}' does not exist")

    async def put(self, key: str, body: bytes) -> None:
        """Write one object with a plain PutObject."""
        await self._call("PUT", key, body, headers=self._encryption())

    async def put_in_parts(self, key: str, body: bytes) -> None:
        """Write one object with a multipart upload, so that its ETag is the one in the manifest."""
        begun = await self._call("POST", key, b"", query={"uploads": [""]}, headers=self._encryption())
        upload = {"uploadId": [_text(begun, "UploadId")]}
        listed = ""
        for number, part in enumerate(parts_of(body, self.part_bytes), start=1):
            headers: dict[str, str] = {}
            await self._call("PUT", key, part, query=upload | {"partNumber": [str(number)]}, answer_headers=headers)
            listed += f"<Part><PartNumber>{number}</PartNumber><ETag>{headers['ETag']}</ETag></Part>"
        completion = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
        await self._call("POST", key, completion, query=upload)

    def _encryption(self) -> dict[str, str]:
        if self.sse_algorithm != "KMS":
            return {"x-amz-server-side-encryption": "AES256"}
        key = self.kms_key or f"arn:aws:kms:{self.region}:{self.account}:alias/aws/s3"
        return {
            "x-amz-server-side-encryption": "aws:kms",
            "x-amz-server-side-encryption-aws-kms-key-id": key,
        }

    async def _call(
        self,
        method: str,
        key: str,
        body: bytes,
        *,
        query: dict[str, list[str]] | None = None,
        headers: dict[str, str] | None = None,
        answer_headers: dict[str, str] | None = None,
    ) -> bytes:
        self._check_permissions(key)
        credential = f"Credential={self.account}/20000101/{self.region}/s3/aws4_request"
        sent = {"host": "127.0.0.1", "authorization": f"AWS4-HMAC-SHA256 {credential}", **(headers or {})}
        with hooks.responses().request_scope(self.account, self.region):
            # The bucket may be in another region; an export follows it there (probe of the live service).
            answer: tuple[int, dict[str, str], Any] = await hooks.s3().handle_request(
                method, f"/{self.bucket}/{key}", sent, body, query or {}, enforce_bucket_region=False
            )
        status, received, content = answer
        if status >= 300:
            raise self._failure(status, content)
        if answer_headers is not None:
            answer_headers.update(received)
        return content if isinstance(content, bytes) else str(content).encode()

    def _check_permissions(self, key: str) -> None:
        resource = f"arn:aws:s3:::{self.bucket}/{key}"
        for action in NEEDED_ACTIONS:
            if not self.permitted(self.account, action, resource):
                raise ExportFailureError(
                    "S3AccessDenied",
                    f"User: arn:aws:iam::{self.account}:root is not authorized to perform: {action} on resource: "
                    f'"{resource}" with an explicit deny (Service: Amazon S3; Status Code: 403; '
                    "Error Code: AccessDenied; Request ID: LABREQUEST; S3 Extended Request ID: lab; Proxy: null)",
                )

    def _failure(self, status: int, content: bytes) -> ExportFailureError:
        code = _text(content, "Code")
        if code == "NoSuchBucket":
            return _no_such_bucket()
        if status == 403:
            return _access_denied()
        # ASSUMPTION: the code of any other S3 trouble; the list of FailureCodes is open.
        return ExportFailureError(
            "UNKNOWN", f"{_text(content, 'Message')} (Service: Amazon S3; Status Code: {status}; Error Code: {code})"
        )


def joined_prefix(prefix: str | None) -> str:
    """``prefix`` as it stands before ``AWSDynamoDB/`` in keys: ended by one slash, or empty."""
    # ASSUMPTION: a leading slash stays; a probe showed only that a trailing one is not doubled.
    return f"{prefix.rstrip('/')}/" if prefix else ""


def _text(xml: bytes, tag: str) -> str:
    found = re.search(rf"<{tag}>([^<]*)</{tag}>", xml.decode())
    return found.group(1) if found else ""


def _no_such_bucket() -> ExportFailureError:
    return ExportFailureError(
        "S3NoSuchBucket",
        "The specified bucket does not exist (Service: Amazon S3; Status Code: 404; Error Code: NoSuchBucket; "
        "Request ID: LABREQUEST; S3 Extended Request ID: lab; Proxy: null)",
    )


def _access_denied() -> ExportFailureError:
    return ExportFailureError(
        "S3AccessDenied",
        "Access Denied (Service: Amazon S3; Status Code: 403; Error Code: AccessDenied; "
        "Request ID: LABREQUEST; S3 Extended Request ID: lab; Proxy: null)",
    )
