"""Which redactions published partitions were made under: kept in one small note, so that each publish can tell at the price of one read.

The truth is in the evidence (:mod:`ddb_export.domain.redaction`); but reading the evidence of years whenever a window is published would
cost more than the window. The note is disposable: where it is missing, it is made from the evidence once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from ddb_export.domain.redaction import PLAIN, Redaction, made_under
from ddb_export.domain.shown import shown_entries
from ddb_export.exceptions import LedgerError
from ddb_export.pipeline.ledger_documents import LedgerDocuments

if TYPE_CHECKING:
    from ddb_export.domain.evidence import PublishedEntry
    from ddb_export.pipeline.tasks import TableWork

_NOTE = "redactions.json"
_TRIES = 20

Redactions = frozenset[Redaction]


def begin_publishing(work: TableWork) -> dict[str, str]:
    """Note that partitions are about to be published by the contract at hand; say what others show in another way.

    To be called before anything is published, so that the note never lacks what readers see.

    :return: attribute → what became of it in partitions that were published before: ``plain`` where any of them has it plain, else
        ``dropped``, ``hashed`` and so on; empty where all of them are as the contract says.
    """
    wanted = work.contract.redaction
    known = _add(work)
    found = sorted((name, made != PLAIN, made) for other in known for name, made in wanted.differences(other).items())
    return {name: made for name, _, made in reversed(found)}


def end_publishing(work: TableWork) -> None:
    """Note once more what was published just now: a rewriting that ended meanwhile may have forgotten what had no evidence yet."""
    _add(work)


def end_rewriting(work: TableWork) -> None:
    """Note what partitions are made under after a rewriting."""
    # The evidence is read after the note: what is published in between changes the note under this hand, or is in the evidence.
    _change(work, lambda _noted: _from_evidence(work) | {work.contract.redaction})


def _add(work: TableWork) -> Redactions:
    return _change(work, lambda noted: (_from_evidence(work) if noted is None else noted) | {work.contract.redaction})


def _of(shown: Iterable[PublishedEntry]) -> Redactions:
    return frozenset(made for entry in shown if (made := made_under(entry)) is not None)


def _change(work: TableWork, change: Callable[[Redactions | None], Redactions]) -> Redactions:
    documents = LedgerDocuments(work.store, work.ledger.lake.ledger)
    for _ in range(_TRIES):
        document, etag = documents.read_with_etag(_NOTE)
        noted = _parse(document)
        changed = change(noted)
        if noted == changed or documents.replace(_NOTE, _written(changed), etag):
            return changed
    raise LedgerError(documents.uri(_NOTE), f"others changed it {_TRIES} times meanwhile", "clear this task")


def _from_evidence(work: TableWork) -> Redactions:
    entries = work.ledger.published_entries(("snapshots", "changes"))
    return _of(shown_entries(work.ledger.read_every_object(), entries)) if entries else frozenset()


def _parse(document: Any) -> Redactions | None:
    try:
        return frozenset(map(Redaction.from_json, document["redactions"]))
    except (KeyError, TypeError, AttributeError):
        return None  # missing, or not what this module writes: the evidence says it


def _written(redactions: Redactions) -> dict[str, Any]:
    written = [{**each.to_json(), **({"entities": each.entities} if each.entities else {})} for each in redactions]
    return {"redactions": sorted(written, key=repr)}
