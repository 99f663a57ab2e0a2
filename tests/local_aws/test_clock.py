"""The lab's clocks: per account, shared, and never behind what happened."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest
from botocore.exceptions import ClientError

from local_aws.client import Lab, LabError


def close(left: datetime, right: datetime) -> bool:
    return abs(left - right) < timedelta(seconds=30)


def date_of(client) -> datetime:
    answer = client.list_tables()
    return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])


def test_an_account_without_its_own_clock_has_real_time(lab, account, aws):
    assert close(lab.clock(account), datetime.now(UTC))
    assert close(date_of(aws("dynamodb")), datetime.now(UTC))


def test_dates_of_all_services_follow_the_account(lab, account, aws):
    lab.set_clock("2026-01-01T00:00:00Z", account)
    new_year = datetime(2026, 1, 1, tzinfo=UTC)
    assert close(date_of(aws("dynamodb")), new_year)
    answer = aws("s3").create_bucket(Bucket=f"b-{account}")
    assert close(parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]), new_year)
    answer = aws("glue").get_databases()
    assert close(parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]), new_year)
    with pytest.raises(ClientError, match="Not Found") as caught:
        aws("s3").head_object(Bucket=f"b-{account}", Key="none")
    headers = caught.value.response["ResponseMetadata"]["HTTPHeaders"]
    assert close(parsedate_to_datetime(headers["date"]), new_year)
    assert close(date_of(aws("dynamodb", account="123123123123")), datetime.now(UTC))


def test_ways_of_moving(lab, account):
    lab.set_clock("2026-01-01T01:00:00+01:00", account)
    assert close(lab.advance_clock(3600, account), datetime(2026, 1, 1, 1, tzinfo=UTC))
    assert close(lab.offset_clock(-86400, account), datetime.now(UTC) - timedelta(days=1))
    lab.reset(account)
    assert close(lab.clock(account), datetime.now(UTC))


def test_never_behind_the_last_event(exporting):
    lab, account = exporting.lab, exporting.account
    exporting.lay_down(exporting.write(30, "PutItem", "a"), until=600)
    lab.set_clock("2026-03-01T00:31:00Z", account)
    with pytest.raises(
        LabError, match=r"cannot go to 2026-03-01T00:29:00.*its last write, table or export is of 2026-03-01T00:30:00"
    ):
        lab.set_clock("2026-03-01T00:29:00Z", account)
    assert lab.clock(account).minute == 31


@pytest.mark.parametrize("now", ["2026-01-01T00:00:00", "yesterday"])
def test_a_time_without_zone_is_refused(lab, account, now):
    with pytest.raises(LabError, match=r"no time zone|Invalid isoformat"):
        lab.set_clock(now, account)


def test_the_shared_clock(aws, account):
    with Lab.start() as own:
        own.offset_clock(86400)
        assert close(own.clock("111122223333"), datetime.now(UTC) + timedelta(days=1))
        own.set_clock("2026-01-01T00:00:00Z", "444455556666")
        client = aws("dynamodb", endpoint_url=own.endpoint_url)
        client.create_table(
            TableName="orders",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        with pytest.raises(LabError, match=f"the clock of account {account} cannot go to"):
            own.offset_clock(0)
        own.offset_clock(2 * 86400)
        assert own.clock("444455556666").year == 2026
        assert close(own.clock("444455556666"), datetime(2026, 1, 1, tzinfo=UTC))
