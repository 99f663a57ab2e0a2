"""Tasks of older runs that are done once more after newer ones: readers keep the newest attempt and the newest columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ddb_export.exceptions import ConversionError
from local_aws.client import Lab
from tests.pipeline.tables import LakeTable


@pytest.fixture
def table(lab: Lab, account: str, aws: Callable[..., Any]) -> LakeTable:
    made = LakeTable(lab, account, aws)
    made.put(1, "a")
    made.until(25)
    return made


def shown(table: LakeTable) -> list[str]:
    """Return where the partitions of the changes point to."""
    partitions = table.aws("glue").get_partitions(DatabaseName="lake", TableName="orders_changes")["Partitions"]
    return sorted(each["StorageDescriptor"]["Location"] for each in partitions)


def exported_again(table: LakeTable, start: float, end: float) -> Any:
    """Make the second attempt at a window, and verify it."""
    (claim,) = table.ledger.claim([replace(table.wanted(start, end), attempt=2)], table.table_id, table.now)
    return table.work.verify(claim, table.export(claim), None, table.now)


@pytest.mark.scenario("F4")
def test_publishing_an_older_attempt_once_more_does_not_show_it_again(table):
    table.verified(1)
    first = table.verified(1, 24)
    older = table.converted(first)
    table.publish(first, older)
    second = exported_again(table, 1, 24)
    table.publish(second, table.converted(second))
    newest = shown(table)
    table.publish(first, older)
    assert shown(table) == newest


@pytest.mark.scenario("F4")
def test_publishing_with_older_columns_once_more_does_not_show_them_again(table):
    table.verified(1)
    first = table.verified(1, 24)
    older = table.converted(first)
    table.publish(first, older)
    table.put(26, "b", colour={"S": "red"})
    table.until(49)
    second = table.verified(24, 48)
    newer = table.converted(first, second)
    for entry in (first, second):
        table.publish(entry, newer)
    newest = shown(table)
    table.publish(first, older)
    assert shown(table) == newest


def test_a_replaced_window_goes_when_all_that_replaces_it_is_verified(table):
    table.verified(1)
    neighbour = table.verified(1, 3)
    table.publish(neighbour, table.converted(neighbour))
    (old,) = shown(table)
    first, second = [
        table.ledger.claim(
            [replace(table.wanted(*stretch), supersedes=(neighbour.subject,))], table.table_id, table.now
        )[0]
        for stretch in ((1, 2), (2, 4))
    ]
    early = table.work.verify(first, table.export(first), None, table.now)
    with pytest.raises(ConversionError, match="together with another window, which is not verified yet"):
        table.publish(early, table.converted(early))
    assert shown(table) == [old]
    late = table.work.verify(second, table.export(second), None, table.now)
    for entry in (early, late):
        table.publish(entry, table.converted(entry))
    assert old not in shown(table)
    assert len(shown(table)) == 2
