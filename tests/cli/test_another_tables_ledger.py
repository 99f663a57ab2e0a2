"""Commands that write refuse a ledger that was made for another table than the one that is configured under its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from ddb_export.cli import main
from tests.pipeline.tables import BUCKET, LakeTable


@pytest.mark.parametrize("name", ["widen", "compact", "prune"])
def test_a_ledger_of_another_table_is_refused(lab, account, aws, monkeypatch, tmp_path: Path, capsys, name):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", account)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "lab")
    table = LakeTable(lab, account, aws)
    table.ledger.own(table.arn, table.now)
    lines = f"table: customers\nname: orders\nbucket: {BUCKET}\nprefix: tables\ndatabase: lake\nregion: us-east-1\n"
    (tmp_path / "orders.yaml").write_text(f"{lines}schedule: '@daily'\nstart_date: 2026-01-01\n")
    assert main([name, "orders", "--tables", str(tmp_path), "--endpoint-url", lab.endpoint_url]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert "customers" in err
    assert err.count("\n") == 1
    assert "Remedy: " in err
