"""The callback of a run's deadline (Airflow 3.3, ``DeadlineAlert`` with ``SyncCallback``): it looks before it tells.

A deadline says that a run has not ended in time; whether the data is late says the ledger. The callback runs in an executor's
slot, where connections can be read (``docs/core-concepts/deadline-alerts``).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import DeadlineAlert, DeadlineReference, SyncCallback  # type: ignore[attr-defined]  # its stub lags

from ddb_export.pipeline.alerting import Watched, check_table

if TYPE_CHECKING:
    from ddb_export.config.model import TableConfiguration

_log = logging.getLogger(__name__)


def deadline_alerts(table: TableConfiguration) -> list[DeadlineAlert]:
    """Return the deadlines of a table's runs: none without an SLA, or without a schedule.

    A run that is still not done when its interval becomes older than the SLA has missed its deadline: until then the data reaches to
    the interval's start only, which is the run's logical date. A run by hand has none, and no deadline; one that begins later than
    that, as in a backfill, misses it at once, and the callback looks. Nothing here may hang on when a run was queued: Airflow 3.3.0
    to 3.3.2 cannot clear a run whose deadline does (https://github.com/apache/airflow/issues/70368).
    """
    if table.sla is None or table.schedule is None:
        return []
    callback = SyncCallback(check_freshness, kwargs={"table": Watched.of(table).to_json()})
    return [DeadlineAlert(DeadlineReference.DAGRUN_LOGICAL_DATE, table.sla, callback, name="sla")]


def check_freshness(context: Mapping[str, Any], table: Mapping[str, Any]) -> None:
    """Tell that a table's data is late, unless it is not, or the run is a backfill's, or it was told before.

    :param context: of the callback: ``dag_run`` as REST gives it.
    :param table: :meth:`Watched.to_json`.
    :raises DdbExportError: the table cannot be looked at, or a notifier could not tell.
    """
    if context["dag_run"]["run_type"] == "backfill":
        _log.info("the run is a backfill's: it has no deadline")
        return
    from ddb_export.hooks.lake import LakeHook
    from ddb_export.notifiers.dispatch import dag_link, send

    watched = Watched.from_json(table)
    hook = LakeHook(watched.aws_conn_id, watched.region, role_arn=watched.role_arn)
    store = hook.bucket(watched.bucket, watched.bucket_owner)
    to_people = partial(send, notifiers=watched.notifiers, context=context)
    link = dag_link(watched.dag_id, context["dag_run"]["dag_run_id"])
    checked = check_table(watched, store, hook.dynamodb, to_people, link=link)
    _log.info("table %s: %s", watched.name, [finding.to_json() for finding in checked.findings] or "no trouble")
    if checked.telling.failures:
        raise checked.telling.failures[0]
