"""Verify, scan, merge, convert, publish: each step once, twice, killed in the middle; the lake is the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from botocore.config import Config
from hypothesis import given
from hypothesis import strategies as st

from ddb_export.aws.glue import GlueGateway
from ddb_export.aws.object_store import S3ObjectStore
from ddb_export.domain.export import ExportStatus
from ddb_export.domain.ledger import VerifiedEntry
from ddb_export.domain.manifest import ManifestFile
from ddb_export.exceptions import ConversionError, DdbExportError, PublishError, VerificationError
from ddb_export.pipeline.counting import count_query
from ddb_export.pipeline.file_groups import GROUP_BYTES, MOST_GROUPS, Cut, FileGroup, group_files
from ddb_export.pipeline.ledger import Ledger
from ddb_export.pipeline.tasks import TableWork
from local_aws.client import Lab
from tests.pipeline.tables import BUCKET, LakeTable

NUMBER = "12345678901234567890.123456789"


@pytest.fixture
def table(lab: Lab, account: str, aws: Callable[..., Any]) -> LakeTable:
    """Two items at hour 1; in the first window one is changed, one removed, one comes."""
    made = LakeTable(lab, account, aws)
    made.put(1, "a", 1, n={"N": "1"})
    made.put(1, "a", 2, n={"N": "2"})
    made.put(13, "a", 1, n={"N": "3"})
    made.delete(14, "a", 2)
    made.put(15, "b", 1, fresh={"S": "new"})
    made.until(49)
    return made


def lake(table: LakeTable) -> dict[str, bytes]:
    """Everything that readers of the lake see."""
    root = table.ledger.lake.root
    found = {}
    for folder in ("snapshots", "changes", "quarantine"):
        for stored in table.store.list_objects(f"{root}/{folder}/"):
            found[stored.key] = table.store.read(stored.key).content
    return found


def partitions(table: LakeTable, output: str) -> list[tuple[list[str], str]]:
    """Values and locations of the partitions in Glue."""
    pages = table.aws("glue").get_partitions(DatabaseName="lake", TableName=f"orders_{output}")["Partitions"]
    return sorted((each["Values"], each["StorageDescriptor"]["Location"]) for each in pages)


@pytest.mark.scenario("F25")
def test_from_the_table_to_athena(table):
    base, changes = table.published(12), table.published(12, 24)
    assert (base.rows, changes.rows) == (2, 3)
    assert table.query("SELECT pk, sk, n FROM orders_snapshots ORDER BY sk") == [["a", "1", "1"], ["a", "2", "2"]]
    assert table.query("SELECT _op, pk, sk, n, fresh FROM orders_changes ORDER BY pk, sk") == [
        ["MODIFY", "a", "1", "3", None],
        ["REMOVE", "a", "2", None, None],
        ["INSERT", "b", "1", None, "new"],
    ]
    assert table.query(count_query([base])) == [["2"]]
    assert table.query(count_query([changes])) == [["3"]]
    assert partitions(table, "changes") == [(["2026-03-01", "20260301T1200Z-20260302T0000Z"], changes.location)]
    assert partitions(table, "snapshots") == [(["20260301T1200Z"], base.location)]
    assert table.ledger.read(["changes"]).is_published(table.verified(12, 24), "changes")


@pytest.mark.scenario("F17")
def test_window_without_changes_and_empty_table(lab, account, aws):
    table = LakeTable(lab, account, aws)
    table.until(49)
    base, changes = table.published(1), table.published(1, 24)
    assert (base.rows, changes.rows, base.files, changes.files) == (0, 0, 1, 1)
    assert table.query("SELECT count(*) FROM orders_changes") == [["0"]]
    assert table.query(count_query([base])) == [["0"]]
    assert table.ledger.read().head.hour == 0


@pytest.mark.scenario("F24")
def test_two_windows_and_an_attribute_that_comes_with_the_second(table):
    first = table.published(0, 12)
    second = table.published(12, 24)
    assert first.schema_version < second.schema_version
    assert len(partitions(table, "changes")) == 2
    assert table.query("SELECT count(*), count(fresh), count(n) FROM orders_changes") == [["5", "1", "3"]]
    assert table.query(count_query([first, second])) == [["5"]]


def test_two_exports_in_one_merge_have_one_schema(table):
    first, second = table.verified(0, 12), table.verified(12, 24)
    groups = table.converted(first, second)
    assert len({group.schema_version for group in groups}) == 1
    assert {table.publish(entry, groups).schema_version for entry in (first, second)} == {groups[0].schema_version}


@pytest.mark.scenario("F33")
def test_each_step_twice_ends_in_the_same_lake(table):
    entry = table.verified(12, 24)
    first = table.publish(entry, table.converted(entry))
    before, evidence = lake(table), table.ledger.read()
    again = table.verified(12, 24)
    assert again == entry
    second = table.publish(again, table.converted(again))
    assert second == first
    assert lake(table) == before
    assert table.ledger.read() == evidence
    assert len(table.started()) == 1


def test_groups_do_not_change_the_files(table):
    entry = table.verified(12, 24)
    table.publish(entry, table.converted(entry, most_groups=1))
    before = lake(table)
    groups = [FileGroup(entry.export, index, 3) for index in range(3)]
    for group in groups:
        table.work.scan(entry, group)
    merged = table.work.merge_schema(reversed(groups))
    for group in merged:
        table.work.convert(entry, group)
    table.publish(entry, merged)
    assert lake(table) == before


@pytest.mark.scenario("F29")
@pytest.mark.parametrize(
    ("service", "operation", "match"),
    [
        ("glue", "GetTable", {}),
        ("glue", "CreateTable", {}),
        ("s3", "PutObject", {"key": ".*/_live.json"}),
        ("glue", "BatchCreatePartition", {}),
        ("s3", "PutObject", {"key": ".*/ledger/published/.*"}),
    ],
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_publish_that_died_at_any_call_is_done_again(table, service, operation, match, when):
    """The request is held before it took effect, or after; the first publisher never hears of it again."""
    entry = table.verified(12, 24)
    groups = table.converted(entry)
    impatient = Config(read_timeout=0.4, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
    store = S3ObjectStore(table.aws("s3", config=impatient), BUCKET)
    dying = TableWork(Ledger(store, table.ledger.lake), store)
    glue = GlueGateway(table.aws("glue", config=impatient))
    fault = table.lab.add_fault(
        "hold", account=table.account, service=service, operation=operation, match=match, when=when
    )
    with pytest.raises(DdbExportError):
        dying.publish(entry, groups, glue, "lake", table.now)
    if when == "before" or operation != "PutObject":
        assert not table.ledger.read(["changes"]).is_published(entry, "changes")
    done = table.publish(entry, groups)
    table.lab.release(fault)
    assert table.publish(entry, groups) == done
    assert table.ledger.read_every_object().published == {("changes", entry.export)}
    assert partitions(table, "changes") == [(["2026-03-01", "20260301T1200Z-20260302T0000Z"], done.location)]
    assert table.query(count_query([done])) == [["3"]]


@pytest.mark.parametrize("step", ["scan", "convert"])
def test_step_that_is_missing_keeps_the_export_back(table, step):
    entry = table.verified(12, 24)
    groups = [FileGroup(entry.export, index, 2) for index in range(2)]
    for group in groups[: 1 if step == "scan" else 2]:
        table.work.scan(entry, group)
    merged = table.work.merge_schema(groups)
    if step == "scan":
        assert merged == []
        return
    table.work.convert(entry, merged[0])
    with pytest.raises(ConversionError, match="0001-of-0002 is not converted"):
        table.publish(entry, merged)
    assert not table.glue.has_table("lake", "orders_changes")
    assert not any(key.endswith("_live.json") for key in lake(table))


def test_converted_files_that_are_gone_are_not_shown(table):
    entry = table.verified(12, 24)
    groups = table.converted(entry)
    (gone, *_) = [key for key in lake(table) if key.endswith(".parquet")]
    table.store.delete(gone)
    with pytest.raises(ConversionError, match="clear the convert tasks"):
        table.publish(entry, groups)
    for group in groups:
        table.work.convert(entry, group)
    assert table.publish(entry, groups).rows == 3


@pytest.mark.scenario("F16")
@pytest.mark.parametrize("name", ["manifest-summary.json", "manifest-files.json", ".json.gz"])
@pytest.mark.parametrize("step", ["verify", "scan", "convert"])
def test_raw_file_that_is_gone_is_one_line(table, step, name):
    claim = table.claim(12, 24)
    description = table.export(claim)
    entry = table.work.verify(claim, description, None, table.now) if step != "verify" else None
    groups = table.converted(entry) if entry else []
    for stored in list(table.store.list_objects(claim.request.s3_prefix)):
        if stored.key.endswith(name):
            table.store.delete(stored.key)
    arguments = (entry, groups[0]) if entry else (claim, description, None, table.now)
    with pytest.raises(DdbExportError, match="Remedy") as refused:
        getattr(table.work, step)(*arguments)
    assert "\n" not in str(refused.value)
    if entry is None:
        assert table.ledger.read().verified == {}


def test_failed_export_is_not_verified(table):
    table.lab.add_fault("fail_export", account=table.account, code="S3AccessDenied", message="no", after_files=1)
    claim = table.claim(12, 24)
    failed = table.export(claim)
    assert failed.status is ExportStatus.FAILED
    with pytest.raises(DdbExportError):
        table.work.verify(claim, failed, None, table.now)
    assert table.ledger.read().verified == {}


@pytest.mark.scenario("F13")
def test_export_of_another_table_or_window_is_not_verified(table):
    claim, other = table.claim(12, 24), table.claim(24, 36)
    description = table.export(other)
    with pytest.raises(DdbExportError):
        table.work.verify(claim, description, None, table.now)
    for stored in list(table.store.list_objects(other.request.s3_prefix)):
        key = stored.key.replace(other.request.s3_prefix, claim.request.s3_prefix)
        table.store.put(key, table.store.read(stored.key).content)
    with pytest.raises(VerificationError, match=r"ExportFromTime|S3Prefix"):
        table.work.verify(claim, description, None, table.now)
    assert table.ledger.read().verified == {}


@pytest.mark.scenario("F16")
def test_manifest_that_was_replaced_after_verification_is_refused(table):
    entry, other = table.verified(12, 24), table.verified(24, 36)
    table.store.put(entry.manifest_key, table.store.read(other.manifest_key).content)
    table.store.delete(entry.manifest_key.replace(".json", ".md5"))
    with pytest.raises(VerificationError, match="Remedy"):
        table.work.scan(entry, FileGroup(entry.export, 0, 1))


def test_glue_database_that_is_missing_is_named(table):
    entry = table.verified(12, 24)
    groups = table.converted(entry)
    with pytest.raises(PublishError, match=r"aws glue create-database .*Name=nowhere"):
        table.work.publish(entry, groups, table.glue, "nowhere", table.now)


@pytest.mark.scenario("F20")
def test_exact_numbers_reach_athena(table):
    table.put(50, "x", 1, price={"N": NUMBER})
    table.until(80)
    table.published(48, 72)
    assert table.query("SELECT CAST(price AS varchar) FROM orders_changes") == [[NUMBER]]


def entry_of(files: int, size: int) -> VerifiedEntry:
    document = dict.fromkeys(VerifiedEntry.__dataclass_fields__)
    return VerifiedEntry(**{**document, "export": "e", "files": files, "bytes_read": size})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("files", "size", "most", "groups"),
    [(0, 0, 4, 1), (4, 100, 4, 1), (4, 3 * GROUP_BYTES, 8, 3), (2, 9 * GROUP_BYTES, 8, 2), (9, 9 * GROUP_BYTES, 4, 4)],
)
def test_groups_are_worth_a_task(files, size, most, groups):
    found = group_files([entry_of(files, size)], most)
    assert len(found) == groups
    manifest = [ManifestFile(index, index % 3, "", None, "") for index in range(files)]
    assert sorted(index for group in found for index in group.indexes(manifest)) == list(range(files))


@given(st.lists(st.integers(0, 10**6), max_size=60), st.integers(1, 12), st.sampled_from(Cut))
def test_each_file_is_in_one_group_and_balanced_groups_differ_by_one_file_at_most(items, groups, cut):
    manifest = [ManifestFile(index, count, "", None, "") for index, count in enumerate(items)]
    shared = [FileGroup("e", group, groups, cut=cut).indexes(manifest) for group in range(groups)]
    assert sorted(index for indexes in shared for index in indexes) == list(range(len(items)))
    if cut is Cut.BALANCED:
        loads = [sum(items[index] for index in indexes) for indexes in shared]
        assert max(loads) - min(loads) <= max(items, default=0)


def test_a_task_that_was_mapped_before_groups_were_balanced_reads_the_same_files():
    old = FileGroup.from_xcom({"export": "e", "group": 1, "groups": 3, "schema_version": 2})
    manifest = [ManifestFile(index, 10 - index, "", None, "") for index in range(8)]
    assert list(old.indexes(manifest)) == [1, 4, 7]
    assert (old.name, old.to_xcom()) == ("0001-of-0003", {"export": "e", "group": 1, "groups": 3, "schema_version": 2})
    new = replace(old, cut=Cut.BALANCED)
    assert FileGroup.from_xcom(new.to_xcom()) == new
    assert new.statistics_path != old.statistics_path


def test_groups_of_many_exports_fit_into_one_mapping():
    assert len(group_files([entry_of(100, 100 * GROUP_BYTES)] * 300, 50)) <= MOST_GROUPS


def test_bucket_is_the_lakes(table):
    assert table.published(12).location.startswith(
        f"s3://{BUCKET}/tables/orders/snapshots/export_time=20260301T1200Z/g-"
    )


def test_counts_that_do_not_add_up_are_not_shown(table):
    entry = table.verified(12, 24)
    groups = table.converted(entry, most_groups=1)
    (note,) = table.store.list_objects(f"{table.ledger.lake.ledger}/converted/{entry.export}/")
    document = json.loads(table.store.read(note.key).content)
    table.store.put(note.key, json.dumps({"parts": document["parts"][1:]}).encode())
    with pytest.raises(ConversionError, match="but the verified export has 3"):
        table.publish(entry, groups)
    assert not table.glue.has_table("lake", "orders_changes")
