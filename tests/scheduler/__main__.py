"""Runs the tests on a real scheduler and keeps what they saw: ``make test-scheduler``.

    python -m tests.scheduler                      all of them
    python -m tests.scheduler -k deaths            only some, by pytest's own options

Every line goes to ``build/scheduler.log``; after a run of all tests the evidence goes to ``docs/evidence/scheduler.log``.
"""

from __future__ import annotations

import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tests.scheduler.postgresql import PostgreSqlError, find_binaries

ROOT = Path(__file__).resolve().parents[2]
_EVIDENCE = "scheduler: "


def main(options: Sequence[str]) -> int:
    """Run pytest with these options; the exit code is pytest's, or 3 where PostgreSQL is missing."""
    try:
        server = _output(find_binaries() / "postgres", "--version")
    except PostgreSqlError as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    head = [
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {_commit()}",
        f"Python {platform.python_version()}, Airflow {version('apache-airflow')}, {server}, LocalExecutor",
    ]
    started = time.monotonic()
    code, lines = _run([sys.executable, "-m", "pytest", "-q", "-s", "-m", "slow", "tests/scheduler", *options], head)
    counted = next((line for line in reversed(lines) if " passed" in line or " failed" in line), "no test ran")
    closing = f"{'ok' if code == 0 else 'FAILED'}: {counted.strip('= ')}, {time.monotonic() - started:.0f} s"
    print(closing)
    if not options:
        # Where -s prints a test's dot, its evidence begins behind it.
        seen = [line[line.index(_EVIDENCE) + len(_EVIDENCE) :] for line in lines if _EVIDENCE in line]
        evidence = ROOT / "docs" / "evidence" / "scheduler.log"
        evidence.parent.mkdir(parents=True, exist_ok=True)
        evidence.write_text("\n".join([*head, *seen, closing]) + "\n")
    return code


def _run(command: Sequence[str], head: Sequence[str]) -> tuple[int, list[str]]:
    log = ROOT / "build" / "scheduler.log"
    log.parent.mkdir(exist_ok=True)
    lines = []
    with (
        log.open("w") as file,
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running,
    ):
        file.write("\n".join(head) + "\n")
        for line in running.stdout or ():
            lines.append(line.rstrip("\n"))
            print(line, end="", flush=True)
            file.write(line)
    return running.returncode, lines


def _commit() -> str:
    commit = _output("git", "rev-parse", "--short", "HEAD") or "unknown"
    changed = _output("git", "status", "--porcelain", "--untracked-files=no")
    return f"{commit} and changes that are not committed" if changed else commit


def _output(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT).stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
