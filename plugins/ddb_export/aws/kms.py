"""The gateway to KMS, as far as an export's key has to be there and usable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ddb_export.aws.errors import aws_errors
from ddb_export.domain.doctor import KeyFacts
from ddb_export.exceptions import DdbExportError, PermissionDeniedError

if TYPE_CHECKING:
    from botocore.client import BaseClient

_WOULD_HAVE_WORKED = "DryRunOperationException"


class KeyGateway:
    """The keys of an account and region.

    :param client: a boto3 KMS client.
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
        return KeyFacts(
            arn=arn,
            state=str(found.get("KeyState", "Enabled")),
            by_aws=found.get("KeyManager") == "AWS",
            account=arn.split(":")[4],
            usable=self._usable(arn),
        )

    def _usable(self, key: str) -> bool:
        """Tell whether a data key could be made: KMS checks all and makes none (KMS Developer Guide, "Testing your permissions")."""
        try:
            with aws_errors(f"KMS key {key}"):
                self._client.generate_data_key(KeyId=key, KeySpec="AES_256", DryRun=True)
        except PermissionDeniedError:
            return False
        except DdbExportError as error:
            return error.code == _WOULD_HAVE_WORKED
        return True
