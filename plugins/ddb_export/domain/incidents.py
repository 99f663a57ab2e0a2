"""When a person is told about a trouble: once when it begins, ever more rarely while it lasts, once when it is over.

An incident is the memory of one trouble of one table. It is decided by compare-and-swap who tells of it (see
:mod:`ddb_export.pipeline.incidents`); here is only what follows from an incident, a finding and the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from ddb_export.domain.freshness import Finding, Trouble
from ddb_export.domain.utc import iso, parse_utc

FIRST_REMINDER = timedelta(hours=1)
"""How long after the first notice of an incident the second follows; each further one takes twice as long."""

LONGEST_SILENCE = timedelta(days=1)
"""No more time than this passes between two reminders of a lasting incident."""

SENDING = timedelta(minutes=10)
"""How long whoever decided to tell may take for it, before another takes it that it died."""


class NoticeKind(StrEnum):
    """What a notice is."""

    ALERT = "alert"
    REMINDER = "reminder"
    RECOVERY = "recovery"


@dataclass(frozen=True, slots=True)
class Incident:
    """What was told about one trouble.

    :param trouble: which. :param opened_at: when it was first seen. :param told_at: when a notice was last decided on.
    :param notices: how many were decided on. :param sent: whether the last of them reached its notifiers.
    :param cause: the cause that was last told. :param closed_at: when it was over; None while it lasts.
    :param teller: names the check that decided on the last notice, because two may decide the same in one second of AWS's clock.
    """

    trouble: Trouble
    opened_at: datetime
    told_at: datetime
    notices: int
    sent: bool
    cause: str
    closed_at: datetime | None = None
    teller: str = ""

    @property
    def is_open(self) -> bool:
        """Whether the trouble lasts."""
        return self.closed_at is None

    @property
    def next_reminder(self) -> datetime:
        """When it is told again, if it lasts until then."""
        return self.told_at + min(FIRST_REMINDER * (1 << min(self.notices - 1, 16)), LONGEST_SILENCE)

    def to_json(self) -> dict[str, Any]:
        """Return the object that :meth:`from_json` reads."""
        return {
            "trouble": str(self.trouble),
            "opened_at": iso(self.opened_at),
            "told_at": iso(self.told_at),
            "notices": self.notices,
            "sent": self.sent,
            "cause": self.cause,
            "closed_at": iso(self.closed_at) if self.closed_at else None,
            "teller": self.teller,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Incident:
        """Read what :meth:`to_json` wrote."""
        closed = document["closed_at"]
        return cls(
            Trouble(document["trouble"]),
            parse_utc(document["opened_at"]),
            parse_utc(document["told_at"]),
            int(document["notices"]),
            bool(document["sent"]),
            document["cause"],
            parse_utc(closed) if closed else None,
            document["teller"],
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows.

    :param incident: what is remembered from now on. :param notice: what is told.
    """

    incident: Incident
    notice: NoticeKind


def decide(known: Incident | None, finding: Finding | None, now: datetime) -> Decision | None:
    """Return what follows from what is remembered and what is found; None if nothing does.

    :param known: the incident of the trouble, if there ever was one. :param finding: the trouble, None if it is not there.
    :param now: the present, UTC.
    """
    if finding is None:
        return _over(known, now)
    if known is None or not known.is_open:
        return Decision(Incident(finding.trouble, now, now, 1, sent=False, cause=finding.cause), NoticeKind.ALERT)
    if not known.sent:
        return _again(known, finding.cause, now)
    if now < known.next_reminder:
        return None
    reminded = replace(known, told_at=now, notices=known.notices + 1, sent=False, cause=finding.cause)
    return Decision(reminded, NoticeKind.REMINDER)


def _over(known: Incident | None, now: datetime) -> Decision | None:
    if known is None:
        return None
    if known.is_open:
        return Decision(replace(known, told_at=now, sent=False, closed_at=now), NoticeKind.RECOVERY)
    return None if known.sent else _again(known, known.cause, now)


def _again(known: Incident, cause: str, now: datetime) -> Decision | None:
    """Tell once more what did not reach its notifiers, unless somebody is at it."""
    if now - known.told_at < SENDING:
        return None
    kind = NoticeKind.RECOVERY if not known.is_open else NoticeKind.ALERT if known.notices == 1 else NoticeKind.REMINDER
    return Decision(replace(known, told_at=now, cause=cause), kind)


def failed_to_send(incident: Incident) -> Incident:
    """Return the incident of which the last notice reached no notifier: the next check tells it at once."""
    return replace(incident, sent=False, told_at=incident.told_at - SENDING)


def was_sent(incident: Incident) -> Incident:
    """Return the incident of which the last notice reached its notifiers."""
    return replace(incident, sent=True)
