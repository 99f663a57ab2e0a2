"""What a run will cost, estimated from the world as it is: the table's size and what earlier windows were billed.

The rules are :mod:`ddb_export.domain.cost`; here their inputs are read. A plan that asks DynamoDB for nothing needs no call at
all; any other one a bounded number of them, however long the chain is.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING

from ddb_export.domain.cost import BilledWindow, Budget, Estimate, estimate, prices_of, usd
from ddb_export.domain.plan import Action, PlannedExport
from ddb_export.domain.utc import ceil_minute, floor_minute
from ddb_export.domain.window import Stretch
from ddb_export.exceptions import LedgerError

if TYPE_CHECKING:
    from ddb_export.aws.dynamodb import DynamoDBGateway
    from ddb_export.aws.object_store import ObjectStore
    from ddb_export.domain.evidence import Claim
    from ddb_export.pipeline.ledger import Ledger
    from ddb_export.pipeline.planning import PlannedRun

MOST_HISTORY = 16
"""Most verified windows that an estimate is made from, the newest ones."""

LONGEST_HISTORY = timedelta(days=35)
"""How far back these windows may lie: a table's habits change, and recovery reaches no further."""

MOST_LOOKED_FOR = 64
"""Most claimed exports that are looked for; the others are taken for exports that still have to be paid."""


_log = logging.getLogger(__name__)

_NOTE = "estimates.json"
_MOST_NOTED = 256


def estimate_run(
    dynamodb: DynamoDBGateway,
    ledger: Ledger,
    store: ObjectStore,
    run: PlannedRun,
    own_prices: Mapping[str, object] = MappingProxyType({}),
) -> Estimate:
    """Say what a planned run will cost.

    :param store: the bucket of the lake.
    :param run: what the run would do, and the ledger that it was planned from.
    :param own_prices: the configuration's prices, by name; the rest are AWS's as this package knows them.
    :raises ConfigurationError: a price cannot be used. :raises TableMissingError: there is no such table.
    """
    arn = run.identity.table_arn
    prices = prices_of(arn.split(":")[3], own_prices)
    if not any(each.action.asks_dynamodb or each.action is Action.CONTINUE for each in run.plan.exports):
        return estimate(run.plan, 0, (), prices)
    started = frozenset(_started(ledger, store, run))
    return estimate(run.plan, dynamodb.size(arn), _history(ledger, run), prices, started)


def note_estimate(ledger: Ledger, estimated: Estimate) -> None:
    """Keep what each export of a plan is estimated to be billed, so that the bill can be compared with it.

    The note is disposable, and holds the newest ones only: of two runs that plan in the same moment one may be lost.
    """
    noted = noted_estimates(ledger)
    planned = {line.planned.subject: line.billed_bytes for line in estimated.billed}
    if any(noted.get(subject) != size for subject, size in planned.items()):
        kept = {subject: size for subject, size in noted.items() if subject not in planned} | planned
        ledger.write_note(_NOTE, {"bytes": dict(list(kept.items())[-_MOST_NOTED:])})


def noted_estimates(ledger: Ledger) -> dict[str, int]:
    """Return what exports were estimated to be billed, in bytes, by the ``subject`` of their claims; a damaged note counts as none."""
    try:
        note = ledger.read_note(_NOTE) or {"bytes": {}}
        return {subject: int(size) for subject, size in note["bytes"].items()}
    except (LedgerError, AttributeError, KeyError, TypeError, ValueError) as error:
        _log.warning("%s is not what ddb_export writes (%s: %s); it is begun anew", _NOTE, type(error).__name__, error)
        return {}


def explain_estimate(estimated: Estimate, budget: Budget) -> list[str]:
    """Return an estimate in words, a line each, for the log and for dry runs."""
    if not estimated.billed:
        return ["estimated price: nothing; " + "; ".join(estimated.basis)]
    return [f"estimated price: {usd(estimated.total)}; {verdict(estimated, budget)}", *estimated.basis]


def verdict(estimated: Estimate, budget: Budget) -> str:
    """Return in words how an estimate stands to the budget of a run."""
    if budget.run is None:
        return "no budget is set"
    fits = "within" if estimated.total <= budget.run else "MORE THAN"
    return f"{fits} the budget of {usd(budget.run)} a run"


def _history(ledger: Ledger, run: PlannedRun) -> tuple[BilledWindow, ...]:
    """Return what the newest verified windows were billed."""
    known = run.chain.windows_starting_in(Stretch(floor_minute(run.now) - LONGEST_HISTORY, ceil_minute(run.now)))
    newest = [each for each in reversed(known) if each.verified][:MOST_HISTORY]
    entries = [ledger.verified_entry(f"{each.window.key}-a{each.attempt}") for each in newest]
    return tuple(
        BilledWindow(entry.window.length, entry.billed_bytes, entry.files)
        for entry in entries
        if entry and entry.window
    )


def _started(ledger: Ledger, store: ObjectStore, run: PlannedRun) -> Iterator[PlannedExport]:
    """Yield the planned exports that were claimed before and whose export exists and has not FAILED."""
    claimed = [each for each in run.plan.exports if each.action is Action.CONTINUE]
    for planned in claimed[:MOST_LOOKED_FOR]:
        claim = run.chain.newest_attempt(planned.subject, run.identity.table_id)
        if claim is None or ledger.read_note(f"failed/{claim.export}.json"):
            continue
        if is_started(store, claim):
            yield planned


def is_started(store: ObjectStore, claim: Claim) -> bool:
    """Tell whether a claim's export has left anything below its private prefix.

    :param store: the bucket of the lake.
    """
    return next(iter(store.list_folder(f"{claim.request.s3_prefix}/AWSDynamoDB")), None) is not None
