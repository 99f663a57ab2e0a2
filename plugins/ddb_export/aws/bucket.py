"""The gateway to a bucket itself, beside its objects: where it is, how it is protected, what its rules take away."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ddb_export.aws.errors import ObjectMissingError, PreconditionFailedError, aws_errors
from ddb_export.domain.doctor import BucketFacts, Encryption
from ddb_export.domain.lifecycle import LifecycleRule
from ddb_export.exceptions import DdbExportError, ExportThrottledError, NotReachableError, PermissionDeniedError

if TYPE_CHECKING:
    from botocore.client import BaseClient

_NO_OBJECT_HAS_IT = "0" * 32
_PUBLIC_ACCESS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
_NOT_CONFIGURED = frozenset({
    "NoSuchLifecycleConfiguration",
    "NoSuchPublicAccessBlockConfiguration",
    "ServerSideEncryptionConfigurationNotFoundError",
})  # fmt: skip


class BucketGateway:
    """One bucket, as one identity sees it.

    :param client: a boto3 S3 client. :param bucket: the bucket's name.
    """

    def __init__(self, client: BaseClient, bucket: str) -> None:
        self._client: Any = client
        self._bucket = bucket

    def look(self, owner: str | None) -> BucketFacts:
        """Return where the bucket is, and whether it belongs to an account.

        :param owner: the account; None to ask for no owner.
        :raises NotReachableError: there is no such bucket (code ``NoSuchBucket``).
        :raises PermissionDeniedError: it may not be listed.
        """
        try:
            return BucketFacts(self._head(**({"ExpectedBucketOwner": owner} if owner else {})), owned_as_expected=True)
        except PermissionDeniedError:
            if not owner:
                raise
        return BucketFacts(self._head(), owned_as_expected=False)

    def public_access_block(self) -> frozenset[str]:
        """Return the settings of Block Public Access that are on for the bucket; an account may block more.

        Needs ``s3:GetBucketPublicAccessBlock`` (S3 API reference, GetPublicAccessBlock).
        """
        answer = self._configured("get_public_access_block")
        settings = answer.get("PublicAccessBlockConfiguration", {})
        return frozenset(name for name in _PUBLIC_ACCESS if settings.get(name))

    def encryption(self) -> Encryption:
        """Return the bucket's default encryption; without a configuration S3 uses AES256 (S3 User Guide, since January 2023).

        Needs ``s3:GetEncryptionConfiguration`` (S3 API reference, GetBucketEncryption).
        """
        answer = self._configured("get_bucket_encryption")
        rules = answer.get("ServerSideEncryptionConfiguration", {}).get("Rules", [])
        default = next((rule["ApplyServerSideEncryptionByDefault"] for rule in rules), {"SSEAlgorithm": "AES256"})
        return Encryption(str(default["SSEAlgorithm"]), default.get("KMSMasterKeyID"))

    def lifecycle(self) -> tuple[LifecycleRule, ...]:
        """Return the rules that are enabled. Needs ``s3:GetLifecycleConfiguration`` (S3 API reference, GetBucketLifecycleConfiguration)."""
        rules = self._configured("get_bucket_lifecycle_configuration").get("Rules", [])
        return tuple(_rule(rule, number) for number, rule in enumerate(rules, 1) if rule.get("Status") == "Enabled")

    def create(self, region: str) -> None:
        """Create the bucket in a region, with Block Public Access and encryption by S3's own keys.

        A bucket that is there already and belongs to the caller is left as it is but for these two, which are set.

        :raises NotReachableError: the name belongs to someone else.
        """
        # us-east-1 is no location constraint (S3 API reference, CreateBucket).
        where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        with aws_errors(f"s3://{self._bucket}", remedy="choose a name that nobody has, or ask the bucket's owner"):
            self._client.create_bucket(Bucket=self._bucket, **where)
            self._client.put_public_access_block(
                Bucket=self._bucket, PublicAccessBlockConfiguration=dict.fromkeys(_PUBLIC_ACCESS, True)
            )
            default = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": True}
            self._client.put_bucket_encryption(
                Bucket=self._bucket, ServerSideEncryptionConfiguration={"Rules": [default]}
            )

    def may_list(self, folder: str) -> bool | None:
        """Tell whether a folder may be listed; None if S3 gave no answer, as for the next two."""
        return self._allows("list_objects_v2", Prefix=f"{folder}/", MaxKeys=1)

    def may_get(self, key: str) -> bool | None:
        """Tell whether an object may be read, by asking for one that does not exist: S3 says 403 to whoever may not."""
        return self._allows("get_object", Key=key)

    def may_put(self, key: str) -> bool | None:
        """Tell whether an object may be written, by a write on a condition that cannot hold: it writes nothing.

        S3 answers ``If-Match`` on a missing key with 404, and asks for ``s3:GetObject`` besides ``s3:PutObject`` (S3 User Guide, "How to
        prevent object overwrites with conditional writes"): try it only where reading is allowed too.
        """
        return self._allows("put_object", Key=key, Body=b"", IfMatch=_NO_OBJECT_HAS_IT)

    def _allows(self, operation: str, **parameters: Any) -> bool | None:
        try:
            with aws_errors(f"s3://{self._bucket}/{parameters.get('Key', '')}"):
                getattr(self._client, operation)(Bucket=self._bucket, **parameters)
        except PermissionDeniedError:
            return False
        except (ObjectMissingError, PreconditionFailedError):
            return True
        except (ExportThrottledError, NotReachableError):
            return None
        return True

    def _head(self, **parameters: str) -> str | None:
        thing = f"s3://{self._bucket}"
        try:
            with aws_errors(thing):
                answer = self._client.head_bucket(Bucket=self._bucket, **parameters)
        except ObjectMissingError as error:
            # HEAD has no body, so that S3's code for a missing bucket is lost on the way.
            remedy = "check the bucket's name and the account that the credentials belong to"
            raise NotReachableError(thing, "there is no such bucket", remedy, code="NoSuchBucket") from error
        headers: Mapping[str, str] = answer["ResponseMetadata"].get("HTTPHeaders", {})
        return headers.get("x-amz-bucket-region")

    def _configured(self, operation: str) -> dict[str, Any]:
        """Return a configuration of the bucket, an empty one if it has none."""
        try:
            with aws_errors(f"s3://{self._bucket}"):
                answer: dict[str, Any] = getattr(self._client, operation)(Bucket=self._bucket)
        except DdbExportError as error:
            if error.code in _NOT_CONFIGURED:
                return {}
            raise
        return answer


def _rule(rule: Mapping[str, Any], number: int) -> LifecycleRule:
    """Read a rule: its filter is a prefix, a tag, a size, or an ``And`` of them; old rules have the prefix beside the filter."""
    chosen = rule.get("Filter", {})
    joined = {**chosen, **chosen.get("And", {})}
    one_tag = (joined["Tag"],) if "Tag" in joined else ()
    moves = frozenset(each["StorageClass"] for each in rule.get("Transitions", ()) if "StorageClass" in each)
    expires = rule.get("Expiration", {})
    return LifecycleRule(
        name=rule.get("ID") or f"number {number}",
        prefix=joined.get("Prefix") or rule.get("Prefix") or "",
        tags=tuple((each["Key"], each["Value"]) for each in (*joined.get("Tags", ()), *one_tag)),
        larger_than=int(joined.get("ObjectSizeGreaterThan", 0)),
        deletes="Days" in expires or "Date" in expires,
        moves_to=moves,
    )
