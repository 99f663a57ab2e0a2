"""The pages are one whole: links and anchors lead somewhere, each page is in the navigation, each public name in the reference."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import BaseOperator
from airflow.triggers.base import BaseTrigger
from pydantic import BaseModel

import ddb_export
from ddb_export import TableConfiguration
from tests.documentation.pages import PAGES, ROOT, anchors, links

DOCS = ROOT / "docs"
ON_THE_FORGE = ("../security/", "../blob/", "../../")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_to_a_file_and_to_a_heading_of_it(page: Path):
    dead = []
    for target in links(page):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            dead.append(target)

    assert dead == []


def test_every_page_is_in_the_navigation():
    toctrees = re.findall(r"```\{toctree\}(.*?)```", (DOCS / "index.md").read_text(), re.DOTALL)
    entries = {line.rpartition("<")[2].rstrip(">") for tree in toctrees for line in tree.split() if line[0] != ":"}

    assert {page.stem for page in DOCS.glob("*.md")} - {"index"} <= entries, "add the page to docs/index.md"


def test_every_public_name_is_in_the_reference_and_nothing_else():
    page = (DOCS / "reference.md").read_text()
    shown = re.findall(r"^\.\. auto(?:class|function|exception|data):: (\w+)", page, re.MULTILINE)

    assert len(shown) == len(set(shown))
    assert set(shown) == {name for name in ddb_export.__all__ if not name.startswith("__")}


def called_by_people(cls: type) -> set[str]:
    """List the public methods and properties that a class has of its own, without those that Airflow or another library asks for."""
    foreign = [base for base in cls.__mro__ if not base.__module__.startswith("ddb_export")]
    return {
        name
        for name, member in vars(cls).items()
        if not name.startswith("_")
        and (callable(member) or isinstance(member, (property, cached_property, classmethod, staticmethod)))
        and not any(hasattr(base, name) for base in foreign)
    }


def test_the_reference_shows_every_public_method_that_people_call():
    page = (DOCS / "reference.md").read_text()
    shown = re.findall(r"^\.\. auto(?:class|exception):: (\w+).*\n(?:   :members: (.*)\n)?", page, re.MULTILINE)
    members = {name: {member for member in named.split(", ") if member} for name, named in shown}
    public = {name: getattr(ddb_export, name) for name in members}
    # Airflow calls what operators, sensors and triggers have; people give them parameters.
    mine = {name: cls for name, cls in public.items() if not issubclass(cls, (BaseOperator, BaseTrigger))}

    assert {name: called_by_people(cls) for name, cls in mine.items()} == {name: members[name] for name in mine}


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """List the keys of a configuration at any depth, with dots between."""
    for name, field in model.model_fields.items():
        yield prefix + name
        for inner in models_in(field.annotation):
            yield from keys(inner, f"{prefix}{name}.")


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """List the models that an annotation is made of, inside lists, mappings and unions too."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from models_in(argument)


def test_every_key_of_the_configuration_has_its_row_or_stands_in_that_of_its_list():
    page = (DOCS / "configuration.md").read_text()
    rows = dict(re.findall(r"^\| `([\w.]+)` \|(.*)$", page, re.MULTILINE))
    missing = []
    for key in keys(TableConfiguration):
        parent, _, name = key.rpartition(".")
        if key not in rows and not re.search(rf"`{name}`|`{{(?:[^`]*, )?{name}: ", rows.get(parent, "")):
            missing.append(key)

    assert missing == []


def test_the_readme_leads_to_every_page_or_to_the_start_page():
    assert "docs/index.md" in links(ROOT / "README.md")
