"""Roles: who may assume one, and whose account its session belongs to."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from botocore.exceptions import ClientError

ANSWER: dict[str, Any] = {"RoleSessionName": "test"}


@pytest.fixture
def role(lab, account, aws):
    """A role in another account that trusts the test's account with an external id."""
    theirs = f"{random.randrange(10**11, 10**12)}"
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": [f"arn:aws:iam::{account}:root"]},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": "secret"}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    yield aws("iam", account=theirs).create_role(RoleName="lake", AssumeRolePolicyDocument=policy)["Role"]["Arn"]
    lab.reset(theirs)


def test_a_session_belongs_to_the_roles_account(aws, role):
    given = aws("sts").assume_role(RoleArn=role, ExternalId="secret", **ANSWER)["Credentials"]
    session = {"aws_access_key_id": given["AccessKeyId"], "aws_secret_access_key": given["SecretAccessKey"]}
    identity = aws("sts", **session, aws_session_token=given["SessionToken"]).get_caller_identity()
    assert identity["Account"] == role.split(":")[4]


def test_who_is_not_trusted_is_refused_as_if_there_were_no_role(aws, role):
    for arn, options in ((role, {}), (role, {"ExternalId": "other"}), (role + "s", {"ExternalId": "secret"})):
        with pytest.raises(ClientError) as caught:
            aws("sts").assume_role(RoleArn=arn, **options, **ANSWER)
        assert caught.value.response["Error"]["Code"] == "AccessDenied"
    with pytest.raises(ClientError):
        aws("sts", account="999988887777").assume_role(RoleArn=role, ExternalId="secret", **ANSWER)
