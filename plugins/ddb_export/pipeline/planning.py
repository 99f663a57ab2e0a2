"""A run's plan, made from the world as it is: the ledger, the table, its recovery window, AWS's clock.

The decision itself is :func:`ddb_export.domain.planning.plan`; here its inputs are read and its claims are written.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from ddb_export.domain.export import ExportRequest, ExportViewType
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
from ddb_export.domain.utc import iso
from ddb_export.exceptions import ClaimConflictError, EmptyLedgerError
from ddb_export.pipeline.ledger import Ledger, Wanted

if TYPE_CHECKING:
    from ddb_export.aws.dynamodb import DynamoDBGateway
    from ddb_export.aws.object_store import ObjectStore

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A plan together with what it was made from.

    :param plan: what to do. :param identity: the table. :param chain: the ledger at that moment.
    :param now: AWS's time at that moment.
    """

    plan: Plan
    identity: TableIdentity
    chain: Chain
    now: datetime


@dataclass(frozen=True, slots=True)
class Destination:
    """What all exports of a table are asked for with.

    :param view: view of incremental exports. :param bucket_owner: account of the bucket, if another.
    :param kms_key: key that encrypts the files, if not S3's own.
    """

    view: ExportViewType = ExportViewType.NEW_AND_OLD_IMAGES
    bucket_owner: str | None = None
    kms_key: str | None = None

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
        )


def plan_run(
    dynamodb: DynamoDBGateway, ledger: Ledger, table: str, request: PlanRequest, boundaries: Boundaries
) -> PlannedRun:
    """Make a run's plan; nothing is written.

    :param table: name or ARN of the table.
    :param request: what the run asks; its ``now`` is replaced by AWS's time.
    :param boundaries: the schedule's boundaries.
    :raises TableMissingError: no such table. :raises OwnershipError: the ledger is another table's.
    """
    identity, recovery, now, chain = _look(dynamodb, ledger, table)
    decided = plan(chain, replace(request, now=now), identity, recovery, boundaries)
    return PlannedRun(decided, identity, chain, now)


def replay_run(dynamodb: DynamoDBGateway, ledger: Ledger, table: str, kept: Plan) -> PlannedRun:
    """Return a plan that an earlier try of the run made, with the world as it is now; nothing is decided anew.

    :param kept: the plan. What it names is claimed, so that recovery may have passed it meanwhile.
    :raises TableMissingError: no such table. :raises OwnershipError: the ledger is another table's.
    """
    identity, _, now, chain = _look(dynamodb, ledger, table)
    return PlannedRun(kept, identity, chain, now)


def _look(
    dynamodb: DynamoDBGateway, ledger: Ledger, table: str
) -> tuple[TableIdentity, PointInTimeRecovery, datetime, Chain]:
    identity = dynamodb.identify(table)
    recovery, now = dynamodb.recovery(table)
    chain = ledger.read()
    if chain.owner:
        chain.owner.require(identity.table_arn)
    return identity, recovery, now, chain


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
            "restore the ledger from the bucket's older versions, or trigger the DAG with new_base: true to begin again",
        )


def claim_plan(ledger: Ledger, run: PlannedRun, destination: Destination, *, new_base: bool) -> list[Claim]:
    """Claim every export of a plan; what is claimed already stays as it is.

    :return: the newest attempt at each, in the plan's order.
    :raises ClaimConflictError: another run claimed other boundaries meanwhile; the run has to plan again.
    """
    ledger.own(run.identity.table_arn, run.now)

    def claim(exports: Sequence[PlannedExport]) -> list[Claim]:
        arn = run.identity.table_arn
        wanted = [
            Wanted(each.kind, destination.request(ledger, arn, each), each.reason, new_base=new_base)
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
    head = iso(run.chain.head) if run.chain.head else "none yet"
    lines = [f"table {run.identity.table_arn}: data is complete to {head}; AWS's time is {iso(run.now)}"]
    for planned in run.plan.exports:
        stretch = planned.window or (iso(planned.export_time) if planned.export_time else "")
        lines.append(f"{planned.action} {planned.kind} {stretch}: {planned.reason}")
    lines += run.plan.notes
    if not run.plan.exports:
        lines.append(f"nothing to do up to {iso(run.plan.until)}" if run.plan.until else "nothing to do")
    return lines
