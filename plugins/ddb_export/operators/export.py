"""The operator that claims and starts an export, and waits until DynamoDB has ended it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from ddb_export.domain.cost import size_in_words
from ddb_export.domain.export import ExportDescription, ExportRequest, ExportStatus, ExportViewType
from ddb_export.domain.export_filter import filter_of
from ddb_export.domain.ledger import Claim, ClaimKind, FailedEntry
from ddb_export.domain.metrics import FURTHER_ATTEMPTS, Stage
from ddb_export.domain.planning import Action, PlannedExport, TableIdentity
from ddb_export.domain.progress import counted, length_in_words
from ddb_export.domain.search_words import words_of_claim
from ddb_export.domain.utc import iso
from ddb_export.domain.waiting import longest_pause, turn
from ddb_export.domain.window import Window
from ddb_export.exceptions import (
    ExportError,
    ExportRefusedError,
    ExportThrottledError,
    UsageError,
)
from ddb_export.links.export import DynamoDBExportLink
from ddb_export.metrics import tell_count
from ddb_export.operators.base import LakeOperator, instant
from ddb_export.operators.lineage import TellsLineage, exported
from ddb_export.operators.state import recall, remember
from ddb_export.pipeline.exports import Exports, describe_claim
from ddb_export.pipeline.key_attributes import remember_key_attributes
from ddb_export.pipeline.ledger import Wanted
from ddb_export.pipeline.planning import Destination
from ddb_export.pipeline.standing import require_open_chain, standing_entry
from ddb_export.pipeline.waiting import failed, refusal, wait_for_end
from ddb_export.triggers.export import DynamoDBExportTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context, XComArg


@dataclass(frozen=True)
class _Pause:
    """Time that has to pass before a task goes on.

    :param method_name: what a deferred task comes back through, with ``arguments``. :param here: the same without deferring.
    """

    delay: timedelta
    method_name: str
    here: Callable[[], Outcome]
    arguments: dict[str, Any] = field(default_factory=dict)


Outcome = dict[str, Any] | _Pause


class DynamoDBExportOperator(TellsLineage, LakeOperator):
    """Exports a table once: at a moment (full) or for a window (incremental), and waits until the export has ended.

    The export is claimed in the ledger before DynamoDB is asked, and its ARN is remembered before anything else can go wrong. A
    retry, a clear, another run: each finds the export that exists and starts no other, unless that one FAILED. Then the
    next try makes the next attempt, under a new token and into a folder of its own. One that a person started by hand for the same
    window and folder is adopted.

    Where DynamoDB throttles, or runs 300 exports already, the task waits for its turn and uses up no retry.

    Returns the description of the COMPLETED export, flat (see :class:`~ddb_export.domain.export.ExportDescription`), with
    ``export`` (name of the attempt) and ``attempt``.

    :param table: name or ARN of the table.
    :param export_time: moment of a full export, ISO 8601 with a zone. Templated.
    :param start: inclusive start of a window; ``end`` its exclusive end. Templated.
    :param export_view: view of an incremental export.
    :param kms_key: KMS key of the exported files.
    :param export_filter: what of the table is exported, in the form of YAML's ``filter``; None for all of it.
    :param settle: how long after its end a window may be asked for.
    :param poll_interval: time between two questions at least while the export runs; long ones are asked after less often.
    :param deferrable: wait in the triggerer; else in the worker, with the same outcomes.
    :param skip_without_time: skip the task if neither a moment nor a window is given.
    """

    template_fields: Sequence[str] = (*LakeOperator.template_fields, "table", "export_time", "start", "end", "kms_key")
    operator_extra_links = (DynamoDBExportLink(),)
    ui_color = "#c6dbef"
    stage = Stage.EXPORT

    def __init__(
        self,
        *,
        table: str,
        export_time: datetime | str | XComArg | None = None,
        start: datetime | str | None = None,
        end: datetime | str | None = None,
        export_view: str = ExportViewType.NEW_AND_OLD_IMAGES,
        kms_key: str | None = None,
        export_filter: Mapping[str, Any] | None = None,
        settle: timedelta = timedelta(minutes=5),
        poll_interval: timedelta = timedelta(seconds=30),
        skip_without_time: bool = False,
        deferrable: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.export_time = export_time
        self.start = start
        self.end = end
        self.export_view = export_view
        self.kms_key = kms_key
        self.export_filter = export_filter
        self.settle = settle
        self.poll_interval = poll_interval
        self.skip_without_time = skip_without_time
        self.deferrable = deferrable

    def post_execute(self, context: Context, result: Any = None) -> None:
        """Tell nothing here: the stage lasts as long as DynamoDB's export, most of it without this task."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Claim, find or start the export, remember it, and wait until it has ended."""
        return self._finish(self._begin(context, 0))

    def resume(self, context: Context, event: Any = None, turns: int = 0) -> dict[str, Any]:
        """Begin again after the window has settled, or when it is this task's turn.

        :param turns: how many turns were waited so far.
        """
        return self._finish(self._begin(context, turns))

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Go on after the trigger fired.

        :raises ExportFailedError: DynamoDB ended the export as FAILED. :raises NotReachableError: it could no longer be
            asked after; a :class:`~ddb_export.exceptions.PermissionDeniedError` where a permission was taken away.
        """
        return self._finish(self._go_on(event))

    def look_again(self, context: Context, export_arn: str, event: Any = None, turns: int = 0) -> dict[str, Any]:
        """Go on with an export that has ended, after DynamoDB was too busy to describe it.

        :param turns: how many turns were waited so far.
        """
        return self._finish(self._end(export_arn, turns))

    def _finish(self, outcome: Outcome) -> dict[str, Any]:
        """Wait, deferred or here, until there is a result."""
        from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger

        while isinstance(outcome, _Pause):
            if self.deferrable:
                self.defer(
                    trigger=TimeDeltaTrigger(outcome.delay),
                    method_name=outcome.method_name,
                    kwargs=outcome.arguments,
                    timeout=None,
                )
            time.sleep(outcome.delay.total_seconds())
            outcome = outcome.here()
        return outcome

    def _begin(self, context: Context, turns: int) -> Outcome:
        try:
            return self._claim_and_start(context)
        except ExportThrottledError as error:
            delay = self._turn(error, turns)
        return _Pause(delay, "resume", lambda: self._begin(context, turns + 1), {"turns": turns + 1})

    def _claim_and_start(self, context: Context) -> Outcome:
        planned = self._planned()
        if self.export_filter is not None:
            self.hook.dynamodb.require_filters()
        identity = self.hook.dynamodb.identify(self.table)
        recovery, now = self.hook.dynamodb.recovery(self.table)
        if now < planned.ready_at + self.settle:
            delay = planned.ready_at + self.settle - now
            stretch = planned.window or iso(planned.ready_at)
            self.say(f"waiting {length_in_words(delay)} for {stretch} to settle", self.lake_name)
            return _Pause(delay, "resume", lambda: self._begin(context, 0))
        request = self._request(planned, identity)
        claim = self._claim(planned, request, identity, now)
        if self._is_verified(claim):
            self.say("verified already; DynamoDB is not asked", words_of_claim(self.lake_name, claim))
            return self._finished(claim, self._verified_description(claim))
        if entry := standing_entry(self._exports, self.ledger, claim, recovery.earliest):
            stands = self.claim_of(entry.export)
            self.say("recovery has passed the next attempt; this one stands", words_of_claim(self.lake_name, stands))
            return self._finished(stands, self._verified_description(stands))
        require_open_chain(self._exports, self.ledger, claim)
        claim, description = self._find_or_start(context, claim, request, identity, now)
        if description.status is ExportStatus.IN_PROGRESS:
            words = words_of_claim(self.lake_name, claim, description.export_arn)
            return self._go_on(self._wait(description, words))
        return self._ended(claim, description)

    def _go_on(self, event: dict[str, Any]) -> Outcome:
        if event["status"] == "error":
            raise refusal(event)
        return self._end(event["export_arn"], 0)

    def _end(self, export_arn: str, turns: int) -> Outcome:
        try:
            description = self.hook.dynamodb.describe_export(export_arn)
            return self._ended(self._claimed_for(description), description)
        except ExportThrottledError as error:
            delay = self._turn(error, turns)
        arguments = {"export_arn": export_arn, "turns": turns + 1}
        return _Pause(delay, "look_again", lambda: self._end(export_arn, turns + 1), arguments)

    def _turn(self, error: ExportThrottledError, turns: int) -> timedelta:
        delay = turn(turns, random.random())  # noqa: S311  # no secret
        words = f"waiting {length_in_words(delay)} for AWS to have room again, turn {turns + 1}: {error}"
        self.say(words, self.lake_name)
        return delay

    @cached_property
    def _exports(self) -> Exports:
        return Exports(self.hook.dynamodb, self.store)

    def _planned(self) -> PlannedExport:
        export_time = instant(self.export_time, "export_time")
        start, end = instant(self.start, "start"), instant(self.end, "end")
        if export_time is None and start is None and end is None and self.skip_without_time:
            raise AirflowSkipException("nothing to export: the plan has no full export")
        if (export_time is None) == (start is None) or (start is None) != (end is None):
            raise UsageError(
                f"task {self.task_id}",
                "it names neither one moment nor one window",
                "give export_time, or start and end",
            )
        try:
            window = Window(start, end) if start and end else None
        except ValueError as error:
            raise UsageError(
                f"task {self.task_id}", str(error), "give whole minutes, 15 minutes to 24 hours"
            ) from error
        kind = ClaimKind.WINDOW if window else ClaimKind.BASE
        return PlannedExport(kind, Action.EXPORT, f"task {self.task_id}", export_time, window)

    def _request(self, planned: PlannedExport, identity: TableIdentity) -> ExportRequest:
        """Return what would be asked for now; a claim that exists keeps what it was claimed with."""
        destination = Destination(
            ExportViewType(self.export_view), self.bucket_owner, self.kms_key, filter_of(self.export_filter)
        )
        return destination.request(self.ledger, identity.table_arn, planned)

    def _claim(self, planned: PlannedExport, request: ExportRequest, identity: TableIdentity, now: datetime) -> Claim:
        self.ledger.own(identity.table_arn, now)
        wanted = Wanted(planned.kind, request, planned.reason, beside_chain=True)
        claim = self.ledger.claim([wanted], identity.table_id, now)[0]
        if claim.table_id == identity.table_id:
            remember_key_attributes(self.ledger, identity)
        return claim

    def _is_verified(self, claim: Claim) -> bool:
        return self.ledger.verified_entry(claim.export) is not None

    def _verified_description(self, claim: Claim) -> ExportDescription:
        """Describe a verified export from the evidence: DynamoDB forgets exports after 90 days."""
        entry = self.verified_entry(claim.export)
        request: ExportRequest = claim.request
        return ExportDescription(
            export_arn=entry.export_arn,
            status=ExportStatus.COMPLETED,
            table_arn=entry.table_arn,
            table_id=entry.table_id,
            export_type=request.export_type,
            export_format=request.export_format,
            export_time=request.export_time,
            start=request.window.start if request.window else None,
            end=request.window.end if request.window else None,
            view=request.view,
            bucket=request.bucket,
            s3_prefix=request.s3_prefix,
            client_token=claim.client_token,
            item_count=entry.item_count,
            billed_bytes=entry.billed_bytes,
            manifest_key=entry.manifest_key,
            export_filter=request.export_filter,
        )

    def _find_or_start(
        self, context: Context, claim: Claim, request: ExportRequest, identity: TableIdentity, now: datetime
    ) -> tuple[Claim, ExportDescription]:
        """Return the claim and its export; where it FAILED before this try, the next attempt and its export.

        So too where DynamoDB refuses what was claimed, and the configuration was corrected since: what was refused never began.
        """
        try:
            description = self._remembered(context, claim, now)
        except ExportRefusedError as error:
            if error.code != "ValidationException" or claim.asks_for(request):
                raise
            reason = f"attempt {claim.attempt} was refused: {error.cause}"
        else:
            if description.status is not ExportStatus.FAILED:
                return claim, description
            self._record_failure(claim, description)
            reason = f"attempt {claim.attempt} FAILED with {description.failure_code}"
        following = self.ledger.next_attempt(claim, identity.table_id, now, reason, request)
        self.say(f"{reason}; going on with the next attempt", words_of_claim(self.lake_name, following))
        tell_count(FURTHER_ATTEMPTS, 1, table=self.lake_name)
        return following, self._remembered(context, following, now)

    def _remembered(self, context: Context, claim: Claim, now: datetime) -> ExportDescription:
        key = f"export_arn.{claim.export}"
        description = self._exports.find_or_start(claim, now, recall(context, key))
        remember(context, key, description.export_arn)
        DynamoDBExportLink.persist(
            context=context,
            operator=self,
            region_name=self.hook.conn_region_name,
            aws_partition=self.hook.conn_partition,
            table_name=claim.request.table_arn.rsplit("/", 1)[-1],
            export_id=description.export_id,
        )
        return description

    def _wait(self, description: ExportDescription, words: str) -> dict[str, Any]:
        """Defer; where that is not wanted, wait here and return the event that the trigger would have fired."""
        seconds = self.poll_interval.total_seconds()
        how = "deferred" if self.deferrable else "in this worker"
        first = f"it is asked every {seconds:g} s at first, every {longest_pause(seconds):g} s later"
        self.say(f"waiting, {how}, until DynamoDB ends it, however long that takes; {first}", words)
        if self.deferrable:
            self.defer(
                trigger=DynamoDBExportTrigger(
                    export_arn=description.export_arn,
                    poll_interval=self.poll_interval.total_seconds(),
                    aws_conn_id=self.aws_conn_id,
                    region_name=self.region_name,
                    verify=self.verify,
                    botocore_config=self.botocore_config,
                    role_arn=self.role_arn,
                ),
                method_name="execute_complete",
                timeout=None,
            )
        return wait_for_end(self.hook.dynamodb, description.export_arn, self.poll_interval)

    def _claimed_for(self, description: ExportDescription) -> Claim:
        """Return the claim whose export this is, by the private prefix that DynamoDB says it writes to."""
        prefix = (description.s3_prefix or "").strip("/")
        claim = self.ledger.claim_of(prefix.rsplit("/", 1)[-1])
        if claim.request.s3_prefix != prefix:
            raise ExportError(
                description.export_arn, f"no claim of the ledger has its prefix {prefix}", "restore the ledger's claims"
            )
        return claim

    def _ended(self, claim: Claim, description: ExportDescription) -> dict[str, Any]:
        self.moved = (exported(self.lake, claim, description),)
        self._exports.require_agreement(claim, description)
        if description.status is ExportStatus.FAILED:
            self._record_failure(claim, description)
            raise failed(
                description,
                describe_claim(claim),
                after="clear this task",
                passing="none needed while retries are left: the next try makes the next attempt",
            )
        if description.start_time and description.end_time:
            self.tell_stage_duration(description.end_time - description.start_time)
        return self._finished(claim, description)

    def _record_failure(self, claim: Claim, description: ExportDescription) -> None:
        entry = FailedEntry(
            claim.export,
            description.export_arn,
            description.failure_code,
            description.failure_message,
            description.end_time,
        )
        self.ledger.record_failed(entry)

    def _finished(self, claim: Claim, description: ExportDescription) -> dict[str, Any]:
        self.moved = (exported(self.lake, claim, description),)
        began, ended = description.start_time, description.end_time
        took = f" in {length_in_words(ended - began)}" if began and ended else ""
        amount = (
            f"{counted(description.item_count or 0, 'item')}, {size_in_words(description.billed_bytes or 0)} billed"
        )
        self.say(f"COMPLETED{took}: {amount}", words_of_claim(self.lake_name, claim, description.export_arn))
        stretch = str(claim.window) if claim.window else iso(claim.request.export_time or claim.claimed_at)
        return {**description.to_xcom(), "export": claim.export, "attempt": claim.attempt, "covers": stretch}
