"""Upgrades the provider under a real Airflow with deferred tasks in flight, and keeps what was seen: ``make test-upgrade``.

    python -m tests.upgrade                        from the commit that had the package before the present one
    python -m tests.upgrade --from REV --from REV  from these commits, one after the other
    python -m tests.upgrade --to FOLDER            to the sources in another folder; nothing is kept

Every line goes to ``build/upgrade.log``, the evidence to ``docs/evidence/upgrade.log``. Needs git and PostgreSQL.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.scheduler import evidence
from tests.scheduler.postgresql import PostgreSqlError
from tests.upgrade.releases import ReleaseError, commit_before

CHECK = "tests/upgrade/check_upgrade.py"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the check once for each older commit; the exit code is 0 if all passed, 3 where something is missing."""
    parser = argparse.ArgumentParser(prog="python -m tests.upgrade", description=__doc__.splitlines()[0])
    parser.add_argument("--from", dest="older", action="append", metavar="REV", help="commit to upgrade from")
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="sources to upgrade to (this work tree)")
    options = parser.parse_args(arguments)
    try:
        head = evidence.head()
        older = options.older or [commit_before()]
    except (PostgreSqlError, ReleaseError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    newer = (options.to or evidence.ROOT).resolve()
    outcomes = [
        evidence.run_pytest("upgrade", [CHECK, f"--upgrade-from={revision}", f"--upgrade-to={newer}"], head)
        for revision in older
    ]
    lines = [line for outcome in outcomes for line in (*outcome.seen, outcome.closing)]
    print(*(outcome.closing for outcome in outcomes), sep="\n")
    if options.to is None:
        evidence.keep("upgrade", [*head, *lines])
    return max(outcome.code for outcome in outcomes)


if __name__ == "__main__":
    sys.exit(main())
