#!/usr/bin/env python3
"""Prove the guards: disable one at a time in a copy of the package, and demand that a test goes red.

``make guards`` runs all of ``scripts/guard_list.py`` and writes docs/evidence/guards.log; ``make guards ARGS=token`` runs those with
the word in their name, and writes nothing. A guard whose tests stay green protects nothing that anyone would notice.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts.guard import Guard  # noqa: E402  # the path comes first
from scripts.guard_list import GUARDS  # noqa: E402  # the path comes first
from scripts.guard_origin import COPY  # noqa: E402

PACKAGE = ROOT / "plugins" / "ddb_export"
LOG = ROOT / "docs" / "evidence" / "guards.log"
_LONGEST = 600
_NO_TEST_FAILED = 0
_TEST_FAILED = 1
_FAILED = re.compile(r"^FAILED (\S+)", re.MULTILINE)
_NOT_THE_GUARDS_DOING = re.compile(
    r"^E +(NameError|UnboundLocalError|SyntaxError|ImportError|IndentationError).*", re.MULTILINE
)


class Verdict(StrEnum):
    """What became of the tests while a guard was disabled."""

    RED = "red"
    GREEN = "GREEN"
    BROKEN = "BROKEN"
    """The tests could not show anything: the disabled guard is no program any more, or they could not run."""


class Proof(NamedTuple):
    """The proof of one guard.

    :param said: the test that went red; else what pytest said. :param seconds: how long it took.
    """

    guard: Guard
    verdict: Verdict
    said: str
    seconds: float

    def __str__(self) -> str:
        place = f"{self.guard.file}:{line_of(self.guard)}"
        return f"{self.verdict:<6} {self.seconds:5.1f} s  {self.guard.name}  [{place}]  {self.said}"


def line_of(guard: Guard) -> int:
    """Return the line at which a guard stands."""
    before, _, _ = (PACKAGE / guard.file).read_text().partition(guard.text)
    return before.count("\n") + 1


@contextmanager
def copied_package() -> Iterator[Path]:
    """Give a folder with a copy of the package, to be put first on the path."""
    with tempfile.TemporaryDirectory(prefix="ddb-export-guards-") as folder:
        shutil.copytree(PACKAGE, Path(folder) / "ddb_export", ignore=shutil.ignore_patterns("__pycache__"))
        yield Path(folder)


def disable(guard: Guard, folder: Path) -> None:
    """Disable a guard in a copy of the package.

    :raises ValueError: its text is not there exactly once.
    """
    path = folder / "ddb_export" / guard.file
    source = path.read_text()
    if (found := source.count(guard.text)) != 1:
        raise ValueError(
            f"guard {guard.name!r}: its text stands {found} times in {guard.file}. Remedy: correct scripts/guards_of_the_*.py"
        )
    changed = source.replace(guard.text, guard.instead)
    compile(changed, str(path), "exec")
    path.write_text(changed)


def run_tests(folder: Path, tests: Sequence[str], *options: str) -> subprocess.CompletedProcess[str]:
    """Run tests against the copy of the package in a folder; pytest ends at once if another one is imported."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment = {**clean, "PYTHONPATH": str(folder), COPY: str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-p", "scripts.guard_origin", "-p", "no:cacheprovider", "-q", "-rf"]
    command += ["--tb=short", "--show-capture=no", "--import-mode=importlib", *options, *tests]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=_LONGEST
    )


def prove(guard: Guard) -> Proof:
    """Disable a guard and run its tests until one goes red."""
    began = time.monotonic()
    with copied_package() as folder:
        try:
            disable(guard, folder)
        except (ValueError, SyntaxError) as error:
            return Proof(guard, Verdict.BROKEN, str(error), time.monotonic() - began)
        answer = run_tests(folder, guard.tests, "-x")
    verdict, said = _judged(answer)
    return Proof(guard, verdict, said, time.monotonic() - began)


def _judged(answer: subprocess.CompletedProcess[str]) -> tuple[Verdict, str]:
    failed = _FAILED.search(answer.stdout)
    wrong = _NOT_THE_GUARDS_DOING.search(answer.stdout)
    if answer.returncode == _NO_TEST_FAILED:
        return Verdict.GREEN, answer.stdout.strip().rpartition("\n")[2]
    if answer.returncode == _TEST_FAILED and failed and not wrong:
        return Verdict.RED, failed[1]
    last = (answer.stdout + answer.stderr).strip().rpartition("\n")[2]
    return Verdict.BROKEN, wrong[0] if wrong else f"pytest ended with {answer.returncode}: {last}"


def require_green(guards: Sequence[Guard], workers: int) -> str | None:
    """Run all the tests while every guard is in force; return what is wrong, None if nothing is."""
    tests = sorted({test for guard in guards for test in guard.tests})
    with copied_package() as folder:
        answer = run_tests(folder, tests, "-n", str(workers), "--dist", "loadfile")
    if answer.returncode == _NO_TEST_FAILED:
        return None
    failed = ", ".join(_FAILED.findall(answer.stdout)) or (answer.stdout + answer.stderr).strip()[-400:]
    return f"with all guards in force these tests are not green: {failed}"


def main(arguments: list[str] | None = None) -> int:
    """Prove the guards; the exit code is 0 if each made a test go red."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("words", nargs="*", help="prove only guards with one of these words in their name")
    parser.add_argument("--workers", type=int, default=2, help="how many at a time (default 2)")
    options = parser.parse_args(arguments)
    guards = [each for each in GUARDS if not options.words or any(word in each.name for word in options.words)]
    if wrong := require_green(guards, options.workers):
        print(f"error: {wrong}. Remedy: make them pass first", file=sys.stderr)
        return 1
    lines = [f"{len(guards)} guards; with all in force their tests are green"]
    print(lines[0], flush=True)
    proofs = []
    with ThreadPoolExecutor(options.workers) as pool:
        for proof in pool.map(prove, guards):
            print(proof, flush=True)
            proofs.append(proof)
    lines += [str(proof) for proof in proofs]
    lines.append(_closing(proofs))
    print(lines[-1])
    if not options.words:
        LOG.parent.mkdir(parents=True, exist_ok=True)
        LOG.write_text("\n".join(lines) + "\n")
    return 0 if all(proof.verdict is Verdict.RED for proof in proofs) else 1


def _closing(proofs: Sequence[Proof]) -> str:
    red = sum(proof.verdict is Verdict.RED for proof in proofs)
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    return f"{red} of {len(proofs)} guards made a test go red when disabled; {now}, commit {commit.stdout.strip() or 'none'}"


if __name__ == "__main__":
    sys.exit(main())
