"""The helper views in the lab's Athena: what they say, when they are written again, and what they never touch."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from ddb_export.domain.views import MARK
from ddb_export.domain.wider_columns import Wish
from ddb_export.exceptions import PublishError
from ddb_export.pipeline.views import OUTPUTS, latest_state, views_to_write
from ddb_export.pipeline.widening import TableWidening
from local_aws.client import Lab
from tests.pipeline.tables import LakeTable, at


@pytest.fixture
def table(lab: Lab, account: str, aws: Callable[..., Any]) -> LakeTable:
    made = LakeTable(lab, account, aws)
    made.put(0.1, "a", 1, n={"N": "12.5"}, tags={"SS": ["x", "y"]})
    made.put(0.2, "b", 2, n={"N": "7"}, ok={"BOOL": True})
    made.put(0.3, "c", 3, n={"S": "many"}, note={"NULL": True})
    made.put(0.4, "d", 4, n={"N": "3"})
    made.until(2)
    made.published(1)
    return made


def missing(table: LakeTable) -> list[str]:
    """Write the views that are new or changed, and return their names."""
    keys = table.dynamodb.key_attributes(table.name)
    views = views_to_write(table.ledger, keys, table.glue, "lake")
    for view in views:
        athena = table.aws("athena")
        place = {"OutputLocation": "s3://lake/athena/"}
        started = athena.start_query_execution(QueryString=view.statement, ResultConfiguration=place)
        state = "QUEUED"
        while state in ("QUEUED", "RUNNING"):
            found = athena.get_query_execution(QueryExecutionId=started["QueryExecutionId"])["QueryExecution"]
            state = found["Status"]["State"]
        assert state == "SUCCEEDED", found["Status"]
    return [view.name for view in views]


def latest(table: LakeTable) -> list[list[str | None]]:
    return table.query("SELECT pk, sk, n, _overflow FROM orders_latest ORDER BY 1, 2, 4")


def second_window(table: LakeTable) -> None:
    table.put(2.1, "a", 1, n={"N": "13"}, more={"S": "new column"})
    table.put(2.2, "e", 5, n={"S": "x"})
    table.delete(2.3, "d", 4)
    table.until(4)


def test_latest_state_is_the_base_with_all_changes(table: LakeTable) -> None:
    second_window(table)
    table.published(1, 3)
    table.put(4.1, "a", 1, n={"N": "14"})
    table.delete(4.2, "b", 2)
    table.put(4.3, "d", 4, n={"N": "99"})
    table.until(6)
    table.published(3, 5)
    assert missing(table) == ["orders_latest", "orders_history", "orders_overflow"]
    assert latest(table) == [
        ["a", "1", "14.0", None],
        ["c", "3", None, '{"n":{"S":"many"},"note":{"NULL":true}}'],
        ["d", "4", "99.0", None],
        ["e", "5", None, '{"n":{"S":"x"}}'],
    ]


def test_history_numbers_the_versions_of_each_key(table: LakeTable) -> None:
    second_window(table)
    table.published(1, 3)
    missing(table)
    rows = table.query("SELECT _version, _op, n, more FROM orders_history WHERE pk = 'a' ORDER BY _version")
    assert rows == [["1", "SNAPSHOT", "12.5", None], ["2", "MODIFY", "13.0", "new column"]]
    rows = table.query("SELECT _op, n, _old_image FROM orders_history WHERE pk = 'd' ORDER BY _version")
    assert [row[:2] for row in rows] == [["SNAPSHOT", "3.0"], ["REMOVE", None]]
    assert json.loads(rows[1][2] or "")["n"] == {"N": "3"}


def test_overflow_has_a_row_for_each_value(table: LakeTable) -> None:
    second_window(table)
    table.published(1, 3)
    missing(table)
    rows = table.query("SELECT pk, sk, _attribute, _type, _value, _source FROM orders_overflow ORDER BY 1, 3")
    assert rows == [
        ["c", "3", "n", "S", '{"S":"many"}', "20260301T0100Z"],
        ["c", "3", "note", "NULL", '{"NULL":true}', "20260301T0100Z"],
        ["e", "5", "n", "S", '{"S":"x"}', "20260301T0100Z-20260301T0300Z"],
    ]


def test_views_are_written_when_their_text_changes_only(table: LakeTable) -> None:
    assert missing(table) == ["orders_history", "orders_overflow"]
    table.put(2.1, "a", 1, n={"N": "13"})
    table.until(4)
    table.published(1, 3)
    assert missing(table) == ["orders_latest", "orders_history", "orders_overflow"]
    table.put(4.1, "a", 1, n={"N": "14"})
    table.until(6)
    table.published(3, 5)
    assert missing(table) == []
    table.put(6.1, "a", 1, fresh={"S": "column"})
    table.until(8)
    table.published(5, 7)
    assert missing(table) == ["orders_latest", "orders_history"]


def test_a_key_number_that_its_column_cannot_hold_is_another_item(table: LakeTable) -> None:
    table.put(2.1, "a", 10**20, n={"N": "1"})
    table.put(2.2, "a", 10**21, n={"N": "2"})
    table.until(4)
    table.published(1, 3)
    missing(table)
    assert [row[2] for row in latest(table) if row[0] == "a"] == ["12.5", "1.0", "2.0"]


def test_changes_behind_a_missing_window_are_left_out(table: LakeTable) -> None:
    second_window(table)
    table.put(4.1, "a", 1, n={"N": "14"})
    table.until(6)
    table.published(3, 5)
    assert latest_state(table.ledger.read(OUTPUTS)).complete_to == at(1)
    missing(table)
    assert [row[0] for row in latest(table)] == ["a", "b", "c", "d"]
    table.published(1, 3)
    assert missing(table)[0] == "orders_latest"
    assert latest(table)[0][:3] == ["a", "1", "14.0"]


def test_a_window_that_is_verified_and_not_shown_holds_back_the_later_ones(table: LakeTable) -> None:
    second_window(table)
    table.verified(1, 3)
    table.put(4.1, "a", 1, n={"N": "14"})
    table.until(6)
    table.published(3, 5)
    assert latest_state(table.ledger.read(OUTPUTS)).complete_to == at(1)


def test_another_attempt_at_a_window_is_counted_once(table: LakeTable) -> None:
    second_window(table)
    first = table.published(1, 3)
    claim = table.ledger.next_attempt(table.ledger.claim_of(first.export), table.table_id, table.now, "again")
    entry = table.work.verify(claim, table.export(claim), None, table.now)
    table.publish(entry, table.converted(entry))
    missing(table)
    assert table.query("SELECT count(*) FROM orders_history WHERE pk = 'a'") == [["2"]]


def test_what_is_no_view_of_ours_is_not_replaced(table: LakeTable) -> None:
    table.aws("glue").create_table(
        DatabaseName="lake",
        TableInput={"Name": "orders_history", "PartitionKeys": [], "StorageDescriptor": {"Columns": []}},
    )
    with pytest.raises(PublishError, match=r"view lake\.orders_history: something else has this name"):
        missing(table)


def test_the_mark_survives_athenas_own_format(table: LakeTable) -> None:
    missing(table)
    stored = table.aws("glue").get_table(DatabaseName="lake", Name="orders_history")["Table"]
    assert stored["TableType"] == "VIRTUAL_VIEW"
    assert MARK not in stored["ViewOriginalText"]
    assert missing(table) == []


def type_of(table: LakeTable, name: str, column: str) -> str:
    """Type of a column of a table or view, as Glue has it."""
    found = table.aws("glue").get_table(DatabaseName="lake", Name=name)["Table"]["StorageDescriptor"]["Columns"]
    return next(str(each["Type"]) for each in found if each["Name"] == column)


def test_widened_columns_are_in_the_views_written_after_the_widening_and_none_during_it(table: LakeTable) -> None:
    """Athena refuses a view whose query gives other types than were stored with it, though no word of the query has changed."""
    table.put(2.1, "a", 1, n={"N": "13"}, q={"N": "1"})
    table.until(4)
    table.published(1, 3)
    again = table.ledger.claim([table.wanted(3)], table.table_id, table.now)[0]
    full = table.work.verify(again, table.export(again), None, table.now)
    table.publish(full, table.converted(full))
    missing(table)
    table.put(4.1, "e", 5, q={"N": "2.25"})
    table.until(6)
    table.published(3, 5)
    missing(table)
    assert type_of(table, "orders_latest", "q") == "bigint"
    seen = []

    def step(what: str, done: int, of: int) -> None:
        kinds = tuple(type_of(table, f"orders_{output}", "q") for output in OUTPUTS)
        seen.append((what, kinds, views_to_write(table.ledger, ["pk", "sk"], table.glue, "lake")))

    widening = TableWidening(table.work, table.glue)
    widening.run(widening.plan(Wish(), table.now), lambda: table.now, step)
    assert ("switch lake.orders_snapshots", ("decimal(38,2)", "bigint"), []) in seen
    assert all(not views for _, _, views in seen)
    assert missing(table) == ["orders_latest", "orders_history"], "orders_overflow has keys only"
    assert type_of(table, "orders_latest", "q") == type_of(table, "orders_history", "q") == "decimal(38,2)"
    assert missing(table) == []
