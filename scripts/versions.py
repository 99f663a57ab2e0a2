"""Run the tests that depend on Airflow against the lowest and the newest version of it that is supported.

``make test-versions`` calls it. Each version gets an environment of its own in ``build/versions``: Airflow in that version,
what ``pyproject.toml`` names at the versions of ``constraints/``, the rest as it is newest, and the provider's wheel. ``docs/supported-versions.md`` says what is promised.
"""

from __future__ import annotations

import argparse
import platform
import re
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime

from scripts.environment import BUILD, ROOT, Environment, StepError, create, project_table, usable_uv
from scripts.packages import PackageError, build

LOWEST = "3.3.0"
NEWEST = "3.3.2"
TESTS = [
    "tests/architecture/test_public_names.py",
    "tests/packaging/test_plugin_discovery.py",
    "tests/packaging/test_provider_info.py",
    *(f"tests/airflow/test_{name}.py" for name in ("timetables", "dag_files", "dag_runs", "task_group")),
]
"""What touches Airflow: plugins, providers, timetables, params, state store, deferral, clearing, whole runs."""
NAME = re.compile(r"[A-Za-z0-9-]+")
EVIDENCE = ROOT / "docs" / "evidence" / "versions.log"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code is 0 if the tests pass on every version."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("versions", nargs="*", default=[LOWEST, NEWEST], help="versions of Airflow")
    parser.add_argument(
        "--evidence", action="store_true", help=f"add the closing lines to {EVIDENCE.relative_to(ROOT)}"
    )
    options = parser.parse_args(arguments)
    failed = False
    for version in options.versions:
        try:
            environment = prepare(version)
        except (StepError, PackageError) as error:
            print(f"error: Airflow {version}: {error}", file=sys.stderr)
            failed = True
            continue
        passed, line = test(environment, version)
        failed |= not passed
        print(line, flush=True)
        if options.evidence:
            with EVIDENCE.open("a") as file:
                file.write(line + "\n")
    return 1 if failed else 0


def prepare(version: str) -> Environment:
    """Make the environment of a version of Airflow, with the provider's wheel.

    :raises StepError: the versions do not agree, or an installation failed.
    :raises PackageError: the wheel could not be built.
    """
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = BUILD / "versions" / f"airflow-{version}-python{minor}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    environment = Environment(folder, usable_uv())
    create(environment)
    project = project_table()
    tools = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    # Airflow's own requirements differ between its versions: only what this project names itself is held.
    ours = {NAME.match(tool)[0].lower() for tool in tools} - {"apache-airflow"}  # type: ignore[index]  # each has one
    pins = (ROOT / "constraints" / f"constraints-{minor}.txt").read_text().splitlines()
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(pin for pin in pins if pin.split("==")[0] in ours) + "\n")
    environment.install(*tools, f"apache-airflow=={version}", "--constraint", str(constraints))
    packages = build(ROOT, folder / "packages")
    environment.install("--no-deps", *(str(package) for package in packages if package.suffix == ".whl"))
    return environment


def test(environment: Environment, version: str) -> tuple[bool, str]:
    """Run the tests in an environment; return whether they passed, and one line of evidence.

    All of the output goes to ``build/versions/airflow-{version}.log``.
    """
    started = time.monotonic()
    log = BUILD / "versions" / f"airflow-{version}.log"
    command = [str(environment.python), "-m", "pytest", "-q", "-p", "scripts.strict_outcomes", "-m", "not slow", *TESTS]
    with log.open("w") as output:
        code = subprocess.run(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, check=False).returncode
    closing = next((line for line in reversed(log.read_text().splitlines()) if " in " in line), "no test ran")
    took = time.monotonic() - started
    return code == 0, (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit()}, Python {platform.python_version()}, "
        f"Airflow {version}: {'ok' if code == 0 else 'FAILED'}: {closing.strip('= ')}, {took:.0f} s with the start"
    )


def commit() -> str:
    """Name the commit of the work tree, and say if it is changed."""
    command = ["git", "describe", "--always", "--dirty=+changes", "--abbrev=7"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
