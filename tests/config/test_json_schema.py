"""The schema for editors beside the loader: what the loader takes is never underlined, and a wrong key or kind always is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from ddb_export import TableConfiguration, export_json_schema, load_tables
from ddb_export.cli import main
from ddb_export.config.explain import _model_at
from ddb_export.config.problems import InvalidFileError

ROOT = Path(__file__).parents[2]
REQUIRED = {
    "bucket": "my-lake",
    "prefix": "dynamodb",
    "database": "lake",
    "schedule": "0 0 * * *",
    "start_date": "2026-01-31",
}
KEYS = {*TableConfiguration.model_fields, "defaults", "tables"}


class _Editor(yaml.SafeLoader):
    """YAML as editors read it: 1.2, which has no times; what is written like one is text."""


_Editor.yaml_implicit_resolvers = {
    first: [each for each in resolvers if not each[0].endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = export_json_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def _blocks() -> Iterator[tuple[str, str]]:
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for number, text in enumerate(re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)):
            content = yaml.load(text, _Editor)
            if isinstance(content, dict) and not KEYS.isdisjoint(content):
                yield f"{page.name}-{number}", text


BLOCKS = dict(_blocks())


def test_the_docs_hold_tables_and_defaults_of_all_shapes() -> None:
    contents = [yaml.load(text, _Editor) for text in BLOCKS.values()]
    assert sum("table" in each for each in contents) >= 4
    assert sum("tables" in each for each in contents) >= 2
    assert sum("table" not in each and "tables" not in each for each in contents) >= 6


@pytest.mark.parametrize("text", [*BLOCKS.values()], ids=[*BLOCKS])
def test_each_yaml_of_the_docs_is_taken_by_schema_and_loader(validator, tmp_path: Path, text: str) -> None:
    content = yaml.load(text, _Editor)
    validator.validate(content)
    defaults = "".join(f"{key}: {json.dumps(value)}\n" for key, value in REQUIRED.items() if key not in content)
    if KEYS.isdisjoint(content.keys() & {"table", "tables"}):
        (tmp_path / "_defaults.yaml").write_text(defaults + text)
        (tmp_path / "a.yaml").write_text("table: orders\n")
    else:
        (tmp_path / "_defaults.yaml").write_text(defaults)
        (tmp_path / "a.yaml").write_text(text)
    assert load_tables(tmp_path)


def test_the_sample_fits(validator) -> None:
    sample = (ROOT / "dags" / "tables" / "example.yaml.sample").read_text(encoding="utf-8")
    validator.validate(yaml.load(sample, _Editor))


TABLE = {"table": "orders", **REQUIRED}


@pytest.mark.parametrize(
    ("content", "fits"),
    [
        (TABLE, True),
        ({"table": "orders"}, True),
        (REQUIRED, True),
        ({**TABLE, "name": None, "region": None}, True),
        ({**TABLE, "bucket_owner": 123456789012}, True),
        ({"defaults": REQUIRED, "tables": [{"table": "orders"}], "x-common": {}}, True),
        ({"defaults": None, "tables": [TABLE]}, True),
        ({**TABLE, "retention": {"raw": {"tier": {"after": "35d"}}}}, True),
        ({**TABLE, "shedule": "@daily"}, False),
        ({**REQUIRED, "shedule": "@daily"}, False),
        ({**REQUIRED, "name": "orders"}, False),
        ({"tables": [{"bucket": "b"}]}, False),
        ({"defaults": {"name": "x"}, "tables": []}, False),
        ({"defaults": REQUIRED}, False),
        ({"tables": "orders"}, False),
        ([], False),
    ],
)
def test_the_shapes_of_files(validator, content: Any, fits: bool) -> None:
    assert validator.is_valid(content) == fits


VALUES: tuple[Any, ...] = (
    None, True, 0, 7, 0.5, -1, 123456789012, "", "orders", "5m", "35d", "26h", "128MiB", "2026-01-31", "2026-01-31 06:00:00",
    "2026-01-31T06:00", "12345", "0.114", "0.1%", "NEW_IMAGE", "automatic", "new_base", "fail", "GLACIER", "s", "alias/key",
    "eu-west-1", "arn:aws:iam::123456789012:role/lake", "s3://lake/x/", [], ["orders"], ["changes"], [5], [{"notifier": "sns"}],
    [{"arguments": {}}], {}, {"orders": "x"}, {"orders": {"type": "string"}}, {"orders": {"tipe": "string"}}, {"run": 5},
    {"expression": "attribute_exists(a)"}, {"attribute": "pk", "tables": {"order": "O#*"}}, {"after": "35d"},
    {"after": "35d", "storage_class": "GLACIER"}, {"keep": "90d"}, {"workgroup": "w"}, {"policy": "automatic"}, {"unknown": 1},
)  # fmt: skip
KIND = re.compile(r"unknown key| is (text|a number|a list|a mapping|true or false|not accepted)|does not say what")


def _paths(model: type[BaseModel], prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key in model.model_fields:
        yield (*prefix, key)
        if block := _model_at(TableConfiguration, (*prefix, key)):
            yield from _paths(block, (*prefix, key))


def _with(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    for key in reversed(path):
        value = {key: value}
    return dict(value)


def test_the_schema_agrees_with_the_loader_on_every_key(validator, tmp_path: Path) -> None:
    """Each key with values of all kinds: taken by the loader means not underlined, refused for its kind means underlined."""
    keys = [path for path in _paths(TableConfiguration) if path not in {("table",), ("name",)}]
    cases: list[Mapping[str, Any]] = [
        {**REQUIRED, "table": f"orders-{number}.", **_with(path, value)}
        for number, (path, value) in enumerate((path, value) for path in keys for value in VALUES)
    ]
    (tmp_path / "a.yaml").write_text("tables:\n" + "".join(f"- {json.dumps(case)}\n" for case in cases))
    loaded = load_tables(tmp_path, on_error="collect")
    problems: dict[int, list[str]] = {}
    for error in loaded.errors:
        assert isinstance(error, InvalidFileError)
        for problem in error.errors:
            problems.setdefault(problem.line - 2, []).append(problem.cause)
    assert len(loaded.tables) + len(problems) == len(cases)
    assert len(loaded.tables) > 150
    for number, case in enumerate(cases):
        fits, causes = validator.is_valid(case), problems.get(number, [])
        if not causes:
            assert fits, f"underlined, though it can be used: {case}"
        elif any(KIND.search(cause) for cause in causes):
            assert not fits, f"not underlined: {case}: {causes}"


def test_check_prints_the_schema(capsys, tmp_path: Path) -> None:
    """Also where no table is declared yet."""
    assert main(["check", str(tmp_path / "nowhere"), "--schema"]) == 0
    out, err = capsys.readouterr()
    assert (json.loads(out), err) == (export_json_schema(), "")
