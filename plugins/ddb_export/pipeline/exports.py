"""Starting an export once, and finding it again.

A claim fixes everything that DynamoDB is asked for before it is asked. So whoever comes later, another try, another worker,
another run, can find the export that exists and need not start, and pay for, a second one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ddb_export.domain.agreement import disagreements
from ddb_export.domain.export import ExportDescription, ExportStatus, export_id
from ddb_export.domain.manifest import EXPORT_ID
from ddb_export.domain.utc import iso
from ddb_export.exceptions import ExportError, ExportRefusedError, TableIdentityError

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

        Looked for in this order: the ARN that the task remembers; one listing below the attempt's private prefix, since the ids of
        exports are in its keys, so that one that a person started by hand for the same window and prefix is adopted; the claim's
        ClientToken, while DynamoDB remembers it; DynamoDB's list of exports, back to the time of the claim. What FAILED is the
        answer only where nothing better is found.

        :param claim: what was claimed.
        :param now: by AWS's clock.
        :param known_arn: ARN that an earlier try of the task stored, if any.
        :return: the description, in whatever state the export is.
        :raises ExportRefusedError: DynamoDB answers the token with an export that is not what was claimed.
        :raises TableIdentityError: another table has the name now; it is not exported in the place of the one that was claimed.
        """
        known = self._agreeing(claim, known_arn) if known_arn else None
        if known and known.status is not ExportStatus.FAILED:
            log.info("export %s: found again by its stored ARN", known_arn)
            return known
        found = self._described(claim, self._listed_in_prefix(claim), {})
        if adopted := _best(claim, found.values(), usable_only=True):
            log.info("export %s: found below the private prefix of %s", adopted.export_arn, describe_claim(claim))
            return adopted
        if known:
            return known
        if best := self._remembered(claim, now, found):
            return best
        self._require_same_table(claim)
        # Its answer tells AWS's time anew: a worker that was suspended between two calls may have outlived the token.
        if best := self._remembered(claim, max(now, self.dynamodb.answered_at), found):
            return best
        started = self.dynamodb.start_export(claim.request, claim.client_token)
        log.info("export: started for %s; %s", describe_claim(claim), started.export_arn)
        self.require_agreement(claim, started)
        return started

    def _remembered(
        self, claim: Claim, now: datetime, found: Mapping[str, ExportDescription]
    ) -> ExportDescription | None:
        """Return the export by DynamoDB's list once it may have forgotten the token; None before, or if there is none."""
        if now - claim.claimed_at < TOKEN_LIFETIME - TOKEN_MARGIN:
            return None
        best = _best(claim, self._described(claim, self._listed_by_dynamodb(claim), found).values())
        if best:
            log.info("export %s: found again by listing, %s", best.export_arn, best.status)
        return best

    def find(self, claim: Claim) -> ExportDescription | None:
        """Return the export of a claim without asking for one, None if there is none; DynamoDB may have forgotten the token."""
        found = self._described(claim, self._listed_in_prefix(claim), {})
        # What FAILED is no answer yet: a person may have started another one for the same window and prefix.
        if not _best(claim, found.values(), usable_only=True):
            found = self._described(claim, self._listed_by_dynamodb(claim), found)
        best = _best(claim, found.values())
        if best:
            log.info("export %s: found again by listing, %s", best.export_arn, best.status)
        return best

    def find_in_prefix(self, claim: Claim) -> ExportDescription | None:
        """Return the export of a claim by one listing below its private prefix, None if it has left nothing there."""
        return _best(claim, self._described(claim, self._listed_in_prefix(claim), {}).values())

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

    def _require_same_table(self, claim: Claim) -> None:
        identity = self.dynamodb.identify(claim.request.table_arn)
        if identity.table_id != claim.table_id:
            raise TableIdentityError(
                identity.table_arn,
                f"its TableId is {identity.table_id}, {describe_claim(claim)} was claimed for {claim.table_id}: the table was"
                " deleted and created again",
                "trigger the DAG by hand with new_base: true to begin a new chain with a full export",
            )

    def _listed_in_prefix(self, claim: Claim) -> Iterator[str]:
        folder = f"{claim.request.s3_prefix}/AWSDynamoDB"
        for stored in self.store.list_folder(folder):
            name = stored.key.rstrip("/").rsplit("/", 1)[-1]
            if stored.is_folder and EXPORT_ID.fullmatch(name):
                yield f"{claim.request.table_arn}/export/{name}"

    def _listed_by_dynamodb(self, claim: Claim) -> Iterator[str]:
        for export_arn in self.dynamodb.list_exports(claim.request.table_arn):
            if _started_before(export_arn, claim.claimed_at - TOKEN_MARGIN):
                return
            yield export_arn

    def _described(
        self, claim: Claim, candidates: Iterable[str], found: Mapping[str, ExportDescription]
    ) -> dict[str, ExportDescription]:
        """Add those of the candidates that agree with the claim to what was found already."""
        agreeing = dict(found)
        for export_arn in candidates:
            if export_arn not in agreeing and (description := self._agreeing(claim, export_arn)):
                agreeing[export_arn] = description
        return agreeing

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


def _best(claim: Claim, found: Iterable[ExportDescription], *, usable_only: bool = False) -> ExportDescription | None:
    """Return the export to go on with: whoever looks, and whenever, takes the same one of several.

    What another one asked for by hand is as good as ours, unless it FAILED: then ours was never asked for.

    :param usable_only: pass over ours too if it FAILED.
    """

    def rank(each: ExportDescription) -> tuple[bool, bool, str]:
        return each.status is ExportStatus.FAILED, each.client_token != claim.client_token, each.export_id

    most = (False, True) if usable_only else (True, False)
    return min((each for each in found if rank(each)[:2] <= most), key=rank, default=None)


def _started_before(export_arn: str, moment: datetime) -> bool:
    """Tell whether an export id, which begins with its start in milliseconds, is older than a moment."""
    milliseconds = export_id(export_arn).split("-", 1)[0]
    return milliseconds.isdigit() and int(milliseconds) < int(moment.timestamp()) * 1000


def describe_claim(claim: Claim) -> str:
    """Return a claim in words for the log."""
    stretch = claim.window or iso(claim.request.export_time or claim.claimed_at)
    return f"claim {claim.sequence}, {claim.kind} {stretch}, attempt {claim.attempt}"
