"""The layer rule is enforced by import-linter, and would fail if someone broke it."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "plugins" / "ddb_export"

VIOLATIONS = {
    "Layers: imports go downward only": ("domain", "import ddb_export.plugin"),
    "Airflow is imported by its skins only": ("domain", "from airflow.sdk import DAG"),
    "AWS is called by the gateways and made reachable by the hooks only": (
        "conversion",
        "def late():\n    import boto3",
    ),
    "Data libraries live in conversion only": ("aws", "def late():\n    from pyarrow import parquet"),
    "The lab is a tool for developers: the provider does not know it": ("aws", "import local_aws.clock"),
    "The command line runs without Airflow": ("cli", "import ddb_export.plugin"),
}
"""By contract: a room, and an import that it must not hold."""


@pytest.fixture
def copied_package(tmp_path: Path) -> Path:
    """A copy of the package and of the contracts that may be broken."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(PACKAGE, tmp_path / "plugins" / "ddb_export", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "local_aws").mkdir()
    shutil.copy(ROOT / "local_aws" / "__init__.py", tmp_path / "local_aws")
    return tmp_path


def lint(folder: Path) -> str:
    """Run import-linter in a folder and return what it says."""
    answer = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-logo", "--no-cache"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder / "plugins"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout + answer.stderr


def test_the_contracts_are_kept(copied_package: Path):
    said = lint(copied_package)

    assert ", 0 broken." in said, said
    assert said.count(" KEPT") == len(VIOLATIONS), said


def test_every_contract_is_broken_by_a_planted_violation(copied_package: Path):
    for number, (room, planted) in enumerate(VIOLATIONS.values()):
        folder = copied_package / "plugins" / "ddb_export" / room
        (folder / f"planted_{number}.py").write_text(planted + "\n")

    said = lint(copied_package)

    for contract in VIOLATIONS:
        assert f"{contract} BROKEN" in said, said


def test_a_room_without_a_floor_is_refused(copied_package: Path):
    (copied_package / "plugins" / "ddb_export" / "attic.py").write_text('"""Belongs nowhere."""\n')

    assert "attic" in lint(copied_package)


def test_the_domain_imports_the_standard_library_only():
    # croniter is pure computation as well, and the reading of a schedule that Airflow's own timetables have.
    allowed = sys.stdlib_module_names | {"ddb_export", "croniter"}
    for path in [*(PACKAGE / "domain").rglob("*.py"), PACKAGE / "exceptions.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert {name.split(".")[0] for name in names} <= allowed, f"{path.name}:{getattr(node, 'lineno', 0)}"


def test_the_domain_reads_no_clock():
    clocks = (
        "datetime.now",
        "datetime.utcnow",
        "datetime.today",
        "date.today",
        "time.time",
        "time.time_ns",
        "time.monotonic",
    )
    for path in (PACKAGE / "domain").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                assert not ast.unparse(node.func).endswith(clocks), f"{path.name}:{node.lineno}"
