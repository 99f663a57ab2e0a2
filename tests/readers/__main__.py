"""Reads a lake with readers that no one here wrote, and keeps what ran: ``make readers``.

    python -m tests.readers                  all of them, and docs/evidence/readers.log
    python -m tests.readers -k spark         only some, by pytest's own options

A reader that cannot be had or does not start is written down with the exact words of whoever refused it.
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

ROOT = Path(__file__).resolve().parents[2]
_EVIDENCE = ("readers: ", "PASSED tests/", "FAILED tests/", "ERROR tests/", "E   ")


def main(options: Sequence[str]) -> int:
    """Run pytest with these options; the exit code is pytest's."""
    commit = _output("git", "rev-parse", "--short", "HEAD")
    head = [
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit}{' and changes' if _output('git', 'status', '--short') else ''}",
        f"Python {platform.python_version()}, DuckDB {version('duckdb')}, pyarrow {version('pyarrow')}",
    ]
    started = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-rA", "--tb=short", "tests/readers", *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        lines = []
        for line in process.stdout or ():
            print(line, end="", flush=True)
            lines.append(line.rstrip())
    closing = next(
        (line.strip("= ") for line in reversed(lines) if " passed" in line or " failed" in line), "no test ran"
    )
    kept = [line[line.index("readers: ") :] if "readers: " in line else line for line in lines]
    ran = [line for line in kept if line.startswith(_EVIDENCE)]
    text = (
        "\n".join([*head, "", *dict.fromkeys(ran), "", f"{closing}, {time.monotonic() - started:.0f} s in all"]) + "\n"
    )
    if not options:
        (ROOT / "docs" / "evidence" / "readers.log").write_text(text, encoding="utf-8")
    return process.returncode


def _output(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
