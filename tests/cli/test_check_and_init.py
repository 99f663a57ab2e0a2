"""``ddb-export init`` and ``ddb-export check`` as a team uses them: on a folder of YAML, without AWS."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ddb_export.cli import main
from ddb_export.config.loader import load_tables

DEFAULTS = "bucket: my-lake\nprefix: dynamodb\ndatabase: lake\n"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command; give the exit code and both streams."""

    def command(*arguments: object) -> tuple[int, str, str]:
        code = main([str(each) for each in arguments])
        return (code, *capsys.readouterr())

    return command


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """A folder with the defaults of a team."""
    folder = tmp_path / "tables"
    folder.mkdir()
    (folder / "_defaults.yaml").write_text(DEFAULTS)
    return folder


def document(result: tuple[int, str, str]) -> dict[str, Any]:
    """The one JSON object."""
    code, out, err = result
    parsed: dict[str, Any] = json.loads(out)
    assert parsed["ok"] == (code == 0) == (not parsed["errors"])
    assert len(err.splitlines()) == (0 if parsed["ok"] else 1)
    return parsed


def test_init_writes_three_lines_that_check_accepts(tables, run):
    code, out, err = run("init", "orders", "--into", tables)
    today = datetime.now(UTC).date()
    assert (code, err) == (0, "")
    assert (tables / "orders.yaml").read_text() == f"table: orders\nschedule: '@daily'\nstart_date: {today}\n"
    assert out.endswith(f"next: ddb-export check {tables}, then ddb-export doctor orders\n")
    assert run("check", tables) == (0, f"{tables}: 1 table, no problem\n", "")


def test_init_leaves_to_the_folder_what_the_folder_says(tables, run):
    (tables / "_defaults.yaml").write_text(DEFAULTS + "schedule: '@hourly'\nstart_date: 2026-01-31\n")
    assert run("init", "orders", "--into", tables)[0] == 0
    assert (tables / "orders.yaml").read_text() == "table: orders\n"


def test_init_says_what_is_missing_and_the_defaults_complete_it(tmp_path, run):
    folder = tmp_path / "new" / "tables"
    said = document(run("init", "orders", "--into", folder, "--json"))
    assert said["missing"] == ["bucket", "prefix", "database"]
    assert said["errors"][0]["cause"] == "still missing: bucket, prefix, database"
    (folder / "_defaults.yaml").write_text(DEFAULTS)
    assert run("check", folder)[0] == 0


def test_init_never_overwrites(tables, run):
    (tables / "orders.yaml").write_text("table: orders # mine\n")
    code, out, err = run("init", "orders", "--into", tables)
    assert (code, out) == (2, "")
    assert "orders.yaml: it exists. Remedy: edit it, or declare" in err
    assert (tables / "orders.yaml").read_text() == "table: orders # mine\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["x"], "table 'x' is neither a table name nor a table ARN"),
        (["orders", "--set", "bucket=s3://lake"], "bucket 's3://lake' is not a bucket name"),
        (["orders", "--set", "schedle=@daily"], "unknown key 'schedle'. Remedy: write 'schedule'"),
        (["orders", "--set", "schedule=* * * * *"], "cuts windows of 1 min"),
        (["orders", "--set", "name=../orders"], "cannot name a DAG and a folder"),
        (["_defaults", "--set", "name=_defaults"], "it exists"),
        (["taken"], "would share the DAG 'ddb_export__taken' with table 'taken' in"),
    ],
)
def test_init_writes_nothing_that_cannot_be_used(tables, run, arguments, words):
    (tables / "several.yaml").write_text("tables:\n- table: taken\n  schedule: null\n  start_date: 2026-01-31\n")
    before = sorted(tables.parent.rglob("*"))
    code, out, err = run("init", *arguments, "--into", tables)
    assert (code, out) == (2, "")
    assert words in err
    assert "/tmp/tmp" not in err
    assert sorted(tables.parent.rglob("*")) == before


def test_init_quotes_what_yaml_would_read_otherwise(tables, run):
    assert run("init", "2026", "--into", tables, "--set", "schedule=null")[0] == 0
    assert run("init", "arn:aws:dynamodb:eu-west-1:111122223333:table/o.k", "--into", tables)[0] == 0
    assert run("init", "yes", "--into", tables, "--set", "bucket_owner=012345670123", "--set", "tags=[a, b]")[0] == 0
    found = {each.name: each for each in load_tables(tables)}
    assert set(found) == {"2026", "o.k", "yes"}
    assert found["2026"].schedule is None
    assert found["o.k"].region == "eu-west-1"
    assert (found["yes"].bucket_owner, found["yes"].tags) == ("012345670123", ("a", "b"))


def test_check_names_every_problem_of_every_file(tables, run):
    (tables / "a.yaml").write_text("table: orders\nschedul: '@daily'\nretries: many\nstart_date: 2026-01-31\n")
    (tables / "b.yaml").write_text("table: [\n")
    (tables / "c.yaml").write_text("table: fine\nschedule: '@daily'\nstart_date: 2026-01-31\n")
    code, out, err = run("check", tables)
    assert code == 1
    assert out.splitlines()[0] == f"{tables}: 1 table, 3 problems"
    assert f"{tables}/a.yaml:2:1: unknown key 'schedul'. Remedy: write 'schedule'" in out
    assert f"{tables}/a.yaml:3:10: retries 'many' is text. Remedy: write a whole number from 0 to 100" in out
    assert f"{tables}/b.yaml:2:1: not valid YAML" in out
    assert err.count("\n") == 1
    assert "(and 2 more)" in err
    said = document(run("check", tables, "--json"))
    assert [each["name"] for each in said["tables"]] == ["fine"]
    assert [(each["line"], each["column"]) for each in said["errors"]] == [(2, 1), (3, 10), (2, 1)]


def test_check_refuses_a_folder_that_declares_nothing(tables, tmp_path, run):
    code, _, err = run("check", tables)
    assert code == 1
    assert "no file declares a table. Remedy: declare one: ddb-export init TABLE" in err
    assert run("check", tmp_path / "nowhere")[0] == 2


def test_check_says_which_files_are_not_read(tables, run):
    (tables / "team").mkdir()
    (tables / "team" / "orders.yaml").write_text("table: orders\n")
    run("init", "orders", "--into", tables)
    code, out, _ = run("check", tables)
    assert code == 0
    assert "note       " in out
    assert "team/orders.yaml is not read" in out
