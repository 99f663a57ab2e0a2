"""Widening in the lab: what readers see before, after, and whenever the process dies; what runs do meanwhile."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from ddb_export.aws.glue import GlueGateway
from ddb_export.conversion.inverse import read_items
from ddb_export.domain.widening import Widening
from ddb_export.domain.wider_columns import Wish
from ddb_export.exceptions import ClaimConflictError, DdbExportError, UsageError, VerificationError
from ddb_export.pipeline.ledger import Ledger
from ddb_export.pipeline.tasks import TableWork
from ddb_export.pipeline.widening import OUTPUTS, TableWidening
from local_aws.client import Lab
from tests.pipeline.tables import LakeTable

SUM = "SELECT CAST(sum(n) AS varchar), count(n), count(*) FROM orders_changes"


@pytest.fixture
def table(lab: Lab, account: str, aws: Callable[..., Any]) -> LakeTable:
    """A base and three windows: integers first, a fraction in the second window, a text in the third."""
    made = LakeTable(lab, account, aws)
    made.put(1, "a", n={"N": "1"}, tag={"S": "x"})
    made.put(13, "a", n={"N": "2"})
    made.put(25, "b", n={"N": "2.25"})
    made.put(37, "c", n={"S": "many"})
    made.until(60)
    for window in ((12,), (12, 24), (24, 36), (36, 48)):
        made.published(*window)
    return made


def widening(table: LakeTable) -> TableWidening:
    return TableWidening(table.work, table.glue)


def widen(table: LakeTable, **wish: Any) -> Widening:
    done = widening(table)
    return done.run(done.plan(Wish(**wish), table.now), lambda: table.now)


def types(table: LakeTable, output: str = "changes") -> dict[str, str]:
    """Types of the columns of a Glue table."""
    found = table.aws("glue").get_table(DatabaseName="lake", Name=f"orders_{output}")["Table"]
    return {column["Name"]: column["Type"] for column in found["StorageDescriptor"]["Columns"]}


def partitions(table: LakeTable, output: str) -> dict[str, tuple[str, str]]:
    """Partition → location and the type of ``n``."""
    pages = table.aws("glue").get_partitions(DatabaseName="lake", TableName=f"orders_{output}")["Partitions"]
    found = {}
    for each in pages:
        storage = each["StorageDescriptor"]
        kinds = {column["Name"]: column["Type"] for column in storage["Columns"]}
        found[each["Values"][-1]] = (storage["Location"], kinds["n"])
    return found


def items(table: LakeTable, tmp_path: Any) -> list[Any]:
    """All items that readers by path see, rebuilt from their rows."""
    found = []
    root = table.ledger.lake.root
    for stored in table.store.list_objects(f"{root}/"):
        if stored.key.endswith("_live.json"):
            live = json.loads(table.store.read(stored.key).content)
            for each in live["files"]:
                file = tmp_path / "part.parquet"
                file.write_bytes(table.store.read(stored.key.replace("_live.json", each["path"])).content)
                found += list(read_items(file))
    return sorted(found, key=lambda item: json.dumps(item, sort_keys=True))


def test_overflow_is_recorded_with_its_reason(table):
    entries = {each.export: each.overflowed for each in table.ledger.published_entries(("snapshots", "changes"))}
    assert sorted(map(str, entries.values())) == [
        "{'n': {'other_type': 1}}",
        "{'n': {'too_wide': 1}}",
        "{}",
        "{}",
    ]


def test_a_column_takes_what_overflowed_and_no_item_changes(table, tmp_path):
    before = items(table, tmp_path)
    assert table.query(SUM) == [["2", "1", "3"]]
    plan = widening(table).plan(Wish(), table.now)
    assert [str(each) for each in plan.decision.changes] == ["n: bigint becomes decimal(38,2)"]
    assert [left.reason for left in plan.decision.left] == ["other_type"]
    assert (len(plan.entries), plan.scanned, plan.under_way) == (4, 0, False)
    done = widen(table)
    assert (done.ended, done.number) == ("done", 1)
    assert table.query(SUM) == [["4.25", "2", "3"]]
    for output in ("snapshots", "changes"):
        assert types(table, output)["n"] == "decimal(38,2)"
        assert {kind for _, kind in partitions(table, output).values()} == {"decimal(38,2)"}
    assert table.query("SELECT _overflow FROM orders_changes WHERE pk = 'c'") == [['{"n":{"S":"many"}}']]
    assert items(table, tmp_path) == before
    assert widening(table).plan(Wish(), table.now).is_empty
    assert len(table.started()) == 4


def test_a_plan_writes_nothing(table):
    before = {each.key: each.etag for each in table.store.list_objects("")}
    widening(table).plan(Wish(), table.now)
    assert {each.key: each.etag for each in table.store.list_objects("")} == before


def test_a_new_window_after_a_widening_fits(table):
    widen(table)
    table.put(61, "d", n={"N": "0.5"})
    table.until(90)
    assert table.published(48, 72).overflowed == {}
    assert table.query(SUM) == [["4.75", "3", "4"]]


def test_text_holds_what_no_decimal_does(table):
    table.put(61, "d", n={"N": "1E-60"})
    table.until(90)
    table.published(48, 72)
    widen(table)
    assert types(table)["n"] == "string"
    assert table.query("SELECT n FROM orders_changes WHERE n IS NOT NULL ORDER BY length(n)")[:2] == [["2"], ["2.25"]]


def test_the_type_of_most_values_only_when_asked(table):
    for number in range(3):
        table.put(61 + number / 100, f"d{number}", n={"S": "text"})
    table.until(90)
    table.published(48, 72)
    done = widen(table, names=("n",), retype=True)
    assert [str(each) for each in done.changes] == ["n: bigint becomes string"]
    assert table.query("SELECT pk, n FROM orders_changes WHERE pk IN ('b', 'c')  ORDER BY pk") == [
        ["b", None],
        ["c", "many"],
    ]
    assert table.query("SELECT _overflow FROM orders_changes WHERE pk = 'b'") == [['{"n":{"N":"2.25"}}']]


def test_unknown_name_is_refused(table):
    with pytest.raises(UsageError, match="neither a column nor an attribute"):
        widening(table).plan(Wish(names=("nope",)), table.now)


def test_attributes_past_the_limit_get_a_column_by_name(lab, account, aws):
    table = LakeTable(lab, account, aws)
    table.put(1, "a", 0, **{f"x{number:03d}": {"N": "1"} for number in range(1000)})
    table.until(30)
    table.published(12)
    assert "x999" not in types(table, "snapshots")
    plan = widening(table).plan(Wish(), table.now)
    assert plan.is_empty
    assert {left.reason for left in plan.decision.left} == {"no_column"}
    done = widen(table, names=("x999",))
    assert [column.attribute for column in done.added] == ["x999"]
    assert table.query("SELECT x999 FROM orders_snapshots") == [["1"]]


def test_raw_files_that_are_gone_refuse_the_plan(table):
    entry = table.verified(24, 36)
    (gone,) = [
        each.key
        for each in table.store.list_objects(entry.manifest_key.split("/AWSDynamoDB/")[0])
        if each.key.endswith(".json.gz")
    ][:1]
    table.store.delete(gone)
    with pytest.raises(VerificationError, match="restore them from the bucket's older versions"):
        widening(table).plan(Wish(), table.now)


def test_entries_of_before_overflow_was_counted_are_read_again(table):
    root = table.ledger.lake.key("ledger/")
    for stored in list(table.store.list_objects(f"{root}published/")):
        document = json.loads(table.store.read(stored.key).content)
        del document["overflowed"]
        table.store.put(stored.key, json.dumps(document).encode())
    for stored in list(table.store.list_objects(f"{root}statistics/")):
        table.store.delete(stored.key)
    plan = widening(table).plan(Wish(), table.now)
    assert [str(each) for each in plan.decision.changes] == ["n: bigint becomes decimal(38,2)"]
    assert plan.scanned == 4
    widen(table)
    assert table.query(SUM) == [["4.25", "2", "3"]]


class DeadError(DdbExportError):
    """The process is gone."""

    def __init__(self) -> None:
        super().__init__("process", "it died", "widen again")


@dataclass
class Life:
    """Calls that a process makes before it dies: before the call takes effect, or right after."""

    calls: int | None
    after: bool = False
    made: list[str] = field(default_factory=list)

    def call(self, name: str, method: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        if self.calls is not None and len(self.made) >= self.calls:
            if self.after and len(self.made) == self.calls:
                self.made.append(name)
                method(*arguments, **keywords)
            raise DeadError
        self.made.append(name)
        return method(*arguments, **keywords)


WRITES = ("put", "put_file", "put_if_absent", "put_if_match", "delete")
GLUE_WRITES = ("update_table", "batch_create_partition", "batch_update_partition", "create_table")


class Mortal:
    """Stands for an object; the calls that write are counted, and after the last one nothing works any more."""

    def __init__(self, inner: Any, life: Life, names: tuple[str, ...]) -> None:
        self._inner, self._life, self._names = inner, life, names

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in self._names:
            return found
        return lambda *arguments, **keywords: self._life.call(name, found, *arguments, **keywords)


def mortal(table: LakeTable, life: Life) -> TableWidening:
    store: Any = Mortal(table.store, life, WRITES)
    glue = GlueGateway(Mortal(table.aws("glue"), life, GLUE_WRITES))
    return TableWidening(TableWork(Ledger(store, table.ledger.lake), store), glue)


def answers(table: LakeTable) -> Iterator[list[list[str | None]] | str]:
    """What readers get: rows, or that the engine refuses; never anything else."""
    for sql in (SUM, "SELECT CAST(sum(n) AS varchar), count(n), count(*) FROM orders_snapshots"):
        try:
            yield table.query(sql)
        except AssertionError as error:
            assert "HIVE_PARTITION_SCHEMA_MISMATCH" in str(error)  # noqa: PT017
            yield "refused"


@dataclass
class Saved:
    """The lake and the catalog at one moment, which can be had again."""

    table: LakeTable
    objects: dict[str, bytes] = field(default_factory=dict)
    tables: list[tuple[dict[str, Any], list[dict[str, Any]]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for stored in self.table.store.list_objects("tables/"):
            self.objects[stored.key] = self.table.store.read(stored.key).content
        glue = self.table.aws("glue")
        for output in ("snapshots", "changes"):
            found = glue.get_table(DatabaseName="lake", Name=f"orders_{output}")["Table"]
            definition = {
                key: found[key] for key in ("Name", "TableType", "Parameters", "PartitionKeys", "StorageDescriptor")
            }
            kept = glue.get_partitions(DatabaseName="lake", TableName=found["Name"])["Partitions"]
            keys = ("Values", "StorageDescriptor", "Parameters")
            self.tables.append((definition, [{key: each[key] for key in keys} for each in kept]))

    def restore(self) -> None:
        """Make everything as it was."""
        there = {stored.key: stored.etag for stored in self.table.store.list_objects("tables/")}
        for key in there.keys() - self.objects.keys():
            self.table.store.delete(key)
        for key, content in self.objects.items():
            if there.get(key) != hashlib.md5(content, usedforsecurity=False).hexdigest():
                self.table.store.put(key, content)
        glue = self.table.aws("glue")
        for definition, kept in self.tables:
            glue.delete_table(DatabaseName="lake", Name=definition["Name"])
            glue.create_table(DatabaseName="lake", TableInput=definition)
            glue.batch_create_partition(DatabaseName="lake", TableName=definition["Name"], PartitionInputList=kept)


@pytest.fixture
def small(lab: Lab, account: str, aws: Callable[..., Any]) -> LakeTable:
    """A base and one window, whose number has a fraction."""
    made = LakeTable(lab, account, aws)
    made.put(1, "a", n={"N": "1"})
    made.put(13, "b", n={"N": "2.25"})
    made.until(60)
    for window in ((12,), (12, 24)):
        made.published(*window)
    return made


def test_killed_at_any_write_it_goes_on_and_readers_never_get_a_wrong_answer(small, tmp_path):
    """The process dies before each of its writes in turn; readers ask then; the next process goes on."""
    table = small
    before, saved = items(table, tmp_path), Saved(table)
    old, new = [[[None, "0", "1"]], [["1", "1", "1"]]], [[["2.25", "1", "1"]], [["1.00", "1", "1"]]]
    seen: list[Any] = []
    while True:
        life = Life(len(seen))
        dying = mortal(table, life)
        try:
            dying.run(dying.plan(Wish(), table.now), lambda: table.now)
            break
        except DeadError:
            seen.append(list(answers(table)))
            assert not any(ahead(table, output) for output in OUTPUTS), life.made
        assert [each.ended for each in (widen(table), *documents(table))] == ["done", "done"], life.made
        assert widening(table).under_way() is None, life.made
        assert {kind for output in OUTPUTS for _, kind in partitions(table, output).values()} == {"decimal(38,2)"}
        saved.restore()
    assert list(answers(table)) == new
    assert items(table, tmp_path) == before
    assert len(seen) > 12
    for place, phases in enumerate(zip(*seen, strict=True)):
        assert all(each in (old[place], new[place], "refused") for each in phases)
        order = [0 if each == old[place] else 1 if each == "refused" else 2 for each in phases]
        assert order == sorted(order), "the old answer, perhaps none, then the new one"
        assert order.count(1) <= 2, "an engine that casts nothing refuses between the table and its partitions only"


def ahead(table: LakeTable, output: str) -> bool:
    """Whether a partition has the new type and its table the old one: engines would cast wide values to the narrow type."""
    wide = [kind for _, kind in partitions(table, output).values() if kind != "bigint"]
    return types(table, output)["n"] == "bigint" and bool(wide)


def documents(table: LakeTable) -> list[Widening]:
    """All widenings of the ledger."""
    stored = table.store.list_objects(table.ledger.lake.key("ledger/widening/"))
    return [Widening.from_json(json.loads(table.store.read(each.key).content)) for each in stored]


def test_processes_that_die_one_after_the_other_get_there(table):
    deaths = 0
    while True:
        dying = mortal(table, Life(deaths, after=True))
        try:
            dying.run(dying.plan(Wish(), table.now), lambda: table.now)
            break
        except DeadError:
            deaths += 1
    assert deaths > 5
    assert table.query(SUM) == [["4.25", "2", "3"]]
    assert len(documents(table)) == 1


def test_one_at_a_time(table):
    first, second = widening(table), widening(table)
    mine, theirs = first.plan(Wish(), table.now), second.plan(Wish(), table.now)
    first._records.begin(mine.widening)
    with pytest.raises(ClaimConflictError, match="goes on with that one"):
        second.run(made_later(theirs), lambda: table.now)
    going_on = second.plan(Wish(names=("tag",)), table.now)
    assert going_on.under_way
    assert second.run(going_on, lambda: table.now).ended == "done"
    assert table.query(SUM) == [["4.25", "2", "3"]]


def made_later(plan: Any) -> Any:
    """A plan that was made later, so that its document differs."""
    return replace(plan, widening=replace(plan.widening, decided_at=plan.widening.decided_at + timedelta(seconds=1)))


def test_what_was_converted_to_the_old_types_is_converted_again_when_it_is_published(table):
    table.put(61, "d", n={"N": "0.5"})
    table.until(90)
    entry = table.verified(48, 72)
    groups = table.converted(entry)
    widen(table)
    done = table.publish(entry, groups)
    assert (done.schema_version, done.overflowed) == (table.ledger.read_schema().version, {})
    assert table.query(SUM) == [["4.75", "3", "4"]]


def test_columns_that_are_widened_while_an_export_is_published_are_its_columns_in_the_end(table):
    """The whole widening happens between a publisher's look at the columns and its write to Glue."""
    table.put(61, "d", n={"N": "0.5"})
    table.until(90)
    entry = table.verified(48, 72)
    groups = table.converted(entry)
    widened = []

    class Between(GlueGateway):
        def upsert_partitions(self, *arguments: Any) -> None:
            if not widened:
                widened.append(widen(table))
            super().upsert_partitions(*arguments)

    done = table.work.publish(entry, groups, Between(table.aws("glue")), "lake", table.now)
    assert (widened[0].ended, done.schema_version) == ("done", widened[0].to_version)
    assert {kind for _, kind in partitions(table, "changes").values()} == {"decimal(38,2)"}
    assert table.query(SUM) == [["4.75", "3", "4"]]


def test_a_run_that_publishes_old_types_until_the_last_moment_is_widened_too(table):
    """Its partition comes after the last look at what is published, before the columns become current."""
    table.put(61, "d", n={"N": "0.5"})
    table.until(90)
    entry = table.verified(48, 72)
    groups = table.converted(entry)

    class Late(Ledger):
        def change_schema(self, schema: Any) -> bool:
            table.publish(entry, groups)
            return super().change_schema(schema)

    late = TableWidening(TableWork(Late(table.store, table.ledger.lake), table.store), table.glue)
    late.run(late.plan(Wish(), table.now), lambda: table.now)
    assert {kind for _, kind in partitions(table, "changes").values()} == {"decimal(38,2)"}
    assert table.query(SUM) == [["4.75", "3", "4"]]


def test_a_new_column_of_another_run_stays(table):
    """Another run takes the schema's next number while partitions are rewritten."""
    table.put(61, "d", n={"N": "7"}, fresh={"S": "new"})
    table.until(90)
    entry = table.verified(48, 72)

    class Slow(Ledger):
        def change_schema(self, schema: Any) -> bool:
            table.publish(entry, table.converted(entry))
            return super().change_schema(schema)

    slow = TableWidening(TableWork(Slow(table.store, table.ledger.lake), table.store), table.glue)
    done = slow.run(slow.plan(Wish(), table.now), lambda: table.now)
    assert done.to_version == table.ledger.read_schema().version == 3
    assert table.query("SELECT fresh, CAST(n AS varchar) FROM orders_changes WHERE pk = 'd'") == [["new", "7.00"]]
    assert table.query(SUM) == [["11.25", "3", "4"]]


def test_whoever_publishes_finishes_what_another_began_to_switch(table):
    life = Life(None)
    dying = mortal(table, life)
    plan = dying.plan(Wish(), table.now)
    dying._records.documents.store = Mortal(table.store, Life(0), WRITES)
    with pytest.raises(DeadError):
        dying.run(plan, lambda: table.now)
    assert not widening(table).finish_switch(lambda: table.now), "nothing was decided"
    until_current = first_glue_write(table, plan)
    dying = mortal(table, Life(until_current))
    with pytest.raises(DeadError):
        dying.run(dying.plan(Wish(), table.now), lambda: table.now)
    assert types(table)["n"] == "bigint"
    assert widening(table).finish_switch(lambda: table.now)
    assert not widening(table).finish_switch(lambda: table.now)
    assert table.query(SUM) == [["4.25", "2", "3"]]


def first_glue_write(table: LakeTable, plan: Any) -> int:
    """How many writes come before the first one in Glue."""
    saved, life = Saved(table), Life(None)
    mortal(table, life).run(plan, lambda: table.now)
    saved.restore()
    return next(place for place, name in enumerate(life.made) if name in GLUE_WRITES)


def test_twice_in_a_row(table):
    widen(table)
    table.put(61, "d", n={"N": "1E-50"})
    table.until(90)
    table.published(48, 72)
    done = widen(table)
    assert [str(each) for each in done.changes] == ["n: decimal(38,2) becomes string"]
    assert [each.number for each in documents(table)] == [1, 2]
    assert table.query("SELECT count(n) FROM orders_changes") == [["3"]]
    again = table.converted(table.verified(24, 36))
    shown = partitions(table, "changes")
    table.publish(table.verified(24, 36), again)
    assert partitions(table, "changes") == shown
