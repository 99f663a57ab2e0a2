"""The operator of the freshness DAG: it asks every table's ledger how old the data is, whatever the table's own DAG does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, TypeVar

from airflow.sdk import BaseOperator

from ddb_export.domain.metrics import HOLE_MINUTES, HOLES, LAG, SLA, TROUBLES
from ddb_export.domain.notices import RUNBOOK
from ddb_export.domain.window import minutes_of
from ddb_export.exceptions import ConfigurationError, DdbExportError
from ddb_export.metrics import tell_gauge

if TYPE_CHECKING:
    from airflow.sdk import Context

    from ddb_export.aws.object_store import S3ObjectStore
    from ddb_export.hooks.lake import LakeHook
    from ddb_export.pipeline.alerting import Checked, Looked, Watched
    from ddb_export.pipeline.incidents import Told

P = ParamSpec("P")
T = TypeVar("T")

SIDE_BY_SIDE = 8
"""How many tables are looked at at a time, so that one that hangs delays few others."""

IMPATIENT: Mapping[str, Any] = {
    "connect_timeout": 5,
    "read_timeout": 20,
    "retries": {"mode": "standard", "total_max_attempts": 2},
    "max_pool_connections": 16 * SIDE_BY_SIDE,
}
"""Settings of the clients unless others are given: botocore waits a minute, five times, and the next check is five minutes away."""


class _Seen(NamedTuple):
    """What was seen of a table, and the bucket that it was seen in."""

    looked: Looked
    store: S3ObjectStore


_REMEDY = "run ddb-export check, and mend the files that it names"


class CheckFreshnessOperator(BaseOperator):
    """Looks at every table and tells its notifiers what is new, what lasts and what is over; one alert per incident.

    Tables are looked at side by side, and told of one after another, in their order. A table that cannot be looked at, for whatever
    reason, keeps no other from being looked at, and is told too. While the configuration has mistakes, the tables that were declared
    before are watched on, and their notifiers told. Returns one flat object per table with troubles. The task fails only if somebody
    could not be told, or there is nobody to tell of the mistakes; the next run tells again.

    :param tables: :meth:`ddb_export.pipeline.alerting.Watched.to_json` of each table.
    :param problems: mistakes in the configuration, each in one line; they are told to all notifiers of all tables.
    :param botocore_config: settings of the clients, as keywords of ``botocore.config.Config``; they go before :data:`IMPATIENT`.
    """

    ui_color = "#fdebd0"

    def __init__(
        self,
        *,
        tables: Sequence[Mapping[str, Any]],
        problems: Sequence[str] = (),
        botocore_config: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.tables = [dict(table) for table in tables]
        self.problems = list(problems)
        self.botocore_config = botocore_config

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Look at all tables.

        :raises DdbExportError: somebody could not be told; the first of the reasons.
        """
        from ddb_export.pipeline.alerting import Watched

        failures: list[DdbExportError] = []
        tables = [Watched.from_json(each) for each in self._to_watch(failures)]
        troubled = []
        for watched, seen in zip(tables, self._look_at(tables), strict=True):
            checked = self._told(watched, seen, context, failures)
            if checked and checked.findings:
                troubled.append({"table": watched.name, "troubles": [each.to_json() for each in checked.findings]})
        self.log.info("%d tables looked at, %d with troubles", len(tables), len(troubled))
        notifiers = {repr(dict(each)): each for table in tables for each in table.notifiers}
        runbook = next((table.runbook for table in tables if table.notifiers), RUNBOOK)
        to_people = partial(self._tell_problems, list(notifiers.values()), runbook, context)
        self._guarded("configuration", to_people, failures)
        if failures:
            raise failures[0]
        return troubled

    def _to_watch(self, failures: list[DdbExportError]) -> list[dict[str, Any]]:
        """Return the declared tables, and while the configuration has mistakes those that were declared before too."""
        from ddb_export.notifiers.variable_memory import remember_tables, remembered_tables

        declared = {table["name"] for table in self.tables}
        watched = list(self.tables)
        before = (self._guarded("configuration", remembered_tables, failures) if self.problems else None) or []
        for table in before:
            if table["name"] not in declared:
                self.log.warning(
                    "table %s: it is declared no more, or with a mistake; it is watched as it was declared last",
                    table["name"],
                )
                watched.append(table)
        self._guarded("configuration", lambda: remember_tables(watched), failures)
        return watched

    def _look_at(self, tables: Sequence[Watched]) -> list[_Seen | Exception]:
        """Look at the tables side by side; nobody is told and nothing measured there, and Airflow is asked for nothing."""
        from ddb_export.pipeline.alerting import look_at

        hooks = {access: _attempt(self._hook, *access) for access in dict.fromkeys(map(_access, tables))}

        def look(watched: Watched) -> _Seen:
            hook = hooks[_access(watched)]
            if isinstance(hook, Exception):
                raise hook
            store = hook.bucket(watched.bucket, watched.bucket_owner)
            return _Seen(look_at(watched, store, hook.dynamodb), store)

        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            # A session makes its clients one at a time (boto3, "Multithreading or multiprocessing with clients").
            hooks = dict(zip(hooks, list(pool.map(lambda hook: _attempt(_open, hook), hooks.values())), strict=True))
            return list(pool.map(lambda watched: _attempt(look, watched), tables))

    def _hook(self, conn_id: str | None, region: str | None, role: str | None) -> LakeHook:
        from ddb_export.hooks.assumed_role import assuming
        from ddb_export.hooks.lake import LakeHook

        settings = {**IMPATIENT, **(self.botocore_config or {})}
        hook = LakeHook(conn_id, region, botocore_config=settings, role_arn=role)
        with assuming(role, conn_id):
            hook.conn_config  # noqa: B018  # Airflow is asked for the connection here, and not by a thread
        return hook

    def _told(
        self, watched: Watched, seen: _Seen | Exception, context: Context, failures: list[DdbExportError]
    ) -> Checked | None:
        """Tell of one table by notices, metrics and the log; None if that failed altogether."""
        checked = self._guarded(watched.name, lambda: self._tell(watched, seen, context), failures)
        if checked is None:
            return None
        failures += checked.telling.failures
        for told in checked.telling.told:
            self.log.info("table %s: told %s of %s", watched.name, told.kind, told.incident.trouble)
        _tell_metrics(watched, checked)
        for finding in checked.findings:
            self.log.warning("table %s: %s. Remedy: %s", watched.name, finding.cause, finding.remedy)
        return checked

    def _tell(self, watched: Watched, seen: _Seen | Exception, context: Context) -> Checked:
        from ddb_export.notifiers.dispatch import dag_link, late_run_link, send
        from ddb_export.notifiers.variable_memory import VariableMemory
        from ddb_export.pipeline.alerting import tell_of, tell_readable, tell_unreadable
        from ddb_export.pipeline.incidents import Telling

        to_people = partial(send, notifiers=watched.notifiers, context=dict(context))
        dag_id = watched.dag_id
        link = dag_link(dag_id) if isinstance(seen, Exception) else late_run_link(dag_id, context["ti"], seen.looked)
        memory = VariableMemory(watched.name)
        checked = (
            seen
            if isinstance(seen, Exception)
            else _attempt(tell_of, watched, seen.store, seen.looked, to_people, link=link)
        )
        if isinstance(checked, Exception):
            reason = self._said(watched.name, checked)
            return tell_unreadable(watched, reason, memory, datetime.now(UTC), to_people, link=link)
        over = tell_readable(watched, memory, datetime.now(UTC), to_people, link=link)
        both = Telling(checked.telling.told + over.told, checked.telling.failures + over.failures)
        return replace(checked, telling=both)

    def _guarded(self, name: str, step: Callable[[], T], failures: list[DdbExportError]) -> T | None:
        """Take a step; whatever goes wrong in it is a failure of this task, and keeps no table from being looked at."""
        result = _attempt(step)
        if isinstance(result, Exception):
            failures.append(self._said(name, result))
            return None
        return result

    def _said(self, name: str, error: Exception) -> DdbExportError:
        from ddb_export.pipeline.alerting import unforeseen

        if not isinstance(error, DdbExportError):
            self.log.error("table %s: it could not be looked at", name, exc_info=error)
        return unforeseen(name, error)

    def _tell_problems(self, notifiers: Sequence[Mapping[str, Any]], runbook: str, context: Context) -> None:
        """Tell of mistakes in the configuration: the tables behind them have no runs.

        :param runbook: of the first table that tells anybody.
        :raises DdbExportError: a notifier could not tell, or there is none.
        """
        from ddb_export.domain.freshness import Finding, Trouble
        from ddb_export.domain.notices import notice_of
        from ddb_export.notifiers.dispatch import send
        from ddb_export.notifiers.variable_memory import VariableMemory
        from ddb_export.pipeline.incidents import IncidentLog

        for problem in self.problems:
            self.log.warning("%s", problem)
        if self.problems and not notifiers:
            raise ConfigurationError(
                "configuration",
                f"nobody can be told, for no notifier is known, that {'; '.join(self.problems)}",
                _REMEDY,
            )
        found = [Finding(Trouble.CONFIGURATION, "; ".join(self.problems), _REMEDY)] if self.problems else []

        def tell(told: Told) -> None:
            remedy = _REMEDY if told.finding else None
            notice = notice_of(
                told.kind,
                "configuration",
                told.incident,
                remedy=remedy,
                last_good=None,
                age=None,
                runbook=runbook,
            )
            send(notice, notifiers, dict(context))

        log = IncidentLog(VariableMemory("configuration of ddb_export"))
        telling = log.tell(found, datetime.now(UTC), tell, about=(Trouble.CONFIGURATION,))
        if telling.failures:
            raise telling.failures[0]


def _access(watched: Watched) -> tuple[str | None, str | None, str | None]:
    return watched.aws_conn_id, watched.region, watched.role_arn


def _open(hook: LakeHook | Exception) -> LakeHook:
    """Make the clients of a hook, over the network where it assumes a role."""
    if isinstance(hook, Exception):
        raise hook
    hook.client("s3")
    hook.client("dynamodb")
    return hook


def _attempt(step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | Exception:
    """Return what a step returns, or whatever it raised: one table's trouble, foreseen or not, keeps no other from being looked at."""
    try:
        return step(*args, **kwargs)
    except Exception as error:  # noqa: BLE001  # the caller tells of it
        return error


def _tell_metrics(watched: Watched, checked: Checked) -> None:
    name = watched.name
    tell_gauge(TROUBLES, len(checked.findings), table=name)
    if watched.sla is not None:
        tell_gauge(SLA, watched.sla.total_seconds(), table=name)
    if checked.age is not None:
        tell_gauge(LAG, checked.age.total_seconds(), table=name)
        tell_gauge(HOLES, len(checked.holes), table=name)
        tell_gauge(HOLE_MINUTES, minutes_of(checked.holes), table=name)
