"""Key attributes have columns however many attributes a table has: nothing else tells its rows apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ddb_export.cli import main
from ddb_export.domain.contract import ColumnRule, Contract
from ddb_export.domain.export import ExportViewType
from ddb_export.domain.planning import PlanRequest, RunKind
from ddb_export.domain.wider_columns import Wish
from ddb_export.pipeline.planning import Destination, claim_plan, plan_run
from ddb_export.pipeline.views import views_to_write
from ddb_export.pipeline.widening import TableWidening
from local_aws.client import Lab
from tests.pipeline.handmade_exports import change, full_export, incremental_export
from tests.pipeline.tables import START, LakeTable, at

EIGHT = {f"a{number}": {"S": "x"} for number in range(8)}


@pytest.mark.scenario("F19")
@pytest.mark.parametrize(("attributes", "limit"), [(8, 5), (1010, 1000)])
def test_keys_win_over_attributes_that_are_in_every_item(
    lab: Lab, account: str, aws: Callable[..., Any], attributes: int, limit: int
) -> None:
    """The table is gone before its export is converted: the ledger remembers its keys."""
    table = LakeTable(lab, account, aws)
    table.put(1, "x", 7, **{f"a{number:04d}": {"N": "1"} for number in range(attributes)})
    table.until(30)
    request = PlanRequest(
        RunKind.MANUAL, table.now, at(0) - START, None, ExportViewType.NEW_AND_OLD_IMAGES, (), base_time=at(12)
    )
    plan = plan_run(table.dynamodb, table.ledger, table.name, request, lambda _after, _before: [])
    base, *_ = claim_plan(table.ledger, plan, Destination())
    entry = table.work.verify(base, table.export(base), None, table.now)
    keys = table.dynamodb.key_attributes(table.name)
    aws("dynamodb").delete_table(TableName=table.name)
    work = replace(table.work, contract=Contract((ColumnRule("a0007", "bigint"),), column_limit=limit))
    for group in (groups := table.converted_by(work, entry)):
        assert group.schema_version == 1
    assert work.publish(entry, groups, table.glue, "lake", table.now) is not None
    names = [column.attribute for column in table.ledger.read_schema().columns]
    assert (len(names), names[-2:], "a0007" in names) == (limit, ["pk", "sk"], True)
    assert table.query("SELECT pk, sk FROM orders_snapshots") == [["x", "7"]]
    views = {view.name for view in views_to_write(table.ledger, keys, table.glue, "lake")}
    assert {"orders_history", "orders_overflow"} <= views


def test_a_widening_gives_keys_a_column_first(lab: Lab, account: str, aws: Callable[..., Any]) -> None:
    """In a lake of before, where they have none; a raised limit has room for two."""
    table = LakeTable(lab, account, aws)
    table.put(1, "x", 7, **EIGHT)
    table.until(60)
    narrow = replace(table.work, contract=Contract(column_limit=5))
    entry = table.verified(12)
    narrow.publish(entry, table.converted_by(narrow, entry), table.glue, "lake", table.now)
    assert "pk" not in [column.attribute for column in table.ledger.read_schema().columns]
    table.put(61, "y", 8, **EIGHT)
    table.until(90)
    later = table.verified(48, 72)
    narrow.publish(later, table.converted_by(narrow, later), table.glue, "lake", table.now)
    widening = TableWidening(replace(table.work, contract=Contract(column_limit=7)), table.glue)
    # A ledger of before has no note of the keys. A run that claims something writes it.
    claim_plan(table.ledger, _nothing(table), Destination())
    done = widening.run(widening.plan(Wish(), table.now), lambda: table.now)
    assert [column.attribute for column in done.added] == ["pk", "sk"]
    assert table.query("SELECT pk, sk FROM orders_snapshots") == [["x", "7"]]


def _nothing(table: LakeTable) -> Any:
    request = PlanRequest(RunKind.MANUAL, table.now, at(0) - START, None, ExportViewType.NEW_AND_OLD_IMAGES, ())
    plan = plan_run(table.dynamodb, table.ledger, table.name, request, lambda _after, _before: [])
    return replace(plan, plan=replace(plan.plan, base=None, windows=()))


def _columns(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main(["convert", *arguments, "--json"]) == 0
    return [column["attribute"] for column in json.loads(capsys.readouterr().out)["columns"]]


def test_a_bare_export_tells_keys_of_changes_and_is_told_those_of_items(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "orders.yaml").write_text(
        "table: orders\nbucket: my-lake\nprefix: dynamodb\ndatabase: lake\nschedule: '@daily'\nstart_date: 2026-01-31\ncontract: {column_limit: 3}\n"
    )
    contract = ["--table", "orders", "--tables", str(tmp_path)]
    changes = incremental_export(tmp_path / "changes", [[change("k", new=EIGHT)]])
    items = full_export(tmp_path / "items", [[{"pk": {"S": "k"}, "sk": {"N": "1"}, **EIGHT}]])
    by = ["--to", str(tmp_path / "lake"), *contract]
    assert _columns(capsys, str(changes.folder), *by) == ["a0", "a1", "id"]
    assert _columns(capsys, str(items.folder), *by) == ["a0", "a1", "a2"]
    assert _columns(capsys, str(items.folder), *by, "--key", "pk", "--key", "sk") == ["a0", "pk", "sk"]
