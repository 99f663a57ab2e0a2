"""Runs of real DAGs tell every documented metric to a StatsD server by UDP, with the right values; and the page names the same ones."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ddb_export.config.model import TableConfiguration
from ddb_export.domain.metrics import ITEMS, METRICS, STAGE_DURATION, Kind, Metric, Stage
from ddb_export.freshness_dag import build_freshness_dag
from ddb_export.metrics import tell_count, tell_duration
from tests.airflow.airflow_runs import run_again, run_manually, run_scheduled
from tests.airflow.runs import DAY, Table
from tests.scheduler.otlp_sink import DELTA, OtlpSink
from tests.scheduler.statsd_listener import StatsdListener

pytestmark = [pytest.mark.airflow, pytest.mark.filterwarnings("ignore")]

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


@contextmanager
def telling(settings: Mapping[str, str]) -> Iterator[None]:
    """Let this process tell its metrics as a worker does whose Airflow is configured so."""
    from airflow.sdk.observability import stats
    from airflow.sdk.observability.metrics.stats_utils import get_stats_factory

    def configure() -> None:
        stats.initialize(factory=get_stats_factory(), export_legacy_names=False)

    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        configure()
        yield
    configure()


@pytest.fixture
def statsd() -> Iterator[StatsdListener]:
    """A StatsD server that hears this process."""
    with StatsdListener() as listener, telling(listener.settings):
        yield listener


@pytest.fixture
def collector() -> Iterator[OtlpSink]:
    """An OpenTelemetry collector that hears this process."""
    from opentelemetry import metrics

    with OtlpSink() as sink, telling(sink.settings):
        yield sink
        provider: Any = metrics.get_meter_provider()
        provider.shutdown()  # else it goes on telling a collector that is gone


def row(metric: Metric) -> str:
    tags = ", ".join(f"`{tag}`" for tag in metric.tags)
    return f"| `{metric.name}` | {metric.kind} | {metric.unit} | {tags} | {metric.told} | {metric.meaning} |"


def test_the_page_has_the_table_of_metrics_that_the_code_has():
    rows = [
        line
        for line in PAGE.read_text(encoding="utf-8").splitlines()
        if re.match(r"\| `\w+` \| (gauge|counter|timer)", line)
    ]
    assert rows == [row(metric) for metric in METRICS]


def test_names_are_those_that_statsd_and_opentelemetry_take():
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        tags = dict.fromkeys(metric.tags, "a.b c/d")
        assert re.fullmatch(r"ddb_export\.[a-z_]+(\.a_b_c_d)+", metric.dotted_name(tags))
        assert len(f"airflow.{metric.tagged_name}") <= 63


def test_runs_tell_every_metric_by_udp(table, statsd):
    m = table.midnights
    told = statsd.told
    assert run_scheduled(table.dag(outputs=["snapshots", "changes", "raw"]), m[0], m[1]).state == "success"
    name = table.name
    assert told(f"items.{name}") == [2]
    assert told(f"billed_bytes.{name}") == [table.verified()[0]["billed_bytes"]]
    (table_bytes,) = told(f"bytes.{name}")
    assert table_bytes == table.verified()[0]["bytes_read"] > 0
    stages = ("plan", "export", "verify", "scan", "convert", "publish", "register", "check")
    took = {stage: told(f"stage_duration.{name}.{stage}") for stage in stages}
    assert {stage: len(lengths) for stage, lengths in took.items()} == dict.fromkeys(stages, 1)
    assert all(0 <= lengths[0] < 60_000 for lengths in took.values())
    assert took["export"][0] >= 100, "an export in the lab takes a tenth of a second"
    account_and_region = f"{table.account}.us-east-1"
    assert statsd.told_below(f"waits.{account_and_region}.")[0] == 1
    assert statsd.told_below(f"waits.{account_and_region}.")[-1] == 0
    assert told(f"estimated_usd.{name}")[0] > 0
    assert told(f"billed_usd.{name}")[0] > 0

    # A hole of a day, seen by the run itself and by the freshness DAG.
    start = f"{m[2]:%Y%m%dT%H%MZ}"
    match = {"prefix": f".*raw/{start}-.*"}
    table.lab.add_fault("fail_export", account=table.account, code="S3AccessDenied", message="no", match=match)
    failed = run_scheduled(table.dag(retries=0, outputs=["raw"]), m[1], m[4])
    assert failed.state == "failed"
    assert (told(f"holes.{name}")[-1], told(f"hole_minutes.{name}")[-1]) == (1, 24 * 60)
    assert told(f"retries.{name}.export") + told(f"further_attempts.{name}") == []
    check(table)
    assert (told(f"holes.{name}"), told(f"hole_minutes.{name}")) == ([0, 1, 1], [0, 1440, 1440])
    assert 2 * DAY.total_seconds() < told(f"lag_seconds.{name}")[-1] < 4 * DAY.total_seconds()
    assert told(f"sla_seconds.{name}") == [26 * 3600]
    assert told(f"troubles.{name}")[-1] >= 1

    # Cleared, the failed task is tried again and makes the next attempt.
    run_again(failed, "window.export", "window.verify", "hand_over")
    assert sum(told(f"retries.{name}.export")) >= 1
    assert told(f"further_attempts.{name}") == [1]
    assert (told(f"holes.{name}")[-1], told(f"hole_minutes.{name}")[-1]) == (0, 0)

    heard = statsd.metrics()
    assert {metric.name for metric in METRICS} == set(heard)
    kinds = {"g": Kind.GAUGE, "c": Kind.COUNTER, "ms": Kind.TIMER}
    assert {each: {kinds[kind] for kind in found} for each, found in heard.items()} == {
        metric.name: {metric.kind} for metric in METRICS
    }


def test_opentelemetry_gets_one_name_for_each_metric_and_tags(table, collector):
    from opentelemetry import metrics

    check(table)
    tell_count(ITEMS, 2, table="other.table")
    tell_duration(STAGE_DURATION, timedelta(seconds=2), table="other.table", stage=Stage.VERIFY)
    provider: Any = metrics.get_meter_provider()
    provider.force_flush()
    assert collector.told("sla_seconds", table=table.name)[-1:] == [26 * 3600]
    assert collector.told("lag_seconds", table=table.name)[-1] > 3 * DAY.total_seconds()
    assert collector.told("troubles", table=table.name)[-1] == 1
    told = {point.kind: point for point in collector.points if point.tags.get("table") == "other.table"}
    assert told["sum"] == ("airflow.ddb_export.items", "sum", {"table": "other.table"}, 2, DELTA)
    assert told["exponential_histogram"][2:4] == ({"table": "other.table", "stage": "verify"}, 2000)


def check(table: Table) -> None:
    """Let the freshness DAG look at the table once."""
    configured = TableConfiguration.declare(**{**table.configuration, "sla": "26h"})
    dag = build_freshness_dag([configured])
    assert run_manually(dag).state == "success"
