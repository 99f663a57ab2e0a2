"""Starting an export once, and finding it again.

A claim fixes everything that DynamoDB is asked for before it is asked. So whoever comes later, another try, another worker,
another run, can find the export that exists and need not start, and pay for, a second one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ddb_export.domain.agreement import disagreements
from ddb_export.domain.export import ExportDescription, ExportStatus, export_id
from ddb_export.domain.utc import iso
from ddb_export.exceptions import ExportError, ExportRefusedError

if TYPE_CHECKING:
    from ddb_export.aws.dynamodb import DynamoDBGateway
    from ddb_export.aws.object_store import ObjectStore
    from ddb_export.domain.ledger import Claim

log = logging.getLogger(__name__)

TOKEN_LIFETIME = timedelta(hours=8)
"""How long DynamoDB remembers a ClientToken at the least: 8 hours from the end of the first request with it (API
reference of ExportTableToPointInTime). We count from the claim, which comes before any request."""

TOKEN_MARGIN = timedelta(minutes=10)
"""Taken off the lifetime, for the minute by which DynamoDB's clocks may differ and for slow requests."""


@dataclass(frozen=True, slots=True)
class Exports:
    """The exports of one table, found again or started.

    :param dynamodb: gateway to the table's account and region.
    :param store: the bucket that the exports go to.
    """

    dynamodb: DynamoDBGateway
    store: ObjectStore

    def find_or_start(self, claim: Claim, now: datetime, known_arn: str | None = None) -> ExportDescription:
        """Return the one export of a claim, started only if there is none.

        Looked for in this order: the ARN that the task remembers; the claim's ClientToken, while DynamoDB remembers it; one
        listing below the attempt's private prefix, since the ids of exports are in its keys; DynamoDB's list of
        exports, back to the time of the claim.

        :param claim: what was claimed.
        :param now: by AWS's clock.
        :param known_arn: ARN that an earlier try of the task stored, if any.
        :return: the description, in whatever state the export is.
        :raises ExportRefusedError: DynamoDB answers the token with an export that is not what was claimed.
        """
        if known_arn and (found := self._agreeing(claim, known_arn)):
            log.info("export %s: found again by its stored ARN", known_arn)
            return found
        if now - claim.claimed_at >= TOKEN_LIFETIME - TOKEN_MARGIN and (found := self._find(claim)):
            return found
        started = self.dynamodb.start_export(claim.request, claim.client_token)
        log.info("export %s: %s for claim %s of %s", started.export_arn, started.status, claim.sequence, claim.subject)
        self.require_agreement(claim, started)
        return started

    def require_agreement(self, claim: Claim, description: ExportDescription) -> None:
        """Refuse an export that is not what was claimed.

        :raises ExportRefusedError: it differs; the first point is named.
        """
        for difference in disagreements(claim.request, description, claim.table_id):
            raise ExportRefusedError(
                description.export_arn,
                f"it is not the export that claim {claim.sequence} stands for: {difference}",
                "begin a new chain with new_base: true if the table was created again; else restore the claim",
            )

    def _find(self, claim: Claim) -> ExportDescription | None:
        """Find the export of a claim whose token DynamoDB may have forgotten."""
        candidates = [*self._listed_in_prefix(claim), *self._listed_by_dynamodb(claim)]
        found = [
            description
            for export_arn in dict.fromkeys(candidates)
            if (description := self._agreeing(claim, export_arn))
        ]
        if not found:
            return None
        best = min(found, key=lambda each: (_USEFULNESS[each.status], each.export_id))
        log.info("export %s: found again by listing, %s", best.export_arn, best.status)
        return best

    def _listed_in_prefix(self, claim: Claim) -> Iterator[str]:
        folder = f"{claim.request.s3_prefix}/AWSDynamoDB"
        for stored in self.store.list_folder(folder):
            name = stored.key.rstrip("/").rsplit("/", 1)[-1]
            if stored.is_folder and name != "data":
                yield f"{claim.request.table_arn}/export/{name}"

    def _listed_by_dynamodb(self, claim: Claim) -> Iterator[str]:
        for export_arn in self.dynamodb.list_exports(claim.request.table_arn):
            if _started_before(export_arn, claim.claimed_at - TOKEN_MARGIN):
                return
            yield export_arn

    def _agreeing(self, claim: Claim, export_arn: str) -> ExportDescription | None:
        try:
            description = self.dynamodb.describe_export(export_arn)
        except ExportError as error:
            if error.code != "ExportNotFoundException":
                raise
            log.info("export %s: passed over: %s", export_arn, error.cause)
            return None
        differences = disagreements(claim.request, description, claim.table_id)
        if differences:
            log.info("export %s: passed over: %s", export_arn, differences[0])
            return None
        return description


_USEFULNESS = {ExportStatus.COMPLETED: 0, ExportStatus.IN_PROGRESS: 1, ExportStatus.FAILED: 2}


def _started_before(export_arn: str, moment: datetime) -> bool:
    """Tell whether an export id, which begins with its start in milliseconds, is older than a moment."""
    milliseconds = export_id(export_arn).split("-", 1)[0]
    return milliseconds.isdigit() and int(milliseconds) < int(moment.timestamp()) * 1000


def describe_claim(claim: Claim) -> str:
    """Return a claim in words for the log."""
    stretch = claim.window or iso(claim.request.export_time or claim.claimed_at)
    return f"claim {claim.sequence}, {claim.kind} {stretch}, attempt {claim.attempt}"
