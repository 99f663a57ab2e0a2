"""What a guard is: a line that a promise hangs on, how it is disabled, and the tests that must go red then."""

from __future__ import annotations

from typing import NamedTuple

AIRFLOW = "tests/airflow/"
AWS = "tests/aws/"
CLI = "tests/cli/"
CONVERSION = "tests/conversion/"
DOMAIN = "tests/domain/"
PIPELINE = "tests/pipeline/"


class Guard(NamedTuple):
    """A guard, and how it is proven.

    :param name: what it guards against, or does, in words. :param file: path below ``plugins/ddb_export``.
    :param text: what stands there, exactly. :param instead: what stands there while it is disabled.
    :param tests: pytest's names of the tests of which at least one must go red.
    """

    name: str
    file: str
    text: str
    instead: str
    tests: tuple[str, ...]


def off(name: str, file: str, condition: str, *tests: str) -> Guard:
    """Return a guard that is an ``if``, disabled by never being true; the condition stays, so that names keep their use."""
    never = f"if False and ({condition.removeprefix('if ').removesuffix(':')}):"
    return Guard(name, file, condition, never, tests)
