"""What ``make demo`` left in ``build/``, looked at again from outside.

Run after it: ``make test TESTS=tests/demo/check_result.py``. Its name keeps it out of ``make test`` on a checkout where no demo has run. ``DEMO_OUTPUT`` names another folder than ``build``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ddb_export.domain.utc import parse_utc
from demo.questions import add_up
from demo.rebuild import compare, read_items
from tests.demo.changed_values import change_one_value

OUTPUT = Path(os.environ.get("DEMO_OUTPUT", "build"))
README = Path(__file__).parents[2] / "README.md"
ITEMS = OUTPUT / "demo" / "table.jsonl"


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    return json.loads(OUTPUT.joinpath("demo.json").read_text())


@pytest.fixture(scope="module")
def table_folder(result: dict[str, Any]) -> Path:
    key = result["lake"].removeprefix("s3://").partition("/")[2]
    return OUTPUT / "demo" / "lake" / key


def test_the_readme_shows_what_it_really_says():
    shown = README.read_text().split("\nWhat each run did\n", 1)[1].split("```", 1)[0]
    really = iter(_shape((OUTPUT / "demo" / "output.txt").read_text()))
    assert [line for line in _shape(shown) if line not in really] == []


def _shape(text: str) -> list[str]:
    """Lines without figures, ids and widths, which differ from day to day."""
    squeezed = (" ".join(line.split()) for line in text.splitlines())
    return [re.sub(r"\b[0-9a-f]{8}\b|[\d,.]+|-{2,}", "#", line) for line in squeezed if line]


def test_everything_held(result):
    assert result["ok"], result.get("error")
    assert result["equal"]


def test_base_and_windows_reach_the_head_without_a_gap(result):
    runs = result["runs"]
    assert [run["kind"] for run in runs] == ["base", "incremental", "incremental", "incremental"]
    assert all(before["end"] == after["start"] for before, after in pairwise(runs))
    assert runs[-1]["end"] == result["head"]
    assert parse_utc(result["head"]).time().isoformat() == "00:00:00"


def test_one_export_failed_and_was_made_again(result):
    healed = [run for run in result["runs"] if run["attempts"] > 1]
    assert [(run["attempts"], len(run["failed_export_arns"])) for run in healed] == [(2, 1)]
    assert healed[0]["export_arn"] not in healed[0]["failed_export_arns"]


def test_the_figures_are_those_of_the_scan(result):
    answer = add_up(read_items(ITEMS))
    figures = {"live_items": answer.live_items, "distance_sum": answer.distance_sum}
    assert result["dynamodb"] == figures
    assert {name: result["athena"][name] for name in figures} == figures
    assert all(count > 0 for count in result["athena"]["by_op"].values())


def test_every_live_item_is_rebuilt_exactly(table_folder):
    comparison = compare(table_folder, read_items(ITEMS))
    assert comparison.equal, comparison


def test_one_changed_value_is_noticed(table_folder, tmp_path):
    for output in ("snapshots", "changes"):
        shutil.copytree(table_folder / output, tmp_path / output)
    change_one_value(tmp_path)
    assert len(compare(tmp_path, read_items(ITEMS)).different) == 1
