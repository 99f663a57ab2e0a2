"""``ddb-export ledger rebuild`` as a person runs it who has lost a ledger."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from ddb_export.cli import main
from ddb_export.cli.ledger import EMPTY_DOCUMENT
from ddb_export.domain.export import ExportViewType
from ddb_export.domain.plan import PlanRequest, RunKind
from ddb_export.domain.window import Stretch
from ddb_export.pipeline.planning import plan_run
from tests.domain.test_summary import answers
from tests.pipeline.tables import BUCKET, LakeTable, at

OUTPUTS = ("snapshots", "changes")
URI = f"s3://{BUCKET}/tables/orders"
LEDGER = "tables/orders/ledger/"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def table(lab, account, aws, monkeypatch: pytest.MonkeyPatch) -> LakeTable:
    """A table whose base and two windows are published, and which has claimed a third window."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", account)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "lab")
    made = LakeTable(lab, account, aws)
    made.put(1, "a", n={"N": "1.5"})
    made.put(13, "b", note={"S": "x"})
    made.delete(25, "a")
    made.until(80)
    made.ledger.own(made.arn, made.now)
    made.published(12)
    made.published(12, 24)
    made.published(24, 48)
    return made


@pytest.fixture
def rebuild(lab, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command; give the exit code and both streams."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(["ledger", "rebuild", URI, "--region", "us-east-1", "--endpoint-url", lab.endpoint_url, *arguments])
        return (code, *capsys.readouterr())

    return run


def lose(table: LakeTable, *, keep: int = 0) -> list[str]:
    """Delete the ledger, but for some of its objects; return the keys that are gone."""
    keys = sorted(each.key for each in table.store.list_objects(LEDGER))[keep:]
    for key in keys:
        table.store.delete(key)
    return keys


def next_run(table: LakeTable) -> list[str]:
    """What the next scheduled run would do."""
    request = PlanRequest(
        RunKind.SCHEDULED,
        table.now,
        at(0.1) - at(0),
        Stretch(at(24), at(48)),
        ExportViewType.NEW_AND_OLD_IMAGES,
        OUTPUTS,
    )
    run = plan_run(table.dynamodb, table.ledger, "orders", request, lambda _start, _end: ())
    return [f"{each.action} {each.kind}" for each in run.plan.exports]


@pytest.mark.scenario("F12")
@pytest.mark.scenario("F41")
def test_a_lost_ledger_is_written_again_and_nothing_is_exported(table, rebuild):
    lost = answers(table.ledger.read_every_object())
    schema, exports = table.ledger.read_schema(), len(table.started())
    kept = [each.key for each in table.store.list_objects(f"{LEDGER}verified/")]
    documents = {key: json.loads(table.store.read(key).content) for key in kept}
    lose(table)
    code, out, err = rebuild("--database", "lake")
    assert (code, err, list(table.store.list_objects(LEDGER))) == (0, "", [])
    assert "would be written (--apply writes it)" in out
    assert "taken for unfiltered; name the table as it is configured" in out
    assert "claims     3, bases at 2026-03-01T12:00:00Z" in out
    code, out, _ = rebuild("--database", "lake", "--apply")
    assert code == 0
    assert "published  3" in out
    assert "next: ddb-export gaps" in out
    found = answers(table.ledger.read_every_object())
    same = [index for index in range(len(lost)) if index not in (1, 2)]
    assert [found[index] for index in same] == [lost[index] for index in same]
    assert table.ledger.read_schema().columns == schema.columns
    for key, document in documents.items():
        again = json.loads(table.store.read(key).content)
        assert {**again, "verified_at": None, "level": None} == {**document, "verified_at": None, "level": None}
    assert next_run(table) == []
    assert len(table.started()) == exports
    table.until(100)
    table.ledger.summarise(table.ledger.read(OUTPUTS), OUTPUTS)
    assert table.published(48, 72).schema_version == 1


def test_without_the_database_the_next_run_publishes(table, rebuild):
    lose(table)
    assert rebuild("--apply", "--level", "bytes")[0] == 0
    assert next_run(table) == ["publish base", "publish window", "publish window"]


def test_converted_files_that_are_gone_are_published_again(table, rebuild):
    lose(table)
    (key, *_) = [
        each.key for each in table.store.list_objects("tables/orders/changes/") if each.key.endswith(".parquet")
    ]
    table.store.delete(key)
    assert rebuild("--apply", "--database", "lake")[0] == 0
    assert next_run(table) == ["publish window"]


@pytest.mark.parametrize("keep", [1, 3, 5])
def test_a_rebuild_that_was_interrupted_goes_on(table, rebuild, keep):
    lose(table)
    rebuild("--apply", "--database", "lake")
    lose(table, keep=keep)
    assert rebuild("--apply", "--database", "lake")[0] == 0
    assert next_run(table) == []
    assert table.ledger.read_every_object().head == at(48)


def test_a_sound_ledger_is_left_as_it_is(table, rebuild):
    before = {each.key: each.etag for each in table.store.list_objects(LEDGER)}
    code, _, err = rebuild("--apply")
    assert code == 2
    assert "it is not empty: claim 1" in err
    assert {each.key: each.etag for each in table.store.list_objects(LEDGER)} == before


@pytest.mark.scenario("F16")
def test_a_damaged_export_is_left_unverified_and_named(table, rebuild, lab, account):
    folder = "tables/orders/raw/20260302T0000Z-20260303T0000Z-a1"
    (key,) = [each.key for each in table.store.list_objects(f"{folder}/") if each.key.endswith("manifest-files.json")]
    table.store.put(key, b'{"itemCount": 7}\n')
    lose(table)
    code, out, err = rebuild("--apply", "--database", "lake", "--json")
    document: dict[str, Any] = json.loads(out)
    assert (code, set(document), document["ok"]) == (1, set(EMPTY_DOCUMENT), False)
    assert [each["file"] for each in document["errors"]] == ["20260302T0000Z-20260303T0000Z-a1"]
    assert table.ledger.read_every_object().head == at(24)
    assert "export it again" in err


def test_what_is_not_ours_and_exports_that_never_ended_are_said(table, rebuild, lab, account):
    table.store.put("tables/orders/raw/notes.txt", b"hello")
    table.store.put(
        "tables/orders/raw/20260303T0000Z-20260304T0000Z-a1/AWSDynamoDB/01772499600021-c33c6b15/_started", b""
    )
    lose(table)
    code, out, _ = rebuild("--apply", "--database", "lake")
    assert code == 0
    assert "not ours   raw/notes.txt" in out
    assert "claims     4" in out
    assert "1 attempt without a manifest that holds" in out
    chain = table.ledger.read(OUTPUTS)
    unverified = [claim.export for claim in chain.pending_claims if claim.subject not in chain.verified_subjects]
    assert unverified == ["20260303T0000Z-20260304T0000Z-a1"]


def test_nothing_to_rebuild_from(lab, rebuild, account, aws, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", account)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "lab")
    aws("s3").create_bucket(Bucket=BUCKET)
    code, _, err = rebuild()
    assert code == 3
    assert "its exports are of 0 tables. Remedy: begin again" in err


@pytest.mark.parametrize("content", [b"{}", b"[]", b"no json", b'{"export_arn": 1, "files": 7}'])
def test_a_live_file_of_another_form_is_passed_over(table, rebuild, content):
    lose(table)
    (key, *_) = [
        each.key for each in table.store.list_objects("tables/orders/changes/") if each.key.endswith("_live.json")
    ]
    table.store.put(key, content)
    assert rebuild("--apply", "--database", "lake")[0] == 0
    assert next_run(table) == ["publish window"]


def test_columns_that_someone_began_meanwhile_stop_it_before_anything_is_claimed(table, rebuild):
    lose(table)
    table.store.put(f"{LEDGER}schema/000001.json", b'{"version": 1, "columns": []}')
    code, _, err = rebuild("--apply", "--database", "lake")
    assert code == 2
    assert "does not have the columns that the converted files have" in err
    assert not list(table.store.list_objects(f"{LEDGER}claims/"))
