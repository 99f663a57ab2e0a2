"""What the pages tell people to run is run: ``ddb-export`` with the page's own YAML; what AWS's command line would do is held against botocore's models."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import pytest
import yaml
from botocore import xform_name
from botocore.loaders import Loader
from botocore.model import ServiceModel, Shape

from ddb_export import cli, load_tables
from tests.documentation.pages import PAGES, ROOT, Block, blocks_of, prose
from tests.documentation.test_code_blocks import REQUIRED, TERMINAL, typed

WITHOUT_AWS = {"policy", "check", "init"}
"""Commands that ask AWS for nothing, so that a test can run them."""
FOLDER = "dags/tables"
OF_ALL = {"region", "profile", "output", "query", "endpoint-url", "no-cli-pager"}
"""Options of the AWS CLI that every operation has."""
HIGH_LEVEL = {"cp", "ls", "mb", "mv", "rb", "rm", "sync"}
"""``aws s3``, which has operations of its own."""
NAME = "airflow[-_]provider[-_]ddb[-_]export"


def command_lines(text: str) -> Iterator[list[str]]:
    """Yield the words of each call of our or AWS's command line: variables filled in, without what leads its output elsewhere."""
    variables: dict[str, str] = {}
    for line in re.sub(r"\\\n|(?<=&&)\n", " ", text).splitlines():
        assigned = re.fullmatch(r"(\w+)=(\S+)", line)
        if assigned:
            variables[assigned[1]] = assigned[2]
        filled = re.sub(r"\$(\w+)", lambda found: variables.get(found[1], found[0]), line)
        for command in re.split("&&", filled.removeprefix("$ ")):
            if re.match(r"\s*(\S*/)?(ddb-export|aws) [a-z]", command):
                yield shlex.split(re.split(r"\s[>|]", command)[0], comments=True)


def examples(page: Path) -> list[tuple[Block, list[str]]]:
    """List a page's commands that need no AWS, each with its block."""
    return [
        (block, words)
        for block in blocks_of(page)
        if block.language in TERMINAL
        for words in command_lines(block.text)
        if words[0].endswith("ddb-export") and WITHOUT_AWS & set(words[1:2])
    ]


def declare(page: Path, before: int) -> None:
    """Write the YAML that a page shows before a line to where it says that it is; and what a fragment leaves out."""
    lines = page.read_text(encoding="utf-8").splitlines()
    Path(FOLDER).mkdir(parents=True, exist_ok=True)
    Path(FOLDER, "_defaults.yaml").write_text(json.dumps(REQUIRED))
    for block in (each for each in blocks_of(page) if each.language == "yaml" and each.line < before):
        document = yaml.safe_load(block.text)
        said = re.findall(rf"{FOLDER}/[\w.]+\.yaml", "\n".join(lines[max(0, block.line - 4) : block.line + 1]))
        if said:
            Path(said[-1]).write_text(block.text)
        elif isinstance(document, dict) and "table" in document:
            Path(FOLDER, "declared.yaml").write_text(block.text)
    defaults = yaml.safe_load(Path(FOLDER, "_defaults.yaml").read_text())
    Path(FOLDER, "_defaults.yaml").write_text(json.dumps({**REQUIRED, **defaults}))


@pytest.mark.parametrize("page", [page for page in PAGES if examples(page)], ids=lambda page: page.name)
def test_an_example_does_what_it_says_with_the_yaml_of_its_page(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    for block, words in examples(page):
        declare(page, block.line)
        declared = {table.name for table in load_tables(Path(FOLDER), on_error="collect").tables}
        wanted = named(words) if declared or words[1] == "init" else (named(words) or ["orders"])
        for name in (each for each in wanted if each not in declared):
            Path(FOLDER, f"{name}.yaml").write_text(f"table: {name}\n")
        for folder in (each for each in words[2:] if each.endswith("/tables") and each != FOLDER):
            shutil.copytree(FOLDER, folder)
        code = cli.main(words[1:])
        said = [line for line in capsys.readouterr().err.splitlines() if code or " characters; IAM takes " in line]
        assert (code, said) == (0, []), (str(block), words)


def named(words: list[str]) -> list[str]:
    """List the tables that ``policy`` is asked for."""
    if words[1] != "policy":
        return []
    first_option = next((at for at, word in enumerate(words) if word.startswith("--")), len(words))
    return words[2:first_option]


def test_the_pages_for_beginners_are_among_them():
    assert {page.name for page in PAGES if examples(page)} >= {
        "quickstart.md",
        "first-real-table.md",
        "cross-account.md",
        "add-a-table.md",
        "many-tables.md",
    }


def aws_commands(page: Path) -> list[list[str]]:
    """List what a page tells people to type of the AWS CLI; its inline code may go over the end of a line."""
    inline = [code.replace("\n", " ") for code in re.findall(r"`(aws [^`]+)`", prose(page))]
    found = [words for code in [*typed(page), *inline] for words in command_lines(code)]
    return [words for words in found if words[0] == "aws" and len(words) > 2]


def wrong_with(words: list[str]) -> list[str]:
    """List what the AWS CLI would refuse of a command: service, operation, options, members of their short form, what is missing."""
    _, service, operation, *rest = words
    if service == "s3" and operation in HIGH_LEVEL:
        return []
    loader = Loader()
    service = {"s3api": "s3"}.get(service, service)
    if service not in loader.list_available_services("service-2"):
        return [f"aws {service}"]
    model = ServiceModel(loader.load_service_model(service, "service-2"), service)
    names = {xform_name(name, "-"): name for name in model.operation_names}
    if operation not in names:
        return [f"aws {service} {operation}"]
    shape = model.operation_model(names[operation]).input_shape
    members = {xform_name(name, "-"): (name, member) for name, member in shape.members.items()} if shape else {}
    given = {word[2:]: following for word, following in zip_longest(rest, rest[1:], fillvalue="") if word[:2] == "--"}
    wrong = [f"--{option}" for option in given if option not in {*members, *OF_ALL}]
    for option, value in given.items():
        if option in members:
            wrong += [f"--{option} {key}" for key in short_form(value) if key not in keys_of(members[option][1])]
    required = shape.required_members if shape else []
    if given and "…" not in words:  # the bare name of an operation is not to be typed
        wrong += [f"no --{option}" for option, (name, _) in members.items() if name in required and option not in given]
    return wrong


def short_form(value: str) -> list[str]:
    """List the keys of ``Key=value,Key=value``."""
    return re.findall(r"(?:^|,)(\w+)=", value)


def keys_of(shape: Shape) -> set[str]:
    inner = shape.member if shape.type_name == "list" else shape
    return set(inner.members) if inner.type_name == "structure" else set()


@pytest.mark.parametrize("page", [page for page in PAGES if aws_commands(page)], ids=lambda page: page.name)
def test_the_aws_cli_takes_what_it_is_asked(page: Path):
    assert [f"{' '.join(words)}: {wrong}" for words in aws_commands(page) if (wrong := wrong_with(words))] == []


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("aws iam put-role-policy --role-name a --policy-name b --policy-document file://c", []),
        ("aws iam put-role-policy --role a --policy-name b --policy-document file://c", ["--role", "no --role-name"]),
        ("aws iam put-role-policies …", ["aws iam put-role-policies"]),
        ("aws glu create-database …", ["aws glu"]),
        ("aws glue create-database --database-input name=lake", ["--database-input name"]),
        ("aws s3 mb s3://lake && echo", []),
    ],
)
def test_a_wrong_command_of_the_aws_cli_would_be_seen(line: str, wrong: list[str]):
    assert wrong_with(next(command_lines(line))) == wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_nobody_is_told_to_install_a_name_that_nobody_owns(page: Path):
    texts = [block.text for block in blocks_of(page)]
    assert [line for text in [*texts, prose(page)] for line in installed_by_name(text)] == []


def installed_by_name(text: str) -> list[str]:
    """List the lines that let pip look for this package in an index: whoever registers the name there is run with the lake's role."""
    if "--no-index" in text:
        return []
    by_name = rf"(?<![\w./-]){NAME}(?![\w.-]*\.whl)(?!\s*@)"
    installs = re.findall(rf"^.*\binstall\b[^\n`]*{by_name}.*$", text, re.MULTILINE)
    required = re.findall(rf"^{NAME}\s*(?:[=<>~!\[;].*)?$", text, re.MULTILINE)
    return [*installs, *(line for line in required if "--hash=" not in line)]


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("pip install airflow-provider-ddb-export -c constraints/constraints-3.11.txt", True),
        ("- run: uv pip install 'airflow_provider_ddb_export[docs]'", True),
        ("boto3\nairflow-provider-ddb-export==0.1.0", True),
        ("--no-index\n--find-links wheels\nairflow-provider-ddb-export==0.1.0", False),
        ("pip install build/packages/*.whl", False),
        ("pip install ./airflow_provider_ddb_export-0.1.0-py3-none-any.whl", False),
        ("airflow-provider-ddb-export @ file:///wheels/airflow_provider_ddb_export-0.1.0-py3-none-any.whl", False),
    ],
)
def test_an_install_by_name_would_be_seen(text: str, seen: bool):
    assert bool(installed_by_name(text)) is seen
