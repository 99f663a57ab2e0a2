"""What a notice says: table, lag, last good window, cause, remedy, where to look it up, where to see the runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from html import escape

from ddb_export.domain.incidents import Incident, NoticeKind
from ddb_export.domain.utc import iso

RUNBOOK = "docs/runbook.md"
"""Where each trouble is looked up, if the configuration names no other place."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One message to people.

    :param kind: alert, reminder or recovery. :param table: the table's name in the lake.
    :param trouble: which, as its anchor in the runbook. :param cause: what is the case.
    :param remedy: the one action; None once the trouble is over.
    :param opened_at: when it was first seen. :param last_good: how far the data is complete, if known.
    :param age: how old that is, in words. :param runbook: where it is looked up. :param link: where the runs are shown; None if unknown.
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
            lines.append(f"Last good: data is complete to {iso(self.last_good)}, {self.age} ago")
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
) -> Notice:
    """Return what is said of an incident.

    :param remedy: of the finding; None once it is over. :param runbook: page that holds an anchor for each trouble.
    """
    anchor = f"{runbook}#{incident.trouble}"
    return Notice(
        kind, table, incident.trouble, incident.cause, remedy, incident.opened_at, last_good, age, anchor, link
    )
