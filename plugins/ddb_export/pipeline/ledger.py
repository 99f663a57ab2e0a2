"""The ledger of one table in S3: how its facts are read and how new ones are added.

::

    ledger/owner.json                              whose ledger this is
    ledger/claims/{sequence}.json                  one per attempt at an export, numbered without a gap
    ledger/failed/{export}.json                    what DynamoDB said of an attempt that FAILED
    ledger/damaged/{export}.json                   that an attempt's export was not found whole; disposable
    ledger/left/{export}.json                      that nothing of an attempt can be verified any more; disposable
    ledger/verified/{export}.json                  evidence that an attempt's export is whole
    ledger/published/{output}/{export}/{generation}.json   evidence that an output can be read
    ledger/keys/{TableId}.json                     which attributes are the table's keys
    ledger/schema/{version}.json, ledger/schema.json       the schema document's versions, and a copy of the newest
    ledger/redactions.json                         what contracts dropped and hashed in published partitions; disposable
    ledger/entities.json                           which columns the rows of each entity have; disposable
    ledger/summary.json                            what is settled, in few words; disposable

Nothing is locked. A claim is written only if its number is free (``If-None-Match: *``): who loses reads again and decides
again. Evidence is written once at a key that follows from what it proves, so that writing it again changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ddb_export.domain.claiming import Wanted, decide
from ddb_export.domain.contract import NO_CONTRACT, Contract
from ddb_export.domain.export import ExportRequest, export_name
from ddb_export.domain.layout import Lake
from ddb_export.domain.ledger import (
    Chain,
    Claim,
    FailedEntry,
    Owner,
    PublishedEntry,
    VerifiedEntry,
    subject_of,
)
from ddb_export.domain.schema import ExportStatistics, SchemaDocument
from ddb_export.domain.utc import compact
from ddb_export.exceptions import ClaimConflictError, LedgerError, TableIdentityError
from ddb_export.pipeline.ledger_documents import LedgerDocuments
from ddb_export.pipeline.ledger_reading import (
    claim_path,
    read_chain,
    read_claims,
    read_every_claim,
    read_every_object,
    verified_path,
    write_summary,
)

if TYPE_CHECKING:
    from ddb_export.aws.object_store import ObjectStore

__all__ = ["Ledger", "Wanted"]

T = TypeVar("T")

_READERS = 16
_TRIES = 20
_LISTINGS = 5


class Ledger:
    """The ledger of one table.

    :param store: the bucket of the lake.
    :param lake: the table's folder in it.
    """

    def __init__(self, store: ObjectStore, lake: Lake) -> None:
        self._documents = LedgerDocuments(store, lake.ledger)
        self.lake = lake

    @property
    def store(self) -> ObjectStore:
        """The bucket of the lake."""
        return self._documents.store

    def read(self, outputs: Sequence[str] = ()) -> Chain:
        """Return the chain as it is now; an empty one if there is no ledger.

        Years of a chain cost no more requests than days: what is settled comes from a summary (:meth:`summarise`), if there is one.

        :param outputs: outputs whose publication is asked about; none for none.
        :raises LedgerError: an entry cannot be read, or a number is missing among the claims.
        :raises OwnershipError: a newer version of this package wrote it.
        """
        return read_chain(self._documents, outputs)

    def read_every_object(self) -> Chain:
        """Return the chain from all claims and all evidence, without a summary.

        :raises LedgerError: as :meth:`read`. :raises OwnershipError: as :meth:`read`.
        """
        return read_every_object(self._documents)

    def summarise(self, chain: Chain, outputs: Sequence[str]) -> None:
        """Leave a summary of a chain for those who read it next; deleting it changes no answer.

        :param chain: what :meth:`read` returned for these outputs.
        """
        write_summary(self._documents, chain, outputs)

    def claim_of(self, export: str) -> Claim:
        """Return the claim of an attempt.

        :raises LedgerError: nothing was claimed under this name.
        """
        chain = read_claims(self._documents)
        # The newest, as a base may have taken over a snapshot's export.
        claimed = next((claim for claim in reversed(chain.claims) if claim.export == export), None)
        found = claimed or self._settled_claim(chain, export)
        if found is None:
            # An earlier attempt at what is settled is in no summary.
            claims = read_every_claim(self._documents)
            found = next((claim for claim in claims if claim.export == export), None)
        if found:
            return found
        raise LedgerError(
            f"export {export}",
            f"the ledger {self._documents.uri()} has no claim of this name",
            "use the name that the export task returned",
        )

    def claims_between(self, first: int, last: int) -> list[Claim]:
        """Return the claims of these numbers, both included."""
        return self._documents.read_each([claim_path(number) for number in range(first, last + 1)], Claim.from_json)

    def _settled_claim(self, chain: Chain, export: str) -> Claim | None:
        settled = chain.settled_window(subject_of(export), chain.table_id or "")
        if settled is None or settled.export != export:
            return None
        return self._documents.read(claim_path(settled.sequence), Claim.from_json)

    def verified_entry(self, export: str) -> VerifiedEntry | None:
        """Return the evidence of an attempt, None if it is not verified."""
        return self._documents.read(verified_path(export), VerifiedEntry.from_json)

    def verified_entries(self, exports: Sequence[str]) -> dict[str, VerifiedEntry]:
        """Return the evidence of those of these attempts that are verified, by name of the attempt."""
        read = self._documents.read_each([verified_path(export) for export in exports], VerifiedEntry.from_json)
        return {entry.export: entry for entry in read}

    def verified_of(self, chain: Chain, exports: Sequence[str]) -> list[VerifiedEntry]:
        """Return the evidence of exports, whichever attempt at them was verified, in their order.

        Windows whose place others have taken since are left out, as are those that are not verified.

        :param exports: names of attempts.
        """
        subjects = [subject for export in exports if (subject := subject_of(export)) not in chain.superseded]
        settled = [chain.settled_window(subject, chain.table_id or "") for subject in subjects]
        paths = [
            verified_path(each.export) for each in settled if each and each.window.key not in chain.verified_subjects
        ]
        read = self._documents.read_each(paths, VerifiedEntry.from_json)
        entries = {**{entry.subject: entry for entry in read}, **chain.verified_subjects}
        return [entries[subject] for subject in subjects if subject in entries]

    def published_entry(self, output: str, export: str) -> PublishedEntry | None:
        """Return the newest evidence that an output of an attempt was published, None if it was not."""
        paths = self._documents.paths(f"published/{output}/{export}/")
        found = self._documents.read_each(paths, PublishedEntry.from_json)
        return max(found, key=lambda entry: entry.order, default=None)

    def published_entries(self, outputs: Sequence[str]) -> list[PublishedEntry]:
        """Return all evidence of publication of these outputs, older generations and attempts included."""
        paths = [path for output in outputs for path in self._documents.paths(f"published/{output}/")]
        return self._documents.read_each(paths, PublishedEntry.from_json)

    def own(self, table_arn: str, now: datetime) -> Owner:
        """Begin the ledger for a table, or check that it is this table's.

        :raises OwnershipError: it belongs to another table, or has a newer format.
        """
        owner = self._documents.read("owner.json", Owner.from_json)
        if owner is None:
            owner = Owner(table_arn, self.lake.name, now)
            if not self._documents.put_once("owner.json", owner.to_json()):
                owner = self._documents.read("owner.json", Owner.from_json) or owner
        owner.require(table_arn)
        return owner

    def claim(self, wanted: Sequence[Wanted], table_id: str, now: datetime) -> list[Claim]:
        """Claim exports, or return the claims that are there already, whatever became of them.

        Two first runs make one base: unless ``new_base`` asks for another, the chain's base is returned whatever its time. The
        request of a claim that is there stays as it was claimed, whatever the configuration says now.

        :param wanted: what to claim, in order.
        :param table_id: TableId of the table now.
        :param now: by AWS's clock.
        :return: one claim for each that is wanted: the newest attempt.
        :raises ClaimConflictError: boundaries overlap with those of another claim.
        :raises TableIdentityError: a window is wanted of another table than the one that the chain began with.
        """
        subjects = [subject_of(export_name(each.request, 1)) for each in wanted]
        read = partial(self._read_with, subjects, table_id)
        chain = read()
        claims = []
        for each in wanted:
            claim, chain = self._append(chain, read, partial(decide, each, table_id, now))
            claims.append(claim)
        return claims

    def _read_with(self, subjects: Sequence[str], table_id: str) -> Chain:
        """Read the chain, with the claims and the evidence of these subjects also where they are settled."""
        chain = self.read()
        settled = [found for subject in subjects if (found := chain.settled_window(subject, table_id))]
        claims = self._documents.read_each([claim_path(each.sequence) for each in settled], Claim.from_json)
        entries = self._documents.read_each([verified_path(each.export) for each in settled], VerifiedEntry.from_json)
        return chain.with_settled(claims, entries)

    def next_attempt(
        self, failed: Claim, table_id: str, now: datetime, reason: str, request: ExportRequest | None = None
    ) -> Claim:
        """Claim the next attempt at what ``failed`` claimed, or return it if someone else has.

        :param failed: the attempt whose export FAILED.
        :param table_id: TableId of the table now.
        :param request: what to ask for now, with the folder of all raw exports as its prefix: a person may have corrected the key or
            the bucket's owner since. By default the same as before.
        :raises TableIdentityError: the table is another one now.
        """
        if failed.table_id != table_id:
            raise TableIdentityError(
                failed.request.table_arn,
                f"its TableId is {table_id}, {failed.export} was claimed for {failed.table_id}: the table was deleted and"
                " created again",
                "trigger the DAG by hand with new_base: true to begin a new chain with a full export",
            )
        asked = replace(request or failed.request, s3_prefix=self.lake.key("raw"))

        def decide(chain: Chain) -> Claim:
            newest = chain.newest_attempt(failed.subject, table_id)
            if newest and newest.attempt > failed.attempt:
                return newest
            return chain.next_claim(newest.kind if newest else failed.kind, asked, table_id, now, reason)

        read = partial(self._read_with, [failed.subject], table_id)
        claim, _ = self._append(read(), read, decide)
        return claim

    def record_failed(self, entry: FailedEntry) -> None:
        """Add the evidence that an attempt's export FAILED; the first writer's entry stays."""
        self._documents.put_once(f"failed/{entry.export}.json", entry.to_json())

    def record_verified(self, entry: VerifiedEntry) -> VerifiedEntry:
        """Add the evidence of a verified attempt; the first writer's entry stays and is returned."""
        key = f"verified/{entry.export}.json"
        if self._documents.put_once(key, entry.to_json()):
            return entry
        return self._documents.read(key, VerifiedEntry.from_json) or entry

    def record_published(self, entry: PublishedEntry) -> PublishedEntry:
        """Add the evidence of a published output; the first writer's entry stays and is returned.

        A generation that is shown again after another one, because a rule of the contract came and went, has evidence of that too.
        """
        path = f"published/{entry.output}/{entry.export}/{entry.generation}"
        if self._documents.put_once(f"{path}.json", entry.to_json()):
            return entry
        newest = self.published_entry(entry.output, entry.export)
        if newest and entry.generation not in (newest.generation, newest.made_from):
            self._documents.put_once(f"{path}-{compact(entry.published_at)}.json", entry.to_json())
            return entry
        return self._documents.read(f"{path}.json", PublishedEntry.from_json) or entry

    def read_schema(self, version: int | None = None) -> SchemaDocument:
        """Return a version of the schema document; the newest by default, an empty one if there is none.

        :raises LedgerError: there is no such version.
        """
        if version is None:
            stored = list(self._documents.paths("schema/"))
            if not stored:
                return SchemaDocument()
            version = int(stored[-1].rsplit("/", 1)[-1].removesuffix(".json"))
        if version == 0:
            return SchemaDocument()
        schema = self._documents.read(_schema_path(version), SchemaDocument.from_json)
        if schema is None:
            raise LedgerError(
                self._documents.uri(_schema_path(version)), "it is missing", "restore the object's older version"
            )
        return schema

    def extend_schema(
        self, statistics: ExportStatistics, contract: Contract = NO_CONTRACT, *, types_may_differ: bool = False
    ) -> SchemaDocument:
        """Add the columns that an export needs; two runs that do so at once agree.

        A version is written only if its number is free; who loses reads the winner's and adds to that.

        :param statistics: of all data files of the export.
        :param contract: what the owner fixed about the columns.
        :param types_may_differ: as in :meth:`SchemaDocument.require_agreement`.
        :raises ConfigurationError: the contract contradicts a published column.
        """
        for _ in range(_TRIES):
            schema = self.read_schema()
            extended = schema.extend(statistics, contract=contract, types_may_differ=types_may_differ)
            if extended is schema:
                self._show_schema(schema)
                return schema
            if self._documents.put_once(_schema_path(extended.version), extended.to_json()):
                self._show_schema(extended)
                return extended
        raise ClaimConflictError(
            self._documents.uri("schema/"), f"others added versions {_TRIES} times meanwhile", "clear this task"
        )

    def change_schema(self, schema: SchemaDocument) -> bool:
        """Add a version that changes published columns, as only a widening may; tell whether the newest version is this one.

        :param schema: its version is the next number, which another writer may have taken meanwhile.
        """
        if not self._documents.put_once(_schema_path(schema.version), schema.to_json()):
            return False
        self._show_schema(schema)
        return True

    def write_note(self, path: str, document: Mapping[str, Any]) -> None:
        """Write a disposable intermediate result of mapped tasks; writing it again gives the same."""
        self._documents.put(path, document)

    def read_note(self, path: str) -> Any:
        """Return what :meth:`write_note` wrote, None if nothing was written."""
        document, _ = self._documents.read_with_etag(path)
        return document

    def note_names(self, folder: str) -> frozenset[str]:
        """Return the names of the notes in a folder of the ledger, without ``.json``.

        :param folder: with a final slash.
        """
        return frozenset(path.removeprefix(folder).removesuffix(".json") for path in self._documents.paths(folder))

    def _show_schema(self, schema: SchemaDocument) -> None:
        """Keep ``schema.json``, a copy for people and other tools, at the newest version.

        It is looked at whenever an export is merged, so that a copy that was not written for a crash is made up for.
        """
        for _ in range(_TRIES):
            shown, etag = self._documents.read_with_etag("schema.json")
            if shown and shown.get("version", 0) >= schema.version:
                return
            if self._documents.replace("schema.json", schema.to_json(), etag):
                return

    def _append(self, chain: Chain, read: Callable[[], Chain], decide: Callable[[Chain], Claim]) -> tuple[Claim, Chain]:
        """Add the claim that ``decide`` names, unless it is there; decide again whenever another writer was first."""
        for _ in range(_TRIES):
            claim = decide(chain)
            if claim.sequence <= chain.last_sequence:
                return claim, chain
            if self._documents.put_once(claim_path(claim.sequence), claim.to_json()):
                return claim, chain.with_claim(claim)
            chain = read()
        raise ClaimConflictError(
            self._documents.uri("claims/"),
            f"others took the next number {_TRIES} times",
            "none needed: the task tries again",
        )


def _schema_path(version: int) -> str:
    return f"schema/{version:06d}.json"
