"""The forge's workflows run what ``.ci/run`` runs, on every supported Python, with the least that they need."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.packaging.airflow_environment import ROOT

FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MAY_WRITE = {("release.yml", "contents")}


def workflow(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(path.read_text())
    return document


def test_a_change_is_checked_as_ci_does_on_every_supported_python():
    job = workflow(ROOT / ".github" / "workflows" / "check.yml")["jobs"]["run"]
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]

    assert job["strategy"]["matrix"]["python"] == [name[-4:] for name in classifiers if re.search(r":: 3\.\d+$", name)]
    assert "bash .ci/run" in [step.get("run") for step in job["steps"]]


def test_the_compose_file_is_read_by_docker_itself():
    steps = workflow(ROOT / ".github" / "workflows" / "check.yml")["jobs"]["compose"]["steps"]

    assert "docker compose config --quiet" in [step.get("run") for step in steps]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit_and_permissions_are_named_job_by_job(path: Path):
    document = workflow(path)

    assert document["permissions"] == {}
    for job in document["jobs"].values():
        writable = {(path.name, what) for what, how in job["permissions"].items() if how != "read"}
        assert writable <= MAY_WRITE
        assert job["timeout-minutes"] <= 90
    for line in re.findall(r"uses: (.*)", path.read_text()):
        assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)


def test_pip_alone_makes_the_environments_on_the_oldest_and_the_newest_python():
    matrix = workflow(ROOT / ".github" / "workflows" / "check.yml")["jobs"]["run"]["strategy"]["matrix"]

    alone = [entry["python"] for entry in matrix["include"] if entry["installer"] == "pip"]
    assert alone == [matrix["python"][0], matrix["python"][-1]]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_can_write_takes_what_another_job_built_and_runs_nothing_of_ours(path: Path):
    for job in workflow(path)["jobs"].values():
        if set(job["permissions"].values()) - {"read"}:
            assert [step["uses"].partition("@")[0] for step in job["steps"] if "uses" in step] == [
                "actions/download-artifact"
            ]
            assert [step["run"].split()[0] for step in job["steps"] if "run" in step] == ["gh"]


def test_what_no_test_starts_is_started_weekly():
    jobs = workflow(ROOT / ".github" / "workflows" / "audit.yml")["jobs"].values()
    commands = [step.get("run", "") for job in jobs for step in job["steps"]]

    assert "make bench ARGS=--quick" in commands
    assert [command for command in commands if command.startswith("make ui ") and "--once" in command]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_make_target_is_there(path: Path):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert set(re.findall(r"run: make ([a-z-]+)", path.read_text())) <= targets
