"""Each kind of fault does what it says, as often as it says."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError

from local_aws.client import LabError


def md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data).digest()).decode()


@pytest.fixture
def ready(exporting):
    """The table with twenty items, a day old."""
    writes = [exporting.write(1, "PutItem", f"k{number}", v={"S": "text"}) for number in range(20)]
    exporting.lay_down(*writes, until=24 * 60)
    return exporting


def until_free(lab, fault):
    end = time.monotonic() + 5
    while lab.fault(fault)["held"]:
        assert time.monotonic() < end
        time.sleep(0.02)


def error_of(call, **parameters: Any):
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize(
    ("service", "operation", "method", "parameters", "code", "status"),
    [
        ("dynamodb", "DescribeExport", "describe_export", {"ExportArn": "x" * 40}, "ThrottlingException", 400),
        ("s3", "ListObjectsV2", "list_objects_v2", {"Bucket": "any"}, "SlowDown", 503),
        ("glue", "GetTables", "get_tables", {"DatabaseName": "db"}, "ThrottlingException", 400),
        ("athena", "ListWorkGroups", "list_work_groups", {}, "TooManyRequestsException", 400),
        ("sts", "GetCallerIdentity", "get_caller_identity", {}, "Throttling", 400),
        ("sqs", "ListQueues", "list_queues", {}, "RequestThrottled", 403),
        ("sns", "ListTopics", "list_topics", {}, "Throttling", 400),
    ],
)
def test_throttling_in_the_shape_of_each_service(
    lab, account, aws, service, operation, method, parameters, code, status
):
    lab.add_fault("throttle", account=account, service=service, operation=operation, times=2)
    call = getattr(aws(service), method)
    for _ in range(2):
        assert error_of(call, **parameters) == (code, status)
    with contextlib.suppress(ClientError):
        call(**parameters)
    assert [fault["fired"] for fault in lab.faults(account)] == [2]
    recorded = [entry["error_code"] for entry in lab.calls(account, service, operation)]
    assert recorded[:2] == [code, code]
    assert recorded[2] != code


def test_errors_by_service_operation_and_match(lab, account, aws):
    lab.add_fault(
        "error",
        account=account,
        service="dynamodb",
        operation="DescribeTable",
        match={"table": "ord.*"},
        code="InternalServerError",
        http_status=500,
    )
    client = aws("dynamodb")
    assert error_of(client.describe_table, TableName="other")[0] == "ResourceNotFoundException"
    assert error_of(client.describe_table, TableName="orders") == ("InternalServerError", 500)
    assert error_of(client.describe_table, TableName="orders")[0] == "ResourceNotFoundException"


def test_another_account_is_left_alone(lab, account, aws):
    lab.add_fault("error", account=account, code="Boom", times=None)
    assert error_of(aws("sts").get_caller_identity)[0] == "Boom"
    assert aws("sts", account="123412341234").get_caller_identity()["Account"] == "123412341234"
    assert lab.clear_faults(account) == 1
    assert aws("sts").get_caller_identity()["Account"] == account


@pytest.mark.scenario("F1")
@pytest.mark.scenario("F2")
def test_failing_an_export(ready):
    ready.lab.add_fault(
        "fail_export",
        account=ready.account,
        match={"table": "orders", "export_type": "INCREMENTAL_EXPORT"},
        code="ServiceTrouble",
        message="try later",
        after_files=2,
    )
    full = ready.full(5)
    description = ready.wait(ready.request_window(0, 30)["ExportArn"])
    assert (description["ExportStatus"], description["FailureCode"], description["FailureMessage"]) == (
        "FAILED",
        "ServiceTrouble",
        "try later",
    )
    shared = [key for key in ready.objects() if key.startswith("AWSDynamoDB/data/")]
    assert len(shared) == 2
    assert full.description["ExportStatus"] == "COMPLETED"
    assert ready.window(0, 30).description["ExportStatus"] == "COMPLETED"


@pytest.mark.scenario("F7")
def test_delaying_an_export(ready):
    ready.lab.add_fault("delay_export", account=ready.account, seconds=0.6)
    arn = ready.request_window(0, 30)["ExportArn"]
    other = ready.window(0, 30)
    assert other.description["ExportStatus"] == "COMPLETED"
    assert ready.dynamodb.describe_export(ExportArn=arn)["ExportDescription"]["ExportStatus"] == "IN_PROGRESS"
    assert ready.wait(arn)["ExportStatus"] == "COMPLETED"


def damaged(ready, **fault: Any):
    ready.lab.add_fault("damage_file", account=ready.account, **fault)
    requested = ready.request_window(0, 30, S3Prefix="damaged")
    description = ready.wait(requested["ExportArn"])
    assert description["ExportStatus"] == "COMPLETED"
    folder = description["ExportManifest"].removesuffix("manifest-summary.json")
    return folder, ready.objects()


def files_of(folder, objects):
    return [json.loads(line) for line in objects[folder + "manifest-files.json"].splitlines()]


@pytest.mark.scenario("F16")
@pytest.mark.parametrize("damage", ["flip_byte", "truncate", "replace_text"])
def test_damaging_a_data_file(ready, damage):
    folder, objects = damaged(ready, target="data:2", damage=damage, old="text", new="teXt")
    files = files_of(folder, objects)
    wrong = [number for number, file in enumerate(files) if md5(objects[file["dataFileS3Key"]]) != file["md5Checksum"]]
    assert wrong == [2]
    assert ready.lab.faults(ready.account)[0]["fired"] == 1


@pytest.mark.scenario("F16")
def test_dropping_a_data_file(ready):
    folder, objects = damaged(ready, target="data:largest", damage="drop")
    files = files_of(folder, objects)
    (missing,) = [file for file in files if file["dataFileS3Key"] not in objects]
    assert missing["itemCount"] == max(file["itemCount"] for file in files)


@pytest.mark.scenario("F16")
def test_a_wrong_count_and_a_wrong_md5(ready):
    folder, objects = damaged(ready, target="data:1", damage="wrong_count")
    off = [
        file["itemCount"] - len(gzip.decompress(objects[file["dataFileS3Key"]]).splitlines())
        for file in files_of(folder, objects)
    ]
    assert off == [0, 1, 0, 0]
    assert json.loads(objects[folder + "manifest-summary.json"])["itemCount"] == 21
    folder, objects = damaged(ready, target="data:1", damage="wrong_md5")
    right = [md5(objects[file["dataFileS3Key"]]) == file["md5Checksum"] for file in files_of(folder, objects)]
    assert right == [True, False, True, True]


@pytest.mark.scenario("F16")
def test_damage_that_checksums_do_not_show(ready):
    folder, objects = damaged(ready, target="data:all", damage="replace_text", old="text", new="TEXT", consistent=True)
    for file in files_of(folder, objects):
        body = objects[file["dataFileS3Key"]]
        assert md5(body) == file["md5Checksum"]
        assert file["etag"] == hashlib.md5(hashlib.md5(body).digest()).hexdigest() + "-1"
        assert b"text" not in gzip.decompress(body)


@pytest.mark.scenario("F15")
@pytest.mark.parametrize("name", ["manifest-summary", "manifest-files"])
def test_damaging_manifests(ready, name):
    def hidden(folder: str, objects: dict[str, bytes]) -> bool:
        return objects[f"{folder}{name}.md5"].decode() == md5(objects[f"{folder}{name}.json"])

    assert not hidden(*damaged(ready, target=f"{name}.json", damage="flip_byte"))
    assert not hidden(*damaged(ready, target=f"{name}.json", damage="wrong_md5"))
    assert not hidden(*damaged(ready, target=f"{name}.md5", damage="truncate"))
    assert hidden(*damaged(ready, target=f"{name}.json", damage="wrong_count"))
    folder, objects = damaged(
        ready, target=f"{name}.json", damage="replace_text", old="item", new="ITEM", consistent=True
    )
    assert hidden(folder, objects)
    assert b"ITEM" in objects[f"{folder}{name}.json"]
    folder, objects = damaged(ready, target=f"{name}.json", damage="drop")
    assert f"{folder}{name}.json" not in objects
    assert f"{folder}{name}.md5" in objects


@pytest.mark.parametrize("when", ["before", "after"])
def test_holding_a_request(lab, account, aws, when):
    s3 = aws("s3")
    s3.create_bucket(Bucket=f"b-{account}")
    fault = lab.add_fault(
        "hold", account=account, service="s3", operation="PutObject", match={"key": "held"}, when=when
    )
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(s3.put_object, Bucket=f"b-{account}", Key="held", Body=b"x")
        lab.wait_until_held(fault)
        visible = [entry["Key"] for entry in s3.list_objects_v2(Bucket=f"b-{account}").get("Contents", [])]
        assert visible == (["held"] if when == "after" else [])
        assert not answer.done()
        lab.release(fault)
        assert answer.result()["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert lab.fault(fault)["held"] == 0


@pytest.mark.parametrize(("when", "happened"), [("before", True), ("unsent", False), ("after", True)])
def test_a_held_request_whose_client_ends(lab, account, aws, when, happened):
    aws("s3").create_bucket(Bucket=f"b-{account}")
    fault = lab.add_fault("hold", account=account, service="s3", operation="PutObject", when=when)
    impatient = aws("s3", config=Config(read_timeout=0.3, retries={"total_max_attempts": 1}))
    with pytest.raises(ReadTimeoutError):
        impatient.put_object(Bucket=f"b-{account}", Key="held", Body=b"x")
    impatient.close()
    if when != "unsent":
        lab.release(fault)
    until_free(lab, fault)
    assert lab.fault(fault)["caught"]["key"] == "held"
    listed = aws("s3").list_objects_v2(Bucket=f"b-{account}").get("Contents", [])
    assert [entry["Key"] for entry in listed] == (["held"] if happened else [])


def test_a_fault_lets_calls_pass_first(lab, account, aws):
    s3 = aws("s3")
    s3.create_bucket(Bucket=f"b-{account}")
    fault = lab.add_fault("error", account=account, operation="PutObject", code="InternalError", skip=2)
    for key in ("one", "two"):
        s3.put_object(Bucket=f"b-{account}", Key=key, Body=b"x")
    with pytest.raises(ClientError):
        s3.put_object(Bucket=f"b-{account}", Key="three", Body=b"x")
    s3.put_object(Bucket=f"b-{account}", Key="four", Body=b"x")
    assert (lab.fault(fault)["fired"], lab.fault(fault)["caught"]["key"]) == (1, "three")


@pytest.mark.scenario("F3")
def test_an_export_that_began_although_its_answer_was_lost(ready, aws):
    fault = ready.lab.add_fault(
        "hold",
        account=ready.account,
        operation="ExportTableToPointInTime",
        match={"table": "orders", "client_token": "claim-1"},
        when="after",
    )
    patient = ready.dynamodb
    ready.dynamodb = aws("dynamodb", config=Config(read_timeout=0.3, retries={"total_max_attempts": 1}))
    with pytest.raises(ReadTimeoutError):
        ready.request_window(0, 30, ClientToken="claim-1")
    ready.dynamodb = patient
    (begun,) = ready.lab.exports(ready.account)
    ready.lab.release(fault)
    assert ready.request_window(0, 30, ClientToken="claim-1")["ExportArn"] == begun["export_arn"]
    assert len(ready.lab.exports(ready.account)) == 1


@pytest.mark.scenario("F18")
def test_dropping_the_connection_of_a_download(lab, account, aws):
    s3 = aws("s3")
    s3.create_bucket(Bucket=f"b-{account}")
    body = bytes(range(256)) * 4096
    s3.put_object(Bucket=f"b-{account}", Key="k", Body=body)
    lab.add_fault("drop_connection", account=account, operation="GetObject", after_bytes=300_000)
    stream = s3.get_object(Bucket=f"b-{account}", Key="k")["Body"]
    received = b""
    with pytest.raises((ResponseStreamingError, IncompleteReadError)):  # noqa: PT012 - what came before counts
        for chunk in stream.iter_chunks(10_000):
            received += chunk
    assert 0 < len(received) <= 300_000
    rest = s3.get_object(Bucket=f"b-{account}", Key="k", Range=f"bytes={len(received)}-")["Body"].read()
    assert received + rest == body


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"kind": "explode"}, "there is no kind of fault 'explode'"),
        ({"kind": "throttle", "oparation": "X"}, "the fault throttle does not know oparation"),
        ({"kind": "error"}, "needs a code"),
        ({"kind": "damage_file", "damage": "burn"}, "damage is one of"),
        ({"kind": "damage_file", "damage": "drop", "target": "all"}, "target is data:N"),
        ({"kind": "throttle", "match": {"key": "("}}, r"match.key is no regular expression"),
        ({"kind": "hold", "when": "during"}, "when is 'before'"),
        ({"kind": "hold", "skip": -1}, "skip is how many"),
    ],
)
def test_faults_that_are_not_understood(lab, account, fault, message):
    with pytest.raises(LabError, match=message):
        lab.add_fault(fault.pop("kind"), account=account, **fault)
    assert lab.faults(account) == []
