"""Time to live, and the streams that tell of it."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

MINUTE_0 = 1772323200


@pytest.fixture
def expiring(exporting):
    """The table with a stream and TTL on ``expires``."""
    exporting.dynamodb.update_table(
        TableName=exporting.table,
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    exporting.dynamodb.update_time_to_live(
        TableName=exporting.table,
        TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"},
    )
    return exporting


def item(exporting, minute: float, pk: str, expires_minute: float):
    return exporting.write(minute, "PutItem", pk, expires={"N": str(int(MINUTE_0 + expires_minute * 60))})


def stream_records(exporting, aws):
    streams = aws("dynamodbstreams")
    (stream,) = streams.list_streams(TableName=exporting.table)["Streams"]
    shards = streams.describe_stream(StreamArn=stream["StreamArn"])["StreamDescription"]["Shards"]
    iterator = streams.get_shard_iterator(
        StreamArn=stream["StreamArn"], ShardId=shards[0]["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )
    return streams.get_records(ShardIterator=iterator["ShardIterator"])["Records"]


def test_expired_items_are_removed_when_they_were_due(expiring, aws):
    expiring.lay_down(
        item(expiring, 1, "dies", 30),
        item(expiring, 1, "lives", 6000),
        item(expiring, 2, "long-gone", -60 * 24 * 365 * 6),
        expiring.write(3, "PutItem", "no-number", expires={"S": "30"}),
        item(expiring, 4, "renewed", 20),
        item(expiring, 5, "renewed", 6000),
        until=60,
    )
    assert {entry["pk"]["S"] for entry in expiring.live_items()} == {"lives", "long-gone", "no-number", "renewed"}
    (record,) = expiring.window(20, 40).records
    assert record["Keys"]["pk"] == {"S": "dies"}
    assert record["Metadata"]["WriteTimestampMicros"]["N"] == str((MINUTE_0 + 30 * 60) * 1_000_000)
    assert list(record) == ["Metadata", "Keys", "OldImage"]
    removal = stream_records(expiring, aws)[-1]
    assert removal["eventName"] == "REMOVE"
    assert removal["userIdentity"] == {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}
    assert removal["dynamodb"]["ApproximateCreationDateTime"].timestamp() == MINUTE_0 + 30 * 60


def test_a_removal_by_a_user_has_no_identity(expiring, aws):
    expiring.lay_down(item(expiring, 1, "a", 6000), expiring.write(2, "DeleteItem", "a"), until=60)
    records = stream_records(expiring, aws)
    assert [record["eventName"] for record in records] == ["INSERT", "REMOVE"]
    assert not any("userIdentity" in record for record in records)


def test_history_expires_on_its_way(expiring):
    expiring.lay_down(item(expiring, 1, "a", 30), expiring.write(200, "PutItem", "b"), until=201)
    assert expiring.window(0, 40).records == []
    assert {entry["pk"]["S"] for entry in expiring.live_items()} == {"b"}


def test_the_delay_is_a_setting(expiring):
    expiring.lab.settings(expiring.account, time_to_live_delay_seconds=3600)
    expiring.lay_down(item(expiring, 1, "a", 30), until=60)
    assert len(expiring.live_items()) == 1
    expiring.lab.set_clock("2026-03-01T02:00:00Z", expiring.account)
    assert expiring.live_items() == []


def test_switching(exporting):
    describe = exporting.dynamodb.describe_time_to_live
    assert describe(TableName=exporting.table)["TimeToLiveDescription"] == {"TimeToLiveStatus": "DISABLED"}
    exporting.lay_down(item(exporting, 1, "a", 30), until=10)
    on = {"Enabled": True, "AttributeName": "expires"}
    exporting.dynamodb.update_time_to_live(TableName=exporting.table, TimeToLiveSpecification=on)
    description = describe(TableName=exporting.table)["TimeToLiveDescription"]
    assert description == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}
    with pytest.raises(ClientError, match="already enabled"):
        exporting.dynamodb.update_time_to_live(TableName=exporting.table, TimeToLiveSpecification=on)
    exporting.lab.set_clock("2026-03-01T01:00:00Z", exporting.account)
    assert exporting.live_items() == []
    with pytest.raises(ClientError) as caught:
        describe(TableName="missing")
    assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException"
