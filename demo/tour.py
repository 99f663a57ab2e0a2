"""A week of a lake to click through: flights that are exported every day, a table that cannot be, and the DAG that tells of it."""

from __future__ import annotations

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ddb_export.domain.utc import compact
from demo import history, planes
from demo.airflow_api import AirflowApi
from demo.airflow_processes import AirflowProcesses
from demo.cloud import ACCOUNT, REGION, Cloud
from demo.console import Console
from demo.declared_table import declaration
from demo.errors import DemoError
from demo.flights_file import fetch_archive, read_rows
from demo.progress import Progress
from local_aws.client import Lab

CONNECTION = "lab"
FLIGHTS = f"ddb_export__{history.TABLE}"
PLANES = f"ddb_export__{planes.TABLE}"
FRESHNESS = "ddb_export_freshness"
MOST_DAYS = 7
"""The flights begin nine days before the last midnight; the base shall hold some, and the days before it be there for a backfill."""

_MARGIN = timedelta(minutes=10)
_DAY = timedelta(days=1)
_EXPORT_SECONDS = 2.0
_START_SECONDS = 240.0
_RUNS_SECONDS = 1200.0
_SETTINGS = {
    # Who changes a file of the tour sees it in Airflow soon.
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "20",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "20",
}


@dataclass
class Tour:
    """A lab and an Airflow that have lived for some days; they run until ``stack`` is closed.

    :param folder: declarations, Airflow's home and logs; made anew. :param days: daily windows after the base.
    :param port: of Airflow's pages.
    """

    folder: Path
    console: Console
    days: int
    port: int
    stack: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self.midnight = history.last_midnight(datetime.now(UTC), _MARGIN)
        self.base_time = self.midnight - self.days * _DAY
        second = self.base_time + _DAY
        self.failing = f"{compact(second)}-{compact(second + _DAY)}-a1"

    def prepare(self) -> list[str]:
        """Start everything, let the days pass, and return what to say to who looks.

        :raises DemoError: something could not be had or did not go as it must.
        """
        archive = fetch_archive()
        for name in ("airflow", "tables"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        (self.folder / "tables").mkdir(parents=True)
        lab = self.stack.enter_context(Lab.start(export_seconds=_EXPORT_SECONDS))
        cloud = Cloud(lab)
        self.declare()
        airflow = self.stack.enter_context(AirflowProcesses(self.folder / "airflow", self._variables(cloud), self.port))
        self.console.step(f"Airflow starts on {airflow.url}, the local AWS runs on {lab.endpoint_url}")
        with ThreadPoolExecutor(1) as beside:
            written = beside.submit(self._lay_down, cloud, archive)
            airflow.start()
            written.result()
        api = AirflowApi(airflow.url)
        self.stack.callback(api.close)
        self._let_days_pass(api, airflow)
        return guide(airflow.url, lab.endpoint_url, self.folder, self.days)

    def declare(self) -> None:
        """Write the tables' declarations, as a user would."""
        flights = declaration(self.base_time, CONNECTION, poll_interval="1s") + 'sla: "26h"\n'
        (self.folder / "tables" / "flights.yaml").write_text(flights)
        (self.folder / "tables" / "planes.yaml").write_text(planes.declaration(self.base_time, CONNECTION))

    def _variables(self, cloud: Cloud) -> dict[str, str]:
        return {
            **_SETTINGS,
            f"AIRFLOW_CONN_{CONNECTION.upper()}": cloud.connection,
            "DDB_EXPORT_TABLES_DIR": str(self.folder / "tables"),
        }

    def _lay_down(self, cloud: Cloud, archive: Path) -> None:
        rows = read_rows(archive, year=str(history.YEAR), month=str(history.MONTH))
        flights = [history.read_flight(row) for row in rows if int(row["day"]) >= history.FIRST_DAY]
        cloud.lay_down(history.history(flights, history.shift_to(self.midnight)))
        cloud.fail_once(self.failing)
        flown = planes.planes_of(flights)
        planes.lay_down(cloud, flown)
        self.console.step(f"{len(flights):,} flights and {len(flown):,} planes are in DynamoDB")

    def _let_days_pass(self, api: AirflowApi, airflow: AirflowProcesses) -> None:
        for dag_id in (FLIGHTS, PLANES):
            api.wait_until_ready(dag_id, airflow.require_alive, _START_SECONDS)
            api.set_paused(dag_id, paused=False)
        self.console.step(f"Airflow is ready; {FLIGHTS} makes its base and catches up with {self.days} days")
        progress = Progress(api, FLIGHTS, self.console, airflow.require_alive)
        progress.follow(1 + self.days, self.midnight, _RUNS_SECONDS)
        end = time.monotonic() + _RUNS_SECONDS
        # A day may end meanwhile, and with it begins another run.
        while "failed" not in [run["state"] for run in api.runs(PLANES)]:
            airflow.require_alive()
            if time.monotonic() > end:
                raise DemoError(f"the run of {PLANES}", "it has not failed", "see its tasks in Airflow")
            time.sleep(1)
        self.console.step(f"{PLANES} has failed, as it should: its table's point-in-time recovery is off")


def guide(url: str, endpoint_url: str, folder: Path, days: int) -> list[str]:
    """Return what to look at, one line each.

    :param url: of Airflow's pages. :param endpoint_url: of the local AWS. :param folder: of the tour. :param days: daily windows.
    """
    return [
        f"Airflow        {url}",
        "               no user and no password: whoever is on this machine is an administrator, so it listens on 127.0.0.1 only",
        f"the local AWS  {endpoint_url}",
        "",
        f"1. {url}/dags/{FLIGHTS}",
        f"   {1 + days} green runs: the first made the base, each other one a day's window. In the third, open window.export: its first",
        "   export FAILED, the second try made attempt 2. The log of plan says why it exports what; check has what Athena counted.",
        f"2. {url}/dags/{PLANES}",
        "   a red run: the error in the log of plan says what is wrong and what to do. Do it as below, then clear the run (the arrow",
        "   beside its name); it is green about six minutes later, when the table's first minute in recovery has settled:",
        f"   AWS_ENDPOINT_URL={endpoint_url} AWS_DEFAULT_REGION={REGION} AWS_ACCESS_KEY_ID={ACCOUNT} AWS_SECRET_ACCESS_KEY=lab \\",
        f"   aws dynamodb update-continuous-backups --table-name {planes.TABLE} \\",
        "     --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true",
        f"3. {url}/dags/{FRESHNESS}",
        f"   every five minutes it looks whether data is late; the XCom of its task check tells of {planes.TABLE}. The home page lists",
        "   missed deadlines: days passed in minutes here, so each run was late when it began",
        f"4. Trigger in {FLIGHTS}: a run by hand with dry_run says what it would do and cost; Backfill takes days before the base too",
        f"5. {folder}/tables has the declarations: change one, and Airflow shows it within half a minute",
    ]
