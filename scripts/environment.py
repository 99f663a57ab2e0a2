#!/usr/bin/env python3
"""Make or refresh one of the project's virtual environments, with uv where it is, with venv and pip where it is not.

``make`` calls it; nothing but a Python from 3.11 to 3.13 is needed. An environment holds the dependencies and the development
tools of ``pyproject.toml`` at the versions of ``constraints/``, and the provider itself in one of two forms:

* ``--provider editable`` (``.venv``): the sources as they stand, for people who run and change them;
* ``--provider wheel`` (``.venv-test``): the wheel, built now, so that tests see what a user gets, and a file that the
  wheel lacks is missing in the tests too.

``.venv-checks`` holds tools alone (``--extra checks``). A Python that ``constraints/`` has no versions for is refused, as nobody
has tried what it would get; ``DDB_EXPORT_ANY_PYTHON=1`` takes the newest versions with it.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
WHEELS = BUILD / "dist"
CONSTRAINTS = ROOT / "constraints"


class StepError(Exception):
    """A step could not be done; the message is one line with the thing, the cause and a remedy."""


class Environment(NamedTuple):
    """A virtual environment and the way packages get into it."""

    path: Path
    uv: str | None

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.path / "bin" / "python"

    def install(self, *arguments: str) -> None:
        """Install packages, given as for ``pip install``."""
        if self.uv:
            command = [self.uv, "pip", "install", "--quiet", "--python", str(self.python)]
        else:
            command = [str(self.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run([*command, *arguments], "look at the network, the package index and free disk space, then call make again")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code is 0, or 1 after a one-line error on stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, help="folder of the environment")
    parser.add_argument("--libraries", action="store_true", help="install the dependencies and development tools")
    parser.add_argument("--extra", action="append", default=[], help="install this other group of optional tools")
    parser.add_argument("--provider", choices=["editable", "wheel"], help="install the provider in this form")
    options = parser.parse_args(arguments)
    environment = Environment(options.path.resolve(), usable_uv())
    started = time.monotonic()
    try:
        constraints_of(this_python())
        with one_at_a_time():
            if options.libraries or options.extra:
                create(environment)
            if options.libraries:
                install_libraries(environment, "dependencies", "dev")
            if options.extra:
                install_libraries(environment, *options.extra)
            if options.provider:
                install_provider(environment, options.provider)
    except StepError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    parts = (
        ["libraries"] * options.libraries + options.extra + [f"provider ({options.provider})"] * bool(options.provider)
    )
    tool = "uv" if environment.uv else "pip"
    print(f"{options.path}: {' and '.join(parts)} by {tool}, {time.monotonic() - started:.1f} s")
    return 0


def this_python() -> str:
    """Return the minor version of the running interpreter, such as ``3.11``."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def constraints_of(python: str) -> Path | None:
    """Find the pinned versions for a Python.

    :param python: its minor version, such as ``3.11``.
    :return: the file, or None where there is none and ``DDB_EXPORT_ANY_PYTHON`` says to go on without.
    :raises StepError: there is none.
    """
    file = CONSTRAINTS / f"constraints-{python}.txt"
    if file.is_file():
        return file
    if os.environ.get("DDB_EXPORT_ANY_PYTHON"):
        return None
    known = sorted((path.stem.removeprefix("constraints-") for path in CONSTRAINTS.glob("*.txt")), key=_by_number)
    raise StepError(
        f"Python {python}: nobody has tried it, constraints/ has versions for {', '.join(known)} only. Remedy: name one of these, "
        f"as in make PYTHON=python{known[-1]}; DDB_EXPORT_ANY_PYTHON=1 goes on with the newest version of everything"
    )


def _by_number(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def usable_uv() -> str | None:
    """Find a uv that runs: a shim on PATH may belong to another Python and fail."""
    uv = shutil.which("uv")
    if uv is None or os.environ.get("DDB_EXPORT_NO_UV"):
        return None
    answer = subprocess.run([uv, "--version"], capture_output=True, check=False)
    return uv if answer.returncode == 0 else None


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Let two calls of make in one work tree take turns."""
    BUILD.mkdir(exist_ok=True)
    with (BUILD / "environment.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def create(environment: Environment) -> None:
    """Create the environment unless it is there with this Python's minor version."""
    wanted = this_python()
    if environment.path.exists():
        if not (environment.path / "pyvenv.cfg").is_file() and any(environment.path.iterdir()):
            raise StepError(f"{environment.path}: is no virtual environment. Remedy: move it away, then make again")
        if (environment.path / "lib" / f"python{wanted}").is_dir() and usable(environment):
            return
        shutil.rmtree(environment.path)
    print(f"{environment.path.name}: creating it with Python {wanted}", flush=True)
    if environment.uv:
        command = [environment.uv, "venv", "--quiet", "--no-project", "--python", sys.executable]
    else:
        command = [sys.executable, "-m", "venv"]
    run([*command, str(environment.path)], "install Python's venv module (Debian: apt-get install python3-venv)")


def usable(environment: Environment) -> bool:
    """Say whether the environment's interpreter runs and, where uv is absent, has pip."""
    needed = "site" if environment.uv else "pip"
    try:
        answer = subprocess.run([environment.python, "-c", f"import {needed}"], capture_output=True, check=False)
    except OSError:
        return False
    return answer.returncode == 0


def install_libraries(environment: Environment, *groups: str) -> None:
    """Install groups of requirements at the constrained versions.

    :param groups: names of ``[project.optional-dependencies]``; ``dependencies`` are those of the provider itself.
    :raises StepError: there are no versions for this Python, or one could not be had.
    """
    project = project_table()
    of_group = {"dependencies": project["dependencies"], **project["optional-dependencies"]}
    requirements = [requirement for group in groups for requirement in of_group[group]]
    constraints = constraints_of(this_python())
    if constraints:
        requirements += ["--constraint", str(constraints)]
    else:
        print(f"Python {this_python()}: no pinned versions, so the newest ones are taken", flush=True)
    environment.install(*requirements)


def install_provider(environment: Environment, form: str) -> None:
    """Install the provider by the build backend in the environment: no download, no second environment."""
    if form == "editable":
        environment.install("--no-deps", "--no-build-isolation", "--editable", str(ROOT))
    else:
        environment.install("--no-deps", "--force-reinstall", str(build_wheel(environment)))


def build_wheel(environment: Environment) -> Path:
    """Build the wheel into ``build/dist`` and return its path; older wheels go."""
    shutil.rmtree(WHEELS, ignore_errors=True)
    command = [str(environment.python), "-m", "hatchling", "build", "--target", "wheel", "--directory", str(WHEELS)]
    run(command, "correct what the build names in pyproject.toml or plugins/ddb_export")
    return next(WHEELS.glob("*.whl"))


def project_table() -> dict[str, Any]:
    """Read the ``[project]`` table of pyproject.toml."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        table: dict[str, Any] = tomllib.load(file)["project"]
    return table


def run(command: list[str], remedy: str) -> None:
    """Run a command in the project's root; its output goes to ``build/environment.log``, an error becomes one line.

    :raises StepError: it could not be started or ended with another code than 0.
    """
    log = BUILD / "environment.log"
    # A PYTHONPATH or an active environment of the caller would leak other packages into this one.
    variables = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    with log.open("w") as output:
        try:
            code = subprocess.run(
                command, cwd=ROOT, env=variables, stdout=output, stderr=subprocess.STDOUT, check=False
            ).returncode
        except OSError as error:
            raise StepError(f"{command[0]}: {error.strerror}. Remedy: {remedy}") from error
    if code:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
        cause = lines[-1] if lines else f"exit code {code}"
        raise StepError(f"`{' '.join(command[:5])} …`: {cause} (all of it: {log}). Remedy: {remedy}")


if __name__ == "__main__":
    sys.exit(main())
