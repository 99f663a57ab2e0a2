"""One bill: whoever comes, and whatever was lost, finds the export that exists."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from botocore.config import Config

from ddb_export.aws.dynamodb import DynamoDBGateway
from ddb_export.domain.export import ExportStatus
from ddb_export.exceptions import (
    DdbExportError,
    ExportRefusedError,
    PointInTimeRecoveryError,
    TableIdentityError,
)
from ddb_export.pipeline.exports import Exports
from local_aws.client import Lab
from tests.pipeline.tables import LakeTable, at


@pytest.fixture
def table(lab: Lab, account: str, aws: Callable[..., Any]) -> LakeTable:
    made = LakeTable(lab, account, aws)
    made.put(1, "a")
    made.until(25)
    return made


@pytest.mark.scenario("F3")
def test_answer_that_was_lost_is_asked_for_again_and_billed_once(table):
    claim = table.claim(0, 24)
    lost = table.lab.add_fault(
        "hold", account=table.account, service="dynamodb", operation="ExportTableToPointInTime", when="after"
    )
    impatient = Config(read_timeout=1, retries={"total_max_attempts": 1})
    dying = Exports(DynamoDBGateway(table.aws("dynamodb", config=impatient)), table.store)
    with pytest.raises(DdbExportError):
        dying.find_or_start(claim, table.now)
    table.lab.wait_until_held(lost)
    table.lab.release(lost)
    assert len(table.started()) == 1
    assert table.export(claim).status is ExportStatus.COMPLETED
    assert len(table.started()) == 1


@pytest.mark.scenario("F3")
def test_stored_arn_is_used_without_a_new_request(table):
    claim = table.claim(0, 24)
    first = table.export(claim)
    table.lab.clear_calls(table.account)
    assert table.exports.find_or_start(claim, table.now, first.export_arn).export_arn == first.export_arn
    assert [call["operation"] for call in table.lab.calls(table.account)] == ["DescribeExport"]


@pytest.mark.scenario("F5")
def test_many_at_once_start_one_export(table):
    claim = table.claim(0, 24)
    found = set()

    def work() -> None:
        found.add(table.exports.find_or_start(claim, table.now).export_arn)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(table.started()) == 1


@pytest.mark.scenario("F3")
@pytest.mark.parametrize("lost", ["folder", "list"])
def test_after_the_token_has_expired_it_is_found_by_listing(table, lost):
    claim = table.claim(0, 24)
    first = table.export(claim)
    table.until(25 + 9)
    if lost == "folder":
        for stored in list(table.store.list_objects(claim.request.s3_prefix)):
            table.store.delete(stored.key)
    else:
        table.lab.deny(table.account, "dynamodb:ListExports")
    table.lab.clear_calls(table.account)
    assert table.exports.find_or_start(claim, table.now).export_arn == first.export_arn
    assert table.lab.calls(table.account, "dynamodb", "ExportTableToPointInTime") == []


@pytest.mark.scenario("F14")
def test_export_of_the_prefix_that_still_runs_is_found_after_the_token_has_expired(table):
    claim = table.claim(0, 24)
    fault = table.lab.add_fault("delay_export", account=table.account, hold=True)
    first = table.exports.find_or_start(claim, table.now)
    table.until(25 + 9)
    found = table.exports.find_or_start(claim, table.now)
    assert (found.export_arn, found.status) == (first.export_arn, ExportStatus.IN_PROGRESS)
    table.lab.release(fault)
    assert table.ended(found).status is ExportStatus.COMPLETED
    assert len(table.started()) == 1


@pytest.mark.scenario("F14")
def test_other_things_in_the_folder_are_passed_over(table):
    claim = table.claim(0, 24)
    first = table.export(claim)
    folder = f"{claim.request.s3_prefix}/AWSDynamoDB"
    for name in ("notes/readme.txt", "00000000000000-00000000/manifest-summary.json", "_started", "data/x.json.gz"):
        table.store.put(f"{folder}/{name}", b"x")
    table.until(25 + 9)
    assert table.exports.find_or_start(claim, table.now).export_arn == first.export_arn


def test_export_of_another_window_in_the_same_prefix_is_not_taken(table):
    claim = table.claim(0, 12)
    other = table.claim(12, 24)
    table.ended(table.dynamodb.start_export(replace(other.request, s3_prefix=claim.request.s3_prefix), "by-hand"))
    table.until(25 + 9)
    found = table.export(claim)
    assert (found.start, found.end) == (at(0), at(12))


@pytest.mark.scenario("F41")
@pytest.mark.parametrize("hours", [0, 9])
@pytest.mark.parametrize("running", [False, True])
def test_export_that_a_person_started_for_the_same_window_and_prefix_is_adopted(table, hours, running):
    claim = table.claim(0, 24)
    fault = table.lab.add_fault("delay_export", account=table.account, hold=True) if running else None
    by_hand = table.dynamodb.start_export(claim.request, "by-hand")
    if fault:
        table.lab.wait_until_held(fault)
    else:
        table.ended(by_hand)
    table.until(25 + hours)
    table.lab.clear_calls(table.account)
    found = table.exports.find_or_start(claim, table.now)
    assert found.export_arn == by_hand.export_arn
    assert [call["operation"] for call in table.lab.calls(table.account)] == ["ListObjectsV2", "DescribeExport"]
    if fault:
        assert found.status is ExportStatus.IN_PROGRESS
        table.lab.release(fault)
    assert table.export(claim, by_hand.export_arn).status is ExportStatus.COMPLETED
    assert len(table.started()) == 1


def test_first_request_of_a_claim_costs_one_listing(table):
    claim = table.claim(0, 24)
    table.lab.clear_calls(table.account)
    table.exports.find_or_start(claim, table.now)
    calls = [call["operation"] for call in table.lab.calls(table.account)]
    assert calls[:3] == ["ListObjectsV2", "DescribeTable", "ExportTableToPointInTime"]


@pytest.mark.parametrize("hours", [0, 9])
def test_export_that_a_person_started_and_that_failed_is_not_adopted(table, hours):
    claim = table.claim(0, 24)
    table.lab.add_fault("fail_export", account=table.account, code="S3AccessDenied", message="no")
    by_hand = table.ended(table.dynamodb.start_export(claim.request, "by-hand"))
    assert by_hand.status is ExportStatus.FAILED
    table.until(25 + hours)
    ours = table.export(claim)
    assert (ours.status, ours.client_token) == (ExportStatus.COMPLETED, claim.client_token)


def test_of_two_exports_whoever_looks_takes_ours(table):
    claim = table.claim(0, 24)
    fault = table.lab.add_fault("delay_export", account=table.account, hold=True)
    ours = table.exports.find_or_start(claim, table.now)
    table.lab.wait_until_held(fault)
    table.ended(table.dynamodb.start_export(claim.request, "by-hand"))
    assert table.exports.find_or_start(claim, table.now).export_arn == ours.export_arn
    table.lab.release(fault)
    assert table.export(claim).export_arn == ours.export_arn


@pytest.mark.scenario("F1")
def test_what_a_person_started_after_ours_failed_is_adopted_at_once(table):
    claim = table.claim(0, 24)
    table.lab.add_fault("fail_export", account=table.account, code="S3AccessDenied", message="no")
    failed = table.export(claim)
    by_hand = table.ended(table.dynamodb.start_export(claim.request, "by-hand"))
    assert table.export(claim, failed.export_arn).export_arn == by_hand.export_arn
    assert len(table.started()) == 2


@pytest.mark.scenario("F31")
def test_token_of_other_parameters_is_refused_in_one_line(table):
    claim = table.claim(0, 24)
    table.dynamodb.start_export(replace(claim.request, s3_prefix="elsewhere"), claim.client_token)
    with pytest.raises(ExportRefusedError, match="ExportConflictException") as refused:
        table.exports.find_or_start(claim, table.now)
    assert "\n" not in str(refused.value)
    assert len(table.started()) == 1


@pytest.mark.scenario("F1")
@pytest.mark.parametrize("hours", [0, 9])
def test_failed_export_is_found_as_such_and_the_next_attempt_is_another(table, hours):
    table.lab.add_fault("fail_export", account=table.account, code="S3AccessDenied", message="no")
    claim = table.claim(0, 24)
    failed = table.export(claim)
    table.until(25 + hours)
    again = table.export(claim)
    assert (again.export_arn, again.status, again.failure_code) == (
        failed.export_arn,
        ExportStatus.FAILED,
        "S3AccessDenied",
    )
    following = table.ledger.next_attempt(claim, table.table_id, table.now, "FAILED")
    assert table.ledger.next_attempt(claim, table.table_id, table.now, "FAILED") == following
    done = table.export(following)
    assert done.status is ExportStatus.COMPLETED
    assert done.s3_prefix == following.request.s3_prefix != claim.request.s3_prefix
    assert done.client_token != failed.client_token


@pytest.mark.scenario("F3", "F33")
def test_a_worker_that_was_suspended_until_the_token_expired_starts_nothing(table, monkeypatch):
    table.lab.add_fault("fail_export", account=table.account, code="S3AccessDenied", message="no")
    claim, now = table.claim(0, 24), table.now
    failed = table.export(claim)
    awake = table.store.list_folder

    def list_and_sleep(*arguments: Any) -> Any:
        listed = list(awake(*arguments))
        table.until(25 + 9)
        return listed

    monkeypatch.setattr(table.store, "list_folder", list_and_sleep)
    assert table.exports.find_or_start(claim, now).export_arn == failed.export_arn
    assert len(table.started()) == 1


@pytest.mark.scenario("F1")
def test_completed_export_counts_more_than_a_failed_one(table):
    claim = table.claim(0, 24)
    table.lab.add_fault("fail_export", account=table.account, code="S3AccessDenied", message="no")
    table.export(claim)
    by_hand = table.ended(table.dynamodb.start_export(claim.request, "by-hand"))
    table.until(25 + 9)
    assert table.export(claim).export_arn == by_hand.export_arn


@pytest.mark.scenario("F30")
def test_next_attempt_may_ask_with_a_corrected_key(table):
    claim = table.claim(0, 24, kms_key="alias/wrong")
    corrected = table.wanted(0, 24).request
    assert table.ledger.claim([table.wanted(0, 24)], table.table_id, table.now)[0] == claim
    following = table.ledger.next_attempt(claim, table.table_id, table.now, "FAILED", corrected)
    assert following.request.kms_key is None
    assert not claim.asks_for(corrected)
    assert following.asks_for(corrected)
    assert table.export(following).status is ExportStatus.COMPLETED


@pytest.mark.scenario("F13")
def test_table_that_was_created_again_is_not_exported_in_the_place_of_the_old_one(table):
    claim = table.claim(0, 24)
    table.aws("dynamodb").delete_table(TableName=table.name)
    table.until(26)
    table.create()
    with pytest.raises(TableIdentityError, match="deleted and created again"):
        table.exports.find_or_start(claim, table.now)
    assert table.started() == []


@pytest.mark.scenario("F12")
def test_export_that_dynamodb_forgot_does_not_move_the_head_or_cost_again(table):
    base = table.verified(0)
    entry = table.verified(0, 24)
    before = table.ledger.read()
    table.until(24 * 100)
    assert table.ledger.read().head == before.head == at(24)
    assert list(table.dynamodb.list_exports(table.arn)) == []
    with pytest.raises(PointInTimeRecoveryError):
        table.exports.find_or_start(table.claim(0, 24), table.now, entry.export_arn)
    assert len(table.started()) == 2
    assert base.export_time == at(0)
