"""A pytest plugin that leaves two outcomes for a test, passed or failed: a skip or an xfail is a failure.

``make test`` loads it (``-p scripts.strict_outcomes``). A skipped test looks like a kept promise and is none, so
nothing that CI runs may skip itself on a machine that lacks something.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

import pytest

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


# First in, so that it sees the report after pytest's own wrapper for skips and xfails has changed it.
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the skip or xfail of a test into a failure."""
    return _strict((yield))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn the skip of a whole module into an error of its collection."""
    return _strict((yield))


def _strict(report: Report) -> Report:
    excuse = getattr(report, "wasxfail", None)
    if report.skipped or excuse is not None:
        why = f"xfail: {excuse}" if excuse is not None else report.longreprtext
        if hasattr(report, "wasxfail"):
            del report.wasxfail
        report.outcome = "failed"
        report.longrepr = f"a skip or xfail counts as a failure here ({why})"
    return report
