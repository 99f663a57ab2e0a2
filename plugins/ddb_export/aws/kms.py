"""The gateway to KMS, as far as an export's key has to be there and usable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ddb_export.aws.errors import aws_errors
from ddb_export.domain.doctor import KeyFacts
from ddb_export.exceptions import DdbExportError, PermissionDeniedError

if TYPE_CHECKING:
    from botocore.client import BaseClient

_WOULD_HAVE_WORKED = "DryRunOperationException"
_UNFIT = frozenset({
    "DisabledException",
    "InvalidKeyUsageException",
    "KMSInvalidStateException",
    "NotFoundException",
})  # fmt: skip
"""Refusals that say that no data key can be made (KMS API reference, GenerateDataKey); others say nothing of the key."""


class KeyGateway:
    """The keys of a region.

    :param client: a boto3 KMS client of that region: KMS knows keys of no other ("Invalid arn"), whatever ARN it is given.
    """

    def __init__(self, client: BaseClient) -> None:
        self._client: Any = client

    def look(self, key: str) -> KeyFacts:
        """Return what stands behind an id, an ARN or an alias.

        :raises NotReachableError: there is no such key. :raises PermissionDeniedError: it may not be described.
        """
        with aws_errors(f"KMS key {key}"):
            found = self._client.describe_key(KeyId=key)["KeyMetadata"]
        arn = str(found["Arn"])
        usable, refusal = self._tried(arn)
        return KeyFacts(
            arn=arn,
            state=str(found.get("KeyState", "Enabled")),
            by_aws=found.get("KeyManager") == "AWS",
            account=arn.split(":")[4],
            usable=usable,
            refusal=refusal,
        )

    def _tried(self, key: str) -> tuple[bool | None, DdbExportError | None]:
        """Tell whether a data key could be made, None if KMS did not say, and what it said instead.

        KMS checks all and makes none (KMS Developer Guide, "Testing your permissions").
        """
        try:
            with aws_errors(f"KMS key {key}"):
                self._client.generate_data_key(KeyId=key, KeySpec="AES_256", DryRun=True)
        except DdbExportError as error:
            if error.code == _WOULD_HAVE_WORKED:
                return True, None
            return (False if isinstance(error, PermissionDeniedError) or error.code in _UNFIT else None), error
        return True, None
