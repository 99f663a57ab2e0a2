"""docker-compose.yaml without an engine: ``make celery-check``.

    python -m tests.celery                the demo's table on two Celery workers, as `docker compose --profile lab up` shows it
    python -m tests.celery scale          50 tables on the same two workers, each of which is killed once, half-way
    python -m tests.celery scale --tables 4       fewer, to try it: no evidence is written

Logs stay in ``build/celery``; a run that ends well writes ``docs/evidence/celery.log``, or ``scale.log``.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from demo.errors import DemoError
from local_aws.environment import LabEnvironmentError
from scripts.environment import BUILD, Environment, StepError
from scripts.packages import PackageError
from tests.celery import demonstration, fleet
from tests.celery.compose import ComposeError
from tests.celery.environment import RedisError, binaries, prepare, redis_programs
from tests.scheduler import evidence
from tests.scheduler.postgresql import PostgreSqlError, find_binaries
from tests.scheduler.stage import ended_by_signals, one_at_a_time

_VERSIONS = (
    "import sys; from importlib.metadata import version as v; print(*(f'{n} {v(n)}' for n in sys.argv[1:]), sep=', ')"
)
_PACKAGES = ("apache-airflow", "apache-airflow-providers-celery", "apache-airflow-providers-fab", "celery")
_EVIDENCE = {"demo": "celery", "scale": "scale"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a check; the exit code is 0, 1 if something did not hold, 3 where PostgreSQL or Redis is missing, 130 if it was stopped."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.celery", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("check", nargs="?", choices=_EVIDENCE, default="demo")
    parser.add_argument("--tables", type=int, default=fleet.TABLES, help=f"of scale; {fleet.TABLES} by default")
    options = parser.parse_args(arguments)
    started = time.monotonic()
    lines: list[str] = []
    loads: list[float] = []

    def say(text: str) -> None:
        lines.append(text)
        loads.append(os.getloadavg()[0])
        print(text, flush=True)

    try:
        redis, postgresql = redis_programs(), find_binaries()
        with ended_by_signals(), one_at_a_time(BUILD / "celery"):
            environment = prepare()
            for line in _head(environment, redis, postgresql):
                say(line)
            started = time.monotonic()
            _check(options, binaries(environment), lambda text: say(f"{time.monotonic() - started:4.0f} s  {text}"))
    except (PostgreSqlError, RedisError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("stopped; every process ended", file=sys.stderr)
        return 130
    except (DemoError, ComposeError, StepError, PackageError, LabEnvironmentError, AssertionError) as error:
        say(f"FAILED: {error}, {time.monotonic() - started:.0f} s")
        return 1
    load = f"a load of {min(loads):.0f} to {max(loads):.0f}"
    machine = f"{os.cpu_count()} processors at {load}, all of this with nice {os.nice(0)}"
    say(
        f"ok: {options.check} on two Celery workers, every process ended, {time.monotonic() - started:.0f} s; {machine}"
    )
    if options.tables == fleet.TABLES:
        evidence.keep(_EVIDENCE[options.check], lines)
    return 0


def _check(options: argparse.Namespace, programs: Path, say: Callable[[str], None]) -> None:
    folder = BUILD / "celery" / options.check
    if options.check == "scale":
        fleet.check(folder, programs, say, options.tables)
    else:
        demonstration.check(folder, programs, say)


def _head(environment: Environment, redis: Path, postgresql: Path) -> list[str]:
    command = [str(environment.python), "-c", _VERSIONS, *_PACKAGES]
    versions = subprocess.run(command, capture_output=True, text=True, check=True)
    server = evidence.output(redis / "redis-server", "--version").partition(" sha=")[0]
    return [
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {evidence.commit()}",
        f"Python {platform.python_version()}, {versions.stdout.strip()}",
        f"{evidence.output(postgresql / 'postgres', '--version')}, {server}",
    ]


if __name__ == "__main__":
    sys.exit(main())
