"""What readers of the lake see now, derived from the evidence: one published entry for each partition."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ddb_export.domain.evidence import PublishedEntry, subject_of
from ddb_export.domain.ledger import Chain


def shown_entries(chain: Chain, entries: Iterable[PublishedEntry]) -> list[PublishedEntry]:
    """Return the entry behind each partition, in order of outputs and partitions.

    The newest evidence of a partition counts, whichever the attempt and the generation. Partitions of an earlier table of the same name
    are among them; windows whose place others took are not.

    :param chain: all claims and all evidence. :param entries: all evidence of publication.
    """
    tables = {entry.export: entry.table_id for entry in chain.verified.values()}
    superseded = {table_id: _superseded(chain, table_id) for table_id in set(tables.values())}
    newest: dict[tuple[str, str], PublishedEntry] = {}
    for entry in entries:
        if entry.export not in tables or subject_of(entry.export) in superseded[tables[entry.export]]:
            continue
        other = newest.get((entry.output, entry.partition))
        if other is None or entry.order > other.order:
            newest[entry.output, entry.partition] = entry
    return [newest[key] for key in sorted(newest)]


def _superseded(chain: Chain, table_id: str) -> frozenset[str]:
    claims = tuple(claim for claim in chain.claims if claim.table_id == table_id)
    verified = {name: entry for name, entry in chain.verified.items() if entry.table_id == table_id}
    return replace(chain, claims=claims, verified=verified).superseded
