"""The memory of what was told about a table: ``ledger/incidents/{trouble}.json``, switched by compare-and-swap.

Whoever wins the swap tells; another check, in another process at the same moment, stays silent. The documents are
disposable: without them an incident is told once more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from ddb_export.domain.freshness import Finding, Trouble
from ddb_export.domain.incidents import Incident, NoticeKind, decide, failed_to_send, was_sent
from ddb_export.exceptions import DdbExportError, LedgerError, NotReachableError
from ddb_export.pipeline.ledger_documents import LedgerDocuments

if TYPE_CHECKING:
    from ddb_export.aws.object_store import ObjectStore
    from ddb_export.domain.layout import Lake

_FOLDER = "incidents/"
_log = logging.getLogger(__name__)


class NotAllToldError(NotReachableError):
    """A notifier did not take a notice.

    :param taken_by: those that took it with this try, as :attr:`ddb_export.domain.notices.Notice.taken_by` names them.
    """

    taken_by: frozenset[str] = frozenset()

    @classmethod
    def of(cls, first: DdbExportError, taken_by: Collection[str]) -> NotAllToldError:
        """Return the error in the words of the first notifier that failed."""
        error = cls(first.thing, first.cause, first.remedy, code=first.code)
        error.taken_by = frozenset(taken_by)
        return error


@dataclass(frozen=True, slots=True)
class Told:
    """One notice.

    :param kind: alert, reminder or recovery. :param incident: what it is about.
    :param finding: the trouble as it stands; None once it is over.
    """

    kind: NoticeKind
    incident: Incident
    finding: Finding | None


@dataclass(frozen=True, slots=True)
class Telling:
    """What came of telling.

    :param told: the notices that were sent. :param failures: why others were not, or not to all; a later check sends them.
    """

    told: tuple[Told, ...]
    failures: tuple[DdbExportError, ...]


class IncidentMemory(Protocol):
    """Where one table's incidents are remembered: a JSON document per trouble."""

    def names(self) -> Collection[str]:
        """Return the troubles that there is a document for."""
        ...

    def read(self, name: str) -> tuple[Any, str | None]:
        """Return a document, and a version for :meth:`write`; None and None if there is none."""
        ...

    def write(self, name: str, document: Mapping[str, Any], version: str | None) -> bool:
        """Write a document if what is there still has this version; tell whether what is there now is this one."""
        ...


class LedgerMemory:
    """The incidents beside the ledger: one memory for all processes that look at a table.

    :param store: the bucket. :param lake: the table's folder.
    """

    def __init__(self, store: ObjectStore, lake: Lake) -> None:
        self._store = store
        self._folder = f"{lake.ledger}/{_FOLDER}"
        self._documents = LedgerDocuments(store, lake.ledger)

    def names(self) -> Collection[str]:
        """As :class:`IncidentMemory` says."""
        return {path.removeprefix(_FOLDER).removesuffix(".json") for path in self._documents.paths(_FOLDER)}

    def read(self, name: str) -> tuple[Any, str | None]:
        """As :class:`IncidentMemory` says; of what is no JSON there is only the version, so that it is written over."""
        try:
            return self._documents.read_with_etag(f"{_FOLDER}{name}.json")
        except LedgerError as damaged:
            _log.warning("%s; what it told of is told once more", damaged)
            return None, self._store.read(f"{self._folder}{name}.json").etag

    def write(self, name: str, document: Mapping[str, Any], version: str | None) -> bool:
        """As :class:`IncidentMemory` says."""
        return self._documents.replace(f"{_FOLDER}{name}.json", document, version)


class IncidentLog:
    """What was told about one table.

    :param memory: where that is remembered.
    """

    def __init__(self, memory: IncidentMemory) -> None:
        self._memory = memory
        self._teller = uuid4().hex

    def open_incidents(self) -> list[Incident]:
        """Return the incidents that last, by what was told."""
        known = self._memory.names()
        found = [_incident(trouble, self._memory.read(trouble)[0]) for trouble in Trouble if trouble in known]
        return [incident for incident in found if incident and incident.is_open]

    def tell(
        self,
        findings: Sequence[Finding],
        now: datetime,
        send: Callable[[Told], None],
        about: Collection[Trouble] = tuple(Trouble),
    ) -> Telling:
        """Tell what is new, what lasts, and what is over.

        :param findings: troubles of the table at this moment. :param now: the present, UTC.
        :param send: gives a notice to the notifiers that have not taken it; it is called at most once for each trouble, and never by
            two processes for the same notice unless one of them died or failed over it. :class:`NotAllToldError` says who took it.
        :param about: the troubles that were looked for; of others it is not known whether they are over.
        :raises DdbExportError: the memory cannot be read or written.
        """
        found = {finding.trouble: finding for finding in findings}
        known = self._memory.names()
        failures: list[DdbExportError] = []
        told = []
        for trouble in [each for each in Trouble if each in about and (each in found or each in known)]:
            notice = self._next(trouble, found.get(trouble), now)
            if notice is None:
                continue
            try:
                send(notice)
            except DdbExportError as error:
                taken_by = error.taken_by if isinstance(error, NotAllToldError) else ()
                self._remember(failed_to_send(notice.incident, taken_by))
                failures.append(error)
            else:
                self._remember(was_sent(notice.incident))
                told.append(notice)
        return Telling(tuple(told), tuple(failures))

    def _next(self, trouble: Trouble, finding: Finding | None, now: datetime) -> Told | None:
        """Return the notice that this process has to send, if it won the right to."""
        document, version = self._memory.read(trouble)
        decision = decide(_incident(trouble, document), finding, now)
        if decision is None:
            return None
        incident = replace(decision.incident, teller=self._teller)
        won = self._memory.write(trouble, incident.to_json(), version)
        return Told(decision.notice, incident, finding) if won else None

    def _remember(self, incident: Incident) -> None:
        """Note whether the last notice was sent, unless another process went on with the incident meanwhile."""
        document, version = self._memory.read(incident.trouble)
        known = _incident(incident.trouble, document)
        if known is None or known.teller == self._teller:
            self._memory.write(incident.trouble, incident.to_json(), version)


def _incident(trouble: Trouble, document: Any) -> Incident | None:
    """Read a document of a memory; one that is damaged is none, because an alert that is told twice is better than none."""
    if document is None:
        return None
    try:
        return Incident.from_json(document)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        _log.warning(
            "incident %s: its document is not what ddb_export writes (%s: %s); it is told once more",
            trouble,
            type(error).__name__,
            error,
        )
        return None
