"""Conversion of whole exports on disk: exact, the same again, and visible as a whole or not at all."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from ddb_export.aws.object_store import LocalObjectStore
from ddb_export.conversion.inverse import read_items, read_rows
from ddb_export.domain.attribute_value import items_equal
from ddb_export.domain.schema import SchemaDocument
from ddb_export.domain.statistics import ExportStatistics
from ddb_export.exceptions import PermissionDeniedError, UsageError, VerificationError
from ddb_export.pipeline.conversion import (
    ConvertedPart,
    ExportSource,
    convert_files,
    plan_generation,
    publish_generation,
    scan_files,
)
from ddb_export.pipeline.staging import staged
from ddb_export.pipeline.verification import locate_export, read_manifests, verify_export
from ddb_export.pipeline.whole_export import ConversionResult, Destination, convert_export
from tests.pipeline.handmade_exports import (
    change,
    full_export,
    full_export_of_records,
    genuine,
    incremental_export,
)

ITEMS: list[Any] = [
    [{"id": {"S": "a"}, "n": {"N": "1"}}, {"id": {"S": "b"}, "n": {"N": "2.5"}}],
    [],
    [{"id": {"S": "c"}, "tags": {"SS": ["x", "y"]}}],
]
CHANGES: list[Any] = [
    [],
    [change("a", new={"n": {"N": "1"}})],
    [change("b", old={"n": {"N": "2"}, "expires": {"N": "1768386000"}}), change("c", old={}, new={"n": {"N": "3"}})],
]


def source_of(path: Path) -> ExportSource:
    store = LocalObjectStore("/")
    return ExportSource(store, read_manifests(store, locate_export(store, str(path))))


def convert(path: Path, to: Path, **options: Any) -> ConversionResult:
    store = LocalObjectStore("/")
    destination = Destination(store, str(to).strip("/"))
    return convert_export(store, locate_export(store, str(path)), destination, **options)


def tree(folder: Path) -> dict[str, str]:
    """Every file below a folder, hidden ones too, with a digest of its content."""
    files = (each for each in folder.rglob("*") if each.is_file())
    return {str(each.relative_to(folder)): hashlib.sha256(each.read_bytes()).hexdigest() for each in files}


def same_items(found: list[Any], wanted: list[Any]) -> bool:
    return len(found) == len(wanted) and all(items_equal(*pair) for pair in zip(found, wanted, strict=True))


def test_genuine_export_comes_back_exactly(tmp_path):
    export = genuine(tmp_path / "export")
    result = convert(export, tmp_path / "lake")
    (data,) = export.rglob("*.json.gz")
    wanted = [json.loads(line)["Item"] for line in gzip.decompress(data.read_bytes()).splitlines()]
    ((path, rows, size),) = result.published.files
    assert same_items(list(read_items(tmp_path / "lake" / path)), wanted)
    assert (rows, size) == (3, (tmp_path / "lake" / path).stat().st_size)


def test_layout_of_a_full_export(tmp_path):
    export = full_export(tmp_path / "export", ITEMS)
    result = convert(export.root, tmp_path / "lake")
    partition = "snapshots/export_time=20260114T1030Z"
    generation = result.published.generation
    assert set(tree(tmp_path / "lake")) == {
        f"{partition}/_live.json",
        f"{partition}/{generation}/part-00000.parquet",
        f"{partition}/{generation}/part-00002.parquet",
    }
    live = json.loads((tmp_path / "lake" / partition / "_live.json").read_text())
    assert live["generation"] == generation
    assert live["export_arn"] == export.arn
    assert [(each["path"], each["rows"]) for each in live["files"]] == [
        (f"{generation}/part-00000.parquet", 2),
        (f"{generation}/part-00002.parquet", 1),
    ]
    assert live["schema_fingerprint"] == result.schema.fingerprint
    assert {path.name for path in tmp_path.iterdir()} == {"export", "lake"}


@pytest.mark.parametrize(("view", "operation"), [("NEW_AND_OLD_IMAGES", "INSERT"), ("NEW_IMAGE", "PUT")])
def test_changes_of_both_views(tmp_path, view, operation):
    export = incremental_export(tmp_path / "export", CHANGES, view=view)
    result = convert(export.root, tmp_path / "lake", ttl_attribute="expires")
    paths = [path for path, _, _ in result.published.files]
    folder = f"changes/dt=2026-01-14/export_window=20260114T1020Z-20260114T1035Z/{result.published.generation}"
    assert paths == [f"{folder}/part-00001.parquet", f"{folder}/part-00002.parquet"]
    rows = [contract for path in paths for contract, _ in read_rows(tmp_path / "lake" / path)]
    assert [row["_op"] for row in rows][:2] == [operation, "REMOVE"]
    assert rows[1]["_ttl_expired"] is True


def test_the_ttl_attribute_makes_another_generation_of_changes_only(tmp_path):
    changes, full = incremental_export(tmp_path / "i", CHANGES), full_export(tmp_path / "f", ITEMS)
    names = {
        convert(changes.root, tmp_path / "a", ttl_attribute=name).published.generation for name in (None, "n", "x")
    }
    assert len(names) == 3
    names = {convert(full.root, tmp_path / "b", ttl_attribute=name).published.generation for name in (None, "n")}
    assert len(names) == 1


def test_twice_gives_the_same_files(tmp_path):
    export = incremental_export(tmp_path / "export", CHANGES)
    first = convert(export.root, tmp_path / "lake")
    before = tree(tmp_path / "lake")
    times = {path: (tmp_path / "lake" / path).stat().st_mtime_ns for path in before}
    assert convert(export.root, tmp_path / "lake") == first
    assert tree(tmp_path / "lake") == before
    assert {path: (tmp_path / "lake" / path).stat().st_mtime_ns for path in before} == times
    assert convert(export.root, tmp_path / "other").published == first.published
    assert tree(tmp_path / "other") == before


def test_a_part_that_was_lost_is_made_again(tmp_path):
    export = full_export(tmp_path / "export", ITEMS)
    convert(export.root, tmp_path / "lake")
    before = tree(tmp_path / "lake")
    next((tmp_path / "lake").rglob("part-00002.parquet")).unlink()
    convert(export.root, tmp_path / "lake")
    assert tree(tmp_path / "lake") == before


def test_another_generation_switches_the_live_file_and_keeps_the_older_one(tmp_path):
    export = incremental_export(tmp_path / "export", CHANGES)
    first = convert(export.root, tmp_path / "lake")
    second = convert(export.root, tmp_path / "lake", ttl_attribute="expires")
    (live,) = (tmp_path / "lake").rglob("_live.json")
    assert json.loads(live.read_text())["generation"] == second.published.generation
    assert all((tmp_path / "lake" / path).exists() for path, _, _ in first.published.files)


def test_grouping_into_tasks_changes_nothing(tmp_path):
    source = source_of(full_export(tmp_path / "export", [[{"id": {"S": str(n)}}] for n in range(7)]).root)
    lakes = []
    groupings = [[[0, 1, 2, 3, 4, 5, 6]], [[6, 0], [3], [1, 2], [4, 5]]]
    for number, groups in enumerate(groupings):
        store = LocalObjectStore(tmp_path / str(number))
        scans = [scan_files(source, group).to_json() for group in groups]
        statistics = ExportStatistics.merge_all(ExportStatistics.from_json(each) for each in scans)
        generation = plan_generation(source, SchemaDocument().extend(statistics))
        parts = [part.to_json() for group in groups for part in convert_files(source, generation, store, "t", group)]
        publish_generation(source, generation, [ConvertedPart.from_json(each) for each in parts], store, "t")
        lakes.append(tree(tmp_path / str(number)))
    assert lakes[0] == lakes[1]


@pytest.mark.scenario("F17")
@pytest.mark.parametrize("files", [[], [[]], [[], []]])
@pytest.mark.parametrize("make", [full_export, incremental_export])
def test_export_without_rows_gives_one_empty_file(tmp_path, make, files):
    result = convert(make(tmp_path / "export", files).root, tmp_path / "lake")
    ((path, rows, _),) = result.published.files
    assert (path.rsplit("/", 1)[1], rows) == ("part-00000.parquet", 0)
    assert list(read_items(tmp_path / "lake" / path)) == []


def test_lines_that_are_no_record_go_to_quarantine(tmp_path):
    bad = {"Item": {"id": {"S": 7}}}
    export = full_export_of_records(tmp_path / "export", [[{"Item": ITEMS[0][0]}, bad], [bad]])
    result = convert(export.root, tmp_path / "lake")
    published = result.published
    assert (published.rows, published.quarantined) == (1, 2)
    assert [path.rsplit("/", 1)[1] for path, _, _ in published.files] == ["part-00000.parquet"]
    folder = tmp_path / "lake/quarantine/snapshots/export_time=20260114T1030Z" / published.generation
    lines = [json.loads(line) for file in sorted(folder.iterdir()) for line in file.read_text().splitlines()]
    assert [(Path(each["file"]).name, each["line"]) for each in lines] == [
        (export.data[0].name, 2),
        (export.data[1].name, 1),
    ]
    assert [json.loads(each["record"]) for each in lines] == [bad, bad]
    assert convert(export.root, tmp_path / "lake").published == published


LATE_ATTRIBUTE: Any = [[{"id": {"S": "a"}}], [{"id": {"S": "b"}, "late": {"N": "1"}}], [{"id": {"S": "c"}}]]


class TestOnePass:
    def test_files_are_those_of_two_passes(self, tmp_path):
        bad: Any = {"Item": {"id": {"S": 7}}}
        records = [[{"Item": item} for item in items] + [bad] for items in LATE_ATTRIBUTE]
        export = full_export_of_records(tmp_path / "export", records)
        source = source_of(export.root)
        generation = plan_generation(source, SchemaDocument().extend(scan_files(source)))
        store = LocalObjectStore(tmp_path / "two")
        publish_generation(source, generation, convert_files(source, generation, store), store)
        phases: list[tuple[str, int]] = []

        def phase(name: str, files: int) -> Any:
            phases.append((name, files))
            return lambda _files, _bytes, _rows: None

        convert(export.root, tmp_path / "one", phases=phase)
        assert tree(tmp_path / "one") == tree(tmp_path / "two")
        assert phases == [("convert", 3), ("again", 1)]

    def test_each_file_is_read_once_if_the_guess_holds(self, tmp_path, monkeypatch):
        items: Any = [[{"id": {"S": str(number)}}] for number in range(3)]
        export = full_export(tmp_path / "export", items)
        opened: list[str] = []
        original = LocalObjectStore.open

        def count(self: LocalObjectStore, key: str) -> Any:
            opened.append(key)
            return original(self, key)

        monkeypatch.setattr(LocalObjectStore, "open", count)
        convert(export.root, tmp_path / "lake")
        assert len([key for key in opened if key.endswith(".json.gz")]) == 3

    def test_all_findings_of_all_files_are_reported(self, tmp_path):
        export = full_export(tmp_path / "export", [*ITEMS, *ITEMS])
        for index in (0, 3):
            export.data[index].write_bytes(b"damaged")
        export.data[5].unlink()
        store = LocalObjectStore("/")
        wanted = verify_export(store, read_manifests(store, locate_export(store, str(export.root))))
        assert len(wanted.findings) == 3
        assert convert(export.root, tmp_path / "deep" / "lake").report == wanted
        assert {path.name for path in tmp_path.iterdir()} == {"export"}


class TestNothingHalfVisible:
    @pytest.mark.scenario("F16")
    def test_export_that_does_not_verify(self, tmp_path):
        export = full_export(tmp_path / "export", ITEMS)
        export.data[2].write_bytes(b"damaged")
        result = convert(export.root, tmp_path / "deep" / "lake")
        assert (result.report.ok, result.published) == (False, None)
        assert not (tmp_path / "deep").exists()

    def test_file_that_changes_after_its_verification(self, tmp_path, monkeypatch):
        export = full_export(tmp_path / "export", ITEMS)

        def verify_then_change(*arguments: Any, **options: Any) -> Any:
            report = verify_export(*arguments, **options)
            export.data[0].write_bytes(export.data[2].read_bytes())
            return report

        monkeypatch.setattr("ddb_export.pipeline.whole_export.verify_export", verify_then_change)
        with pytest.raises(VerificationError, match="not the file that the manifest names"):
            convert(export.root, tmp_path / "lake")
        assert {path.name for path in tmp_path.iterdir()} == {"export"}

    def test_what_a_killed_process_left_goes_with_the_next_one(self, tmp_path):
        left = tmp_path / ".lake.ddb_export-abc"
        left.mkdir()
        (left / "lock").touch()
        with staged(tmp_path / "lake") as running:
            assert not left.exists()
            with staged(tmp_path / "lake"):
                assert running.content.exists()
        assert list(tmp_path.iterdir()) == []

    def test_destination_that_exists_gets_the_partition_in_one_rename(self, tmp_path):
        convert(full_export(tmp_path / "f", ITEMS).root, tmp_path / "lake")
        convert(incremental_export(tmp_path / "i", CHANGES).root, tmp_path / "lake")
        assert {path.name for path in (tmp_path / "lake").iterdir()} == {"snapshots", "changes"}
        assert {path.name for path in tmp_path.iterdir()} == {"f", "i", "lake"}


class TestRefusals:
    def test_ion(self, tmp_path):
        export = full_export(tmp_path / "export", ITEMS)
        export.change_summary(outputFormat="ION")
        with pytest.raises(UsageError, match=r"ION.*Remedy: export again as DYNAMODB_JSON"):
            convert(export.root, tmp_path / "lake")
        assert not (tmp_path / "lake").exists()

    def test_destination_is_a_file(self, tmp_path):
        export = full_export(tmp_path / "export", ITEMS)
        (tmp_path / "lake").touch()
        for path in (tmp_path / "lake", tmp_path / "lake" / "below"):
            with pytest.raises(UsageError, match="it is a file"):
                convert(export.root, path)

    def test_destination_is_read_only(self, tmp_path, monkeypatch):
        export = full_export(tmp_path / "export", ITEMS)
        (tmp_path / "lake").mkdir()
        # The tests may run as root, for whom no folder is read-only.
        monkeypatch.setattr("os.access", lambda path, _mode: Path(path) != tmp_path / "lake")
        with pytest.raises(PermissionDeniedError, match="lake: Permission denied"):
            convert(export.root, tmp_path / "lake")


@pytest.mark.parametrize("what", ["part-00000.parquet", "part-00000.jsonl", "_live.json"])
@pytest.mark.parametrize(
    "damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"x" * path.stat().st_size)]
)
def test_running_again_restores_what_was_damaged_or_removed(tmp_path, what, damage):
    export = full_export_of_records(tmp_path / "export", [[{"Item": ITEMS[0][0]}, {"Item": {"id": {"S": 7}}}]])
    convert(export.root, tmp_path / "lake")
    before = tree(tmp_path / "lake")
    (path,) = (tmp_path / "lake").rglob(what)
    damage(path)
    convert(export.root, tmp_path / "lake")
    assert tree(tmp_path / "lake") == before


@pytest.mark.scenario("F19")
def test_a_very_large_data_file_gives_several_parquet_files(tmp_path, monkeypatch):
    """The metadata of row groups is held until a file is closed, so a file has a bounded number of them."""
    monkeypatch.setattr("ddb_export.conversion.parquet.ROW_GROUP_BYTES", 1)
    monkeypatch.setattr("ddb_export.conversion.pieces.COLUMN_CHUNKS", 4)
    items = [{"id": {"S": f"{number:05d}"}, "text": {"S": "x" * 400}} for number in range(6000)]
    export = full_export(tmp_path / "export", [items[:5000], items[5000:]])
    result = convert(export.root, tmp_path / "lake")
    names = [path.rsplit("/", 1)[1] for path, _, _ in result.published.files]
    assert names[:3] == ["part-00000.parquet", "part-00000-001.parquet", "part-00000-002.parquet"]
    assert "part-00001.parquet" in names
    assert result.published.rows == 6000
    read = [item for path, _, _ in result.published.files for item in read_items(tmp_path / "lake" / path)]
    assert read == items
    for path, rows, size in result.published.files:
        assert ((tmp_path / "lake" / path).stat().st_size, len(list(read_items(tmp_path / "lake" / path)))) == (
            size,
            rows,
        )
    source = source_of(export.root)
    store = LocalObjectStore(tmp_path / "mapped")
    generation = plan_generation(source, SchemaDocument().extend(scan_files(source)))
    parts = [part.to_json() for group in ([1], [0]) for part in convert_files(source, generation, store, "", group)]
    publish_generation(source, generation, [ConvertedPart.from_json(each) for each in parts], store)
    assert {path.name: path.read_bytes() for path in (tmp_path / "mapped").rglob("*.parquet")} == {
        path.name: path.read_bytes() for path in (tmp_path / "lake").rglob("*.parquet")
    }
