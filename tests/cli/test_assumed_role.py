"""``--assume-role``: a person's role is assumed instead of the table's own, which may do less, or not trust them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ddb_export.cli import main
from tests.pipeline.tables import BUCKET, LakeTable

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
}


@pytest.fixture
def table(lab, account, aws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LakeTable:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", account)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "lab")
    made = LakeTable(lab, account, aws)
    made.ledger.own(made.arn, made.now)
    lines = f"table: orders\nbucket: {BUCKET}\nprefix: tables\ndatabase: lake\nregion: us-east-1\nschedule: '@daily'\n"
    role = f"arn:aws:iam::{account}:role/missing"
    (tmp_path / "orders.yaml").write_text(f"{lines}start_date: 2026-01-01\nrole_arn: {role}\n")
    return made


def test_another_role_than_the_tables_is_assumed(table, lab, aws, tmp_path, capsys):
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    arn = aws("iam").create_role(RoleName="admin", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    aws("iam").put_role_policy(RoleName="admin", PolicyName="all", PolicyDocument=json.dumps(policy))
    command = ["prune", "orders", "--tables", str(tmp_path), "--endpoint-url", lab.endpoint_url]
    assert main(command) == 3
    assert "role/missing" in capsys.readouterr().err
    assert main([*command, "--assume-role", arn]) == 0
    assert capsys.readouterr().out == "orders: no older generation\n"


def test_what_is_no_role_is_said_to_be_none(tmp_path, capsys):
    assert main(["prune", "s3://b/p/orders", "--assume-role", "admin"]) == 2
    err = capsys.readouterr().err
    assert "--assume-role: 'admin' is no role's ARN, such as arn:aws:iam::111122223333:role/NAME" in err
    assert err.count("\n") == 1
