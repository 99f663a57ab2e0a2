"""``ddb-export doctor`` as a person runs it, on a table of the lab."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ddb_export.cli import main
from ddb_export.cli.doctor import EMPTY_DOCUMENT

CONFIGURATION = {
    "table": "orders",
    "bucket": "lake",
    "prefix": "tables",
    "database": "lake",
    "schedule": "'@daily'",
    "start_date": "2026-03-01",
    "region": "us-east-1",
}
Doctor = Callable[..., dict[str, Any]]


def make_table(aws: Callable[..., Any]) -> None:
    """Create the table, without recovery."""
    aws("dynamodb").create_table(
        TableName="orders",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )


@pytest.fixture
def run(lab, account, tmp_path: Path, capsys, monkeypatch) -> Callable[..., tuple[int, str, str]]:
    """Run the command; give the exit code and both streams."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", account)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "lab")

    def command(*arguments: str, **keys: str) -> tuple[int, str, str]:
        lines = [f"{key}: {value}\n" for key, value in {**CONFIGURATION, **keys}.items()]
        (tmp_path / "orders.yaml").write_text("".join(lines))
        code = main(["doctor", "orders", "--tables", str(tmp_path), "--endpoint-url", lab.endpoint_url, *arguments])
        return (code, *capsys.readouterr())

    return command


@pytest.fixture
def doctor(run) -> Doctor:
    """Run the command with ``--json``; give the object."""

    def examine(*arguments: str, **keys: str) -> dict[str, Any]:
        code, out, err = run("--json", *arguments, **keys)
        parsed: dict[str, Any] = json.loads(out)
        assert list(parsed) == list(EMPTY_DOCUMENT)
        assert parsed["ok"] == (code == 0) == (not parsed["errors"])
        assert len(err.splitlines()) == (0 if parsed["ok"] else 1)
        return parsed

    return examine


@pytest.fixture
def ready(aws, doctor) -> None:
    """A table that is ready."""
    make_table(aws)
    assert doctor("--fix", "pitr", "database", "bucket")["ok"]


def levels(document: dict[str, Any]) -> dict[str, str]:
    """The level of each check."""
    return {each["check"]: each["level"] for each in document["findings"]}


def failed(document: dict[str, Any]) -> list[str]:
    """The checks that failed."""
    return [each["check"] for each in document["findings"] if each["level"] == "fail"]


def test_nothing_is_there(run):
    code, out, err = run()
    assert code == 1
    assert out.startswith("orders: RUNS WILL NOT WORK (4 ok, 3 fail)\n")
    assert "  fail  bucket        s3://lake: there is no such bucket\n" in out
    assert "Remedy: create it: ddb-export doctor orders --fix bucket\n" in out
    assert err.count("\n") == 1
    assert "(and 2 more)" in err


def test_fix_does_what_it_was_told_and_nothing_else(aws, doctor, lab, account):
    make_table(aws)
    first = doctor("--fix", "pitr")
    assert failed(first) == ["bucket", "database"]
    assert first["fixed"] == ["point-in-time recovery of orders is on; the first export is possible some minutes later"]
    assert aws("s3").list_buckets()["Buckets"] == []
    second = doctor("--fix", "bucket", "database", "pitr")
    assert (second["ok"], len(second["fixed"])) == (True, 2)
    assert levels(second)["public access"] == "ok"
    lab.clear_calls(account)
    assert doctor()["fixed"] == []
    changing = ("Create", "Update", "Delete", "Put", "Export")
    # A write on a condition that cannot hold writes nothing; it is how S3 tells whether writing is allowed.
    made = [each for each in lab.calls(account) if each["operation"].startswith(changing) and each["status"] < 400]
    assert made == []
    assert aws("s3").list_objects_v2(Bucket="lake")["KeyCount"] == 0
    assert lab.exports(account) == []


def test_wrong_key_and_a_rule_over_the_ledger(ready, aws, doctor):
    rule = {"ID": "tidy", "Status": "Enabled", "Filter": {"Prefix": "tables/"}, "Expiration": {"Days": 30}}
    aws("s3").put_bucket_lifecycle_configuration(Bucket="lake", LifecycleConfiguration={"Rules": [rule]})
    said = doctor(kms_key="11111111-2222-3333-4444-555555555555")
    assert failed(said) == ["kms key", "lifecycle"]
    key = aws("kms").create_key()["KeyMetadata"]["KeyId"]
    aws("s3").put_bucket_lifecycle_configuration(
        Bucket="lake", LifecycleConfiguration={"Rules": [{**rule, "Status": "Disabled"}]}
    )
    assert failed(doctor(kms_key=key)) == []
    aws("kms").disable_key(KeyId=key)
    assert failed(doctor(kms_key=key)) == ["kms key"]


@pytest.mark.scenario("F30")
def test_bucket_of_another_account(ready, aws, doctor):
    aws("s3", account="444455556666").create_bucket(Bucket="theirs-of-f30")
    said = doctor(bucket="theirs-of-f30")
    assert "bucket" in failed(said)
    assert levels(doctor(bucket_owner="'444455556666'"))["bucket"] == "fail"


@pytest.mark.scenario("F42")
def test_missing_rights_are_named_one_by_one(ready, doctor, lab, account):
    lab.deny(account, "s3:PutObject arn:aws:s3:::lake/tables/orders/raw/*", "s3:GetLifecycleConfiguration")
    said = doctor()
    assert failed(said) == ["permission"]
    assert "s3:PutObject on s3://lake/tables/orders/raw/" in said["errors"][0]["cause"]
    assert levels(said)["lifecycle"] == "warn"
    lab.deny(account, "dynamodb:*")
    assert {"table", "recovery"} <= set(failed(doctor()))


def test_clock_of_this_machine_against_awss(ready, doctor, lab, account):
    lab.offset_clock(400, account)
    assert failed(doctor()) == ["clock"]


def test_permissions_by_simulation(ready, aws, doctor, monkeypatch, account):
    iam, sts = aws("iam"), aws("sts")
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
    }
    arn = iam.create_role(RoleName="airflow", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    allowed = ["dynamodb:*", "s3:*", "glue:Get*", "athena:*", "iam:*"]
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": allowed, "Resource": "*"}]}
    iam.put_role_policy(RoleName="airflow", PolicyName="lake", PolicyDocument=json.dumps(policy))
    session = sts.assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", session["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", session["SecretAccessKey"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", session["SessionToken"])
    said = doctor()
    denied = {each["found"].partition(" on ")[0] for each in said["findings"] if each["check"] == "permission"}
    assert {"glue:CreateTable", "glue:BatchCreatePartition"} <= denied
    assert not any(each.startswith(("s3:", "dynamodb:", "athena:")) for each in denied)


def test_what_the_policy_of_a_bucket_allows_counts_although_a_simulation_does_not_see_it(
    ready, aws, doctor, monkeypatch
):
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
    }
    arn = aws("iam").create_role(RoleName="bare", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    asking = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iam:*", "Resource": "*"}]}
    aws("iam").put_role_policy(RoleName="bare", PolicyName="ask", PolicyDocument=json.dumps(asking))
    session = aws("sts").assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", session["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", session["SecretAccessKey"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", session["SessionToken"])
    # The lab asks no policy of a bucket inside one account: every call is answered, and IAM's simulation denies all of it.
    denied = {each["found"] for each in doctor()["findings"] if each["check"] == "permission"}
    assert any("dynamodb:ExportTableToPointInTime" in each for each in denied)
    seen = (
        "s3:ListBucket on arn:aws:s3:::lake is",
        "s3:GetObject on arn:aws:s3:::lake/tables/orders/raw/*",
        "DescribeTable",
    )
    assert not any(part in each for part in seen for each in denied)


def test_who_may_not_read_data_files_is_told(ready, doctor, lab, account):
    lab.deny(account, "s3:GetObject arn:aws:s3:::lake/tables/orders/raw/*/data/*")
    assert failed(doctor()) == ["permission"]
    assert failed(doctor(outputs="[raw]")) == []


def test_who_is_not_reachable_is_no_finding(run, monkeypatch):
    monkeypatch.setattr("ddb_export.aws.clients._ATTEMPTS", 1)
    code, out, err = run("--endpoint-url", "http://127.0.0.1:9")
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert "Remedy: check the network, the region and the endpoint URL" in err


def test_a_folder_is_no_configuration(lab, capsys):
    assert main(["doctor", "s3://lake/tables/orders", "--endpoint-url", lab.endpoint_url, "--json"]) == 2
    assert list(json.loads(capsys.readouterr().out)) == list(EMPTY_DOCUMENT)
