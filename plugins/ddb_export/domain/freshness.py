"""Whether a table's data is as fresh as was promised, and what else a person should hear of before users notice.

Rules only: from what the ledger and DynamoDB say about a table, and the present, follow its troubles. What was said about one
before, and when it is said again, is the matter of :mod:`ddb_export.domain.incidents`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from statistics import median
from typing import TYPE_CHECKING, Any

from ddb_export.domain.cost import size_in_words
from ddb_export.domain.progress import counted
from ddb_export.domain.quarantine import REMEDY
from ddb_export.domain.utc import iso

if TYPE_CHECKING:
    from ddb_export.domain.plan import PointInTimeRecovery
    from ddb_export.domain.quarantine import QuarantinedLines
    from ddb_export.domain.window import Stretch

HORIZON_WARNING = timedelta(days=2)
"""How long before point-in-time recovery passes what is not exported yet it is said; never more than a quarter of its period."""

NOT_STARTED = timedelta(hours=6)
"""How long a claim may wait for an export that is not known to exist, before it is said: while its token still finds one."""

TOKEN_LIFE = timedelta(hours=8)
"""How long DynamoDB knows a ClientToken (API reference, ExportTableToPointInTime: idempotent for 8 hours)."""

LONGEST_EXPORT = timedelta(hours=36)
"""How long a claim may wait for its export before it is said: full exports of many hours are usual, of more than a day rare."""

COMPARED_WINDOWS = 5
"""How many windows there must have been before one is called unusual."""

UNUSUAL_FACTOR = 100
"""How many times the usual number of items is unusual."""

BILLED_FACTOR = 3
"""How many times its estimate an export may be billed before it is said."""

BILLED_FLOOR = 100_000_000
"""How many bytes above its estimate a bill must be at least: one US cent, ten times the smallest bill of a window."""

BILL_SAID = timedelta(days=1)
"""How long the bill of a full export is said: there may never be another one."""


class Trouble(StrEnum):
    """What a person should hear of. The value is the anchor in the runbook."""

    LATE = "late"
    """The data is older than the SLA allows."""
    NO_BASE = "no-base"
    """The table should have data by now, and has no verified base."""
    HORIZON = "horizon"
    """Point-in-time recovery will soon pass what is not exported yet."""
    RECOVERY_OFF = "recovery-off"
    """Point-in-time recovery is off: nothing more can be exported."""
    CLAIM_WAITS = "claim-waits"
    """An export was claimed long ago and is neither verified nor FAILED."""
    NOTHING_CHANGED = "nothing-changed"
    """Windows without an item where there always were some."""
    UNUSUALLY_MANY = "unusually-many"
    """A window with a hundred times the usual number of items."""
    BILLED_MORE = "billed-more"
    """An export was billed far more than was estimated."""
    QUARANTINE = "quarantine"
    """Lines of new exports are in quarantine instead of in their tables."""
    UNREADABLE = "unreadable"
    """The ledger could not be read."""
    CONFIGURATION = "configuration"
    """A table's YAML has a mistake, so that its runs do not exist."""


@dataclass(frozen=True, slots=True)
class WindowVolume:
    """What one verified window held.

    :param start: its start, UTC. :param end: its end, UTC.
    :param items: items of its manifest. :param billed_bytes: BilledSizeBytes.
    :param estimated_bytes: what was estimated before it was exported; None if that is not known.
    """

    start: datetime
    end: datetime
    items: int
    billed_bytes: int
    estimated_bytes: int | None = None

    @property
    def length(self) -> timedelta:
        """How much time it covers."""
        return self.end - self.start

    @property
    def name(self) -> str:
        """The window in words."""
        return f"[{iso(self.start)}, {iso(self.end)})"


@dataclass(frozen=True, slots=True)
class WaitingClaim:
    """A claim that is neither verified nor FAILED.

    :param export: name of the attempt. :param claimed_at: when, UTC.
    :param started: whether its export is known to exist, or it was not asked.
    """

    export: str
    claimed_at: datetime
    started: bool = True


@dataclass(frozen=True, slots=True)
class FullBill:
    """What one verified full export was billed.

    :param export: name of the attempt. :param verified_at: when it was verified, UTC.
    :param billed_bytes: BilledSizeBytes. :param estimated_bytes: what was estimated before.
    """

    export: str
    verified_at: datetime
    billed_bytes: int
    estimated_bytes: int


@dataclass(frozen=True, slots=True)
class TableFacts:
    """What is known about a table's chain at one moment.

    :param head: how far its data is complete; None without a verified base.
    :param expected_since: since when there should be data: the configuration's ``start_date``.
    :param holes: stretches that are not verified although later ones are.
    :param waiting: claims whose exports are not verified.
    :param volumes: the newest verified windows, in order of time; before windows without items, those that held some.
    :param judged_from: how far the data was complete when another head was last looked at: windows from there on are judged. None if
        nobody looked before; the newest window always is.
    :param full_bills: what full exports were billed of which an estimate is known.
    :param recovery: point-in-time recovery; None if it was not asked for.
    :param quarantined: newest exports of which lines are in quarantine, in order of time.
    :param closed_head: how far the chain before was complete, while the base of the present one is not verified.
    """

    head: datetime | None
    expected_since: datetime
    holes: tuple[Stretch, ...] = ()
    waiting: tuple[WaitingClaim, ...] = ()
    volumes: tuple[WindowVolume, ...] = ()
    judged_from: datetime | None = None
    full_bills: tuple[FullBill, ...] = ()
    recovery: PointInTimeRecovery | None = None
    quarantined: tuple[QuarantinedLines, ...] = ()
    closed_head: datetime | None = None

    @property
    def complete_to(self) -> datetime | None:
        """How far readers have complete data: a new chain takes nothing away before its base is there."""
        return self.head or self.closed_head


@dataclass(frozen=True, slots=True)
class Finding:
    """One trouble of one table.

    :param trouble: which. :param cause: what is the case, in words without a full stop.
    :param remedy: the one action. :param last_good: how far the data is complete, if it is known.
    """

    trouble: Trouble
    cause: str
    remedy: str
    last_good: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a flat object."""
        return {
            "trouble": str(self.trouble),
            "cause": self.cause,
            "remedy": self.remedy,
            "last_good": iso(self.last_good) if self.last_good else None,
        }


def data_age(facts: TableFacts, now: datetime) -> timedelta:
    """Return how old the data is: now less how far it is complete, or, if it never was, less the time since which it should be."""
    return max(now - (facts.complete_to or facts.expected_since), timedelta())


def find_troubles(
    facts: TableFacts,
    now: datetime,
    *,
    sla: timedelta | None,
    horizon: timedelta = HORIZON_WARNING,
    muted: Collection[str] = (),
) -> tuple[Finding, ...]:
    """Return what a person should hear of about a table, the gravest first.

    :param facts: what is known of it. :param now: the present, UTC.
    :param sla: how old the data may become; None if nothing was promised.
    :param horizon: how long before point-in-time recovery passes what is missing it is said.
    :param muted: troubles that are usual for the table.
    """
    rules = (
        _recovery_off(facts),
        _late(facts, now, sla),
        _horizon(facts, now, horizon),
        *_waiting(facts, now),
        *_volumes(facts),
        _billed(facts, now),
        _quarantined(facts),
    )
    return tuple(found for found in rules if found and found.trouble not in muted)


def remembered(volumes: Sequence[WindowVolume], most: int) -> tuple[WindowVolume, ...]:
    """Return which windows the next look needs: the newest ones and, while they hold nothing, those before the silence.

    :param volumes: in order of time. :param most: how many of each.
    """
    silence = len(_without_last_empty(volumes))
    before = volumes[max(0, silence - most) : silence + 1]
    return tuple(dict.fromkeys((*before, *volumes[-most:])))


def _late(facts: TableFacts, now: datetime, sla: timedelta | None) -> Finding | None:
    age = data_age(facts, now)
    if sla is None or age <= sla:
        return None
    if facts.complete_to is None:
        return Finding(
            Trouble.NO_BASE,
            f"it has no verified base {in_words(age)} after its start date {iso(facts.expected_since)}; the SLA is {in_words(sla)}",
            "unpause its DAG, or see the log of the tasks export_base and verify_base of its last run",
        )
    hole = f"; nothing verified covers {facts.holes[0]}, although later windows are verified" if facts.holes else ""
    why = hole if facts.head else "; a new chain was begun since, and its base is not verified yet"
    return Finding(
        Trouble.LATE,
        f"the data is complete to {iso(facts.complete_to)}, {in_words(age)} ago; the SLA is {in_words(sla)}{why}",
        "see the last run of its DAG: unpause it, or clear the task that failed",
        facts.complete_to,
    )


def _recovery_off(facts: TableFacts) -> Finding | None:
    if facts.recovery is None or facts.recovery.enabled:
        return None
    return Finding(
        Trouble.RECOVERY_OFF,
        "point-in-time recovery is off, so that nothing more can be exported",
        "enable point-in-time recovery, then trigger the DAG with new_base: true, because what was written meanwhile is in no export"
        if facts.head
        else "enable point-in-time recovery, then let the DAG run: it makes the base",
        facts.head,
    )


def _horizon(facts: TableFacts, now: datetime, warning: timedelta) -> Finding | None:
    recovery = facts.recovery
    if recovery is None or facts.head is None or recovery.earliest is None or recovery.period is None:
        return None
    left = facts.head + recovery.period - now
    if recovery.earliest <= facts.head and left > min(warning, recovery.period / 4):
        return None
    if recovery.earliest > facts.head:
        return Finding(
            Trouble.HORIZON,
            f"recovery begins at {iso(recovery.earliest)}, after {iso(facts.head)}, up to which the data is complete",
            "trigger the DAG with new_base: true: what lies between can no longer be exported",
            facts.head,
        )
    return Finding(
        Trouble.HORIZON,
        f"in {in_words(left)} point-in-time recovery passes {iso(facts.head)}, up to which the data is complete",
        "let the DAG run now: what is not exported until then is lost to the chain",
        facts.head,
    )


def _waiting(facts: TableFacts, now: datetime) -> list[Finding]:
    old = [
        claim for claim in facts.waiting if now - claim.claimed_at > (LONGEST_EXPORT if claim.started else NOT_STARTED)
    ]
    if not old:
        return []
    first = min(old, key=lambda claim: (claim.started, claim.claimed_at))
    more = f" (and {len(old) - 1} more)" if len(old) > 1 else ""
    claimed = f"export {first.export}{more} was claimed {in_words(now - first.claimed_at)} ago and"
    cause = f"{claimed} is not verified; DynamoDB lists it for 90 days"
    if not first.started:
        until = first.claimed_at + TOKEN_LIFE
        token = f"DynamoDB knows its token until {iso(until)}" if now < until else "DynamoDB knows its token no longer"
        cause = f"{claimed} nothing of it is in the lake; {token}"
    remedy = "let the DAG run, or clear the export's task: it looks for the export before it would start another"
    return [Finding(Trouble.CLAIM_WAITS, cause, remedy, facts.head)]


def _volumes(facts: TableFacts) -> list[Finding]:
    """Compare each window since the last look with those before it that are as long; of several, the newest is told."""
    found: dict[Trouble, Finding] = {}
    for position in _judged(facts):
        before = _without_last_empty(facts.volumes[:position])
        window = facts.volumes[position]
        others = [each for each in before if each.length == window.length]
        if len(others) >= COMPARED_WINDOWS:
            silent_since = facts.volumes[len(before)].start
            found |= {each.trouble: each for each in _unusual(window, others, silent_since, facts.head)}
    return list(found.values())


def _judged(facts: TableFacts) -> list[int]:
    """Return the places of the windows that nobody judged before the last look, and of the newest one."""
    since, last = facts.judged_from, len(facts.volumes) - 1
    return [n for n, each in enumerate(facts.volumes) if n == last or (since is not None and each.start >= since)]


def _without_last_empty(volumes: Sequence[WindowVolume]) -> Sequence[WindowVolume]:
    """Leave out the windows without items at the end: while writers stand still, these do not become the usual."""
    end = len(volumes)
    while end and not volumes[end - 1].items:
        end -= 1
    return volumes[:end]


def _unusual(
    window: WindowVolume, others: Sequence[WindowVolume], silent_since: datetime, head: datetime | None
) -> Iterator[Finding]:
    usual = median(each.items for each in others)
    if window.items == 0 and all(each.items for each in others):
        yield Finding(
            Trouble.NOTHING_CHANGED,
            f"from {iso(silent_since)} to {iso(window.end)} no window holds an item; each of the {len(others)} before held some",
            "ask the table's owner whether its writers run",
            head,
        )
    if usual and window.items >= UNUSUAL_FACTOR * usual:
        yield Finding(
            Trouble.UNUSUALLY_MANY,
            f"window {window.name} holds {window.items} items; {usual:.0f} are usual",
            "ask the table's owner for a rewrite of the table; ddb-export cost says what it cost",
            head,
        )


def _billed(facts: TableFacts, now: datetime) -> Finding | None:
    """Compare bills with the estimates that their runs were planned with; of several, the newest is told."""
    bills = [
        (f"window {each.name}", each.billed_bytes, each.estimated_bytes)
        for each in (facts.volumes[position] for position in _judged(facts))
        if each.estimated_bytes is not None
    ]
    bills += [
        (f"full export {each.export}", each.billed_bytes, each.estimated_bytes)
        for each in facts.full_bills
        if now - each.verified_at <= BILL_SAID
    ]
    far = [bill for bill in bills if _is_far_above(bill[1], bill[2])]
    if not far:
        return None
    thing, billed, estimated = far[-1]
    more = f" (and {len(far) - 1} more)" if len(far) > 1 else ""
    return Finding(
        Trouble.BILLED_MORE,
        f"{thing}{more} was billed {size_in_words(billed)}; {size_in_words(estimated)} were estimated",
        "see ddb-export cost, and set budget: {run: …} to be asked first",
        facts.head,
    )


def _is_far_above(billed: int, estimated: int) -> bool:
    return billed >= BILLED_FACTOR * estimated and billed - estimated >= BILLED_FLOOR


def _quarantined(facts: TableFacts) -> Finding | None:
    if not facts.quarantined:
        return None
    *others, newest = facts.quarantined
    lines = sum(each.lines for each in others)
    more = f"; and {counted(lines, 'line')} of {len(others)} more of the newest exports" if others else ""
    return Finding(Trouble.QUARANTINE, f"{newest.words}{more}", REMEDY, facts.head)


def in_words(length: timedelta) -> str:
    """Return a length of time in words of two units at most, such as ``1 d 2 h``."""
    minutes = int(length.total_seconds()) // 60
    days, rest = divmod(minutes, 24 * 60)
    hours, minutes = divmod(rest, 60)
    words = [f"{value} {unit}" for value, unit in ((days, "d"), (hours, "h"), (minutes, "min")) if value]
    return " ".join(words[:2]) or "0 min"
