"""Build the wheel and the source distribution so that anybody gets the same bytes, and check them as PyPI and users will.

``make packages`` calls it. The bytes depend on the sources, the version of hatchling (``constraints/`` pins it) and
``SOURCE_DATE_EPOCH`` alone, which is hatchling's constant unless it is set: not on the folder, the files' times and owners,
the umask, the time zone or the clock. Each call shows that by building a second time from a copy elsewhere.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ROOT / "build" / "packages"
SOURCES = ["plugins", "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", ".gitignore"]
"""All that a build reads."""


class PackageError(Exception):
    """A package could not be built or is wrong; the message is one line with the thing, the cause and a remedy."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code is 0, or 1 after a one-line error on stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, default=PACKAGES, help="folder for the packages; emptied first")
    options = parser.parse_args(arguments)
    try:
        packages = build_twice(options.to.resolve())
        check(packages)
    except PackageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    sums = [f"{hashlib.sha256(package.read_bytes()).hexdigest()}  {package.name}" for package in packages]
    (options.to / "SHA256SUMS").write_text("\n".join(sums) + "\n")
    print("\n".join(sums))
    print(f"{options.to}: 2 packages, the same when built again elsewhere; checks passed")
    return 0


def build(source: Path, folder: Path) -> list[Path]:
    """Build wheel and source distribution of a source tree into a folder, with the running interpreter's hatchling.

    :return: their paths, by name.
    :raises PackageError: hatchling refused.
    """
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)]
    run(command, source, "correct what the build names in pyproject.toml or plugins/ddb_export")
    return sorted(path for path in folder.iterdir() if path.suffix in {".whl", ".gz"})


def build_twice(folder: Path) -> list[Path]:
    """Build into a folder, and once more from a copy with other times; return the packages.

    :raises PackageError: a build failed, or the two differ.
    """
    shutil.rmtree(folder, ignore_errors=True)
    packages = build(ROOT, folder)
    with tempfile.TemporaryDirectory() as elsewhere:
        copy = copy_sources(ROOT, Path(elsewhere) / "sources")
        again = build(copy, Path(elsewhere) / "packages")
        for one, two in zip(packages, again, strict=True):
            if one.name != two.name or one.read_bytes() != two.read_bytes():
                raise PackageError(
                    f"{one.name}: has other bytes when it is built from a copy of the sources. "
                    "Remedy: find what depends on the folder or the time (diffoscope shows it)"
                )
    return packages


def copy_sources(root: Path, target: Path) -> Path:
    """Copy what a build reads from a source tree, with times of their own, and return the copy's folder."""
    target.mkdir(parents=True)
    for name in SOURCES:
        source = root / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, target / name, copy_function=shutil.copyfile, ignore=ignored)
        else:
            shutil.copyfile(source, target / name)
    for number, path in enumerate(sorted(target.rglob("*"))):
        os.utime(path, (1_000_000_000 + number, 1_000_000_000 + number))
    return target


def check(packages: list[Path]) -> None:
    """Check packages and ``pyproject.toml`` with the tools of the group ``checks``.

    :raises PackageError: a tool found something.
    """
    wheels = [str(path) for path in packages if path.suffix == ".whl"]
    programs = Path(sys.executable).parent
    names = [str(path) for path in packages]
    run([str(programs / "twine"), "check", "--strict", *names], ROOT, "correct the metadata in pyproject.toml")
    run([str(programs / "check-wheel-contents"), *wheels], ROOT, "correct [tool.hatch.build] in pyproject.toml")
    run([str(programs / "validate-pyproject"), "pyproject.toml"], ROOT, "correct pyproject.toml")


def run(command: list[str], folder: Path, remedy: str) -> None:
    """Run a command in a folder; its output is shown if it fails only.

    :raises PackageError: it could not be started or ended with another code than 0.
    """
    try:
        answer = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise PackageError(f"{command[0]}: is not installed. Remedy: make packages") from error
    if answer.returncode:
        print(answer.stdout, answer.stderr, sep="", end="", file=sys.stderr)
        raise PackageError(f"`{' '.join(command[:4])} …`: exit code {answer.returncode}. Remedy: {remedy}")


if __name__ == "__main__":
    sys.exit(main())
