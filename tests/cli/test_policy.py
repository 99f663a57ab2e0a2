"""``ddb-export policy`` as a person runs it, on a folder of YAML, without AWS."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ddb_export.aws.clients import make_client
from ddb_export.cli import main
from ddb_export.cli.policy import EMPTY_DOCUMENT

ROLE = "arn:aws:iam::111122223333:role/lake"
YAML = "table: orders\nbucket: my-lake\nprefix: dynamodb\ndatabase: lake\nschedule: '@daily'\nstart_date: 2026-01-31\n"


def policy(folder: Path, yaml: str, *arguments: str) -> int:
    (folder / "orders.yaml").write_text(yaml)
    return main(["policy", "orders", "--tables", str(folder), *arguments])


def test_the_role_policy_can_be_pasted(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert policy(tmp_path, YAML, "--region", "eu-west-1", "--role-arn", ROLE) == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert set(document) == {"Version", "Statement"}
    assert "arn:aws:dynamodb:eu-west-1:111122223333:table/orders" in out
    assert err.startswith("ddb-export: note: a KMS key")


def test_an_arn_says_account_and_region_and_json_has_reasons(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    arn = "arn:aws-cn:dynamodb:cn-north-1:111122223333:table/orders"
    assert policy(tmp_path, YAML.replace("table: orders", f"table: {arn}"), "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert set(document) == set(EMPTY_DOCUMENT)
    assert (document["ok"], document["bucket_policy"], document["key_policy"]) == (True, None, None)
    assert "arn:aws-cn:s3:::my-lake" in json.dumps(document["role_policy"])
    assert all(each["reason"] and each["source"] for each in document["grants"])


def test_what_the_yaml_asks_for_is_granted(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    more = "outputs: [raw, changes]\nviews: true\nglue: {partition_index: true}\nathena: {workgroup: team, output_location: s3://results/q/}\n"
    assert policy(tmp_path, YAML + more, "--region", "eu-west-1", "--role-arn", ROLE, "--json") == 0
    found: dict[str, Any] = {each["sid"]: each for each in json.loads(capsys.readouterr().out)["grants"]}
    tables = [arn.rpartition("/")[2] for arn in found["PublishTables"]["resources"] if ":table/" in arn]
    assert tables == ["orders_changes", "orders_raw_snapshots", "orders_raw_changes"]
    assert "glue:CreatePartitionIndex" in found["PublishTables"]["actions"]
    assert any(arn.endswith("/orders_latest") for arn in found["KeepViews"]["resources"])
    assert found["KeepResults"]["resources"] == ["arn:aws:s3:::results/q/*"]
    assert "s3:ListBucket" in found["FindResults"]["actions"]
    assert found["AskAthena"]["resources"][0].endswith(":workgroup/team")


@pytest.mark.scenario("F30")
def test_bucket_and_key_of_another_account_get_their_policies(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    key = "kms_key: arn:aws:kms:eu-west-1:999988887777:key/1234abcd\n"
    yaml = f"{YAML}bucket_owner: '999988887777'\nregion: eu-west-1\n{key}"
    for which in ("bucket", "key"):
        assert policy(tmp_path, yaml, "--role-arn", ROLE, "--document", which) == 0
        document = json.loads(capsys.readouterr().out)
        assert {each["Principal"]["AWS"] for each in document["Statement"]} == {ROLE}
    assert policy(tmp_path, yaml) == 2
    assert "--role-arn" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "arguments", "says"),
    [
        ("", ["--region", "eu-west-1"], "its account is not known"),
        ("", ["--role-arn", ROLE], "names its region"),
        (
            "",
            ["--role-arn", "arn:aws:sts::111122223333:assumed-role/lake/me", "--region", "eu-west-1"],
            "no role's ARN",
        ),
        ("", ["--role-arn", ROLE, "--region", "eu-west-1", "--document", "bucket"], "needs no policy of a bucket"),
        ("", ["--role-arn", ROLE, "--region", "eu-west-1", "--document", "key"], "needs no policy of a key"),
    ],
)
def test_what_is_missing_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: str, arguments: list[str], says: str
):
    assert policy(tmp_path, YAML + more, *arguments) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert says in err
    assert "Remedy: " in err


def three(folder: Path, *more: str) -> list[str]:
    """Declare three tables, each with keys of its own; return their names."""
    names = ["orders", "flights", "crews"]
    for name, keys in zip(names, more, strict=True):
        lines = YAML.replace("table: orders", f"table: {name}")
        kept = lines.replace("bucket: my-lake\n", "") if keys.startswith("bucket: ") else lines
        (folder / f"{name}.yaml").write_text(kept + keys)
    return names


def run_policy(folder: Path, *arguments: str) -> int:
    return main(["policy", *arguments, "--tables", str(folder)])


@pytest.mark.parametrize("where", ["AWS_DEFAULT_REGION", "AWS_CONFIG_FILE"])
def test_the_region_is_that_of_the_other_commands_clients(
    where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    configuration = tmp_path / "aws"
    configuration.write_text("[default]\nregion = eu-north-1\n")
    monkeypatch.setenv(where, "eu-north-1" if where == "AWS_DEFAULT_REGION" else str(configuration))
    assert make_client("s3").meta.region_name == "eu-north-1"
    assert policy(tmp_path, YAML, "--role-arn", ROLE) == 0
    out, err = capsys.readouterr()
    assert "arn:aws:dynamodb:eu-north-1:111122223333:table/orders" in out
    assert "orders: eu-north-1 is this machine's region" in err
    assert policy(tmp_path, YAML + "region: eu-west-1\n", "--role-arn", ROLE) == 0
    out, err = capsys.readouterr()
    assert "eu-north-1" not in out + err


def test_tables_of_a_role_share_a_policy(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    names = three(tmp_path, "region: eu-west-1\n", "region: us-east-1\n", "region: us-east-1\nviews: true\n")
    alone = []
    for name in names:
        assert run_policy(tmp_path, name, "--role-arn", ROLE, "--json") == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["table"], found["tables"]) == (name, [name])
        alone += pairs(found)
    assert run_policy(tmp_path, *names, "orders", "--role-arn", ROLE, "--json") == 0
    together = json.loads(capsys.readouterr().out)
    assert (together["table"], together["tables"]) == (None, names)
    assert set(pairs(together)) == set(alone)
    assert not any("characters" in note for note in together["notes"])


def pairs(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (action, resource)
        for statement in document["role_policy"]["Statement"]
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
        for resource in ([statement["Resource"]] if isinstance(statement["Resource"], str) else statement["Resource"])
    ]


def test_a_policy_that_iam_would_not_take_is_said_with_how_many_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    names = [f"orders_of_the_year_{each}" for each in range(2000, 2020)]
    lines = "bucket: my-lake\nprefix: dynamodb\ndatabase: lake\nregion: eu-west-1\nschedule: '@daily'\nstart_date: 2026-01-31\n"
    (tmp_path / "all.yaml").write_text(f"defaults: {{}}\ntables: {json.dumps([{'table': name} for name in names])}\n")
    (tmp_path / "_defaults.yaml").write_text(lines)
    assert run_policy(tmp_path, *names, "--role-arn", ROLE) == 0
    found = re.search(r"make one managed policy for each (\d+) of these 20 tables", capsys.readouterr().err)
    assert found
    assert run_policy(tmp_path, *names[: int(found[1])], "--role-arn", ROLE) == 0
    out, err = capsys.readouterr()
    assert len(re.sub(r"\s", "", out)) <= 6_144
    assert "characters" not in err


@pytest.mark.parametrize(
    ("more", "arguments", "says"),
    [
        (
            ("", f"role_arn: {ROLE}\n", ""),
            ["--region", "eu-west-1"],
            f"they have different roles (none in their YAML, {ROLE})",
        ),
        (("bucket_owner: '999988887777'\n", "", "bucket: other\n"), ["--document", "key"], "needs no policy of a key"),
        (
            ("bucket_owner: '999988887777'\n", "", "bucket: other\nbucket_owner: '999988887777'\n"),
            ["--document", "bucket"],
            "the tables have several: my-lake, other",
        ),
        (("kms_key: alias/a\n", "", "kms_key: alias/b\n"), ["--document", "key"], "several: alias/a, alias/b"),
    ],
)
def test_tables_that_share_no_policy_are_said_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], arguments: list[str], says: str
):
    role = [] if "different roles" in says else ["--role-arn", ROLE, "--region", "eu-west-1"]
    names = three(tmp_path, *more)
    assert run_policy(tmp_path, *names, *role, *arguments) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert says in err


def test_tables_of_two_accounts_have_no_role_in_common(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for name, account in (("orders", "111122223333"), ("flights", "444455556666")):
        arn = f"arn:aws:dynamodb:eu-west-1:{account}:table/{name}"
        (tmp_path / f"{name}.yaml").write_text(YAML.replace("table: orders", f"table: {arn}"))
    assert run_policy(tmp_path, "orders", "flights", "--json") == 2
    assert "accounts 111122223333 and 444455556666" in json.loads(capsys.readouterr().out)["errors"][0]["cause"]


def test_a_role_elsewhere_and_a_uri_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    arn = "arn:aws:dynamodb:eu-west-1:444455556666:table/orders"
    assert policy(tmp_path, YAML.replace("table: orders", f"table: {arn}"), "--role-arn", ROLE) == 2
    assert "exports no table of another account" in capsys.readouterr().err
    assert main(["policy", "s3://my-lake/dynamodb/orders", "--region", "eu-west-1"]) == 2
    assert "give a configured name" in capsys.readouterr().err


def test_the_page_for_a_first_table_has_what_the_command_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert policy(tmp_path, YAML, "--region", "eu-west-1", "--role-arn", ROLE, "--json") == 0
    page = (Path(__file__).parents[2] / "docs" / "first-real-table.md").read_text()
    rows = [line for line in page.splitlines() if re.match(r"\| `[A-Z]", line)]
    granted = json.loads(capsys.readouterr().out)["grants"]
    assert rows == [
        f"| `{each['sid']}` | {', '.join(f'`{action}`' for action in each['actions'])} | {each['reason']} |"
        for each in granted
    ]
