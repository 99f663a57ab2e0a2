"""Answers against botocore's service model: known members, right types, declared errors."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.session import Session

# On the wire of the live service, in no SDK model.
UNMODELLED = {"DestinationType"}
JSON_TYPES = {
    "string": (str,),
    "timestamp": (int, float),
    "long": (int,),
    "integer": (int,),
    "boolean": (bool,),
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
}


def mismatches(shape: Any, value: Any, path: str) -> list[str]:
    """How a JSON value differs from a shape of the model."""
    fits = isinstance(value, JSON_TYPES.get(shape.type_name, ()))
    if not fits:
        return [f"{path} is a {type(value).__name__}, the model says {shape.type_name}"]
    if shape.type_name == "list":
        return [
            found
            for number, entry in enumerate(value)
            for found in mismatches(shape.member, entry, f"{path}[{number}]")
        ]
    if shape.type_name != "structure":
        return wrong_enum(shape, value, path)
    found = [f"{path}.{name} is not in the model" for name in value.keys() - shape.members.keys() - UNMODELLED]
    found += [f"{path}.{name} is required" for name in set(shape.required_members) - value.keys()]
    for name, inner in shape.members.items():
        if name in value:
            found += mismatches(inner, value[name], f"{path}.{name}")
    return found


def wrong_enum(shape: Any, value: Any, path: str) -> list[str]:
    allowed = getattr(shape, "enum", None)
    return [f"{path} = {value!r} is not one of {allowed}"] if allowed and value not in allowed else []


@pytest.fixture(scope="module")
def model():
    return Session().get_service_model("dynamodb")


@pytest.fixture
def raw(exporting):
    """Call an operation over plain HTTP and give the JSON of its answer."""

    def call(operation: str, **parameters: Any) -> dict[str, Any]:
        credential = f"Credential={exporting.account}/20260301/us-east-1/dynamodb/aws4_request"
        request = urllib.request.Request(
            exporting.lab.endpoint_url,
            data=json.dumps(parameters).encode(),
            headers={
                "X-Amz-Target": f"DynamoDB_20120810.{operation}",
                "Content-Type": "application/x-amz-json-1.0",
                "Authorization": f"AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, Signature=0",
            },
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    return call


def test_answers_fit_the_model(exporting, raw, model):
    exporting.lay_down(exporting.write(1, "PutItem", "a"), until=24 * 60)
    window = exporting.request_window(0, 30, S3Prefix="p", S3BucketOwner=exporting.account)
    full = exporting.request_full(S3Bucket="no-such-bucket-here")
    exporting.wait(full["ExportArn"])
    exporting.wait(window["ExportArn"])
    table = {"TableName": exporting.table}
    on = {"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": 7}}
    ttl = {"TimeToLiveSpecification": {"Enabled": True, "AttributeName": "expires"}}
    for operation, parameters in (
        ("DescribeExport", {"ExportArn": window["ExportArn"]}),
        ("DescribeExport", {"ExportArn": full["ExportArn"]}),
        ("ExportTableToPointInTime", {"TableArn": exporting.table_arn, "S3Bucket": exporting.bucket}),
        ("ListExports", {"MaxResults": 1}),
        ("DescribeContinuousBackups", table),
        ("UpdateContinuousBackups", table | on),
        ("UpdateTimeToLive", table | ttl),
        ("DescribeTimeToLive", table),
    ):
        answer = raw(operation, **parameters)
        shape = model.operation_model(operation).output_shape
        assert mismatches(shape, answer, operation) == []
        assert answer.keys() == shape.members.keys() or operation == "ListExports"


def test_all_members_of_a_description_are_told(exporting, model, aws):
    exporting.lay_down(exporting.write(1, "PutItem", "a"), until=24 * 60)
    key = aws("kms").create_key()["KeyMetadata"]["Arn"]
    every = {
        "S3Prefix": "p",
        "S3BucketOwner": exporting.account,
        "S3SseAlgorithm": "KMS",
        "S3SseKmsKeyId": key,
        "ExportFormat": "DYNAMODB_JSON",
        "ClientToken": "t",
        "FilterSpecification": {"FilterExpression": "attribute_exists(pk)"},
    }
    told = set(exporting.window(0, 30, **every).description)
    told |= set(exporting.full(5).description)
    told |= set(exporting.wait(exporting.request_full(S3Bucket="no-such-bucket-here")["ExportArn"]))
    assert told >= model.shape_for("ExportDescription").members.keys()


def test_errors_are_those_that_the_model_declares(exporting, model, at):
    exporting.lab.set_clock(at(600), exporting.account)
    exporting.request_window(0, 30, ClientToken="t")
    errors: dict[str, set[str]] = {"ExportTableToPointInTime": set(), "DescribeExport": set()}
    for operation, call in (
        ("ExportTableToPointInTime", lambda: exporting.request_full(ExportTime=at(-9))),
        ("ExportTableToPointInTime", lambda: exporting.request_full(TableArn=exporting.table_arn + "x")),
        ("ExportTableToPointInTime", lambda: exporting.request_window(0, 31, ClientToken="t")),
        (
            "DescribeExport",
            lambda: exporting.dynamodb.describe_export(ExportArn=f"{exporting.table_arn}/export/0-0-{'0' * 30}"),
        ),
    ):
        with pytest.raises(ClientError) as caught:
            call()
        errors[operation].add(caught.value.response["Error"]["Code"])
    exporting.recovery(enabled=False)
    with pytest.raises(exporting.dynamodb.exceptions.PointInTimeRecoveryUnavailableException):
        exporting.request_full()
    for operation, codes in errors.items():
        declared = {shape.name for shape in model.operation_model(operation).error_shapes}
        assert codes <= declared
