"""``ddb-export gaps`` as a person runs it, on ledgers in a local folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ddb_export.aws.object_store import LocalObjectStore
from ddb_export.cli import main
from ddb_export.domain.layout import Lake
from ddb_export.domain.window import Window
from ddb_export.pipeline.ledger import Ledger, Wanted
from tests.domain.test_gaps import ARN, BASE, HOUR, claim, entry

KEYS = {
    "ok", "table", "table_arn", "chains", "base", "head", "lag_seconds", "holes", "islands", "history", "overlaps",
    "pending", "overflow", "overflow_unknown", "contract", "quarantine", "raw_removed", "errors",
}  # fmt: skip


def keep(folder: Path, hours: list[int], verified: set[int]) -> str:
    """Write a ledger with a verified base and these windows; return the folder's name for the command."""
    ledger = Ledger(LocalObjectStore(folder), Lake("", "lake", "orders"))
    ledger.own(ARN, BASE)
    drafts = [claim(1, None), *(claim(1, hour) for hour in hours)]
    claims = ledger.claim([Wanted(each.kind, each.request, "test") for each in drafts], "id", BASE)
    for made, hour in zip(claims, [None, *hours], strict=True):
        if hour is None or hour in verified:
            ledger.record_verified(entry(made))
    return str(folder / "lake" / "orders")


@pytest.mark.scenario("F1")
def test_hole_is_named_and_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    code = main(["gaps", keep(tmp_path, [0, 1, 2], {0, 2})])
    out, err = capsys.readouterr()
    assert code == 1
    assert "orders: 1 HOLE\n" in out
    assert "hole       2026-03-01T01:00:00Z to 2026-03-01T02:00:00Z: claim 3 (attempt 1) holds" in out
    assert err.count("\n") == 1
    assert err.startswith(f"ddb-export: {ARN} [2026-03-01T01:00:00Z, 2026-03-01T02:00:00Z): claim 3")


def test_no_hole_ends_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["gaps", keep(tmp_path, [0, 1], {0, 1}), "--json"]) == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert set(document) == KEYS
    assert document["head"] == "2026-03-01T02:00:00Z"
    assert err == ""
    assert Window(BASE, BASE + HOUR).key == "20260301T0000Z-20260301T0100Z"


def test_no_ledger_ends_with_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["gaps", str(tmp_path / "orders"), "--json"]) == 3
    assert set(json.loads(capsys.readouterr().out)) == KEYS


def test_misspelt_name_is_answered_with_the_nearest_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    lines = "table: orders\nbucket: lake\nprefix: p\ndatabase: d\nschedule: '@daily'\nstart_date: 2026-01-01\n"
    (tmp_path / "orders.yaml").write_text(lines)
    assert main(["gaps", "order", "--tables", str(tmp_path)]) == 2
    assert "did you mean orders?" in capsys.readouterr().err
