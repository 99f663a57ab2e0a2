"""Every key: what it takes, what it becomes, and the one line that says why not."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ValidationError

from ddb_export.config.alerts import AlertConfiguration
from ddb_export.config.catalog import GlueConfiguration
from ddb_export.config.compaction import CompactionConfiguration
from ddb_export.config.contract import ContractConfiguration
from ddb_export.config.durations import PATTERN, format_duration, parse_duration
from ddb_export.config.filters import FilterConfiguration
from ddb_export.config.json_schema import export_json_schema
from ddb_export.config.model import (
    AthenaConfiguration,
    BudgetConfiguration,
    PriceConfiguration,
    TableConfiguration,
)
from ddb_export.config.retention import RawRetentionConfiguration, RetentionConfiguration
from ddb_export.domain.layout import Lake, generation, part_name, window_partition
from ddb_export.domain.retention import rule_name
from ddb_export.domain.window import Window
from ddb_export.exceptions import ConfigurationError

DAY = timedelta(days=1)
REQUIRED: dict[str, Any] = {
    "table": "Flights",
    "bucket": "my-lake",
    "prefix": "dynamodb",
    "database": "lake",
    "schedule": "@daily",
    "start_date": "2026-01-31",
}
ARN = "arn:aws:dynamodb:eu-west-1:123456789012:table/Flights"
DURATION = "write a duration with its unit, such as 30s, 15m, 2h, 1d, 1h30m or PT5M"
TIME = "write a date or UTC time, such as 2026-01-31 or 2026-01-31T06:00:00Z"
SLA = "write a duration of 15m to 365d, such as 26h, or null for no promise"
BUCKET = "write the name of an S3 bucket, 3 to 63 lower-case letters, digits, '-', '.'"
SCHEDULE = "write a cron expression such as '0 0 * * *', @hourly or @daily, or null for runs by hand only"
OUTPUTS = "write a list of snapshots, changes and raw, such as [snapshots, changes], or []"
NAME = "write a letter or digit, then up to 237 letters, digits, '_', '-', '.'"
TABLE = "write 3 to 255 letters, digits, '_', '-', '.', or arn:aws:dynamodb:REGION:ACCOUNT:table/NAME"
CONNECTION = "write the id of an Airflow connection, or null for the AWS default credentials"
AMOUNT = "write an amount in USD, such as 25 or 0.114"
SIZE = "write a size with its unit, such as 128MiB, 512MB or 1GiB"
TEXT = "write 1 to 250 characters of text"


def declare(**keys: object) -> TableConfiguration:
    return TableConfiguration.declare(**{**REQUIRED, **keys})


@pytest.mark.parametrize(
    ("key", "given_value", "becomes"),
    [
        ("table", "a.b_c-D", "a.b_c-D"),
        ("table", ARN, ARN),
        ("table", ARN.replace("aws:", "aws-cn:", 1), ARN.replace("aws:", "aws-cn:", 1)),
        ("bucket", "a.b-c", "a.b-c"),
        ("prefix", "/a/b=1/", "a/b=1"),
        ("prefix", "/", ""),
        ("prefix", "", ""),
        ("database", "my-lake_1", "my-lake_1"),
        ("schedule", None, None),
        ("schedule", "*/15  * * * *", "*/15 * * * *"),
        ("schedule", "0 9 * * MON", "0 9 * * MON"),
        ("start_date", date(2026, 1, 31), datetime(2026, 1, 31, tzinfo=UTC)),
        ("start_date", "2026-01-31T06:00", datetime(2026, 1, 31, 6, tzinfo=UTC)),
        ("start_date", "2026-01-31T06:00:00+02:00", datetime(2026, 1, 31, 4, tzinfo=UTC)),
        (
            "start_date",
            datetime(2026, 1, 31, 6, tzinfo=timezone(timedelta(hours=1))),
            datetime(2026, 1, 31, 5, tzinfo=UTC),
        ),
        ("contract", {}, ContractConfiguration()),
        ("name", "flights.2026", "flights.2026"),
        ("name", None, "Flights"),
        ("timezone", "Europe/Berlin", "Europe/Berlin"),
        ("catchup", True, True),
        ("base_time", "2026-01-31T06:30:00Z", datetime(2026, 1, 31, 6, 30, tzinfo=UTC)),
        ("base_time", None, None),
        ("export_view", "NEW_IMAGE", "NEW_IMAGE"),
        ("filter", {"expression": "attribute_exists(a)"}, FilterConfiguration(expression="attribute_exists(a)")),
        ("filter", None, None),
        ("region", "us-gov-west-1", "us-gov-west-1"),
        ("region", None, None),
        ("bucket_owner", "012345678901", "012345678901"),
        ("kms_key", "alias/my-key", "alias/my-key"),
        ("kms_key", "mrk-1234", "mrk-1234"),
        ("kms_key", "arn:aws:kms:eu-west-1:123456789012:key/1-2", "arn:aws:kms:eu-west-1:123456789012:key/1-2"),
        ("aws_conn_id", None, None),
        ("aws_conn_id", "aws_prod", "aws_prod"),
        ("role_arn", "arn:aws:iam::123456789012:role/a/lake", "arn:aws:iam::123456789012:role/a/lake"),
        ("role_arn", None, None),
        ("settle", "15m", timedelta(minutes=15)),
        ("settle", "0s", timedelta(0)),
        ("settle", timedelta(minutes=1), timedelta(minutes=1)),
        ("poll_interval", "PT1M30S", timedelta(seconds=90)),
        ("outputs", [], ()),
        ("outputs", ["changes"], ("changes",)),
        ("outputs", ["raw"], ("raw",)),
        ("glue", {"partition_index": True}, GlueConfiguration(partition_index=True)),
        ("glue", {"partition_projection": False}, GlueConfiguration()),
        ("views", True, True),
        ("budget", {"run": 25}, BudgetConfiguration(run=Decimal(25))),
        ("budget", {"run": "0.1"}, BudgetConfiguration(run=Decimal("0.1"))),
        ("budget", {"run": Decimal("12.50")}, BudgetConfiguration(run=Decimal("12.5"))),
        ("budget", {"run": None}, BudgetConfiguration()),
        ("budget", {"month": 200}, BudgetConfiguration(month=Decimal(200))),
        ("prices", {"full_export_per_gb": "0.114"}, PriceConfiguration(full_export_per_gb=Decimal("0.114"))),
        ("retention", {}, RetentionConfiguration()),
        ("retention", {"raw": {"keep": "90d"}}, RetentionConfiguration(raw=RawRetentionConfiguration(keep=90 * DAY))),
        ("on_chain_end", "new_base", "new_base"),
        ("widening", "automatic", "automatic"),
        ("sla", "26h", timedelta(hours=26)),
        ("sla", None, None),
        ("alerts", {}, AlertConfiguration()),
        (
            "alerts",
            {"horizon": "12h", "runbook": "https://wiki/x"},
            AlertConfiguration(horizon=DAY / 2, runbook="https://wiki/x"),
        ),
        ("alerts", {"mute": ["nothing-changed"]}, AlertConfiguration(mute=("nothing-changed",))),
        ("compaction", {"policy": "automatic"}, CompactionConfiguration(policy="automatic")),
        ("compaction", {"target_file_bytes": "1GiB"}, CompactionConfiguration(target_file_bytes=1 << 30)),
        ("compaction", {"target_file_bytes": "64 MB"}, CompactionConfiguration(target_file_bytes=64_000_000)),
        ("compaction", {"target_file_bytes": 5_000_000}, CompactionConfiguration(target_file_bytes=5_000_000)),
        ("pool", "exports", "exports"),
        ("queue", "big", "big"),
        ("queue", None, None),
        ("retries", 0, 0),
        ("retry_delay", "1h", timedelta(hours=1)),
        ("owner", "data team", "data team"),
        ("tags", ["a", "b c"], ("a", "b c")),
        ("paused_at_creation", False, False),
        ("file_groups", 1024, 1024),
        ("max_active_windows", 300, 300),
    ],
)
def test_what_a_key_takes(key: str, given_value: object, becomes: object) -> None:
    assert getattr(declare(**{key: given_value}), key) == becomes


@pytest.mark.parametrize(
    ("key", "wrong", "cause", "remedy"),
    [
        ("table", "ab", "table 'ab' is neither a table name nor a table ARN", TABLE),
        ("table", ARN + "/index/x", f"table '{ARN}/index…' is neither a table name nor a table ARN", TABLE),
        ("table", None, "table null is not accepted", TABLE),
        ("bucket", 123, "bucket 123 is a number", BUCKET),
        ("bucket", "Lake", "bucket 'Lake' is not a bucket name", BUCKET),
        (
            "bucket",
            "s3://lake/x",
            "bucket 's3://lake/x' is not a bucket name",
            "write the bucket's name alone, and the folder under the key 'prefix'",
        ),
        (
            "prefix",
            "a//b",
            "prefix 'a//b' has an empty folder name or a character other than A-Z a-z 0-9 ! _ . * ' ( ) = -",
            "write a folder inside the bucket, such as lake/dynamodb, or ''",
        ),
        (
            "prefix",
            "a/../b",
            "prefix 'a/../b' has a folder name of dots only",
            "write a folder inside the bucket, such as lake/dynamodb, or ''",
        ),
        (
            "prefix",
            "s3://x/y",
            "prefix 's3://x/y' is a URI",
            "write the folder inside the bucket alone, such as lake/dynamodb",
        ),
        (
            "prefix",
            "x" * 513,
            f"prefix '{'x' * 59}…' has 513 characters, more than 512",
            "write a folder inside the bucket, such as lake/dynamodb, or ''",
        ),
        (
            "database",
            "Lake",
            "database 'Lake' is not a Glue database name that Athena can read",
            "write 1 to 255 lower-case letters, digits, '_', '-'",
        ),
        ("schedule", 5, "schedule 5 is a number", SCHEDULE),
        (
            "schedule",
            "*/5 * * * *",
            "schedule '*/5 * * * *' cuts windows of 5 min, but an incremental export covers at least 15 min",
            "write a schedule of 15 min or more, such as '*/15 * * * *'",
        ),
        (
            "schedule",
            "none",
            "schedule 'none' is not a schedule",
            "write null, without quotes, for a table that only runs by hand",
        ),
        (
            "schedule",
            "daily",
            "schedule 'daily' has 1 field, not five",
            (
                "give five fields such as '0 0 * * *' (minute, hour, day, month, weekday), or one of @hourly, @daily,"
                " @weekly, @monthly, @quarterly, @yearly"
            ),
        ),
        ("start_date", "yesterday", "start_date 'yesterday' is not a date or time", TIME),
        ("start_date", 2026, "start_date 2026 is a number", TIME),
        ("start_date", None, "start_date null is not accepted", TIME),
        ("name", "a/b", "name 'a/b' cannot name a DAG and a folder", NAME),
        ("name", "x" * 239, f"name '{'x' * 59}…' cannot name a DAG and a folder", NAME),
        ("timezone", "Europe/Berln", "timezone 'Europe/Berln' is not a time zone", "write 'Europe/Berlin'"),
        (
            "timezone",
            "../../etc",
            "timezone '../../etc' is not a time zone",
            "write an IANA time zone, such as Europe/Berlin",
        ),
        ("catchup", "yes", "catchup 'yes' is text", "write true or false"),
        ("catchup", 1, "catchup 1 is a number", "write true or false"),
        ("views", "latest", "views 'latest' is text", "write true or false"),
        (
            "base_time",
            "2026-01-31T06:00:30Z",
            "base_time 2026-01-31T06:00:30Z is not a whole minute",
            "write a UTC time in whole minutes, such as 2026-01-31T06:00:00Z",
        ),
        ("export_view", "new_images", "export_view 'new_images' is not accepted", "write NEW_IMAGE"),
        ("export_view", "x", "export_view 'x' is not accepted", "write NEW_AND_OLD_IMAGES or NEW_IMAGE"),
        ("filter", {}, "filter has no expression", "write one of expression, projection, key_condition, or no filter"),
        (
            "role_arn",
            "lake",
            "role_arn 'lake' is not the ARN of a role",
            "write the ARN of a role in the table's account, such as arn:aws:iam::012345678901:role/lake",
        ),
        ("region", "Ireland", "region 'Ireland' is not an AWS region", "write an AWS region, such as eu-west-1"),
        (
            "bucket_owner",
            12345678901,
            "bucket_owner 12345678901 is a number",
            "write the 12 digits of an AWS account in quotes, such as '012345678901'",
        ),
        (
            "kms_key",
            "my key",
            "kms_key 'my key' is not a KMS key",
            "write the id, the ARN or alias/NAME of a KMS key",
        ),
        (
            "aws_conn_id",
            "aws://KEY:SECRET@/?x=1",
            "aws_conn_id 'aws://***@/?x=1' is not a connection id",
            CONNECTION,
        ),
        ("settle", 5, "settle 5 is a number", DURATION),
        ("settle", "5 minutes", "settle '5 minutes' is not a duration", DURATION),
        ("settle", "2d", "settle '2d' is not between 0s and 1d", "write a duration between 0s and 1d"),
        (
            "poll_interval",
            "0s",
            "poll_interval '0s' is not between 1s and 1h",
            "write a duration between 1s and 1h",
        ),
        ("outputs", "snapshots", "outputs 'snapshots' is text", OUTPUTS),
        (
            "glue",
            {"partition_projection": True},
            (
                "glue.partition_projection true cannot be switched on: projection computes a partition's folder from its"
                " values alone and ignores Glue's, while each partition of this lake points at one generation of its files"
                " (docs/athena.md)"
            ),
            "write partition_index: true, which makes Glue find partitions fast",
        ),
        ("outputs", ["snapshot"], "outputs[0] 'snapshot' is not accepted", "write snapshots"),
        ("outputs", ["changes", "changes"], "outputs names 'changes' twice", "name each once"),
        (
            "contract",
            [],
            "contract is a list",
            "write a mapping of columns, column_limit, on_violation, quarantine_limit, hash_conn_id, entities",
        ),
        ("athena", "primary", "athena 'primary' is text", "write a mapping of workgroup, output_location"),
        (
            "athena",
            {"workgroup": 5},
            "athena.workgroup 5 is a number",
            "write 1 to 128 letters, digits, '_', '-', '.'",
        ),
        (
            "athena",
            {"output_location": "lake/x"},
            "athena.output_location 'lake/x' is not a folder in S3",
            "write a folder in S3, such as s3://my-bucket/athena-results/",
        ),
        ("athena", {"workgrop": "x"}, "unknown key 'athena.workgrop'", "write 'workgroup'"),
        ("budget", 25, "budget 25 does not say what it limits", "write budget: {run: 25}"),
        ("budget", None, "budget null is not accepted", "write a mapping of run, month"),
        ("budget", {"run": -1}, "budget.run -1 is no amount", AMOUNT),
        ("budget", {"run": "1e3"}, "budget.run '1e3' is no amount", AMOUNT),
        ("budget", {"run": True}, "budget.run true is true or false", AMOUNT),
        (
            "budget",
            {"run": 0.1},
            "budget.run 0.1 is a float, which holds most amounts inexactly",
            "write it as text or as a Decimal, such as '0.114'",
        ),
        ("budget", {"rn": 1}, "unknown key 'budget.rn'", "write 'run'"),
        ("prices", {"full_export": 1}, "unknown key 'prices.full_export'", "write 'full_export_per_gb'"),
        ("prices", {"s3_put_per_thousand": "x"}, "prices.s3_put_per_thousand 'x' is no amount", AMOUNT),
        ("on_chain_end", "newbase", "on_chain_end 'newbase' is not accepted", "write new_base"),
        (
            "sla",
            "2h",
            "sla '2h' cannot be kept: with schedule '@daily' the data is 1d old before the next run begins",
            "write more than 1d, and time enough for a run, or run more often",
        ),
        ("sla", "soon", "sla 'soon' is not a duration", SLA),
        (
            "alerts",
            {"mute": ["late"]},
            "alerts.mute[0] 'late' is not accepted",
            "write nothing-changed, unusually-many or billed-more",
        ),
        (
            "alerts",
            {"mute": ["nothing_changed"]},
            "alerts.mute[0] 'nothing_changed' is not accepted",
            "write nothing-changed",
        ),
        ("alerts", {"notifier": []}, "unknown key 'alerts.notifier'", "write 'notifiers'"),
        (
            "alerts",
            {"notifiers": [{"notifier": "slak"}]},
            "alerts.notifiers[0].notifier 'slak' names no notifier",
            "write slack",
        ),
        ("widening", "always", "widening 'always' is not accepted", "write by_request or automatic"),
        ("on_chain_end", "x", "on_chain_end 'x' is not accepted", "write fail or new_base"),
        (
            "compaction",
            "automatic",
            "compaction 'automatic' does not say what it is",
            "write compaction: {policy: automatic}",
        ),
        (
            "compaction",
            {"target": "1GiB"},
            "unknown key 'compaction.target'",
            "remove it; the keys are policy, target_file_bytes",
        ),
        ("compaction", {"target_file_bytes": "big"}, "compaction.target_file_bytes 'big' is not a size", SIZE),
        (
            "compaction",
            {"target_file_bytes": "128"},
            "compaction.target_file_bytes '128' is not between 1MiB and 1GiB",
            "write a size between 1MiB and 1GiB",
        ),
        ("compaction", {"target_file_bytes": 1.5}, "compaction.target_file_bytes 1.5 is a number", SIZE),
        ("pool", "", "pool '' is empty, too long or padded", TEXT),
        ("queue", 1, "queue 1 is a number", TEXT),
        ("retries", -1, "retries -1 is not accepted", "write a whole number from 0 to 100"),
        ("retries", True, "retries true is true or false", "write a whole number from 0 to 100"),
        ("retry_delay", "5", "retry_delay '5' is not a duration", DURATION),
        (
            "retention",
            "90d",
            "retention '90d' does not say what is kept so long",
            "write retention: {raw: {keep: 90d}}",
        ),
        (
            "retention",
            {"raw": {"tier": {"after": "10d", "storage_class": "STANDARD_IA"}}},
            "retention.raw.tier.after '10d' is less than the 30d that S3 demands before STANDARD_IA",
            "write 30d or more",
        ),
        (
            "retention",
            {"raw": {"keep": "5d", "tier": {"after": "10d", "storage_class": "GLACIER"}}},
            "retention.raw.keep '5d' is not longer than tier.after, 10d",
            "write more than 10d, or leave tier out",
        ),
        (
            "retention",
            {"object_tags": {"aws:x": "1"}},
            "retention.object_tags has the key 'aws:x', which cannot be used",
            "write 1 to 128 letters, digits, spaces, or + - = . _ : / @",
        ),
        ("owner", ["a"], "owner is a list", TEXT),
        ("tags", [1], "tags[0] 1 is a number", "write 1 to 100 characters of text"),
        ("paused_at_creation", None, "paused_at_creation null is not accepted", "write true or false"),
        ("file_groups", 1025, "file_groups 1025 is not accepted", "write a whole number from 1 to 1024"),
        ("max_active_windows", 1.5, "max_active_windows 1.5 is a number", "write a whole number from 1 to 300"),
        ("shedule", "@daily", "unknown key 'shedule'", "write 'schedule'"),
    ],
)
def test_what_a_key_refuses_and_what_it_says(key: str, wrong: object, cause: str, remedy: str) -> None:
    keys = {**REQUIRED, key: wrong}
    with pytest.raises(ConfigurationError) as caught:
        TableConfiguration.declare(**keys)
    assert str(caught.value) == f"table {keys['table']!r}: {cause}. Remedy: {remedy}"


def test_every_key_is_tried_above() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    for key in TableConfiguration.model_fields:
        assert source.count(f'"{key}"') >= 2, key


def test_defaults() -> None:
    table = declare()
    assert table.name == "Flights"
    assert table.catchup is False
    assert table.paused_at_creation is True
    assert table.settle == timedelta(minutes=5)
    assert table.poll_interval == timedelta(seconds=30)
    assert table.outputs == ("snapshots", "changes")
    assert table.export_view == "NEW_AND_OLD_IMAGES"
    assert table.athena == AthenaConfiguration()
    assert (table.budget.run, table.own_prices, table.on_chain_end) == (None, {}, "fail")
    assert table.athena_output_location == "s3://my-lake/dynamodb/Flights/athena-results/"


def test_names_that_follow() -> None:
    table = declare(table=ARN, name="Flights-2026.a")
    assert table.dag_id == "ddb_export__Flights-2026.a"
    assert (table.table_name, table.table_arn, table.region) == ("Flights", ARN, "eu-west-1")
    assert table.folder == "dynamodb/Flights-2026.a"
    assert table.lake_uri == "s3://my-lake/dynamodb/Flights-2026.a"
    assert table.glue_tables == {
        "snapshots": "flights_2026_a_snapshots",
        "changes": "flights_2026_a_changes",
        "current": "flights_2026_a",
        "archive": "flights_2026_a_archive",
        "raw_snapshots": "flights_2026_a_raw_snapshots",
        "raw_changes": "flights_2026_a_raw_changes",
        "latest": "flights_2026_a_latest",
        "history": "flights_2026_a_history",
        "overflow": "flights_2026_a_overflow",
    }
    assert declare(prefix="").lake_uri == "s3://my-lake/Flights"
    assert declare().table_arn is None


def test_a_table_whose_own_name_cannot_be_used_needs_another() -> None:
    with pytest.raises(ConfigurationError) as caught:
        declare(table="_flights")
    assert str(caught.value) == (
        "table '_flights': name '_flights' cannot name a DAG and a folder. Remedy: write a letter or digit, then up"
        " to 237 letters, digits, '_', '-', '.'"
    )
    assert declare(table="_flights", name="flights").dag_id == "ddb_export__flights"


def test_a_region_that_contradicts_the_arn_is_refused() -> None:
    with pytest.raises(ConfigurationError) as caught:
        declare(table=ARN, region="us-east-1")
    assert str(caught.value) == (
        f"table '{ARN}': region 'us-east-1' is not the region of the table's ARN, 'eu-west-1'. Remedy: leave out the"
        " key 'region', or write the ARN of the table in that region"
    )


@pytest.mark.scenario("F38")
def test_a_naive_time_in_python_is_refused_for_it_could_be_local() -> None:
    with pytest.raises(ConfigurationError) as caught:
        declare(start_date=datetime(2026, 1, 31))  # noqa: DTZ001
    assert str(caught.value) == (
        "table 'Flights': start_date 2026-01-31T00:00:00 has no time zone. Remedy: give an aware datetime, such as"
        " datetime(2026, 1, 31, tzinfo=UTC)"
    )


def test_a_table_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        declare().bucket = "other"  # type: ignore[misc]


@given(st.integers(0, 10**7))
def test_durations_survive_writing_and_reading(seconds: int) -> None:
    duration = timedelta(seconds=seconds)
    assert parse_duration(format_duration(duration)) == duration
    assert re.search(PATTERN, format_duration(duration))
    assert parse_duration(f"PT{seconds % 10**6}S") == timedelta(seconds=seconds % 10**6)


@given(st.text(alphabet="PTDHMSdhms0123456789 .-", max_size=12))
def test_the_editors_pattern_accepts_what_is_parsed(text: str) -> None:
    try:
        parse_duration(text)
    except ValueError:
        assert not re.search(PATTERN, text)
    else:
        assert re.search(PATTERN, text)


@given(
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{2,40}", fullmatch=True),
    start=st.datetimes(timezones=st.just(UTC)),
    settle=st.timedeltas(timedelta(0), timedelta(days=1)).map(lambda d: timedelta(seconds=d // timedelta(seconds=1))),
    cron=st.sampled_from(["@daily", "*/15 * * * *", None]),
    outputs=st.lists(st.sampled_from(["snapshots", "changes"]), unique=True),
    limit=st.decimals(0, 10**6, places=4),
)
def test_a_table_survives_writing_as_json_and_reading(
    name: str, start: datetime, settle: timedelta, cron: str | None, outputs: list[str], limit: Decimal
) -> None:
    more: dict[str, Any] = {"outputs": outputs, "budget": {"run": limit}}
    table = declare(table=name, start_date=start, settle=settle, schedule=cron, **more)
    assert TableConfiguration.declare(**table.model_dump(mode="json")) == table


def test_the_json_schema_takes_what_the_model_takes() -> None:
    schema = export_json_schema()
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    validator.validate(declare().model_dump(mode="json"))
    validator.validate(declare(budget={"run": "0.1"}, prices={"full_export_per_gb": 1}).model_dump(mode="json"))
    for amount, is_valid in ((25, True), (0.5, True), ("0.114", True), (-1, False), ("1e3", False), (None, True)):
        assert validator.is_valid({**REQUIRED, "budget": {"run": amount}}) == is_valid
    validator.validate({"defaults": {"bucket": "b"}, "tables": [{"table": "Flights"}], "x-common": {}})
    assert not validator.is_valid({**REQUIRED, "shedule": "@daily"})
    assert not validator.is_valid({"tables": [{"bucket": "b"}]})
    assert not validator.is_valid({"defaults": {"name": "x"}, "tables": []})


def test_every_key_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
    blocks: dict[str, type[BaseModel]] = {
        "alerts": AlertConfiguration,
        "athena": AthenaConfiguration,
        "budget": BudgetConfiguration,
        "compaction": CompactionConfiguration,
        "contract": ContractConfiguration,
        "filter": FilterConfiguration,
        "prices": PriceConfiguration,
        "retention": RetentionConfiguration,
    }
    inside = [f"{block}.{key}" for block, model in blocks.items() for key in model.model_fields]
    for key in [*TableConfiguration.model_fields, *inside]:
        assert f"\n| `{key}` |" in page, key


def test_a_role_of_another_account_than_the_tables_is_refused() -> None:
    assert declare(table=ARN, role_arn="arn:aws:iam::123456789012:role/lake").role_arn
    with pytest.raises(ConfigurationError) as caught:
        declare(table=ARN, role_arn="arn:aws:iam::999988887777:role/lake")
    assert "is in account 999988887777, the table's ARN in 123456789012" in str(caught.value)
    assert str(caught.value).endswith("Remedy: write a role of account 123456789012")


@pytest.mark.scenario("F42")
def test_the_longest_names_fit_into_what_aws_and_airflow_allow() -> None:
    table = TableConfiguration.declare(**{**REQUIRED, "name": "n" * 238, "prefix": "p" * 512})
    lake = Lake(table.bucket, table.prefix, table.name)
    window = Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
    attempt = lake.raw(f"{window.key}-a1000")
    assert len(table.dag_id) <= 250
    assert all(len(name) <= 255 for name in table.glue_tables.values())
    # S3 keys and S3Prefix have at most 1,024 bytes (S3 User Guide, "Naming Amazon S3 objects"; API reference, ExportTableToPointInTime).
    part = f"quarantine/{window_partition(window)}/{generation('arn', 'schema', '2')}/{part_name(99999, 'jsonl', 999)}"
    assert len(lake.key(part)) <= 1024
    assert len(f"{attempt}/AWSDynamoDB/01768385930622-0123abcd/data/{'x' * 26}.json.gz") <= 1024
    assert len(rule_name(lake.root)) <= 255


@pytest.mark.scenario("F42")
def test_a_table_whose_name_is_too_long_for_a_dag_needs_another_name() -> None:
    with pytest.raises(ConfigurationError) as caught:
        TableConfiguration.declare(**{**REQUIRED, "table": "t" * 255})
    assert "cannot name a DAG and a folder" in str(caught.value)
    assert TableConfiguration.declare(**{**REQUIRED, "table": "t" * 255, "name": "short"}).table_name == "t" * 255
