"""``make soak``: the histories of the model-based test, other ones each time, for as long as asked.

A run of half an hour or more leaves what it counted in ``docs/evidence/soak.log``.
"""

from __future__ import annotations

import argparse
import logging
import platform
import random
import subprocess
import sys
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

import ddb_export
import tests.airflow_home  # noqa: F401  # first: Airflow reads its settings when it is imported
from tests.model.machine import TableLife

ROOT = Path(__file__).resolve().parents[2]
EVIDENCE = ROOT / "docs" / "evidence" / "soak.log"
_EVIDENCE_MINUTES = 30
_HISTORIES = 50
"""Histories between two looks at the clock; each such batch has a seed of its own, counted up from the first."""


def main() -> int:
    """Play histories until the time is up; return 1 at the first one that breaks a promise, 0 otherwise."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=None, help="seed of the first batch; a random one without it")
    parser.add_argument("--histories", type=int, default=_HISTORIES, help="histories of a batch")
    arguments = parser.parse_args()
    logging.disable(logging.CRITICAL)
    first = seed = arguments.seed if arguments.seed is not None else random.randrange(10**6)
    began = time.monotonic()
    said = [
        f"soak: seed {first}, {arguments.minutes:g} minutes, ddb_export {ddb_export.__version__}, commit {_commit()}"
    ]
    print(said[0], flush=True)
    outcome = "no promise was broken"
    while time.monotonic() - began < arguments.minutes * 60:
        try:
            _play(seed, arguments.histories)
        except Exception:  # noqa: BLE001  # hypothesis raises whatever broke, with its steps in the notes
            traceback.print_exc()
            outcome = f"BROKEN by the batch of seed {seed}: make soak SEED={seed}"
            break
        print(f"seed {seed}: {TableLife.report()}", flush=True)
        seed += 1
    minutes = (time.monotonic() - began) / 60
    said += [f"  {count:8d}  {name}" for name, count in TableLife.steps.most_common()]
    said += [f"  {count:8d}  tries failed at {name}" for name, count in TableLife.errors.most_common()]
    machine = f"Python {platform.python_version()}, {platform.machine()}"
    said.append(
        f"| {datetime.now(UTC):%Y-%m-%d} | {first} | {minutes:.1f} min | {TableLife.report(minutes)} | {machine} | {outcome} |"
    )
    print("\n".join(said[1:]))
    if arguments.minutes >= _EVIDENCE_MINUTES:
        EVIDENCE.write_text("\n".join(said) + "\n", encoding="utf-8")
    return 0 if outcome.startswith("no ") else 1


def _commit() -> str:
    """Return the commit that is tried, and say if it is not all that is tried."""
    commit = _output("git", "rev-parse", "--short", "HEAD") or "unknown"
    changed = _output("git", "status", "--porcelain", "--untracked-files=no")
    return f"{commit} and changes that are not committed" if changed else commit


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT).stdout.strip()


def _play(seed: int, histories: int) -> None:
    TableLife._hypothesis_internal_use_seed = seed  # what hypothesis.seed sets on a test
    run_state_machine_as_test(
        TableLife,
        settings=settings(
            max_examples=histories,
            stateful_step_count=40,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=False,
            report_multiple_bugs=False,
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
