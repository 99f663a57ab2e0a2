"""Whoever builds the packages gets the same bytes, and the source distribution holds what the wheel is built from."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from scripts.packages import ROOT, build, copy_sources


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the work tree once, so that nobody edits it between two builds."""
    return copy_sources(ROOT, tmp_path_factory.mktemp("sources") / "here")


@pytest.fixture(scope="module")
def packages(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {path.suffix: path for path in build(sources, tmp_path_factory.mktemp("packages"))}


def test_they_depend_on_no_folder_time_umask_or_time_zone(
    sources: Path, packages: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    copy = copy_sources(sources, tmp_path / "another" / "folder")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    umask = os.umask(0o077)
    try:
        again = build(copy, tmp_path / "again")
    finally:
        os.umask(umask)

    assert [path.name for path in again] == sorted(path.name for path in packages.values())
    for path in again:
        assert path.read_bytes() == packages[path.suffix].read_bytes(), path.name


def test_the_source_distribution_builds_the_same_wheel_and_holds_nothing_else(
    packages: dict[str, Path], tmp_path: Path
):
    with tarfile.open(packages[".gz"]) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = [path for path in tmp_path.iterdir() if path.is_dir()]

    (wheel,) = [path for path in build(unpacked, tmp_path / "built") if path.suffix == ".whl"]

    assert wheel.read_bytes() == packages[".whl"].read_bytes()
    roots = {path.name for path in unpacked.iterdir()}
    assert roots == {".gitignore", "CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "plugins", "pyproject.toml"}
