"""What ``make audit`` makes of a report: silence of the service, exceptions that ran out, and those that match nothing."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from scripts.audit import judge, pinned
from tests.packaging.airflow_environment import ROOT

TODAY = date(2026, 11, 21)
VULNERABLE = {
    "name": "jinja2",
    "version": "3.1.0",
    "vulns": [{"id": "PYSEC-2024-1", "aliases": ["CVE-2024-22195"], "fix_versions": ["3.1.3"]}],
}
CLEAN = {"name": "boto3", "version": "1.43.117", "vulns": []}


def exception(identity: str, until: date) -> dict[str, Any]:
    return {"id": identity, "package": "jinja2", "reason": "its templates are ours", "until": until}


def test_a_vulnerability_is_named_with_the_version_that_mends_it():
    (problem,) = judge({"dependencies": [CLEAN, VULNERABLE]}, [], TODAY)

    assert problem.startswith("jinja2 3.1.0: PYSEC-2024-1, mended in 3.1.3. Remedy: ")


@pytest.mark.parametrize("identity", ["PYSEC-2024-1", "CVE-2024-22195"])
def test_an_exception_holds_to_its_last_day(identity: str):
    report = {"dependencies": [VULNERABLE]}

    assert judge(report, [exception(identity, TODAY)], TODAY) == []
    assert len(judge(report, [exception(identity, date(2026, 11, 20))], TODAY)) == 1


def test_an_exception_that_matches_nothing_is_taken_out():
    (problem,) = judge({"dependencies": [CLEAN]}, [exception("PYSEC-2024-1", TODAY)], TODAY)

    assert "matches nothing" in problem


def test_what_the_service_does_not_know_is_not_taken_for_safe():
    unknown = {"name": "boto3", "skip_reason": "Dependency not found on PyPI and could not be audited"}

    (problem,) = judge({"dependencies": [unknown]}, [], TODAY)

    assert problem.startswith("1 packages, boto3 first: were not audited")


def test_every_version_of_every_python_is_asked_for():
    pins = pinned(sorted((ROOT / "constraints").glob("*.txt")))

    assert len(pins) > 200
    assert all(pin.count("==") == 1 for pin in pins)
