"""The operator of the freshness DAG: it asks every table's ledger how old the data is, whatever the table's own DAG does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from ddb_export.exceptions import DdbExportError
from ddb_export.operators.metrics import tell_gauge

if TYPE_CHECKING:
    from airflow.sdk import Context

    from ddb_export.aws.dynamodb import DynamoDBGateway
    from ddb_export.aws.object_store import S3ObjectStore
    from ddb_export.hooks.lake import LakeHook
    from ddb_export.pipeline.alerting import Checked, Watched
    from ddb_export.pipeline.incidents import Told


class CheckFreshnessOperator(BaseOperator):
    """Looks at every table and tells its notifiers what is new, what lasts and what is over; one alert per incident.

    A table that cannot be looked at keeps no other from being looked at, and is told too. Returns one flat object per table with
    troubles. The task fails only if a notifier could not tell; the next run tells again.

    :param tables: :meth:`ddb_export.pipeline.alerting.Watched.to_json` of each table.
    :param problems: mistakes in the configuration, each in one line; they are told to all notifiers of all tables.
    :param botocore_config: settings of the clients, as keywords of ``botocore.config.Config``.
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
        self._hooks: dict[tuple[str | None, str | None, str | None], LakeHook] = {}

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Look at all tables.

        :raises DdbExportError: a notifier could not tell; the first of them.
        """
        from ddb_export.pipeline.alerting import Watched

        failures: list[DdbExportError] = []
        troubled = []
        for table in self.tables:
            watched = Watched.from_json(table)
            checked = self._check(watched, context)
            failures += checked.telling.failures
            for told in checked.telling.told:
                self.log.info("table %s: told %s of %s", watched.name, told.kind, told.incident.trouble)
            tell_gauge(watched.name, "troubles", len(checked.findings))
            if checked.age is not None:
                tell_gauge(watched.name, "lag_seconds", checked.age.total_seconds())
            if checked.findings:
                troubled.append({"table": watched.name, "troubles": [each.to_json() for each in checked.findings]})
            for finding in checked.findings:
                self.log.warning("table %s: %s. Remedy: %s", watched.name, finding.cause, finding.remedy)
        self.log.info("%d tables looked at, %d with troubles", len(self.tables), len(troubled))
        failures += self._tell_problems(context)
        if failures:
            raise failures[0]
        return troubled

    def _check(self, watched: Watched, context: Context) -> Checked:
        from ddb_export.notifiers.dispatch import dag_link, send
        from ddb_export.notifiers.variable_memory import VariableMemory
        from ddb_export.pipeline.alerting import check_table, tell_readable, tell_unreadable

        to_people = partial(send, notifiers=watched.notifiers, context=dict(context))
        link = dag_link(watched.dag_id)
        memory = VariableMemory(watched.name)
        try:
            store, dynamodb = self._places(watched)
            checked = check_table(watched, store, dynamodb, to_people, link=link)
        except DdbExportError as error:
            return tell_unreadable(watched, error, memory, datetime.now(UTC), to_people, link=link)
        tell_readable(watched, memory, datetime.now(UTC), to_people, link=link)
        return checked

    def _places(self, watched: Watched) -> tuple[S3ObjectStore, DynamoDBGateway]:
        from ddb_export.hooks.lake import LakeHook

        key = (watched.aws_conn_id, watched.region, watched.role_arn)
        if key not in self._hooks:
            conn_id, region, role = key
            self._hooks[key] = LakeHook(conn_id, region, botocore_config=self.botocore_config, role_arn=role)
        hook = self._hooks[key]
        return hook.bucket(watched.bucket, watched.bucket_owner), hook.dynamodb

    def _tell_problems(self, context: Context) -> Sequence[DdbExportError]:
        """Tell of mistakes in the configuration: the tables behind them have no runs, and are not among those looked at."""
        from ddb_export.domain.freshness import Finding, Trouble
        from ddb_export.domain.notices import notice_of
        from ddb_export.notifiers.dispatch import send
        from ddb_export.notifiers.variable_memory import VariableMemory
        from ddb_export.pipeline.incidents import IncidentLog

        remedy = "run ddb-export check, and mend the files that it names"
        found = [Finding(Trouble.CONFIGURATION, "; ".join(self.problems), remedy)] if self.problems else []
        for problem in self.problems:
            self.log.warning("%s", problem)
        notifiers = {repr(each): each for table in self.tables for each in table["notifiers"]}

        def tell(told: Told) -> None:
            notice = notice_of(
                told.kind,
                "configuration",
                told.incident,
                remedy=remedy if told.finding else None,
                last_good=None,
                age=None,
            )
            send(notice, list(notifiers.values()), dict(context))

        log = IncidentLog(VariableMemory("configuration of ddb_export"))
        return log.tell(found, datetime.now(UTC), tell, about=(Trouble.CONFIGURATION,)).failures
