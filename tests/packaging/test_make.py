"""What ``make test`` and its environments promise: one-line errors, and no test that excuses itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.environment import StepError, constraints_of
from scripts.environment import main as environment
from tests.packaging.airflow_environment import ROOT

EXCUSES = """
import pytest

def test_passes(): pass

@pytest.mark.skip(reason="marked")
def test_marked(): pass

def test_late(): pytest.skip("late")

@pytest.mark.xfail(reason="known")
def test_known(): assert False

@pytest.mark.xfail(reason="healed", strict=False)
def test_healed(): pass
"""


def test_a_skip_or_xfail_counts_as_a_failure(tmp_path: Path):
    (tmp_path / "test_excuses.py").write_text(EXCUSES)
    (tmp_path / "test_absent.py").write_text('import pytest\npytest.importorskip("no_such_module")\n')
    options = ["-p", "scripts.strict_outcomes", "-n", "2", "-c", os.devnull, "--rootdir", str(tmp_path)]

    answer = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert answer.returncode == 1
    # The skip by a mark happens while the test is set up, the skip of a module while it is collected.
    assert "3 failed, 1 passed, 2 errors" in answer.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("script", "cause"), [("echo old", "is older than 3.11"), ("exit 1", "does not run")], ids=["old", "broken"]
)
def test_a_python_that_cannot_be_used_is_refused_in_one_line(tmp_path: Path, script: str, cause: str):
    python = tmp_path / "python3"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    command = ["make", "venv", f"PYTHON={python}", f"VENV={tmp_path / 'env'}"]

    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    errors = [line for line in answer.stderr.splitlines() if line.startswith("error: ")]
    assert answer.returncode != 0
    assert len(errors) == 1
    assert cause in errors[0]
    assert "Remedy: " in errors[0]
    assert not (tmp_path / "env").exists()


def test_a_python_without_pinned_versions_is_refused_unless_it_is_wanted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("DDB_EXPORT_ANY_PYTHON", raising=False)
    with pytest.raises(
        StepError,
        match=r"^Python 3\.99: .*3\.11, 3\.12, 3\.13 only\. Remedy: .*PYTHON=python3\.13; .*ANY_PYTHON=1[^\n]*$",
    ):
        constraints_of("3.99")

    monkeypatch.setenv("DDB_EXPORT_ANY_PYTHON", "1")
    assert constraints_of("3.99") is None
    assert constraints_of("3.12") == ROOT / "constraints" / "constraints-3.12.txt"


def test_it_is_refused_before_an_environment_is_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.delenv("DDB_EXPORT_ANY_PYTHON", raising=False)
    monkeypatch.setattr("scripts.environment.this_python", lambda: "3.99")

    assert environment([str(tmp_path / "env"), "--libraries"]) == 1

    assert capsys.readouterr().err.startswith("error: Python 3.99: ")
    assert not (tmp_path / "env").exists()


def test_a_folder_that_is_no_environment_is_left_alone(tmp_path: Path):
    (tmp_path / "precious.txt").write_text("kept")

    answer = subprocess.run(
        [sys.executable, ROOT / "scripts" / "environment.py", tmp_path, "--libraries"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert answer.returncode == 1
    assert "is no virtual environment" in answer.stderr
    assert (tmp_path / "precious.txt").read_text() == "kept"
