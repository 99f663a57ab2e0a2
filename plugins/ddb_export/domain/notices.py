"""What a notice says: table, lag, last good window, cause, remedy, where to look it up, where to see the runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING

from ddb_export.domain.incidents import Incident, NoticeKind
from ddb_export.domain.utc import iso
from ddb_export.domain.window import Stretch

if TYPE_CHECKING:
    from ddb_export.domain.freshness import WindowVolume

RUNBOOK = "docs/runbook.md"
"""Where each trouble is looked up, if the configuration names no other place."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One message to people.

    :param kind: alert, reminder or recovery. :param table: the table's name in the lake.
    :param trouble: which, as its anchor in the runbook. :param cause: what is the case.
    :param remedy: the one action; None once the trouble is over.
    :param opened_at: when it was first seen. :param last_good: how far the data is complete, if known.
    :param age: how old that is, in words. :param runbook: where it is looked up. :param link: where the run that matters is shown, or all runs; None if unknown.
    :param taken_by: notifiers that took this notice with an earlier try.
    :param last_window: the newest window of the data that is complete; None if unknown, or if there is only the base.
    """

    kind: NoticeKind
    table: str
    trouble: str
    cause: str
    remedy: str | None
    opened_at: datetime
    last_good: datetime | None
    age: str | None
    runbook: str
    link: str | None
    taken_by: frozenset[str] = frozenset()
    last_window: Stretch | None = None

    @property
    def subject(self) -> str:
        """One line under 100 characters, as SNS asks of a subject (API reference, Publish)."""
        state = {NoticeKind.ALERT: "", NoticeKind.REMINDER: " (still)", NoticeKind.RECOVERY: " (over)"}[self.kind]
        room = 100 - len(f"[ddb_export] : {self.trouble}{state}") - 1
        return f"[ddb_export] {self.table[:room]}: {self.trouble}{state}"

    @property
    def text(self) -> str:
        """The whole message as plain text."""
        if self.kind is NoticeKind.RECOVERY:
            first = f"{self.table}: {self.trouble} is over; it began at {iso(self.opened_at)}"
        else:
            first = f"{self.table}: {self.cause}"
        lines = [first]
        if self.remedy:
            lines.append(f"Remedy: {self.remedy}")
        if self.last_good:
            window = f"; the last window is {self.last_window}" if self.last_window else ""
            lines.append(f"Last good: data is complete to {iso(self.last_good)}, {self.age} ago{window}")
        if self.kind is NoticeKind.REMINDER:
            lines.append(f"Since: {iso(self.opened_at)}")
        lines.append(f"Runbook: {self.runbook}")
        if self.link:
            lines.append(f"Runs: {self.link}")
        return "\n".join(lines)

    @property
    def html(self) -> str:
        """The whole message as HTML, for mail."""
        return "<br>\n".join(escape(line) for line in self.text.splitlines())


def notice_of(
    kind: NoticeKind,
    table: str,
    incident: Incident,
    *,
    remedy: str | None,
    last_good: datetime | None,
    age: str | None,
    link: str | None = None,
    runbook: str = RUNBOOK,
    last_window: Stretch | None = None,
) -> Notice:
    """Return what is said of an incident.

    :param remedy: of the finding; None once it is over. :param runbook: page that holds an anchor for each trouble.
    """
    anchor = f"{runbook}#{incident.trouble}"
    return Notice(
        kind=kind,
        table=table,
        trouble=incident.trouble,
        cause=incident.cause,
        remedy=remedy,
        opened_at=incident.opened_at,
        last_good=last_good,
        age=age,
        runbook=anchor,
        link=link,
        taken_by=incident.taken_by,
        last_window=last_window,
    )


def last_window(volumes: Sequence[WindowVolume], head: datetime | None) -> Stretch | None:
    """Return the window that ends where the data is complete to; None if the base ends there.

    :param volumes: the newest verified windows.
    """
    return next((Stretch(each.start, each.end) for each in volumes if each.end == head), None)
