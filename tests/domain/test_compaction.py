"""Which files are merged, as properties of random partitions; which partitions are worth it; what evidence says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddb_export.domain.compaction import (
    Compaction,
    DataFile,
    budget_error,
    estimate_compaction,
    merges_of,
    starts_at,
)
from ddb_export.domain.cost import prices_of
from ddb_export.domain.evidence import PublishedEntry

MOMENT = datetime(2026, 3, 2, tzinfo=UTC)
EXPORT = "20260301T0000Z-20260302T0000Z-a1"
PARTITION = "changes/dt=2026-03-01/export_window=20260301T0000Z-20260302T0000Z"

sizes = st.lists(st.integers(1, 300), min_size=1, max_size=60)
targets = st.integers(1, 400)


def files_of(found: list[int]) -> tuple[DataFile, ...]:
    return tuple(DataFile(f"g-1/part-{number:05d}.parquet", number + 1, size) for number, size in enumerate(found))


def entry_of(files: tuple[DataFile, ...], **fields: Any) -> PublishedEntry:
    size = sum(file.bytes for file in files)
    plain = PublishedEntry(
        "changes", EXPORT, "g-1", "s3://lake/g-1/", PARTITION, "d.t", len(files), 1, 0, size, 1, "f", MOMENT
    )
    return replace(plain, **fields)


def live_of(files: tuple[DataFile, ...]) -> dict[str, Any]:
    return {
        "generation": "g-1",
        "export_arn": "arn",
        "schema_fingerprint": "f",
        "converter_version": "2+ttl=expires;compact=1;",
        "created_by": "ddb_export 0",
        "rows": sum(file.rows for file in files),
        "quarantined": 3,
        "files": [file.to_json() for file in files],
        "of_a_newer_version": {"stays": True},
    }


def compaction_of(found: list[int], target: int) -> Compaction:
    files = files_of(found)
    made = Compaction.from_live(entry_of(files), live_of(files), target)
    assert made is not None
    return made


@given(sizes, targets)
def test_every_file_is_merged_once_in_order_and_no_merge_of_several_exceeds_the_target(found, target):
    files = files_of(found)
    merges = merges_of(files, target)
    assert [file for merge in merges for file in merge.files] == list(files)
    assert [merge.number for merge in merges] == list(range(len(merges)))
    for merge in merges:
        assert len(merge.files) == 1 or sum(file.bytes for file in merge.files) <= target
    for left, right in pairwise(merges):
        assert sum(file.bytes for file in left.files) + right.files[0].bytes > target, "neighbours that fit are one"


@given(sizes, targets, targets)
def test_what_follows_from_a_compaction_is_the_same_again_and_another_for_other_inputs(found, target, other):
    once, again = compaction_of(found, target), compaction_of(found, target)
    assert (once.name, once.merges) == (again.name, again.merges)
    assert (compaction_of(found, other).name == once.name) == (other == target)
    assert compaction_of([*found, 7], target).name != once.name
    assert once.name != once.made_from


@given(sizes, targets, targets)
def test_a_compacted_partition_is_compacted_again_from_its_converted_files_only_to_half_as_many(found, small, large):
    first = compaction_of(found, small)
    made = tuple(
        DataFile(f"{first.name}/part-{merge.number:05d}.parquet", merge.rows, sum(f.bytes for f in merge.files))
        for merge in first.merges
    )
    live = first.live(made, "ddb_export 1")
    assert (live["quarantined"], live["of_a_newer_version"]) == (3, {"stays": True})
    assert live["rows"] == first.rows
    assert live["converter_version"].partition("+ttl=")[2] == "expires;compact=1;", (
        "a rebuild reads the TTL attribute there"
    )
    evidence = first.evidence(made, "s3://lake/c/", MOMENT + timedelta(days=1))
    assert evidence.order > first.entry.order
    assert first.evidence(made, "s3://lake/c/", MOMENT - timedelta(days=1)).order > first.entry.order, "a clock is slow"
    assert evidence.order < replace(first.entry, published_at=MOMENT + timedelta(seconds=1)).order
    assert PublishedEntry.from_json(evidence.to_json()) == evidence
    second = Compaction.from_live(evidence, live, large)
    assert second is not None
    assert (second.files, second.made_from) == (first.files, "g-1")
    assert second.is_worthwhile == (len(second.merges) * 2 <= len(made))
    if large <= small:
        assert not second.is_worthwhile
    from_death = Compaction.from_live(first.entry, live, small)
    assert from_death is not None
    assert from_death.name == first.name, "whoever died before there was evidence is gone on with"


def test_another_generation_than_the_evidence_says_is_left_alone():
    files = files_of([1, 1])
    assert Compaction.from_live(entry_of(files, generation="g-2"), live_of(files), 10) is None
    assert Compaction.from_live(entry_of(files, generation="g-3", made_from="g-2"), live_of(files), 10) is None


@given(st.lists(sizes, max_size=4), targets)
def test_the_estimate_grows_with_the_work_and_the_budget_stops_it(found, target):
    prices = prices_of("us-east-1")
    estimated = estimate_compaction([compaction_of(each, target) for each in found], prices)
    assert estimated.bytes_read == sum(sum(each) for each in found)
    assert estimated.files_after <= estimated.files_before == sum(map(len, found))
    assert (estimated.usd > 0) == bool(found)
    assert budget_error("orders", estimated, None) is None
    assert budget_error("orders", estimated, estimated.usd) is None
    if found:
        error = budget_error("orders", estimated, estimated.usd - Decimal("0.000001"))
        assert "compact less at a time with --from and --to" in str(error)


@pytest.mark.parametrize(
    ("export", "start"),
    [(EXPORT, datetime(2026, 3, 1, tzinfo=UTC)), ("full-20260301T1200Z-a2", datetime(2026, 3, 1, 12, tzinfo=UTC))],
)
def test_when_the_data_of_a_partition_begins(export, start):
    assert starts_at(entry_of((), export=export)) == start
