"""A run's plan, made from the world as it is: the ledger, the table, its recovery window, AWS's clock.

The decision itself is :func:`ddb_export.domain.planning.plan`; here its inputs are read and its claims are written.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from ddb_export.domain.export import ExportDescription, ExportRequest, ExportStatus, ExportViewType
from ddb_export.domain.export_filter import ExportFilter
from ddb_export.domain.ledger import Chain, Claim
from ddb_export.domain.planning import (
    Boundaries,
    Plan,
    PlannedExport,
    PlanRequest,
    PointInTimeRecovery,
    TableIdentity,
    plan,
)
from ddb_export.domain.standing import left_in_words, rebuilding_what_stands, verified_attempt
from ddb_export.domain.utc import iso
from ddb_export.domain.window import Stretch
from ddb_export.exceptions import ClaimConflictError, EmptyLedgerError, TableIdentityError
from ddb_export.pipeline.exports import Exports
from ddb_export.pipeline.key_attributes import remember_key_attributes
from ddb_export.pipeline.ledger import Ledger, Wanted
from ddb_export.pipeline.standing import LeftAttempt, came_to_nothing, note_left, words_of_left

if TYPE_CHECKING:
    from ddb_export.aws.dynamodb import DynamoDBGateway
    from ddb_export.aws.object_store import ObjectStore

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A plan together with what it was made from.

    :param plan: what to do. :param identity: the table. :param chain: the ledger at that moment.
    :param recovery: the table's recovery window at that moment. :param now: AWS's time at that moment.
    :param left: claims that came to nothing and that the plan leaves.
    """

    plan: Plan
    identity: TableIdentity
    chain: Chain
    recovery: PointInTimeRecovery
    now: datetime
    left: tuple[LeftAttempt, ...] = ()


@dataclass(frozen=True, slots=True)
class Destination:
    """What all exports of a table are asked for with.

    :param view: view of incremental exports. :param bucket_owner: account of the bucket, if another.
    :param kms_key: key that encrypts the files, if not S3's own.
    :param export_filter: what of the table is exported; None for all of it.
    """

    view: ExportViewType = ExportViewType.NEW_AND_OLD_IMAGES
    bucket_owner: str | None = None
    kms_key: str | None = None
    export_filter: ExportFilter | None = None

    def request(self, ledger: Ledger, table_arn: str, planned: PlannedExport) -> ExportRequest:
        """Return the request for a planned export; the attempt's folder is added by the claim."""
        return ExportRequest(
            table_arn=table_arn,
            bucket=ledger.lake.bucket,
            s3_prefix=ledger.lake.key("raw"),
            export_time=planned.export_time,
            window=planned.window,
            view=self.view if planned.window else None,
            bucket_owner=self.bucket_owner,
            kms_key=self.kms_key,
            export_filter=self.export_filter,
        )


def plan_run(
    dynamodb: DynamoDBGateway, ledger: Ledger, table: str, request: PlanRequest, boundaries: Boundaries
) -> PlannedRun:
    """Make a run's plan; nothing is written.

    :param table: name or ARN of the table.
    :param request: what the run asks; its ``now`` is replaced by AWS's time.
    :param boundaries: the schedule's boundaries.
    :raises TableMissingError: no such table. :raises OwnershipError: the ledger is another table's.
    :raises ConfigurationError: a filter is asked for, and the installed botocore knows none.
    """
    if request.export_filter:
        dynamodb.require_filters()
    identity, recovery, now, chain = _look(dynamodb, ledger, table, request.outputs)
    lost = _lost(dynamodb, ledger, chain, recovery)
    ended = _ended(dynamodb, ledger, chain, request.wanted) if request.wanted and request.re_export else frozenset()
    began = _base_began(dynamodb, ledger, chain, request)
    left = came_to_nothing(Exports(dynamodb, ledger.store), ledger, chain, recovery.earliest)
    asked = replace(request, now=now)
    words = words_of_left(left)
    decided = plan(chain, asked, identity, recovery, boundaries, lost=lost, ended=ended, base_began=began, left=words)
    return PlannedRun(decided, identity, chain, recovery, now, left)


def replay_run(
    dynamodb: DynamoDBGateway, ledger: Ledger, table: str, kept: Plan, table_id: str | None = None
) -> PlannedRun:
    """Return a plan that an earlier try of the run made, with the world as it is now; nothing is decided anew.

    Of a window whose next attempt came to nothing since, the verified attempt that stands is rebuilt.

    :param kept: the plan. What it names is claimed, so that recovery may have passed it meanwhile.
    :param table_id: TableId of the table that it was made for; None if that was not kept.
    :raises TableMissingError: no such table. :raises OwnershipError: the ledger is another table's.
    :raises TableIdentityError: the plan was made for a table that is gone.
    """
    identity, recovery, now, chain = _look(dynamodb, ledger, table)
    if table_id is not None and table_id != identity.table_id:
        raise TableIdentityError(
            f"plan of this run for {identity.table_arn}",
            f"it was made for TableId {table_id}, and now there is {identity.table_id}: the table was deleted and created again",
            "trigger a new run: what this one planned can be exported of no table any more",
        )
    left = came_to_nothing(Exports(dynamodb, ledger.store), ledger, chain, recovery.earliest)
    words = words_of_left(left)
    for line in left_in_words(words):
        log.info("%s", line)
    return PlannedRun(rebuilding_what_stands(kept, chain, words), identity, chain, recovery, now, left)


def _look(
    dynamodb: DynamoDBGateway, ledger: Ledger, table: str, outputs: Sequence[str] = ()
) -> tuple[TableIdentity, PointInTimeRecovery, datetime, Chain]:
    identity = dynamodb.identify(table)
    recovery, now = dynamodb.recovery(table)
    chain = ledger.read(outputs)
    if chain.owner:
        chain.owner.require(identity.table_arn)
    return identity, recovery, now, chain


def _lost(dynamodb: DynamoDBGateway, ledger: Ledger, chain: Chain, recovery: PointInTimeRecovery) -> frozenset[str]:
    """Return the claims of the base and of windows behind it that were never exported, and that recovery no longer reaches.

    A claim is made before DynamoDB is asked; if the run died there, and nobody went on before recovery passed it, nobody can.
    """
    base, earliest = chain.base_claim, recovery.earliest
    if earliest is None or base is None or base.request.export_time is None:
        return frozenset()
    unverified = [claim for claim in chain.pending_claims if not verified_attempt(chain, claim.subject)]
    head = chain.head or base.request.export_time
    beyond = [
        claim for claim in unverified if claim.window and claim.window.start < earliest and claim.window.end > head
    ]
    if chain.base is None and base.request.export_time < earliest:
        beyond.append(base)
    exports = Exports(dynamodb, ledger.store)
    return frozenset(claim.subject for claim in beyond if not _is_alive(exports.find(claim)))


def _ended(dynamodb: DynamoDBGateway, ledger: Ledger, chain: Chain, wanted: Stretch) -> frozenset[str]:
    """Return the windows of a stretch whose newest attempt is COMPLETED and not verified: it is damaged, or nobody has looked yet."""
    inside = [claim for claim in chain.pending_claims if claim.window and claim.window.overlaps(wanted)]
    inside = [claim for claim in inside if claim.attempt > verified_attempt(chain, claim.subject)]
    exports = Exports(dynamodb, ledger.store)
    found = {claim.subject: exports.find(claim) for claim in inside}
    return frozenset(subject for subject, each in found.items() if each and each.status is ExportStatus.COMPLETED)


def _base_began(dynamodb: DynamoDBGateway, ledger: Ledger, chain: Chain, request: PlanRequest) -> bool:
    """Tell whether the base has an export; looked up only for a filter, as DynamoDB tells of a wrong one no sooner than it is asked."""
    base = chain.base_claim
    if base is None or chain.base is not None or not (base.request.export_filter or request.export_filter):
        return True
    return _is_alive(Exports(dynamodb, ledger.store).find(base))


def _is_alive(description: ExportDescription | None) -> bool:
    return description is not None and description.status is not ExportStatus.FAILED


def require_first_run(ledger: Ledger, store: ObjectStore, earlier: Sequence[str]) -> None:
    """Refuse to take an empty ledger for a first run where something shows an earlier chain.

    :param earlier: what else shows one, in words: an XCom of an earlier run, a Glue table.
    :raises EmptyLedgerError: there is such a sign, or there are raw exports.
    """
    raw = next(iter(store.list_folder(ledger.lake.key("raw"))), None)
    signs = [*earlier, *([f"raw export {store.uri(raw.key)}"] if raw else [])]
    if signs:
        raise EmptyLedgerError(
            f"ledger {ledger.lake.uri('ledger/')}",
            f"it is empty, but an earlier chain existed: {signs[0]}",
            f"rebuild it with ddb-export ledger rebuild {ledger.lake.name}, or trigger the DAG with new_base: true to begin again",
        )


def claim_plan(ledger: Ledger, run: PlannedRun, destination: Destination) -> list[Claim]:
    """Claim every export of a plan; what is claimed already stays as it is. What came to nothing for good is noted.

    :return: the newest attempt at each, in the plan's order.
    :raises ClaimConflictError: another run claimed other boundaries meanwhile; the run has to plan again.
    """
    ledger.own(run.identity.table_arn, run.now)
    note_left(ledger, run.left)
    remember_key_attributes(ledger, run.identity)

    def claim(exports: Sequence[PlannedExport]) -> list[Claim]:
        arn = run.identity.table_arn
        wanted = [
            Wanted(
                each.kind,
                destination.request(ledger, arn, each),
                each.reason,
                closes_chain=run.plan.closes_chain,
                attempt=each.attempt,
                supersedes=each.supersedes,
                stands=each.attempt is not None and not each.action.asks_dynamodb,
            )
            for each in exports
        ]
        return ledger.claim(wanted, run.identity.table_id, run.now)

    bases = claim([run.plan.base]) if run.plan.base else []
    for base in bases:
        # The windows were planned behind this base. Where another first run was faster, they begin elsewhere.
        if run.plan.base and base.request.export_time != run.plan.base.export_time:
            raise ClaimConflictError(
                f"base of {run.identity.table_arn}",
                f"claim {base.sequence} holds it at {iso(base.request.export_time or base.claimed_at)}",
                "plan again: the windows begin where the base is",
            )
    return [*bases, *claim(run.plan.windows)]


def explain_plan(run: PlannedRun) -> list[str]:
    """Return a plan in words, a line each, for the log and for dry runs."""
    reach = f"data is complete to {iso(run.chain.head)}" if run.chain.head else "nothing of it is verified yet"
    lines = [
        f"table {run.identity.table_arn}: {reach}; AWS's time is {iso(run.now)}",
        *_explain_recovery(run),
    ]
    for planned in run.plan.exports:
        stretch = planned.window or (iso(planned.export_time) if planned.export_time else "")
        lines.append(f"{planned.action} {planned.kind} {stretch}: {planned.reason}")
    lines += run.plan.notes
    if not run.plan.exports:
        lines.append(f"nothing to do up to {iso(run.plan.until)}" if run.plan.until else "nothing to do")
    return lines


def _explain_recovery(run: PlannedRun) -> list[str]:
    """Say how far back DynamoDB can export, and how long what is missing can still be exported."""
    earliest, period, head = run.recovery.earliest, run.recovery.period, run.chain.head
    if earliest is None:
        return ["point-in-time recovery is off"]
    line = f"point-in-time recovery reaches back to {iso(earliest)}"
    if period and head and head >= earliest:
        line += f"; what follows {iso(head)} can be exported until {iso(head + period)}"
    return [line]
