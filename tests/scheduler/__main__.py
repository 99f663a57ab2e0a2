"""Runs the tests on a real scheduler and keeps what they saw: ``make test-scheduler``.

    python -m tests.scheduler                      all of them
    python -m tests.scheduler -k deaths            only some, by pytest's own options

Every line goes to ``build/scheduler.log``; after a run of all tests the evidence goes to ``docs/evidence/scheduler.log``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tests.scheduler import evidence
from tests.scheduler.postgresql import PostgreSqlError


def main(options: Sequence[str]) -> int:
    """Run pytest with these options; the exit code is pytest's, or 3 where PostgreSQL is missing."""
    try:
        head = evidence.head()
    except PostgreSqlError as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    outcome = evidence.run_pytest("scheduler", ["-m", "slow", "tests/scheduler", *options], head)
    print(outcome.closing)
    if not options:
        evidence.keep("scheduler", [*head, *outcome.seen, outcome.closing])
    return outcome.code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
