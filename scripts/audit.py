"""Ask a public database for known vulnerabilities of every version that ``constraints/`` pins.

``make audit`` calls it; pip-audit does the asking. What is not to be had is an error, never silence: a package index that
serves no advisories would otherwise pass for one that knows of none. Exceptions are in ``audit.toml``, each with a reason
and a last day; one that matches nothing any more is an error too.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
EXCEPTIONS = ROOT / "audit.toml"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code is 1 if something is vulnerable, was not audited, or is excepted wrongly."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "more", nargs="*", help="arguments for pip-audit, such as --vulnerability-service osv (after --)"
    )
    options = parser.parse_args(arguments)
    pins = pinned(sorted((ROOT / "constraints").glob("*.txt")))
    with EXCEPTIONS.open("rb") as file:
        exceptions = tomllib.load(file).get("exception", [])
    report = ask(pins, options.more)
    problems = judge(report, exceptions, datetime.now(UTC).date())
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    print(f"audit: {len(pins)} versions, {len(exceptions)} exceptions, {len(problems)} problems")
    return 1 if problems else 0


def pinned(files: list[Path]) -> list[str]:
    """List the versions that any of some constraints files pins, as ``name==version``, each once."""
    lines = [line.split("#")[0].split(";")[0].strip() for file in files for line in file.read_text().splitlines()]
    return sorted({line for line in lines if line})


def ask(pins: list[str], more: list[str]) -> dict[str, Any]:
    """Ask pip-audit for each version and return its report; several versions of one package are asked in turns.

    :raises SystemExit: pip-audit gave no report.
    """
    rounds: list[dict[str, str]] = []
    for pin in pins:
        name = pin.split("==")[0]
        turn = next((turn for turn in rounds if name not in turn), None)
        if turn is None:
            rounds.append(turn := {})
        turn[name] = pin
    dependencies: list[dict[str, Any]] = []
    for turn in rounds:
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write("\n".join(turn.values()) + "\n")
            file.flush()
            command = [
                str(Path(sys.executable).parent / "pip-audit"),
                "--requirement",
                file.name,
                "--disable-pip",
                "--no-deps",
            ]
            command += ["--format", "json", "--progress-spinner", "off", *more]
            answer = subprocess.run(command, capture_output=True, text=True, check=False)
        if not answer.stdout.startswith("{"):
            cause = (answer.stderr.strip().splitlines() or ["no answer"])[-1]
            sys.exit(f"error: pip-audit: {cause}. Remedy: look at the network and the service's state, then make audit")
        dependencies += json.loads(answer.stdout)["dependencies"]
    return {"dependencies": dependencies}


def judge(report: dict[str, Any], exceptions: list[dict[str, Any]], today: date) -> list[str]:
    """Say what a person has to act on.

    :param report: pip-audit's JSON report.
    :param exceptions: ``id``, ``package``, ``reason`` and ``until`` (the last day, a date) of each.
    :param today: the day in UTC.
    :return: one line for each problem.
    """
    problems = []
    skipped = [part["name"] for part in report["dependencies"] if "skip_reason" in part]
    if skipped:
        problems.append(
            f"{len(skipped)} packages, {skipped[0]} first: were not audited, the service does not know them. "
            "Remedy: run it where PyPI's JSON API or OSV (make audit ARGS='-- --vulnerability-service osv') can be reached"
        )
    used: set[str] = set()
    for part in report["dependencies"]:
        for found in part.get("vulns", []):
            names = {found["id"], *found.get("aliases", [])}
            excepted = [one for one in exceptions if one["id"] in names and one["package"] == part["name"]]
            used |= {one["id"] for one in excepted}
            if not any(one["until"] >= today for one in excepted):
                fixed = ", ".join(found.get("fix_versions", [])) or "no version yet"
                problems.append(
                    f"{part['name']} {part['version']}: {found['id']}, mended in {fixed}. "
                    f"Remedy: make constraints, or except it in {EXCEPTIONS.name} with a reason and a last day"
                )
    problems += [
        f"{EXCEPTIONS.name}: {one['id']} of {one['package']} matches nothing. Remedy: take it out"
        for one in exceptions
        if one["id"] not in used and not skipped
    ]
    return problems


if __name__ == "__main__":
    sys.exit(main())
