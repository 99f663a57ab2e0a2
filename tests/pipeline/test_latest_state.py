"""What readers make of base and changes: the table's own state, whatever was deleted, written again or published late."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from local_aws.client import Lab
from tests.pipeline.tables import LakeTable

LATEST = """
WITH latest AS (
  SELECT *, row_number() OVER (PARTITION BY pk, sk ORDER BY export_window DESC) AS newest FROM orders_changes
)
SELECT pk, sk, n FROM latest WHERE newest = 1 AND _op <> 'REMOVE'
UNION ALL
SELECT pk, sk, n FROM orders_snapshots s
WHERE NOT EXISTS (SELECT 1 FROM orders_changes c WHERE c.pk = s.pk AND c.sk = s.sk)
ORDER BY 1, 2
"""


def number(value: int) -> dict[str, str]:
    return {"N": str(value)}


@pytest.fixture
def table(lab: Lab, account: str, aws: Callable[..., Any]) -> LakeTable:
    """Two windows over a base, the first with all that can befall one key in one window."""
    made = LakeTable(lab, account, aws)
    made.put(1.02, "again", n=number(1))
    made.put(1.03, "gone", n=number(2))
    made.put(1.04, "kept", sk=1, n=number(3))
    made.put(1.05, "kept", sk=2, n=number(4))
    made.delete(25.06, "again")
    made.delete(25.07, "gone")
    made.delete(25.08, "never seen")
    made.put(26.09, "brief", n=number(5))
    made.delete(27.10, "brief")
    made.put(28.11, "again", n=number(6))
    made.put(29.12, "kept", sk=2, n=number(7))
    made.put(49.13, "again", n=number(8))
    made.put(50.14, "gone", n=number(9))
    made.until(80)
    return made


def truth(table: LakeTable) -> list[list[str]]:
    items = table.aws("dynamodb").scan(TableName=table.name)["Items"]
    return sorted([item["pk"]["S"], item["sk"]["N"], item["n"]["N"]] for item in items)


@pytest.mark.scenario("F25", "F26")
def test_deleted_and_written_again_in_one_window(table):
    for start, end in ((24, None), (24, 48), (48, 72)):
        table.published(start, end)
    assert table.query(LATEST) == truth(table)
    operations = table.query("SELECT pk, _op, n FROM orders_changes WHERE dt = '2026-03-02' ORDER BY pk, sk")
    assert [each for each in operations if each[0] == "again"] == [["again", "MODIFY", "6"]]
    assert ["gone", "REMOVE", None] in operations
    assert "never seen" not in {pk for pk, _, _ in operations}


@pytest.mark.scenario("F26")
@pytest.mark.parametrize("again", [False, True], ids=["published late", "exported again"])
def test_an_older_window_is_replayed_after_a_newer_one(table, again):
    table.published(24)
    first = table.published(24, 48) if again else None
    table.published(48, 72)
    if first is None:
        table.published(24, 48)
    else:
        claim = table.ledger.next_attempt(table.ledger.claim_of(first.export), table.table_id, table.now, "asked for")
        entry = table.work.verify(claim, table.export(claim), None, table.now)
        assert table.publish(entry, table.converted(entry)).export != first.export
    assert table.query(LATEST) == truth(table)
