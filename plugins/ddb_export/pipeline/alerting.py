"""One table's alerts from end to end: what is known, what follows, who is told; the same for the freshness DAG and a run's deadline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from ddb_export.domain.freshness import Finding, Trouble, data_age, find_troubles, in_words
from ddb_export.domain.layout import Lake
from ddb_export.domain.notices import Notice, notice_of
from ddb_export.domain.utc import iso, parse_utc
from ddb_export.pipeline.freshness import gather
from ddb_export.pipeline.incidents import IncidentLog, IncidentMemory, LedgerMemory, Telling, Told
from ddb_export.pipeline.ledger import Ledger

if TYPE_CHECKING:
    from ddb_export.aws.dynamodb import DynamoDBGateway
    from ddb_export.aws.object_store import ObjectStore
    from ddb_export.config.model import TableConfiguration
    from ddb_export.exceptions import DdbExportError


@dataclass(frozen=True, slots=True)
class Watched:
    """What a check has to know about a table; plain values, because Airflow keeps them with the DAG.

    :param name: in the lake. :param table: name or ARN in DynamoDB. :param dag_id: of its DAG.
    :param bucket: of the lake. :param prefix: in the bucket. :param bucket_owner: account that must own the bucket.
    :param aws_conn_id: Airflow connection. :param region: of the table. :param role_arn: role that is assumed over the connection.
    :param expected_since: since when there should be data, UTC.
    :param sla: how old it may become; None for no promise. :param horizon: see ``find_troubles``.
    :param runbook: page with an anchor per trouble. :param notifiers: who is told.
    """

    name: str
    table: str
    dag_id: str
    bucket: str
    prefix: str
    bucket_owner: str | None
    aws_conn_id: str | None
    region: str | None
    role_arn: str | None
    expected_since: datetime
    sla: timedelta | None
    horizon: timedelta
    runbook: str
    notifiers: tuple[Mapping[str, Any], ...]

    @classmethod
    def of(cls, table: TableConfiguration) -> Watched:
        """Return what a check has to know about a configured table."""
        return cls(
            name=table.name,
            table=table.table,
            dag_id=table.dag_id,
            bucket=table.bucket,
            prefix=table.prefix,
            bucket_owner=table.bucket_owner,
            aws_conn_id=table.aws_conn_id,
            region=table.region,
            role_arn=table.role_arn,
            expected_since=table.start_date,
            sla=table.sla,
            horizon=table.alerts.horizon,
            runbook=table.alerts.runbook,
            notifiers=tuple(
                {"notifier": each.notifier, "arguments": each.arguments} for each in table.alerts.notifiers
            ),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that :meth:`from_json` reads; times in ISO 8601, lengths in seconds."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        return {
            **plain,
            "expected_since": iso(self.expected_since),
            "sla": self.sla.total_seconds() if self.sla is not None else None,
            "horizon": self.horizon.total_seconds(),
            "notifiers": [dict(each) for each in self.notifiers],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Watched:
        """Read what :meth:`to_json` wrote."""
        sla = document["sla"]
        return cls(
            **{
                **document,
                "expected_since": parse_utc(document["expected_since"]),
                "sla": timedelta(seconds=sla) if sla is not None else None,
                "horizon": timedelta(seconds=document["horizon"]),
                "notifiers": tuple(document["notifiers"]),
            }
        )


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found.

    :param findings: the gravest first. :param age: how old the data is; None if it cannot be known.
    :param last_good: how far it is complete. :param telling: what came of telling.
    """

    findings: tuple[Finding, ...]
    age: timedelta | None
    last_good: datetime | None
    telling: Telling


def check_table(
    watched: Watched,
    store: ObjectStore,
    dynamodb: DynamoDBGateway,
    send: Callable[[Notice], None],
    *,
    link: str | None = None,
) -> Checked:
    """Look at a table, and tell what is new, what lasts, and what is over.

    :param store: the bucket. :param send: gives a notice to the table's notifiers, or raises a DdbExportError.
    :param link: where its runs are shown.
    :raises DdbExportError: the table or its ledger cannot be looked at, or the memory of what was told not be written.
    """
    lake = Lake(watched.bucket, watched.prefix, watched.name)
    recovery, now = dynamodb.recovery(watched.table)
    facts = gather(Ledger(store, lake), watched.expected_since, now, recovery)
    findings = find_troubles(facts, now, sla=watched.sla, horizon=watched.horizon)
    age = data_age(facts, now)
    to_notice = partial(_notice, watched, last_good=facts.head, age=in_words(age), link=link)
    telling = IncidentLog(LedgerMemory(store, lake)).tell(findings, now, lambda told: send(to_notice(told)))
    return Checked(findings, age, facts.head, telling)


def tell_unreadable(
    watched: Watched,
    error: DdbExportError,
    memory: IncidentMemory,
    now: datetime,
    send: Callable[[Notice], None],
    *,
    link: str | None = None,
) -> Checked:
    """Tell that a table could not be looked at; of its other troubles nothing is known then.

    :param error: why. :param memory: a place for what was told that can be written although the lake cannot.
    :param now: the present, UTC.
    """
    finding = Finding(Trouble.UNREADABLE, f"{error.thing}: {error.cause}", error.remedy)
    to_notice = partial(_notice, watched, last_good=None, age=None, link=link)
    telling = IncidentLog(memory).tell([finding], now, lambda told: send(to_notice(told)), about=(Trouble.UNREADABLE,))
    return Checked((finding,), None, None, telling)


def tell_readable(
    watched: Watched, memory: IncidentMemory, now: datetime, send: Callable[[Notice], None], *, link: str | None = None
) -> Telling:
    """Tell that a table that could not be looked at can be again; silent where that was never told."""
    to_notice = partial(_notice, watched, last_good=None, age=None, link=link)
    return IncidentLog(memory).tell([], now, lambda told: send(to_notice(told)))


def _notice(watched: Watched, told: Told, *, last_good: datetime | None, age: str | None, link: str | None) -> Notice:
    return notice_of(
        told.kind,
        watched.name,
        told.incident,
        remedy=told.finding.remedy if told.finding else None,
        last_good=last_good,
        age=age,
        link=link,
        runbook=watched.runbook,
    )
