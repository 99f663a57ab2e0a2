"""The memory of what was told about a table: ``ledger/incidents/{trouble}.json``, switched by compare-and-swap.

Whoever wins the swap tells; another check, in another process at the same moment, stays silent. The documents are
disposable: without them an incident is told once more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from ddb_export.domain.freshness import Finding, Trouble
from ddb_export.domain.incidents import Incident, NoticeKind, decide, failed_to_send, was_sent
from ddb_export.exceptions import DdbExportError
from ddb_export.pipeline.ledger_documents import LedgerDocuments

if TYPE_CHECKING:
    from ddb_export.aws.object_store import ObjectStore
    from ddb_export.domain.layout import Lake

_FOLDER = "incidents/"


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

    :param told: the notices that were sent. :param failures: why others were not; the next check sends them.
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
        self._documents = LedgerDocuments(store, lake.ledger)

    def names(self) -> Collection[str]:
        """As :class:`IncidentMemory` says."""
        return {path.removeprefix(_FOLDER).removesuffix(".json") for path in self._documents.paths(_FOLDER)}

    def read(self, name: str) -> tuple[Any, str | None]:
        """As :class:`IncidentMemory` says."""
        return self._documents.read_with_etag(f"{_FOLDER}{name}.json")

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
        found = [Incident.from_json(self._memory.read(trouble)[0]) for trouble in Trouble if trouble in known]
        return [incident for incident in found if incident.is_open]

    def tell(
        self,
        findings: Sequence[Finding],
        now: datetime,
        send: Callable[[Told], None],
        about: Collection[Trouble] = tuple(Trouble),
    ) -> Telling:
        """Tell what is new, what lasts, and what is over.

        :param findings: troubles of the table at this moment. :param now: the present, UTC.
        :param send: gives a notice to the notifiers; it is called at most once for each trouble, and never by two processes
            for the same notice unless one of them died or failed over it.
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
                self._remember(failed_to_send(notice.incident))
                failures.append(error)
            else:
                self._remember(was_sent(notice.incident))
                told.append(notice)
        return Telling(tuple(told), tuple(failures))

    def _next(self, trouble: Trouble, finding: Finding | None, now: datetime) -> Told | None:
        """Return the notice that this process has to send, if it won the right to."""
        document, version = self._memory.read(trouble)
        decision = decide(Incident.from_json(document) if document else None, finding, now)
        if decision is None:
            return None
        incident = replace(decision.incident, teller=self._teller)
        won = self._memory.write(trouble, incident.to_json(), version)
        return Told(decision.notice, incident, finding) if won else None

    def _remember(self, incident: Incident) -> None:
        """Note whether the last notice was sent, unless another process went on with the incident meanwhile."""
        document, version = self._memory.read(incident.trouble)
        if document is None or document["teller"] == self._teller:
            self._memory.write(incident.trouble, incident.to_json(), version)
