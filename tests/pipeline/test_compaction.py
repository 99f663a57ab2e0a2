"""Compaction in the lab: fewer files with the same rows, whenever the process dies and whatever runs do meanwhile."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ddb_export.aws.glue import GlueGateway
from ddb_export.domain.compaction import estimate_compaction
from ddb_export.domain.contract import ColumnRule, Contract
from ddb_export.domain.cost import prices_of
from ddb_export.domain.layout import LIVE
from ddb_export.domain.ledger import PublishedEntry
from ddb_export.domain.wider_columns import Wish
from ddb_export.exceptions import ConversionError, PlanError
from ddb_export.pipeline.compacted import make_files, switch
from ddb_export.pipeline.compaction import CompactionOutcome, TableCompaction
from ddb_export.pipeline.ledger import Ledger
from ddb_export.pipeline.older_generations import OlderGenerations
from ddb_export.pipeline.rebuild import rebuild_ledger
from ddb_export.pipeline.tasks import TableWork
from ddb_export.pipeline.widening import OUTPUTS, TableWidening
from local_aws.client import Lab
from tests.pipeline.tables import Between, LakeTable, at
from tests.pipeline.test_widening import GLUE_WRITES, WRITES, DeadError, Life, Mortal, Saved

ROWS = 40
WIDE = [[f"{sum(10**17 + number for number in range(ROWS) if number != 1) + ROWS // 2}.0", str(2 * ROWS + 1)]]
SUM = "SELECT CAST(sum(n) AS varchar), count(*) FROM orders_changes"


@pytest.fixture
def table(lab: Lab, account: str, aws: Callable[..., Any]) -> LakeTable:
    """A base and a window whose items lie in several data files each, with all that may not be lost."""
    made = LakeTable(lab, account, aws)
    put(made, 1, n=lambda number: {"N": str(number)}, tags=lambda number: {"SS": ["x", f"é{number}"]})
    put(made, 13, n=lambda number: {"N": str(10**17 + number)}, deep=lambda _: {"M": {"a": {"N": "1E3"}}})
    made.delete(14, "k1", 1)
    made.put(15, "odd", n={"S": "text"}, blob={"B": "AAEC"}, none={"NULL": True})
    made.until(60)
    made.published(12)
    made.published(12, 24)
    return made


def put(table: LakeTable, hours: float, **values: Callable[[int], Any]) -> None:
    """Put many items at about one moment."""
    lines = []
    for number in range(ROWS):
        item = {"pk": {"S": f"k{number}"}, "sk": {"N": str(number)}}
        item |= {name: value(number) for name, value in values.items()}
        request = {"TableName": table.name, "Item": item}
        lines.append({"time": at(hours + number / 1000), "operation": "PutItem", "request": request})
    table.lab.write_history(table.account, lines)


def compaction(table: LakeTable) -> TableCompaction:
    return TableCompaction(table.work, table.glue)


def compact(table: LakeTable, **asked: Any) -> CompactionOutcome:
    work = compaction(table)
    return work.run(work.plan(**asked), lambda: table.now)


def shown(table: LakeTable, output: str = "changes") -> PublishedEntry:
    """The newest evidence of the only export of an output."""
    export = {"changes": "20260301T1200Z-20260302T0000Z-a1", "snapshots": "full-20260301T1200Z-a1"}[output]
    found = table.ledger.published_entry(output, export)
    assert found is not None
    return found


def live(table: LakeTable, output: str = "changes") -> dict[str, Any]:
    """What readers by path go by."""
    key = table.ledger.lake.key(f"{shown(table, output).partition}/{LIVE}")
    found: dict[str, Any] = json.loads(table.store.read(key).content)
    return found


def location(table: LakeTable, output: str = "changes") -> str:
    """Where the only partition of a Glue table lies."""
    (found,) = table.aws("glue").get_partitions(DatabaseName="lake", TableName=f"orders_{output}")["Partitions"]
    place: str = found["StorageDescriptor"]["Location"]
    return place


def files(table: LakeTable, output: str = "changes") -> dict[str, bytes]:
    """The files that readers by path see."""
    partition = shown(table, output).partition
    return {
        each["path"]: table.store.read(table.ledger.lake.key(f"{partition}/{each['path']}")).content
        for each in live(table, output)["files"]
    }


def rows(table: LakeTable, output: str = "changes") -> pa.Table:
    """All rows that readers by path see, in their order, with schema and footer."""
    return pa.concat_tables([pq.read_table(io.BytesIO(each)) for each in files(table, output).values()])


def test_fewer_files_with_the_same_rows_for_every_reader(table, tmp_path):
    before = {output: (rows(table, output), files(table, output)) for output in OUTPUTS}
    assert all(len(old) > 2 for _, old in before.values())
    answer = table.query(SUM)
    by_duckdb = {output: asked(old, tmp_path) for output, (_, old) in before.items()}
    outcome = compact(table)
    assert [entry.files for entry in outcome.done] == [1, 1]
    assert outcome.left == ()
    for output, (old_rows, old_files) in before.items():
        (name, content), *others = files(table, output).items()
        assert others == []
        assert name.endswith("/part-00000.parquet")
        assert rows(table, output).equals(old_rows, check_metadata=True)
        (footer,) = {json.dumps(said(each)) for each in old_files.values()}
        assert json.dumps(said(content)) == footer
        assert asked({name: content}, tmp_path) == by_duckdb[output]
        assert shown(table, output).location == location(table, output)
        assert shown(table, output).rows == live(table, output)["rows"] == old_rows.num_rows
    assert table.query(SUM) == answer
    assert compaction(table).plan().is_empty
    assert len(table.started()) == 2


def said(content: bytes) -> dict[str, str]:
    """What a file's footer says; Arrow's own entry aside, whose list elements have a name that no reader sees."""
    footer = pq.read_metadata(io.BytesIO(content))
    texts = {key.decode(): value.decode() for key, value in footer.metadata.items() if key != b"ARROW:schema"}
    return {
        **texts,
        "columns": str([(column.path, str(column)) for column in map(footer.schema.column, range(footer.num_columns))]),
    }


def asked(found: dict[str, bytes], folder: Path) -> list[Any]:
    """Everything, as DuckDB reads it."""
    for number, content in enumerate(found.values()):
        (folder / f"{number:03d}.parquet").write_bytes(content)
    paths = [str(folder / f"{number:03d}.parquet") for number in range(len(found))]
    return duckdb.sql(f"SELECT * FROM read_parquet({paths!r})").fetchall()


def test_a_plan_writes_nothing_names_the_price_and_goes_by_time(table):
    before = {each.key: each.etag for each in table.store.list_objects("")}
    plan = compaction(table).plan()
    estimated = estimate_compaction(plan.compactions, prices_of("us-east-1"))
    assert {each.key: each.etag for each in table.store.list_objects("")} == before
    assert (estimated.partitions, estimated.files_after) == (2, 2)
    assert estimated.files_before == sum(shown(table, output).files for output in OUTPUTS)
    assert estimated.bytes_read == sum(shown(table, output).output_bytes for output in OUTPUTS)
    assert 0 < estimated.usd < 1
    assert [each.entry.output for each in compaction(table).plan(start=at(0), end=at(24)).compactions] == [
        "changes",
        "snapshots",
    ]
    assert compaction(table).plan(start=at(12.5)).is_empty
    assert compaction(table).plan(end=at(12)).is_empty
    for key in before:
        if "/ledger/published/" in key:
            said = json.loads(table.store.read(key).content)
            assert {"made_from", "compacted_at", "target_file_bytes"}.isdisjoint(said), "as before there was compaction"


def test_a_target_leaves_files_of_its_size_and_a_larger_one_later_starts_from_the_converted_files(table):
    before = rows(table)
    sizes = [each["bytes"] for each in live(table)["files"]]
    small = sizes[0] + sizes[1]
    (first, _) = compact(table, target=small).done
    assert 1 < first.files <= len(sizes) // 2
    assert [name.rsplit("/", 1)[1] for name in files(table)] == [f"part-{n:05d}.parquet" for n in range(first.files)]
    held = {}
    for each in list(table.store.list_objects(table.ledger.lake.key(f"{first.partition}/{first.made_from}/"))):
        held[each.key] = table.store.read(each.key).content
        table.store.delete(each.key)
    ((partition, reason),) = compaction(table).plan(start=at(0), end=at(48)).left
    assert (partition, reason) == (first.partition, f"the converted files of {first.made_from} are gone")
    for key, content in held.items():
        table.store.put(key, content)
    (second, _) = compact(table).done
    assert (first.made_from, first.files > second.files) == (second.made_from, True)
    assert shown(table).generation == second.generation
    assert rows(table).equals(before, check_metadata=True)
    assert compaction(table).plan(target=small).is_empty, "smaller files are no aim"


def test_a_rebuilt_ledger_knows_compacted_files(table):
    compact(table)
    known = [shown(table, output) for output in OUTPUTS]
    for stored in list(table.store.list_objects(table.ledger.lake.key("ledger/"))):
        table.store.delete(stored.key)
    rebuild_ledger(table.store, table.ledger.lake, at(100), apply=True, database="lake")
    for entry in known:
        again = shown(table, entry.output)
        assert (again.made_from, again.target_file_bytes) == (entry.made_from, entry.target_file_bytes)
        assert (again.location, again.files, again.rows) == (entry.location, entry.files, entry.rows)
    assert compaction(table).plan().is_empty


def mortal(table: LakeTable, life: Life) -> TableCompaction:
    store: Any = Mortal(table.store, life, WRITES)
    glue = GlueGateway(Mortal(table.aws("glue"), life, GLUE_WRITES))
    return TableCompaction(TableWork(Ledger(store, table.ledger.lake), store), glue)


def test_killed_at_any_write_readers_have_all_rows_and_the_next_one_goes_on(table):
    work = compaction(table)
    plan = work.plan()
    work.run(replace(plan, compactions=plan.compactions[1:]), lambda: table.now)
    answer, before, saved = table.query(SUM), rows(table), Saved(table)
    compact(table)
    whole = (location(table), files(table))
    saved.restore()
    deaths = 0
    while True:
        dying = mortal(table, Life(deaths))
        try:
            dying.run(dying.plan(), lambda: table.now)
            break
        except DeadError:
            deaths += 1
        assert table.query(SUM) == answer
        assert rows(table).equals(before)
        table.until(60 + deaths / 60)
        compact(table)
        assert (location(table), files(table)) == whole
        assert shown(table).location == location(table)
        saved.restore()
    assert deaths == 5, "file, note, Glue, _live.json, evidence"


def test_what_was_merged_before_a_death_is_not_merged_again(table):
    dying = mortal(table, Life(2))  # the file and the note of the first partition
    with pytest.raises(DeadError):
        dying.run(dying.plan(), lambda: table.now)
    life = Life(None)
    again = mortal(table, life)
    again.run(again.plan(), lambda: table.now)
    assert life.made.count("put_file") == 1


def test_publishing_again_keeps_the_compacted_files(table):
    before = rows(table)
    compact(table)
    place, seen = location(table), files(table)
    entry = table.verified(12, 24)
    done = table.publish(entry, table.converted(entry))
    assert (done.location, done.made_from is not None) == (place, True)
    assert (location(table), shown(table).location, files(table)) == (place, place, seen)
    assert rows(table).equals(before)
    for path in seen:
        table.store.delete(table.ledger.lake.key(f"{shown(table).partition}/{path}"))
    table.publish(entry, table.converted(entry))
    assert files(table) == seen, "files that are gone are made again"
    assert location(table) == place


def test_publishing_with_another_contract_shows_what_it_says_uncompacted(table):
    compact(table)
    compacted = shown(table)
    table.until(61)
    work = TableWork(table.ledger, table.store, Contract((ColumnRule("card", drop=True),)))
    entry = table.verified(12, 24)
    groups = table.converted(entry)
    for group in groups:
        work.convert(entry, group)
    done = work.publish(entry, groups, table.glue, "lake", table.now)
    assert (done.made_from, done.generation != compacted.generation) == (None, True)
    assert location(table) == shown(table).location == done.location


def publish_another_attempt(table: LakeTable) -> PublishedEntry:
    table.until(61)
    wanted = replace(table.wanted(12, 24), attempt=2)
    claim = table.ledger.claim([wanted], table.table_id, table.now)[0]
    entry = table.work.verify(claim, table.export(claim), None, table.now)
    assert "changes" not in {each.entry.output for each in compaction(table).plan().compactions}, "it is about to go"
    done: PublishedEntry = table.publish(entry, table.converted(entry))
    return done


def test_another_attempt_takes_the_place_of_compacted_files(table):
    compact(table)
    done = publish_another_attempt(table)
    assert location(table) == done.location
    assert compact(table).done[0].export == done.export


def widen(table: LakeTable) -> None:
    widening = TableWidening(table.work, table.glue)
    widening.run(widening.plan(Wish(names=("n",), retype=False), table.now), lambda: table.now)


@pytest.fixture
def narrow(table) -> LakeTable:
    """The table with a window that does not fit ``n``."""
    put(table, 61, n=lambda _: {"N": "0.5"})
    table.until(90)
    table.published(48, 72)
    return table


def test_widening_after_compaction_and_compaction_after_widening(narrow):
    table = narrow
    compact(table)
    table.until(91)
    widen(table)
    assert shown(table).made_from is None, "a widening converts from raw"
    assert table.query(SUM) == WIDE
    answer, before = table.query(SUM), rows(table)
    table.until(92)
    assert len(compact(table).done) == 3
    assert table.query(SUM) == answer
    assert rows(table).equals(before, check_metadata=True)
    assert shown(table).schema_version == table.ledger.read_schema().version
    assert TableWidening(table.work, table.glue).plan(Wish(), table.now).is_empty
    glue_columns = table.aws("glue").get_partitions(DatabaseName="lake", TableName="orders_changes")["Partitions"]
    kinds = {c["Type"] for p in glue_columns for c in p["StorageDescriptor"]["Columns"] if c["Name"] == "n"}
    assert kinds == {"decimal(38,1)"}


def test_nothing_is_compacted_while_a_widening_is_under_way(narrow):
    widening = TableWidening(narrow.work, narrow.glue)
    plan = compaction(narrow).plan()
    widening._records.begin(widening.plan(Wish(), narrow.now).widening)
    with pytest.raises(PlanError, match="ddb-export widen orders goes on with it"):
        compaction(narrow).plan()
    with pytest.raises(PlanError, match="is under way"):
        compaction(narrow).run(plan, lambda: narrow.now)
    assert shown(narrow).made_from is None


def test_what_is_published_at_the_moment_of_the_switch_is_what_readers_get(narrow):
    """A whole widening happens between the look at partitions and their switch."""
    table, widened = narrow, []

    def whole_widening() -> None:
        table.until(91)
        widen(table)
        widened.append(True)

    work = TableCompaction(
        table.work, GlueGateway(Between(table.aws("glue"), "batch_update_partition", whole_widening))
    )
    outcome = work.run(work.plan(), lambda: table.now)
    assert widened
    assert outcome.left
    found = table.aws("glue").get_partitions(DatabaseName="lake", TableName="orders_changes")["Partitions"]
    newest = {each.location for each in latest(table)}
    assert {each["StorageDescriptor"]["Location"] for each in found} <= newest
    assert table.query(SUM) == WIDE


def test_another_attempt_that_is_published_at_the_moment_of_the_switch_is_what_readers_get(table):
    published: list[PublishedEntry] = []
    glue = Between(
        table.aws("glue"), "batch_update_partition", lambda: published.append(publish_another_attempt(table))
    )
    work = TableCompaction(table.work, GlueGateway(glue))
    plan = work.plan()
    plan = replace(plan, compactions=tuple(each for each in plan.compactions if each.entry.output == "changes"))
    outcome = work.run(plan, lambda: table.now)
    (done,) = published
    assert (location(table), outcome.left) == (done.location, (done.partition,))


def test_what_is_published_while_the_switch_goes_on_is_what_readers_get(table):
    """A publish writes to Glue between the look at partitions and their switch, and its evidence when compaction has ended."""
    contract = Contract((ColumnRule("card", drop=True),))
    published: list[PublishedEntry | None] = []
    compacting = Between(table.aws("glue"), "batch_update_partition")
    work = TableCompaction(table.work, GlueGateway(compacting))
    plan = work.plan()
    plan = replace(plan, compactions=tuple(each for each in plan.compactions if each.entry.output == "changes"))
    table.until(61)
    entry = table.verified(12, 24)
    groups = table.converted(entry)
    publishing = threading.Event()
    compacted = threading.Event()

    def before_evidence() -> None:
        publishing.set()
        assert compacted.wait(60)

    store: Any = Between(table.store, "put_if_absent", before_evidence)
    publisher = TableWork(Ledger(store, table.ledger.lake), store, contract)
    for group in groups:
        TableWork(table.ledger, table.store, contract).convert(entry, group)
    thread = threading.Thread(
        target=lambda: published.append(publisher.publish(entry, groups, table.glue, "lake", table.now))
    )

    def while_switching() -> None:
        thread.start()
        assert publishing.wait(60)

    compacting.action = while_switching
    try:
        work.run(plan, lambda: table.now)
    finally:
        compacted.set()
        thread.join()
    (done,) = published
    assert done is not None
    assert done.made_from is None
    assert location(table) == shown(table).location == done.location
    assert live(table)["generation"] == done.generation


def latest(table: LakeTable) -> list[PublishedEntry]:
    from ddb_export.domain.shown import shown_entries

    return shown_entries(table.ledger.read_every_object(), table.ledger.published_entries(OUTPUTS))


def test_a_partition_that_points_elsewhere_by_now_is_left_alone(table):
    """An older attempt is about to be switched when a later one is published; a partition is taken out of the catalog."""
    plan = compaction(table).plan()
    made = [(each, make_files(table.ledger, each)) for each in plan.compactions if each.entry.output == "changes"]
    done = publish_another_attempt(table)
    assert switch(table.ledger, table.glue, made, table.now) == []
    assert location(table) == done.location
    outcome = compaction(table).run(plan, lambda: table.now)
    assert outcome.left == (done.partition,)
    key = table.aws("glue").get_partitions(DatabaseName="lake", TableName="orders_changes")["Partitions"][0]["Values"]
    table.aws("glue").delete_partition(DatabaseName="lake", TableName="orders_changes", PartitionValues=key)
    assert compact(table).left == (done.partition,)
    assert table.aws("glue").get_partitions(DatabaseName="lake", TableName="orders_changes")["Partitions"] == []


def test_older_files_go_and_what_readers_see_stays(table):
    compact(table)
    folder = f"{shown(table).partition}/{shown(table).made_from}"
    table.store.put(table.ledger.lake.key(f"quarantine/{folder}/part-00000.jsonl"), b"{}")
    before = rows(table)
    older = OlderGenerations(table.ledger, table.store, table.glue)
    assert older.find(table.now, timedelta(hours=1)).generations == (), "queries may read it still"
    found = older.find(table.now + timedelta(days=1), timedelta(hours=1)).generations
    assert {each.generation for each in found} == {shown(table, output).made_from for output in OUTPUTS}
    older.delete(found, lambda _done, _of: None)
    assert rows(table).equals(before)
    left = [each.key for each in table.store.list_objects(table.ledger.lake.key("quarantine/"))]
    assert left == [table.ledger.lake.key(f"quarantine/{folder}/part-00000.jsonl")], "they are nowhere else"


def test_damaged_files_keep_back_their_partition_alone(table):
    path = next(iter(files(table)))
    key = table.ledger.lake.key(f"{shown(table).partition}/{path}")
    content = table.store.read(key).content
    damaged = content[:40] + bytes([content[40] ^ 255]) + content[41:]
    for wrong, words in ((b"short", "5 bytes"), (damaged, "part-00000.parquet: it is damaged")):
        table.store.put(key, wrong)
        with pytest.raises(ConversionError, match=words):
            compact(table)
        assert shown(table).made_from is None
    assert shown(table, "snapshots").made_from
    table.store.put(key, content)
    assert len(compact(table).done) == 1
