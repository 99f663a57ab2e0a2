"""What tasks tell Airflow's own metrics (StatsD or OpenTelemetry, as Airflow is configured), by table.

A metric is named ``ddb_export.{metric}.{table}``, for backends without tags, and tagged with ``table`` for those with. How long each
stage takes, and how often it is tried again, Airflow tells by itself (``task.duration``, ``ti.finish``: Airflow docs, "Metrics").
"""

from __future__ import annotations

from airflow.sdk.observability import stats


def tell_gauge(table: str, metric: str, value: float) -> None:
    """Tell how something stands at this moment.

    :param table: name in the lake. :param metric: such as ``lag_seconds``.
    """
    stats.gauge(_name(table, metric), value, tags={"table": table})


def tell_count(table: str, metric: str, count: int) -> None:
    """Tell how many more there are of something.

    :param table: name in the lake. :param metric: such as ``items``.
    """
    stats.incr(_name(table, metric), count, tags={"table": table})


def _name(table: str, metric: str) -> str:
    # A dot would make a further level of the name.
    return f"ddb_export.{metric}.{stats.normalize_name_for_stats(table.replace('.', '_'), log_warning=False)}"
