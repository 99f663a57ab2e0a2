"""The wheel holds the package and nothing else, and its command starts quickly."""

from __future__ import annotations

import ast
import re
import resource
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import ddb_export
from tests.packaging.airflow_environment import ROOT, build_wheel

with (ROOT / "pyproject.toml").open("rb") as file:
    PROJECT: dict[str, Any] = tomllib.load(file)["project"]
REQUIREMENTS = [
    *PROJECT["dependencies"],
    *(tool for group in PROJECT["optional-dependencies"].values() for tool in group),
]


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(tmp_path: Path):
    with zipfile.ZipFile(build_wheel(tmp_path)) as wheel:
        held = {name for name in wheel.namelist() if ".dist-info/" not in name}

    sources = ROOT / "plugins"
    wanted = {
        path.relative_to(sources).as_posix()
        for path in (sources / "ddb_export").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert held == wanted
    assert "ddb_export/py.typed" in held


def test_the_requirements_of_an_image_are_those_of_the_wheel():
    lines = (ROOT / "requirements.txt").read_text().splitlines()

    assert [line for line in lines if not line.startswith("#")] == PROJECT["dependencies"]


def test_the_requirements_are_what_the_package_imports():
    of_module = {
        "aiobotocore": "apache-airflow-providers-amazon[aiobotocore]",
        "airflow": "apache-airflow",
        "botocore": "boto3",
        "pydantic_core": "pydantic",
        "yaml": "PyYAML",
    }
    asked_for_by_others = {"openlineage"}  # its provider, where somebody has it installed
    imported = {"apache-airflow-providers-amazon[aiobotocore]"}  # the triggers' clients, through Airflow's hooks
    for path in (ROOT / "plugins" / "ddb_export").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            imported |= {of_module.get(name, name) for name in (full.split(".")[0] for full in names)}

    declared = {requirement.split(">")[0] for requirement in PROJECT["dependencies"]}
    assert imported - sys.stdlib_module_names - {"ddb_export"} - asked_for_by_others == declared


def test_every_supported_python_has_constraints_for_every_requirement():
    minors = [name.rsplit(" ", 1)[1] for name in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", name)]
    assert minors[0] == PROJECT["requires-python"].removeprefix(">=")

    for minor in minors:
        text = (ROOT / "constraints" / f"constraints-{minor}.txt").read_text()
        pinned = set(re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE))
        for requirement in REQUIREMENTS:
            assert re.split(r"[\[>]", requirement)[0].lower() in pinned, f"{minor}: {requirement}"


def test_every_dependency_is_explained_to_contributors():
    text = (ROOT / "CONTRIBUTING.md").read_text()

    for requirement in REQUIREMENTS:
        assert f"`{re.split('[>]', requirement)[0]}`" in text, requirement


def test_the_command_tells_its_version_within_a_second_of_processor_time():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    shown = subprocess.run(
        [Path(sys.executable).parent / "ddb-export", "--version"], capture_output=True, text=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)

    assert ddb_export.__version__ in shown.stdout
    # Processor time: a wall clock would measure the other tests on the machine.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1
