"""The text of the helper views, and what it answers for random histories in a DuckDB that knows nothing of us."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st

from ddb_export.domain.athena_types import athena_type
from ddb_export.domain.layout import changes_partition, snapshot_partition
from ddb_export.domain.utc import compact
from ddb_export.domain.views import (
    LONGEST_STATEMENT,
    CatalogTable,
    HelperViews,
    KeyColumn,
    LatestState,
    View,
    digest_in,
)

START = datetime(2026, 3, 1, tzinfo=UTC)
OWN = {"_table_id": "string", "_overflow": "string"}
CHANGES = {"_op": "string", "_written_at": "timestamp", "_old_image": "string", "_ttl_expired": "boolean", **OWN}
DUCKDB = {"string": "VARCHAR", "bigint": "BIGINT", "timestamp": "TIMESTAMP", "boolean": "BOOLEAN"}


def hour(number: int) -> datetime:
    return START + timedelta(hours=number)


def helper(snapshots: dict[str, str] | None, changes: dict[str, str] | None, key: str = "pk") -> HelperViews:
    return HelperViews(
        "lake",
        "orders",
        [KeyColumn(key, key)],
        None if snapshots is None else CatalogTable("orders_snapshots", {**OWN, **snapshots}),
        None if changes is None else CatalogTable("orders_changes", {**CHANGES, **changes}),
    )


def view(name: str, views: list[View]) -> View:
    return next(each for each in views if each.name == f"orders_{name}")


@pytest.mark.parametrize(
    ("glue_type", "wanted"),
    [
        ("string", "varchar"),
        ("bigint", "bigint"),
        ("binary", "varbinary"),
        ("timestamp", "timestamp(3)"),
        ("decimal(38,2)", "decimal(38,2)"),
        ("array<decimal(38,2)>", "array(decimal(38,2))"),
        ("struct<a:bigint,b:array<struct<c:string>>>", 'row("a" bigint, "b" array(row("c" varchar)))'),
    ],
)
def test_types_in_athenas_words(glue_type: str, wanted: str) -> None:
    assert athena_type(glue_type) == wanted


def test_a_view_needs_what_it_is_made_from() -> None:
    state = LatestState("t", hour(1))
    both = helper({"pk": "string"}, {"pk": "string"})
    assert [each.name for each in both.views(state)] == ["orders_latest", "orders_history", "orders_overflow"]
    assert [each.name for each in both.views(None)] == ["orders_history", "orders_overflow"]
    assert [each.name for each in helper(None, {"pk": "string"}).views(state)] == ["orders_history", "orders_overflow"]
    assert helper(None, None).views(state) == []


def test_the_digest_follows_from_the_text_and_is_found_again() -> None:
    first = view("history", helper({"pk": "string"}, None).views(None))
    same = view("history", helper({"pk": "string"}, None).views(None))
    other = view("history", helper({"pk": "string", "n": "bigint"}, None).views(None))
    assert first == same
    assert first.digest != other.digest
    assert digest_in(first.query) == first.digest
    assert digest_in("SELECT 1") is None


def test_columns_with_the_names_of_a_view_keep_theirs() -> None:
    columns = {
        "pk": "string",
        "_at": "string",
        "_version": "string",
        "_source": "string",
        "_place": "string",
        "_end": "string",
    }
    for each in helper(columns, columns).views(LatestState("t", hour(1))):
        tree = sqlglot.parse_one(each.query, dialect="athena").find(sqlglot.exp.Select)
        assert tree is not None
        names = [projection.alias_or_name for projection in tree.expressions]
        assert len(names) == len(set(names))
    assert '"_at_"' in view("history", helper(columns, columns).views(None)).query


def test_a_text_that_athena_would_not_take_does_not_fit() -> None:
    many = {"pk": "string", **{f"{'c' * 200}{number}": "string" for number in range(1000)}}
    assert not view("history", helper(many, many).views(None)).fits
    few = view("history", helper({"pk": "string"}, None).views(None))
    assert few.fits
    assert len(few.statement) < LONGEST_STATEMENT


def in_duckdb(view: View, snapshots: list[dict[str, Any]], changes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Translate a view's query, and ask it of tables that hold these rows."""
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA lake")
        for name, columns, keys, rows in (
            ("orders_snapshots", {**OWN, "pk": "string", "n": "bigint"}, ["export_time"], snapshots),
            (
                "orders_changes",
                {**CHANGES, "pk": "string", "n": "bigint", "more": "string"},
                ["dt", "export_window"],
                changes,
            ),
        ):
            types = {**{column: DUCKDB[kind] for column, kind in columns.items()}, **dict.fromkeys(keys, "VARCHAR")}
            declared = ", ".join(f'"{column}" {kind}' for column, kind in types.items())
            connection.execute(f"CREATE TABLE lake.{name} ({declared})")
            for row in rows:
                marks = ", ".join("?" for _ in types)
                connection.execute(f"INSERT INTO lake.{name} VALUES ({marks})", [row.get(column) for column in types])
        found = connection.sql(sqlglot.parse_one(view.query, dialect="athena").sql(dialect="duckdb"))
        return [dict(zip(found.columns, values, strict=True)) for values in found.fetchall()]


@st.composite
def histories(draw: st.DrawFn) -> tuple[int, list[dict[str, Any]], list[dict[str, Any]]]:
    """Draw the hour of a base, rows of snapshots, and rows of windows that begin every hour, some before the base."""
    base = draw(st.integers(1, 3))
    keys = st.sampled_from(["a", "b", "c"])
    table_ids = st.sampled_from(["t", "t", "t", "earlier"])
    snapshots = [
        {"pk": key, "n": draw(st.integers(0, 9)), "_table_id": "t", "export_time": compact(hour(moment))}
        for moment in {base, draw(st.integers(1, 5))}
        for key in sorted(draw(st.sets(keys)))
    ]
    changes = []
    for number in range(6):
        partition = changes_partition(hour(number), hour(number + 1)).split("/")
        for key in sorted(draw(st.sets(keys))):
            operation = draw(st.sampled_from(["INSERT", "MODIFY", "REMOVE"]))
            changes.append({
                "pk": key,
                "n": None if operation == "REMOVE" else draw(st.integers(10, 99)),
                "_op": operation,
                "_table_id": draw(table_ids),
                "_written_at": (hour(number) + timedelta(minutes=draw(st.integers(0, 59)))).replace(tzinfo=None),
                "dt": partition[1].removeprefix("dt="),
                "export_window": partition[2].removeprefix("export_window="),
            })  # fmt: skip
    return base, snapshots, changes


@settings(max_examples=25, deadline=None)
@given(histories(), st.none() | st.integers(3, 6))
def test_latest_is_the_snapshot_with_all_later_windows(history: Any, complete_to: int | None) -> None:
    base, snapshots, changes = history
    state = LatestState("t", hour(base), None if complete_to is None else hour(complete_to))
    found = in_duckdb(view("latest", helper_of_both().views(state)), snapshots, changes)
    wanted = {row["pk"]: row["n"] for row in snapshots if row["export_time"] == compact(hour(base))}
    limit = compact(hour(99 if complete_to is None else complete_to))
    for row in changes:
        end = row["export_window"].split("-")[1]
        if compact(hour(base)) < end <= limit and row["_table_id"] == "t":
            wanted[row["pk"]] = row["n"]
            if row["_op"] == "REMOVE":
                del wanted[row["pk"]]
    assert {row["pk"]: row["n"] for row in found} == wanted
    assert len(found) == len(wanted)


@settings(max_examples=12, deadline=None)
@given(histories())
def test_history_has_every_row_in_its_place(history: Any) -> None:
    _, snapshots, changes = history
    found = in_duckdb(view("history", helper_of_both().views(None)), snapshots, changes)
    assert len(found) == len(snapshots) + len(changes)
    for table_id, key in {(row["_table_id"], row["pk"]) for row in found}:
        rows = [row for row in found if (row["_table_id"], row["pk"]) == (table_id, key)]
        rows.sort(key=lambda row: row["_version"])
        assert [row["_version"] for row in rows] == list(range(1, len(rows) + 1))
        assert [row["_at"] for row in rows] == sorted(row["_at"] for row in rows)


def helper_of_both() -> HelperViews:
    return helper({"pk": "string", "n": "bigint"}, {"pk": "string", "n": "bigint", "more": "string"})


def test_seconds_in_an_export_time_are_read() -> None:
    moment = hour(1) + timedelta(seconds=30)
    assert snapshot_partition(moment) == "snapshots/export_time=20260301T010030Z"
    rows = [{"pk": "a", "n": 1, "_table_id": "t", "export_time": compact(each)} for each in (hour(1), moment)]
    found = in_duckdb(view("history", helper_of_both().views(None)), rows, [])
    assert sorted(row["_at"] for row in found) == [each.replace(tzinfo=None) for each in (hour(1), moment)]


def test_other_types_are_another_digest_of_the_same_query() -> None:
    state = LatestState("t", hour(1))
    narrow, wide = ({"pk": "string", "n": each} for each in ("bigint", "decimal(38,2)"))
    before, after = helper(narrow, narrow).views(state), helper(wide, wide).views(state)
    for name in ("latest", "history"):
        assert view(name, before).digest != view(name, after).digest
        assert (
            view(name, before).query.replace(view(name, before).digest, view(name, after).digest)
            == view(name, after).query
        )
    assert view("overflow", before) == view("overflow", after), "it shows keys only"


def test_a_column_of_two_types_is_shown_with_that_of_the_schema_document() -> None:
    narrow, wide = ({"pk": "string", "n": each} for each in ("bigint", "decimal(38,2)"))
    for snapshots, changes in ((narrow, wide), (wide, narrow)):
        tables = replace(helper(snapshots, changes), schema_types=wide)
        assert tables.attribute_columns["n"] == "decimal(38,2)"
        for each in tables.views(LatestState("t", hour(1))):
            assert "AS bigint" not in each.query
