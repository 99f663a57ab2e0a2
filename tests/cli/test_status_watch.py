"""``ddb-export status --watch`` looks again and again, until Ctrl-C."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

from tests.pipeline.tables import LakeTable

_PATIENCE = 60


def test_watch_looks_again_until_ctrl_c_and_then_ends_in_one_line(lab, account, aws, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", account)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "lab")
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    table = LakeTable(lab, account, aws)
    table.put(1, "a")
    table.until(30)
    table.ledger.own(table.arn, table.now)
    table.verified(6)
    (tmp_path / "orders.yaml").write_text(
        "table: orders\nbucket: lake\nprefix: tables\ndatabase: lake\nschedule: '@daily'\n"
        "start_date: 2026-03-01\nregion: us-east-1\n"
    )
    command = [sys.executable, "-m", "ddb_export.cli", "status", "--watch", "1", "--json", "--tables", str(tmp_path)]
    with subprocess.Popen(
        [*command, "--endpoint-url", lab.endpoint_url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as watching:
        assert watching.stdout
        impatient = threading.Timer(_PATIENCE, watching.kill)
        impatient.start()
        turns = [json.loads(watching.stdout.readline()) for _ in range(2)]
        impatient.cancel()
        watching.send_signal(signal.SIGINT)
        _, said = watching.communicate(timeout=_PATIENCE)
    assert turns[0]["tables"][0]["head"] == turns[1]["tables"][0]["head"] == "2026-03-01T06:00:00Z"
    assert turns[0]["as_of"] < turns[1]["as_of"]
    assert watching.returncode == 130
    assert said.splitlines()[-1].startswith("ddb-export: stopped by Ctrl-C. Remedy: ")
    assert "Traceback" not in said
