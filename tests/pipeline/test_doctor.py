"""The doctor against the lab: it says of a table what its runs then meet."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ddb_export.domain.doctor import Declared, Finding, Level
from ddb_export.domain.retention import Retention
from ddb_export.exceptions import NotReachableError
from ddb_export.pipeline.doctor import Doctor
from local_aws.client import Lab

HOUR = timedelta(hours=1)
NOBODY = "http://127.0.0.1:9"
"""Port 9 (discard): nothing listens there."""


@dataclass
class Practice:
    """A table that is ready, with its bucket, and whoever asks after it."""

    lab: Lab
    account: str
    aws: Callable[..., Any]
    options: dict[str, Any] = field(default_factory=dict)
    elsewhere: dict[str, str] = field(default_factory=dict)
    """Service → another endpoint than the lab's."""

    def examine(self, **changes: Any) -> list[Finding]:
        """Ask after the table, as the YAML of a table without a schedule declares it."""
        declared = Declared.of(
            glue_name="orders",
            **{
                "outputs": ("snapshots", "changes"),
                "name": "orders",
                "table": "orders",
                "bucket": "lake",
                "folder": "tables/orders",
                "database": "lake",
                **changes,
            },
        )
        return Doctor(self.client, declared).examine()

    def client(self, service: str, region: str | None = None) -> Any:
        endpoint = self.elsewhere.get(service, self.elsewhere.get("*", self.lab.endpoint_url))
        return self.aws(service, **{"region": region or "us-east-1", "endpoint_url": endpoint, **self.options})

    def export(self, **parameters: Any) -> tuple[str, str | None]:
        """Export the table, and wait; return status and failure code."""
        dynamodb = self.aws("dynamodb")
        arn = f"arn:aws:dynamodb:us-east-1:{self.account}:table/orders"
        asked = dynamodb.export_table_to_point_in_time(
            TableArn=arn, ExportTime=datetime.now(UTC) - HOUR / 2, **parameters
        )
        found = asked["ExportDescription"]
        while found["ExportStatus"] == "IN_PROGRESS":
            time.sleep(0.05)
            found = dynamodb.describe_export(ExportArn=found["ExportArn"])["ExportDescription"]
        return found["ExportStatus"], found.get("FailureCode")

    def become_role(self, *allowed: str) -> None:
        """Ask as a role that may do this, and ask IAM."""
        trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
        may = {"Effect": "Allow", "Action": ["iam:*", *allowed], "Resource": "*"}
        iam = self.aws("iam")
        arn = iam.create_role(RoleName="airflow", AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))["Role"]
        iam.put_role_policy(RoleName="airflow", PolicyName="may", PolicyDocument=json.dumps({"Statement": [may]}))
        session = self.aws("sts").assume_role(RoleArn=arn["Arn"], RoleSessionName="me")["Credentials"]
        self.options = {
            "aws_access_key_id": session["AccessKeyId"],
            "aws_secret_access_key": session["SecretAccessKey"],
            "aws_session_token": session["SessionToken"],
        }


@pytest.fixture
def practice(lab: Lab, account: str, aws: Callable[..., Any]) -> Practice:
    lab.set_clock(datetime.now(UTC) - HOUR, account)
    dynamodb = aws("dynamodb")
    dynamodb.create_table(
        TableName="orders",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.update_continuous_backups(
        TableName="orders", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    lab.set_clock(datetime.now(UTC), account)
    aws("s3").create_bucket(Bucket="lake")
    aws("glue").create_database(DatabaseInput={"Name": "lake"})
    return Practice(lab, account, aws)


def level(findings: list[Finding], check: str) -> Level:
    return next(each.level for each in findings if each.check == check)


def words(findings: list[Finding], wanted: Level) -> str:
    """What is said at a level."""
    return "\n".join(each.found for each in findings if each.level is wanted)


@pytest.mark.scenario("F30")
def test_a_key_is_looked_for_where_the_bucket_is_as_the_export_does(practice: Practice):
    there = {"CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"}}
    practice.aws("s3", region="eu-west-1").create_bucket(Bucket=f"there-{practice.account}", **there)
    keys = {
        region: practice.aws("kms", region=region).create_key()["KeyMetadata"] for region in ("eu-west-1", "us-east-1")
    }
    practice.aws("kms", region="eu-west-1").create_alias(AliasName="alias/lake", TargetKeyId=keys["eu-west-1"]["KeyId"])
    bucket = {"bucket": f"there-{practice.account}", "folder": "tables/orders"}
    for name, good in {
        keys["eu-west-1"]["Arn"]: True,
        keys["eu-west-1"]["KeyId"]: True,
        "alias/lake": True,
        keys["us-east-1"]["Arn"]: False,
        keys["us-east-1"]["KeyId"]: False,
    }.items():
        said = practice.examine(kms_key=name, **bucket)
        ended = practice.export(
            S3Bucket=bucket["bucket"], S3Prefix="tables/orders/raw", S3SseAlgorithm="KMS", S3SseKmsKeyId=name
        )
        assert ended == (("COMPLETED", None) if good else ("FAILED", "KmsNotFoundException"))
        assert level(said, "kms key") is (Level.OK if good else Level.FAIL), name
    assert level(said, "region") is Level.WARN


@pytest.mark.scenario("F42")
@pytest.mark.parametrize(
    ("action", "resource", "shown"),
    [
        ("s3:PutObject", "s3:::lake/tables/orders/snapshots/*", "s3://lake/tables/orders/snapshots/"),
        ("s3:GetObject", "s3:::lake/tables/orders/changes/*", "s3://lake/tables/orders/changes/"),
        ("glue:GetTable", "glue:*:table/lake/orders_raw_changes", "table/lake/orders_raw_changes"),
    ],
)
def test_what_was_shown_of_raw_exports_says_nothing_of_outputs(
    practice: Practice, action: str, resource: str, shown: str
):
    rules = [("Allow", "*", "*"), ("Deny", action, f"arn:aws:{resource}")]
    statements = [{"Effect": effect, "Action": what, "Resource": where} for effect, what, where in rules]
    practice.lab.allow_only(practice.account, {"Version": "2012-10-17", "Statement": statements})
    said = practice.examine(outputs=("raw", "snapshots", "changes"))
    (failed,) = [each.found for each in said if each.level is Level.FAIL]
    assert failed.startswith(f"{action} on ")
    assert f"{shown} is denied" in failed
    # What nobody tried is named with its resource.
    untried = words(said, Level.WARN)
    assert "s3:PutObjectAcl, s3:AbortMultipartUpload on arn:aws:s3:::lake/tables/orders/raw/*" in untried
    assert "dynamodb:ExportTableToPointInTime on arn:" in untried
    assert "DescribeTable" not in untried


def test_who_may_not_write_quarantine_is_not_told_that_all_is_well(practice: Practice):
    assert "quarantine" not in words(practice.examine(), Level.WARN).replace(":::lake/tables/orders/quarantine/*", "")
    practice.lab.deny(practice.account, "s3:PutObject arn:aws:s3:::lake/tables/orders/quarantine/*")
    assert "s3:PutObject, s3:AbortMultipartUpload on arn:aws:s3:::lake/tables/orders/quarantine/*" in words(
        practice.examine(), Level.WARN
    )


@pytest.mark.scenario("F30")
def test_what_the_keys_own_policy_grants_is_not_failed_by_a_simulation(practice: Practice):
    key = practice.aws("kms").create_key()["KeyMetadata"]["Arn"]
    practice.become_role("dynamodb:*", "s3:*", "glue:*", "athena:*")
    said = practice.examine(kms_key=key)
    # The lab enforces no permission of KMS, as if the key's policy let the role in: the dry run would have worked.
    assert level(said, "kms key") is Level.OK
    assert words(said, Level.FAIL) == ""
    assert f"kms:Decrypt on {key}" in words(said, Level.WARN)
    assert "kms:GenerateDataKey" not in words(said, Level.WARN)
    assert said[-1].remedy == "compare the key's policy with ddb-export policy orders --document key"


def test_a_rule_about_our_own_tags_is_seen(practice: Practice):
    rule = {
        "ID": "shop",
        "Status": "Enabled",
        "Filter": {"Tag": {"Key": "team", "Value": "shop"}},
        "Expiration": {"Days": 30},
    }
    both = {**rule, "ID": "both", "Filter": {"And": {"Prefix": "tables/", "Tags": [{"Key": "team", "Value": "shop"}]}}}
    practice.aws("s3").put_bucket_lifecycle_configuration(Bucket="lake", LifecycleConfiguration={"Rules": [rule, both]})
    assert level(practice.examine(), "lifecycle") is Level.OK
    said = words(practice.examine(retention=Retention(object_tags={"team": "shop"})), Level.WARN)
    assert "rule 'shop' deletes what is tagged team=shop below ''" in said
    assert "rule 'both' deletes what is tagged team=shop below 'tables/'" in said


class Ahead(BaseHTTPRequestHandler):
    """AWS as a machine meets it whose clock is six minutes behind: each signature is refused, each answer has a Date."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "X-Amz-Target" in self.headers:
            self._refuse(400, json.dumps({"__type": "InvalidSignatureException", "message": "Signature expired"}))
        else:
            code = "<Code>SignatureDoesNotMatch</Code><Message>Signature expired</Message>"
            self._refuse(403, f"<ErrorResponse><Error><Type>Sender</Type>{code}</Error></ErrorResponse>")

    def do_GET(self) -> None:
        self._refuse(403, "<Error><Code>RequestTimeTooSkewed</Code><Message>too large</Message></Error>")

    def do_HEAD(self) -> None:
        self._refuse(403, "")

    def do_PUT(self) -> None:
        self.do_POST()

    def date_time_string(self, timestamp: float | None = None) -> str:
        return format_datetime(datetime.now(UTC) + timedelta(seconds=360), usegmt=True)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's name
        pass

    def _refuse(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())


@contextmanager
def served(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_clock_that_aws_refuses_comes_first_and_is_the_only_failure(lab: Lab, aws: Callable[..., Any]):
    with served(Ahead) as url:
        said = Practice(lab, "111122223333", aws, elsewhere={"*": url}).examine(kms_key="alias/lake")
    assert (said[0].check, said[0].level) == ("clock", Level.FAIL)
    assert any(f"{seconds} s behind AWS's" in said[0].found for seconds in range(355, 361))
    assert said[0].remedy.startswith("set the clock by NTP")
    assert [each.check for each in said if each.level is Level.FAIL] == ["clock"]
    assert {"table", "recovery", "bucket", "database", "athena"} <= {each.check for each in said}
    assert {each.remedy for each in said[1:]} == {"set the clock by NTP, then ask again"}


def test_what_cannot_be_reached_is_no_finding_about_the_table(practice: Practice):
    practice.elsewhere = {"*": NOBODY}
    with pytest.raises(NotReachableError, match="check the network"):
        practice.examine()
    practice.elsewhere = {"sts": NOBODY, "athena": NOBODY, "kms": NOBODY}
    said = {each.check: each for each in practice.examine(kms_key="alias/lake")}
    assert said["athena"].level is Level.FAIL
    assert said["identity"].level is said["kms key"].level is Level.WARN
    assert {said[check].remedy for check in ("athena", "identity", "kms key")} == {
        "check the network, the region and the endpoint URL, then try again"
    }


def test_without_an_answer_of_dynamodb_nobody_knows_what_time_it_is(practice: Practice):
    practice.elsewhere = {"dynamodb": NOBODY}
    said = practice.examine()
    assert (said[0].check, said[0].level) == ("clock", Level.WARN)
    assert "could not be asked" in said[0].found
