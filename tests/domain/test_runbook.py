"""Every alert, error and code of AWS that a person can meet stands in the runbook."""

from __future__ import annotations

import re

import pytest

from ddb_export import exceptions
from ddb_export.domain.failures import FAILURES, REFUSALS
from ddb_export.domain.freshness import Trouble
from ddb_export.exceptions import DdbExportError
from scripts.runbook import PAGE, aws_codes, page


def anchors() -> set[str]:
    return set(re.findall(r'<a id="([^"]+)"></a>', PAGE.read_text(encoding="utf-8")))


def error_names() -> list[str]:
    found = [each for each in vars(exceptions).values() if isinstance(each, type) and issubclass(each, DdbExportError)]
    return [each.__name__ for each in found]


@pytest.mark.parametrize(
    "name",
    dict.fromkeys([*map(str, Trouble), *error_names(), *(each.code for each in (*REFUSALS, *FAILURES)), *aws_codes()]),
)
def test_everything_that_is_said_stands_in_the_runbook(name):
    assert name in anchors()


def test_no_place_is_there_twice():
    found = re.findall(r'<a id="([^"]+)"></a>', PAGE.read_text(encoding="utf-8"))
    assert len(found) == len(set(found))


def test_the_tables_are_those_of_the_code():
    assert PAGE.read_text(encoding="utf-8") == page()
