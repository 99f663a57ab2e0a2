"""Contracts from the table to Athena: what is dropped or hashed is in no file, counts add up, contradictions are refused."""

from __future__ import annotations

import hmac
import io
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pyarrow.parquet as pq
import pytest

from ddb_export.aws.glue import GluePartition
from ddb_export.domain.contract import ColumnRule, Contract, OnViolation
from ddb_export.domain.evidence import PublishedEntry
from ddb_export.domain.redaction import stale_lines
from ddb_export.domain.shown import shown_entries
from ddb_export.domain.widening import Widening
from ddb_export.domain.wider_columns import Wish
from ddb_export.exceptions import ConfigurationError, ConversionError
from ddb_export.pipeline.catalog import glue_table, partition_values
from ddb_export.pipeline.conversion import Generation
from ddb_export.pipeline.ledger import Ledger
from ddb_export.pipeline.older_generations import OlderFound, OlderGenerations
from ddb_export.pipeline.redactions import begin_publishing, end_publishing
from ddb_export.pipeline.tasks import TableWork
from ddb_export.pipeline.widening import TableWidening
from local_aws.client import Lab
from tests.pipeline.tables import Between, LakeTable

KEY = b"the owner's key"
SECRET, DROPPED = "jane@example.com", "4111-1111-1111"
HASH = hmac.digest(KEY, b'{"S":"jane@example.com"}', "sha256").hex()
RULES = (
    ColumnRule("address", "struct<zipCode:string,floor:bigint>"),
    ColumnRule("card", drop=True),
    ColumnRule("email", hash=True),
    ColumnRule("price", "decimal(10,2)", name="gross_price"),
    ColumnRule("seen", "timestamp", "s"),
)


class ContractedTable(LakeTable):
    """A table whose work follows a contract."""

    contract: Contract = Contract(RULES, key=KEY)

    @property
    def work(self) -> TableWork:
        """The steps of its exports, by the contract."""
        return replace(super().work, contract=self.contract)


@pytest.fixture
def table(lab: Lab, account: str, aws: Callable[..., Any]) -> ContractedTable:
    """Three items at hour 1, one of them odd; a change at hour 13."""
    made = ContractedTable(lab, account, aws)
    values: dict[str, Any] = {
        "address": {"M": {"zipCode": {"S": "10115"}, "floor": {"N": "3"}}},
        "card": {"S": DROPPED},
        "email": {"S": SECRET},
        "price": {"N": "12.5"},
        "seen": {"N": "1767225600.25"},
    }
    made.put(1, "a", 1, **values)
    made.put(1, "a", 2, **values)
    made.put(2, "b", 1, **{**values, "price": {"S": "free"}, "email": {"N": "7"}})
    made.put(13, "a", 1, **{**values, "price": {"N": "13"}})
    made.until(49)
    return made


def visible(table: LakeTable) -> dict[str, bytes]:
    """All objects but the raw exports and the ledger."""
    root = table.ledger.lake.root
    keys = [each.key for each in table.store.list_objects(f"{root}/")]
    inside = ("raw/", "ledger/")
    return {
        key: table.store.read(key).content
        for key in keys
        if not key.startswith(tuple(f"{root}/{each}" for each in inside))
    }


def test_from_the_table_to_athena(table: ContractedTable) -> None:
    base, changes = table.published(12), table.published(12, 24)
    assert (base.rows, changes.rows) == (3, 1)
    rows = table.query(
        "SELECT sk, email, gross_price, address.zipcode, address.floor, CAST(seen AS varchar), _overflow FROM orders_snapshots ORDER BY pk, sk"
    )
    assert [row[:5] for row in rows[:2]] == [[sk, HASH, "12.50", "10115", "3"] for sk in ("1", "2")]
    assert str(rows[0][5]).startswith("2026-01-01 00:00:00.25")
    assert rows[2][6] == '{"price":{"S":"free"}}'
    ((old_image,),) = table.query("SELECT _old_image FROM orders_changes")
    assert HASH in str(old_image)
    files = visible(table)
    assert len(files) >= 4
    for key, content in files.items():
        assert not [each for each in (SECRET, DROPPED) if each.encode() in content], key
    assert not [each for each in (SECRET, DROPPED) if each in str(old_image)]
    columns = {each["Name"]: each["Type"] for each in _glue_columns(table)}
    assert "card" not in columns
    assert (columns["address"], columns["seen"]) == ("struct<zipcode:string,floor:bigint>", "timestamp")
    assert {name for reasons in (base.overflowed or {}).values() for name in reasons} == {"other_type"}


def _glue_columns(table: LakeTable) -> list[dict[str, str]]:
    found = table.aws("glue").get_table(DatabaseName="lake", Name="orders_snapshots")["Table"]
    columns: list[dict[str, str]] = found["StorageDescriptor"]["Columns"]
    return columns


def test_what_is_quarantined_counts_and_may_be_too_much(table: ContractedTable) -> None:
    table.contract = Contract(RULES, on_violation=OnViolation.QUARANTINE, quarantine_limit="33%", key=KEY)
    entry = table.verified(12)
    groups = table.converted(entry)
    with pytest.raises(ConversionError) as caught:
        table.publish(entry, groups)
    assert str(caught.value) == (
        f"export {entry.export}: 1 of 3 lines were quarantined, more than contract.quarantine_limit (33%) allows; nothing was published."
        " Remedy: look at the reasons in quarantine/; then declare a type that the values fit, mend the writer and export again, or raise the limit; then run this again"
    )
    assert not any(key.endswith("_live.json") for key in visible(table))
    assert table.aws("glue").get_tables(DatabaseName="lake")["TableList"] == []
    table.contract = replace(table.contract, quarantine_limit="34%")
    published = table.publish(entry, groups)
    assert (published.rows, published.quarantined, entry.item_count) == (2, 1, 3)
    (quarantined,) = (content for key, content in visible(table).items() if "/quarantine/" in key)
    found = [each in quarantined for each in (b"sha256", b"attribute 'price'", b"free")]
    assert found == [True, True, False]


def test_what_does_not_fit_may_fail(table: ContractedTable) -> None:
    table.contract = Contract(RULES, on_violation=OnViolation.FAIL, key=KEY)
    entry = table.verified(12)
    with pytest.raises(
        ConversionError, match=r"json\.gz, line \d: attribute 'price': the value does not fit the column gross_price"
    ):
        table.converted(entry)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (
            ColumnRule("n", "decimal(38,2)"),
            (
                "contract.columns.n: the attribute is published as column n bigint, and the contract says decimal(38,2). Remedy: rewrite what is"
                " published, with ddb-export widen (its --plan says what it costs) or a run by hand with widen: true, or declare what is published"
            ),
        ),
        (
            ColumnRule("n", hash=True),
            (
                "contract.columns.n: the attribute is published as column n bigint, and hash: true makes it string. Remedy: rewrite what is"
                " published, with ddb-export widen (its --plan says what it costs) or a run by hand with widen: true, or declare what is published"
            ),
        ),
        (
            ColumnRule("n", name="number"),
            (
                "contract.columns.n.name: the attribute is published as column n, and a published column keeps its name. Remedy: write name: n,"
                " or leave it out; to give the data another name, make a view"
            ),
        ),
        (
            ColumnRule("m", name="n"),
            "contract.columns.m.name: the column n is published, and holds the attribute 'n'. Remedy: give it another name",
        ),
    ],
)
def test_a_contract_against_a_published_column_is_refused(
    lab: Lab, account: str, aws: Callable[..., Any], rule: ColumnRule, message: str
) -> None:
    table = ContractedTable(lab, account, aws)
    table.put(1, "a", 1, n={"N": "1"})
    table.put(13, "a", 1, n={"N": "2"})
    table.until(49)
    table.contract = Contract()
    table.published(12)
    table.contract = Contract((rule,), key=KEY)
    entry = table.verified(12, 24)
    with pytest.raises(ConfigurationError) as caught:
        table.converted(entry)
    assert str(caught.value) == message
    table.contract = Contract((ColumnRule("n", "bigint"), ColumnRule("m", name="other")))
    assert table.publish(entry, table.converted(entry)).rows == 1


def test_a_contract_that_came_later_makes_another_generation_and_so_does_another_key(table: ContractedTable) -> None:
    table.contract = Contract((ColumnRule("price", "decimal(10,2)"),))
    assert begin_publishing(table.work) == {}
    first = table.published(12)
    entry = table.verified(12)
    names = {first.generation}
    for contract in (Contract(RULES[1:3], key=KEY), Contract(RULES[1:3], key=b"another")):
        table.contract = contract
        table.lab.set_clock(table.now + timedelta(hours=1), table.account)
        published = table.publish(entry, table.converted(entry))
        assert published.export == first.export
        names.add(published.generation)
        live = table.store.read(table.ledger.lake.key(f"{published.partition}/_live.json")).content
        assert [each.encode() in live for each in (published.generation, contract.fingerprint)] == [True, True]
        stale_before = begin_publishing(table.work)
    assert len(names) == 3
    assert stale_before == {"card": "plain", "email": "plain"}
    TableWidening(table.work, table.glue).note_what_is_shown()
    assert begin_publishing(table.work) == {}, "all of it was rewritten, without a widening"


@pytest.mark.parametrize("after", [False, True])
def test_a_window_that_is_published_by_an_older_contract_while_a_rewriting_ends_is_told_of(
    table: ContractedTable, after: bool
) -> None:
    """It is published right before or after the note is read that the rewriting is about to replace."""
    table.contract = LATER
    table.published(12)
    assert begin_publishing(table.work) == {}
    table.contract = Contract()
    older, entry = table.work, table.verified(12, 24)
    groups = table.converted(entry)
    table.contract = LATER

    def publish() -> None:
        begin_publishing(older)
        older.publish(entry, groups, table.glue, "lake", table.now)
        end_publishing(older)

    store: Any = Between(table.store, "read", publish, ending="/redactions.json", after=after)
    work = replace(table.work, ledger=Ledger(store, table.ledger.lake), store=store)
    TableWidening(work, table.glue).note_what_is_shown()
    assert begin_publishing(table.work) == {"card": "plain", "email": "plain"}


def test_what_was_begun_before_a_rewriting_ended_is_told_of_once_it_is_published(table: ContractedTable) -> None:
    table.contract = LATER
    table.published(12)
    older = replace(table.work, contract=Contract())
    begin_publishing(older)
    TableWidening(table.work, table.glue).note_what_is_shown()
    assert begin_publishing(table.work) == {}, "nothing is published by it yet"
    end_publishing(older)
    assert begin_publishing(table.work) == {"card": "plain", "email": "plain"}


LATER = Contract((ColumnRule("card", drop=True), ColumnRule("email", hash=True)), key=KEY)


def shown(table: LakeTable) -> list[PublishedEntry]:
    return shown_entries(table.ledger.read_every_object(), table.ledger.published_entries(("changes", "snapshots")))


def stale(table: ContractedTable) -> list[str]:
    return [line.words for line in stale_lines(shown(table), table.contract.redaction)]


def widen(table: ContractedTable) -> Widening:
    """Rewrite what is to be rewritten, an hour later."""
    table.lab.set_clock(table.now + timedelta(hours=1), table.account)
    widening = TableWidening(table.work, table.glue)
    return widening.run(widening.plan(Wish(), table.now), lambda: table.now)


def shown_files(table: LakeTable) -> dict[str, bytes]:
    """The files of the generations that readers are shown, by Glue and by path alike, quarantine included."""
    found, everything = {}, visible(table)
    for entry in shown(table):
        live = json.loads(everything[table.ledger.lake.key(f"{entry.partition}/_live.json")])
        folder = f"{entry.partition}/{live['generation']}/"
        assert entry.location == table.ledger.lake.uri(folder)
        stored = table.aws("glue").get_partition(
            DatabaseName="lake",
            TableName=f"orders_{entry.output}",
            PartitionValues=list(partition_values(entry.partition)),
        )["Partition"]["StorageDescriptor"]["Location"]
        assert stored == entry.location
        found.update({key: content for key, content in everything.items() if folder in key})
    return found


def readable(files: dict[str, bytes]) -> set[str]:
    """Which of the secrets stand in files; Parquet's pages are compressed, so values are read."""
    text = (
        b"".join(files.values())
        + json.dumps(
            [pq.read_table(io.BytesIO(each)).to_pylist() for key, each in files.items() if key.endswith(".parquet")],
            default=str,
        ).encode()
    )
    return {each for each in (SECRET, DROPPED) if each.encode() in text}


def test_a_rule_that_comes_later_leaves_older_partitions_readable_until_they_are_rewritten(
    table: ContractedTable,
) -> None:
    table.contract = Contract()
    assert begin_publishing(table.work) == {}
    table.published(12)
    table.published(12, 24)
    table.put(50, "c", 1, email={"S": SECRET}, card={"S": DROPPED})
    table.until(75)
    table.contract = LATER
    assert begin_publishing(table.work) == {"card": "plain", "email": "plain"}
    table.published(24, 48)
    table.published(48, 72)
    assert stale(table) == [
        f"{name}: plain, and the contract {does}; 2 partitions, 20260301T1200Z-20260302T0000Z-a1 to full-20260301T1200Z-a1"
        for name, does in (("card", "drops it"), ("email", "hashes it"))
    ]
    plan = TableWidening(table.work, table.glue).plan(Wish(), table.now)
    assert (plan.is_empty, len(plan.entries)) == (False, 2)
    assert readable(shown_files(table)) == {SECRET, DROPPED}
    done = widen(table)
    assert (done.ended, done.changes, len(table.started())) == ("done", (), 4)
    assert readable(shown_files(table)) == set()
    assert readable(visible(table)) == {SECRET, DROPPED}, "the older generations are still there"
    assert (stale(table), begin_publishing(table.work)) == ([], {})
    assert table.query("SELECT DISTINCT email FROM orders_changes WHERE email IS NOT NULL") == [[HASH]]
    assert table.query("SELECT count(*), count(card) FROM orders_snapshots") == [["3", "0"]]
    assert TableWidening(table.work, table.glue).plan(Wish(), table.now).is_empty
    older = OlderGenerations(table.ledger, table.store, table.glue)
    assert older.find(table.now, timedelta(hours=1)).generations == (), "queries that began before read on"
    found = older.find(table.now, timedelta()).generations
    assert [each.export for each in found] == ["20260301T1200Z-20260302T0000Z-a1", "full-20260301T1200Z-a1"]
    before = shown_files(table)
    older.delete(found, lambda _done, _of: None)
    assert (readable(visible(table)), shown_files(table)) == (set(), before)
    assert older.find(table.now, timedelta()).generations == ()


def test_a_rule_that_goes_again_and_another_key_are_seen_and_mended_too(table: ContractedTable) -> None:
    table.contract = LATER
    first = table.published(12)
    table.contract = replace(LATER, key=b"another")
    assert stale(table) == [
        "email: hashed with another key, and the contract hashes it by this one; full-20260301T1200Z-a1"
    ]
    widen(table)
    table.contract = replace(LATER, key=None)
    assert stale(table) == [], "who has no key compares none"
    with pytest.raises(ConfigurationError, match="the key is not at hand"):
        TableWidening(table.work, table.glue).run(
            replace(TableWidening(table.work, table.glue).plan(Wish(), table.now)), lambda: table.now
        )
    table.contract = LATER
    widen(table)
    assert [entry.generation for entry in shown(table)] == [first.generation], "the first one is shown again"
    older = OlderGenerations(table.ledger, table.store, table.glue).find(table.now, timedelta()).generations
    assert [each.generation == first.generation for each in older] == [False]
    table.contract = Contract()
    assert len(stale(table)) == 2
    widen(table)
    assert readable(shown_files(table)) == {SECRET, DROPPED}
    assert stale(table) == []
    assert len(table.ledger.published_entries(("snapshots",))) == 4


def test_what_glue_points_at_is_not_older_whatever_the_ledger_says(table: ContractedTable) -> None:
    """The instant in which a generation is shown again, and its evidence is not written yet."""
    table.contract = LATER
    table.published(12)
    table.contract = Contract()
    widen(table)
    older = OlderGenerations(table.ledger, table.store, table.glue)
    (plain,) = shown(table)
    (found,) = older.find(table.now, timedelta()).generations
    of_table = glue_table(table.ledger.lake, table.ledger.read_schema(), "snapshots", "lake")
    location = plain.location.replace(plain.generation, found.generation)
    values = partition_values(plain.partition)
    table.glue.upsert_partitions(of_table, [GluePartition(values, location, of_table.columns, {})])
    assert older.find(table.now, timedelta()) == OlderFound((), (found.folder,))
    before = visible(table)
    assert older.delete([found], lambda _done, _of: None) == [found], "it was found before"
    assert visible(table) == before


def test_without_a_contract_generations_are_named_as_ever() -> None:
    from ddb_export.conversion.parquet import CONVERTER_VERSION
    from ddb_export.domain.schema import SchemaDocument

    plain = Generation("arn", "snapshots/export_time=x", SchemaDocument())
    assert plain.converter_version == str(CONVERTER_VERSION)
    assert replace(plain, contract=Contract(column_limit=5, quarantine_limit="0")).name == plain.name
