"""What DynamoDB refuses and how its exports fail: for each case the cause in words, and the one thing that a person does.

Codes and texts are those of the botocore service model (``dynamodb/2012-08-10``), of the Developer Guide ("Requesting a table export",
"Service quotas") and of probes of the live service (October 2026). One code can have several causes; then part of AWS's
message tells which. FailureCodes are an open set: what is not listed is taken for something that may pass.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """One way in which DynamoDB says no, to a call or in the end.

    :param code: AWS's error code, or the FailureCode of an export.
    :param cause: what it means, in words. :param remedy: the one thing to do.
    :param says: part of AWS's message by which this case of the code is known; empty for the code's other cases.
    :param passes: whether trying again later, without a change by a person, can help.
    """

    code: str
    cause: str
    remedy: str
    says: str = ""
    passes: bool = False


REFUSALS: tuple[Refusal, ...] = (
    Refusal(
        "PointInTimeRecoveryUnavailableException",
        "point-in-time recovery is off, so nothing can be exported",
        "switch point-in-time recovery on for the table; what was written before cannot be exported as windows any more",
    ),
    Refusal(
        "InvalidExportTimeException",
        "the window begins before the table was created",
        "ask for a window that begins after the table's creation",
        says="less than the table creation time",
    ),
    Refusal(
        "InvalidExportTimeException",
        "a window has 15 minutes at least",
        "ask for a window of 15 minutes to 24 hours",
        says="less than 15 minutes",
    ),
    Refusal(
        "InvalidExportTimeException",
        "a window has 24 hours at most",
        "split the window into pieces of 15 minutes to 24 hours",
        says="24 hours",
    ),
    Refusal(
        "InvalidExportTimeException",
        "the window ends in the future by AWS's clock",
        "ask after the window's end; the operator's settle does so",
        says="cannot be greater than the current time",
    ),
    Refusal(
        "InvalidExportTimeException",
        "a full export's moment lies at least 5 minutes back, and not before recovery was switched on",
        "ask for a moment that point-in-time recovery reaches",
        says="Point in Time Recovery is not available",
    ),
    Refusal(
        "InvalidExportTimeException",
        "the times lie outside what point-in-time recovery reaches, at most 35 days back",
        "ask for times that point-in-time recovery reaches",
    ),
    Refusal(
        "TableNotFoundException",
        "there is no such table in this account and region",
        "check the table's name, account and region",
    ),
    Refusal(
        "ResourceNotFoundException",
        "there is no such thing in this account and region",
        "check the name, account and region",
    ),
    Refusal(
        "ExportConflictException",
        "its ClientToken stands for an export that was asked for in other words",
        "let the next attempt use another token: clear the task after the configuration is as it was, or ask for re_export",
    ),
    Refusal(
        "LimitExceededException",
        "300 exports, or 100 TB, run in this account and region already",
        "none needed: the task waits for its turn; if it waits too often, spread the schedules or have AWS raise the quota",
        passes=True,
    ),
    Refusal(
        "ThrottlingException",
        "too many calls in a short time",
        "none needed: it is asked again later; if it stays, spread the schedules",
        passes=True,
    ),
    Refusal(
        "ContinuousBackupsUnavailableException",
        "backups of a table that was just created are being set up",
        "none needed: it is asked again in a minute",
        passes=True,
    ),
    Refusal(
        "InternalServerError",
        "DynamoDB had a fault of its own",
        "try again; if it stays, look at the AWS Health Dashboard",
        passes=True,
    ),
    Refusal(
        "ExportNotFoundException",
        "this account and region know no such export, or it is older than 90 days",
        "check the export's ARN, account and region",
    ),
    Refusal(
        "ValidationException",
        "the ARN is that of something else than an export",
        "give the ARN of an export, as ExportTableToPointInTime returned it",
        says="Invalid Export ARN",
    ),
    Refusal(
        "ValidationException",
        "exports take a table's ARN, not a name and not an index",
        "give the table's ARN",
        says="tableArn",
    ),
    Refusal(
        "ValidationException",
        "a KMS key goes with KMS encryption only",
        "name a KMS key, or leave the encryption to the bucket",
        says="KMS Key Id is not supported",
    ),
    Refusal(
        "ValidationException",
        "type and times of the export do not go together",
        "give a moment for a full export, or a window for an incremental one",
        says="xport Type",
    ),
    Refusal(
        "ValidationException",
        "a parameter has a value that DynamoDB does not take",
        "correct the parameter that the message names",
    ),
)
"""What ExportTableToPointInTime, DescribeExport, ListExports and DescribeContinuousBackups refuse, special cases first."""

FAILURES: tuple[Refusal, ...] = (
    Refusal("S3NoSuchBucket", "the bucket does not exist", "create the bucket or correct its name"),
    Refusal(
        "S3AccessDenied",
        "the caller may not write to the bucket",
        "allow this role s3:PutObject, s3:PutObjectAcl and s3:AbortMultipartUpload on the bucket, set bucket_owner if the"
        " bucket is another account's",
    ),
    Refusal(
        "KmsNotFoundException",
        "the key does not exist in the bucket's region",
        "name a KMS key of the bucket's region",
    ),
    Refusal(
        "UNKNOWN",
        "DynamoDB names no cause",
        "start the export again",
        passes=True,
    ),
)
"""FailureCodes of exports that ended as FAILED."""


def refusal_of(code: str, message: str = "") -> Refusal | None:
    """Return what is known of a refused call, None if nothing is.

    :param code: AWS's error code. :param message: AWS's message.
    """
    return _find(REFUSALS, code, message)


def failure_of(code: str | None, message: str = "") -> Refusal:
    """Return what is known of a FAILED export; a code that is not known may pass.

    :param code: its FailureCode. :param message: its FailureMessage.
    """
    known = _find(FAILURES, code or "UNKNOWN", message)
    unknown = FAILURES[-1]
    return known or Refusal(code or unknown.code, "this FailureCode is not documented", unknown.remedy, passes=True)


def _find(refusals: tuple[Refusal, ...], code: str, message: str) -> Refusal | None:
    return next((each for each in refusals if each.code == code and each.says in message), None)
