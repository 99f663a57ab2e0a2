"""The stage of an upgrade: both wheels, and an Airflow that runs from an environment with the older one."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from demo.airflow_processes import COMPONENTS
from tests.scheduler.stage import Stage, on_stage
from tests.scheduler.world import ACCOUNT, CONNECTION, midnights
from tests.upgrade.releases import Installation, Release, commit_before, release_of_commit, release_of_folder

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "upgrade"
SENSOR_DAG = "reads_an_export"
_AHEAD = timedelta(minutes=20)
"""How far the last window of ``returns`` is from being settled; the lab's clock goes on in time. So the test cannot run in the last
twenty minutes of a day: ``settle`` is a day at most."""

_SENSOR = f"""
from datetime import timedelta

from airflow.sdk import DAG

from ddb_export import DynamoDBExportSensor

with DAG(dag_id={SENSOR_DAG!r}, schedule=None, params={{"export_arn": ""}}) as dag:
    DynamoDBExportSensor(
        task_id="wait",
        export_arn="{{{{ params.export_arn }}}}",
        aws_conn_id={CONNECTION!r},
        poll_interval=timedelta(seconds=1),
    )
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Say which wheel takes the place of which."""
    parser.addoption("--upgrade-from", metavar="REV", help="commit to upgrade from (the one before)")
    parser.addoption("--upgrade-to", metavar="FOLDER", type=Path, default=ROOT, help="sources to upgrade to (these)")


@dataclass(frozen=True)
class Upgrade:
    """A running stage whose provider can be exchanged.

    :param older: what runs at first. :param newer: what it is upgraded to. :param dags: Airflow's folder of DAG files.
    :param settle: how long a window of ``returns`` has to settle.
    """

    stage: Stage
    installation: Installation
    older: Release
    newer: Release
    dags: Path
    settle: timedelta

    def begin_to_settle(self, left: timedelta) -> None:
        """Set AWS's clock so that the last window of ``returns`` is settled in this time from now."""
        world = self.stage.world
        world.lab.set_clock(world.midnights[-1] + self.settle - left, ACCOUNT)

    def stop(self) -> None:
        """Stop Airflow as an operator does: every process is asked to end."""
        self.stage.airflow.stop()

    def install(self) -> None:
        """Put the newer wheel and its DAG files in the place of the older ones."""
        assert self.installation.holds(self.older)
        self.installation.install(self.newer)
        assert self.installation.holds(self.newer)
        _copy(self.newer.dags, self.dags)

    def start_again(self) -> None:
        """Start Airflow over the same database, and wait until it answers."""
        airflow = self.stage.airflow
        # The API server first: a task that a scheduler starts before it answers fails, and has to be tried again.
        airflow.start_again("api-server", "before")
        self.stage.api.wait_until_ready(SENSOR_DAG, airflow.require_alive, 180)
        for component in COMPONENTS:
            if component != "api-server":
                airflow.start_again(component, "before")


def declarations(settle: timedelta) -> dict[str, dict[str, Any]]:
    """Return what the tables' declarations say, besides what they have in common."""
    days = midnights()
    return {
        "payments": {"catchup": True, "start_date": days[1]},
        "orders": {},
        "shipments": {},
        "refunds": {},
        "returns": {"settle": f"{settle.total_seconds():.0f}s"},
    }


@pytest.fixture
def upgrade(request: pytest.FixtureRequest) -> Iterator[Upgrade]:
    """Both wheels built, the older one installed, and Airflow running with it."""
    older = release_of_commit(request.config.getoption("--upgrade-from") or commit_before(), FOLDER / "older")
    newer = release_of_folder(request.config.getoption("--upgrade-to"), FOLDER / "newer")
    assert older.modules != newer.modules, f"{older.name} has the package that is to take its place"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    installation = Installation.make(FOLDER / f"environment-python{version}")
    installation.install(older)
    dags = FOLDER / "dags"
    _copy(older.dags, dags)
    settings = {
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "PYTHONPATH": "",  # an inherited one would put this work tree before the wheel
        # Nothing is killed here, and a busy machine must not look as if it were: Airflow's own patience.
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "300",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "60",
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "60",
    }
    consumers = {f"{SENSOR_DAG}.py": _SENSOR}
    settle = datetime.now(UTC) - midnights()[-1] + _AHEAD
    tables = declarations(settle)
    stage = on_stage(FOLDER / "stage", tables, consumers=consumers, python=installation.python, settings=settings)
    with stage as running:
        yield Upgrade(running, installation, older, newer, dags, settle)


def _copy(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
