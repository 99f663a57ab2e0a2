"""The words by which a person finds everything that was said of an export, in whatever log: table, window, attempt, DynamoDB's id."""

from __future__ import annotations

from datetime import datetime

from ddb_export.domain.evidence import Claim, ClaimKind, VerifiedEntry
from ddb_export.domain.export import export_id
from ddb_export.domain.utc import iso
from ddb_export.domain.window import Window


def words_of_claim(table: str, claim: Claim, export_arn: str | None = None) -> str:
    """Return the words of a claim and, where it is known, of its export.

    :param table: name in the lake.
    """
    request = claim.request
    stretch = request.window or request.export_time
    return _words(table, claim.kind, stretch, claim.attempt, export_arn)


def words_of_entry(table: str, entry: VerifiedEntry) -> str:
    """Return the words of a verified export: ``orders, window [2026-11-01T00:00:00Z, 2026-11-02T00:00:00Z), attempt 1, export 01…-ab…``.

    :param table: name in the lake.
    """
    return _words(table, entry.kind, entry.window or entry.export_time, entry.attempt, entry.export_arn)


def _words(table: str, kind: ClaimKind, stretch: Window | datetime | None, attempt: int, export_arn: str | None) -> str:
    when = iso(stretch) if isinstance(stretch, datetime) else str(stretch)
    words = f"{table}, {kind} {when}, attempt {attempt}"
    return f"{words}, export {export_id(export_arn)}" if export_arn else words
