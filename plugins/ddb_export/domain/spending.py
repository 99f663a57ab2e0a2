"""What exports were billed: by the evidence of each, at the prices that hold now, month by month.

An export belongs to the month (UTC) in which it was claimed: it is started minutes later, and claims are numbered in order of time, so
that a month is a stretch of them. What is not verified yet is *pending*: AWS bills it once it is COMPLETED, and it is
reckoned with at what others were billed. A snapshot that became the base was billed once, as a snapshot. ASSUMPTION: an export that FAILED is not billed; AWS's pages say nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from ddb_export.domain.cost import GIGABYTE, SMALLEST_WINDOW_BYTES, Prices, around_price, export_price
from ddb_export.domain.evidence import Claim, ClaimKind, VerifiedEntry
from ddb_export.domain.utc import iso


@dataclass(frozen=True, slots=True)
class BilledExport:
    """One verified export.

    :param export: name of the attempt. :param claimed_at: when it was claimed, by AWS's clock.
    :param billed_bytes: BilledSizeBytes. :param usd: with the S3 requests that wrote its files, and Athena's count of them.
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
class RunEstimate:
    """What a run was estimated to cost before it began, to be compared with what it was billed.

    :param usd: in USD. :param subjects: what DynamoDB was to be asked for, as the claims' ``subject`` names it.
    """

    usd: Decimal
    subjects: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return a flat object; money as text."""
        return {"usd": f"{self.usd:f}", "subjects": list(self.subjects)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> RunEstimate:
        """Read what :meth:`to_json` wrote."""
        return cls(Decimal(document["usd"]), tuple(document["subjects"]))

    def billed(self, verified: Iterable[VerifiedEntry], prices: Prices) -> RunBill:
        """Return what the run's exports were billed; those that existed before it were paid for by an earlier run."""
        paid = [entry for entry in verified if entry.subject in self.subjects]
        return RunBill(
            len(paid),
            sum(entry.billed_bytes for entry in paid),
            sum((verified_price(entry, prices) for entry in paid), Decimal(0)),
        )


@dataclass(frozen=True, slots=True)
class RunBill:
    """What the exports of one run were billed: how many, BilledSizeBytes together, and USD with S3's requests and Athena's counts."""

    exports: int
    billed_bytes: int
    usd: Decimal


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
        """Return what they cost together, with the S3 requests that wrote their files, and Athena's counts."""
        billed = self.full_bytes * prices.full_export_per_gb + self.window_bytes * prices.incremental_export_per_gb
        return billed / GIGABYTE + around_price(self.files, self.exports, prices)

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
    """Return the verified ones of these claims, in their order; those that took over another's export are none."""
    return [
        billed_export(claim, entry, prices)
        for claim in claims
        if (entry := verified.get(claim.export)) is not None and claim.took_over is None
    ]


def billed_export(claim: Claim, entry: VerifiedEntry, prices: Prices) -> BilledExport:
    """Return what a claim's verified export was billed."""
    return BilledExport(claim.export, claim.kind, claim.claimed_at, entry.billed_bytes, verified_price(entry, prices))


def verified_price(entry: VerifiedEntry, prices: Prices) -> Decimal:
    """Return what a verified export was billed in USD, with the S3 requests that wrote its files, and Athena's count of them."""
    per_gb = prices.incremental_export_per_gb if entry.kind is ClaimKind.WINDOW else prices.full_export_per_gb
    return export_price(entry.billed_bytes, entry.files, per_gb, prices)


def months(claims: Iterable[Claim], verified: Mapping[str, VerifiedEntry]) -> list[MonthSpent]:
    """Return the sums of each month that has verified exports, oldest first."""
    found: dict[str, MonthSpent] = {}
    for claim in claims:
        if (entry := verified.get(claim.export)) and claim.took_over is None:
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
