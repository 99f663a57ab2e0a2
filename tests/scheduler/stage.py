"""Everything that a test on a real scheduler needs, started side by side and ended whatever happens."""

from __future__ import annotations

import fcntl
import functools
import json
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from demo.airflow_api import Json
from local_aws.client import Lab
from tests.scheduler.postgresql import PostgreSql, PostgreSqlError
from tests.scheduler.real_airflow import RealAirflow, RestApi, wait_for
from tests.scheduler.statsd_listener import StatsdListener
from tests.scheduler.world import ACCOUNT, CONNECTION, REGION, World

_START_SECONDS = 180.0
_ENDED = ("success", "failed")


@dataclass(frozen=True)
class Stage:
    """A running lab with its tables, and a running Airflow.

    :param folder: Airflow's home with all logs, the declarations.
    """

    lab: Lab
    world: World
    airflow: RealAirflow
    api: RestApi
    folder: Path
    metrics: StatsdListener

    def runs(self, dag_id: str, *, type_of_run: str | None = None) -> list[Json]:
        """Return the runs of a DAG, by logical date; those by hand have none."""
        found = self.api.runs(dag_id)
        return [run for run in found if type_of_run in (None, run["run_type"])]

    def run_of(self, dag_id: str, logical_date: datetime) -> Json | None:
        """Return the run of one data interval, None if there is none."""
        wanted = [run for run in self.runs(dag_id) if run["logical_date"]]
        return next((run for run in wanted if datetime.fromisoformat(run["logical_date"]) == logical_date), None)

    def wait_for_run(self, dag_id: str, run_id: str, timeout: float = 300.0) -> Json:
        """Wait until a run has ended, and return it."""
        return self._waited(lambda: self._ended(self.api.run(dag_id, run_id)), f"run {run_id} of {dag_id}", timeout)

    def wait_for_runs(
        self, dag_id: str, logical_dates: Sequence[datetime], timeout: float = 400.0
    ) -> dict[datetime, str]:
        """Wait until the runs of all these intervals exist and have ended; return their states."""

        def ended() -> dict[datetime, str] | None:
            runs = {date: self.run_of(dag_id, date) for date in logical_dates}
            states = {date: str(run["state"]) for date, run in runs.items() if run and self._ended(run)}
            return states if len(states) == len(logical_dates) else None

        return dict(self._waited(ended, f"the runs of {dag_id}", timeout))

    def wait_for_backfill(self, backfill: int, timeout: float = 400.0) -> None:
        """Wait until Airflow says that a backfill is completed; it looks every half minute."""
        path = f"/backfills/{backfill}"
        self._waited(lambda: self.api.get(path)["completed_at"], f"backfill {backfill}", timeout)

    def newest_backfill(self, dag_id: str) -> int:
        """Return the id of the backfill of a DAG that was created last."""
        return max(int(each["id"]) for each in self.api.get("/backfills", dag_id=dag_id)["backfills"])

    def wait_for_task(self, dag_id: str, run_id: str, task_id: str, state: str, map_index: int = -1) -> Json:
        """Wait until a task instance is in a state, and return it."""

        def there() -> Json | None:
            found = self.api.task_instances(dag_id, run_id)
            wanted = (task_id, map_index, state)
            return next((each for each in found if (each["task_id"], each["map_index"], each["state"]) == wanted), None)

        return dict(self._waited(there, f"{task_id} of {run_id} in state {state}", 240.0))

    def errors(self, dag_id: str, run_id: str) -> dict[str, str]:
        """Return what each failed task of a run said last."""
        failed = [each for each in self.api.task_instances(dag_id, run_id) if each["state"] == "failed"]
        return {each["task_id"]: self.api.last_error(each) for each in failed}

    def ends(self, dag_id: str) -> dict[str, str]:
        """Return when each run of a DAG ended."""
        return {run["dag_run_id"]: run["end_date"] for run in self.runs(dag_id)}

    def log_of_plan(self, dag_id: str, logical_date: datetime) -> str:
        """Return what the plan task of the run of one data interval said last."""
        run = self.run_of(dag_id, logical_date)
        assert run is not None
        return self.api.log(self.api.instance(dag_id, run["dag_run_id"], "plan"))

    def _waited(self, question: Callable[[], Any], what: str, timeout: float) -> Any:
        def asked() -> Any:
            self.airflow.supervise()
            return question()

        return wait_for(what, asked, timeout)

    @staticmethod
    def _ended(run: Json) -> Json | None:
        return run if run["state"] in _ENDED else None


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end what was started, as Ctrl-C does, instead of leaving it behind."""
    before = {each: signal.signal(each, signal.default_int_handler) for each in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Let the processes of one pytest, or of two, take turns: a real Airflow is enough for two cores."""
    folder.mkdir(parents=True, exist_ok=True)
    with folder.joinpath(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def require_drivers() -> None:
    """Check that Airflow can talk to PostgreSQL in this environment.

    :raises PostgreSqlError: a driver is missing.
    """
    missing = [name for name in ("asyncpg", "psycopg2") if find_spec(name) is None]
    if missing:
        raise PostgreSqlError(
            f"{sys.prefix}: it has no {' and '.join(missing)}. Remedy: make venv (or pip install asyncpg psycopg2-binary)"
        )


@contextmanager
def on_stage(
    folder: Path,
    tables: Mapping[str, Mapping[str, Any]],
    export_seconds: float = 1.0,
    consumers: Mapping[str, str] | None = None,
    python: Path = Path(sys.executable),
    settings: Mapping[str, str] | None = None,
) -> Iterator[Stage]:
    """Start PostgreSQL, the lab and Airflow, and end them all; the logs stay in ``folder``.

    :param folder: made anew.
    :param tables: for each table what its declaration says besides the defaults of :meth:`World.declaration`.
    :param export_seconds: how long an export takes.
    :param consumers: DAG files beside those of the tables, by name.
    :param python: interpreter of the environment that Airflow runs from; it has this one's libraries.
    :param settings: environment of Airflow on top.
    """
    require_drivers()
    with (
        ended_by_signals(),
        one_at_a_time(folder.parent),
        Lab.start(export_seconds=export_seconds) as lab,
        PostgreSql() as database,
        StatsdListener() as metrics,
    ):
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "tables").mkdir(parents=True)
        (folder / "consumers").mkdir()
        for name, text in (consumers or {}).items():
            (folder / "consumers" / name).write_text(text)
        world = World(lab, _clients(lab), tuple(tables))
        _declare(world, folder / "tables", tables)
        extra = {"region_name": REGION, "endpoint_url": lab.endpoint_url}
        connection = {"conn_type": "aws", "login": ACCOUNT, "password": "lab", "extra": extra}
        variables = {
            f"AIRFLOW_CONN_{CONNECTION.upper()}": json.dumps(connection),
            "DDB_EXPORT_TABLES_DIR": str(folder / "tables"),
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(_bundles(folder / "consumers")),
            **metrics.settings,
            **(settings or {}),
        }
        with RealAirflow(folder / "airflow", database.url, variables, python) as airflow:
            with ThreadPoolExecutor(1) as beside:
                history = beside.submit(world.lay_down)
                airflow.start()
                history.result()
            api = RestApi(airflow.url)
            try:
                for name in tables:
                    api.wait_until_ready(world.lake(name).dag_id, airflow.require_alive, _START_SECONDS)
                yield Stage(lab, world, airflow, api, folder, metrics)
            finally:
                api.close()
                shutil.copyfile(database.log, folder / "postgresql.log")


def _bundles(consumers: Path) -> list[dict[str, Any]]:
    bundle = "airflow.dag_processing.bundles.local.LocalDagBundle"
    return [
        {"name": "dags-folder", "classpath": bundle, "kwargs": {}},
        {"name": "consumers", "classpath": bundle, "kwargs": {"path": str(consumers)}},
    ]


def _clients(lab: Lab) -> Callable[[str], Any]:
    session = boto3.Session(aws_access_key_id=ACCOUNT, aws_secret_access_key="lab", region_name=REGION)
    config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
    return functools.cache(lambda name: session.client(name, endpoint_url=lab.endpoint_url, config=config))


def _declare(world: World, folder: Path, tables: Mapping[str, Mapping[str, Any]]) -> None:
    for name, changes in tables.items():
        declared = world.declaration(name, **changes)
        lines = [f"{key}: {json.dumps(value, default=str)}\n" for key, value in declared.items()]
        (folder / f"{name}.yaml").write_text("".join(lines))  # JSON is YAML; dates stay texts
