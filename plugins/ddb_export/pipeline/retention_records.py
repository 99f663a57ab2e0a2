"""What the ledger says of raw data that was removed or tagged, and the same beside the raw manifests.

::

    ledger/retention/removing/{export}.json     written before the first data file goes: from now on nobody relies on them
    ledger/retention/removed/{export}.json      all of them are gone
    ledger/retention/tagged/{export}/{digest}.json  the data files have these tags
    raw/{export}/_raw_removed.json              a copy of the first, so that a lost ledger can be written again

Each is written once. Whoever misses raw files asks here before anything else, so that nobody takes it for damage.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from ddb_export.domain.retention import Removal, tags_digest
from ddb_export.domain.utc import iso
from ddb_export.exceptions import PermissionDeniedError
from ddb_export.pipeline.ledger_documents import LedgerDocuments

if TYPE_CHECKING:
    from ddb_export.aws.object_store import ObjectStore
    from ddb_export.domain.layout import Lake

REMOVING = "retention/removing/"
"""Where removals that were begun are written, below the ledger."""

_REMOVED = "retention/removed/"
_TAGGED = "retention/tagged/"
MARKER = "_raw_removed.json"
"""The copy beside the raw manifests."""


def removing_path(export: str) -> str:
    """Return where the removal of an attempt's raw data is written, below the ledger."""
    return f"{REMOVING}{export}.json"


class RetentionRecords:
    """The records of one table.

    :param store: the bucket of the lake. :param lake: the table's folder in it.
    """

    def __init__(self, store: ObjectStore, lake: Lake) -> None:
        self._documents = LedgerDocuments(store, lake.ledger)
        self._store = store
        self._lake = lake

    def removal(self, export: str) -> Removal | None:
        """Return the removal of an attempt's raw data, whether it has ended or not; None if there is none."""
        return self._documents.read(removing_path(export), Removal.from_json)

    def removals(self) -> dict[str, Removal]:
        """Return all removals, by name of the attempt."""
        found = self._documents.read_each(self._documents.paths(REMOVING), Removal.from_json)
        return {removal.export: removal for removal in found}

    def removed(self) -> frozenset[str]:
        """Return the names of the attempts whose data files are all gone."""
        return frozenset(_name(path) for path in self._documents.paths(_REMOVED))

    def tagged(self) -> frozenset[tuple[str, str]]:
        """Return (name of the attempt, digest of the tags) of what was tagged."""
        paths = (path.removeprefix(_TAGGED).split("/") for path in self._documents.paths(_TAGGED))
        return frozenset((export, digest.removesuffix(".json")) for export, digest in paths)

    def begin_removal(self, removal: Removal) -> Removal:
        """Record a removal before it is done, in the ledger and beside the raw manifests; the first writer's stays."""
        path = removing_path(removal.export)
        if not self._documents.put_once(path, removal.to_json()):
            removal = self._documents.read(path, Removal.from_json) or removal
        marker = LedgerDocuments(self._store, self._lake.raw(removal.export))
        marker.put_once(MARKER, removal.to_json())
        return removal

    def end_removal(self, removal: Removal) -> None:
        """Record that all data files are gone."""
        self._documents.put_once(f"{_REMOVED}{removal.export}.json", removal.to_json())

    def record_tags(self, export: str, tags: Mapping[str, str], now: datetime) -> None:
        """Record that all data files of an attempt have these tags."""
        document = {"export": export, "tags": dict(tags), "tagged_at": iso(now)}
        self._documents.put_once(f"{_TAGGED}{export}/{tags_digest(tags)}.json", document)


def removal_beside(store: ObjectStore, raw_folder: str) -> Removal | None:
    """Return what is said beside raw manifests of the removal of their data files, None if nothing is, or it may not be read.

    :param raw_folder: key prefix of the attempt's folder, without a final slash.
    """
    try:
        return LedgerDocuments(store, raw_folder).read(MARKER, Removal.from_json)
    except PermissionDeniedError:
        return None


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1].removesuffix(".json")
