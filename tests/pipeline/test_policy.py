"""The generated policy against a table's life in the lab: the record of calls, the same life under the policy, each grant missing once."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from ddb_export.aws.errors import aws_errors
from ddb_export.aws.glue_indexes import ensure_partition_index
from ddb_export.aws.object_store import S3ObjectStore
from ddb_export.domain.export import ExportStatus, ExportViewType
from ddb_export.domain.ledger import Claim, VerifiedEntry
from ddb_export.domain.planning import PlanRequest, RunKind
from ddb_export.domain.policy import Grant, PolicySubject, Variant, bucket_policy, grants, role_policy
from ddb_export.domain.schedule import schedule_boundaries
from ddb_export.domain.wider_columns import Wish
from ddb_export.domain.window import Stretch
from ddb_export.exceptions import ExportFailedError, ExportThrottledError, PermissionDeniedError
from ddb_export.pipeline.compaction import TableCompaction
from ddb_export.pipeline.counting import count_query
from ddb_export.pipeline.estimate import estimate_run
from ddb_export.pipeline.planning import plan_run, require_first_run
from ddb_export.pipeline.raw_tables import RawTables
from ddb_export.pipeline.rebuild import rebuild_ledger
from ddb_export.pipeline.verification import VerificationLevel
from ddb_export.pipeline.views import OUTPUTS, views_to_write
from ddb_export.pipeline.waiting import failed
from ddb_export.pipeline.widening import TableWidening
from local_aws.client import Lab
from local_aws.permissions import Permissions
from tests.pipeline.policies import subject_of
from tests.pipeline.tables import BUCKET, LakeTable, at

DENIED_WRITES = {"s3:PutObject", "s3:PutObjectAcl", "s3:AbortMultipartUpload"}


@dataclass
class Life:
    """All that happens to a table, done step by step as a role that a policy binds; None: as one that may do everything."""

    table: LakeTable
    variant: Variant = Variant.RUNS
    policy: dict[str, Any] | None = None
    needed: set[tuple[str, str]] = field(default_factory=set)

    @property
    def level(self) -> VerificationLevel:
        return VerificationLevel.MANIFEST if self.variant is Variant.NO_DATA else VerificationLevel.BYTES

    @contextmanager
    def as_role(self) -> Iterator[None]:
        """Let the policy bind, and note what is needed."""
        lab, account = self.table.lab, self.table.account
        lab.clear_calls(account)
        lab.allow_only(account, *([self.policy] if self.policy else []))
        try:
            yield
        finally:
            self.needed |= {(action, arn) for call in lab.calls(account) for action, arn in call["needs"]}
            lab.allow_only(account)

    def run(self) -> None:
        """Live it."""
        if self.variant is Variant.REPLAY:
            claims = [self.table.claim(12), self.table.claim(12, 24)]
            for claim in claims:
                self.export(claim)
            with self.as_role():
                self.plan()
                self.show([self.verify(claim) for claim in claims])
            return
        with self.as_role():
            require_first_run(self.table.ledger, self.table.store, self.signs())
            self.plan()
            entries = [self.troubled_base(), self.forgotten_export(), self.verified(24, 36)]
            for entry in entries[:2]:
                RawTables(self.table.ledger, self.table.store).publish(entry, self.table.glue, "lake", self.table.now)
            if self.variant is Variant.RUNS:
                self.show(entries)
        if self.variant is Variant.RUNS:
            self.rebuild()
        with self.as_role():
            self.export_again()
            self.table.ledger.read_every_object()

    def rebuild(self) -> None:
        """Lose the ledger by an accident of somebody who may do everything, and write it again."""
        for stored in list(self.table.store.list_objects(f"{self.table.ledger.lake.ledger}/")):
            self.table.store.delete(stored.key)
        with self.as_role():
            rebuild_ledger(
                self.table.store,
                self.table.ledger.lake,
                self.table.now,
                apply=True,
                database="lake",
            )

    def signs(self) -> list[str]:
        """What shows an earlier chain, as the plan task looks for it."""
        names = [f"orders_{output}" for output in OUTPUTS]
        return [made_for for name in names if (made_for := self.table.glue.made_for("lake", name))]

    def plan(self) -> None:
        table = self.table
        interval = Stretch(at(24), at(48))
        view = ExportViewType.NEW_AND_OLD_IMAGES
        request = PlanRequest(RunKind.SCHEDULED, table.now, timedelta(minutes=5), interval, view, OUTPUTS)
        planned = plan_run(
            table.dynamodb,
            table.ledger,
            table.name,
            request,
            lambda after, before: list(schedule_boundaries("0 */12 * * *", "UTC", after, before)),
        )
        estimate_run(table.dynamodb, table.ledger, table.store, planned)

    def troubled_base(self) -> VerifiedEntry:
        """Be throttled, see the export fail, and make the next attempt."""
        table = self.table
        claim = table.claim(12)
        throttled: dict[str, Any] = {"service": "dynamodb", "operation": "ExportTableToPointInTime"}
        table.lab.add_fault("throttle", account=table.account, **throttled)
        with pytest.raises(ExportThrottledError):
            table.exports.find_or_start(claim, table.now)
        table.lab.add_fault("fail_export", account=table.account, code="UNKNOWN", message="internal error")
        assert table.export(claim).status is ExportStatus.FAILED
        following = table.ledger.next_attempt(claim, table.table_id, table.now, "FAILED")
        self.export(following)
        return self.verify(following)

    def export(self, claim: Claim) -> None:
        description = self.table.export(claim)
        if description.status is ExportStatus.FAILED:
            raise failed(description, "it", after="clear this task", passing="clear this task")

    def verify(self, claim: Claim) -> VerifiedEntry:
        table = self.table
        description = table.exports.find(claim)
        assert description
        ttl = table.dynamodb.ttl_attribute(table.arn)
        return table.work.verify(claim, description, ttl, table.now, self.level)

    def verified(self, start: float, end: float) -> VerifiedEntry:
        claim = self.table.claim(start, end)
        self.export(claim)
        return self.verify(claim)

    def show(self, entries: list[VerifiedEntry]) -> None:
        """Convert, publish, let Athena count, give a column that became too narrow another type."""
        table = self.table
        groups = table.converted(*entries)
        published = [table.publish(entry, groups) for entry in entries]
        self.index_and_views()
        for output in OUTPUTS:
            self.ask_athena(count_query([each for each in published if each.output == output]))
        widening = TableWidening(table.work, table.glue)
        if not (plan := widening.plan(Wish(), table.now)).is_empty:
            widening.run(plan, lambda: table.now)
        compaction = TableCompaction(table.work, table.glue)
        compaction.run(compaction.plan(), lambda: table.now)

    def ask_athena(self, sql: str) -> None:
        athena = self.table.aws("athena")
        results = {"OutputLocation": f"s3://{BUCKET}/tables/orders/athena-results/"}
        with aws_errors("Athena count"):
            query = athena.start_query_execution(QueryString=sql, ResultConfiguration=results)["QueryExecutionId"]
            deadline = time.monotonic() + 30
            while (
                athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]["Status"]["State"] != "SUCCEEDED"
            ):
                assert time.monotonic() < deadline
                time.sleep(0.02)
            athena.get_query_results(QueryExecutionId=query)

    def index_and_views(self) -> None:
        table = self.table
        ensure_partition_index(table.glue, "lake", "orders_changes", ["dt", "export_window"])
        keys = table.dynamodb.key_attributes(table.arn)
        assert views_to_write(table.ledger, keys, table.glue, "lake")

    def forgotten_export(self) -> VerifiedEntry:
        """Start a window that was claimed when DynamoDB's memory of tokens, had there been a request, would have ended."""
        claim = self.table.claim(12, 24)
        self.table.until(70)
        self.export(claim)
        return self.verify(claim)

    def export_again(self) -> None:
        """Export a window again, join windows, go on before the base, and begin a new chain."""
        table = self.table
        again = replace(table.wanted(12, 24), attempt=2)
        joined = replace(table.wanted(24, 38), supersedes=("20260302T0000Z-20260302T1200Z",))
        for wanted in (again, joined, table.wanted(2, 12), replace(table.wanted(60), closes_chain=True)):
            (claim,) = table.ledger.claim([wanted], table.table_id, table.now)
            self.export(claim)
            entry = self.verify(claim)
            if self.variant is Variant.RUNS:
                table.publish(entry, table.converted(entry))


@pytest.fixture
def table(lab: Lab, account: str, aws: Callable[..., Any]) -> LakeTable:
    """Changes in each window; one brings a number that the first column cannot hold, one a record that is none."""
    made = LakeTable(lab, account, aws)
    made.put(1, "a", n={"N": "1"})
    made.put(13, "a", n={"N": "2"})
    made.put(25, "b", n={"N": "2.25"})
    made.put(26, "broken")
    made.until(60.5)
    damage: dict[str, Any] = {"damage": "replace_text", "old": '"broken"', "new": "12", "consistent": True}
    lab.add_fault("damage_file", account=account, target="data:all", times=None, **damage)
    return made


def subject(account: str) -> PolicySubject:
    return subject_of(
        account,
        results_folder="tables/orders/athena-results",
        raw_tables=("orders_raw_snapshots", "orders_raw_changes"),
        views=("orders_latest", "orders_history", "orders_overflow"),
        partition_index=True,
    )


def matches(pattern: str, arn: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), arn) is not None


def test_the_record_of_a_life_and_the_policy_name_the_same(table: LakeTable, account: str):
    life = Life(table)
    life.run()
    permissions = Permissions()
    granted = grants(subject(account), Variant.RUNS)
    permissions.allow_only(account, [role_policy(granted)])
    missing = {need for need in life.needed if not permissions.allowed_by_policy(account, *need)}
    assert missing == set()
    unused = [
        f"{grant.sid}: {thing}"
        for grant in granted
        for thing in [*(set(grant.actions) - grant.unseen), *(grant.resources if seen(grant) else ())]
        if not any(thing == action or matches(thing, arn) for action, arn in used(grant, life.needed))
    ]
    assert unused == []


def seen(grant: Grant) -> bool:
    return bool(set(grant.actions) - grant.unseen)


def used(grant: Grant, needed: set[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the needs that the grant answers."""
    return [
        (action, arn)
        for action, arn in needed
        if action in grant.actions and any(matches(each, arn) for each in grant.resources)
    ]


@pytest.mark.parametrize("variant", [Variant.RUNS, Variant.NO_DATA, Variant.REPLAY])
def test_a_life_under_the_policy_passes(table: LakeTable, account: str, variant: Variant):
    life = Life(table, variant, role_policy(grants(subject(account), variant)))
    life.run()
    exported = ("dynamodb:ExportTableToPointInTime", table.arn) in life.needed
    assert exported is (variant is not Variant.REPLAY)
    data = [arn for action, arn in life.needed if action == "s3:GetObject" and "/raw/" in arn and "/data/" in arn]
    assert bool(data) is (variant is not Variant.NO_DATA)


def test_no_data_cannot_read_and_replay_cannot_export(table: LakeTable, account: str):
    entry = table.verified(12)
    for variant, works in ((Variant.NO_DATA, False), (Variant.REPLAY, True)):
        table.lab.allow_only(account, role_policy(grants(subject(account), variant)))
        if works:
            table.converted(entry)
            with pytest.raises(PermissionDeniedError, match="ExportTableToPointInTime"):
                table.export(table.claim(12, 24))
        else:
            with pytest.raises(PermissionDeniedError, match=r"s3:GetObject on resource: .*/data/"):
                table.converted(entry)


def single_grants() -> Iterator[Any]:
    for grant in grants(subject("111122223333"), Variant.RUNS):
        for action in grant.actions:
            if action not in grant.unseen or grant.sid == "WriteExports":
                yield pytest.param(grant.sid, action, id=f"{grant.sid}-{action}")


@pytest.mark.scenario("F42")
@pytest.mark.parametrize(("sid", "action"), single_grants())
def test_a_grant_that_is_missing_ends_the_run_and_is_named(table: LakeTable, account: str, sid: str, action: str):
    granted = [
        replace(each, actions=tuple(one for one in each.actions if one != action)) if each.sid == sid else each
        for each in grants(subject(account), Variant.RUNS)
    ]
    life = Life(table, policy=role_policy([each for each in granted if each.actions]))
    with pytest.raises((PermissionDeniedError, ExportFailedError)) as caught:
        life.run()
    error = caught.value
    assert action in error.cause
    assert error.remedy
    if sid == "WriteExports":
        assert (type(error), error.code) == (ExportFailedError, "S3AccessDenied")
    else:
        assert type(error) is PermissionDeniedError
        assert "permission" in error.remedy or "allow" in error.remedy or "grant" in error.remedy


@pytest.mark.parametrize("missing", ["catalog", "database/lake", "table/lake/orders_snapshots"])
def test_glue_needs_catalog_database_and_table(table: LakeTable, account: str, missing: str):
    granted = grants(subject(account), Variant.RUNS)
    kept = [
        replace(each, resources=tuple(arn for arn in each.resources if not arn.endswith(f":{missing}")))
        for each in granted
    ]
    table.lab.allow_only(account, role_policy(granted))
    assert not table.glue.has_table("lake", "orders_snapshots")
    table.lab.allow_only(account, role_policy(kept))
    with pytest.raises(PermissionDeniedError, match=f"glue:GetTable on resource: .*{missing}"):
        table.glue.has_table("lake", "orders_snapshots")


@pytest.mark.scenario("F30")
def test_a_bucket_of_another_account_takes_an_export_with_the_generated_policy_only(
    table: LakeTable, account: str, aws: Callable[..., Any]
):
    owner = f"{(int(account) + 1) % 10**12:012d}"
    s3 = aws("s3", account=owner)
    s3.create_bucket(Bucket=f"theirs-{owner}")
    # Here the account itself asks, in no role's session, so that its root stands for the role; roles are assumed in tests/airflow/test_many_accounts.py.
    theirs = replace(
        subject(account),
        bucket=f"theirs-{owner}",
        bucket_account=owner,
        role_arn=f"arn:aws:iam::{account}:root",
    )
    granted = grants(theirs, Variant.RUNS)
    table.lab.allow_only(account, role_policy(granted))
    ends = []
    for policy in (None, bucket_policy(theirs, granted)):
        if policy:
            s3.put_bucket_policy(Bucket=theirs.bucket, Policy=json.dumps(policy))
        request = replace(table.wanted(12).request, bucket=theirs.bucket, bucket_owner=owner)
        started = table.dynamodb.start_export(request, f"token-{len(ends)}")
        ended = table.ended(started)
        ends.append((ended.status, ended.failure_code))
    assert ends == [(ExportStatus.FAILED, "S3AccessDenied"), (ExportStatus.COMPLETED, None)]
    stored = list(S3ObjectStore(table.aws("s3"), theirs.bucket, owner).list_objects("tables/orders/raw/"))
    assert any(each.key.endswith("manifest-summary.json") for each in stored)
    table.lab.reset(owner)
