"""The demo's course: flights into DynamoDB, Airflow's runs, the figures, and whether everything holds."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ddb_export.domain.layout import snapshot_partition
from ddb_export.domain.utc import compact, iso
from demo import history
from demo.airflow_api import AirflowApi
from demo.airflow_processes import AirflowProcesses
from demo.cloud import DATABASE, Cloud, write_items
from demo.console import Console
from demo.declared_table import WINDOWS, declaration
from demo.errors import DemoError
from demo.flights_file import fetch_archive, read_rows
from demo.progress import Progress
from demo.questions import SQL, Answer, add_up, ask_athena
from demo.rebuild import compare, read_items
from demo.runs import RunFigures, figures_of, problems_of
from local_aws.client import Lab

DAG_ID = f"ddb_export__{history.TABLE}"
_CONNECTION = "flights_aws"
_MARGIN = timedelta(minutes=10)
"""A midnight that lies closer than this counts as not over: exports need some minutes to settle."""
_DAY = timedelta(days=1)
_EXPORT_SECONDS = 3.0
_START_SECONDS = 180.0
_RUNS_SECONDS = 600.0


@dataclass
class Demonstration:
    """One run of the demo.

    :param folder: what it leaves behind, made anew: ``lake/``, ``table.jsonl``, Airflow's home and logs.
    """

    folder: Path
    console: Console
    result: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.midnight = history.last_midnight(datetime.now(UTC), _MARGIN)
        self.base_time = self.midnight - WINDOWS * _DAY
        failing = self.base_time + _DAY
        self.failing = f"{compact(failing)}-{compact(failing + _DAY)}-a1"
        self.stack = ExitStack()
        self.addresses: dict[str, str] = {}

    def run(self) -> None:
        """Run it to its end and fill ``result``; what it started runs on until ``stack`` is closed.

        :raises DemoError: something did not hold, or could not be had.
        """
        self._prepare_folder()
        cloud, airflow = self._start()
        api = AirflowApi(airflow.url)
        self.stack.callback(api.close)
        runs = self._catch_up(cloud, airflow, api)
        self._show_runs(runs)
        self.result["runs"] = [run.to_json() for run in runs]
        self._compare(cloud, runs)

    def _prepare_folder(self) -> None:
        for name in ("lake", "airflow", "tables"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        self.folder.joinpath("table.jsonl").unlink(missing_ok=True)
        self.folder.joinpath("tables").mkdir(parents=True)

    def _start(self) -> tuple[Cloud, AirflowProcesses]:
        """Start the lab and Airflow side by side, and lay down the flights meanwhile."""
        archive = fetch_archive()
        self.console.step(f"flights of January 2013 from {archive}; the local AWS starts")
        lab = self.stack.enter_context(Lab.start(export_seconds=_EXPORT_SECONDS))
        self.console.step(f"local AWS on {lab.endpoint_url}")
        cloud = Cloud(lab)
        self.result["lake"] = cloud.lake.uri()
        self.folder.joinpath("tables", "flights.yaml").write_text(
            declaration(self.base_time, _CONNECTION, poll_interval="1s")
        )
        variables = {
            f"AIRFLOW_CONN_{_CONNECTION.upper()}": cloud.connection,
            "DDB_EXPORT_TABLES_DIR": str(self.folder.resolve() / "tables"),
        }
        airflow = self.stack.enter_context(AirflowProcesses(self.folder.resolve() / "airflow", variables))
        self.addresses = {"Airflow": f"{airflow.url}/dags/{DAG_ID}", "the local AWS": lab.endpoint_url}
        self.console.step(f"Airflow starts on {airflow.url} (logs in {self.folder / 'airflow' / 'logs'})")
        with ThreadPoolExecutor(1) as beside:
            written = beside.submit(self._lay_down, cloud, archive)
            airflow.start()
            written.result()
        return cloud, airflow

    def _lay_down(self, cloud: Cloud, archive: Path) -> None:
        rows = read_rows(archive, year=str(history.YEAR), month=str(history.MONTH))
        flights = [history.read_flight(row) for row in rows if int(row["day"]) >= history.FIRST_DAY]
        shift = history.shift_to(self.midnight)
        writes = history.history(flights, shift)
        cloud.lay_down(writes)
        cloud.fail_once(self.failing)
        self.console.step(
            f"{len(writes):,} writes of {len(flights):,} flights laid down, shifted by {shift.days:,} days"
            f" to end at {iso(self.midnight)}"
        )

    def _catch_up(self, cloud: Cloud, airflow: AirflowProcesses, api: AirflowApi) -> list[RunFigures]:
        api.wait_until_ready(DAG_ID, airflow.require_alive, _START_SECONDS)
        self.console.step(f"Airflow is ready: {airflow.url}/dags/{DAG_ID}")
        api.set_paused(DAG_ID, paused=False)
        self.console.step(f"{DAG_ID} unpaused; it catches up: a base and {WINDOWS} daily windows")
        progress = Progress(api, DAG_ID, self.console, airflow.require_alive)
        run_ids = progress.follow(1 + WINDOWS, self.midnight, _RUNS_SECONDS)
        api.set_paused(DAG_ID, paused=True)
        return figures_of(api, cloud, DAG_ID, run_ids)

    def _show_runs(self, runs: Sequence[RunFigures]) -> None:
        self.console.title("What each run did")
        rows = []
        for run in runs:
            span = f"at {run.end[:16]}Z" if run.start is None else f"{run.start[:10]} → {run.end[:10]}"
            rows.append([run.run_id[:21], run.kind, span, run.items, run.bytes, run.billed_bytes, run.attempts])
        self.console.table(("run", "kind", "window (UTC)", "items", "bytes", "billed", "attempts"), rows)
        self.console.line("\n  Partitions in Glue, and the exports that failed before them:")
        for run in runs:
            for partition in run.partitions:
                self.console.line(f"    {partition}")
            for arn in run.failed_export_arns:
                self.console.line(f"      after {arn}")

    def _compare(self, cloud: Cloud, runs: Sequence[RunFigures]) -> None:
        items = sorted(cloud.scan(), key=lambda item: tuple(item[key]["S"] for key in history.KEYS))
        write_items(items, self.folder / "table.jsonl")
        dynamodb = add_up(items)
        base = snapshot_partition(self.base_time).rpartition("=")[2]
        sql = SQL.format(database=DATABASE, name=history.TABLE, base=base)
        athena = ask_athena(cloud.client("athena"), sql, cloud.lake.uri("athena-results/"))
        copied = cloud.save_lake(self.folder / "lake")
        self.console.step(f"{copied} objects of the lake copied")
        rebuilt = compare(self.folder / "lake" / cloud.lake.root, read_items(self.folder / "table.jsonl"))
        head = cloud.ledger.read().head
        self.result |= {"head": iso(head) if head else None, "equal": athena.agrees_with(dynamodb)}
        self.result["athena"] = {"sql": sql, **_figures(athena), "by_op": dict(athena.by_op or {})}
        self.result["dynamodb"] = _figures(dynamodb)
        self._show_answers(athena, dynamodb)
        checks = problems_of(runs, cloud.exports(), head=head, until=self.midnight, failing=self.failing)
        equal = None if athena.agrees_with(dynamodb) else "they differ"
        checks["Athena's answers are DynamoDB's"] = equal
        ops = athena.by_op or {}
        checks["the changes hold INSERT, MODIFY and REMOVE"] = None if all(ops.values()) else f"they hold {ops}"
        checks["every live item is rebuilt exactly from the Parquet files"] = None if rebuilt.equal else str(rebuilt)
        self._judge(checks)

    def _show_answers(self, athena: Answer, dynamodb: Answer) -> None:
        self.console.title("What Athena answers, and what DynamoDB says")
        rows: list[list[object]] = [
            ["live flights", athena.live_items, dynamodb.live_items],
            ["miles of all of them", athena.distance_sum, dynamodb.distance_sum],
        ]
        self.console.table(("", "Athena", "DynamoDB"), rows)
        changes = ", ".join(f"{count:,} {op}" for op, count in (athena.by_op or {}).items())
        self.console.line(f"\n  Changes that Athena counts in the {WINDOWS} windows: {changes}")

    def _judge(self, checks: Mapping[str, str | None]) -> None:
        self.console.title("What has to hold")
        for check, problem in checks.items():
            if problem is None:
                self.console.good(check)
            else:
                self.console.bad(f"{check}: {problem}")
        wrong = [f"{check}: {problem}" for check, problem in checks.items() if problem]
        if wrong:
            raise DemoError(f"{len(wrong)} of {len(checks)} checks", wrong[0], "see the lines above and Airflow's logs")


def _figures(answer: Answer) -> dict[str, int]:
    return {"live_items": answer.live_items, "distance_sum": answer.distance_sum}
