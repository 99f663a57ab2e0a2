"""Writing a lost ledger again from the raw exports and the converted files that are there.

Nothing is believed for its name: each export is verified against what its claim says, as after an export. A rebuild that was
interrupted goes on where it stopped, because the same raw exports give the same ledger.
"""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ddb_export.aws.errors import ObjectMissingError
from ddb_export.domain.evidence import Claim, Owner, PublishedEntry, VerifiedEntry
from ddb_export.domain.layout import LIVE, changes_partition, glue_name, snapshot_partition
from ddb_export.domain.manifest import EXPORT_ID, SUMMARY, ManifestSummary
from ddb_export.domain.planning_rules import output_of
from ddb_export.domain.rebuild import RawExport, Rebuilt, is_attempt, rebuild
from ddb_export.domain.retention import Removal
from ddb_export.domain.schema import SchemaDocument
from ddb_export.exceptions import UsageError, VerificationError
from ddb_export.pipeline.ledger_documents import LedgerDocuments
from ddb_export.pipeline.ledger_reading import claim_path, read_every_object
from ddb_export.pipeline.location import ExportLocation
from ddb_export.pipeline.retention_records import RetentionRecords, removal_beside
from ddb_export.pipeline.verification import VerificationLevel, read_manifests, verify_export

if TYPE_CHECKING:
    from ddb_export.aws.object_store import ObjectStore
    from ddb_export.domain.export_filter import ExportFilter
    from ddb_export.domain.layout import Lake

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FoundRaw:
    """What lies in ``raw/``.

    :param exports: attempts' folders. :param others: names of what is not ours.
    """

    exports: tuple[RawExport, ...]
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rebuild wrote, or would write.

    :param rebuilt: owner and claims. :param verified: attempts with evidence.
    :param refused: attempts that did not verify, with the first thing that is wrong.
    :param published: attempts whose converted files are there and whole.
    :param columns: columns of the schema document that were found in converted files.
    """

    rebuilt: Rebuilt
    verified: tuple[str, ...]
    refused: tuple[tuple[str, str], ...]
    published: tuple[str, ...]
    columns: int
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Work:
    """Where a ledger is rebuilt, and how."""

    store: ObjectStore
    lake: Lake
    now: datetime
    level: VerificationLevel
    database: str | None


def find_raw(store: ObjectStore, lake: Lake) -> FoundRaw:
    """Look at every folder of ``raw/`` and read the manifests."""
    exports, others = [], []
    for entry in store.list_folder(lake.key("raw")):
        name = entry.key.rstrip("/").rsplit("/", 1)[-1]
        if entry.is_folder and is_attempt(name):
            exports.append(_raw_export(store, lake, name))
        else:
            others.append(name)
    return FoundRaw(tuple(exports), tuple(others))


def rebuild_ledger(
    store: ObjectStore,
    lake: Lake,
    now: datetime,
    *,
    apply: bool,
    level: VerificationLevel = VerificationLevel.MANIFEST,
    database: str | None = None,
    bucket_owner: str | None = None,
    export_filter: ExportFilter | None = None,
) -> Outcome:
    """Say what the ledger must hold, and write it.

    :param now: by AWS's clock, or this machine's. :param apply: write it; else only say it.
    :param level: how far exports are verified. :param database: Glue database of the tables; without it what is
        published is left to the next run, which publishes it again.
    :param bucket_owner: account of the bucket, as the configuration has it. :param export_filter: what of the table
        was exported, likewise.
    :raises UsageError: there is a ledger already that says something else.
    :raises LedgerError: there is nothing that one can be made of.
    """
    work = _Work(store, lake, now, level, database)
    found = find_raw(store, lake)
    rebuilt = rebuild(found.exports, lake.bucket, lake.key("raw"), bucket_owner, export_filter)
    documents = LedgerDocuments(store, lake.ledger)
    _require_room(documents, rebuilt)
    live = {each["export_arn"]: each for each in _live_documents(store, lake, rebuilt)}
    schema = _recover_schema(store, lake, list(live.values()))
    if apply:
        _begin(documents, rebuilt, schema, lake.name)
    verified: list[VerifiedEntry] = []
    refused: list[tuple[str, str]] = []
    removals: list[Removal] = []
    for claim in rebuilt.claims:
        raw = rebuilt.found[claim.export]
        if raw.summary is None:
            continue
        document = live.get(str(raw.summary.export_arn))
        removal = removal_beside(store, lake.raw(claim.export))
        try:
            verified.append(_verify(work, claim, raw, document, removal))
        except VerificationError as error:
            refused.append((claim.export, error.cause))
        else:
            removals += [removal] if removal else []
    published = _published(work, verified, live, schema) if database and schema.columns else []
    if apply:
        _prove(documents, verified, published)
        for removal in removals:
            RetentionRecords(store, lake).begin_removal(removal)
    return Outcome(
        rebuilt,
        tuple(entry.export for entry in verified),
        tuple(refused),
        tuple(entry.export for entry in published),
        len(schema.columns),
        found.others,
    )


def _begin(documents: LedgerDocuments, rebuilt: Rebuilt, schema: SchemaDocument, name: str) -> None:
    """Write columns, claims and owner, in this order: a run that comes meanwhile must find the columns that readers know.

    :raises UsageError: someone wrote something else meanwhile.
    """
    if schema.columns:
        if not documents.put_once("schema/000001.json", schema.to_json()):
            raise _busy(documents, "schema/000001.json", "does not have the columns that the converted files have")
        documents.put_once("schema.json", schema.to_json())
    for claim in rebuilt.claims:
        if not documents.put_once(claim_path(claim.sequence), claim.to_json()):
            raise _busy(documents, f"claim {claim.sequence}")
    documents.put_once("owner.json", Owner(rebuilt.table_arn, name, rebuilt.claims[0].claimed_at).to_json())


def _prove(documents: LedgerDocuments, verified: Sequence[VerifiedEntry], published: Sequence[PublishedEntry]) -> None:
    """Write the evidence; what is there stays."""
    for verified_entry in verified:
        documents.put_once(f"verified/{verified_entry.export}.json", verified_entry.to_json())
    for entry in published:
        documents.put_once(f"published/{entry.output}/{entry.export}/{entry.generation}.json", entry.to_json())


def _require_room(documents: LedgerDocuments, rebuilt: Rebuilt) -> None:
    """Let a rebuild go on that was interrupted, and refuse to write into any other ledger."""
    chain = read_every_object(documents)
    if chain.owner:
        chain.owner.require(rebuilt.table_arn)
    there = chain.claims
    for claim, wanted in zip(there, rebuilt.claims, strict=False):
        if claim != wanted:
            raise _busy(documents, f"claim {claim.sequence}")
    if len(there) > len(rebuilt.claims):
        raise _busy(documents, f"claim {len(rebuilt.claims) + 1}")


def _busy(documents: LedgerDocuments, what: str, why: str = "is not one that the raw exports lead to") -> UsageError:
    return UsageError(
        documents.uri(),
        f"it is not empty: {what} {why}",
        "leave it as it is if it is sound; else move the ledger's folder away, then rebuild",
    )


def _raw_export(store: ObjectStore, lake: Lake, name: str) -> RawExport:
    """Read an attempt's folder; of several exports in it, the first that has a manifest counts."""
    folder = f"{lake.key('raw')}/{name}/AWSDynamoDB"
    names = [entry.key.rstrip("/").rsplit("/", 1)[-1] for entry in store.list_folder(folder) if entry.is_folder]
    ids = sorted(each for each in names if EXPORT_ID.fullmatch(each))
    for export_id in ids:
        if summary := _summary(store, f"{folder}/{export_id}"):
            return RawExport(name, export_id, summary)
    return RawExport(name, ids[0] if ids else None)


def _summary(store: ObjectStore, folder: str) -> ManifestSummary | None:
    try:
        store.stat(f"{folder}/{SUMMARY}")
    except ObjectMissingError:
        return None
    summary = read_manifests(store, ExportLocation(folder)).summary
    return summary if summary and summary.table_arn and summary.table_id else None


def _require_converted(work: _Work, removal: Removal, document: dict[str, Any] | None, entry: VerifiedEntry) -> None:
    """Refuse an export that is neither there nor converted whole.

    :raises VerificationError: it is so.
    """
    if document is None or not is_whole(work.store, work.lake, document, entry):
        raise VerificationError(
            work.store.uri(work.lake.raw(entry.export)),
            f"{removal.words}, but its converted files are not whole",
            "restore them from the bucket's older versions",
        )


def _verify(
    work: _Work, claim: Claim, raw: RawExport, document: dict[str, Any] | None, removal: Removal | None
) -> VerifiedEntry:
    """Verify an export; of one whose data files retention has removed, its manifests and what was converted.

    :param document: what ``_live.json`` says of it; None if it is not shown.
    """
    store, lake = work.store, work.lake
    location = ExportLocation(f"{lake.key('raw')}/{raw.name}/AWSDynamoDB/{raw.export_id}")
    manifests = read_manifests(store, location)
    looked_at = replace(manifests, files=()) if removal else manifests
    report = verify_export(store, looked_at, level=work.level, expected=claim.request, table_id=claim.table_id)
    report.require_ok()
    summary, request = manifests.summary, claim.request
    if summary is None:
        raise VerificationError(store.uri(location.summary_key), "it is missing", "restore it")
    entry = VerifiedEntry(
        export=claim.export,
        kind=claim.kind,
        attempt=claim.attempt,
        export_arn=str(summary.export_arn),
        table_arn=request.table_arn,
        table_id=claim.table_id,
        export_time=request.export_time,
        start=request.window.start if request.window else None,
        end=request.window.end if request.window else None,
        view=str(request.view) if request.view else None,
        bucket=request.bucket,
        manifest_key=location.summary_key,
        level=removal.level if removal else str(report.level),
        files=len(manifests.files),
        item_count=summary.item_count or 0,
        bytes_read=removal.data_bytes if removal else report.bytes,
        billed_bytes=summary.billed_bytes or 0,
        ttl_attribute=_ttl_attribute(document),
        verified_at=work.now,
        export_filter=str(request.export_filter) if request.export_filter else None,
    )
    if removal and not removal.successors:
        _require_converted(work, removal, document, entry)
    return entry


def _live_documents(store: ObjectStore, lake: Lake, rebuilt: Rebuilt) -> Iterator[dict[str, Any]]:
    """Yield what ``_live.json`` says in each partition that the claims can have."""
    partitions = {
        changes_partition(claim.window.start, claim.window.end)
        if claim.window
        else snapshot_partition(claim.request.export_time or claim.claimed_at)
        for claim in rebuilt.claims
    }
    for partition in sorted(partitions):
        key = lake.key(f"{partition}/{LIVE}")
        try:
            document = json.loads(store.read(key).content)
            # What is used later is touched here, so that a file of another form is passed over as a whole.
            _ = (document["export_arn"], document["generation"], document["schema_fingerprint"])
            _ = [(each["path"], int(each["bytes"])) for each in document["files"]]
            _ = (int(document["rows"]), int(document["quarantined"]))
        except ObjectMissingError:
            continue
        except (ValueError, KeyError, TypeError):
            log.warning("%s is not what ddb_export writes; its partition is published again", store.uri(key))
            continue
        yield {**document, "partition": partition}


def _ttl_attribute(live: dict[str, Any] | None) -> str | None:
    """Return the TTL attribute that files were converted with: the converter's version names it."""
    _, separator, name = str((live or {}).get("converter_version", "")).partition("+ttl=")
    return name if separator else None


def _recover_schema(store: ObjectStore, lake: Lake, live: Sequence[dict[str, Any]]) -> SchemaDocument:
    """Read the columns back from the converted files that have most: published columns stay, so the others have a part of them."""
    from ddb_export.conversion.inverse import read_columns

    best = SchemaDocument()
    seen: set[str] = set()
    for document in live:
        if not document["files"] or document["schema_fingerprint"] in seen:
            continue
        key = lake.key(f"{document['partition']}/{document['files'][0]['path']}")
        try:
            content = store.read(key).content
        except ObjectMissingError:
            log.warning("%s is gone; its columns are looked for in other files", store.uri(key))
            continue
        seen.add(document["schema_fingerprint"])
        columns = read_columns(io.BytesIO(content))
        if len(columns) > len(best.columns):
            best = SchemaDocument(1, columns)
    return best


def _published(
    work: _Work, verified: Sequence[VerifiedEntry], live: dict[str, dict[str, Any]], schema: SchemaDocument
) -> list[PublishedEntry]:
    """Return the evidence of what is converted whole; whatever is not, the next run publishes."""
    found = []
    store, lake = work.store, work.lake
    for entry in verified:
        document = live.get(entry.export_arn)
        if document is None or not is_whole(store, lake, document, entry):
            continue
        output = output_of(entry.kind)
        folder = f"{document['partition']}/{document['generation']}"
        found.append(
            PublishedEntry(
                output=output,
                export=entry.export,
                generation=document["generation"],
                location=lake.uri(folder) + "/",
                partition=document["partition"],
                glue_table=f"{work.database}.{glue_name(lake.name)}_{output}",
                files=len(document["files"]),
                rows=int(document["rows"]),
                quarantined=int(document["quarantined"]),
                output_bytes=sum(int(each["bytes"]) for each in document["files"]),
                schema_version=schema.version,
                schema_fingerprint=document["schema_fingerprint"],
                published_at=work.now,
                redaction=_redaction(document),
                entities=document.get("entities"),
                **_compacted(document, work.now),
            )
        )
    return found


def _compacted(live: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Return what evidence of compacted files says besides; nothing for converted ones."""
    target = re.match(r"compact=(\d+);", str(live.get("converter_version")))
    if target is None or not live.get("made_from"):
        return {}
    return {"made_from": live["made_from"]["generation"], "target_file_bytes": int(target[1]), "compacted_at": now}


def _redaction(live: dict[str, Any]) -> dict[str, Any] | None:
    """Return what the contract took out of a partition; None where a version wrote ``_live.json`` that did not say it."""
    redaction: dict[str, Any] | None = live.get("redaction")
    if redaction is None and "+contract=" not in str(live.get("converter_version", "")):
        return {}
    return redaction


def is_whole(store: ObjectStore, lake: Lake, document: dict[str, Any], entry: VerifiedEntry) -> bool:
    """Tell whether all files of a generation are there, and hold every record of the export.

    :param document: what ``_live.json`` says, with the ``partition`` that it lies in.
    """
    folder = lake.key(f"{document['partition']}/{document['generation']}/")
    sizes = {each.key: each.size for each in store.list_objects(folder)}
    wanted = {lake.key(f"{document['partition']}/{each['path']}"): int(each["bytes"]) for each in document["files"]}
    counted = int(document["rows"]) + int(document["quarantined"])
    return all(sizes.get(key) == size for key, size in wanted.items()) and counted == entry.item_count
