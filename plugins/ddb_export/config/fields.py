"""The types of the keys: what each accepts, in the machine's words and, beside it, in a person's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema

from ddb_export.config.durations import ACCEPTED, PATTERN, format_duration, parse_duration
from ddb_export.config.problems import nearest, refuse, refuse_as
from ddb_export.domain.cost import AMOUNT, AMOUNT_PATTERN, money
from ddb_export.domain.schedule import SHORTEST_WINDOW, finest_interval
from ddb_export.exceptions import ConfigurationError


@dataclass(frozen=True)
class Accepts:
    """What a key accepts, as it goes on after "write" in a remedy."""

    words: str


def matching(pattern: str, reason: str) -> AfterValidator:
    """Return the check of a whole text; ``reason`` goes on after the key and what was given."""
    compiled = re.compile(pattern, re.ASCII)

    def check(value: str) -> str:
        if compiled.fullmatch(value) is None:
            refuse(reason)
        return value

    return AfterValidator(check)


def _bucket_without_uri(value: Any) -> Any:
    if isinstance(value, str) and (value.startswith("s3://") or "/" in value):
        refuse(
            "is not a bucket name",
            "write the bucket's name alone, and the folder under the key 'prefix'",
        )
    return value


def _prefix(value: str) -> str:
    if "://" in value:
        refuse("is a URI", "write the folder inside the bucket alone, such as lake/dynamodb")
    stripped = value.strip("/")
    if not stripped:
        return ""
    segments = stripped.split("/")
    if not all(re.fullmatch(r"[A-Za-z0-9!_.*'()=-]+", segment) for segment in segments):
        # Amazon S3, "Object key naming guidelines": all others need special handling.
        refuse("has an empty folder name or a character other than A-Z a-z 0-9 ! _ . * ' ( ) = -")
    if any(set(segment) == {"."} for segment in segments):
        refuse("has a folder name of dots only")
    if len(stripped) > 512:
        refuse(f"has {len(stripped)} characters, more than 512")
    return stripped


def _time(value: Any) -> Any:
    if isinstance(value, str):
        try:
            parsed = datetime.fromisoformat(value.strip())
        except ValueError:
            refuse("is not a date or time")
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            refuse("has no time zone", "give an aware datetime, such as datetime(2026, 1, 31, tzinfo=UTC)")
        return value.astimezone(UTC)
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    return value


def _whole_minute(value: datetime) -> datetime:
    if value.second or value.microsecond:
        refuse("is not a whole minute")
    return value


def _duration(shortest: timedelta, longest: timedelta) -> tuple[BeforeValidator, AfterValidator, Accepts]:
    def read(value: Any) -> Any:
        if isinstance(value, str):
            try:
                return parse_duration(value.strip())
            except ValueError:
                refuse("is not a duration")
        return value

    def check(value: timedelta) -> timedelta:
        if not shortest <= value <= longest:
            limits = f"{format_duration(shortest)} and {format_duration(longest)}"
            refuse(f"is not between {limits}", f"write a duration between {limits}")
        return value

    return BeforeValidator(read), AfterValidator(check), Accepts(ACCEPTED)


def _schedule(value: str) -> str:
    expression = " ".join(value.split())
    try:
        finest = finest_interval(expression)
    except ConfigurationError as error:
        if value.strip().lower() in ("none", "null", "manual", ""):
            refuse("is not a schedule", "write null, without quotes, for a table that only runs by hand")
        refuse_as(error)
    if finest < SHORTEST_WINDOW:
        minutes = finest // timedelta(minutes=1)
        refuse(
            f"cuts windows of {minutes} min, but an incremental export covers at least 15 min",
            "write a schedule of 15 min or more, such as '*/15 * * * *'",
        )
    return expression


@lru_cache(maxsize=256)
def _zone_exists(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError):
        return False
    return True


def _time_zone(value: str) -> str:
    if not _zone_exists(value):
        zones = {zone.lower(): zone for zone in available_timezones()}
        near = nearest(value, zones)
        refuse("is not a time zone", f"write '{zones[near]}'" if near else None)
    return value


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


AS_TUPLE = BeforeValidator(_as_tuple)


def _without_repetition(values: tuple[str, ...]) -> tuple[str, ...]:
    repeated = {value for value in values if values.count(value) > 1}
    if repeated:
        refuse(f"names '{min(repeated)}' twice", "name each once")
    return values


def _amount(value: Any) -> Any:
    if isinstance(value, float):
        # Python gives 0.1 as 0.1000000000000000055…; YAML's numbers arrive as they were written.
        refuse("is a float, which holds most amounts inexactly", "write it as text or as a Decimal, such as '0.114'")
    if isinstance(value, str | int | Decimal) and not isinstance(value, bool):
        try:
            return money(value, "amount")
        except ConfigurationError:
            refuse("is no amount")
    return value


def _output_location(value: str) -> str:
    if re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^\s?#]*)?", value) is None:
        refuse("is not a folder in S3")
    return value.rstrip("/") + "/"


_json_duration = WithJsonSchema({"type": "string", "pattern": PATTERN})
# Its beginning alone: YAML's times (a blank for the T, one digit for a month) and those without a zone are no "date-time" of JSON schema.
_TIME_SCHEMA = {"type": "string", "pattern": "^\\s*[0-9]{4}-?W?[0-9]{1,2}"}
_json_time = WithJsonSchema(_TIME_SCHEMA)
_write_duration = PlainSerializer(format_duration, return_type=str, when_used="json")

# DynamoDB developer guide, "Naming rules"; ARN format from the Service Authorization Reference.
TableReference = Annotated[
    str,
    matching(
        r"[A-Za-z0-9_.-]{3,255}"
        r"|arn:aws[a-z-]*:dynamodb:[a-z0-9-]+:[0-9]{12}:table/[A-Za-z0-9_.-]{3,255}",
        "is neither a table name nor a table ARN",
    ),
    Accepts("3 to 255 letters, digits, '_', '-', '.', or arn:aws:dynamodb:REGION:ACCOUNT:table/NAME"),
]
Amount = Annotated[
    Decimal,
    BeforeValidator(_amount),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": AMOUNT_PATTERN}]}),
    Accepts(AMOUNT),
]
# 250 characters are the limit of an Airflow DAG id, 12 of them are ours.
LakeName = Annotated[
    str,
    matching(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,237}", "cannot name a DAG and a folder"),
    Accepts("a letter or digit, then up to 237 letters, digits, '_', '-', '.'"),
]
Bucket = Annotated[
    str,
    matching(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "is not a bucket name"),
    BeforeValidator(_bucket_without_uri),
    Accepts("the name of an S3 bucket, 3 to 63 lower-case letters, digits, '-', '.'"),
]
Prefix = Annotated[str, AfterValidator(_prefix), Accepts("a folder inside the bucket, such as lake/dynamodb, or ''")]
Database = Annotated[
    str,
    matching(r"[a-z0-9_-]{1,255}", "is not a Glue database name that Athena can read"),
    Accepts("1 to 255 lower-case letters, digits, '_', '-'"),
]
Schedule = Annotated[
    Annotated[str, AfterValidator(_schedule)] | None,
    Accepts("a cron expression such as '0 0 * * *', @hourly or @daily, or null for runs by hand only"),
]
Instant = Annotated[
    datetime,
    BeforeValidator(_time),
    _json_time,
    Accepts("a date or UTC time, such as 2026-01-31 or 2026-01-31T06:00:00Z"),
]
WholeMinute = Annotated[
    Annotated[datetime, AfterValidator(_whole_minute)] | None,
    BeforeValidator(_time),
    WithJsonSchema({"anyOf": [_TIME_SCHEMA, {"type": "null"}]}),
    Accepts("a UTC time in whole minutes, such as 2026-01-31T06:00:00Z"),
]
TimeZone = Annotated[str, AfterValidator(_time_zone), Accepts("an IANA time zone, such as Europe/Berlin")]
Settle = Annotated[timedelta, *_duration(timedelta(0), timedelta(days=1)), _json_duration, _write_duration]
PollInterval = Annotated[
    timedelta, *_duration(timedelta(seconds=1), timedelta(hours=1)), _json_duration, _write_duration
]
RetryDelay = Annotated[timedelta, *_duration(timedelta(0), timedelta(days=1)), _json_duration, _write_duration]
RawAge = Annotated[timedelta, *_duration(timedelta(days=1), timedelta(days=36_500)), _json_duration, _write_duration]
Sla = Annotated[
    Annotated[timedelta, *_duration(timedelta(minutes=15), timedelta(days=365)), _json_duration, _write_duration]
    | None,
    Accepts("a duration of 15m to 365d, such as 26h, or null for no promise"),
]
Horizon = Annotated[timedelta, *_duration(timedelta(0), timedelta(days=35)), _json_duration, _write_duration]
WhenChainEnds = Annotated[Literal["fail", "new_base"], Accepts("fail or new_base")]
WideningPolicy = Annotated[Literal["by_request", "automatic"], Accepts("by_request or automatic")]
View = Annotated[Literal["NEW_AND_OLD_IMAGES", "NEW_IMAGE"], Accepts("NEW_AND_OLD_IMAGES or NEW_IMAGE")]
Region = Annotated[
    Annotated[str, matching(r"[a-z]{2,3}(-[a-z]+)+-[0-9]{1,2}", "is not an AWS region")] | None,
    Accepts("an AWS region, such as eu-west-1"),
]
AccountId = Annotated[
    Annotated[str, matching(r"[0-9]{12}", "is not an account id")] | None,
    # YAML files are read as they are written, so that quotes may be left out; an editor sees a number then.
    WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": "^[0-9]{12}$"}, {"type": "integer", "minimum": 0}, {"type": "null"}]}
    ),
    Accepts("the 12 digits of an AWS account in quotes, such as '012345678901'"),
]
RoleArn = Annotated[
    Annotated[
        str, matching(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]{1,576}", "is not the ARN of a role")
    ]
    | None,
    Accepts("the ARN of a role in the table's account, such as arn:aws:iam::012345678901:role/lake"),
]
KmsKey = Annotated[
    Annotated[
        str,
        matching(
            r"(arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:(key|alias)/)?[A-Za-z0-9/_-]{1,2048}",
            "is not a KMS key",
        ),
    ]
    | None,
    Accepts("the id, the ARN or alias/NAME of a KMS key"),
]
# Airflow refuses other connection ids (airflow.models.connection.sanitize_conn_id).
ConnectionId = Annotated[
    Annotated[str, matching(r"[\w#!()\-.:/\\]{1,250}", "is not a connection id")] | None,
    Accepts("the id of an Airflow connection, or null for the AWS default credentials"),
]
Output = Literal["snapshots", "changes", "raw"]
Outputs = Annotated[
    tuple[Annotated[Output, Accepts("snapshots, changes or raw")], ...],
    BeforeValidator(_as_tuple),
    AfterValidator(_without_repetition),
    Accepts("a list of snapshots, changes and raw, such as [snapshots, changes], or []"),
]
Text = Annotated[
    str, matching(r"\S(.{0,248}\S)?", "is empty, too long or padded"), Accepts("1 to 250 characters of text")
]
Tags = Annotated[
    tuple[
        Annotated[str, matching(r"\S(.{0,98}\S)?", "is not a tag"), Accepts("1 to 100 characters of text")],
        ...,
    ],
    BeforeValidator(_as_tuple),
    AfterValidator(_without_repetition),
    Accepts("a list of words, such as [lake, flights]"),
]
Workgroup = Annotated[
    str,
    matching(r"[A-Za-z0-9._-]{1,128}", "is not an Athena workgroup"),
    Accepts("1 to 128 letters, digits, '_', '-', '.'"),
]
OutputLocation = Annotated[
    Annotated[str, AfterValidator(_output_location)] | None,
    Accepts("a folder in S3, such as s3://my-bucket/athena-results/"),
]
Switch = Annotated[bool, Accepts("true or false")]
# 1024 is Airflow's default of [core] max_map_length.
FileGroups = Annotated[int, Field(ge=1, le=1024), Accepts("a whole number from 1 to 1024")]
# AWS allows 300 exports at a time per account and region ("Service, account, and table quotas").
ActiveWindows = Annotated[int, Field(ge=1, le=300), Accepts("a whole number from 1 to 300")]
Retries = Annotated[int, Field(ge=0, le=100), Accepts("a whole number from 0 to 100")]
