"""The list of guards is true: each stands once where it says, and disabling one does make a test go red."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from scripts.guard import Guard
from scripts.guard_list import GUARDS
from scripts.guard_origin import NOT_THE_COPY
from scripts.guards import Verdict, copied_package, disable, prove, run_tests

ROOT = Path(__file__).resolve().parents[2]
TOKEN = next(guard for guard in GUARDS if guard.name == "the token contains the attempt")


@pytest.mark.parametrize("guard", GUARDS, ids=[guard.name for guard in GUARDS])
def test_each_guard_stands_once_where_the_list_says(guard: Guard):
    source = (ROOT / "plugins" / "ddb_export" / guard.file).read_text()

    assert source.count(guard.text) == 1, (
        f"{guard.file} has changed: correct scripts/guards_of_the_*.py, and prove it: make guards"
    )
    assert guard.instead != guard.text
    compile(source.replace(guard.text, guard.instead), guard.file, "exec")


def test_guards_have_names_of_their_own_and_there_are_many():
    assert len({guard.name for guard in GUARDS}) == len(GUARDS) >= 25


def test_the_tests_that_must_go_red_exist():
    wanted = {test.partition("[")[0] for guard in GUARDS for test in guard.tests}

    assert [test for test in sorted(wanted) if not exists(test)] == []


def exists(test: str) -> bool:
    """Tell whether a file of tests has this class and function."""
    path, *names = test.split("::")
    body = ast.parse((ROOT / path).read_text()).body
    for name in names:
        found = [each for each in body if isinstance(each, ast.ClassDef | ast.FunctionDef) and each.name == name]
        if not found:
            return False
        body = found[0].body
    return True


def test_a_disabled_guard_makes_its_test_go_red():
    proof = prove(TOKEN)

    assert (proof.verdict, proof.said) == (Verdict.RED, TOKEN.tests[0])
    assert str(proof).startswith("red ")


def test_a_guard_that_nobody_would_miss_is_not_called_proven():
    harmless = TOKEN._replace(instead=TOKEN.text.replace('"attempt": attempt', '"attempt": attempt + 0'))

    assert prove(harmless).verdict is Verdict.GREEN


def test_a_name_that_is_missing_proves_nothing():
    proof = prove(TOKEN._replace(instead=TOKEN.text.replace('"attempt": attempt', '"attempt": no_such_name')))

    assert proof.verdict is Verdict.BROKEN
    assert "NameError" in proof.said


def test_a_copy_that_is_not_the_one_imported_proves_nothing(tmp_path: Path):
    answer = run_tests(tmp_path, TOKEN.tests)

    assert answer.returncode == NOT_THE_COPY
    assert "ddb_export is imported from" in answer.stdout + answer.stderr


def test_a_text_that_has_changed_is_refused_in_one_line():
    with copied_package() as folder, pytest.raises(ValueError, match=r"stands 0 times in domain/export.py. Remedy: "):
        disable(TOKEN._replace(text="no such text"), folder)
