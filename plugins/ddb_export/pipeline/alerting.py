"""One table's alerts from end to end: what is known, what follows, who is told; the same for the freshness DAG and a run's deadline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from ddb_export.domain.freshness import Finding, Trouble, data_age, find_troubles, in_words
from ddb_export.domain.layout import Lake
from ddb_export.domain.notices import Notice, last_window, notice_of
from ddb_export.domain.utc import iso, parse_utc
from ddb_export.exceptions import DdbExportError, LedgerError
from ddb_export.pipeline.freshness import gather
from ddb_export.pipeline.incidents import IncidentLog, IncidentMemory, LedgerMemory, Telling, Told
from ddb_export.pipeline.ledger import Ledger

if TYPE_CHECKING:
    from ddb_export.aws.dynamodb import DynamoDBGateway
    from ddb_export.aws.object_store import ObjectStore
    from ddb_export.config.model import TableConfiguration
    from ddb_export.domain.plan import PointInTimeRecovery
    from ddb_export.domain.window import Stretch

_OF_RECOVERY = (Trouble.RECOVERY_OFF, Trouble.HORIZON)
"""What only DynamoDB's answer tells."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What a check has to know about a table; plain values, because Airflow keeps them with the DAG.

    :param name: in the lake. :param table: name or ARN in DynamoDB. :param dag_id: of its DAG.
    :param bucket: of the lake. :param prefix: in the bucket. :param bucket_owner: account that must own the bucket.
    :param aws_conn_id: Airflow connection. :param region: of the table. :param role_arn: role that is assumed over the connection.
    :param expected_since: since when there should be data, UTC.
    :param sla: how old it may become; None for no promise. :param horizon: see ``find_troubles``.
    :param runbook: page with an anchor per trouble. :param notifiers: who is told. :param mute: of which troubles nobody is.
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
    mute: tuple[str, ...] = ()

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
            mute=table.alerts.mute,
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
            "mute": list(self.mute),
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
                "mute": tuple(document.get("mute", ())),
            }
        )


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found.

    :param findings: the gravest first. :param age: how old the data is; None if it cannot be known.
    :param last_good: how far it is complete. :param telling: what came of telling.
    :param holes: what no verified window covers although a later one is verified.
    """

    findings: tuple[Finding, ...]
    age: timedelta | None
    last_good: datetime | None
    telling: Telling
    holes: tuple[Stretch, ...] = ()


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look at a table found, before anybody is told.

    :param findings: the gravest first. :param age: how old the data is. :param last_good: how far it is complete.
    :param now: the moment of the look, by S3's clock, UTC. :param holes: as of :class:`Checked`.
    :param about: the troubles that were looked for; of others it is not known whether they are over.
    :param last_window: the newest window of the data that is complete; None if there is only the base.
    """

    findings: tuple[Finding, ...]
    age: timedelta
    last_good: datetime | None
    now: datetime
    holes: tuple[Stretch, ...]
    about: tuple[Trouble, ...]
    last_window: Stretch | None = None


def look_at(watched: Watched, store: ObjectStore, dynamodb: DynamoDBGateway) -> Looked:
    """Look at a table, and tell nobody. How late it is hangs on its ledger and S3's clock only.

    That DynamoDB does not answer, because the table is gone or a permission is missing, is a finding beside the others.

    :param store: the bucket.
    :raises DdbExportError: the ledger cannot be looked at.
    """
    now = store.now()
    about = tuple(each for each in Trouble if each not in watched.mute)
    recovery, unanswered = _recovery(watched, dynamodb)
    ledger = Ledger(store, Lake(watched.bucket, watched.prefix, watched.name))
    facts = gather(ledger, watched.expected_since, now, recovery)
    more: tuple[Finding, ...] = ()
    if unanswered:
        about = tuple(each for each in about if each not in _OF_RECOVERY)
        more = (_unreadable(unanswered, facts.complete_to),)
    findings = (*find_troubles(facts, now, sla=watched.sla, horizon=watched.horizon, muted=watched.mute), *more)
    newest = last_window(facts.volumes, facts.head)
    return Looked(findings, data_age(facts, now), facts.complete_to, now, facts.holes, about, newest)


def _recovery(watched: Watched, dynamodb: DynamoDBGateway) -> tuple[PointInTimeRecovery | None, DdbExportError | None]:
    try:
        return dynamodb.recovery(watched.table)[0], None
    except DdbExportError as error:
        return None, error


def tell_of(
    watched: Watched, store: ObjectStore, looked: Looked, send: Callable[[Notice], None], *, link: str | None = None
) -> Checked:
    """Tell what is new, what lasts, and what is over.

    :param store: the bucket. :param looked: what :func:`look_at` found.
    :param send: gives a notice to the table's notifiers, or raises a DdbExportError. :param link: where its runs are shown.
    :raises DdbExportError: the memory of what was told cannot be read or written.
    """
    memory = LedgerMemory(store, Lake(watched.bucket, watched.prefix, watched.name))
    to_notice = partial(
        _notice,
        watched,
        last_good=looked.last_good,
        age=in_words(looked.age),
        link=link,
        last_window=looked.last_window,
    )
    telling = IncidentLog(memory).tell(
        looked.findings, looked.now, lambda told: send(to_notice(told)), about=looked.about
    )
    return Checked(looked.findings, looked.age, looked.last_good, telling, looked.holes)


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
    :raises DdbExportError: the ledger cannot be looked at, or the memory of what was told not be written.
    """
    return tell_of(watched, store, look_at(watched, store, dynamodb), send, link=link)


def unforeseen(name: str, error: Exception) -> DdbExportError:
    """Return what is said of a table that could not be looked at for a reason that nobody thought of.

    :param name: of the table. :param error: what was raised; no more than ledgers and listings is read, so its words hold no item data.
    """
    if isinstance(error, DdbExportError):
        return error
    return LedgerError(
        f"table {name}",
        f"it could not be looked at ({type(error).__name__}: {error})",
        "see the traceback in the log, and mend what it stumbled over",
    )


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
    finding = _unreadable(error)
    to_notice = partial(_notice, watched, last_good=None, age=None, link=link)
    telling = IncidentLog(memory).tell([finding], now, lambda told: send(to_notice(told)), about=(Trouble.UNREADABLE,))
    return Checked((finding,), None, None, telling)


def tell_readable(
    watched: Watched, memory: IncidentMemory, now: datetime, send: Callable[[Notice], None], *, link: str | None = None
) -> Telling:
    """Tell that a table that could not be looked at can be again; silent where that was never told."""
    to_notice = partial(_notice, watched, last_good=None, age=None, link=link)
    return IncidentLog(memory).tell([], now, lambda told: send(to_notice(told)))


def _unreadable(error: DdbExportError, last_good: datetime | None = None) -> Finding:
    return Finding(Trouble.UNREADABLE, f"{error.thing}: {error.cause}", error.remedy, last_good)


def _notice(
    watched: Watched,
    told: Told,
    *,
    last_good: datetime | None,
    age: str | None,
    link: str | None,
    last_window: Stretch | None = None,
) -> Notice:
    return notice_of(
        told.kind,
        watched.name,
        told.incident,
        remedy=told.finding.remedy if told.finding else None,
        last_good=last_good,
        age=age,
        link=link,
        runbook=watched.runbook,
        last_window=last_window,
    )
