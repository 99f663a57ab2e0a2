"""Which of a table's newest exports have lines in quarantine: one listing where there are none, as nearly always."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ddb_export.domain.evidence import PublishedEntry
from ddb_export.domain.quarantine import QuarantinedLines, quarantined_lines
from ddb_export.domain.utc import parse_compact
from ddb_export.domain.window import window_of
from ddb_export.pipeline.ledger_documents import LedgerDocuments

if TYPE_CHECKING:
    from ddb_export.domain.ledger import Chain
    from ddb_export.pipeline.ledger import Ledger

WATCHED = timedelta(days=7)
"""How far before the head lines in quarantine are told of."""

_MOST_LOOKED_AT = 12


def newest_quarantined(ledger: Ledger, chain: Chain) -> tuple[QuarantinedLines, ...]:
    """Return which exports of the week before the head, the newest twelve at most, show readers less than they have.

    What another attempt, another generation or another window has taken the place of counts no more.

    :raises LedgerError: evidence of publication cannot be read.
    """
    if chain.head is None:
        return ()
    since = chain.head - WATCHED
    found = {(end, output, subject) for end, output, subject in _kept(ledger) if end > since}
    entries = []
    for _, output, subject in sorted(found)[-_MOST_LOOKED_AT:]:
        if subject not in chain.superseded and (entry := _shown(ledger, output, subject)):
            entries.append(entry)
    return tuple(quarantined_lines(entries, ledger.lake))


def _kept(ledger: Ledger) -> Iterator[tuple[datetime, str, str]]:
    """Yield the end, the output and the subject of what anything is kept of in quarantine; what is not laid out so is not ours."""
    root = ledger.lake.key("quarantine/")
    for stored in ledger.store.list_objects(root):
        try:
            output, *_, partition, _generation, _file = stored.key.removeprefix(root).split("/")
            name, _, value = partition.partition("=")
            if name == "export_window":
                found = (window_of(value).end, output, value)
            elif name == "export_time":
                found = (parse_compact(value), output, f"full-{value}")
            else:
                continue
        except ValueError:
            continue  # such as the empty object that the S3 console makes for a folder
        yield found


def _shown(ledger: Ledger, output: str, subject: str) -> PublishedEntry | None:
    documents = LedgerDocuments(ledger.store, ledger.lake.ledger)
    entries = documents.read_each(documents.paths(f"published/{output}/{subject}-a"), PublishedEntry.from_json)
    return max(entries, key=lambda entry: entry.order, default=None)
