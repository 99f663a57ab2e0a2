"""The repository stands alone, its modules stay small, and every one says what it is for."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MADE = {".git", "build", "__pycache__", ".ruff_cache", ".pytest_cache", ".mypy_cache", ".hypothesis", "node_modules"}
CODE = ["plugins", "local_aws", "benchmarks", "demo", "scripts", "dags"]
MOST_LINES = 400


def files() -> Iterator[Path]:
    """Walk the files of the repository that people write."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in MADE and not name.startswith(".venv")]
        yield from (Path(folder) / name for name in names)


def modules() -> list[Path]:
    """List the Python modules of the project, tests aside."""
    found = [path for path in files() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in CODE]
    assert len(found) > 20
    return found


def test_no_file_refers_to_a_folder_outside_of_the_repository():
    outside = [f"..{os.sep}shared".encode(), f"{os.sep}work{os.sep}shared".encode()]

    named = [str(path) for path in files() if any(word in path.read_bytes() for word in outside)]

    assert named == []


def test_no_module_is_longer_than_a_reader_can_hold():
    long = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in modules()}

    assert {path: lines for path, lines in long.items() if lines > MOST_LINES} == {}


def test_every_module_says_what_it_is_for():
    silent = [str(path.relative_to(ROOT)) for path in modules() if not ast.get_docstring(ast.parse(path.read_text()))]

    assert silent == []
