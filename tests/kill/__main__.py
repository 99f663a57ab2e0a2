"""Kills processes at every AWS call of the pipeline, one line for each case: ``make kill``.

    python -m tests.kill                         every kind of case
    python -m tests.kill --kind alone --like publish    only some

The log goes to ``build/kill.log`` too; after all kinds, its head and end to ``docs/evidence/kill.log``.
"""

from __future__ import annotations

import argparse
import itertools
import platform
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

from local_aws.client import Lab
from tests.kill.bench import Bench, GoingOn, Point
from tests.kill.cases import (
    Target,
    death_beside_another,
    deaths_one_after_the_other,
    every_call,
    every_operation,
    one_death,
    two_deaths,
)
from tests.kill.deaths import Death, Moment, NotReachedError
from tests.kill.lake import Run
from tests.kill.processes import Nursery

ROOT = Path(__file__).parents[2]
EXPORT_SECONDS = 0.1
HEAD_LINES = 3

WORDS = {
    Moment.UNSENT: "before it is sent",
    Moment.AFTER: "after it took effect",
    Moment.LATE: "on its way, to take effect last",
}
KINDS = {
    "calls": "process after process dies in one run, each a little further than the one before it, until all calls are done",
    "next": "the same, at each operation of every task, in runs that find the lake of earlier ones",
    "twice": "the process that goes on dies too",
    "beside": "another Airflow does the same data interval while the first is held; then the first dies and goes on",
    "alone": "one process dies once over a fresh lake, at each call that changes something",
}
NEXT = {
    Run.SECOND_DAY: (Run.FIRST_DAY,),
    Run.AGAIN: (Run.FIRST_DAY, Run.SECOND_DAY),
    Run.BACKFILL: (Run.SECOND_DAY,),
}

Case = tuple[str, Callable[[], Iterable[Death]]]


@dataclass
class Log:
    """What is printed and kept, and what it adds up to."""

    lines: list[str] = field(default_factory=list)
    cases: int = 0
    failed: int = 0
    deaths: Counter[str] = field(default_factory=Counter)
    began: float = field(default_factory=time.monotonic)

    def say(self, line: str) -> None:
        """Print and keep a line."""
        print(line, flush=True)
        self.lines.append(line)

    def run(self, kind: str, name: str, case: Callable[[], Iterable[Death]]) -> None:
        """Run a case; one line for each death in it if there can be several, and one for the outcome."""
        began = time.monotonic()
        self.cases += 1
        try:
            for death in case():
                self.deaths[kind] += 1
                if kind in ("calls", "next", "twice"):
                    self.say(f"    dies in {death.task} at {death.call}, {WORDS[death.moment]}")
            outcome = "same lake"
        except (AssertionError, NotReachedError) as error:
            self.failed += 1
            outcome = f"FAILED {type(error).__name__} {str(error)[:2000]}:"
            traceback.print_exc()
        self.say(f"{outcome}  {kind} {self.cases}: {name}  {time.monotonic() - began:.1f} s")

    def close(self, commit: str) -> None:
        """Say what it adds up to."""
        self.say("processes killed: " + ", ".join(f"{kind} {count}" for kind, count in self.deaths.items()))
        self.say(
            f"{datetime.now(UTC):%Y-%m-%dT%H:%MZ} commit {commit}: {self.cases} cases, {self.failed} failed, "
            f"{self.deaths.total()} processes killed, {time.monotonic() - self.began:.0f} s"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the cases that are asked for; 0 if all end in the same lake."""
    parser = argparse.ArgumentParser(prog="python -m tests.kill", description=__doc__.splitlines()[0])
    parser.add_argument("--kind", action="append", choices=list(KINDS), help="this kind only (may be given again)")
    parser.add_argument("--like", default="", help="only points that contain this, such as 'publish' or 'PutObject'")
    parser.add_argument("--reading", action="store_true", help="alone: at calls that only read too")
    asked = parser.parse_args(arguments)
    log, commit = Log(), _commit()
    for number in (signal.SIGINT, signal.SIGTERM):  # a process in the background is begun with SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    with Lab.start(export_seconds=EXPORT_SECONDS) as lab, Nursery() as nursery:
        bench = Bench(lab, nursery)
        for line in _head(bench):
            log.say(line)
        try:
            for kind in asked.kind or KINDS:
                log.say(f"# {kind}: {KINDS[kind]}")
                for name, case in _cases(bench, kind, asked.like, reading=asked.reading):
                    log.run(kind, name, case)
        except KeyboardInterrupt:
            log.say("broken off by hand: what follows counts what was done until then")
    log.close(commit)
    _keep(log, complete=not (asked.kind or asked.like))
    return 1 if log.failed else 0


def _cases(bench: Bench, kind: str, like: str, *, reading: bool) -> Iterator[Case]:
    if kind == "calls":
        yield from _every_call(bench)
    elif kind == "next":
        for run, earlier in NEXT.items():
            following = Bench(bench.lab, bench.nursery, run, earlier)
            name = f"every operation of the {' run '.join(run.value)}"
            yield name, partial(deaths_one_after_the_other, following, every_operation(following))
    else:
        yield from _single(bench, kind, like, reading=reading)


def _every_call(bench: Bench) -> Iterator[Case]:
    """As many lakes as it takes: over each, processes die at what is left, as long as who goes on makes these calls again."""
    left = dict.fromkeys(every_call(bench))

    def died(targets: Sequence[Target]) -> Iterator[Death]:
        for death in deaths_one_after_the_other(bench, targets):
            if death.point and death.as_meant:
                left.pop((death.point, death.moment), None)
            yield death

    for lake in itertools.count(1):
        before = len(left)
        yield f"every call, lake {lake}, {before} to go", partial(died, list(left))
        if len(left) in (0, before):
            break
    for point, moment in left:
        print(f"not made this time: {point}, {WORDS[moment]}", flush=True)


def _single(bench: Bench, kind: str, like: str, *, reading: bool) -> Iterator[Case]:
    points = [point for point in bench.reference.points if like in str(point)]
    changing = [point for point in points if point.changes_something]
    if kind == "alone":
        yield from _alone(bench, points if reading else changing)
    elif kind == "twice":
        yield from _twice(bench, changing[::3])
    else:
        moments = itertools.cycle(Moment)
        for point in [point for point in changing if point.service != "athena"][::3]:
            moment = next(moments)
            yield f"{point}, {WORDS[moment]}", partial(death_beside_another, bench, point, moment)


def _alone(bench: Bench, points: Sequence[Point]) -> Iterator[Case]:
    """Go on in turn by retry, by a scheduler's reset, by clearing the run."""
    ways = itertools.cycle([*GoingOn, *reversed(GoingOn)])
    for point in points:
        for moment in Moment if point.changes_something else (Moment.UNSENT, Moment.AFTER):
            way = next(ways)
            yield f"{point}, {WORDS[moment]}; {way}", partial(one_death, bench, point, moment, way)


def _twice(bench: Bench, points: Sequence[Point]) -> Iterator[Case]:
    """The second death comes after ever more calls."""
    calls = itertools.cycle((0, 1, 3, 7, 15, 30))
    moments = itertools.cycle(itertools.product(Moment, Moment))
    for point in points:
        first, second = next(moments)
        after = next(calls)
        name = f"{point}, {WORDS[first]}; then at call {after + 1}, {WORDS[second]}"
        yield name, partial(two_deaths, bench, point, first, after, second)


def _head(bench: Bench) -> list[str]:
    calls = bench.reference.points
    changing = sum(point.changes_something for point in calls)
    airflow, boto3 = version("apache-airflow"), version("boto3")
    return [
        f"# death at every AWS call: Airflow {airflow}, boto3 {boto3}, Python {platform.python_version()}",
        f"# one undisturbed run (base and two windows) makes {len(calls)} calls, {changing} of which change something;",
        f"# {len(bench.reference.first_of_each_kind())} kinds of (task, service, operation)",
    ]


def _keep(log: Log, *, complete: bool) -> None:
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    (build / "kill.log").write_text("\n".join(log.lines) + "\n")
    if not complete:
        return
    evidence = ROOT / "docs" / "evidence"
    evidence.mkdir(parents=True, exist_ok=True)
    (evidence / "kill.log").write_text("\n".join(_excerpt(log.lines)) + "\n")


def _excerpt(lines: Sequence[str]) -> Iterator[str]:
    """Take the head, the first cases of each kind, what failed, and the end."""
    shown = 0
    for line in lines[:-2]:
        shown = 0 if line.startswith("#") else shown + 1
        if shown == HEAD_LINES + 1:
            yield "…"
        if shown <= HEAD_LINES or line.startswith("FAILED"):
            yield line
    yield from lines[-2:]


def _commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    changed = git("status", "--porcelain", "--", "plugins")
    return git("rev-parse", "--short", "HEAD") + (" with changes" if changed else "")


if __name__ == "__main__":
    sys.exit(main())
