"""``ddb-export lifecycle`` as a person runs it: what goes, what stays, and what everything else says afterwards."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import zip_longest
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from ddb_export.aws.object_lifecycle import ObjectLifecycle
from ddb_export.cli import main
from ddb_export.cli.lifecycle import EMPTY_DOCUMENT
from ddb_export.domain.policy import Variant
from ddb_export.domain.retention import TIER_TAG, Fate, Retention
from ddb_export.domain.wider_columns import Wish
from ddb_export.exceptions import PermissionDeniedError, VerificationError
from ddb_export.pipeline.raw_tables import RawTables
from ddb_export.pipeline.retention import RawRetention
from ddb_export.pipeline.widening import TableWidening
from local_aws.client import Lab
from tests.cli.policies import policy_of
from tests.pipeline.tables import BUCKET, LakeTable

FIRST, SECOND = "20260301T1200Z-20260302T0000Z-a1", "20260302T0000Z-20260303T0000Z-a1"
AGAIN = "20260302T0000Z-20260303T0000Z-a2"
ROOT = "tables/orders"
FILTER = {"expression": "n > :n", "values": {":n": {"N": "1"}}}
KEEP = "retention: {raw: {keep: 30d}}"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def made(lab: Lab, boto3_session: boto3.Session) -> Iterator[tuple[LakeTable, dict[str, bytes]]]:
    """A base and two windows, all published forty days ago, one of them exported again at once; a third window is younger.

    Made once, because exports take time: each test gets the bucket as it was.
    """
    account = f"{random.randrange(10**11, 10**12)}"

    def client(service: str) -> Any:
        config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
        named: Any = service
        return boto3_session.client(
            named,
            endpoint_url=lab.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=account,
            aws_secret_access_key="lab",
            config=config,
        )

    table = LakeTable(lab, account, client)
    table.put(1, "a", n={"N": "1"})
    table.put(13, "b", n={"N": "2.25"})
    table.put(25, "c", n={"N": "3"})
    table.until(80)
    table.ledger.own(table.arn, table.now)
    table.published(12)
    table.published(12, 24)
    table.published(24, 48)
    (again,) = table.ledger.claim([replace(table.wanted(24, 48), attempt=2)], table.table_id, table.now)
    entry = table.work.verify(again, table.export(again), None, table.now)
    table.publish(entry, table.converted(entry))
    table.until(80 + 20 * 24)
    table.published(48, 72)
    table.until(80 + 40 * 24)
    yield table, {key: table.store.read(key).content for key in stored(table)}
    lab.reset(account)


@pytest.fixture
def account(made: tuple[LakeTable, dict[str, bytes]]) -> str:
    """The account of the table."""
    return made[0].account


@pytest.fixture
def table(made: tuple[LakeTable, dict[str, bytes]], lab: Lab, monkeypatch: pytest.MonkeyPatch) -> LakeTable:
    """The table, as it was made."""
    found, objects = made
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", found.account)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "lab")
    lab.allow_only(found.account)
    restore(found, objects)
    found.aws("s3").delete_bucket_lifecycle(Bucket=BUCKET)
    return found


def restore(table: LakeTable, objects: dict[str, bytes]) -> None:
    for key in stored(table):
        table.store.delete(key)
    for key, content in objects.items():
        table.store.put(key, content)


@pytest.fixture
def command(lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command on the configured table; give the exit code and both streams."""

    def run(name: str, *arguments: str, more: str = KEEP, table: str = "table: orders") -> tuple[int, str, str]:
        region = "" if "region:" in table else "region: us-east-1\n"
        lines = f"{table}\nbucket: {BUCKET}\nprefix: tables\ndatabase: lake\n{region}"
        (tmp_path / "orders.yaml").write_text(f"{lines}schedule: '@daily'\nstart_date: 2026-01-01\n{more}\n")
        code = main(
            [*name.split(), "orders", "--tables", str(tmp_path), "--endpoint-url", lab.endpoint_url, *arguments]
        )
        return (code, *capsys.readouterr())

    return run


def stored(table: LakeTable, folder: str = "") -> dict[str, str | None]:
    return {each.key: each.etag for each in table.store.list_objects(f"{ROOT}/{folder}")}


def data_files(table: LakeTable, export: str) -> set[str]:
    return {key for key in stored(table, f"raw/{export}/") if "/data/" in key}


def fates(out: str) -> dict[str, tuple[str, str]]:
    return {each["export"]: (each["fate"], each["reason"]) for each in json.loads(out)["exports"]}


@pytest.mark.scenario("F40")
def test_a_plan_changes_nothing_and_what_it_says_is_done(table, command, lab, account):
    before, rows = stored(table), table.query("SELECT pk, n FROM orders_changes ORDER BY pk")
    code, out, err = command("lifecycle")
    assert (code, err, stored(table)) == (0, "", before)
    assert out.startswith("orders: 3 raw exports to delete, ")
    assert "nothing is done yet (--apply does it)" in out
    assert f"  delete     {FIRST}: " in out
    assert f"{AGAIN} took its place and is published\n" in out
    assert "  stays      full-20260301T1200Z-a1: it is the base of the live chain\n" in out
    assert "verified less than 30 days ago" in out
    assert "  lost       without data files" in out
    going = data_files(table, FIRST) | data_files(table, SECOND) | data_files(table, AGAIN)
    assert going
    lab.clear_calls(account)
    code, out, err = command("lifecycle", "--apply")
    assert (code, err) == (0, "")
    after = stored(table)
    assert before.keys() - after.keys() == going
    assert all(after[key] == etag for key, etag in before.items() if key in after)
    added = {key.removeprefix(f"{ROOT}/") for key in after.keys() - before.keys()}
    assert added == {
        f"{folder}{export}{end}"
        for export in (FIRST, SECOND, AGAIN)
        for folder, end in (
            ("ledger/retention/removing/", ".json"),
            ("ledger/retention/removed/", ".json"),
            ("raw/", "/_raw_removed.json"),
        )
    }
    calls = lab.calls(account)
    assert {call["service"] for call in calls} == {"s3"}, "the table is never touched"
    said = [n for n, call in enumerate(calls) if "retention/removing/" in call["parameters"].get("Key", "")]
    deleted = [n for n, call in enumerate(calls) if call["operation"] == "DeleteObjects"]
    assert min(said) < min(deleted)
    assert table.query("SELECT pk, n FROM orders_changes ORDER BY pk") == rows
    code, out, _ = command("lifecycle", "--apply")
    assert code == 0
    assert out.startswith("orders: 0 raw exports to delete, ")
    assert "  gone       3 exports, " in out


def test_everything_else_knows_what_was_removed(table, command, lab, capsys):
    entry = table.ledger.verified_entry(FIRST)
    command("lifecycle", "--apply")
    code, out, _ = command("gaps")
    assert code == 0
    assert f"  no raw     3 exports, {FIRST} to {AGAIN}: removed by retention" in out
    with pytest.raises(VerificationError, match=r"removed by retention on 2026-.*Remedy: nothing, if") as caught:
        table.converted(entry)
    assert "\n" not in str(caught.value)
    code, out, err = command("widen")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "removed by retention on 2026-" in err
    assert "leave the columns as they are" in err
    uri = f"s3://{BUCKET}/{ROOT}/raw/{FIRST}"
    assert main(["verify", uri, "--region", "us-east-1", "--endpoint-url", lab.endpoint_url]) == 1
    assert "its raw data was removed by retention on" in capsys.readouterr().err
    # An output that is asked for later is made of what is left, and no run fails for the rest.
    chain = table.ledger.read(("snapshots", "changes", "raw"))
    assert chain.is_published(entry, "raw")
    assert not chain.is_published(table.ledger.verified_entry("20260303T0000Z-20260304T0000Z-a1"), "raw")


def test_a_lost_ledger_is_written_again_without_the_data_files(table, command):
    command("lifecycle", "--apply")
    for key in stored(table, "ledger/"):
        table.store.delete(key)
    code, out, err = command("ledger rebuild", "--apply")
    assert (code, err) == (0, "")
    assert "  verified   5; 0 attempts" in out
    assert "  published  4" in out
    assert "no raw     3 exports" in command("gaps")[1]
    key = next(key for key in stored(table, "changes/") if f"{FIRST[:-3]}/" in key and key.endswith(".parquet"))
    for lost in (key, *stored(table, "ledger/")):
        table.store.delete(lost)
    code, out, err = command("ledger rebuild", "--apply")
    assert code == 1
    assert "removed by retention on" in err
    assert "its converted files are not whole" in err


@pytest.mark.parametrize("fault", ["unsent", "forbidden"])
def test_what_was_interrupted_goes_on(table, command, lab, account, fault):
    if fault == "unsent":
        lab.add_fault(
            "error", account=account, service="s3", operation="DeleteObjects", code="AccessDenied", http_status=403
        )
    else:
        lab.deny(account, f"s3:DeleteObject arn:aws:s3:::{BUCKET}/{ROOT}/raw/{FIRST}/*")
    code, out, err = command("lifecycle", "--apply")
    lab.deny(account)
    assert code == 1
    assert "FAILED, --apply goes on" in out
    assert "DeleteObjects answered AccessDenied" in err
    assert (data_files(table, FIRST) != set(), data_files(table, SECOND)) == (True, set())
    # Even when it is configured otherwise by now: the ledger says that nobody relies on these files any more.
    code, out, _ = command("lifecycle", more="")
    assert f"  delete     {FIRST}: " in out
    assert "its removal began on" in out
    assert command("lifecycle", "--apply", more="")[0] == 0
    assert data_files(table, FIRST) == set()


def damage_published(table: LakeTable) -> None:
    table.store.delete(next(key for key in stored(table, "changes/") if FIRST[:-3] in key and key.endswith(".parquet")))


def forget_publication(table: LakeTable) -> None:
    for key in stored(table, f"ledger/published/changes/{FIRST}/"):
        table.store.delete(key)


def claim_again(table: LakeTable) -> None:
    table.ledger.claim([replace(table.wanted(12, 24), attempt=2)], table.table_id, table.now)


def show_raw(table: LakeTable) -> None:
    entry = table.ledger.read_every_object().verified[FIRST]
    RawTables(table.ledger, table.store).publish(entry, table.glue, "lake", table.now)


def begin_widening(table: LakeTable) -> None:
    widening = TableWidening(table.work, table.glue)
    widening._records.begin(widening.plan(Wish(), table.now).widening)


def change(table: LakeTable, key: str, **values: Any) -> None:
    table.store.put(key, json.dumps({**json.loads(table.store.read(key).content), **values}).encode())


def redact(table: LakeTable) -> None:
    (live,) = [key for key in stored(table, "changes/") if FIRST[:-3] in key and key.endswith("_live.json")]
    change(table, live, converter_version="2+contract=0123456789abcdef")
    for key in stored(table, f"ledger/published/changes/{FIRST}/"):
        change(table, key, redaction=None)


def quarantine(table: LakeTable) -> None:
    for key in stored(table, f"ledger/published/changes/{FIRST}/"):
        change(table, key, quarantined=1)


def damage_again(table: LakeTable) -> None:
    folder = table.ledger.published_entry("changes", AGAIN).generation
    table.store.delete(next(key for key in stored(table, "changes/") if folder in key and key.endswith(".parquet")))


def quarantine_again(table: LakeTable) -> None:
    for key in stored(table, f"ledger/published/changes/{AGAIN}/"):
        change(table, key, quarantined=1)


def claim_of(table: LakeTable, export: str) -> str:
    return f"{ROOT}/ledger/claims/{table.ledger.claim_of(export).sequence:012d}.json"


def other_view(table: LakeTable) -> None:
    key = claim_of(table, AGAIN)
    request = json.loads(table.store.read(key).content)["request"]
    change(table, key, request={**request, "view": "NEW_IMAGE"})


def other_filter(table: LakeTable) -> None:
    key = claim_of(table, AGAIN)
    request = json.loads(table.store.read(key).content)["request"]
    change(table, key, request={**request, "filter": FILTER})


NEEDS_OF_THE_FIRST_ATTEMPT = {
    damage_again: f"{AGAIN} took its place, and published files below",
    quarantine_again: f"{AGAIN} took its place, and 1 line of it is in quarantine",
    other_view: f"{AGAIN}, which took its place, has another view or filter: raw alone has the rest",
    other_filter: f"{AGAIN}, which took its place, has another view or filter: raw alone has the rest",
}

NEEDS = {
    damage_published: "are missing, or do not hold every record",
    forget_publication: f"changes of {FIRST} is not published",
    claim_again: "attempt 2 is claimed and not verified yet",
    show_raw: "the raw table shows these very files",
    begin_widening: "widening 1 is under way and reads raw files",
    redact: "a contract dropped or hashed values",
    quarantine: "1 line of it is in quarantine",
}


@pytest.mark.scenario("F40")
def test_what_is_needed_stays_and_the_reason_is_named(table, command):
    sound = {key: table.store.read(key).content for key in stored(table)}
    for of_first, of_second in zip_longest(NEEDS.items(), NEEDS_OF_THE_FIRST_ATTEMPT.items()):
        needs = [(FIRST, *of_first), *([(SECOND, *of_second)] if of_second else [])]
        for _, need, _ in needs:
            need(table)
        code, out, _ = command("lifecycle", "--apply", "--json", more=KEEP)
        assert (code, set(json.loads(out))) == (0, set(EMPTY_DOCUMENT))
        for export, _, reason in needs:
            fate, found = fates(out)[export]
            assert (fate, reason in found) == ("stay", True), found
            assert data_files(table, export) == {key for key in sound if f"raw/{export}/" in key and "/data/" in key}
        restore(table, sound)
    assert fates(command("lifecycle", "--json")[1])[FIRST][0] == "delete"


def test_nothing_is_done_unasked_and_folders_of_others_are_left_alone(table, command):
    table.store.put(f"{ROOT}/raw/mine/notes.txt", b"x")
    table.store.put(f"{ROOT}/raw/{FIRST}/AWSDynamoDB/data/extra.json.gz", b"x")
    code, out, _ = command("lifecycle", "--apply", more="")
    assert code == 0
    assert "nothing to do" in out.splitlines()[0] or "done" in out.splitlines()[0]
    assert "5 exports, 20260301T1200Z" in out
    assert "retention.raw.keep is not set: it is kept for good" in out
    assert "  untouched  raw/mine: no claim of the ledger names it" in out
    assert command("lifecycle", "--apply")[0] == 0
    assert data_files(table, FIRST) == {f"{ROOT}/raw/{FIRST}/AWSDynamoDB/data/extra.json.gz"}
    assert f"{ROOT}/raw/mine/notes.txt" in stored(table, "raw/")


def test_tiering_by_tags_and_a_rule_among_those_of_others(table, command):
    s3 = table.aws("s3")
    theirs = {"ID": "theirs", "Status": "Disabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 1}}
    old = {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 9}}
    s3.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration={"Rules": [theirs, old]})
    tagged = min(data_files(table, FIRST))
    s3.put_object_tagging(Bucket=BUCKET, Key=tagged, Tagging={"TagSet": [{"Key": "mine", "Value": "1"}]})
    more = "retention: {raw: {tier: {after: 30d, storage_class: GLACIER_IR}}, object_tags: {team: shop}}"
    code, out, _ = command("lifecycle", more=more)
    assert (code, out.splitlines()[0].startswith("orders: 0 raw exports to delete")) == (0, True)
    assert "; 4 to tier, " in out
    assert f"  tag        5 exports: {TIER_TAG}=GLACIER_IR, team=shop" in out
    assert '"Prefix": "tables/orders/raw/"' in out
    assert command("lifecycle", "--apply", "--apply-rules", more=more)[0] == 0
    tags = {each["Key"]: each["Value"] for each in s3.get_object_tagging(Bucket=BUCKET, Key=tagged)["TagSet"]}
    assert tags == {"mine": "1", "team": "shop", TIER_TAG: "GLACIER_IR"}
    rules = s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    assert [rule["ID"] for rule in rules] == ["theirs", "old", "ddb_export raw tables/orders"]
    assert rules[:2] == [theirs, old]
    assert rules[2]["Filter"]["And"]["Tags"] == [{"Key": TIER_TAG, "Value": "GLACIER_IR"}]
    code, out, _ = command("lifecycle", "--apply", "--apply-rules", more=more)
    assert code == 0
    assert "  rule       as it should be; all other rules of the bucket stay" in out
    assert "  tag " not in out
    assert command("lifecycle", "--apply-rules", more="")[0] == 0
    assert [rule["ID"] for rule in s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]] == ["theirs", "old"]


def test_archived_files_are_no_missing_permission(table):
    for key in data_files(table, FIRST):
        source = {"Bucket": BUCKET, "Key": key}
        table.aws("s3").copy_object(Bucket=BUCKET, Key=key, CopySource=source, StorageClass="DEEP_ARCHIVE")
    with pytest.raises(
        VerificationError, match=r"archived: .*InvalidObjectState.*Remedy: restore all objects below s3://"
    ):
        table.converted(table.ledger.verified_entry(FIRST))


def test_a_widening_that_begins_meanwhile_and_a_removal_see_each_other(table):
    lifecycle = ObjectLifecycle(table.aws("s3"), BUCKET)
    widening = TableWidening(table.work, table.glue)
    plan = widening.plan(Wish(), table.now)
    assert plan.entries
    retention = RawRetention(table.ledger, lifecycle, Retention(timedelta(days=30)), ("snapshots", "changes"))
    going = retention.plan()
    retention.apply(going)
    with pytest.raises(VerificationError, match="removed by retention"):
        widening.run(plan, lambda: table.now)
    assert widening.under_way() is None


def test_what_happens_after_the_plan_keeps_the_files(table):
    sound = {key: table.store.read(key).content for key in stored(table)}
    lifecycle = ObjectLifecycle(table.aws("s3"), BUCKET)
    retention = RawRetention(table.ledger, lifecycle, Retention(timedelta(days=30)), ("snapshots", "changes"))
    for export, happens in (
        (FIRST, begin_widening),
        (FIRST, claim_again),
        (FIRST, forget_publication),
        (SECOND, damage_again),
    ):
        plan = retention.plan()
        only = replace(plan, verdicts=tuple(each for each in plan.of(Fate.DELETE) if each.export == export))
        happens(table)
        after = stored(table)
        done = retention.apply(only)
        assert {**NEEDS, **NEEDS_OF_THE_FIRST_ATTEMPT}[happens] in done.failed[export].cause
        assert "plan again" in done.failed[export].remedy
        assert stored(table) == after
        restore(table, sound)


def test_the_ledger_of_another_table_is_refused(table, command):
    before = stored(table)
    for name, arguments in (("lifecycle", ("--apply",)), ("prune", ("--delete", "--hours", "0"))):
        for other, words in (
            ("table: arn:aws:dynamodb:us-east-1:999988887777:table/orders", "999988887777"),
            ("table: orders2\nname: orders", "table/orders2"),
            ("table: orders\nregion: eu-west-1", "dynamodb:eu-west-1:"),
        ):
            code, out, err = command(name, *arguments, table=other)
            assert (code, out, err.count("\n")) == (3, "", 1)
            assert f"it belongs to {table.arn}, not to arn:" in err
            assert words in err
        assert command(name, table=f"table: {table.arn}\nname: orders")[0] == 0
    assert stored(table) == before


def test_prune_asks_s3_what_time_it_is(table, command):
    found = json.loads(command("prune", "--json", "--hours", "24")[1])["generations"]
    assert [each["export"] for each in found] == [SECOND]
    # The lab's bucket is months behind this machine's clock.
    ahead = json.loads(command("prune", "--json", "--hours", str(24 * 90))[1])["generations"]
    assert ahead == []


def test_the_lifecycle_policy_is_enough_and_nothing_in_it_is_spare(table, command, lab, account):
    tier = "retention: {raw: {tier: {after: 1d, storage_class: GLACIER_IR}}}"
    for option, more, actions in (
        ("--apply", tier, ("s3:GetObjectTagging", "s3:PutObjectTagging")),
        ("--apply-rules", tier, ("s3:GetLifecycleConfiguration", "s3:PutLifecycleConfiguration")),
        ("--apply", KEEP, ("s3:DeleteObject",)),
    ):
        for action in actions:
            lab.allow_only(account, policy_of(account, Variant.LIFECYCLE, action))
            code, out, err = command("lifecycle", option, more=more)
            assert (code in (1, 3), "AccessDenied" in err) == (True, True), (action, out)
        lab.allow_only(account, policy_of(account, Variant.LIFECYCLE))
        assert command("lifecycle", option, more=more)[0] == 0
    assert data_files(table, FIRST) == set()
    with pytest.raises(PermissionDeniedError):
        table.store.delete(f"{ROOT}/ledger/owner.json")
