"""Entities of a single-table design: each has views with its rows and its columns only, whatever is declared when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ddb_export.domain.contract import Contract
from ddb_export.domain.entities import Entities, EntityMatch
from ddb_export.domain.redaction import stale_lines
from ddb_export.domain.shown import shown_entries
from ddb_export.domain.wider_columns import Wish
from ddb_export.pipeline.entities import columns_of_entities
from ddb_export.pipeline.ledger import Ledger
from ddb_export.pipeline.tasks import TableWork
from ddb_export.pipeline.views import OUTPUTS, views_to_write
from ddb_export.pipeline.widening import TableWidening
from local_aws.client import Lab
from tests.pipeline.tables import Between, LakeTable

BY_KEY = Entities(
    "pk",
    (
        EntityMatch("order", "ORDER#*", is_pattern=True),
        EntityMatch("item", "ORDER#*#ITEM#*", is_pattern=True),
        EntityMatch("odd", "50%_*", is_pattern=True),
        EntityMatch("settings", "SETTINGS"),
    ),
)
SHOWN = "their views show every column of before"
BY_TYPE = Entities("type", (EntityMatch("draft", "draft"), EntityMatch("done", "do*", is_pattern=True)))


class TableOfEntities(LakeTable):
    """A table whose contract declares entities."""

    entities: Entities | None = BY_KEY

    @property
    def work(self) -> TableWork:
        """The steps of its exports, by the contract."""
        return replace(super().work, contract=Contract(entities=self.entities))

    def views(self) -> list[str]:
        """Write the views that are new or changed, and return their names."""
        keys = self.dynamodb.key_attributes(self.name)
        views = views_to_write(self.ledger, keys, self.glue, "lake", self.entities)
        for view in views:
            self.query(view.statement)
        return [view.name for view in views]

    def columns(self, view: str) -> list[str]:
        """The columns of a view, in order."""
        found = self.aws("glue").get_table(DatabaseName="lake", Name=view)["Table"]
        return [each["Name"] for each in found["StorageDescriptor"]["Columns"]]


@pytest.fixture
def table(lab: Lab, account: str, aws: Callable[..., Any]) -> TableOfEntities:
    """Orders with items, settings, and one item that is nothing of it."""
    made = TableOfEntities(lab, account, aws)
    made.put(1, "ORDER#1", type={"S": "draft"}, total={"N": "12"})
    made.put(1.1, "ORDER#1#ITEM#1", sku={"S": "x"}, amount={"N": "2"})
    made.put(1.2, "SETTINGS", theme={"S": "dark"})
    made.put(1.3, "50%_off", percent={"N": "50"})
    made.put(1.4, "500_off", percent={"N": "7"})
    made.put(13, "ORDER#1", type={"S": "done"}, total={"N": "14"}, note={"S": "new column"})
    made.delete(14, "ORDER#1#ITEM#1")
    made.put(15, "ORDER#2", total={"N": "1"})
    made.until(49)
    return made


def test_each_entity_has_its_rows_and_its_columns(table: TableOfEntities) -> None:
    base, changes = table.published(12), table.published(12, 24)
    assert (base.rows, changes.rows) == (5, 3)
    assert base.entities["columns"]["order"] == ["pk", "sk", "total", "type"]
    names = table.views()
    assert [name for name in names if "item" in name] == ["orders_item_snapshots", "orders_item_changes", "orders_item"]
    assert table.columns("orders_item_snapshots") == [
        "_table_id",
        "_overflow",
        "amount",
        "pk",
        "sk",
        "sku",
        "export_time",
    ]
    assert table.columns("orders_order") == [
        "_written_at",
        "_table_id",
        "_overflow",
        "pk",
        "sk",
        "total",
        "type",
        "note",
    ]
    assert table.query("SELECT pk, amount FROM orders_item_snapshots") == [["ORDER#1#ITEM#1", "2"]]
    assert table.query("SELECT _op, pk FROM orders_item_changes") == [["REMOVE", "ORDER#1#ITEM#1"]]
    assert table.query("SELECT pk FROM orders_order_snapshots") == [["ORDER#1"]]
    assert table.query("SELECT count(*) FROM orders_item") == [["0"]]
    assert table.query("SELECT pk, total, note FROM orders_order ORDER BY pk") == [
        ["ORDER#1", "14", "new column"],
        ["ORDER#2", "1", None],
    ]
    assert table.query("SELECT pk FROM orders_settings") == [["SETTINGS"]]
    assert table.query("SELECT pk FROM orders_odd_snapshots") == [["50%_off"]]
    assert table.query("SELECT count(*) FROM orders_snapshots") == [["5"]], "the table itself keeps all rows"
    assert table.views() == []


def test_an_item_that_becomes_another_entity_is_in_one_at_any_time(table: TableOfEntities) -> None:
    table.entities = BY_TYPE
    table.delete(26, "ORDER#1")
    table.until(49)
    table.published(12)
    table.published(12, 24)
    table.views()
    states = [table.query(f"SELECT pk FROM orders_{entity}") for entity in ("draft", "done")]
    assert states == [[], [["ORDER#1"]]]
    assert table.query("SELECT _op FROM orders_draft_changes") == []
    assert table.query("SELECT _op, pk FROM orders_done_changes") == [["MODIFY", "ORDER#1"]]
    table.published(24, 48)
    table.views()
    assert table.query("SELECT _op FROM orders_done_changes ORDER BY _op") == [["MODIFY"], ["REMOVE"]]
    assert table.query("SELECT pk FROM orders_done") == []


def test_entities_that_are_declared_later_have_all_columns_of_before_until_these_are_rewritten(
    table: TableOfEntities,
) -> None:
    table.entities = None
    table.published(12)
    table.entities = BY_KEY
    table.published(12, 24)
    assert not columns_of_entities(table.ledger, BY_KEY).whole
    table.views()
    assert table.columns("orders_settings_snapshots")[2:-1] == [
        "amount",
        "percent",
        "pk",
        "sk",
        "sku",
        "theme",
        "total",
        "type",
    ]
    shown = shown_entries(table.ledger.read_every_object(), table.ledger.published_entries(OUTPUTS))
    contract = table.work.contract
    assert [line.words for line in stale_lines(shown, contract.redaction)] == [
        f"columns of the entities: not looked at, and the contract declares entities; {SHOWN}; full-20260301T1200Z-a1"
    ]
    table.lab.set_clock(table.now + timedelta(hours=1), table.account)
    widening = TableWidening(table.work, table.glue)
    assert widening.run(widening.plan(Wish(), table.now), lambda: table.now).ended == "done"
    assert widening.plan(Wish(), table.now).is_empty
    table.views()
    assert table.columns("orders_settings_snapshots")[2:-1] == ["pk", "sk", "theme"]
    known = columns_of_entities(table.ledger, BY_KEY)
    table.store.delete(table.ledger.lake.key("ledger/entities.json"))
    assert columns_of_entities(table.ledger, BY_KEY) == known
    assert len(table.started()) == 2


@pytest.mark.parametrize("after", [False, True])
def test_a_window_that_is_published_while_a_rewriting_ends_keeps_its_columns(
    table: TableOfEntities, after: bool
) -> None:
    """It is published right before or after the note is read that the rewriting is about to replace."""
    table.published(12)
    table.views()
    before = columns_of_entities(table.ledger, BY_KEY)
    entry = table.verified(12, 24)
    groups = table.converted(entry)

    def publish() -> None:
        columns_of_entities(table.ledger, BY_KEY, [table.publish(entry, groups)])

    store: Any = Between(table.store, "read", publish, ending="/entities.json", after=after)
    work = replace(table.work, ledger=Ledger(store, table.ledger.lake), store=store)
    TableWidening(work, table.glue).note_what_is_shown()
    known = columns_of_entities(table.ledger, BY_KEY)
    assert (before.whole, known.whole) == (True, True)
    assert known.columns["order"] - before.columns["order"] == {"note"}
