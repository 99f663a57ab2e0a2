"""The documents of a table's widenings in its ledger: which one is under way, how one begins, and how it ends.

One at a time is under way, whoever works on it. What the document says yields to what the columns say: types of published columns change by
a widening only, so one whose types are published is under way until readers are switched, even if a process gave it up at that moment.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ddb_export.domain.widening import Widening
from ddb_export.exceptions import ClaimConflictError, LedgerError, PlanError
from ddb_export.pipeline.ledger_documents import LedgerDocuments

if TYPE_CHECKING:
    from ddb_export.pipeline.ledger import Ledger

ABANDONED, DONE = "abandoned", "done"
"""How a widening ends."""

_TRIES = 20


class WideningRecords:
    """The widenings of one table.

    :param ledger: its ledger.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.documents = LedgerDocuments(ledger.store, ledger.lake.ledger)

    def newest(self) -> Widening | None:
        """Return the newest widening, None if there was never one. It is under way while ``ended`` is None.

        :raises LedgerError: its document cannot be read.
        """
        paths = list(self.documents.paths("widening/"))
        found = self.documents.read(paths[-1], Widening.from_json) if paths else None
        if found and found.ended == ABANDONED and self.is_current(found):
            return replace(found, ended=None)
        return found

    def is_current(self, widening: Widening) -> bool:
        """Tell whether types of published columns have changed by it, so that it cannot be given up.

        One that changes none can be given up at any time: whatever it has rewritten has the columns of all others.
        """
        return bool(widening.changes) and widening.is_applied(self._ledger.read_schema())

    def require_under_way(self, widening: Widening) -> None:
        """Refuse to go on with what has ended.

        :raises PlanError: it has.
        """
        now = self.documents.read(_path(widening.number), Widening.from_json)
        if now and now.ended is not None:
            raise PlanError(f"widening {widening.number}", "another process ended it meanwhile", "widen again")

    def begin(self, widening: Widening) -> Widening:
        """Write that a widening is decided.

        :raises ClaimConflictError: another one was begun meanwhile.
        """
        if self.documents.put_once(_path(widening.number), widening.to_json()):
            return widening
        raise ClaimConflictError(
            f"widening {widening.number} of {self._ledger.lake.name}",
            "another one was begun meanwhile, and there is one at a time",
            "run the same again: it goes on with that one",
        )

    def give_up(self, widening: Widening) -> Widening:
        """End a widening of which readers saw nothing; one that is current, perhaps by another's hand, is returned as it is."""
        return widening if self.is_current(widening) else self.end(widening, ABANDONED)

    def make_room(self, widening: Widening) -> Widening:
        """Give a widening up so that another can take its place.

        :raises ClaimConflictError: it became current meanwhile.
        """
        given_up = self.give_up(widening)
        if given_up.ended is None:
            raise ClaimConflictError(
                f"widening {widening.number} of {self._ledger.lake.name}",
                "another process made it current meanwhile, so that it cannot be given up",
                "run the same again: it goes on with that one",
            )
        return given_up

    def end(self, widening: Widening, how: str) -> Widening:
        """Write how a widening ended: of two who do so, ``done`` wins.

        :raises LedgerError: others kept changing its document.
        """
        path = _path(widening.number)
        for _ in range(_TRIES):
            document, etag = self.documents.read_with_etag(path)
            ended = replace(widening, ended=how)
            if document and document["ended"] in (how, DONE):
                return Widening.from_json(document)
            if self.documents.replace(path, ended.to_json(), etag):
                return ended
        raise LedgerError(self.documents.uri(path), f"others changed it {_TRIES} times meanwhile", "widen again")


def _path(number: int) -> str:
    return f"widening/{number:06d}.json"
