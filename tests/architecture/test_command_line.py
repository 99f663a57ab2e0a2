"""``ddb-export`` verifies and converts where no Airflow is installed, and starts without the libraries of either."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXPORT = ROOT / "tests" / "fixtures" / "real-full-export"

PROGRAM = """
import contextlib, io, json, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "airflow":
            raise ModuleNotFoundError(f"{name}: imported by the command line", name=name)

sys.meta_path.insert(0, Absent())
from ddb_export.cli import main
with contextlib.redirect_stdout(io.StringIO()) as shown:
    try:
        code = main(sys.argv[1:])
    except SystemExit as left:
        code = left.code or 0
print(json.dumps({"code": code, "shown": shown.getvalue(), "loaded": sorted({m.split(".")[0] for m in sys.modules})}))
"""


def without_airflow(*arguments: str) -> dict[str, Any]:
    """Run the command in a process where no import of Airflow can succeed."""
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], cwd="/", capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    found: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("command", ["verify", "convert"])
def test_a_genuine_export_is_read_without_airflow(command: str, tmp_path: Path):
    target = ["--to", str(tmp_path)] if command == "convert" else []

    ran = without_airflow(command, str(EXPORT), *target, "--json")

    assert ran["code"] == 0
    assert json.loads(ran["shown"])["ok"]
    assert "airflow" not in ran["loaded"]


def test_the_version_is_told_without_loading_a_library():
    ran = without_airflow("--version")

    assert ran["code"] == 0
    assert {"airflow", "boto3", "botocore", "pyarrow", "pydantic"}.isdisjoint(ran["loaded"])
