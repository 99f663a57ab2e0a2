"""What exports were billed: by the evidence of each, at the prices that hold now, month by month.

An export belongs to the month (UTC) in which it was claimed: it is started minutes later, and claims are numbered in order of time, so
that a month is a stretch of them. What is not verified yet is *pending*: AWS bills it once it is COMPLETED, and it is
reckoned with at what others were billed. ASSUMPTION: an export that FAILED is not billed; AWS's pages say nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from ddb_export.domain.cost import GIGABYTE, SMALLEST_WINDOW_BYTES, Prices, export_price, requests_of
from ddb_export.domain.evidence import Claim, ClaimKind, VerifiedEntry
from ddb_export.domain.utc import iso


@dataclass(frozen=True, slots=True)
class BilledExport:
    """One verified export.

    :param export: name of the attempt. :param claimed_at: when it was claimed, by AWS's clock.
    :param billed_bytes: BilledSizeBytes. :param usd: with the S3 requests that wrote its files.
    """

    export: str
    kind: ClaimKind
    claimed_at: datetime
    billed_bytes: int
    usd: Decimal

    def to_json(self) -> dict[str, Any]:
        """Return a flat object; money as text."""
        return {
            "export": self.export,
            "kind": str(self.kind),
            "claimed_at": iso(self.claimed_at),
            "month": month_of(self.claimed_at),
            "billed_bytes": self.billed_bytes,
            "usd": f"{self.usd:f}",
        }


@dataclass(frozen=True, slots=True)
class MonthSpent:
    """What one month's verified exports were billed.

    :param month: ``YYYY-MM``. :param exports: how many; ``windows`` of them incremental. :param files: their data files.
    :param full_bytes: BilledSizeBytes of full exports together; ``window_bytes`` of incremental ones.
    """

    month: str
    exports: int = 0
    windows: int = 0
    files: int = 0
    full_bytes: int = 0
    window_bytes: int = 0

    def plus(self, entry: VerifiedEntry) -> MonthSpent:
        """Return it with one more export."""
        is_window = entry.kind is ClaimKind.WINDOW
        return replace(
            self,
            exports=self.exports + 1,
            windows=self.windows + is_window,
            files=self.files + entry.files,
            full_bytes=self.full_bytes + (0 if is_window else entry.billed_bytes),
            window_bytes=self.window_bytes + (entry.billed_bytes if is_window else 0),
        )

    def usd(self, prices: Prices) -> Decimal:
        """Return what they cost together, with the S3 requests that wrote their files."""
        billed = self.full_bytes * prices.full_export_per_gb + self.window_bytes * prices.incremental_export_per_gb
        return billed / GIGABYTE + requests_of(self.files, self.exports) * prices.s3_put_per_thousand / 1000

    def to_json(self) -> dict[str, Any]:
        """Return a flat object that :meth:`from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> MonthSpent:
        """Read what :meth:`to_json` wrote."""
        return cls(**document)


def month_of(moment: datetime) -> str:
    """Return the UTC month of a moment: ``YYYY-MM``."""
    return f"{moment:%Y-%m}"


def billed_exports(
    claims: Iterable[Claim], verified: Mapping[str, VerifiedEntry], prices: Prices
) -> list[BilledExport]:
    """Return the verified ones of these claims, in their order."""
    return [
        billed_export(claim, entry, prices) for claim in claims if (entry := verified.get(claim.export)) is not None
    ]


def billed_export(claim: Claim, entry: VerifiedEntry, prices: Prices) -> BilledExport:
    """Return what a claim's verified export was billed."""
    per_gb = prices.incremental_export_per_gb if claim.kind is ClaimKind.WINDOW else prices.full_export_per_gb
    usd = export_price(entry.billed_bytes, entry.files, per_gb, prices)
    return BilledExport(claim.export, claim.kind, claim.claimed_at, entry.billed_bytes, usd)


def months(claims: Iterable[Claim], verified: Mapping[str, VerifiedEntry]) -> list[MonthSpent]:
    """Return the sums of each month that has verified exports, oldest first."""
    found: dict[str, MonthSpent] = {}
    for claim in claims:
        if entry := verified.get(claim.export):
            month = month_of(claim.claimed_at)
            found[month] = found.get(month, MonthSpent(month)).plus(entry)
    return [found[month] for month in sorted(found)]


def expected_usd(spent: MonthSpent, pending: Sequence[ClaimKind], table_bytes: int, prices: Prices) -> Decimal:
    """Return what exports that are claimed but not verified yet are expected to be billed.

    A window is taken for as large as the month's windows were on average, at least 10 MB; a full export for the table's size.

    :param table_bytes: size of the table, as DynamoDB measured it last.
    """
    mean = -(-spent.window_bytes // spent.windows) if spent.windows else 0
    window = max(SMALLEST_WINDOW_BYTES, mean) * prices.incremental_export_per_gb
    full = table_bytes * prices.full_export_per_gb
    amounts = (window if kind is ClaimKind.WINDOW else full for kind in pending)
    return sum(amounts, Decimal(0)) / GIGABYTE
