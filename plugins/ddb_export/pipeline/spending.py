"""What a table's exports of this month cost so far, read from its ledger in few requests.

A month is a stretch of claims, which are numbered in order of time. What was added up of it is noted in ``ledger/spent/{month}.json``, so that
the next run reads only what came since. The note is disposable: each one is true for itself, and without it all is read again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ddb_export.domain.cost import prices_of
from ddb_export.domain.evidence import Claim, ClaimKind
from ddb_export.domain.spending import MonthSpent, expected_usd, month_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ddb_export.aws.dynamodb import DynamoDBGateway
    from ddb_export.domain.cost import Estimate, Prices
    from ddb_export.domain.ledger import Chain
    from ddb_export.pipeline.ledger import Ledger
    from ddb_export.pipeline.planning import PlannedRun

_BATCH = 64


@dataclass(frozen=True, slots=True)
class Spending:
    """A month so far.

    :param spent: its verified exports. :param pending: its claims that may still be billed: not verified, and not FAILED.
    """

    spent: MonthSpent
    pending: tuple[Claim, ...]

    def usd(self, prices: Prices, table_bytes: int, planned: Collection[str] = ()) -> Decimal:
        """Return what it costs in USD, what is pending included at what others were billed.

        :param table_bytes: size of the table, which a pending full export is taken for.
        :param planned: subjects that are reckoned with elsewhere.
        """
        kinds = [claim.kind for claim in self.pending if claim.subject not in planned]
        return self.spent.usd(prices) + expected_usd(self.spent, kinds, table_bytes, prices)

    @property
    def has_pending_full(self) -> bool:
        """Whether a full export is pending, for which the table's size has to be known."""
        return any(claim.kind is not ClaimKind.WINDOW for claim in self.pending)


def spent_this_month(
    dynamodb: DynamoDBGateway,
    ledger: Ledger,
    run: PlannedRun,
    estimated: Estimate,
    own_prices: Mapping[str, object] = MappingProxyType({}),
    *,
    note_it: bool,
) -> Decimal:
    """Return what a month's budget is used for already, in USD, beside what a planned run is estimated to cost.

    :param estimated: of the run; what it reckons with is not counted twice.
    :param own_prices: the configuration's prices, by name. :param note_it: leave a note, so that the next run reads less.
    :raises ConfigurationError: a price cannot be used.
    """
    arn = run.identity.table_arn
    spending = month_so_far(ledger, run.chain, run.now, note_it=note_it)
    table_bytes = dynamodb.size(arn) if spending.has_pending_full else 0
    planned = {line.planned.subject for line in estimated.billed}
    return spending.usd(prices_of(arn.split(":")[3], own_prices), table_bytes, planned)


def month_so_far(ledger: Ledger, chain: Chain, now: datetime, *, note_it: bool) -> Spending:
    """Return what this month's exports of a table were billed, and which may still be.

    :param chain: the ledger as it was read last. :param now: by AWS's clock. :param note_it: as above.
    """
    month = month_of(now)
    path = f"spent/{month}.json"
    note: dict[str, Any] = ledger.read_note(path) or {"through": 0, "spent": MonthSpent(month).to_json(), "pending": []}
    looked_at = [claim for number in note["pending"] for claim in ledger.claims_between(number, number)]
    looked_at += _claims_of_month(ledger, month, note["through"], chain.last_sequence)
    entries = ledger.verified_entries([claim.export for claim in looked_at])
    spent = MonthSpent.from_json(note["spent"])
    for claim in looked_at:
        if claim.export in entries:
            spent = spent.plus(entries[claim.export])
    waiting = [claim for claim in looked_at if claim.export not in entries]
    pending = tuple(claim for claim in waiting if not ledger.read_note(f"failed/{claim.export}.json"))
    newer = {
        "through": chain.last_sequence,
        "spent": spent.to_json(),
        "pending": [claim.sequence for claim in pending],
    }
    if note_it and newer != note and chain.last_sequence:
        ledger.write_note(path, newer)
    return Spending(spent, pending)


def _claims_of_month(ledger: Ledger, month: str, through: int, last: int) -> list[Claim]:
    """Return the month's claims behind a number, looked for from the newest one back."""
    found: list[Claim] = []
    while last > through:
        first = max(through + 1, last - _BATCH + 1)
        # What took over another's export keeps that one's time, and is billed with it.
        batch = [claim for claim in ledger.claims_between(first, last) if claim.took_over is None]
        of_month = [claim for claim in batch if month_of(claim.claimed_at) == month]
        found = [*of_month, *found]
        if len(of_month) < len(batch):
            break
        last = first - 1
    return found
