"""What the pages tell people to type is what takes it: YAML, Python, JSON, SQL, shell, ``ddb-export``, ``make`` and ``docker``."""

from __future__ import annotations

import ast
import importlib
import json
import re
import runpy
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import sqlglot
import yaml
from airflow.sdk import DAG

from ddb_export import cli, load_tables
from ddb_export.cli.arguments import build_parser
from ddb_export.exceptions import ConfigurationError, UsageError
from tests.documentation.pages import PAGES, ROOT, Block, blocks, blocks_of, inline_code, prose

REQUIRED = {
    "bucket": "my-lake",
    "prefix": "dynamodb",
    "database": "lake",
    "schedule": "@daily",
    "start_date": "2026-01-31",
}
NO_TABLES = {
    ("add-a-table.md", "run"): "steps of a CI job",
    ("configuration.md", ""): "a comment for editors",
    ("deploy-helm.md", "airflowVersion"): "values of Airflow's Helm chart",
}
"""YAML that declares no table, by page and first key, and what it is; each other block has to load."""
SHELL = ("sh", "bash")
TERMINAL = ("", "text", *SHELL)
INSTRUCTIONS = {"ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "FROM", "LABEL", "RUN", "USER", "WORKDIR"}
OTHER = {
    "json NEW_IMAGE": "tests/conversion/test_examples.py",
    "{toctree}": "make docs",
    "{eval-rst}": "make docs",
}
"""Languages of blocks that have their check elsewhere, and where."""
COMMAND = re.compile(r"^(?:\$ )?(ddb-export(?: .*)?)$", re.MULTILINE)
MAKE = re.compile(r"(?:^|^\$ |&& )make ([^;&|\n]*)", re.MULTILINE)
DOCKER = re.compile(r"(?:^|^\$ |&& )docker ((?:compose|build) [^;&|\n]*)", re.MULTILINE)


@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_yaml_is_yaml_and_a_table_is_one_that_loads(block: Block, tmp_path: Path):
    document = yaml.safe_load(block.text)
    if (block.page.name, first_key(document)) in NO_TABLES:
        return
    if not {"table", "tables"} & document.keys():
        document = {**document, "table": "orders"}
    (tmp_path / "_defaults.yaml").write_text(json.dumps(REQUIRED))
    (tmp_path / "orders.yaml").write_text(yaml.safe_dump(document))

    assert load_tables(tmp_path)


def first_key(document: Any) -> str:
    """Return the first key of a document, of a list that of its first entry; empty if it has none."""
    first = document[0] if isinstance(document, list) and document else document
    return str(next(iter(first))) if isinstance(first, dict) and first else ""


def test_yaml_that_declares_no_table_is_still_there():
    found = {(block.page.name, first_key(yaml.safe_load(block.text))) for block in blocks("yaml")}
    assert found >= NO_TABLES.keys()


def test_a_block_with_a_misspelt_key_alone_would_be_seen(tmp_path: Path):
    block = Block(ROOT / "docs" / "alerts.md", 1, "yaml", "alrets:\n  every: 1h\n")
    with pytest.raises(ConfigurationError, match="alrets"):
        test_yaml_is_yaml_and_a_table_is_one_that_loads(block, tmp_path)


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_python_is_python_and_what_it_imports_is_there(block: Block):
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.ImportFrom) and node.module:
            module = importlib.import_module(node.module)
            missing = [alias.name for alias in node.names if not hasattr(module, alias.name)]
            assert missing == []


@pytest.mark.parametrize(
    "block", [each for each in blocks("python") if re.search("DAG\\(|build_dag", each.text)], ids=str
)
def test_a_dag_file_makes_its_dag(block: Block, tmp_path: Path):
    for folder in re.findall(r'__file__\)\.parent / "(\w+)"', block.text):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "orders.yaml").write_text(json.dumps({**REQUIRED, "table": "orders"}))
    file = tmp_path / "example.py"
    file.write_text(block.text)

    made = runpy.run_path(str(file))

    assert [value for value in made.values() if isinstance(value, DAG)] or "with DAG(" in block.text


@pytest.mark.parametrize("block", blocks("json"), ids=str)
def test_json_is_json(block: Block):
    decoder, text = json.JSONDecoder(), block.text.strip()
    while text:
        _, end = decoder.raw_decode(text)
        text = text[end:].strip()


@pytest.mark.parametrize("block", blocks("sql"), ids=str)
def test_sql_is_what_athena_reads(block: Block):
    assert not any(isinstance(each, sqlglot.exp.Command) for each in sqlglot.parse(block.text, read="athena"))


@pytest.mark.parametrize("block", blocks("mermaid"), ids=str)
def test_a_drawing_says_of_what_kind_it_is(block: Block):
    assert re.match(r"(flowchart (LR|TB|TD)|sequenceDiagram|stateDiagram-v2)\n", block.text)


@pytest.mark.parametrize("block", blocks("dockerfile"), ids=str)
def test_a_dockerfile_has_instructions_only(block: Block):
    lines = [line for line in re.sub(r"\\\n", " ", block.text).splitlines() if line and not line.startswith("#")]

    assert lines[0].startswith(("FROM ", "ARG "))
    assert [line for line in lines if line.split()[0] not in INSTRUCTIONS] == []


def test_every_language_of_a_block_has_a_check():
    used = {block.language for page in PAGES for block in blocks_of(page)}

    assert used <= {"yaml", "python", "json", "sql", "mermaid", "dockerfile", *TERMINAL, *OTHER}


@pytest.mark.parametrize("block", blocks(*SHELL), ids=str)
def test_shell_is_shell(block: Block):
    subprocess.run(["bash", "-n"], input=block.text, text=True, check=True)


@pytest.mark.parametrize("block", [block for block in blocks(*TERMINAL) if COMMAND.search(block.text)], ids=str)
def test_a_command_line_is_one_that_the_program_takes(block: Block):
    parser = build_parser(cli.COMMANDS)
    for line in COMMAND.findall(block.text):
        words = shlex.split(re.split(r"\s[>|]\s", line)[0], comments=True)[1:]
        parser.parse_args(words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_options_in_the_text_exist(page: Path):
    commands = {command.name: command for command in cli.COMMANDS}
    for code in inline_code(page):
        words = code.split()
        if len(words) > 1 and words[0] == "ddb-export" and not words[1].startswith("-"):
            assert words[1] in commands, code
            usage = help_of(words[1])
            assert [word for word in words if word.startswith("--") and word.split("=")[0] not in usage] == [], code


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_make_and_docker_are_asked_for_is_there(page: Path):
    assert [problem for code in typed(page) for problem in unknown(code)] == []


def typed(page: Path) -> list[str]:
    """List what a page says to type: its blocks for a terminal, fenced or indented, and its inline code."""
    fenced = [block.text for block in blocks_of(page) if block.language in TERMINAL]
    return [*fenced, *re.findall(r"^    (\S.*)$", prose(page), re.MULTILINE), *inline_code(page)]


def unknown(code: str) -> list[str]:
    """List the targets of ``make``, profiles and services of ``docker compose`` and stages of ``docker build`` that are not there."""
    compose = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())["services"]
    profiles = {name for service in compose.values() for name in service.get("profiles", [])}
    stages = set(re.findall(r"^FROM .* AS (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    found = [
        f"make {word}"
        for line in MAKE.findall(code)
        for word in shlex.split(line, comments=True)
        if not re.match(r"-|[A-Z_]+=|…", word) and word not in targets()
    ]
    for line in DOCKER.findall(code):
        for option, known in (("--profile", profiles), ("--scale", set(compose)), ("--target", stages)):
            named = re.findall(rf"{option}[ =]([\w-]+)", line)
            found += [f"docker {option} {name}" for name in named if name not in known]
    return found


@pytest.mark.parametrize(
    ("code", "problems"),
    [
        ("make demo ARGS=--keep  # some words", []),
        ("cd it && make dmeo test", ["make dmeo"]),
        ("$ docker compose --profile lab up --scale worker=4", []),
        ("docker compose --profile=lba up --scale wroker=4", ["docker --profile lba", "docker --scale wroker"]),
        ("docker build --target airflow .", []),
        ("docker build --target ariflow .", ["docker --target ariflow"]),
    ],
)
def test_a_wrong_target_profile_service_or_stage_would_be_seen(code: str, problems: list[str]):
    assert unknown(code) == problems


def help_of(command: str) -> set[str]:
    """List the options that a command's help names."""
    parser = build_parser([each for each in cli.COMMANDS if each.name == command])
    (choices,) = [
        action for action in parser._actions if action.dest == "command" or action.choices
    ]  # the one subparser
    return set(re.findall(r"--[a-z-]+", choices.choices[command].format_help()))  # type: ignore[index]


def targets() -> set[str]:
    """List what ``make`` can be asked for."""
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_a_wrong_option_would_be_seen():
    with pytest.raises(UsageError):
        build_parser(cli.COMMANDS).parse_args(["gaps", "orders", "--no-such-option"])
