"""How a ledger becomes a chain: from a summary and what came after it, or from every object.

Claims are read before the evidence about them. As both are written once and never changed, what is read is true, though it may be
old when the reading ends: evidence may have been added meanwhile, none can have gone.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ddb_export.domain.evidence import Claim, Owner, VerifiedEntry
from ddb_export.domain.ledger import Chain
from ddb_export.domain.planning_rules import outputs_of
from ddb_export.domain.summary import Summary, summarise
from ddb_export.exceptions import LedgerError
from ddb_export.pipeline.ledger_documents import LedgerDocuments
from ddb_export.pipeline.retention_records import REMOVING, removing_path

log = logging.getLogger(__name__)

SUMMARY_PATH = "summary.json"
"""Where the disposable summary lies, below the ledger."""

_MOST_PROBES = 64
"""Most entries that are asked for one by one; where more are unknown, their folder is listed, 1,000 to a request."""

_LONGEST_TAIL = 16
"""Claims after the summary that are read one by one; more of them, as after an outage, are worth a new summary."""

_LISTINGS = 5


def claim_path(sequence: int) -> str:
    """Return where a claim lies, below the ledger; the names sort as the numbers do."""
    return f"claims/{sequence:012d}.json"


def verified_path(export: str) -> str:
    """Return where the evidence of a verified attempt lies, below the ledger."""
    return f"verified/{export}.json"


def read_chain(documents: LedgerDocuments, outputs: Sequence[str]) -> Chain:
    """Read a ledger with the help of its summary.

    :param outputs: outputs whose publication is asked about; none for none.
    :raises LedgerError: an entry cannot be read, or a number is missing among the claims.
    :raises OwnershipError: a newer version of this package wrote it.
    """
    chain = read_claims(documents, outputs)
    chain = replace(chain, verified={**chain.verified, **_newly_verified(documents, chain)})
    return replace(chain, published=chain.published | _newly_published(documents, chain, outputs))


def read_claims(documents: LedgerDocuments, outputs: Sequence[str] = ()) -> Chain:
    """Read what is claimed, with the help of the summary; of the evidence only what the summary knew.

    :param outputs: outputs that the summary must have been made for. :raises LedgerError: as :func:`read_chain`.
    :raises OwnershipError: as :func:`read_chain`.
    """
    owner = read_owner(documents)
    summary = _read_summary(documents, outputs)
    known = summary.of(owner) if summary else Chain(owner)
    return replace(known, claims=(*known.claims, *_claims_after(documents, known.settled_sequence)))


def read_every_claim(documents: LedgerDocuments) -> tuple[Claim, ...]:
    """Read all claims, in order of their numbers, without a summary.

    :raises LedgerError: one cannot be read, or a number is missing.
    """
    return _claims_after(documents, 0)


def read_every_object(documents: LedgerDocuments) -> Chain:
    """Read all claims and all evidence, and no summary: the proof rests on nothing else.

    :raises LedgerError: an entry cannot be read, or a number is missing among the claims.
    :raises OwnershipError: a newer version of this package wrote it.
    """
    owner = read_owner(documents)
    claims = read_every_claim(documents)
    verified = documents.read_each(documents.paths("verified/"), VerifiedEntry.from_json)
    published = (path.split("/") for path in documents.paths("published/"))
    return Chain(
        owner,
        claims,
        {entry.export: entry for entry in verified},
        frozenset((output, export) for _, output, export, _ in published),
    )


def write_summary(documents: LedgerDocuments, chain: Chain, outputs: Sequence[str]) -> None:
    """Leave a summary for the next reader, if it saves that one anything; the last writer's stays.

    :param chain: what :func:`read_chain` returned for these outputs.
    """
    summary = summarise(chain, outputs)
    if summary.chain.settled != chain.settled or chain.last_sequence - chain.settled_sequence > _LONGEST_TAIL:
        documents.put(SUMMARY_PATH, summary.to_json())


def read_owner(documents: LedgerDocuments) -> Owner | None:
    """Read whose ledger it is; None if it was never begun.

    :raises OwnershipError: a newer version of this package wrote it.
    """
    owner = documents.read("owner.json", Owner.from_json)
    if owner:
        owner.require_known_format()
    return owner


def _read_summary(documents: LedgerDocuments, outputs: Sequence[str]) -> Summary | None:
    """Read the summary; what cannot be used is passed over, because the ledger itself says the same."""
    try:
        summary = documents.read(SUMMARY_PATH, Summary.from_json)
    except LedgerError as error:
        log.warning("%s; the whole ledger is read, and a new summary written", error)
        return None
    if summary is None or not summary.serves(outputs):
        return None
    last = summary.chain.settled_sequence
    if summary.last_claim is None or documents.read(claim_path(last), Claim.from_json) != summary.last_claim:
        # The claims were lost, and perhaps rebuilt with other numbers, since.
        log.warning(
            "%s speaks of another claim %s than there is; the whole ledger is read", documents.uri(SUMMARY_PATH), last
        )
        return None
    return summary


def _claims_after(documents: LedgerDocuments, sequence: int) -> tuple[Claim, ...]:
    for _ in range(_LISTINGS):
        paths = documents.paths("claims/", start_after=claim_path(sequence))
        claims = sorted(documents.read_each(paths, Claim.from_json), key=lambda claim: claim.sequence)
        numbered = enumerate(claims, start=sequence + 1)
        missing = next((number for number, claim in numbered if claim.sequence != number), None)
        if missing is None:
            return tuple(claims)
        # A listing of a local folder may show a file and not the one that was written before it; S3's never does.
    raise LedgerError(
        documents.uri("claims/"),
        f"claim {missing} is missing",
        "restore it from the bucket's older versions; the ledger must never be under a lifecycle rule",
    )


def _newly_verified(documents: LedgerDocuments, chain: Chain) -> dict[str, VerifiedEntry]:
    """Read the evidence of claims that none was known of.

    About the present table alone anything can still change. Without a summary that of earlier tables is read too, so that their
    windows are folded with the others; and that of the chain before, while it alone says how far there is complete data.
    """
    whole = chain.settled_sequence == 0
    before = chain.number - 1 if chain.base is None else None
    best = {subject: entry.attempt for subject, entry in chain.verified_subjects.items()}
    unknown = [
        claim.export
        for claim in chain.claims
        if claim.export not in chain.verified
        if whole
        or claim.chain == before
        or (claim.table_id == chain.table_id and claim.attempt > best.get(claim.subject, 0))
    ]
    if len(unknown) > _MOST_PROBES:
        # Names sort by time, and what is unknown is young: the listing need not begin with the first window of all.
        existing = set(documents.paths("verified/", start_after=_just_before(verified_path(min(unknown)))))
        unknown = [export for export in unknown if verified_path(export) in existing]
    entries = documents.read_each(map(verified_path, unknown), VerifiedEntry.from_json)
    return {entry.export: entry for entry in entries}


def _newly_published(documents: LedgerDocuments, chain: Chain, outputs: Sequence[str]) -> frozenset[tuple[str, str]]:
    """Ask which outputs of verified attempts were published, of those that it was not known of.

    What retention has removed the raw data of counts as published: an output that was asked for later cannot be made of it any more.
    """
    entries = chain.verified.values()
    pairs = {(output, entry.export) for entry in entries for output in outputs_of(entry.kind, outputs)}
    unknown = sorted(pairs - chain.published)
    if len(unknown) > _MOST_PROBES:
        found = frozenset(_listed_as_published(documents, unknown)).intersection(unknown)
    else:
        exist = documents.exist_below(f"published/{output}/{export}/" for output, export in unknown)
        found = frozenset(pair for pair, is_published in zip(unknown, exist, strict=True) if is_published)
    removed = _removed(documents, sorted({export for _, export in set(unknown) - found}))
    return found.union(pair for pair in unknown if pair[1] in removed)


def _removed(documents: LedgerDocuments, exports: Sequence[str]) -> frozenset[str]:
    """Return those of these attempts whose raw data retention has removed."""
    if len(exports) > _MOST_PROBES:
        paths = documents.paths(REMOVING, start_after=_just_before(removing_path(exports[0])))
        return frozenset(path.removeprefix(REMOVING).removesuffix(".json") for path in paths)
    gone = documents.exist_below(map(removing_path, exports))
    return frozenset(export for export, is_gone in zip(exports, gone, strict=True) if is_gone)


def _listed_as_published(documents: LedgerDocuments, unknown: Sequence[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    for output in {output for output, _ in unknown}:
        first = min(export for each, export in unknown if each == output)
        folder = f"published/{output}/"
        for path in documents.paths(folder, start_after=_just_before(f"{folder}{first}/")):
            yield output, path.split("/")[2]


def _just_before(path: str) -> str:
    """Return a name that sorts before a path and behind all that sorts before it and is no beginning of it."""
    return path[:-1]
