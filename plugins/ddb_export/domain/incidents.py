"""When a person is told about a trouble: once when it begins, ever more rarely while it lasts, once when it is over.

An incident is the memory of one trouble of one table. It is decided by compare-and-swap who tells of it (see
:mod:`ddb_export.pipeline.incidents`); here is only what follows from an incident, a finding and the time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
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

FIRST_RETRY = timedelta(minutes=5)
"""How long after its second failure a notice is tried again, twice as long after each further one; after the first at once."""

LONGEST_RETRY = timedelta(hours=1)
"""No more time than this passes before a notifier that failed is tried again."""


class NoticeKind(StrEnum):
    """What a notice is."""

    ALERT = "alert"
    REMINDER = "reminder"
    RECOVERY = "recovery"


@dataclass(frozen=True, slots=True)
class Incident:
    """What was told about one trouble.

    :param trouble: which. :param opened_at: when it was first seen. :param told_at: when a notice was last decided on.
    :param notices: how many were decided on. :param sent: whether the last of them reached all its notifiers.
    :param cause: the cause that was last told. :param closed_at: when it was over; None while it lasts.
    :param teller: names the check that decided on the last notice, because two may decide the same in one second of AWS's clock.
    :param tried_at: when somebody last began to send that notice; None stands for ``told_at``.
    :param retry_at: when it may be tried again after a failure; None unless it failed.
    :param failures: tries in a row that failed with a notifier.
    :param taken_by: notifiers that took that notice while others have not; they are not told it twice.
    """

    trouble: Trouble
    opened_at: datetime
    told_at: datetime
    notices: int
    sent: bool
    cause: str
    closed_at: datetime | None = None
    teller: str = ""
    tried_at: datetime | None = None
    retry_at: datetime | None = None
    failures: int = 0
    taken_by: frozenset[str] = frozenset()

    @property
    def is_open(self) -> bool:
        """Whether the trouble lasts."""
        return self.closed_at is None

    @property
    def next_reminder(self) -> datetime:
        """When it is told again, if it lasts until then."""
        return self.told_at + min(FIRST_REMINDER * (1 << min(self.notices - 1, 16)), LONGEST_SILENCE)

    def waits(self, now: datetime) -> bool:
        """Whether somebody is sending the last notice, or it is too early to try those again that did not take it."""
        return self.is_being_sent(now) or (self.retry_at is not None and now < self.retry_at)

    def is_being_sent(self, now: datetime) -> bool:
        """Whether somebody is sending the last notice, as far as can be known."""
        return not self.sent and self.retry_at is None and now - (self.tried_at or self.told_at) < SENDING

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
            "tried_at": iso(self.tried_at) if self.tried_at else None,
            "retry_at": iso(self.retry_at) if self.retry_at else None,
            "failures": self.failures,
            "taken_by": sorted(self.taken_by),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Incident:
        """Read what :meth:`to_json` wrote; also what it wrote before it knew of notifiers.

        :raises KeyError, TypeError, ValueError: it is no such document.
        """
        return cls(
            Trouble(document["trouble"]),
            parse_utc(document["opened_at"]),
            parse_utc(document["told_at"]),
            int(document["notices"]),
            bool(document["sent"]),
            document["cause"],
            _time(document.get("closed_at")),
            document.get("teller", ""),
            _time(document.get("tried_at")),
            _time(document.get("retry_at")),
            int(document.get("failures", 0)),
            frozenset(document.get("taken_by", ())),
        )


def _time(text: str | None) -> datetime | None:
    return parse_utc(text) if text else None


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
        opened = Incident(finding.trouble, now, now, 1, sent=False, cause=finding.cause, tried_at=now)
        return Decision(opened, NoticeKind.ALERT)
    if known.is_being_sent(now):
        return None
    if (known.sent or known.taken_by) and now >= known.next_reminder:
        reminded = replace(_new_notice(known, now), notices=known.notices + 1, cause=finding.cause)
        return Decision(reminded, NoticeKind.REMINDER)
    return None if known.sent else _again(known, finding.cause, now)


def _over(known: Incident | None, now: datetime) -> Decision | None:
    if known is None:
        return None
    if known.is_open:
        return Decision(replace(_new_notice(known, now), closed_at=now), NoticeKind.RECOVERY)
    return None if known.sent else _again(known, known.cause, now)


def _new_notice(known: Incident, now: datetime) -> Incident:
    """Return the incident with a notice that nobody has taken yet; a notifier that is broken stays known as broken."""
    return replace(known, told_at=now, tried_at=now, retry_at=None, sent=False, taken_by=frozenset())


def _again(known: Incident, cause: str, now: datetime) -> Decision | None:
    """Tell once more what did not reach all of its notifiers, unless somebody is at it or it is too early."""
    if known.waits(now):
        return None
    kind = NoticeKind.RECOVERY if not known.is_open else NoticeKind.ALERT if known.notices == 1 else NoticeKind.REMINDER
    told_at = known.told_at if known.taken_by else now
    return Decision(replace(known, told_at=told_at, tried_at=now, retry_at=None, cause=cause), kind)


def failed_to_send(incident: Incident, taken_by: Collection[str] = ()) -> Incident:
    """Return the incident of which the last notice did not reach all: the others are tried again, at once, then ever more rarely.

    :param taken_by: the notifiers that took it with this try.
    """
    failures = incident.failures + 1
    distance = timedelta() if failures == 1 else min(FIRST_RETRY * (1 << min(failures - 2, 16)), LONGEST_RETRY)
    retry_at = (incident.tried_at or incident.told_at) + distance
    taken = incident.taken_by | frozenset(taken_by)
    return replace(incident, sent=False, retry_at=retry_at, failures=failures, taken_by=taken)


def was_sent(incident: Incident) -> Incident:
    """Return the incident of which the last notice reached all of its notifiers."""
    return replace(incident, sent=True, retry_at=None, failures=0, taken_by=frozenset())
