"""Tables of several accounts and regions, one bucket of yet another, one folder of YAML: each by the role of its own account."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ddb_export.cli import main
from ddb_export.config.loader import load_tables
from ddb_export.dag_factory import build_dag
from ddb_export.operators.preflight import PreflightOperator
from ddb_export.pipeline.doctor import Doctor
from local_aws.client import Lab
from tests.airflow.airflow_runs import run_scheduled
from tests.airflow.runs import DAY, HOUR

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.filterwarnings("ignore"),  # Airflow and its libraries warn about themselves
]

EXTERNAL_ID = "the-lake"


@dataclass
class Accounts:
    """Who is who: Airflow's account has nothing but the connection, each table's has a role that trusts it."""

    lab: Lab
    aws: Any
    airflow: str
    bucket_owner: str
    tables: dict[str, tuple[str, str]]
    """Table → its account and region."""
    midnight: datetime

    def client(self, table: str, service: str) -> Any:
        account, region = self.tables[table]
        return self.aws(service, account=account, region=region)


@pytest.fixture
def accounts(airflow_database, lab, account, aws, monkeypatch):
    orders, flights, owner = (f"{random.randrange(10**11, 10**12)}" for _ in range(3))
    midnight = (datetime.now(UTC) - HOUR).replace(hour=0, minute=0, second=0, microsecond=0)
    tables = {f"orders-{orders}": (orders, "eu-west-1"), f"flights-{flights}": (flights, "us-east-1")}
    made = Accounts(lab, aws, account, owner, tables, midnight)
    for table, (number, _) in made.tables.items():
        lab.set_clock(midnight - 2 * DAY - HOUR, number)
        _make_table(made, table)
        _make_role(made, table)
        lab.set_clock(midnight - DAY - HOUR, number)
        for price in ("1.50", "0.50"):
            item = {"id": {"S": price}, "price": {"N": price}}
            made.client(table, "dynamodb").put_item(TableName=table, Item=item)
        lab.set_clock(datetime.now(UTC), number)
    extra = {
        "region_name": "us-east-1",
        "endpoint_url": lab.endpoint_url,
        "service_config": {"sts": {"endpoint_url": lab.endpoint_url}},
        "assume_role_kwargs": {"ExternalId": EXTERNAL_ID},
    }
    document = {"conn_type": "aws", "login": account, "password": "lab", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_LAB", json.dumps(document))
    yield made
    for number in (orders, flights, owner):
        lab.reset(number)


def _make_table(accounts: Accounts, table: str) -> None:
    dynamodb = accounts.client(table, "dynamodb")
    dynamodb.create_table(
        TableName=table,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.update_continuous_backups(
        TableName=table, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    accounts.client(table, "glue").create_database(DatabaseInput={"Name": "lake"})


def _make_role(accounts: Accounts, table: str) -> None:
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{accounts.airflow}:root"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": EXTERNAL_ID}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    accounts.client(table, "iam").create_role(RoleName="lake", AssumeRolePolicyDocument=policy)


@pytest.fixture
def folder(accounts: Accounts, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The tables' YAML: the folder says what they share. The bucket lets in whom the printed policies name."""
    s3 = accounts.aws("s3", account=accounts.bucket_owner)
    bucket = f"lake-{accounts.bucket_owner}"
    s3.create_bucket(Bucket=bucket)
    key = accounts.aws("kms", account=accounts.bucket_owner).create_key()["KeyMetadata"]["Arn"]
    start = f"{accounts.midnight - 2 * DAY:%Y-%m-%d}"
    shared = [
        f"bucket: {bucket}",
        f"bucket_owner: '{accounts.bucket_owner}'",
        f"kms_key: {key}",
        "prefix: lake",
        "database: lake",
        "schedule: '0 0 * * *'",
        f"start_date: {start}",
        "aws_conn_id: lab",
        "poll_interval: 1s",
        "retries: 0",
        "filter: {expression: 'price > :least', values: {':least': {N: '1'}}}",
    ]
    (tmp_path / "_defaults.yaml").write_text("\n".join([*shared, ""]))
    statements = []
    for table, (number, region) in accounts.tables.items():
        role = f"role_arn: arn:aws:iam::{number}:role/lake"
        # One of them with all services, the other with as few tasks as there can be.
        outputs = "outputs: " + ("[snapshots, changes]" if table.startswith("orders") else "[raw]")
        (tmp_path / f"{table}.yaml").write_text("\n".join([f"table: {table}", f"region: {region}", role, outputs, ""]))
        assert main(["policy", table, "--tables", str(tmp_path), "--document", "bucket"]) == 0
        # To the lab's buckets a session is its account: the account's root stands for the role.
        printed = capsys.readouterr().out.replace(f"{number}:role/lake", f"{number}:root")
        statements += json.loads(printed)["Statement"]
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": statements}))
    return tmp_path


def _hold_to_its_policy(
    accounts: Accounts, folder: Path, table: str, capsys: pytest.CaptureFixture[str]
) -> dict[str, Any]:
    """Let a table's account do what ``ddb-export policy`` prints for its role, and nothing else."""
    assert main(["policy", table, "--tables", str(folder)]) == 0
    policy: dict[str, Any] = json.loads(capsys.readouterr().out)
    accounts.lab.allow_only(accounts.tables[table][0], policy)
    with pytest.raises(ClientError, match="dynamodb:Scan"):
        accounts.client(table, "dynamodb").scan(TableName=table)
    return policy


@pytest.mark.scenario("F30")
def test_each_table_is_exported_by_the_role_of_its_own_account_under_its_printed_policy(
    accounts: Accounts, folder: Path, capsys
):
    """Two accounts, a bucket and a key of a third, roles and their policies together. The lab enforces no KMS grants, so they are looked for."""
    tables = {table.name: table for table in load_tables(folder)}
    for name, table in tables.items():
        policy = _hold_to_its_policy(accounts, folder, name, capsys)
        of_key = [each for each in policy["Statement"] if "kms:GenerateDataKey" in each["Action"]]
        assert [each["Resource"] for each in of_key] == [table.kms_key]
    accounts.lab.clear_calls()
    for name, table in tables.items():
        run = run_scheduled(build_dag(table), accounts.midnight - DAY, accounts.midnight)
        assert (run.state, run.failures) == ("success", [])
        account, region = accounts.tables[name]
        exports = accounts.lab.exports(account)
        assert [each["status"] for each in exports] == ["COMPLETED"]
        claim = json.loads(_content(accounts, table.bucket, f"lake/{name}/ledger/claims/000000000001.json"))
        assert claim["request"]["table_arn"] == f"arn:aws:dynamodb:{region}:{account}:table/{name}"
        assert claim["request"]["bucket_owner"] == accounts.bucket_owner
        assert claim["request"]["filter"] == {"expression": "price > :least", "values": {":least": {"N": "1"}}}
        assert sum(each["item_count"] for each in exports) == 1
        head = accounts.aws("s3", account=accounts.bucket_owner).head_object(
            Bucket=table.bucket, Key=exports[0]["files"][0]
        )
        assert head["SSEKMSKeyId"] == table.kms_key
    own = {call["operation"] for call in accounts.lab.calls(accounts.airflow)}
    assert own == {"AssumeRole"}, "the connection's own account must not be asked for anything else"


@pytest.mark.scenario("F30")
def test_the_doctor_looks_for_the_key_in_the_buckets_region_with_the_tables_role(accounts: Accounts, folder: Path):
    """The bucket and its key are in us-east-1, in an account of their own; one of the tables is elsewhere."""
    for table in load_tables(folder):
        operator = PreflightOperator(
            task_id="preflight",
            table=table.table,
            database="lake",
            kms_key=table.kms_key,
            bucket=table.bucket,
            bucket_owner=table.bucket_owner,
            prefix="lake",
            lake_name=table.name,
            aws_conn_id="lab",
            region_name=table.region,
            role_arn=table.role_arn,
        )
        accounts.lab.clear_calls()
        findings = {each.check: each for each in Doctor(operator.hook.client, operator.declared).examine()}
        account, region = accounts.tables[table.name]
        assert (findings["kms key"].level, f"{table.kms_key}, usable") == ("ok", findings["kms key"].found)
        assert findings["region"].level == ("ok" if region == "us-east-1" else "warn")
        assert findings["bucket"].level == "ok"
        assert {each["operation"] for each in accounts.lab.calls(account, service="kms")} == {
            "DescribeKey",
            "GenerateDataKey",
        }
        assert [each["operation"] for each in accounts.lab.calls(accounts.airflow)] == ["AssumeRole"]


def _content(accounts: Accounts, bucket: str, key: str) -> bytes:
    s3 = accounts.aws("s3", account=accounts.bucket_owner)
    return bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())


@pytest.mark.scenario("F30")
def test_a_role_that_cannot_be_assumed_is_named_with_its_remedy(accounts: Accounts, folder: Path):
    name, (account, _) = next(iter(accounts.tables.items()))
    role = f"arn:aws:iam::{account}:role/laek"
    (folder / f"{name}.yaml").write_text(f"table: {name}\nrole_arn: {role}\n")
    table = next(table for table in load_tables(folder) if table.name == name)
    run = run_scheduled(build_dag(table), accounts.midnight - DAY, accounts.midnight)
    assert run.state == "failed"
    assert run.error("plan").startswith(f"{role}: AssumeRole answered AccessDenied: ")
    assert "Remedy: let the role's trust policy name the identity of connection lab (and its ExternalId)" in run.error(
        "plan"
    )
    assert run.tries_of("plan") == 1
    assert accounts.lab.exports(account) == []


@pytest.mark.scenario("F30")
def test_the_command_line_assumes_the_role_too(accounts: Accounts, folder: Path, monkeypatch, capsys):
    """Without an external id: what needs one is a profile, which is then used as it is."""
    (orders, (account, _)), (flights, (other, _)) = accounts.tables.items()
    policy = {"Effect": "Allow", "Principal": {"AWS": accounts.airflow}, "Action": "sts:AssumeRole"}
    accounts.client(orders, "iam").update_assume_role_policy(
        RoleName="lake", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [policy]})
    )
    for name, value in {
        "AWS_ACCESS_KEY_ID": accounts.airflow,
        "AWS_SECRET_ACCESS_KEY": "lab",
        "AWS_ENDPOINT_URL": accounts.lab.endpoint_url,
    }.items():
        monkeypatch.setenv(name, value)
    assert main(["plan", orders, "--tables", str(folder), "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert planned["table_arn"] == f"arn:aws:dynamodb:eu-west-1:{account}:table/{orders}"
    assert main(["plan", flights, "--tables", str(folder)]) == 3
    said = capsys.readouterr().err
    assert f"arn:aws:iam::{other}:role/lake" in said
    assert "Remedy: let the role's trust policy name whoever runs this" in said
