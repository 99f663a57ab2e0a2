"""The gateway to DynamoDB against the lab: what is asked, what comes back, and what refusals say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ddb_export.aws.answer_time import answer_time
from ddb_export.aws.dynamodb import DynamoDBGateway, describe
from ddb_export.domain.export import ExportStatus, ExportType, ExportViewType
from ddb_export.exceptions import (
    ExportError,
    ExportRefusedError,
    ExportThrottledError,
    PermissionDeniedError,
    PointInTimeRecoveryError,
    TableMissingError,
)
from local_aws.client import Lab
from tests.pipeline.tables import LakeTable, at


@pytest.fixture
def table(lab: Lab, account: str, aws: Callable[..., Any]) -> LakeTable:
    made = LakeTable(lab, account, aws)
    made.put(1, "a")
    made.until(25)
    return made


def test_identity_by_name_and_by_arn(table):
    identity = table.dynamodb.identify(table.name)
    assert table.dynamodb.identify(table.arn) == identity
    assert (identity.table_arn, identity.table_name) == (table.arn, table.name)


def test_recovery_and_the_time_of_the_answer(table):
    recovery, now = table.dynamodb.recovery(table.name)
    assert recovery.enabled
    assert recovery.period == timedelta(days=35)
    assert recovery.earliest is not None
    assert at(0) - timedelta(minutes=1) <= recovery.earliest <= at(0)
    assert timedelta(0) <= now - at(25) < timedelta(minutes=1)
    assert timedelta(minutes=4) < now - recovery.latest < timedelta(minutes=6)
    table.aws("dynamodb").update_continuous_backups(
        TableName=table.name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False}
    )
    recovery, _ = table.dynamodb.recovery(table.name)
    assert (recovery.enabled, recovery.earliest, recovery.latest, recovery.period) == (False, None, None, None)


def test_time_of_an_answer_is_the_date_header():
    answer = {"ResponseMetadata": {"HTTPHeaders": {"date": "Sun, 01 Mar 2026 10:00:05 GMT"}}}
    assert answer_time(answer) == datetime(2026, 3, 1, 10, 0, 5, tzinfo=UTC)
    assert answer_time({}).tzinfo is UTC


def test_ttl_attribute(table):
    assert table.dynamodb.ttl_attribute(table.name) is None
    table.aws("dynamodb").update_time_to_live(
        TableName=table.name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
    )
    assert table.dynamodb.ttl_attribute(table.name) == "expires"


@pytest.mark.parametrize("what", ["full", "window"])
def test_export_is_described_as_it_was_asked_for(table, what):
    claim = table.claim(12) if what == "full" else table.claim(0, 24, view=ExportViewType.NEW_IMAGE)
    found = table.ended(table.dynamodb.start_export(claim.request, claim.client_token))
    assert found.status is ExportStatus.COMPLETED
    assert (found.table_arn, found.table_id, found.client_token) == (table.arn, table.table_id, claim.client_token)
    if what == "full":
        assert (found.export_type, found.export_time, found.view) == (ExportType.FULL_EXPORT, at(12), None)
    else:
        assert (found.export_type, found.start, found.end) == (ExportType.INCREMENTAL_EXPORT, at(0), at(24))
        assert found.view is ExportViewType.NEW_IMAGE
    assert (found.item_count, found.manifest_key.rsplit("/", 1)[-1]) == (1, "manifest-summary.json")


def test_missing_export_type_is_a_full_export():
    found = describe({"ExportArn": "arn", "ExportStatus": "IN_PROGRESS"})
    assert (found.export_type, found.filtered) == (ExportType.FULL_EXPORT, False)


@pytest.mark.scenario("F3")
def test_token_that_is_repeated_names_the_same_export(table):
    claim = table.claim(0, 24)
    first = table.dynamodb.start_export(claim.request, claim.client_token)
    assert table.dynamodb.start_export(claim.request, claim.client_token).export_arn == first.export_arn
    assert len(table.started()) == 1


@pytest.mark.scenario("F31")
def test_token_for_other_parameters_is_refused(table):
    claim = table.claim(0, 24)
    table.dynamodb.start_export(claim.request, "token")
    with pytest.raises(ExportRefusedError, match="ExportConflictException") as refused:
        table.dynamodb.start_export(replace(claim.request, s3_prefix="elsewhere"), "token")
    assert refused.value.code == "ExportConflictException"


def test_exports_are_listed_over_pages_newest_first(table):
    for hour in range(27):
        table.dynamodb.start_export(table.claim(hour * 0.5, hour * 0.5 + 0.5).request, f"token-{hour}")
    found = list(table.dynamodb.list_exports(table.arn))
    assert len(set(found)) == 27
    assert found == sorted(found, reverse=True)


@pytest.mark.parametrize("call", ["identify", "recovery", "ttl_attribute"])
def test_unknown_table_is_named(table, call):
    with pytest.raises(TableMissingError, match=r"nothing: .*Remedy"):
        getattr(table.dynamodb, call)("nothing")


def test_refusals_are_one_line_each(table):
    claim = table.claim(0, 24)
    with pytest.raises(ExportError, match="ExportNotFoundException"):
        table.dynamodb.describe_export(f"{table.arn}/export/00000000000000-00000000")
    with pytest.raises(PointInTimeRecoveryError, match="InvalidExportTimeException"):
        table.dynamodb.start_export(table.wanted(24, 48).request, "token")
    with pytest.raises(TableMissingError):
        table.dynamodb.start_export(replace(claim.request, table_arn=f"{table.arn}-not"), "token")
    table.lab.add_fault("throttle", account=table.account, service="dynamodb", operation="ExportTableToPointInTime")
    with pytest.raises(ExportThrottledError) as throttled:
        table.dynamodb.start_export(claim.request, "token")
    assert throttled.value.retryable
    table.lab.deny(table.account, "dynamodb:ExportTableToPointInTime")
    with pytest.raises(PermissionDeniedError, match="grant the permission for ExportTableToPointInTime"):
        table.dynamodb.start_export(claim.request, "token")


def test_no_call_reads_items(table):
    table.lab.clear_calls(table.account)
    table.dynamodb.identify(table.name)
    table.dynamodb.recovery(table.name)
    table.dynamodb.ttl_attribute(table.name)
    table.ended(DynamoDBGateway(table.aws("dynamodb")).start_export(table.claim(0, 24).request, "token"))
    operations = {call["operation"] for call in table.lab.calls(table.account, "dynamodb")}
    assert operations == {
        "DescribeTable",
        "DescribeContinuousBackups",
        "DescribeTimeToLive",
        "ExportTableToPointInTime",
        "DescribeExport",
    }
