"""Every way in which DynamoDB says no is explained, each with one thing to do."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from ddb_export.aws.errors import translate
from ddb_export.domain.export import ExportDescription, ExportFormat, ExportStatus, ExportType
from ddb_export.domain.failures import FAILURES, REFUSALS, Refusal, failure_of, refusal_of
from ddb_export.domain.waiting import longest_back_off, pause_between_questions, turn
from ddb_export.exceptions import (
    PERMANENT_FAILURES,
    DdbExportError,
    ExportError,
    ExportFailedError,
    ExportRefusedError,
    ExportThrottledError,
    NotReachableError,
    PointInTimeRecoveryError,
    TableMissingError,
)
from ddb_export.pipeline.waiting import failed

ARN = "arn:aws:dynamodb:us-east-1:111122223333:table/orders/export/01700000000000-0a1b2c3d"
ONE_LINE = re.compile(r"(?P<thing>\S[^\n]*?): (?P<cause>\S[^\n]*)\. Remedy: (?P<remedy>\S[^\n]*)")

SEEN = {
    "Point in time recovery is not enabled for table 'orders'": PointInTimeRecoveryError,
    "Incremental export period from time cannot be less than the table creation time : T": PointInTimeRecoveryError,
    "Difference between export period from time and export period to time is less than 15 minutes": PointInTimeRecoveryError,
    "Incremental export period to time cannot be greater than the current time : T": PointInTimeRecoveryError,
    "Point in Time Recovery is not available for specified export time": PointInTimeRecoveryError,
    "Export Time is invalid": PointInTimeRecoveryError,
    "Table not found: ARN": TableMissingError,
    "Export conflict: Duplicate request detected with conflicting parameters": ExportRefusedError,
    "Rate exceeded": ExportThrottledError,
    "Export not found: ARN": ExportError,
    "Invalid Export ARN": ExportRefusedError,
    "tableArn is not a valid ARN": ExportRefusedError,
    "KMS Key Id is not supported for this encryption type": ExportRefusedError,
    "Export Type expected to be Incremental Export when incremental export specification is provided": ExportRefusedError,
}
"""Messages of the live service, and what they are for us."""

CODES = {
    "Point in time recovery": "PointInTimeRecoveryUnavailableException",
    "Incremental": "InvalidExportTimeException",
    "Difference": "InvalidExportTimeException",
    "Point in Time": "InvalidExportTimeException",
    "Export Time": "InvalidExportTimeException",
    "Table not found": "TableNotFoundException",
    "Export conflict": "ExportConflictException",
    "Rate": "ThrottlingException",
    "Export not found": "ExportNotFoundException",
}


def answered(code: str, message: str, operation: str = "ExportTableToPointInTime") -> DdbExportError:
    response = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    return translate(ClientError(response, operation), "table orders")


@pytest.mark.parametrize("known", REFUSALS, ids=lambda each: f"{each.code}-{each.says}")
def test_every_refusal_has_thing_cause_and_one_remedy_in_one_line(known: Refusal):
    error = answered(known.code, f"no: {known.says}\nand more")
    match = ONE_LINE.fullmatch(str(error))
    assert match, str(error)
    assert match["thing"] == "table orders"
    assert known.cause in match["cause"]
    assert match["remedy"] == known.remedy
    assert error.retryable is known.passes
    assert error.code == known.code


@pytest.mark.parametrize("known", FAILURES, ids=lambda each: each.code)
def test_every_failure_has_thing_cause_and_one_remedy_in_one_line(known: Refusal):
    error = failed(_failed(known.code), "window", after="clear this task", passing="wait")
    match = ONE_LINE.fullmatch(str(error))
    assert match, str(error)
    assert (match["thing"], known.cause in match["cause"]) == (ARN, True)
    assert match["remedy"] == ("wait" if known.passes else f"{known.remedy}, then clear this task")
    assert error.retryable is known.passes


def test_a_failure_code_that_is_not_documented_may_pass():
    error = failed(_failed("TableDeletedMeanwhile"), "window", after="clear", passing="wait")
    assert error.retryable
    assert "TableDeletedMeanwhile: it broke: this FailureCode is not documented. Remedy: wait" in str(error)
    assert failure_of(None).passes


def test_both_lists_agree_on_what_only_a_person_can_help():
    assert {each.code for each in FAILURES if not each.passes} == PERMANENT_FAILURES


def test_no_two_cases_are_explained_alike():
    for table in (REFUSALS, FAILURES):
        assert len({(each.code, each.says) for each in table}) == len(table)
        assert len({each.cause for each in table}) == len(table)
        for number, each in enumerate(table):
            assert all(later.code != each.code for later in table[number + 1 :]) or each.says, "it hides a special case"


@pytest.mark.parametrize(("message", "kind"), SEEN.items(), ids=lambda each: str(each)[:30])
def test_what_the_live_service_says_is_known(message: str, kind: type[DdbExportError]):
    code = next((code for begin, code in CODES.items() if message.startswith(begin)), "ValidationException")
    known = refusal_of(code, message)
    assert known
    assert type(answered(code, message)) is kind
    special = [each for each in REFUSALS if each.code == code and each.says and each.says in message]
    assert not special or known is special[0]


def test_codes_that_other_services_share_are_not_explained_as_dynamodbs():
    assert "300 exports" in answered("LimitExceededException", "no").cause
    assert "300 exports" not in answered("LimitExceededException", "no", "StartQueryExecution").cause
    assert isinstance(answered("LimitExceededException", "no", "StartQueryExecution"), ExportThrottledError)
    assert isinstance(answered("NobodyKnows", "no"), NotReachableError)


@pytest.mark.scenario("F7")
def test_the_longer_an_export_runs_the_less_often_it_is_asked_after():
    pauses = [pause_between_questions(30, waited) for waited in (0, 60, 600, 800, 3600, 30 * 3600)]
    assert pauses == [30, 30, 30, 40, 50, 50]
    assert pause_between_questions(120, 10**6) == 120, "who wants it rarer gets that"
    assert pause_between_questions(0.5, 4) == 0.5


@pytest.mark.scenario("F32")
def test_turns_grow_and_are_drawn():
    assert [turn(turns, 1).total_seconds() for turns in range(7)] == [15, 30, 60, 120, 240, 300, 300]
    assert turn(0, 0) == timedelta(seconds=7.5)
    assert turn(10**6, 1) == timedelta(minutes=5)
    assert [longest_back_off(failures, 1, 30) for failures in (1, 2, 3, 6, 99)] == [1, 2, 4, 30, 30]


def _failed(code: str) -> ExportDescription:
    return ExportDescription(
        export_arn=ARN,
        status=ExportStatus.FAILED,
        table_arn=None,
        table_id=None,
        export_type=ExportType.FULL_EXPORT,
        export_format=ExportFormat.DYNAMODB_JSON,
        failure_code=code,
        failure_message="it broke",
    )


def test_a_failed_export_is_an_error_of_its_own():
    assert isinstance(failed(_failed("UNKNOWN"), "it", after="a", passing="b"), ExportFailedError)
