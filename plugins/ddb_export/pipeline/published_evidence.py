"""The evidence of a published export: what a generation that readers can see proves, as the ledger keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from ddb_export.domain.ledger import PublishedEntry, VerifiedEntry
from ddb_export.domain.planning import output_of

if TYPE_CHECKING:
    from ddb_export.pipeline.conversion import Generation, Published


def evidence_of(
    entry: VerifiedEntry,
    generation: Generation,
    published: Published,
    *,
    full_name: str,
    location: str,
    overflowed: Mapping[str, Mapping[str, int]],
    now: datetime,
) -> PublishedEntry:
    """Return the evidence that a generation of an export can be read.

    :param full_name: ``database.table`` in Glue. :param location: URI of the generation's folder.
    """
    return PublishedEntry(
        output=output_of(entry.kind),
        export=entry.export,
        generation=generation.name,
        location=location,
        partition=generation.partition,
        glue_table=full_name,
        files=len(published.files),
        rows=published.rows,
        quarantined=published.quarantined,
        output_bytes=sum(size for _, _, size in published.files),
        schema_version=generation.schema.version,
        schema_fingerprint=generation.schema.fingerprint,
        published_at=now,
        overflowed=overflowed,
        redaction=generation.contract.redaction.to_json(),
        entities=published.entities,
    )
