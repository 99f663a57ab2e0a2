"""Widenings that must not be carried out: because values would vanish, or because nobody asks for them any more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from ddb_export.domain.contract import ColumnRule, Contract, OnViolation
from ddb_export.domain.widening import Widening
from ddb_export.domain.wider_columns import Wish
from ddb_export.exceptions import ConversionError, DdbExportError
from ddb_export.pipeline.ledger import Ledger
from ddb_export.pipeline.tasks import TableWork
from ddb_export.pipeline.widening import TableWidening
from ddb_export.pipeline.widening_records import WideningRecords
from local_aws.client import Lab
from tests.pipeline.tables import LakeTable

COUNTS = "SELECT count(*), count(n) FROM orders_snapshots"
NARROW = (ColumnRule("n", "bigint"),)


class DeadError(DdbExportError):
    """The process is gone."""

    def __init__(self) -> None:
        super().__init__("process", "it died", "widen again")


@pytest.fixture
def table(lab: Lab, account: str, aws: Callable[..., Any]) -> LakeTable:
    """Eight items, published with a fraction in each ``n``, and one more text in the second window."""
    made = LakeTable(lab, account, aws)
    for number in range(8):
        made.put(1 + number, f"p{number}", n={"N": f"{number}.5"})
    made.until(30)
    made.published(12)
    assert made.query(COUNTS) == [["8", "8"]]
    return made


def widening(table: LakeTable, *rules: ColumnRule, ledger: Ledger | None = None, **contract: Any) -> TableWidening:
    work = TableWork(ledger or table.ledger, table.store, Contract(rules, **contract))
    return TableWidening(work, table.glue)


def run(table: LakeTable, it: TableWidening, **wish: Any) -> Widening:
    return it.run(it.plan(Wish(**wish), table.now), lambda: table.now)


def ended(table: LakeTable) -> Iterator[str | None]:
    records = WideningRecords(table.ledger)
    for path in records.documents.paths("widening/"):
        document = records.documents.read(path, Widening.from_json)
        assert document is not None
        yield document.ended


@pytest.mark.parametrize("wish", [{}, {"names": ("n",), "retype": True}])
def test_rows_do_not_vanish_into_quarantine(table: LakeTable, wish: Any) -> None:
    """Neither by a narrower type that is declared nor by another type that is asked for."""
    rules = () if wish else NARROW
    for number in range(9 if wish else 0):
        table.put(31 + number / 10, f"q{number}", n={"S": "text"})
    if wish:
        table.until(60)
        table.published(24, 48)
    strict = widening(table, *rules, on_violation=OnViolation.QUARANTINE, quarantine_limit="0")
    (risk,) = strict.plan(Wish(**wish), table.now).risks
    assert (risk.column, risk.values, risk.exact) == ("n", 8, bool(wish))
    with pytest.raises(ConversionError) as caught:
        run(table, strict, **wish)
    assert "8 of 8 lines were quarantined, more than contract.quarantine_limit (0) allows" in str(caught.value)
    assert "widening 1 is given up" in str(caught.value)
    assert table.query(COUNTS) == [["8", "8"]]
    assert (list(ended(table)), table.ledger.read_schema().version) == (["abandoned"], 1)
    allowed = widening(table, *rules, on_violation=OnViolation.QUARANTINE, quarantine_limit="8")
    assert run(table, allowed, **wish).ended == "done"
    assert table.query(COUNTS) == [["0", "0"]]
    assert list(ended(table)) == ["abandoned", "done"]


def test_what_readers_miss_already_is_not_too_much(table: LakeTable) -> None:
    """A limit that came later keeps nobody from taking a value out of what was published before."""
    contract = Contract((ColumnRule("n", "bigint"), ColumnRule("x", drop=True)), on_violation=OnViolation.QUARANTINE)
    run(table, TableWidening(replace(table.work, contract=contract), table.glue))
    assert table.query(COUNTS) == [["0", "0"]]
    later = replace(contract, rules=(*NARROW, ColumnRule("n2", drop=True)), quarantine_limit="0")
    assert run(table, TableWidening(replace(table.work, contract=later), table.glue)).ended == "done"


def test_a_type_that_nobody_declares_any_more_is_not_carried_out(table: LakeTable) -> None:
    strict = widening(table, *NARROW, on_violation=OnViolation.FAIL)
    with pytest.raises(ConversionError, match=r"attribute 'n': the value does not fit .* widening 1 is given up"):
        run(table, strict)
    assert widening(table).plan(Wish(), table.now).is_empty
    assert (table.query(COUNTS), list(ended(table))) == ([["8", "8"]], ["abandoned"])


def interrupted(table: LakeTable, *rules: ColumnRule, after: bool = False, **wish: Any) -> None:
    """Begin a widening that dies right before it makes its columns current, or right after."""

    class Dying(Ledger):
        def change_schema(self, schema: Any) -> bool:
            if after:
                super().change_schema(schema)
            raise DeadError

    dying = widening(table, *rules, ledger=Dying(table.store, table.ledger.lake))
    with pytest.raises(DeadError):
        run(table, dying, **wish)


def test_one_that_was_interrupted_is_asked_of_the_contract_again(table: LakeTable) -> None:
    interrupted(table, *NARROW)
    gone = widening(table)
    plan = gone.plan(Wish(), table.now)
    assert (plan.is_empty, plan.under_way, plan.entries) == (False, False, ())
    assert "no contract declares bigint for column n any more" in plan.outdated_because
    assert gone.run(plan, lambda: table.now).ended == "abandoned"
    assert gone.plan(Wish(), table.now).is_empty
    assert table.query(COUNTS) == [["8", "8"]]
    interrupted(table, *NARROW)
    other = widening(table, ColumnRule("n", "decimal(38,3)"))
    plan = other.plan(Wish(), table.now)
    assert [str(each) for each in plan.decision.changes] == ["n: decimal(38,1) becomes decimal(38,3)"]
    assert other.run(plan, lambda: table.now).ended == "done"
    assert list(ended(table)) == ["abandoned", "abandoned", "done"]
    assert table.query(COUNTS) == [["8", "8"]]


def test_one_that_the_contract_still_wants_goes_on_and_so_does_one_that_a_person_asked_for(table: LakeTable) -> None:
    interrupted(table, ColumnRule("n", "decimal(38,3)"))
    assert widening(table, ColumnRule("n", "decimal(38,3)")).plan(Wish(), table.now).under_way
    assert run(table, widening(table, ColumnRule("n", "decimal(38,3)"))).ended == "done"
    for number in range(9):
        table.put(31 + number / 10, f"q{number}", n={"S": "text"})
    table.until(60)
    table.published(24, 48)
    interrupted(table, names=("n",), retype=True)
    assert run(table, widening(table)).ended == "done"
    assert table.ledger.read_schema().columns[0].dynamodb_type == "S"


def test_one_that_is_current_goes_on_whatever_the_contract_says_and_whoever_gave_it_up(table: LakeTable) -> None:
    interrupted(table, *NARROW, after=True)
    (begun,) = [widening(table).under_way()]
    assert begun is not None
    records = WideningRecords(table.ledger)
    assert records.give_up(begun).ended is None
    records.end(begun, "abandoned")
    assert widening(table).under_way() == begun, "it was given up before its columns became current"
    assert widening(table).plan(Wish(), table.now).under_way
    assert widening(table).finish_switch(lambda: table.now)
    assert (list(ended(table)), widening(table).under_way()) == (["done"], None)
    assert table.query(COUNTS) == [["8", "0"]]
