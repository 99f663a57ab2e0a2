"""The facts that a ledger is made of: its owner, claims, and the evidence of what failed, was verified, was published.

The ledger is an append-only record beside the data. Claims are numbered, each number written once; evidence is written once
and never changed. What follows from these facts is derived in :mod:`ddb_export.domain.ledger`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from ddb_export.domain.export import ExportRequest, client_token, export_name
from ddb_export.domain.utc import iso, parse_utc
from ddb_export.domain.window import Window
from ddb_export.exceptions import OwnershipError

LEDGER_FORMAT = 1
"""Version of the ledger's form. A ledger of a newer form is refused, never guessed at."""


@dataclass(frozen=True, slots=True)
class DeclaredTable:
    """Which DynamoDB table a configuration means, as far as it says so.

    :param table: name or ARN. :param region: its region, :param account: its account; None where nothing says them.
    """

    table: str
    region: str | None = None
    account: str | None = None


class ClaimKind(StrEnum):
    """What a claim is for."""

    BASE = "base"
    WINDOW = "window"
    SNAPSHOT = "snapshot"
    """One more full export beside the chain, which it leaves as it is."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose ledger this is.

    :param table_arn: ARN of the table whose chain is kept here.
    :param name: the table's name in the configuration.
    :param created_at: when the ledger was begun, by AWS's clock.
    """

    table_arn: str
    name: str
    created_at: datetime
    ledger_format: int = LEDGER_FORMAT

    def require(self, table_arn: str) -> None:
        """Refuse another table's ledger, and one that a newer version of this package wrote.

        :raises OwnershipError: either is the case.
        """
        self.require_known_format()
        if self.table_arn != table_arn:
            raise OwnershipError(
                f"ledger of {self.name}",
                f"it belongs to {self.table_arn}, not to {table_arn}",
                "give this table a name or prefix of its own in the configuration",
            )

    def require_declared(self, declared: DeclaredTable) -> None:
        """Refuse another table's ledger, as far as a configuration says which table it means.

        :raises OwnershipError: it is another's, or a newer version of this package wrote it.
        """
        _, partition, _, region, account, _ = self.table_arn.split(":", 5)
        place = f"{declared.region or region}:{declared.account or account}"
        named = f"arn:{partition}:dynamodb:{place}:table/{declared.table}"
        self.require(declared.table if declared.table.startswith("arn:") else named)

    def require_known_format(self) -> None:
        """Refuse a ledger that a newer version of this package wrote.

        :raises OwnershipError: it is one.
        """
        if self.ledger_format > LEDGER_FORMAT:
            raise OwnershipError(
                f"ledger of {self.name}",
                f"it has format {self.ledger_format}, this version of ddb_export knows {LEDGER_FORMAT}",
                "upgrade ddb_export where this ran",
            )

    def to_json(self) -> dict[str, Any]:
        """Return the object that :meth:`from_json` reads."""
        return {
            "format": self.ledger_format,
            "table_arn": self.table_arn,
            "name": self.name,
            "created_at": iso(self.created_at),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Owner:
        """Read what :meth:`to_json` wrote."""
        return cls(document["table_arn"], document["name"], parse_utc(document["created_at"]), int(document["format"]))


@dataclass(frozen=True, slots=True)
class Claim:
    """An attempt at an export, fixed before DynamoDB is asked for it.

    A claim has no owner, so it cannot stick: whoever finds it unfinished goes on with it, with the same
    request and the same token.

    :param sequence: its number in the ledger, from 1 without a gap.
    :param chain: number of the chain; each base opens one.
    :param kind: base or window.
    :param attempt: 1 for the first attempt at these boundaries.
    :param request: exactly what DynamoDB is asked for, the private S3 prefix included.
    :param table_id: TableId of the table when the claim was made.
    :param claimed_at: when, by AWS's clock.
    :param reason: why, in words for people.
    :param supersedes: subjects of the windows whose place it takes, alone or with others, once all of them are verified.
    :param took_over: for the base that a snapshot became: number of the snapshot's claim, under which the export is billed.
    """

    sequence: int
    chain: int
    kind: ClaimKind
    attempt: int
    request: ExportRequest
    table_id: str
    claimed_at: datetime
    reason: str
    supersedes: tuple[str, ...] = ()
    took_over: int | None = None

    @property
    def export(self) -> str:
        """Name of the attempt, and of its raw folder."""
        return export_name(self.request, self.attempt)

    @property
    def subject(self) -> str:
        """What is claimed, whichever the attempt: the name of the first attempt without its number."""
        return subject_of(self.export)

    @property
    def client_token(self) -> str:
        """The ClientToken of the attempt."""
        return client_token(self.table_id, self.request, self.attempt)

    @property
    def window(self) -> Window | None:
        """The window, None for a base."""
        return self.request.window

    def asks_for(self, request: ExportRequest) -> bool:
        """Tell whether the claim asks for the same, its private prefix aside."""
        return replace(self.request, s3_prefix=request.s3_prefix) == request

    def to_json(self) -> dict[str, Any]:
        """Return the object that :meth:`from_json` reads; ``client_token`` and ``export`` are in it for people."""
        return {
            "sequence": self.sequence,
            "chain": self.chain,
            "kind": str(self.kind),
            "export": self.export,
            "attempt": self.attempt,
            "table_id": self.table_id,
            "client_token": self.client_token,
            "claimed_at": iso(self.claimed_at),
            "reason": self.reason,
            **({"supersedes": list(self.supersedes)} if self.supersedes else {}),
            **({"took_over": self.took_over} if self.took_over else {}),
            "request": self.request.to_json(),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Claim:
        """Read what :meth:`to_json` wrote."""
        return cls(
            sequence=int(document["sequence"]),
            chain=int(document["chain"]),
            kind=ClaimKind(document["kind"]),
            attempt=int(document["attempt"]),
            request=ExportRequest.from_json(document["request"]),
            table_id=document["table_id"],
            claimed_at=parse_utc(document["claimed_at"]),
            reason=document["reason"],
            supersedes=tuple(document.get("supersedes", ())),
            took_over=document.get("took_over"),
        )


@dataclass(frozen=True, slots=True)
class FailedEntry:
    """What DynamoDB said of an attempt whose export FAILED.

    :param export: name of the attempt.
    :param failure_code: an open set; ``failure_message`` in AWS's words.
    :param failed_at: when DynamoDB ended it.
    """

    export: str
    export_arn: str
    failure_code: str | None
    failure_message: str | None
    failed_at: datetime | None

    def to_json(self) -> dict[str, Any]:
        """Return a flat object that :meth:`from_json` reads."""
        return _flat(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> FailedEntry:
        """Read what :meth:`to_json` wrote; keys of newer versions are passed over."""
        return cls(**_known(cls, document, ("failed_at",)))


@dataclass(frozen=True, slots=True)
class VerifiedEntry:
    """Evidence that one attempt's export is whole and what was asked.

    :param export: name of the attempt.
    :param level: ``bytes`` or ``manifest``: how far it was verified.
    :param item_count: records in the export; ``billed_bytes`` what AWS bills for it; ``files`` its data files.
    :param bytes_read: size of the data files together.
    :param manifest_key: object key of manifest-summary.json.
    :param ttl_attribute: the table's TTL attribute when this was verified, None while TTL was off.
    :param verified_at: when, by AWS's clock.
    :param export_filter: the filter that it was exported with, in words; the claim has all of it. None for the whole table.
    """

    export: str
    kind: ClaimKind
    attempt: int
    export_arn: str
    table_arn: str
    table_id: str
    export_time: datetime | None
    start: datetime | None
    end: datetime | None
    view: str | None
    bucket: str
    manifest_key: str
    level: str
    files: int
    item_count: int
    bytes_read: int
    billed_bytes: int
    ttl_attribute: str | None
    verified_at: datetime
    export_filter: str | None = None

    @property
    def window(self) -> Window | None:
        """The window, None for a full export."""
        return Window(self.start, self.end) if self.start and self.end else None

    @property
    def subject(self) -> str:
        """What was exported, whichever the attempt."""
        return subject_of(self.export)

    def to_json(self) -> dict[str, Any]:
        """Return a flat object that :meth:`from_json` reads."""
        return _flat(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> VerifiedEntry:
        """Read what :meth:`to_json` wrote; keys of newer versions are passed over."""
        values = _known(cls, document, ("export_time", "start", "end", "verified_at"))
        return cls(**{**values, "kind": ClaimKind(values["kind"])})


@dataclass(frozen=True, slots=True)
class PublishedEntry:
    """Evidence that one output of one verified attempt can be read.

    :param output: ``snapshots`` or ``changes``.
    :param export: name of the attempt.
    :param generation: name of the generation of files.
    :param location: ``s3://`` URI of the generation's folder, with a final slash.
    :param rows: rows in it; ``quarantined`` lines that were no valid record.
    :param glue_table: ``database.table`` where it is registered.
    :param overflowed: attribute → reason → rows of what no column could hold
        (:func:`ddb_export.domain.overflow.overflow_reasons`); None where a version wrote it that did not count yet.
    :param redaction: what the contract took out of it (:meth:`ddb_export.domain.redaction.Redaction.to_json`); None where a version
        wrote it that did not record it yet, or of raw files.
    :param entities: which columns the rows of each entity have (:func:`ddb_export.domain.entities.found_json`); None where none were declared.
    :param made_from: generation whose files were merged to these; None for converted files.
    :param target_file_bytes: size that they were merged up to; ``compacted_at`` when. The time of publication is that of the
        converted files.
    """

    output: str
    export: str
    generation: str
    location: str
    partition: str
    glue_table: str
    files: int
    rows: int
    quarantined: int
    output_bytes: int
    schema_version: int
    schema_fingerprint: str
    published_at: datetime
    overflowed: Mapping[str, Mapping[str, int]] | None = None
    redaction: Mapping[str, Any] | None = None
    entities: Mapping[str, Any] | None = None
    made_from: str | None = None
    target_file_bytes: int | None = None
    compacted_at: datetime | None = None

    @property
    def order(self) -> tuple[object, ...]:
        """What tells which of two is the later one of a partition.

        One second may hold two generations; that of the newer columns is the later one. Compacted files come right after those that
        they are made of, whatever the clocks say; they are compacted again only to fewer.
        """
        return (
            self.published_at,
            self.schema_version,
            self.export,
            self.made_from is not None,
            -self.files if self.made_from else 0,
            self.generation,
        )

    def to_json(self) -> dict[str, Any]:
        """Return a flat object that :meth:`from_json` reads; what is said of compacted files is in it for these only."""
        of_compacted = ("made_from", "target_file_bytes", "compacted_at", "entities")
        return {name: value for name, value in _flat(self).items() if value is not None or name not in of_compacted}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> PublishedEntry:
        """Read what :meth:`to_json` wrote; keys of newer versions are passed over."""
        return cls(**_known(cls, document, ("published_at", "compacted_at")))


def subject_of(export: str) -> str:
    """Return the name of an attempt without the number of the attempt."""
    return export.rsplit("-a", 1)[0]


def attempt_of(export: str) -> int:
    """Return the number of an attempt, from its name."""
    return int(export.rsplit("-a", 1)[1])


def not_verified(
    exports: Sequence[str], verified: Sequence[VerifiedEntry], superseded: Collection[str] = ()
) -> list[str]:
    """Return those of these attempts of which neither they nor later ones are verified.

    :param exports: names of attempts, as a run planned them. :param verified: evidence of the same.
    :param superseded: subjects whose place others have taken: nothing of these is missing.
    """
    proved: dict[str, int] = {}
    for entry in verified:
        proved[entry.subject] = max(entry.attempt, proved.get(entry.subject, 0))
    wanted = [export for export in exports if subject_of(export) not in superseded]
    return [export for export in wanted if attempt_of(export) > proved.get(subject_of(export), 0)]


def _flat(entry: Any) -> dict[str, Any]:
    return {
        name: iso(value) if isinstance(value, datetime) else str(value) if isinstance(value, StrEnum) else value
        for name, value in asdict(entry).items()
    }


def _known(entry_type: type[Any], document: Mapping[str, Any], times: Iterable[str]) -> dict[str, Any]:
    required = {each.name for each in fields(entry_type) if each.default is MISSING}
    if missing := sorted(required - document.keys()):
        raise KeyError(missing[0])
    values: dict[str, Any] = {each.name: document[each.name] for each in fields(entry_type) if each.name in document}
    values.update({name: parse_utc(values[name]) for name in times if values.get(name)})
    return values
