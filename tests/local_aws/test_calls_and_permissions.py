"""The record of calls, denied permissions, settings and reset."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from local_aws.client import LabError


def test_every_call_is_recorded_without_data(exporting):
    lab, account = exporting.lab, exporting.account
    lab.clear_calls(account)
    exporting.lab.advance_clock(7200, account)
    exporting.dynamodb.put_item(TableName="orders", Item={"pk": {"S": "secret"}, "sk": {"N": "1"}})
    requested = exporting.request_window(0, 30, ClientToken="claim-1", S3Prefix="p")
    exporting.wait(requested["ExportArn"])
    exporting.s3.put_object(Bucket=exporting.bucket, Key="k", Body=b"x", IfNoneMatch="*")
    with pytest.raises(ClientError):
        exporting.s3.put_object(Bucket=exporting.bucket, Key="k", Body=b"x", IfNoneMatch="*")
    exporting.s3.list_objects_v2(Bucket=exporting.bucket, Prefix="p/", StartAfter="p/a", Delimiter="/")
    exporting.s3.get_object(Bucket=exporting.bucket, Key="k", Range="bytes=0-0")
    calls = [call for call in lab.calls(account) if call["operation"] != "DescribeExport"]
    assert [(call["service"], call["operation"], call["status"]) for call in calls] == [
        ("dynamodb", "PutItem", 200),
        ("dynamodb", "ExportTableToPointInTime", 200),
        ("s3", "PutObject", 200),
        ("s3", "PutObject", 412),
        ("s3", "ListObjectsV2", 200),
        ("s3", "GetObject", 206),
    ]
    assert "secret" not in str(calls)
    assert calls[1]["parameters"]["ClientToken"] == "claim-1"
    assert calls[1]["parameters"]["S3Prefix"] == "p"
    assert calls[1]["time"].startswith("2026-03-01T02:00")
    assert calls[3]["error_code"] == "PreconditionFailed"
    assert calls[3]["parameters"] == {"Bucket": exporting.bucket, "Key": "k", "IfNoneMatch": "*"}
    assert calls[4]["parameters"]["StartAfter"] == "p/a"
    assert calls[5]["parameters"]["Range"] == "bytes=0-0"
    assert [call["operation"] for call in lab.calls(account, "s3", after=calls[3]["sequence"])] == [
        "ListObjectsV2",
        "GetObject",
    ]


@pytest.mark.parametrize(
    ("rule", "service", "method", "parameters", "code", "status"),
    [
        (
            "glue:CreateTable",
            "glue",
            "create_table",
            {"DatabaseName": "d", "TableInput": {"Name": "t"}},
            "AccessDeniedException",
            400,
        ),
        (
            "s3:PutObject arn:aws:s3:::lake/raw/*",
            "s3",
            "put_object",
            {"Bucket": "lake", "Key": "raw/x"},
            "AccessDenied",
            403,
        ),
        ("s3:ListBucket", "s3", "list_objects_v2", {"Bucket": "lake"}, "AccessDenied", 403),
        ("s3:GetObject", "s3", "get_object", {"Bucket": "lake", "Key": "k"}, "AccessDenied", 403),
        (
            "dynamodb:ExportTableToPointInTime",
            "dynamodb",
            "export_table_to_point_in_time",
            {"TableArn": "a", "S3Bucket": "lake"},
            "AccessDeniedException",
            400,
        ),
        (
            "dynamodb:Describe*",
            "dynamodb",
            "describe_continuous_backups",
            {"TableName": "orders"},
            "AccessDeniedException",
            400,
        ),
        (
            "athena:StartQueryExecution",
            "athena",
            "start_query_execution",
            {"QueryString": "SELECT 1"},
            "AccessDeniedException",
            400,
        ),
        (
            "sns:Publish",
            "sns",
            "publish",
            {"TopicArn": "arn:aws:sns:us-east-1:1:t", "Message": "m"},
            "AuthorizationError",
            403,
        ),
    ],
)
def test_denied_calls(lab, account, aws, rule, service, method, parameters, code, status):
    lab.deny(account, rule)
    with pytest.raises(ClientError) as caught:
        getattr(aws(service), method)(**parameters)
    response = caught.value.response
    assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
    assert "is not authorized to perform" in response["Error"]["Message"]
    assert lab.calls(account)[-1]["error_code"] == code


def test_what_no_rule_denies_is_allowed(lab, account, aws):
    s3 = aws("s3")
    s3.create_bucket(Bucket=f"b-{account}")
    lab.deny(account, f"s3:PutObject arn:aws:s3:::b-{account}/raw/*")
    s3.put_object(Bucket=f"b-{account}", Key="other", Body=b"")
    lab.deny(account)
    s3.put_object(Bucket=f"b-{account}", Key="raw/x", Body=b"")
    with pytest.raises(LabError, match="is no rule"):
        lab.deny(account, "create tables")


def test_settings_are_per_account(lab, account):
    assert lab.settings(account, data_files=7)["data_files"] == 7
    assert lab.settings("123412341234")["data_files"] == 4
    for wrong, message in (
        ({"data_flies": 1}, "there is no setting 'data_flies'"),
        ({"data_files": 0}, "at least 1"),
        ({"data_files": "4"}, "takes a number"),
        ({"checksum_suffix": "sha"}, "takes one of md5, checksum, both, none"),
        ({"started_marker": 1}, "takes true or false"),
    ):
        with pytest.raises(LabError, match=message):
            lab.settings(account, **wrong)
    lab.reset(account)
    assert lab.settings(account)["data_files"] == 4


def test_reset_forgets_one_account_only(exporting, aws, lab):
    other = str(int(exporting.account) ^ 1).zfill(12)
    aws("s3", account=other).create_bucket(Bucket=f"kept-{other}")
    exporting.lay_down(exporting.write(1, "PutItem", "a"), until=100)
    exporting.window(0, 30)
    lab.reset(exporting.account)
    assert exporting.dynamodb.list_tables()["TableNames"] == []
    assert exporting.s3.list_buckets()["Buckets"] == []
    assert exporting.dynamodb.list_exports()["ExportSummaries"] == []
    assert lab.exports(exporting.account) == []
    assert [call["operation"] for call in lab.calls(exporting.account)] == ["ListTables", "ListBuckets", "ListExports"]
    assert len(aws("s3", account=other).list_buckets()["Buckets"]) == 1
    lab.reset(other)


def test_unknown_controls_say_so(lab):
    with pytest.raises(LabError, match="the lab has no GET /_lab/clocks"):
        lab._get("clocks")
    with pytest.raises(LabError, match="an account is a text of 12 digits"):
        lab.exports("12")


def policy(*statements: tuple[str, str, str]) -> dict[str, object]:
    listed = [{"Effect": effect, "Action": action, "Resource": resource} for effect, action, resource in statements]
    return {"Version": "2012-10-17", "Statement": listed}


def test_an_account_with_a_policy_may_do_what_it_allows_and_nothing_else(lab, account, aws):
    s3, bucket = aws("s3"), f"b-{account}"
    s3.create_bucket(Bucket=bucket)
    objects = f"arn:aws:s3:::{bucket}/"
    lab.allow_only(
        account,
        policy(("Allow", "S3:putobject", f"{objects}a*"), ("Deny", "s3:PutObject", f"{objects}a/secret/*")),
        policy(("Allow", "s3:GetObject", f"{objects}${{*}}")),
    )
    s3.put_object(Bucket=bucket, Key="a/b/c", Body=b"")
    for key in ("b", "a/secret/x"):
        with pytest.raises(ClientError, match="no identity-based policy allows the s3:PutObject action"):
            s3.put_object(Bucket=bucket, Key=key, Body=b"")
    with pytest.raises(ClientError, match="s3:GetObject on resource"):
        s3.get_object(Bucket=bucket, Key="a/b/c")
    assert aws("sts").get_caller_identity()["Account"] == account
    assert lab.calls(account, "s3")[-1]["needs"] == [["s3:GetObject", f"{objects}a/b/c"]]
    lab.allow_only(account)
    s3.get_object(Bucket=bucket, Key="a/b/c")


def test_an_export_writes_with_what_the_policy_of_its_caller_allows(exporting):
    lab, account = exporting.lab, exporting.account
    exporting.lay_down(exporting.write(1, "PutItem", "a"), until=100)
    allowed = ("Allow", "dynamodb:*", f"arn:aws:dynamodb:*:{account}:table/orders*")
    writes = [("Allow", f"s3:{action}", "*") for action in ("PutObject", "PutObjectAcl", "AbortMultipartUpload")]
    lab.allow_only(account, policy(allowed, *writes[:2]))
    ended = exporting.wait(exporting.request_window(0, 30)["ExportArn"])
    assert (ended["ExportStatus"], ended["FailureCode"]) == ("FAILED", "S3AccessDenied")
    assert "s3:AbortMultipartUpload" in ended["FailureMessage"]
    lab.allow_only(account, policy(allowed, *writes))
    assert exporting.wait(exporting.request_window(0, 45)["ExportArn"])["ExportStatus"] == "COMPLETED"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({}, "a policy is an object with a list of statements"),
        ({"Statement": [{"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}]}, "'NotAction', which the lab"),
        ({"Statement": [{"Effect": "Allow", "Action": [], "Resource": "*"}]}, "Action is a text or a list of texts"),
        ({"Statement": [{"Effect": "allow", "Action": "s3:*", "Resource": "*"}]}, "Effect is Allow or Deny"),
        (
            {"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": {"Null": {}}}]},
            "has a Condition",
        ),
    ],
)
def test_a_policy_that_the_lab_does_not_understand_is_refused(lab, account, wrong, says):
    with pytest.raises(LabError, match=says):
        lab.allow_only(account, wrong)
