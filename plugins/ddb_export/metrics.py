"""Tells metrics through Airflow's own statistics: StatsD, Datadog or OpenTelemetry, as section ``[metrics]`` of its configuration says.

What is told, and under which names, is in :mod:`ddb_export.domain.metrics`. Where Airflow tells nothing, nothing happens here.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from airflow.sdk.configuration import conf
from airflow.sdk.observability import stats

from ddb_export.domain.metrics import Metric


def tell_gauge(metric: Metric, value: float | Decimal, **tags: str) -> None:
    """Tell how something stands at this moment.

    :param tags: value of each of the metric's tags.
    """
    # No backend takes decimals; what is only shown may lose digits.
    stats.gauge(_name(metric, tags), float(value), tags=dict(tags))


def tell_count(metric: Metric, count: int, **tags: str) -> None:
    """Tell how many more there are of something.

    :param count: 0 or more. :param tags: value of each of the metric's tags.
    """
    stats.incr(_name(metric, tags), count, tags=dict(tags))


def tell_duration(metric: Metric, length: timedelta, **tags: str) -> None:
    """Tell how long something took; backends get milliseconds.

    :param tags: value of each of the metric's tags.
    """
    stats.timing(_name(metric, tags), length, tags=dict(tags))


def _name(metric: Metric, tags: dict[str, str]) -> str:
    return metric.dotted_name(tags) if _is_plain_statsd() else metric.tagged_name


def _is_plain_statsd() -> bool:
    """Tell whether Airflow's backend knows no tags. The order is that in which Airflow chooses its backend (``stats_utils.py``)."""
    if conf.getboolean("metrics", "statsd_datadog_enabled", fallback=False):
        return False
    on = conf.getboolean("metrics", "statsd_on", fallback=False)
    return on and not conf.getboolean("metrics", "statsd_influxdb_enabled", fallback=False)
