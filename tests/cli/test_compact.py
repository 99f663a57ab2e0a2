"""``ddb-export compact`` as a person runs it whose partitions consist of many small files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ddb_export.cli import main
from ddb_export.cli.compact import EMPTY_DOCUMENT
from tests.pipeline.tables import BUCKET, LakeTable

URI = f"s3://{BUCKET}/tables/orders"
WINDOW = "changes/dt=2026-03-01/export_window=20260301T1200Z-20260302T0000Z"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def table(lab, account, aws, monkeypatch: pytest.MonkeyPatch) -> LakeTable:
    """A base and a window of several data files each."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", account)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "lab")
    made = LakeTable(lab, account, aws)
    for number in range(12):
        made.put(1 + number / 100, f"a{number}", price={"N": "1"})
    for number in range(12):
        made.put(13 + number / 100, f"a{number}", price={"N": "2.25"})
    made.until(60)
    made.ledger.own(made.arn, made.now)
    made.published(12)
    made.published(12, 24)
    return made


@pytest.fixture
def command(lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command on the configured table; give the exit code and both streams."""

    def run(*arguments: str, name: str = "orders", more: str = "") -> tuple[int, str, str]:
        lines = f"table: orders\nbucket: {BUCKET}\nprefix: tables\ndatabase: lake\nregion: us-east-1\n"
        (tmp_path / "orders.yaml").write_text(f"{lines}schedule: '@daily'\nstart_date: 2026-01-01\n{more}\n")
        code = main(["compact", name, "--tables", str(tmp_path), "--endpoint-url", lab.endpoint_url, *arguments])
        return (code, *capsys.readouterr())

    return run


def test_from_the_plan_to_few_files_and_nothing_left_to_do(table, command):
    answer = table.query("SELECT count(*), CAST(sum(price) AS varchar) FROM orders_changes")
    before = {each.key: each.etag for each in table.store.list_objects("")}
    code, out, err = command("--plan")
    assert (code, err) == (0, "")
    assert out.startswith(f"orders: would be compacted to files of up to 128MiB\n  partition  {WINDOW}: ")
    many = sum(each.files for each in table.ledger.published_entries(("snapshots", "changes")))
    assert f"\n  rewrite    {many} files become 2, " in out
    assert "the older files stay, and are billed, until ddb-export prune deletes them" in out
    assert {each.key: each.etag for each in table.store.list_objects("")} == before
    code, out, err = command("--from", "2026-03-01T12:00Z", "--to", "2026-03-02", "--json", more="budget: {run: 5}")
    document = json.loads(out)
    assert (code, set(document), document["planned_only"]) == (0, set(EMPTY_DOCUMENT), False)
    assert [each["files_after"] for each in document["partitions"]] == [1, 1]
    assert (document["files_before"], document["files_after"], document["left"]) == (many, 2, [])
    assert float(document["usd"]) > 0
    assert table.query("SELECT count(*), CAST(sum(price) AS varchar) FROM orders_changes") == answer
    code, out, _ = command()
    assert (code, out) == (0, "orders: nothing to compact; no partition would have half as many files of 128MiB\n")


def test_the_folder_alone_is_enough_and_a_dear_one_is_refused(table, command, lab, capsys):
    code, _, err = command(more="budget: {run: 0}")
    assert code == 1
    assert "more than the budget of 0.00 USD a run. Remedy: set budget.run" in err
    arguments = ["--region", "us-east-1", "--endpoint-url", lab.endpoint_url]
    assert main(["compact", URI, *arguments]) == 0
    assert capsys.readouterr().out.startswith("orders: 2 partitions compacted\n")
    assert main(["compact", f"s3://{BUCKET}/tables/nothing", *arguments]) == 3
    assert "there is no ledger" in capsys.readouterr().err


def test_mistakes_are_one_line(command):
    mistakes = {
        ("--from", "yesterday"): "--from: 'yesterday' is no time. Remedy: write 2026-01-31 or 2026-01-31T06:00Z",
        ("--from", "2026-03-02", "--to", "2026-03-01"): "--to: it is not after --from. Remedy: give a later time",
        ("--target", "128 MiBs"): "--target: '128 MiBs' is no size. Remedy: write a size with its unit, such as 128MiB",
        ("--target", "100GB"): "--target: 100GB is not between 1MiB and 1GiB. Remedy: write a size between",
    }
    for arguments, words in mistakes.items():
        code, out, err = command(*arguments)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert words in err
    code, _, err = command(name="ordres")
    assert (code, "did you mean orders?" in err) == (2, True)
