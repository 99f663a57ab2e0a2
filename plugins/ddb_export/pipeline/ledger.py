"""The ledger of one table in S3: how its facts are read and how new ones are added.

::

    ledger/owner.json                              whose ledger this is
    ledger/claims/{sequence}.json                  one per attempt at an export, numbered without a gap
    ledger/failed/{export}.json                    what DynamoDB said of an attempt that FAILED
    ledger/verified/{export}.json                  evidence that an attempt's export is whole
    ledger/published/{output}/{export}/{generation}.json   evidence that an output can be read
    ledger/schema/{version}.json, ledger/schema.json       the schema document's versions, and a copy of the newest

Nothing is locked. A claim is written only if its number is free (``If-None-Match: *``): who loses reads again and decides
again. Evidence is written once at a key that follows from what it proves, so that writing it again changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ddb_export.aws.object_store import ObjectMissingError, PreconditionFailedError
from ddb_export.domain.export import ExportRequest, export_name
from ddb_export.domain.layout import Lake
from ddb_export.domain.ledger import (
    Chain,
    Claim,
    ClaimKind,
    FailedEntry,
    Owner,
    PublishedEntry,
    VerifiedEntry,
    subject_of,
)
from ddb_export.domain.schema import DEFAULT_COLUMN_LIMIT, ExportStatistics, SchemaDocument
from ddb_export.exceptions import ClaimConflictError, LedgerError, TableIdentityError

if TYPE_CHECKING:
    from ddb_export.aws.object_store import ObjectStore

T = TypeVar("T")

_READERS = 16
_TRIES = 20
_LISTINGS = 5


@dataclass(frozen=True, slots=True)
class Wanted:
    """An export that someone wants to claim.

    :param request: what to ask for, with the folder of all raw exports as its prefix.
    :param reason: why, in words.
    :param closes_chain: for a base: number of the chain that it closes; None if it opens the first one.
    :param beside_chain: for a base at another moment than the chain's: make it a snapshot that leaves the chain as it is.
    :param attempt: the attempt that is wanted at least; None for whichever is the newest.
    :param supersedes: subjects of the windows whose place it takes.
    """

    kind: ClaimKind
    request: ExportRequest
    reason: str
    closes_chain: int | None = None
    beside_chain: bool = False
    attempt: int | None = None
    supersedes: tuple[str, ...] = ()


class Ledger:
    """The ledger of one table.

    :param store: the bucket of the lake.
    :param lake: the table's folder in it.
    """

    def __init__(self, store: ObjectStore, lake: Lake) -> None:
        self._store = store
        self.lake = lake

    @property
    def store(self) -> ObjectStore:
        """The bucket of the lake."""
        return self._store

    def claim_of(self, export: str) -> Claim:
        """Return the claim of an attempt.

        :raises LedgerError: nothing was claimed under this name.
        """
        for claim in self.read().claims:
            if claim.export == export:
                return claim
        raise LedgerError(
            f"export {export}",
            f"the ledger {self._uri('')} has no claim of this name",
            "use the name that the export task returned",
        )

    def read(self, outputs: Sequence[str] = ()) -> Chain:  # summaries will need it
        """Return everything that the ledger holds; an empty chain if there is none.

        :param outputs: outputs that the configuration asks for.

        Evidence is read before claims: what is proved was claimed before, so the answer never holds evidence without its
        claim.

        :raises LedgerError: an entry cannot be read, or a number is missing among the claims.
        :raises OwnershipError: a newer version of this package wrote it.
        """
        owner = self._read_one("owner.json", Owner.from_json)
        if owner:
            owner.require_known_format()
        published = self._read_all("published/", PublishedEntry.from_json)
        verified = self._read_all("verified/", VerifiedEntry.from_json)
        return Chain(owner, self._read_claims(), {entry.export: entry for entry in verified}, tuple(published))

    def _read_claims(self) -> tuple[Claim, ...]:
        for _ in range(_LISTINGS):
            claims = sorted(self._read_all("claims/", Claim.from_json), key=lambda claim: claim.sequence)
            missing = _first_missing(claims)
            if missing is None:
                return tuple(claims)
            # A listing of a local folder may show a file and not the one that was written before it; S3's never does.
        raise LedgerError(
            self._uri("claims/"),
            f"claim {missing} is missing",
            "restore it from the bucket's older versions; the ledger must never be under a lifecycle rule",
        )

    def own(self, table_arn: str, now: datetime) -> Owner:
        """Begin the ledger for a table, or check that it is this table's.

        :raises OwnershipError: it belongs to another table, or has a newer format.
        """
        owner = self._read_one("owner.json", Owner.from_json)
        if owner is None:
            owner = Owner(table_arn, self.lake.name, now)
            if not self._put_once("owner.json", owner.to_json()):
                owner = self._read_one("owner.json", Owner.from_json) or owner
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
        chain = self.read()
        claims = []
        for each in wanted:
            claim, chain = self._append(chain, partial(_decide, each, table_id, now))
            claims.append(claim)
        return claims

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
            return chain.next_claim(failed.kind, asked, table_id, now, reason)

        claim, _ = self._append(self.read(), decide)
        return claim

    def record_failed(self, entry: FailedEntry) -> None:
        """Add the evidence that an attempt's export FAILED; the first writer's entry stays."""
        self._put_once(f"failed/{entry.export}.json", entry.to_json())

    def record_verified(self, entry: VerifiedEntry) -> VerifiedEntry:
        """Add the evidence of a verified attempt; the first writer's entry stays and is returned."""
        key = f"verified/{entry.export}.json"
        if self._put_once(key, entry.to_json()):
            return entry
        return self._read_one(key, VerifiedEntry.from_json) or entry

    def record_published(self, entry: PublishedEntry) -> PublishedEntry:
        """Add the evidence of a published output; the first writer's entry stays and is returned."""
        key = f"published/{entry.output}/{entry.export}/{entry.generation}.json"
        if self._put_once(key, entry.to_json()):
            return entry
        return self._read_one(key, PublishedEntry.from_json) or entry

    def read_schema(self, version: int | None = None) -> SchemaDocument:
        """Return a version of the schema document; the newest by default, an empty one if there is none.

        :raises LedgerError: there is no such version.
        """
        if version is None:
            stored = list(self._store.list_objects(f"{self.lake.ledger}/schema/"))
            if not stored:
                return SchemaDocument()
            version = int(stored[-1].key.rsplit("/", 1)[-1].removesuffix(".json"))
        if version == 0:
            return SchemaDocument()
        schema = self._read_one(_schema_path(version), SchemaDocument.from_json)
        if schema is None:
            raise LedgerError(self._uri(_schema_path(version)), "it is missing", "restore the object's older version")
        return schema

    def extend_schema(
        self, statistics: ExportStatistics, *, column_limit: int = DEFAULT_COLUMN_LIMIT
    ) -> SchemaDocument:
        """Add the columns that an export needs; two runs that do so at once agree.

        A version is written only if its number is free; who loses reads the winner's and adds to that.

        :param statistics: of all data files of the export.
        """
        for _ in range(_TRIES):
            schema = self.read_schema()
            extended = schema.extend(statistics, column_limit=column_limit)
            if extended is schema:
                self._show_schema(schema)
                return schema
            if self._put_once(_schema_path(extended.version), extended.to_json()):
                self._show_schema(extended)
                return extended
        raise ClaimConflictError(
            self._uri("schema/"), f"others added versions {_TRIES} times meanwhile", "clear this task"
        )

    def write_note(self, path: str, document: Mapping[str, Any]) -> None:
        """Write a disposable intermediate result of mapped tasks; writing it again gives the same."""
        self._store.put(f"{self.lake.ledger}/{path}", _encode(document))

    def read_note(self, path: str) -> Any:
        """Return what :meth:`write_note` wrote, None if nothing was written."""
        document, _ = self._read_with_etag(path)
        return document

    def _show_schema(self, schema: SchemaDocument) -> None:
        """Keep ``schema.json``, a copy for people and other tools, at the newest version.

        It is looked at whenever an export is merged, so that a copy that was not written for a crash is made up for.
        """
        for _ in range(_TRIES):
            shown, etag = self._read_with_etag("schema.json")
            if shown and shown.get("version", 0) >= schema.version:
                return
            if self._replace("schema.json", schema.to_json(), etag):
                return

    def _append(self, chain: Chain, decide: Callable[[Chain], Claim]) -> tuple[Claim, Chain]:
        """Add the claim that ``decide`` names, unless it is there; decide again whenever another writer was first."""
        for _ in range(_TRIES):
            claim = decide(chain)
            if claim.sequence <= len(chain.claims):
                return claim, chain
            if self._put_once(f"claims/{claim.sequence:012d}.json", claim.to_json()):
                return claim, chain.with_claim(claim)
            chain = self.read()
        raise ClaimConflictError(
            self._uri("claims/"), f"others took the next number {_TRIES} times", "none needed: the task tries again"
        )

    def _put_once(self, path: str, document: Mapping[str, Any]) -> bool:
        """Write a document if there is none; tell whether what is there now is this one."""
        content = _encode(document)
        key = f"{self.lake.ledger}/{path}"
        try:
            self._store.put_if_absent(key, content)
        except PreconditionFailedError:
            return self._store.read(key).content == content
        return True

    def _replace(self, path: str, document: Mapping[str, Any], etag: str | None) -> bool:
        if etag is None:
            return self._put_once(path, document)
        content = _encode(document)
        key = f"{self.lake.ledger}/{path}"
        try:
            self._store.put_if_match(key, content, etag)
        except PreconditionFailedError:
            return self._store.read(key).content == content
        return True

    def _read_one(self, path: str, parse: Callable[[Mapping[str, Any]], T]) -> T | None:
        document, _ = self._read_with_etag(path)
        return self._parse(f"{self.lake.ledger}/{path}", document, parse) if document is not None else None

    def _read_with_etag(self, path: str) -> tuple[Any, str | None]:
        key = f"{self.lake.ledger}/{path}"
        try:
            stored = self._store.read(key)
        except ObjectMissingError:
            return None, None
        return _decode(self._store.uri(key), stored.content), stored.etag

    def _read_all(self, folder: str, parse: Callable[[Mapping[str, Any]], T]) -> list[T]:
        keys = [stored.key for stored in self._store.list_objects(f"{self.lake.ledger}/{folder}")]

        def read(key: str) -> T:
            return self._parse(key, _decode(self._store.uri(key), self._store.read(key).content), parse)

        with ThreadPoolExecutor(_READERS) as readers:
            return list(readers.map(read, keys))

    def _parse(self, key: str, document: Any, parse: Callable[[Mapping[str, Any]], T]) -> T:
        try:
            return parse(document)
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(self._store.uri(key), error) from error

    def _uri(self, path: str) -> str:
        return self._store.uri(f"{self.lake.ledger}/{path}")


def _schema_path(version: int) -> str:
    return f"schema/{version:06d}.json"


def _first_missing(claims: Sequence[Claim]) -> int | None:
    return next((number for number, claim in enumerate(claims, start=1) if claim.sequence != number), None)


def _decide(wanted: Wanted, table_id: str, now: datetime, chain: Chain) -> Claim:
    existing = chain.newest_attempt(subject_of(export_name(wanted.request, 1)), table_id)
    if existing and existing.attempt >= (wanted.attempt or 0):
        return existing
    kind = wanted.kind
    # A chain that is not the one to be closed was opened by someone who was faster; theirs is taken.
    if kind is ClaimKind.BASE and chain.base_claim and wanted.closes_chain != chain.number:
        if not wanted.beside_chain:
            return chain.base_claim
        kind = ClaimKind.SNAPSHOT
    return chain.next_claim(kind, wanted.request, table_id, now, wanted.reason, supersedes=wanted.supersedes)


def _encode(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()


def _decode(uri: str, content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError as error:
        raise _damaged(uri, error) from error


def _damaged(uri: str, error: Exception) -> LedgerError:
    return LedgerError(
        uri, f"it is not what ddb_export writes ({type(error).__name__}: {error})", "restore the object's older version"
    )
