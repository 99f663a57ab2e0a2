"""Runs of a table whose raw data files retention has removed: what is published stays, the chain goes on, nothing fails unexplained."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ddb_export.aws.object_lifecycle import ObjectLifecycle
from ddb_export.aws.object_store import S3ObjectStore
from ddb_export.domain.layout import Lake
from ddb_export.domain.retention import Retention
from ddb_export.pipeline.ledger import Ledger
from ddb_export.pipeline.retention import RawRetention
from tests.airflow.airflow_runs import run_again, run_scheduled
from tests.airflow.runs import HOUR, ONE_LINE, make_table

pytestmark = [pytest.mark.airflow, pytest.mark.filterwarnings("ignore")]


@pytest.mark.scenario("F40")
def test_runs_go_on_without_raw_data_and_only_a_cleared_scan_misses_it(lab, account, aws, connection):
    table = make_table(lab, account, aws, connection)
    for day, midnight in enumerate(table.midnights[:-1]):
        table.write(midnight + HOUR, {"id": {"S": "a"}, "day": {"N": str(day)}})
    table.now()
    m = table.midnights
    run = run_scheduled(table.dag(retries=0, base_time=m[1]), m[1], m[2])
    assert run.state == "success"
    base, window = (claim["export"] for claim in table.claims())
    s3 = table.aws("s3")
    ledger = Ledger(S3ObjectStore(s3, table.bucket), Lake(table.bucket, "lake", table.name))
    lifecycle = ObjectLifecycle(s3, table.bucket)
    retention = RawRetention(ledger, lifecycle, Retention(timedelta(0)), ("snapshots", "changes"))
    assert retention.apply(retention.plan()).deleted == (window,)
    assert not [key for key in table.keys(f"raw/{window}/") if "/data/" in key]
    assert [key for key in table.keys(f"raw/{base}/") if "/data/" in key]
    files, partitions, started = table.lake_files(), table.partitions(), len(table.started())
    again = run_again(run, "scan")
    assert again.states["scan[1]"] == "failed"
    assert ONE_LINE.fullmatch(again.error("scan[1]"))
    assert "its raw data was removed by retention on" in again.error("scan[1]")
    assert (table.lake_files(), table.partitions(), len(table.started())) == (files, partitions, started)
    # An output that is configured later is made of what is left; the removed window is not asked for in every run.
    following = run_scheduled(table.dag(retries=0, base_time=m[1], outputs=["snapshots", "changes", "raw"]), m[2], m[3])
    assert (following.state, following.failures) == ("success", [])
    shown = {each["Name"] for each in table.aws("glue").get_tables(DatabaseName="lake")["TableList"]}
    assert f"{table.name.lower()}_raw_changes" in shown
