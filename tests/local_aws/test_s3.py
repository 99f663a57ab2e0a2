"""What the provider relies on in S3: conditional writes, ranges, listings, checksums, owners."""

from __future__ import annotations

import base64
import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError


@pytest.fixture
def bucket(account, aws):
    """A bucket of the test's account."""
    aws("s3").create_bucket(Bucket=f"b-{account}")
    return f"b-{account}"


def error_of(call, **parameters: Any):
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_conditional_writes(aws, bucket):
    s3 = aws("s3")
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")["ETag"]
    assert error_of(s3.put_object, Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*") == ("PreconditionFailed", 412)
    s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfMatch=first)
    assert error_of(s3.put_object, Bucket=bucket, Key="k", Body=b"3", IfMatch=first) == ("PreconditionFailed", 412)
    assert error_of(s3.put_object, Bucket=bucket, Key="none", Body=b"3", IfMatch=first)[1] == 404


def test_a_race_has_one_winner(aws, bucket):
    s3 = aws("s3")

    def put(number: int) -> bool:
        try:
            s3.put_object(Bucket=bucket, Key="race", Body=str(number).encode(), IfNoneMatch="*")
        except ClientError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(put, range(24)))
    assert won.count(True) == 1
    assert s3.get_object(Bucket=bucket, Key="race")["Body"].read() == str(won.index(True)).encode()


def test_ranges(aws, bucket):
    s3 = aws("s3")
    s3.put_object(Bucket=bucket, Key="k", Body=b"0123456789")
    answer = s3.get_object(Bucket=bucket, Key="k", Range="bytes=3-5")
    assert (answer["Body"].read(), answer["ContentRange"]) == (b"345", "bytes 3-5/10")
    assert s3.get_object(Bucket=bucket, Key="k", Range="bytes=-2")["Body"].read() == b"89"
    assert error_of(s3.get_object, Bucket=bucket, Key="k", Range="bytes=10-") == ("InvalidRange", 416)
    etag = answer["ETag"]
    assert error_of(s3.get_object, Bucket=bucket, Key="k", Range="bytes=0-1", IfMatch='"other"')[1] == 412
    assert s3.get_object(Bucket=bucket, Key="k", Range="bytes=0-1", IfMatch=etag)["Body"].read() == b"01"


def test_listings(aws, bucket):
    s3 = aws("s3")
    for key in ("a/1", "a/2", "a/b/3", "c", "a/é +&"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    page = s3.list_objects_v2(Bucket=bucket, Prefix="a/", Delimiter="/", StartAfter="a/1")
    assert [entry["Key"] for entry in page["Contents"]] == ["a/2", "a/é +&"]
    assert [entry["Prefix"] for entry in page["CommonPrefixes"]] == ["a/b/"]
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": 2})
    keys = [entry["Key"] for page in pages for entry in page["Contents"]]
    assert keys == ["a/1", "a/2", "a/b/3", "a/é +&", "c"]


def test_multipart_and_head(aws, bucket):
    s3 = aws("s3")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="big")["UploadId"]
    parts = []
    bodies = [b"x" * 5 * 1024 * 1024, b"y"]
    for number, body in enumerate(bodies, start=1):
        etag = s3.upload_part(Bucket=bucket, Key="big", UploadId=upload, PartNumber=number, Body=body)["ETag"]
        parts.append({"PartNumber": number, "ETag": etag})
    s3.complete_multipart_upload(Bucket=bucket, Key="big", UploadId=upload, MultipartUpload={"Parts": parts})
    head = s3.head_object(Bucket=bucket, Key="big")
    digest = hashlib.md5(b"".join(hashlib.md5(body).digest() for body in bodies)).hexdigest()
    assert (head["ETag"], head["ContentLength"]) == (f'"{digest}-2"', 5 * 1024 * 1024 + 1)
    assert error_of(s3.head_object, Bucket=bucket, Key="none") == ("404", 404)


def test_wrong_checksums_are_refused(aws, bucket):
    s3 = aws("s3")
    wrong = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    assert error_of(s3.put_object, Bucket=bucket, Key="k", Body=b"x", ContentMD5=wrong) == ("BadDigest", 400)
    right = base64.b64encode(hashlib.md5(b"x").digest()).decode()
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentMD5=right)


def test_other_accounts_are_kept_out(aws, account, bucket):
    aws("s3").put_object(Bucket=bucket, Key="k", Body=b"x")
    other = aws("s3", account="121212121212")
    for call, parameters in (
        (other.get_object, {"Key": "k"}),
        (other.put_object, {"Key": "k", "Body": b"y"}),
        (other.list_objects_v2, {}),
        (other.delete_object, {"Key": "k"}),
    ):
        assert error_of(call, Bucket=bucket, **parameters) == ("AccessDenied", 403)


def test_the_expected_owner_is_checked(aws, account, bucket):
    s3 = aws("s3")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ExpectedBucketOwner=account)
    assert error_of(s3.put_object, Bucket=bucket, Key="k", Body=b"x", ExpectedBucketOwner="121212121212") == (
        "AccessDenied",
        403,
    )
    assert error_of(s3.get_object, Bucket=bucket, Key="k", ExpectedBucketOwner="121212121212") == ("AccessDenied", 403)
    assert error_of(s3.get_object, Bucket="nowhere-at-all", Key="k", ExpectedBucketOwner=account)[0] == "NoSuchBucket"


def test_kms_without_a_key_takes_the_accounts_own(aws, account, bucket):
    s3 = aws("s3")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms")
    assert s3.head_object(Bucket=bucket, Key="k")["SSEKMSKeyId"] == f"arn:aws:kms:us-east-1:{account}:alias/aws/s3"
