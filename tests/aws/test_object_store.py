"""The two kinds of place behave the same, and say in one line what went wrong."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.config import Config

from ddb_export.aws.clients import make_client
from ddb_export.aws.errors import NO_REGION, aws_errors
from ddb_export.aws.object_store import (
    LocalObjectStore,
    ObjectMissingError,
    ObjectStore,
    PreconditionFailedError,
    S3ObjectStore,
    parse_place,
)
from ddb_export.exceptions import ConfigurationError, NotReachableError, PermissionDeniedError, UsageError
from ddb_export.hooks.assumed_role import assuming
from ddb_export.hooks.lake import LakeHook


@pytest.fixture(params=["local", "s3"])
def store(request, tmp_path) -> ObjectStore:
    if request.param == "local":
        return LocalObjectStore(tmp_path / "place")
    client = request.getfixturevalue("aws")("s3")
    client.create_bucket(Bucket="place")
    return S3ObjectStore(client, "place")


def test_listing_is_in_the_order_of_keys(store):
    for key in ("b/2", "a.txt", "a/x/1", "a/y", "a0", "b/1"):
        store.put(key, b"12")
    assert [each.key for each in store.list_objects()] == ["a.txt", "a/x/1", "a/y", "a0", "b/1", "b/2"]
    assert [each.key for each in store.list_objects("a/")] == ["a/x/1", "a/y"]
    assert [each.key for each in store.list_objects("b/1")] == ["b/1"]
    assert [each.key for each in store.list_objects(start_after="a/y")] == ["a0", "b/1", "b/2"]
    assert [each.key for each in store.list_folder()] == ["a.txt", "a/", "a0", "b/"]
    assert [(each.key, each.is_folder, each.size) for each in store.list_folder("a")] == [
        ("a/x/", True, 0),
        ("a/y", False, 2),
    ]
    assert [each.key for each in store.list_folder("b/", start_after="b/1")] == ["b/2"]
    assert list(store.list_objects("nothing/")) == []


def test_reading_and_writing(store, tmp_path):
    etag = store.put("folder/key", b"content")
    assert store.read("folder/key").content == b"content"
    assert store.read("folder/key").etag == etag
    assert store.stat("folder/key").size == 7
    with store.open("folder/key") as stream:
        assert (stream.read(3), stream.read(), stream.read()) == (b"con", b"tent", b"")
    (tmp_path / "file").write_bytes(b"x" * 9_000_000)
    store.put_file("large", tmp_path / "file")
    assert store.stat("large").size == 9_000_000
    store.delete("large")
    store.delete("large")
    for use in (store.read, store.stat, store.open):
        with pytest.raises(ObjectMissingError, match="large"):
            use("large")


def test_conditional_writes(store):
    etag = store.put_if_absent("key", b"1")
    with pytest.raises(PreconditionFailedError):
        store.put_if_absent("key", b"2")
    newer = store.put_if_match("key", b"3", etag)
    with pytest.raises(PreconditionFailedError):
        store.put_if_match("key", b"4", etag)
    assert store.read("key").content == b"3"
    store.delete("key")
    with pytest.raises(PreconditionFailedError):
        store.put_if_match("key", b"5", newer)
    assert list(store.list_objects()) == []


@pytest.mark.parametrize("operation", ["put_if_absent", "put_if_match"])
def test_one_of_many_writers_wins(store, operation):
    etag = store.put("key", b"first") if operation == "put_if_match" else None

    def write(number: int) -> bool:
        try:
            if etag is None:
                store.put_if_absent("key", b"%d" % number)
            else:
                store.put_if_match("key", b"%d" % number, etag)
        except PreconditionFailedError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(write, range(16)))
    assert won.count(True) == 1
    assert store.read("key").content == b"%d" % won.index(True)


def test_local_keys_stay_below_the_folder(tmp_path):
    store = LocalObjectStore(tmp_path)
    for key in ("../x", "/etc/passwd", "a/../../x"):
        with pytest.raises(UsageError, match="does not lie below"):
            store.read(key)


@pytest.mark.scenario("F18")
def test_stream_survives_dropped_connections(aws, lab, account):
    client = aws("s3")
    client.create_bucket(Bucket="place")
    store = S3ObjectStore(client, "place")
    content = bytes(range(256)) * 4000
    store.put("key", content)
    lab.add_fault("drop_connection", account=account, operation="GetObject", after_bytes=400_000, times=2)
    with store.open("key") as stream:
        assert stream.read() == content
    assert len(lab.calls(account, operation="GetObject")) == 3


@pytest.mark.scenario("F18")
def test_stream_does_not_mix_two_versions(aws, lab, account):
    client = aws("s3")
    client.create_bucket(Bucket="place")
    store = S3ObjectStore(client, "place")
    store.put("key", b"a" * 1_000_000)
    lab.add_fault("drop_connection", account=account, operation="GetObject", after_bytes=400_000)
    with store.open("key") as stream:
        stream.read(1000)
        store.put("key", b"b" * 1_000_000)
        with pytest.raises(ObjectMissingError, match="replaced while it was being read"):
            stream.read()


class TestErrors:
    def test_bucket_that_does_not_exist(self, aws):
        store = S3ObjectStore(aws("s3"), "no-such-bucket")
        for use in (lambda: list(store.list_objects("x/")), lambda: store.read("x"), lambda: store.put("x", b"")):
            with pytest.raises(NotReachableError, match=r"s3://no-such-bucket.*Remedy: check the bucket's name"):
                use()

    def test_missing_permission(self, aws, lab, account):
        client = aws("s3")
        client.create_bucket(Bucket="place")
        lab.deny(account, "s3:PutObject")
        with pytest.raises(PermissionDeniedError, match="s3://place/x: PutObject answered AccessDenied"):
            S3ObjectStore(client, "place").put("x", b"")

    def test_nobody_answers(self, aws):
        config = Config(retries={"total_max_attempts": 1})
        store = S3ObjectStore(aws("s3", endpoint_url="http://127.0.0.1:9", config=config), "place")
        with pytest.raises(NotReachableError, match="Remedy: check the network"):
            store.read("x")

    def test_no_credentials_and_no_profile(self, boto3_session):
        import boto3

        with pytest.raises(ConfigurationError, match="nobody"), aws_errors("AWS configuration"):
            boto3.session.Session(profile_name="nobody")
        client = boto3_session.client("s3", region_name="us-east-1", endpoint_url="http://127.0.0.1:9")
        with pytest.raises(PermissionDeniedError, match="set AWS credentials"):
            S3ObjectStore(client, "place").read("x")

    @pytest.mark.parametrize("role_arn", [None, "arn:aws:iam::111122223333:role/lake"])
    def test_no_region_is_no_matter_of_a_roles_trust(self, role_arn):
        with pytest.raises(ConfigurationError) as refused, assuming(role_arn, "lake"):
            LakeHook(aws_conn_id=None).client("dynamodb")
        assert (refused.value.code, refused.value.remedy) == ("NoRegionError", NO_REGION)
        with pytest.raises(ConfigurationError, match="AWS_DEFAULT_REGION"):
            make_client("dynamodb")

    def test_what_aws_did_not_answer_is_no_matter_of_a_roles_trust(self, boto3_session):
        client = boto3_session.client("sts", region_name="us-east-1", endpoint_url="http://127.0.0.1:9")
        with (
            pytest.raises(PermissionDeniedError, match="Remedy: set AWS credentials"),
            assuming("arn:aws:iam::111122223333:role/lake", "lake"),
        ):
            client.get_caller_identity()


def test_uris():
    assert parse_place("s3://bucket/a/b/") == parse_place("s3a://bucket/a/b")
    assert parse_place("s3://bucket").path == ""
    assert parse_place("file:///a/b%20c").path == "/a/b c"
    assert parse_place("s3://bucket//a/").path == "/a"
    assert parse_place("/a/b").bucket is None
    for uri in ("", " ", "http://x/y", "s3://", "s3:///key"):
        with pytest.raises(UsageError):
            parse_place(uri)
