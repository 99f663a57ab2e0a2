"""One stage for all tests of this folder: starting it takes most of a minute."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.scheduler.evidence import teller
from tests.scheduler.mailbox import NOTIFIER
from tests.scheduler.stage import Stage, on_stage
from tests.scheduler.world import BUCKET, CONNECTION, DAY, midnights

FOLDER = Path(__file__).resolve().parents[2] / "build" / "scheduler" / os.environ.get("PYTEST_XDIST_WORKER", "alone")
_BEGIN = midnights()[0]
TABLES: dict[str, dict[str, Any]] = {
    "orders": {"retries": 2},
    "shipments": {"catchup": True, "start_date": _BEGIN},
    "payments": {"retries": 3},
    "returns": {"catchup": True, "start_date": _BEGIN + DAY, "retries": 0},
    "refunds": {},
    # A minute after its run is queued its data is as old as it may become.
    "parcels": {"base_time": midnights()[4], "settle": "0s", "sla": "24h1m", "alerts": {"notifiers": [NOTIFIER]}},
}

_EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"


def _example(name: str) -> str:
    """Return an example of the docs as a user adapts it: to this table, bucket and connection."""
    text = (_EXAMPLES / name).read_text(encoding="utf-8")
    for old, new in {
        "orders": "refunds",
        "s3://company-lake": f"s3://{BUCKET}",
        '"aws_default"': f'"{CONNECTION}"',
    }.items():
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    """A real Airflow on PostgreSQL with one paused DAG per table; logs stay in ``build/scheduler``."""
    with on_stage(FOLDER, TABLES, consumers={"each_window.py": _example("orders_each_window.py")}) as running:
        yield running


@pytest.fixture
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Print a line of evidence."""
    return teller("scheduler", request.node.name)
