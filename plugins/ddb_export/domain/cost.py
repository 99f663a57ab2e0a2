"""What a plan will cost before anything is asked for, on what basis, and whether a budget allows it.

Money is :class:`~decimal.Decimal` in US dollars, sizes are whole bytes, and a gigabyte is 10^9 bytes: the smallest bill of an
incremental export is exactly 10,000,000 bytes in genuine exports, and the unit of the price lists is GB. Were it 2^30 bytes, an
estimate would be 7 % too high, never too low.

DynamoDB bills a full export by the size of the table and its local secondary indexes, an incremental one by the data that it
processes for the window, at least 10 MB (Developer Guide, "DynamoDB data export to Amazon S3: how it works"). S3 bills the
requests that write the files, and Athena the count by which a run checks what it published: it reads no column, so it is billed as the
smallest query, 10 MB ("Amazon Athena pricing"). Views are made by DDL, which Athena does not bill. What exists already is never billed
again, so only what DynamoDB is asked for counts.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_CEILING, Decimal
from types import MappingProxyType
from typing import Any

from ddb_export.domain.evidence import ClaimKind
from ddb_export.domain.plan import Action, Plan, PlannedExport
from ddb_export.domain.utc import iso
from ddb_export.exceptions import BudgetError, ConfigurationError

GIGABYTE = 10**9
TERABYTE = 10**12

SMALLEST_WINDOW_BYTES = 10_000_000
"""What an incremental export bills at least: 10 MB, seen as BilledSizeBytes 10000000 for tiny and for empty windows."""

ASSUMED_DAYS_TO_CHANGE = 10
"""Before any window is verified, it is assumed that a table's size is written anew in this many days."""

DEFAULT_REGION = "us-east-1"

OTHER_REGION_SURCHARGE = Decimal("1.2")
"""Other regions were seen to cost up to a fifth more than us-east-1."""

SMALLEST_QUERY_BYTES = 10_000_000
"""What an Athena query bills at least: 10 MB."""

DEFAULTS_AS_OF = date(2026, 11, 21)

AMOUNT = "an amount in USD, such as 25 or 0.114"
"""What an amount looks like, as it goes on after "write" in a remedy."""

AMOUNT_PATTERN = r"^[0-9]{1,12}(\.[0-9]{1,9})?$"

_FILES_AT_LEAST = 4
_BYTES_PER_FILE = 10 * GIGABYTE
_REQUESTS_PER_FILE = 3
_REQUESTS_PER_EXPORT = 5


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices in USD.

    :param full_export_per_gb: a full export, per GB of table and local secondary indexes.
    :param incremental_export_per_gb: an incremental export, per GB processed.
    :param s3_put_per_thousand: a thousand requests that write to S3.
    :param athena_per_tb: Athena, per TB (10^12 bytes) that a query reads.
    :param source: where they come from and as of when, in words.
    """

    full_export_per_gb: Decimal
    incremental_export_per_gb: Decimal
    s3_put_per_thousand: Decimal
    athena_per_tb: Decimal
    source: str = ""


PRICE_NAMES = ("full_export_per_gb", "incremental_export_per_gb", "s3_put_per_thousand", "athena_per_tb")
"""The prices that a configuration can set."""

# Sources: cost tables of AWS's "Guidance for Incremental Data Exports" (exports, 0.10 USD/GB each); the price lists of S3 (requests) and Athena.
_US_EAST_1 = Prices(Decimal("0.10"), Decimal("0.10"), Decimal("0.005"), Decimal(5))


def prices_of(region: str, own: Mapping[str, object] = MappingProxyType({})) -> Prices:
    """Return the prices of a region.

    :param region: AWS region of the table.
    :param own: what the configuration says, by name of :data:`PRICE_NAMES`; it wins. None stands for the default.
    :raises ConfigurationError: a name or an amount cannot be used.
    """
    given = {name: money(amount, f"price {name}") for name, amount in own.items() if amount is not None}
    for name in given.keys() - set(PRICE_NAMES):
        raise ConfigurationError(f"price {name}", "there is no such price", f"use one of: {', '.join(PRICE_NAMES)}")
    surcharge = 1 if region == DEFAULT_REGION else OTHER_REGION_SURCHARGE
    defaults = {name: getattr(_US_EAST_1, name) * surcharge for name in PRICE_NAMES}
    return Prices(**{**defaults, **given}, source=_source(region, sorted(given)))


def _source(region: str, own: Sequence[str]) -> str:
    listed = f"of {DEFAULT_REGION} as of {DEFAULTS_AS_OF}"
    if region != DEFAULT_REGION:
        listed += f" plus 20 %, as those of {region} are not known here"
    if len(own) == len(PRICE_NAMES):
        return "the configuration's"
    return f"AWS's {listed}" + (f"; the configuration's for {', '.join(own)}" if own else "")


@dataclass(frozen=True, slots=True)
class Budget:
    """What may be spent.

    :param run: most that one run may be estimated to cost, in USD; None for no limit.
    :param month: most that all exports of a month (UTC) may cost, in USD; None for no limit.
    """

    run: Decimal | None = None
    month: Decimal | None = None


@dataclass(frozen=True, slots=True)
class BilledWindow:
    """What a verified window was billed.

    :param length: how much time it covers. :param billed_bytes: BilledSizeBytes. :param files: its data files.
    """

    length: timedelta
    billed_bytes: int
    files: int


@dataclass(frozen=True, slots=True)
class EstimateLine:
    """What one planned export will cost.

    :param planned: the export. :param billed_bytes: what DynamoDB is expected to bill; 0 where nothing is asked for.
    :param usd: with S3's requests and Athena's count. :param requests: requests that write its files. :param basis: why, in words.
    """

    planned: PlannedExport
    billed_bytes: int
    requests: int
    usd: Decimal
    basis: str

    def to_json(self) -> dict[str, Any]:
        """Return a flat object; money as text, because JSON's numbers are read as binary fractions."""
        return {
            **self.planned.to_json(),
            "estimated_bytes": self.billed_bytes,
            "usd": f"{self.usd:f}",
            "basis": self.basis,
        }


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a plan will cost.

    :param lines: one for each planned export, in the plan's order.
    :param basis: sentences on sizes, history and prices.
    """

    lines: tuple[EstimateLine, ...] = ()
    basis: tuple[str, ...] = field(default=())

    @property
    def billed(self) -> tuple[EstimateLine, ...]:
        """The lines that cost something or may do so: what DynamoDB is asked for."""
        return tuple(line for line in self.lines if line.requests)

    @property
    def total(self) -> Decimal:
        """The sum in USD."""
        return sum((line.usd for line in self.lines), Decimal(0))


def estimate(
    plan: Plan,
    table_bytes: int,
    history: Sequence[BilledWindow],
    prices: Prices,
    started: Collection[PlannedExport] = (),
) -> Estimate:
    """Say what a plan will cost.

    :param plan: what a run would do.
    :param table_bytes: size of the table and its local secondary indexes, as DescribeTable has it.
    :param history: what windows of the table were billed, the newest ones; empty if none is verified.
    :param prices: what AWS asks.
    :param started: planned exports that were claimed before and whose export exists: it is billed already.
    """
    lines = tuple(_line(planned, table_bytes, history, prices, started) for planned in plan.exports)
    return Estimate(lines, _basis(lines, table_bytes, history, prices))


def require_within_budget(estimated: Estimate, budget: Budget, thing: str = "this run") -> None:
    """Refuse a plan that is estimated to cost more than a run may.

    :param thing: what is refused, in words.
    :raises BudgetError: it names the sum, its basis and the budget.
    """
    if budget.run is None or estimated.total <= budget.run:
        return
    dearest = max(estimated.billed, key=lambda line: line.usd)
    what, basis = f"{len(estimated.billed)} exports", f"; the dearest is {_named(dearest.planned)}, {usd(dearest.usd)}"
    if len(estimated.billed) == 1:
        what, basis = _named(dearest.planned), ""
    raise BudgetError(
        thing,
        f"{what} would cost about {usd(estimated.total)}, more than the budget of {limit(budget.run)} a run"
        f"{basis}: {dearest.basis}",
        f"set budget.run of the table to {usd(estimated.total)} or more if that is worth it, or ask for less",
    )


def require_within_month(estimated: Estimate, budget: Budget, spent: Decimal, thing: str = "this run") -> None:
    """Refuse a plan that would take a month's exports above the budget; one that DynamoDB bills nothing for is never refused.

    :param spent: what the month's exports cost so far, those that are not verified yet included. :param thing: as above.
    :raises BudgetError: it names what is spent, what would be added, and the budget.
    """
    if budget.month is None or not estimated.billed or spent + estimated.total <= budget.month:
        return
    raise BudgetError(
        thing,
        f"{len(estimated.billed)} export{'s' * (len(estimated.billed) > 1)} would cost about {usd(estimated.total)} beside the"
        f" {usd(spent)} that this month's exports cost, more than the budget of {limit(budget.month)} a month",
        f"set budget.month of the table to {usd(spent + estimated.total)} or more if that is worth it, or wait for the next month",
    )


def rewriting_error(thing: str, amount: Decimal, budget: Decimal | None, less: str) -> BudgetError | None:
    """Return the error for rewriting partitions where that costs more than a run may; None if it does not.

    :param thing: what is rewritten, and why, in words. :param amount: what it is estimated to cost, in USD.
    :param budget: most that one run may cost, in USD; None for no limit. :param less: how to rewrite less, in words.
    """
    if budget is None or amount <= budget:
        return None
    return BudgetError(
        thing,
        f"it would cost about {usd(amount)}, more than the budget of {limit(budget)} a run",
        f"set budget.run of the table to {usd(amount)} or more, or {less}",
    )


def usd(amount: Decimal) -> str:
    """Write an amount for people, rounded up: two decimals from 1 USD on or where they are exact, else four."""
    cents = amount.quantize(Decimal("0.01"), ROUND_CEILING)
    shown = cents if amount >= 1 or amount == cents else amount.quantize(Decimal("0.0001"), ROUND_CEILING)
    return f"{shown:f} USD"


def limit(amount: Decimal) -> str:
    """Write a budget for people: as :func:`usd` does where that is exact, else digit by digit, for a limit must not look higher than it is."""
    return usd(amount) if amount == amount.quantize(Decimal("0.0001"), ROUND_CEILING) else f"{amount:f} USD"


def size_in_words(size: int) -> str:
    """Write a number of bytes for people in decimal units, as AWS bills."""
    for unit, scale in (("TB", 10**12), ("GB", GIGABYTE), ("MB", 10**6), ("kB", 10**3)):
        if size >= scale:
            return f"{(Decimal(size) / scale).quantize(Decimal('0.1')):f} {unit}"
    return f"{size} B"


def money(value: object, thing: str) -> Decimal:
    """Read an amount exactly.

    :param value: a Decimal, a whole number, or text such as ``25`` or ``0.114``.
    :param thing: what the amount is, for the error.
    :raises ConfigurationError: it is none; a float is none, because it holds most amounts inexactly.
    """
    text = f"{value:f}" if isinstance(value, Decimal) and value.is_finite() else str(value)
    if isinstance(value, bool | float) or not re.fullmatch(AMOUNT_PATTERN, text):
        raise ConfigurationError(thing, f"{value!r} is no amount in USD", f"write {AMOUNT}")
    return Decimal(text)


def _line(
    planned: PlannedExport,
    table_bytes: int,
    history: Sequence[BilledWindow],
    prices: Prices,
    started: Collection[PlannedExport],
) -> EstimateLine:
    if planned.action is Action.CONTINUE and planned in started:
        return EstimateLine(planned, 0, 0, Decimal(0), "the export exists")
    if not (planned.action.asks_dynamodb or planned.action is Action.CONTINUE):
        return EstimateLine(planned, 0, 0, Decimal(0), "made from the export that exists")
    if planned.window is None:
        size, per_gb, basis = table_bytes, prices.full_export_per_gb, f"table size {size_in_words(table_bytes)}"
        files = _files_of(table_bytes)
    else:
        size, basis = _window_bytes(planned.window.length, table_bytes, history)
        per_gb = prices.incremental_export_per_gb
        files = -(-sum(each.files for each in history) // len(history)) if history else _files_of(table_bytes)
    return EstimateLine(planned, size, requests_of(files), export_price(size, files, per_gb, prices), basis)


def export_price(billed_bytes: int, files: int, per_gb: Decimal, prices: Prices) -> Decimal:
    """Return what an export costs in USD: DynamoDB's bill, the S3 requests that write its files, and Athena's count of what is published.

    :param files: its data files. :param per_gb: DynamoDB's price for its kind.
    """
    return billed_bytes * per_gb / GIGABYTE + around_price(files, 1, prices)


def around_price(files: int, exports: int, prices: Prices) -> Decimal:
    """Return what S3 and Athena bill in USD for exports of so many data files together."""
    requests = requests_of(files, exports) * prices.s3_put_per_thousand / 1000
    return requests + exports * SMALLEST_QUERY_BYTES * prices.athena_per_tb / TERABYTE


def requests_of(files: int, exports: int = 1) -> int:
    """Return how many requests write exports of so many data files together."""
    return files * _REQUESTS_PER_FILE + exports * _REQUESTS_PER_EXPORT


def _files_of(table_bytes: int) -> int:
    """Guess how many data files an export has: one for each partition, of which tables with few data have some as well."""
    return max(_FILES_AT_LEAST, -(-table_bytes // _BYTES_PER_FILE))


def _window_bytes(length: timedelta, table_bytes: int, history: Sequence[BilledWindow]) -> tuple[int, str]:
    seconds = _seconds(length)
    if history:
        billed = sum(each.billed_bytes for each in history)
        expected = -(-billed * seconds // _seconds(sum((each.length for each in history), timedelta())))
        basis = "by the windows before it"
    else:
        expected = -(-table_bytes * seconds // (ASSUMED_DAYS_TO_CHANGE * 86_400))
        basis = "assumed, as no window was billed yet"
    if expected <= SMALLEST_WINDOW_BYTES:
        return SMALLEST_WINDOW_BYTES, f"{size_in_words(SMALLEST_WINDOW_BYTES)}, the least that is billed"
    return expected, f"{size_in_words(expected)}, {basis}"


def _seconds(length: timedelta) -> int:
    return length // timedelta(seconds=1)


def _basis(
    lines: Sequence[EstimateLine], table_bytes: int, history: Sequence[BilledWindow], prices: Prices
) -> tuple[str, ...]:
    billed = [line for line in lines if line.requests]
    if not billed:
        return ("DynamoDB is asked for nothing new, so it bills nothing",)
    full = [line for line in billed if line.planned.kind is not ClaimKind.WINDOW]
    windows = [line for line in billed if line.planned.kind is ClaimKind.WINDOW]
    requests = sum(line.requests for line in billed)
    return (
        *(_basis_of_full(full, table_bytes, prices) if full else ()),
        *(_basis_of_windows(windows, table_bytes, history, prices) if windows else ()),
        f"S3: about {requests:,} requests that write files, at {prices.s3_put_per_thousand:f} USD per 1,000",
        _basis_of_counts(len(billed), prices),
        f"prices: {prices.source}" if prices.source else "prices: as given",
    )


def _basis_of_counts(exports: int, prices: Prices) -> str:
    counts = f"{exports} count{'s' * (exports > 1)} of what is published"
    least = f"{size_in_words(SMALLEST_QUERY_BYTES)} each, the least that is billed"
    return f"Athena: {counts}, {least}, at {prices.athena_per_tb:f} USD per TB"


def _basis_of_full(lines: Sequence[EstimateLine], table_bytes: int, prices: Prices) -> tuple[str, ...]:
    note = "size of the table and its local indexes, which DynamoDB measures about every 6 hours"
    if table_bytes == 0:
        note += ": a table that was filled just now counts as empty"
    total = size_in_words(sum(line.billed_bytes for line in lines))
    number = f"{len(lines)} full export{'s' * (len(lines) > 1)}"
    return (f"{number}: {total} at {prices.full_export_per_gb:f} USD per GB; {note}",)


def _basis_of_windows(
    lines: Sequence[EstimateLine], table_bytes: int, history: Sequence[BilledWindow], prices: Prices
) -> tuple[str, ...]:
    total = sum(line.billed_bytes for line in lines)
    head = f"{len(lines)} window{'s' * (len(lines) > 1)}: {size_in_words(total)} at {prices.incremental_export_per_gb:f} USD per GB"
    least = f"at least {size_in_words(SMALLEST_WINDOW_BYTES)} a window"
    if not history:
        share = f"a tenth of the table's {size_in_words(table_bytes)} changes in a day"
        return (f"{head}; no window was billed yet, so it is assumed that {share}; {least}",)
    hours = sum((each.length for each in history), timedelta())
    hourly = sum(each.billed_bytes for each in history) * 3600 // _seconds(hours)
    plural = "window was" if len(history) == 1 else f"{len(history)} windows were"
    return (f"{head}; the last {plural} billed {size_in_words(hourly)} an hour; {least}",)


def _named(planned: PlannedExport) -> str:
    if planned.window:
        return f"{planned.kind} {planned.window}"
    return f"{planned.kind} {iso(planned.export_time)}" if planned.export_time else str(planned.kind)
