"""Lines in quarantine are found by one listing, and said for as long as readers are shown less than was exported."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from ddb_export.aws.object_store import LocalObjectStore
from ddb_export.cli import main
from ddb_export.domain.evidence import PublishedEntry, VerifiedEntry
from ddb_export.domain.freshness import Trouble, find_troubles
from ddb_export.domain.layout import Lake, snapshot_partition, window_partition
from ddb_export.pipeline.freshness import facts_of
from ddb_export.pipeline.ledger import Ledger, Wanted
from tests.domain.test_gaps import ARN, BASE, HOUR, claim, entry

LAKE = Lake("", "lake", "orders")


class Table:
    """A ledger in a folder, with a verified base and verified windows of an hour each."""

    def __init__(self, folder: Path, windows: int) -> None:
        self.store = LocalObjectStore(folder)
        self.ledger = Ledger(self.store, LAKE)
        self.ledger.own(ARN, BASE)
        drafts = [claim(1, None), *(claim(1, hour) for hour in range(windows))]
        claims = self.ledger.claim([Wanted(each.kind, each.request, "test") for each in drafts], "id", BASE)
        self.entries = [entry(made) for made in claims]
        for each in self.entries:
            self.ledger.record_verified(each)

    def publish(
        self, verified: VerifiedEntry, quarantined: int, generation: str = "g-1", hours: int = 1
    ) -> PublishedEntry:
        """Publish an export, and keep so many of its lines in quarantine."""
        at = window_partition(verified.window) if verified.window else snapshot_partition(BASE)
        output, moment = at.partition("/")[0], BASE + hours * HOUR
        made = PublishedEntry(
            output, verified.export, generation, "s3://", at, "d.t", 1, 5, quarantined, 1, 1, "f", moment, {}
        )
        if quarantined:
            self.store.put(LAKE.key(f"quarantine/{at}/{generation}/part-00000.jsonl"), b"{}\n")
        return self.ledger.record_published(made)

    def said(self) -> str | None:
        """Return the cause of the trouble, if it is one."""
        facts = facts_of(self.ledger, self.ledger.read(), BASE, BASE + HOUR, note_it=False)
        found = {each.trouble: each.cause for each in find_troubles(facts, BASE + HOUR, sla=None)}
        return found.get(Trouble.QUARANTINE)


def test_the_newest_is_named_and_the_others_counted(tmp_path):
    table = Table(tmp_path, 3)
    for verified, quarantined in zip(table.entries, (2, 0, 3, 1), strict=True):
        table.publish(verified, quarantined)
    said = table.said()
    assert said is not None
    window = "20260301T0200Z-20260301T0300Z"
    assert said.startswith(f"export {window}-a1: 1 of 6 lines is not in d.t but in quarantine")
    assert f"quarantine/changes/dt=2026-03-01/export_window={window}/g-1/" in said
    assert said.endswith("; and 5 lines of 2 more of the newest exports")


def test_it_is_over_when_another_generation_holds_every_line(tmp_path):
    table = Table(tmp_path, 1)
    first = table.publish(table.entries[1], 2)
    compacted = replace(first, generation="g-2", made_from="g-1", target_file_bytes=1, compacted_at=BASE + HOUR)
    table.ledger.record_published(compacted)
    assert "/g-1/" in str(table.said()), "compacted files have no quarantine of their own"
    table.publish(table.entries[1], 0, "g-3", hours=2)
    assert table.said() is None


@pytest.mark.parametrize(("days", "told"), [(6, True), (8, False)])
def test_it_is_said_for_a_week_of_data(tmp_path, days, told, monkeypatch):
    table = Table(tmp_path, 1)
    table.publish(table.entries[1], 2)
    chain = table.ledger.read()
    monkeypatch.setattr(type(chain), "head", BASE + HOUR + timedelta(days=days))
    assert (table.said() is not None) == told


def test_what_was_never_published_is_not_said(tmp_path):
    table = Table(tmp_path, 1)
    window = table.entries[1].window
    assert window
    table.store.put(LAKE.key(f"quarantine/{window_partition(window)}/g-1/part-00000.jsonl"), b"{}\n")
    assert table.said() is None


def test_gaps_sums_them_up(tmp_path, capsys):
    table = Table(tmp_path, 25)
    for verified in table.entries:
        table.publish(verified, 1)
    assert main(["gaps", str(tmp_path / "lake" / "orders")]) == 0
    out = capsys.readouterr().out
    assert out.count("  quarantine 1 line of 6 of 2026") == 20
    assert "  quarantine 6 lines of 6 older exports; --json has them all\n" in out
    assert "next: read the reasons there, mend" in out
    assert main(["gaps", str(tmp_path / "lake" / "orders"), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["quarantine"]) == 26
