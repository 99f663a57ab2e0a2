"""The gateway to the end of objects' lives: deleting many, tagging, and the bucket's lifecycle rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ddb_export.aws.errors import aws_errors, kind_and_remedy
from ddb_export.exceptions import DdbExportError, UsageError

if TYPE_CHECKING:
    from botocore.client import BaseClient

_KEYS_A_CALL = 1000
"""Most keys of one DeleteObjects (S3 API reference, DeleteObjects)."""

_MOST_TAGS = 10
_WORKERS = 16
_NO_RULES = "NoSuchLifecycleConfiguration"


@dataclass(frozen=True, slots=True)
class BucketRules:
    """A bucket's lifecycle configuration, exactly as S3 has it.

    :param rules: all rules, the disabled ones too.
    :param smallest: TransitionDefaultMinimumObjectSize; None where S3 does not say it. A configuration that is put without it gets the
        default again (S3 API reference, PutBucketLifecycleConfiguration).
    """

    rules: tuple[Mapping[str, Any], ...] = field(default=())
    smallest: str | None = None


class ObjectLifecycle:
    """Deletes and tags objects of one bucket, and keeps its rules.

    :param client: a boto3 S3 client, with botocore's retries on. :param bucket: name of the bucket.
    :param expected_owner: account id that must own the bucket; None for no check.
    """

    def __init__(self, client: BaseClient, bucket: str, expected_owner: str | None = None) -> None:
        self._client: Any = client
        self._bucket = bucket
        self._owner = {"ExpectedBucketOwner": expected_owner} if expected_owner else {}

    def delete(self, keys: Sequence[str]) -> Iterator[int]:
        """Delete objects, 1000 in a call; yield how many were deleted after each. One that is not there is no error.

        :raises DdbExportError: S3 kept one of them, whatever became of the others; it names the first.
        """
        for chunk in _chunks(keys):
            with aws_errors(f"s3://{self._bucket}/{chunk[0]} and {len(chunk) - 1} more"):
                answer = self._client.delete_objects(
                    Bucket=self._bucket,
                    Delete={"Objects": [{"Key": key} for key in chunk], "Quiet": True},
                    **self._owner,
                )
            # The answer is 200 even if every key failed: each has its own (S3 API reference, DeleteObjects).
            if failed := answer.get("Errors"):
                raise self._kept(failed)
            yield len(chunk)

    def add_tags(self, keys: Sequence[str], tags: Mapping[str, str]) -> None:
        """Give objects these tags beside those that they have; S3 knows only the whole set, so it is read first.

        :raises UsageError: an object would have more than 10 tags. :raises NotReachableError: there is no such object.
        """
        with ThreadPoolExecutor(_WORKERS) as workers:
            list(workers.map(lambda key: self._add_tags(key, tags), keys))

    def rules(self) -> BucketRules:
        """Return the bucket's lifecycle configuration; one without rules if it has none."""
        try:
            with aws_errors(f"s3://{self._bucket}"):
                answer = self._client.get_bucket_lifecycle_configuration(Bucket=self._bucket, **self._owner)
        except DdbExportError as error:
            if error.code == _NO_RULES:
                return BucketRules()
            raise
        return BucketRules(tuple(answer.get("Rules", ())), answer.get("TransitionDefaultMinimumObjectSize"))

    def put_rules(self, rules: BucketRules) -> None:
        """Replace the bucket's lifecycle configuration: S3 has no call that changes one rule, and none on a condition."""
        with aws_errors(f"s3://{self._bucket}"):
            if not rules.rules:
                self._client.delete_bucket_lifecycle(Bucket=self._bucket, **self._owner)
                return
            smallest = {"TransitionDefaultMinimumObjectSize": rules.smallest} if rules.smallest else {}
            self._client.put_bucket_lifecycle_configuration(
                Bucket=self._bucket,
                LifecycleConfiguration={"Rules": [dict(rule) for rule in rules.rules]},
                **smallest,
                **self._owner,
            )

    def _add_tags(self, key: str, tags: Mapping[str, str]) -> None:
        uri = f"s3://{self._bucket}/{key}"
        with aws_errors(uri):
            answer = self._client.get_object_tagging(Bucket=self._bucket, Key=key, **self._owner)
        present = {each["Key"]: each["Value"] for each in answer["TagSet"]}
        wanted = {**present, **tags}
        if wanted == present:
            return
        if len(wanted) > _MOST_TAGS:
            remedy = "take away tags of the object, or of retention.object_tags"
            raise UsageError(uri, f"it would have {len(wanted)} tags, and S3 allows {_MOST_TAGS}", remedy)
        tag_set = [{"Key": name, "Value": value} for name, value in wanted.items()]
        with aws_errors(uri):
            self._client.put_object_tagging(Bucket=self._bucket, Key=key, Tagging={"TagSet": tag_set}, **self._owner)

    def _kept(self, failed: Sequence[Mapping[str, Any]]) -> DdbExportError:
        first = failed[0]
        code = str(first.get("Code", ""))
        kind, remedy = kind_and_remedy(code, "DeleteObject", str(first.get("Message", "")))
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        cause = f"DeleteObjects answered {code}: {first.get('Message') or 'no message'}{more}"
        return kind(f"s3://{self._bucket}/{first.get('Key')}", cause, remedy, code=code)


def _chunks(keys: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(keys), _KEYS_A_CALL):
        yield list(keys[start : start + _KEYS_A_CALL])
