"""Every live item is rebuilt from Parquet alone, and one changed value is noticed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ddb_export.domain.layout import LIVE, Lake
from demo.cloud import DATABASE, PREFIX, Cloud
from demo.errors import DemoError
from demo.history import TABLE
from demo.questions import SQL, add_up, ask_athena
from demo.rebuild import compare, main, read_items
from local_aws.client import Lab
from tests.demo.changed_values import change_one_value
from tests.demo.small_lake import make_small_lake

ACCOUNT = "808080808080"

# Window of the 29th: flight 30 appears, 29 departs and lands, 4308 is removed. Of the 30th: flight 31 appears, 30 departs and lands.
BY_OP = {"INSERT": 2, "MODIFY": 2, "REMOVE": 1}


@pytest.fixture(scope="module")
def cloud(lab: Lab) -> Iterator[Cloud]:
    """An account of these tests' own."""
    yield Cloud(lab, ACCOUNT, Lake("small-flights-lake", PREFIX, TABLE))
    lab.reset(ACCOUNT)


@pytest.fixture(scope="module")
def made(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the demo leaves behind, small."""
    folder = tmp_path_factory.mktemp("demo")
    make_small_lake(cloud, folder)
    return folder


@pytest.fixture
def left(made: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(made, tmp_path / "demo"))


@pytest.fixture
def table_folder(left: Path) -> Path:
    return left / "lake" / PREFIX / TABLE


def test_every_live_item_is_rebuilt_exactly(left, table_folder):
    comparison = compare(table_folder, read_items(left / "table.jsonl"))
    assert comparison.equal, comparison
    # Ten flights, of which one was cancelled.
    assert comparison.live == 9
    assert str(comparison) == "all 9 live items are rebuilt exactly from the Parquet files"


def test_one_changed_value_in_a_parquet_file_is_noticed(left, table_folder):
    change_one_value(table_folder)
    comparison = compare(table_folder, read_items(left / "table.jsonl"))
    assert not comparison.equal
    assert len(comparison.different) == 1


def test_one_changed_value_of_the_table_is_noticed(left, table_folder):
    items = list(read_items(left / "table.jsonl"))
    items[0]["tail_number"] = {"S": "N00000"}
    assert len(compare(table_folder, items).different) == 1


def test_an_item_too_many_or_too_few_is_noticed(left, table_folder):
    items = list(read_items(left / "table.jsonl"))
    more = {**items[0], "departure": {"S": "00:00#XX1"}}
    comparison = compare(table_folder, [*items[1:], more])
    assert (len(comparison.missing), len(comparison.unexpected), comparison.different) == (1, 1, ())
    assert str(comparison).startswith("of 9 live items 1 missing (")


def test_a_partition_that_is_not_live_does_not_count(left, table_folder):
    live = max(table_folder.joinpath("changes").rglob(LIVE))
    live.unlink()
    assert not compare(table_folder, read_items(left / "table.jsonl")).equal


def test_nothing_published_is_an_error(tmp_path):
    with pytest.raises(DemoError, match="nothing is published"):
        compare(tmp_path, [])


def test_the_command_tells_by_its_exit_code(left, table_folder, capsys):
    arguments = [str(table_folder), str(left / "table.jsonl")]
    assert main(arguments) == 0
    change_one_value(table_folder)
    assert main(arguments) == 1
    assert "1 different" in capsys.readouterr().out


def test_items_are_written_in_dynamodb_json(left):
    first = json.loads(left.joinpath("table.jsonl").read_text().splitlines()[0])
    assert first["distance"] == {"N": "1400"}


def test_athena_answers_as_the_items_say(made, cloud, table_folder):
    base = next(table_folder.joinpath("snapshots").iterdir()).name.partition("=")[2]
    sql = SQL.format(database=DATABASE, name=TABLE, base=base)
    answer = ask_athena(cloud.client("athena"), sql, cloud.lake.uri("athena-results/"))
    assert answer.agrees_with(add_up(read_items(made / "table.jsonl")))
    assert answer.by_op == BY_OP


def test_a_query_that_fails_is_an_error(made, cloud):
    with pytest.raises(DemoError, match="it ended as FAILED"):
        ask_athena(cloud.client("athena"), "SELECT * FROM lake.nothing", cloud.lake.uri("athena-results/"))
