"""``ddb-export convert --table``: by the contract of a configured table, with the key of its hashes from the environment only."""

from __future__ import annotations

import hmac
import json
from pathlib import Path

import pytest

from ddb_export.cli import main
from ddb_export.conversion.inverse import read_items

EXPORT = Path(__file__).parents[1] / "fixtures" / "real-full-export"
TABLE = """table: Flights
bucket: my-lake
prefix: dynamodb
database: lake
schedule: '@daily'
start_date: 2026-01-31
contract:
  hash_conn_id: pii
  columns:
    id: {hash: true}
    f: {drop: true}
"""


def test_a_configured_contract_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "flights.yaml").write_text(TABLE)
    lake = tmp_path / "lake"
    arguments = ["convert", str(EXPORT), "--to", str(lake), "--tables", str(tmp_path), "--json", "--table"]
    assert main([*arguments, "Flight"]) != 0
    assert "did you mean Flights?" in capsys.readouterr().err
    monkeypatch.delenv("DDB_EXPORT_HASH_KEY", raising=False)
    assert main([*arguments, "Flights"]) != 0
    assert "it hashes 'id', and the key is not at hand" in capsys.readouterr().err
    assert not lake.exists()
    monkeypatch.setenv("DDB_EXPORT_HASH_KEY", "k")
    assert main([*arguments, "Flights"]) == 0
    (output,) = json.loads(capsys.readouterr().out)["outputs"]
    items = list(read_items(Path(output["path"])))
    assert items[0]["id"] == {"S": hmac.digest(b"k", b'{"S":"bar"}', "sha256").hex()}
    assert not any("f" in item for item in items)
