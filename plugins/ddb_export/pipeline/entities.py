"""Which columns each entity's views show: kept in one small note, because the views are planned after each run.

The truth is in the evidence of what is published (:mod:`ddb_export.domain.entities`). The note is disposable: where it is missing, or
speaks of other entities, it is made from the evidence once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from ddb_export.domain.entities import Entities, EntityColumns, known_columns
from ddb_export.domain.shown import shown_entries
from ddb_export.exceptions import LedgerError
from ddb_export.pipeline.ledger_documents import LedgerDocuments

if TYPE_CHECKING:
    from ddb_export.domain.evidence import PublishedEntry
    from ddb_export.pipeline.ledger import Ledger

_NOTE = "entities.json"
_TRIES = 20


def columns_of_entities(ledger: Ledger, entities: Entities, published: Iterable[PublishedEntry] = ()) -> EntityColumns:
    """Return which columns the rows of each entity have, of all that readers see.

    :param published: what was published just now, if anything.
    """
    new = known_columns(entities, [entry.entities for entry in published])

    def with_new(noted: EntityColumns | None) -> EntityColumns:
        known = _from_evidence(ledger, entities) if noted is None else noted
        return EntityColumns.merge_all((known, new))

    return _change(ledger, entities, with_new)


def end_rewriting(ledger: Ledger, entities: Entities) -> None:
    """Note what is known after a rewriting; what no reader sees any more is forgotten."""
    # The evidence is read after the note: who publishes in between adds to the note afterwards, or changes it under this hand.
    _change(ledger, entities, lambda _noted: _from_evidence(ledger, entities))


def _change(
    ledger: Ledger, entities: Entities, change: Callable[[EntityColumns | None], EntityColumns]
) -> EntityColumns:
    documents = LedgerDocuments(ledger.store, ledger.lake.ledger)
    for _ in range(_TRIES):
        document, etag = documents.read_with_etag(_NOTE)
        noted = _parse(document, entities)
        changed = change(noted)
        if noted == changed or documents.replace(_NOTE, _written(entities, changed), etag):
            return changed
    raise LedgerError(documents.uri(_NOTE), f"others changed it {_TRIES} times meanwhile", "clear this task")


def _from_evidence(ledger: Ledger, entities: Entities) -> EntityColumns:
    entries = ledger.published_entries(("snapshots", "changes"))
    shown = shown_entries(ledger.read_every_object(), entries) if entries else []
    return known_columns(entities, [entry.entities for entry in shown])


def _parse(document: Any, entities: Entities) -> EntityColumns | None:
    try:
        if document["rules"] != entities.fingerprint:
            return None
        columns = {entity: frozenset(names) for entity, names in document["columns"].items()}
        return EntityColumns(columns, bool(document["whole"]))
    except (KeyError, TypeError, AttributeError):
        return None  # missing, or not what this module writes: the evidence says it


def _written(entities: Entities, known: EntityColumns) -> dict[str, Any]:
    columns = {entity: sorted(names) for entity, names in sorted(known.columns.items())}
    return {"rules": entities.fingerprint, "whole": known.whole, "columns": columns}
