"""Which columns become wider, as properties of random exports; what a widening's document holds."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddb_export.conversion.cells import ItemEncoder
from ddb_export.conversion.statistics_collector import StatisticsCollector
from ddb_export.domain.contract import ColumnRule, Contract
from ddb_export.domain.cost import prices_of
from ddb_export.domain.evidence import PublishedEntry, VerifiedEntry
from ddb_export.domain.overflow import overflow_lines, overflow_reasons
from ddb_export.domain.schema import Column, SchemaDocument
from ddb_export.domain.statistics import ExportStatistics, NumberWidth
from ddb_export.domain.widening import Widening, estimate_widening, stale_entries
from ddb_export.domain.wider_columns import ColumnChange, Decision, Wish, decide, wider_number
from ddb_export.exceptions import PlanError, UsageError

MOMENT = datetime(2026, 3, 1, tzinfo=UTC)
RANK = ["int64", "decimal", "string"]

digits = st.integers(0, 10**38 - 1).map(str)
numbers = st.one_of(
    st.integers(-(10**20), 10**20).map(str),
    st.tuples(digits, st.integers(-60, 30)).map(lambda pair: f"{pair[0]}E{pair[1]}"),
)
values = st.one_of(
    numbers.map(lambda number: {"N": number}),
    st.lists(numbers, min_size=1, max_size=3, unique_by=Decimal).map(lambda found: {"NS": found}),
    st.text(max_size=3).map(lambda text: {"S": text}),
    st.just({"NULL": True}),
    st.just({"M": {"a": {"SS": ["x"]}}}),
)
exports = st.lists(
    st.lists(st.dictionaries(st.sampled_from("abcde"), values, max_size=4), min_size=1, max_size=5),
    min_size=1,
    max_size=4,
)


def statistics_of(items: list[dict[str, Any]]) -> ExportStatistics:
    collector = StatisticsCollector()
    for item in items:
        collector.lines += 1
        collector.add(item)
    return collector.statistics()


def overflow_of(items: list[dict[str, Any]], schema: SchemaDocument) -> dict[str, int]:
    encoder = ItemEncoder(schema.columns)
    counted: dict[str, int] = {}
    for item in items:
        for name, value in encoder.encode(item)[1].items():
            if "NULL" not in value:
                counted[name] = counted.get(name, 0) + 1
    return counted


def entry(number: int, overflowed: Any, version: int = 1) -> PublishedEntry:
    return PublishedEntry(
        "changes", f"w{number}-a1", "g", "s3://", f"p{number}", "d.t", 1, 1, 0, 1, version, "f", MOMENT, overflowed
    )


def published(
    found: list[list[dict[str, Any]]], limit: int
) -> tuple[SchemaDocument, list[PublishedEntry], ExportStatistics]:
    """Exports as runs publish them, one after the other."""
    schema, entries, seen = SchemaDocument(), [], []
    for number, items in enumerate(found):
        statistics = statistics_of(items)
        schema = schema.extend(statistics, column_limit=limit)
        entries.append(entry(number, overflow_reasons(overflow_of(items, schema), statistics, schema), schema.version))
        seen.append(statistics)
    return schema, entries, ExportStatistics.merge_all(seen)


@given(exports, st.integers(1, 5))
def test_afterwards_only_that_overflows_which_the_decision_says_stays(found, limit):
    schema, entries, seen = published(found, limit)
    decision = decide(schema, overflow_lines(entries, schema), seen, Wish(), contract=Contract(column_limit=limit))
    widening = Widening(1, schema.version, decision.changes, decision.added, decision.refilled, MOMENT)
    wider = widening.apply(schema)
    assert [column.name for column in wider.columns[: len(schema.columns)]] == [each.name for each in schema.columns]
    left: dict[tuple[str, str], int] = {}
    for each in decision.left:
        left[each.line.attribute, str(each.reason)] = each.line.reasons[each.reason]
    again: dict[tuple[str, str], int] = {}
    for items in found:
        for name, reasons in overflow_reasons(overflow_of(items, wider), statistics_of(items), wider).items():
            for reason, rows in reasons.items():
                again[name, reason] = again.get((name, reason), 0) + rows
    told = {name for name, _ in left} | _grown(decision)
    assert {name for name, reason in again if reason != "no_column"} <= told
    assert not any(reason == "too_wide" for name, reason in again if name not in _grown(decision))
    for before, after in zip(schema.columns, wider.columns, strict=False):
        assert before.dynamodb_type == after.dynamodb_type


def _grown(decision: Decision) -> set[str]:
    return {column.attribute for column in decision.added} | set(decision.refilled)


@given(
    st.sampled_from(["int64", "decimal128(38, 2)", "decimal128(38, 30)", "string"]),
    st.integers(0, 60),
    st.integers(0, 60),
)
def test_numbers_never_become_narrower(current, integers, fractions):
    wider = wider_number(current, NumberWidth(integers, fractions))
    rank = [RANK.index(kind.split("128", maxsplit=1)[0]) for kind in (current, wider)]
    assert rank[0] <= rank[1]
    if rank == [1, 1]:
        assert int(current[:-1].split(", ")[1]) <= int(wider[:-1].split(", ")[1])
    assert wider_number(wider, NumberWidth(integers, fractions)) == wider


COLUMN = Column("n", "n", "N", "int64")
SCHEMA = SchemaDocument(1, (COLUMN, Column("s", "s", "S", "string")))


def decided(overflowed: Any, statistics: ExportStatistics, **wish: Any) -> Decision:
    return decide(SCHEMA, overflow_lines([entry(0, overflowed)], SCHEMA), statistics, Wish(**wish))


def test_where_not_all_is_known_a_column_is_taken_to_be_full():
    statistics = statistics_of([{"n": {"N": "0.5"}}])
    lines = overflow_lines([entry(0, {"n": {"too_wide": 1}})], SCHEMA)
    assert decide(SCHEMA, lines, statistics, Wish()).changes[0].after.arrow_type == "decimal128(38, 1)"
    long = statistics_of([{"n": {"N": "1E-30"}}])
    assert decide(SCHEMA, lines, long, Wish()).changes[0].after.arrow_type == "decimal128(38, 30)"
    assert decide(SCHEMA, lines, long, Wish(), all_known=False).changes[0].after.arrow_type == "string"


def test_only_what_is_named():
    statistics = statistics_of([{"n": {"N": "0.5"}, "s": {"N": "1"}}, {"s": {"N": "2"}}])
    overflowed = {"n": {"too_wide": 1}, "s": {"other_type": 2}}
    assert decided(overflowed, statistics, names=("s",)).is_empty
    assert [str(each) for each in decided(overflowed, statistics, names=("s",), retype=True).changes] == [
        "s: string becomes bigint"
    ]
    with pytest.raises(UsageError, match="see ddb-export gaps"):
        decided(overflowed, statistics, names=("t",))


def test_what_the_contract_declares_is_done_and_nothing_beyond():
    statistics = statistics_of([{"n": {"N": "0.55"}}])
    lines = overflow_lines([entry(0, {"n": {"too_wide": 1}})], SCHEMA)
    contract = Contract((ColumnRule("n", "decimal(38,1)"),))
    decision = decide(SCHEMA, lines, statistics, Wish(), contract=contract)
    assert [str(each) for each in decision.changes] == ["n: bigint becomes decimal(38,1)"]
    assert "contract.columns" in decision.left[0].cause


def widening_of(**fields: Any) -> Widening:
    wider = replace(COLUMN, arrow_type="string")
    return Widening(**{
        "number": 1, "from_version": 1, "changes": (ColumnChange(COLUMN, wider),), "added": (Column("x", "X", "S", "string"),),
        "refilled": ("s",), "decided_at": MOMENT, **fields,
    })  # fmt: skip


def test_document_comes_back_and_newer_forms_are_refused():
    widening = widening_of(ended="done", to_version=4)
    assert Widening.from_json(widening.to_json()) == widening
    with pytest.raises(ValueError, match="format 2"):
        Widening.from_json({**widening.to_json(), "format": 2})


def test_an_outdated_decision_is_refused():
    widening = widening_of()
    once = widening.apply(SCHEMA)
    assert widening.apply(once) is once
    assert once.version == 2
    other = replace(SCHEMA, columns=(replace(COLUMN, arrow_type="decimal128(38, 2)"), SCHEMA.columns[1]))
    with pytest.raises(PlanError, match=r"column n is decimal\(38,2\) by now"):
        widening.apply(other)
    taken = replace(SCHEMA, columns=(*SCHEMA.columns, Column("x", "x", "N", "int64")))
    with pytest.raises(PlanError, match="took the name"):
        widening.apply(taken)


def test_partitions_without_the_column_are_left_alone():
    widening = widening_of(changes=(), refilled=())
    without = SchemaDocument(1, ())
    entries = [entry(0, {}), entry(1, {"X": {"no_column": 1}}), entry(2, None), entry(3, {"": {"no_column": 1}})]
    stale = stale_entries(widening, entries, {"w2-a1"}, lambda _: without)
    assert [each.export for each in stale] == ["w1-a1", "w3-a1"]
    changed = widening_of(added=(), refilled=())
    assert stale_entries(changed, entries, (), lambda _: without) == []
    assert len(stale_entries(changed, entries, (), lambda _: SCHEMA)) == 4


def test_price_is_of_requests_alone():
    assert estimate_widening([], prices_of("us-east-1")).usd == 0
    verified = VerifiedEntry(**{**dict.fromkeys(VerifiedEntry.__dataclass_fields__), "files": 4, "bytes_read": 10**9})  # type: ignore[arg-type]
    estimated = estimate_widening([verified] * 365, prices_of("us-east-1"))
    assert (estimated.partitions, estimated.files, estimated.bytes_read) == (365, 1460, 365 * 10**9)
    assert Decimal("0.01") < estimated.usd < Decimal(1)
