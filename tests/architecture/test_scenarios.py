"""docs/failures.md says which tests cover which failure; it follows from the tests' markers, and cannot grow old unseen."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.scenarios import SCENARIOS, TESTS, MarkerError, covering_tests, page

ROOT = Path(__file__).resolve().parents[2]


def markers_in(folder: Path, source: str) -> dict[str, list[tuple[str, str]]]:
    """Read the markers of one file of tests."""
    (folder / "tests").mkdir()
    (folder / "tests" / "test_some.py").write_text(source)
    return covering_tests(folder / "tests")


def test_the_page_is_what_the_markers_say():
    written = (ROOT / "docs" / "failures.md").read_text()

    assert written == page(covering_tests(TESTS)) + "\n", "docs/failures.md is older than the markers: make scenarios"


def test_every_scenario_has_a_section_and_those_without_a_test_say_so():
    text = page({"F3": [("tests/test_some.py", "test_it")]})

    assert re.findall(r"^## (F\d+)\. ", text, re.MULTILINE) == [f"F{number}" for number in range(1, 43)]
    assert text.count("Not yet.") == len(SCENARIOS) - 1
    assert "1 of 42 have tests. Not yet: F1, F2, F4, " in text
    assert "- [tests/test_some.py](../tests/test_some.py): `test_it`" in text


def test_a_test_of_the_lab_alone_covers_nothing():
    text = page({"F3": [("tests/local_aws/test_some.py", "test_it")]})

    assert "0 of 42 have tests. Not yet: F1, F2, F3, " in text
    assert "Not yet.\n\nThe local AWS:\n\n- [tests/local_aws/test_some.py]" in text


def test_markers_are_found_wherever_pytest_takes_them(tmp_path: Path):
    source = """
import pytest
pytestmark = [pytest.mark.airflow, pytest.mark.scenario("F1")]
CASES = [pytest.param(1, marks=pytest.mark.scenario("F2"))]

@pytest.mark.scenario("F3", "F6")
@pytest.mark.parametrize("case", [pytest.param(1, marks=[pytest.mark.scenario("F4")])])
def test_one(case): pass

@pytest.mark.parametrize("case", CASES)
def test_two(case): pass

@pytest.mark.scenario("F5")
class TestMany:
    def test_three(self): pass
"""

    found = markers_in(tmp_path, source)

    names = {number: [name for _, name in tests] for number, tests in found.items()}
    everything = ["test_one", "test_three", "test_two"]
    assert {number: sorted(tests) for number, tests in names.items()} == {
        "F1": everything,
        "F2": ["test_two"],
        "F3": ["test_one"],
        "F4": ["test_one"],
        "F5": ["test_three"],
        "F6": ["test_one"],
    }


@pytest.mark.parametrize(
    ("marker", "cause"),
    [
        ('pytest.mark.scenario("F43")', "no known scenario"),
        ('pytest.mark.scenario("F03")', "no known scenario"),
        ("pytest.mark.scenario(3)", "no known scenario"),
        ("pytest.mark.scenario(name)", "no known scenario"),
        ('pytest.mark.scenario("F1", "F0")', "no known scenario"),
        ("pytest.mark.scenario()", "no known scenario"),
    ],
)
def test_a_marker_that_names_no_scenario_is_refused(tmp_path: Path, marker: str, cause: str):
    with pytest.raises(MarkerError, match=rf"^tests/test_some.py:2: .*{cause}.*\. Remedy: \S"):
        markers_in(tmp_path, f"import pytest\n@{marker}\ndef test_it(): pass\n")


def test_a_marker_that_belongs_to_no_test_is_refused(tmp_path: Path):
    with pytest.raises(MarkerError, match=r"belongs to no test"):
        markers_in(tmp_path, 'import pytest\n@pytest.mark.scenario("F1")\ndef helper(): pass\n')


def test_the_command_needs_no_environment():
    answer = subprocess.run(
        [sys.executable, "-I", ROOT / "scripts" / "scenarios.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (answer.returncode, answer.stderr) == (0, "")
