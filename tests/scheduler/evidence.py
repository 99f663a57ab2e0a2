"""What a run of tests on a real Airflow leaves behind: every line in a log, and what the tests saw, to be kept with the sources."""

from __future__ import annotations

import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tests.scheduler.postgresql import find_binaries

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "docs" / "evidence"


@dataclass(frozen=True)
class Outcome:
    """How a run of tests ended.

    :param code: pytest's exit code. :param seen: what the tests said that they saw. :param closing: one line about it all.
    """

    code: int
    seen: list[str]
    closing: str


def teller(subject: str, test: str) -> Callable[[str], None]:
    """Return what prints a line of evidence of a test: what was seen, not what was hoped for.

    :param subject: what begins each line, for :func:`run_pytest` to find it.
    """
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"{subject}: {time.monotonic() - started:4.0f} s  {text}", flush=True)

    say(f"-- {test}")
    return say


def head() -> list[str]:
    """Return the lines that say when, of which commit and with which versions the tests run.

    :raises PostgreSqlError: there is no PostgreSQL.
    """
    server = output(find_binaries() / "postgres", "--version")
    return [
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit()}",
        f"Python {platform.python_version()}, Airflow {version('apache-airflow')}, {server}, LocalExecutor",
    ]


def run_pytest(subject: str, arguments: Sequence[str], before: Sequence[str] = ()) -> Outcome:
    """Run tests, print all that they say and write it to ``build/{subject}.log``.

    :param before: lines that go before it.
    """
    command = [sys.executable, "-m", "pytest", "-q", "-s", *arguments]
    log = ROOT / "build" / f"{subject}.log"
    log.parent.mkdir(exist_ok=True)
    lines = []
    started = time.monotonic()
    with (
        log.open("w") as file,
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running,
    ):
        file.write("".join(f"{line}\n" for line in before))
        for line in running.stdout or ():
            lines.append(line.rstrip("\n"))
            print(line, end="", flush=True)
            file.write(line)
    # Where -s prints a test's dot, its evidence begins behind it.
    mark = f"{subject}: "
    seen = [line[line.index(mark) + len(mark) :] for line in lines if mark in line]
    counted = next((line for line in reversed(lines) if " passed" in line or " failed" in line), "no test ran")
    took = time.monotonic() - started
    closing = f"{'ok' if running.returncode == 0 else 'FAILED'}: {counted.strip('= ')}, {took:.0f} s"
    return Outcome(running.returncode, seen, closing)


def keep(subject: str, lines: Sequence[str]) -> None:
    """Write evidence to ``docs/evidence/{subject}.log``."""
    KEPT.mkdir(parents=True, exist_ok=True)
    (KEPT / f"{subject}.log").write_text("\n".join(lines) + "\n")


def commit() -> str:
    """Name the commit of the work tree, and say if it is changed."""
    name = output("git", "rev-parse", "--short", "HEAD") or "unknown"
    changed = output("git", "status", "--porcelain", "--untracked-files=no")
    return f"{name} and changes that are not committed" if changed else name


def output(*command: str | Path) -> str:
    """Return what a command printed, in the project's root; nothing if it failed before it did."""
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT).stdout.strip()
