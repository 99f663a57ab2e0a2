"""The wheels of two moments of this project, and the environment of a user in which one takes the other's place."""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import tarfile
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from scripts.environment import ROOT, Environment, create, install_libraries, one_at_a_time, usable_uv
from scripts.packages import build, copy_sources

PACKAGE = "ddb_export/"


class ReleaseError(RuntimeError):
    """A wheel cannot be had; the message is one line with the thing, the cause and a remedy."""


@dataclass(frozen=True)
class Release:
    """A wheel and the DAG files that go with it.

    :param name: what people call it. :param wheel: the file. :param dags: folder of the DAG files.
    """

    name: str
    wheel: Path
    dags: Path

    @cached_property
    def modules(self) -> dict[str, bytes]:
        """The package's files, by their path in the wheel."""
        with zipfile.ZipFile(self.wheel) as archive:
            return {name: archive.read(name) for name in archive.namelist() if name.startswith(PACKAGE)}

    def __str__(self) -> str:
        digest = hashlib.sha256(self.wheel.read_bytes()).hexdigest()
        return f"{self.name} ({len(self.modules)} files, wheel {digest[:12]})"


def release_of_commit(revision: str, folder: Path) -> Release:
    """Build what a commit had.

    :param revision: any name that git understands. :param folder: where it is built, made anew.
    :raises ReleaseError: git does not know it.
    """
    commit = _git("rev-parse", "--verify", f"{revision}^{{commit}}").decode().strip()
    subject = _git("log", "-1", "--format=%h %cs %s", commit).decode().strip()
    shutil.rmtree(folder, ignore_errors=True)
    with tarfile.open(fileobj=io.BytesIO(_git("archive", "--format=tar", commit))) as archive:
        archive.extractall(folder / "sources", filter="data")
    return _built(f"commit {subject}", folder)


def release_of_folder(root: Path, folder: Path) -> Release:
    """Build what a source tree has now.

    :param root: the source tree. :param folder: where it is built, from a copy: others may go on writing; made anew.
    """
    shutil.rmtree(folder, ignore_errors=True)
    copy_sources(root, folder / "sources")
    shutil.copytree(root / "dags", folder / "sources" / "dags")
    return _built(f"the sources of {root}", folder)


def commit_before() -> str:
    """Return the commit whose package a user of the present one most likely had: the newest that has another one.

    :raises ReleaseError: the history is not here, as in a shallow clone.
    """
    commits = _git("log", "--max-count=2", "--format=%H", "--", "plugins").decode().split()
    changed = _git("status", "--porcelain", "--", "plugins").strip()
    if len(commits) < 2:
        raise ReleaseError("the commit before: this clone has no history of plugins/. Remedy: git fetch --unshallow")
    return commits[0] if changed else commits[1]


@dataclass(frozen=True)
class Installation:
    """An environment with Airflow and all libraries, in which the provider's wheel can be exchanged.

    :param environment: made by :meth:`make`.
    """

    environment: Environment

    @classmethod
    def make(cls, folder: Path) -> Installation:
        """Make the environment, or find it as it was left.

        :raises StepError: a library cannot be had.
        """
        environment = Environment(folder, usable_uv())
        with one_at_a_time():
            create(environment)
            install_libraries(environment, "dependencies", "dev")
        return cls(environment)

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.environment.python

    def install(self, release: Release) -> None:
        """Put a wheel in the place of the one that is installed.

        :raises StepError: it could not be installed.
        """
        self.environment.install("--no-deps", "--force-reinstall", str(release.wheel))

    def holds(self, release: Release) -> bool:
        """Say whether the files that are installed are those of a wheel, and no others."""
        (packages,) = self.environment.path.glob("lib/python*/site-packages")
        found = [path for path in packages.joinpath(PACKAGE).rglob("*") if path.is_file() and path.suffix != ".pyc"]
        return {path.relative_to(packages).as_posix(): path.read_bytes() for path in found} == release.modules


def _built(name: str, folder: Path) -> Release:
    packages = build(folder / "sources", folder / "packages")
    wheel = next(package for package in packages if package.suffix == ".whl")
    return Release(name, wheel, folder / "sources" / "dags")


def _git(*arguments: str) -> bytes:
    answer = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False)
    if answer.returncode:
        cause = " ".join(answer.stderr.decode(errors="replace").split())
        raise ReleaseError(f"git {arguments[0]}: {cause}. Remedy: name a commit of this clone: --from REV")
    return answer.stdout
