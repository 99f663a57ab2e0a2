"""What the DAG processor does with 500 tables in YAML, beside 500 hand-written DAGs of as many equal operators, in CPU seconds.

Both sides are the same DAGs, task by task: the hand-written file is what somebody would have written who does without the factory, with
every argument spelt out. Each side parses and serialises in processes of its own, in turns; the clock starts when Airflow
is loaded, so that whatever else a side imports is counted. Every attempt to open a connection is counted too: there must be none.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure

TABLES = 500
ROUNDS = 3
MOST = 2.0
"""How many times the CPU of the hand-written DAGs the YAML tables may take."""

_ROOT = Path(__file__).parents[1]
_HEAD = """
from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG, Asset, CronDataIntervalTimetable, Param, TriggerRule, XComArg, task_group

from ddb_export import (
    AnnouncePublishedOperator,
    CheckPublishedOperator,
    ConvertDataFilesOperator,
    DynamoDBExportOperator,
    HandOverOperator,
    MergeSchemaOperator,
    PlanExportsOperator,
    PublishExportsOperator,
    ScanDataFilesOperator,
    VerifyExportOperator,
)
from ddb_export.operators.compact import CompactFilesOperator
from ddb_export.operators.widen import WidenColumnsOperator

PLANNED = "{{ ti.xcom_pull(task_ids='plan', key='exports') | tojson }}"
"""
_DAG = """
with DAG(
    dag_id="ddb_export__NAME",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 31, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=True,
    tags=["ddb_export"],
    params={
        "from": Param(default=None, type=["null", "string"], format="date-time", title="Export from"),
        "to": Param(default=None, type=["null", "string"], format="date-time", title="Export to"),
        "re_export": Param(default=False, type="boolean", title="Export again"),
        "full_export": Param(default=False, type="boolean", title="One more full export"),
        "new_base": Param(default=False, type="boolean", title="Begin a new chain"),
        "widen": Param(default=False, type="boolean", title="Widen columns"),
        "compact": Param(default=False, type="boolean", title="Compact small files"),
        "dry_run": Param(default=False, type="boolean", title="Dry run"),
    },
    default_args={
        "owner": "airflow",
        "retries": 3,
        "retry_delay": timedelta(minutes=5),
        "pool": "default_pool",
        "bucket": "lake",
        "prefix": "dynamodb",
        "lake_name": "NAME",
        "bucket_owner": None,
        "aws_conn_id": "aws_default",
        "region_name": None,
        "role_arn": None,
    },
    description="Keeps s3://lake/dynamodb/NAME in step with the DynamoDB table NAME",
):
    plan = PlanExportsOperator(
        task_id="plan",
        table="NAME",
        export_view="NEW_AND_OLD_IMAGES",
        kms_key=None,
        settle=timedelta(minutes=5),
        schedule="0 0 * * *",
        timezone="UTC",
        outputs=("snapshots", "changes"),
        database="lake",
        start="{{ params['from'] or '' }}",
        end="{{ params['to'] or '' }}",
        re_export="{{ params.re_export }}",
        full_export="{{ params.full_export }}",
        new_base="{{ params.new_base }}",
        dry_run_only="{{ params.dry_run }}",
    )
    export_base = DynamoDBExportOperator(
        task_id="export_base",
        table="NAME",
        export_view="NEW_AND_OLD_IMAGES",
        kms_key=None,
        settle=timedelta(minutes=5),
        export_time=XComArg(plan, key="base_time"),
        poll_interval=timedelta(seconds=30),
        skip_without_time=True,
    )
    verify_base = VerifyExportOperator(task_id="verify_base", export=export_base.output)

    @task_group(group_id="window")
    def window(start, end):
        export = DynamoDBExportOperator(
            task_id="export",
            table="NAME",
            export_view="NEW_AND_OLD_IMAGES",
            kms_key=None,
            settle=timedelta(minutes=5),
            start=start,
            end=end,
            poll_interval=timedelta(seconds=30),
            trigger_rule=TriggerRule.NONE_FAILED,
            max_active_tis_per_dagrun=4,
        )
        VerifyExportOperator(task_id="verify", export=export.output)

    windows = window.expand_kwargs(plan.output)
    hand_over = HandOverOperator(
        task_id="hand_over",
        exports=PLANNED,
        outputs=("snapshots", "changes"),
        file_groups=4,
        trigger_rule=TriggerRule.ALL_DONE,
    )
    verify_base >> windows >> hand_over
    verify_base >> hand_over
    scan = ScanDataFilesOperator.partial(task_id="scan").expand_kwargs(hand_over.output)
    merge_schema = MergeSchemaOperator(
        task_id="merge_schema", file_groups=hand_over.output, trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS
    )
    convert = ConvertDataFilesOperator.partial(task_id="convert").expand_kwargs(merge_schema.output)
    publish = PublishExportsOperator(
        task_id="publish",
        file_groups=merge_schema.output,
        database="lake",
        trigger_rule=TriggerRule.ALL_DONE_MIN_ONE_SUCCESS,
    )
    check = CheckPublishedOperator(
        task_id="check",
        exports=PLANNED,
        outputs=("snapshots", "changes"),
        workgroup="primary",
        output_location="s3://lake/dynamodb/NAME/athena-results/",
        outlets=[Asset(name="ddb_export__NAME", uri="s3://lake/dynamodb/NAME/")],
        trigger_rule=TriggerRule.ALL_DONE,
    )
    widen = WidenColumnsOperator(
        task_id="widen",
        widen="{{ params.widen }}",
        dry_run_only="{{ params.dry_run }}",
        trigger_rule=TriggerRule.NONE_FAILED,
    )
    compact = CompactFilesOperator(
        task_id="compact",
        compact="{{ params.compact }}",
        dry_run_only="{{ params.dry_run }}",
        trigger_rule=TriggerRule.NONE_FAILED,
    )
    announced = {"trigger_rule": TriggerRule.ALL_DONE}
    announce_snapshots = AnnouncePublishedOperator(
        task_id="announce_snapshots",
        output_name="snapshots",
        export_time="{{ ti.xcom_pull(task_ids='plan', key='base_time') or '' }}",
        outlets=[Asset(name="ddb_export__NAME/snapshots", uri="s3://lake/dynamodb/NAME/snapshots/")],
        **announced,
    )
    announce_changes = AnnouncePublishedOperator.partial(
        task_id="announce_changes",
        output_name="changes",
        outlets=[Asset(name="ddb_export__NAME/changes", uri="s3://lake/dynamodb/NAME/changes/")],
        **announced,
    ).expand_kwargs(plan.output)
    scan >> merge_schema
    convert >> publish >> check >> widen >> compact
    publish >> [announce_snapshots, announce_changes]
"""


def write_yaml(folder: Path, tables: int) -> Path:
    """Declare tables as a team would: defaults once, and three lines for each; return the DAG file that reads them."""
    folder.mkdir()
    (folder / "_defaults.yaml").write_text("bucket: lake\nprefix: dynamodb\ndatabase: lake\n")
    for number in range(tables):
        lines = [f"table: table_{number}", "schedule: '0 0 * * *'", "start_date: 2026-01-31", ""]
        (folder / f"table_{number}.yaml").write_text("\n".join(lines))
    return _ROOT / "dags" / "ddb_export_tables.py"


def write_by_hand(file: Path, tables: int) -> Path:
    """Write the same DAGs out, each in full."""
    # A DAG keeps its variable, as Airflow looks for DAGs among a module's names.
    dags = (
        _DAG.replace("NAME", f"table_{number}").replace("):\n", f") as dag_{number}:\n", 1) for number in range(tables)
    )
    file.write_text(_HEAD + "".join(dags))
    return file


def measure(dag_file: Path, tables: Path) -> dict[str, Any]:
    """Parse and serialise in a new process, as the DAG processor does.

    :return: ``dags``, ``tasks`` (``DAG.task Operator``), ``cpu_seconds``, ``connections``.
    """
    environment = {**os.environ, "DDB_EXPORT_TABLES_DIR": str(tables), "PYTHONPATH": f"{_ROOT}:{_ROOT / 'plugins'}"}
    command = [sys.executable, "-m", "benchmarks.parsing_child", str(dag_file)]
    done = subprocess.run(command, env=environment, cwd=_ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the parser ended with {done.returncode}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare(tables: int, rounds: int) -> dict[str, Any]:
    """Measure both sides in turns; of each the least CPU counts, as whatever else runs only adds to it.

    :return: ``yaml`` and ``by_hand`` as :func:`measure`, and their ``ratio``.
    """
    with tempfile.TemporaryDirectory() as folder:
        declared = Path(folder) / "tables"
        sides = {"yaml": write_yaml(declared, tables), "by_hand": write_by_hand(Path(folder) / "by_hand.py", tables)}
        runs: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
        for _ in range(rounds):
            for side, dag_file in sides.items():
                runs[side].append(measure(dag_file, declared))
    least = {side: min(found, key=lambda run: run["cpu_seconds"]) for side, found in runs.items()}
    if least["yaml"]["tasks"] != least["by_hand"]["tasks"]:
        differ = sorted(set(least["yaml"]["tasks"]) ^ set(least["by_hand"]["tasks"]))[:4]
        raise RuntimeError(f"the two sides are not of equal operators: {differ}. Remedy: write _DAG of this file anew")
    return {**least, "ratio": least["yaml"]["cpu_seconds"] / least["by_hand"]["cpu_seconds"]}


def main(arguments: Sequence[str] = ()) -> list[Figure]:
    """Print both sides, and return them.

    :param arguments: ``--tables``, ``--rounds``.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, default=TABLES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args(arguments)
    found = compare(options.tables, options.rounds)
    case = f"{options.tables} tables"
    print(f"parsing and serialising {case}, CPU seconds (least of {options.rounds} runs, in turns)")
    print(f"{'':<24}{'DAGs':>6}{'tasks':>8}{'CPU':>10}{'connections':>13}")
    for side, label in (("yaml", "tables in YAML"), ("by_hand", "DAGs written by hand")):
        run = found[side]
        print(f"{label:<24}{run['dags']:>6}{len(run['tasks']):>8}{run['cpu_seconds']:>9.2f}s{run['connections']:>13}")
    verdict = "kept" if found["ratio"] <= MOST and not found["yaml"]["connections"] else "BROKEN"
    print(f"YAML takes {found['ratio']:.2f} times the CPU; at most {MOST:.1f} and no connection: {verdict}\n")
    ours, peer = found["yaml"], found["by_hand"]
    note = f"the same {len(ours['tasks'])} tasks in DAGs written by hand; connections opened: {ours['connections']}"
    return [Figure("parsing", case, "CPU s", ours["cpu_seconds"], peer["cpu_seconds"], note=note)]
