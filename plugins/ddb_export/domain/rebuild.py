"""A ledger that was lost, thought out again from the raw exports that are there.

A raw export's folder names the attempt, its manifest says what was asked and of which table. What the manifests do not say is
decided by rules: for each TableId, in the order in which they appear, the base of the chain is the earliest full export, or a later
one at whose very moment windows begin that reach farther, as they do behind a new base; the other full exports are
snapshots. A folder without a manifest, an export that runs,
FAILED or was damaged, becomes a claim that is not verified, so that the next run finds out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ddb_export.domain.evidence import Claim, ClaimKind
from ddb_export.domain.export import ExportRequest, ExportType, ExportViewType
from ddb_export.domain.export_filter import ExportFilter
from ddb_export.domain.manifest import ManifestSummary
from ddb_export.domain.utc import parse_compact
from ddb_export.domain.window import Stretch, Window, joined, window_of
from ddb_export.exceptions import LedgerError

REASON = "found in raw/ when the ledger was rebuilt"

_FOLDER = re.compile(
    r"(?:full-(?P<time>\d{8}T\d{4,6}Z)|(?P<window>\d{8}T\d{4,6}Z-\d{8}T\d{4,6}Z))-a(?P<attempt>[1-9]\d*)"
)


@dataclass(frozen=True, slots=True)
class RawExport:
    """One attempt's folder in ``raw/``.

    :param name: of the folder, which is that of the attempt.
    :param export_id: of the export in it that counts; None if there is none.
    :param summary: its manifest; None if there is none, or none that can be read.
    """

    name: str
    export_id: str | None = None
    summary: ManifestSummary | None = None

    @property
    def began_at(self) -> datetime:
        """When the export began: by its manifest, else by its id, else long ago."""
        if self.summary and self.summary.start_time:
            return self.summary.start_time.replace(microsecond=0)
        milliseconds = (self.export_id or "0").split("-", 1)[0]
        return datetime.fromtimestamp(int(milliseconds) // 1000, UTC)


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a ledger must hold.

    :param table_arn: whose it is.
    :param claims: in order. :param found: the raw export of each, by name of the attempt.
    :param notes: what a person should know.
    """

    table_arn: str
    claims: tuple[Claim, ...]
    found: Mapping[str, RawExport]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Attempt:
    raw: RawExport
    attempt: int
    export_time: datetime | None
    window: Window | None
    table_id: str

    @property
    def subject(self) -> str:
        return self.raw.name.rsplit("-a", 1)[0]


def is_attempt(name: str) -> bool:
    """Tell whether a folder's name is that of an attempt."""
    match = _FOLDER.fullmatch(name)
    if match is None:
        return False
    try:
        _ = parse_compact(match["time"]) if match["time"] else window_of(match["window"])
    except ValueError:
        return False
    return True


def rebuild(
    raw_exports: Sequence[RawExport],
    bucket: str,
    raw_folder: str,
    bucket_owner: str | None = None,
    export_filter: ExportFilter | None = None,
) -> Rebuilt:
    """Decide what the ledger of these raw exports must hold; the same exports give the same ledger.

    :param raw_exports: attempts' folders, in any order.
    :param bucket: bucket of the lake. :param raw_folder: key prefix of ``raw/``, without a final slash.
    :param bucket_owner: account of the bucket, as the configuration has it; manifests do not name it.
    :param export_filter: what of the table all of them hold, likewise.
    :raises LedgerError: there is no manifest at all, or they are of several tables.
    """
    summaries = [each.summary for each in raw_exports if each.summary]
    arns = sorted({str(summary.table_arn) for summary in summaries})
    if len(arns) != 1:
        raise LedgerError(
            f"s3://{bucket}/{raw_folder}/",
            f"its exports are of {len(arns)} tables{': ' if arns else ''}{', '.join(arns)}",
            "keep one table's exports in it" if arns else "begin again: trigger the DAG by hand with new_base: true",
        )
    ordered = sorted(raw_exports, key=lambda each: (each.began_at, not each.name.startswith("full-"), each.name))
    known = [each.summary for each in ordered if each.summary]
    attempts = _attempts(ordered, str(known[0].table_id))
    chains = {table_id: number for number, table_id in enumerate(dict.fromkeys(each.table_id for each in attempts), 1)}
    bases = {table_id: _base_of([each for each in attempts if each.table_id == table_id]) for table_id in chains}
    usual = _Usual(
        next((summary.output_view for summary in known if summary.output_view), None),
        next((summary.kms_key for summary in known if summary.kms_key), None),
        bucket_owner,
        export_filter,
    )
    claims: list[Claim] = []
    for each in attempts:
        request = _request(each, arns[0], bucket, f"{raw_folder}/{each.raw.name}", usual)
        claims.append(
            Claim(
                sequence=len(claims) + 1,
                chain=chains[each.table_id],
                kind=_kind(each, bases[each.table_id]),
                attempt=each.attempt,
                request=request,
                table_id=each.table_id,
                claimed_at=each.raw.began_at,
                reason=REASON,
                supersedes=_superseded_by(each, claims),
            )
        )
    notes = [f"no full export of TableId {table_id}: no base" for table_id, base in bases.items() if base is None]
    if export_filter:
        notes.append(f"manifests name no filter; all exports are taken for ones with {export_filter}, as configured")
    return Rebuilt(arns[0], tuple(claims), {each.name: each for each in raw_exports}, tuple(notes))


@dataclass(frozen=True, slots=True)
class _Usual:
    """What the exports of the table are asked for with, where a manifest does not say it."""

    view: ExportViewType | None
    kms_key: str | None
    bucket_owner: str | None
    export_filter: ExportFilter | None


def _attempts(ordered: Sequence[RawExport], table_id: str) -> list[_Attempt]:
    """Read names and manifests; an attempt without a manifest counts for the table of the one before it."""
    found = []
    for raw in ordered:
        match = _FOLDER.fullmatch(raw.name)
        if match is None:
            raise ValueError(f"{raw.name} is no name of an attempt")
        table_id = str(raw.summary.table_id) if raw.summary else table_id
        moment = parse_compact(match["time"]) if match["time"] else None
        window = window_of(match["window"]) if match["window"] else None
        found.append(_Attempt(raw, int(match["attempt"]), moment, window, table_id))
    return found


def _base_of(attempts: Sequence[_Attempt]) -> str | None:
    """Return the subject of the base.

    A snapshot that happens to lie in a window behind a hole must not become it: the hole would be forgotten.
    """
    whole = [each.window for each in attempts if each.window and each.raw.summary]
    windows, starts = joined(sorted(whole)), {window.start for window in whole}
    fulls = [each for each in attempts if each.export_time]
    fulls = sorted(
        [each for each in fulls if each.raw.summary] or fulls,
        key=lambda each: (each.export_time or each.raw.began_at, each.attempt),
    )
    if not fulls:
        return None
    candidates = [fulls[0], *(each for each in fulls[1:] if each.export_time in starts)]
    return max(candidates, key=lambda each: _reach(each, windows)).subject


def _reach(base: _Attempt, windows: Sequence[Stretch]) -> datetime:
    if base.export_time is None:
        raise ValueError("a base has an export_time")
    return next((each.end for each in windows if each.start <= base.export_time < each.end), base.export_time)


def _kind(attempt: _Attempt, base: str | None) -> ClaimKind:
    if attempt.window:
        return ClaimKind.WINDOW
    return ClaimKind.BASE if attempt.subject == base else ClaimKind.SNAPSHOT


def _superseded_by(attempt: _Attempt, earlier: Sequence[Claim]) -> tuple[str, ...]:
    """Return the windows of earlier claims that this one overlaps: only a window that takes their place may."""
    if attempt.window is None:
        return ()
    window = attempt.window
    first = next((claim for claim in earlier if claim.subject == attempt.subject), None)
    if first and first.table_id == attempt.table_id:
        return first.supersedes
    overlapped = [claim for claim in earlier if claim.window and claim.window.overlaps(window)]
    return tuple(
        dict.fromkeys(
            claim.subject
            for claim in overlapped
            if claim.subject != attempt.subject and claim.table_id == attempt.table_id
        )
    )


def _request(attempt: _Attempt, table_arn: str, bucket: str, folder: str, usual: _Usual) -> ExportRequest:
    """Return what was asked for: as the manifest says, else as the name says and the other exports were asked for."""
    request = ExportRequest(
        table_arn,
        bucket,
        folder,
        attempt.export_time,
        attempt.window,
        usual.view if attempt.window else None,
        usual.bucket_owner,
        usual.kms_key,
        export_filter=usual.export_filter,
    )
    summary = attempt.raw.summary
    if summary is None:
        return request
    is_window = summary.export_type is ExportType.INCREMENTAL_EXPORT
    return replace(
        request,
        view=summary.output_view if is_window and summary.output_view else request.view,
        kms_key=summary.kms_key,
        export_format=summary.output_format or request.export_format,
    )
