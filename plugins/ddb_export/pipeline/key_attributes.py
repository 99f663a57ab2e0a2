"""The key attributes of a lake's DynamoDB table, kept in its ledger, because an export outlives its table and full exports do not tell them.

One small document for each TableId, ``keys/{TableId}.json``: a table that is created again may have other keys. It is written when exports
are claimed, which nobody does without describing the table. Where it is missing, in a ledger of before it was kept or one that was rebuilt,
changes still tell the keys, and the next run that claims something writes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ddb_export.pipeline.ledger_documents import LedgerDocuments

if TYPE_CHECKING:
    from ddb_export.domain.plan import TableIdentity
    from ddb_export.pipeline.ledger import Ledger


def remember_key_attributes(ledger: Ledger, identity: TableIdentity) -> None:
    """Write down which attributes are a table's keys, unless that is known already.

    :raises LedgerError: what is written there cannot be read.
    """
    documents, path = _documents(ledger), f"keys/{identity.table_id}.json"
    if identity.key_attributes and documents.read(path, _parse) is None:
        documents.put_once(path, {"table_id": identity.table_id, "key_attributes": list(identity.key_attributes)})


def known_key_attributes(ledger: Ledger) -> frozenset[str]:
    """Return the exact names of the key attributes of all tables that the ledger ever knew.

    :raises LedgerError: what is written there cannot be read.
    """
    documents = _documents(ledger)
    return frozenset(name for keys in documents.read_each(documents.paths("keys/"), _parse) for name in keys)


def _documents(ledger: Ledger) -> LedgerDocuments:
    return LedgerDocuments(ledger.store, ledger.lake.ledger)


def _parse(document: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(map(str, document["key_attributes"]))
