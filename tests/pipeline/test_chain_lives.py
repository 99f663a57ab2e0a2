"""Chains that live long: outages, recovery that is cut short or moves on, a history that DynamoDB forgets, processes that die."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ddb_export.domain.export import ExportStatus, ExportViewType
from ddb_export.domain.ledger import ClaimKind
from ddb_export.domain.planning import Action, ChainEnd, Plan, PlanRequest, RunKind
from ddb_export.domain.schedule import schedule_boundaries
from ddb_export.domain.utc import parse_utc
from ddb_export.domain.window import Stretch
from ddb_export.exceptions import DdbExportError, PlanError, PointInTimeRecoveryError, TableIdentityError
from ddb_export.pipeline.estimate import estimate_run
from ddb_export.pipeline.planning import Destination, PlannedRun, claim_plan, plan_run, replay_run
from ddb_export.pipeline.standing import require_open_chain, standing_entry
from local_aws.client import Lab
from tests.pipeline.tables import BUCKET, LakeTable, at

ROOT = Path(__file__).resolve().parents[2]
DAY = 24.0


@dataclass
class Deployment:
    """An Airflow's part in a table's chain: it plans, claims, exports and verifies, one run after the other."""

    table: LakeTable
    cron: str = "0 0 * * *"

    def planned(
        self, start: float = 0, end: float | None = None, kind: RunKind = RunKind.SCHEDULED, **more: Any
    ) -> PlannedRun:
        """Plan a run for an interval, given in hours; without an end a run by hand."""
        interval = None if end is None else Stretch(at(start), at(end))
        kind = RunKind.MANUAL if end is None else kind
        request = PlanRequest(
            kind, self.table.now, timedelta(minutes=5), interval, ExportViewType.NEW_AND_OLD_IMAGES, (), **more
        )
        return plan_run(
            self.table.dynamodb,
            self.table.ledger,
            self.table.name,
            request,
            lambda after, before: list(schedule_boundaries(self.cron, "UTC", after, before)),
        )

    def run(self, start: float = 0, end: float | None = None, kind: RunKind = RunKind.SCHEDULED, **more: Any) -> Plan:
        """Plan a run, and do all of it."""
        planned = self.planned(start, end, kind, **more)
        claims = claim_plan(self.table.ledger, planned, Destination())
        running = [(claim, self.table.exports.find_or_start(claim, self.table.now)) for claim in claims]
        for claim, description in running:
            self.table.work.verify(claim, self.table.ended(description), None, self.table.now)
        return planned.plan

    def windows(self) -> list[tuple[float, float]]:
        """Return the claimed windows in hours, in order of time."""
        return sorted((claim["start"], claim["end"]) for claim in claims(self.table) if claim["end"] is not None)


def claims(table: LakeTable) -> list[dict[str, Any]]:
    """Read the claims as they lie in S3, with their times in hours."""
    found = []
    for stored in table.store.list_objects(f"{table.ledger.lake.ledger}/claims/"):
        claim = json.loads(table.store.read(stored.key).content)
        request = claim["request"]
        start, end, moment = (hours(request[name]) for name in ("start", "end", "export_time"))
        found.append({**claim, "start": moment if start is None else start, "end": end})
    return found


def hours(text: str | None) -> float | None:
    return (parse_utc(text) - at(0)) / timedelta(hours=1) if text else None


@pytest.fixture
def table(lab: Lab, account: str, aws: Callable[..., Any]) -> LakeTable:
    made = LakeTable(lab, account, aws)
    made.put(1, "a")
    return made


@pytest.fixture
def deployment(table: LakeTable) -> Deployment:
    return Deployment(table)


def head(table: LakeTable) -> float | None:
    complete = table.ledger.read().head
    return (complete - at(0)) / timedelta(hours=1) if complete else None


def switch_recovery(table: LakeTable, *, enabled: bool) -> None:
    specification = {"PointInTimeRecoveryEnabled": enabled}
    client = table.aws("dynamodb")
    client.update_continuous_backups(TableName=table.name, PointInTimeRecoverySpecification=specification)


@pytest.mark.scenario("F9")
@pytest.mark.scenario("F11")
@pytest.mark.scenario("F12")
def test_a_chain_of_a_hundred_days_needs_neither_its_base_nor_dynamodbs_memory(table, deployment):
    for day in (1, 2, 32, 33, 38, 39, 70, 101):  # outages of 30 days, which one run each makes up for
        table.until(day * DAY + 1)
        deployment.run((day - 1) * DAY, day * DAY)
    assert head(table) == 101 * DAY
    windows = deployment.windows()
    assert (windows[0][0], windows[-1][1], len(windows)) == (DAY, 101 * DAY, 100)
    assert all(end == start for (_, end), (start, _) in pairwise(windows))
    known = list(table.dynamodb.list_exports(table.arn))
    assert len(known) < len(table.started()) == 101, "DynamoDB has forgotten the first ones"
    last = table.lab.calls(table.account)[-1]["sequence"]
    covered = deployment.planned(2 * DAY, 3 * DAY, RunKind.BACKFILL).plan
    assert [each.action for each in covered.exports] == [Action.REBUILD]
    assert deployment.run(101 * DAY - 24, 101 * DAY).exports == ()
    asked = {call["operation"] for call in table.lab.calls(table.account, service="dynamodb", after=last)}
    assert asked == {"DescribeTable", "DescribeContinuousBackups"}


@pytest.mark.scenario("F9")
def test_after_an_outage_no_window_is_longer_than_a_day_or_shorter_than_a_quarter_of_an_hour(table, deployment):
    table.until(DAY + 1)
    deployment.run(0, DAY)
    table.until(4 * DAY + 0.25)  # a run by hand, 10 minutes of which lie behind the last midnight when all has settled
    deployment.run()
    assert deployment.windows() == [
        (DAY, 2 * DAY),
        (2 * DAY, 3 * DAY),
        (3 * DAY, 4 * DAY - 1 / 12),
        (4 * DAY - 1 / 12, 4 * DAY + 1 / 6),
    ]
    table.until(5 * DAY + 1)
    deployment.run(4 * DAY, 5 * DAY)
    lengths = [end - start for start, end in deployment.windows()]
    assert all(0.25 <= length <= DAY for length in lengths)
    assert head(table) == 5 * DAY


@pytest.mark.scenario("F10")
def test_recovery_that_was_off_for_a_day_ends_the_chain_by_name_or_begins_another(table, deployment):
    table.until(DAY + 1)
    deployment.run(0, DAY)
    table.until(1.5 * DAY)
    switch_recovery(table, enabled=False)
    table.until(2 * DAY + 1)
    with pytest.raises(PointInTimeRecoveryError, match=r"recovery is off.*Remedy: turn it on: aws dynamodb update-"):
        deployment.run(DAY, 2 * DAY)
    table.until(2.5 * DAY)
    switch_recovery(table, enabled=True)
    table.until(4 * DAY + 1)
    before = claims(table)
    lost = r"window \[2026-03-02T00:00:00Z, 2026-03-0\dT00:00:00Z\).*reaches back to 2026-03-03T12:0\d:\d\dZ only.*new_base"
    with pytest.raises(PointInTimeRecoveryError, match=lost):
        deployment.run(3 * DAY, 4 * DAY)
    assert claims(table) == before, "what is refused claims nothing"
    plan = deployment.run(3 * DAY, 4 * DAY, on_chain_end=ChainEnd.NEW_BASE)
    assert "recovery no longer reaches" in plan.base.reason
    assert [(each["kind"], each["chain"], each["start"]) for each in claims(table)][-1] == ("base", 2, 4 * DAY)
    assert head(table) == 4 * DAY


@pytest.mark.scenario("F10")
@pytest.mark.scenario("F11")
def test_an_outage_longer_than_recovery_reaches_names_what_is_lost(table, deployment):
    table.until(DAY + 1)
    deployment.run(0, DAY)
    table.until(34 * DAY)
    assert len(deployment.planned(32 * DAY, 33 * DAY).plan.windows) == 32, "one day before the horizon all can be had"
    table.until(40 * DAY)
    with pytest.raises(PointInTimeRecoveryError, match=r"window \[2026-03-02T00:00:00Z, .*new_base"):
        deployment.run(38 * DAY, 39 * DAY)
    assert len(table.started()) == 1


@pytest.mark.scenario("F10")
@pytest.mark.parametrize("base_was_exported", [False, True])
def test_what_was_claimed_and_not_started_before_recovery_passed_it_ends_the_chain(
    table, deployment, base_was_exported
):
    """A permission is missing for weeks: each run claims, nothing is started, or the base alone, which was never verified."""
    table.until(DAY + 1)
    base = claim_plan(table.ledger, deployment.planned(0, DAY), Destination())[0]
    if base_was_exported:
        table.export(base)
    table.until(3 * DAY + 1)
    claim_plan(table.ledger, deployment.planned(2 * DAY, 3 * DAY), Destination())
    table.until(37 * DAY + 1)
    lost = "window .2026-03-02T00" if base_was_exported else "base 2026-03-02T00:00:00Z .*: it was never exported"
    with pytest.raises(PointInTimeRecoveryError, match=f"{lost}.*reaches back to .* only.*new_base"):
        deployment.planned(36 * DAY, 37 * DAY)
    plan = deployment.run(36 * DAY, 37 * DAY, on_chain_end=ChainEnd.NEW_BASE)
    assert (plan.base.export_time, plan.windows) == (at(37 * DAY), ())
    assert head(table) == 37 * DAY
    table.until(38 * DAY + 1)
    deployment.run(37 * DAY, 38 * DAY, on_chain_end=ChainEnd.NEW_BASE)
    assert head(table) == 38 * DAY


@pytest.mark.scenario("F10")
def test_recovery_that_was_off_where_nothing_was_missing_changes_nothing(table, deployment):
    table.until(2 * DAY + 1)
    deployment.run(0, DAY)
    switch_recovery(table, enabled=False)
    switch_recovery(table, enabled=True)
    table.put(2 * DAY + 2, "b")
    table.until(3 * DAY + 1)
    with pytest.raises(PointInTimeRecoveryError, match=r"\[2026-03-02T00:00:00Z, "):
        deployment.run(2 * DAY, 3 * DAY)


@pytest.mark.scenario("F34")
def test_a_backfill_that_reaches_back_before_recovery_is_refused_whole_and_by_name(table, deployment):
    table.until(38 * DAY + 1)
    deployment.run(37 * DAY, 38 * DAY)
    before = claims(table)
    with pytest.raises(PointInTimeRecoveryError) as refused:
        deployment.run(0, 6 * DAY, RunKind.BACKFILL)
    assert "window [2026-03-01T00:00:00Z, 2026-03-05T00:00:00Z)" in str(refused.value)
    assert re.search(r"Remedy: ask for what begins at 2026-03-04T01:0\d:00Z or later", str(refused.value))
    assert (claims(table), len(table.started())) == (before, 1)
    deployment.run(4 * DAY, 5 * DAY, RunKind.BACKFILL)
    assert head(table) == 38 * DAY, "history before the base moves no head"


@pytest.mark.scenario("F34")
@pytest.mark.parametrize("wish", [{"new_base": True}, {"full_export": True}, {"wanted": Stretch(at(0), at(24))}])
def test_a_backfill_that_is_given_parameters_is_refused_instead_of_ignoring_them(table, deployment, wish):
    table.until(DAY + 1)
    deployment.run(0, DAY)
    with pytest.raises(PlanError, match=r"backfill run: .*only a run by hand can do.*Remedy: leave the parameters"):
        deployment.run(0, DAY, kind=RunKind.BACKFILL, **wish)
    assert len(claims(table)) == 1


@pytest.mark.scenario("F31")
def test_a_configuration_that_changes_before_the_second_try_makes_no_conflict_of_tokens(table):
    table.until(DAY + 1)
    claim = table.claim(0, DAY)
    first = table.exports.find_or_start(claim, table.now)
    changed = table.claim(0, DAY, view=ExportViewType.NEW_IMAGE, kms_key="alias/other", bucket_owner=table.account)
    assert changed == claim
    again = table.exports.find_or_start(changed, table.now)
    assert (again.export_arn, again.view) == (first.export_arn, ExportViewType.NEW_AND_OLD_IMAGES)
    assert len(table.started()) == 1


@pytest.mark.scenario("F31")
def test_one_table_kept_in_two_lakes_is_exported_to_both_without_a_conflict(table, lab, account, aws):
    table.until(DAY + 1)
    mine = table.claim(0, DAY)
    other_ledger = type(table.ledger)(table.store, type(table.ledger.lake)(BUCKET, "elsewhere", table.name))
    wanted = table.wanted(0, DAY)
    elsewhere = type(wanted)(wanted.kind, Destination().request(other_ledger, table.arn, planned(0, DAY)), "test")
    theirs = other_ledger.claim([elsewhere], table.table_id, table.now)[0]
    assert mine.client_token != theirs.client_token
    ended = [table.export(claim) for claim in (mine, theirs)]
    assert [each.status for each in ended] == [ExportStatus.COMPLETED] * 2
    assert len({each.export_arn for each in ended}) == 2


@pytest.mark.scenario("F33")
def test_a_conversion_that_died_half_way_leaves_no_rows_twice(table):
    for number in range(40):
        table.put(2 + number / 100, f"k{number}", 1)
    table.until(DAY + 1)
    entry = table.verified(0, DAY)
    operation = {"service": "s3", "operation": "PutObject", "match": {"key": r".*\.parquet"}}
    fault = table.lab.add_fault(
        "error", account=table.account, code="AccessDenied", http_status=403, skip=1, **operation
    )
    with pytest.raises(DdbExportError):
        table.converted(entry)
    assert table.lab.fault(fault)["fired"] == 1
    half = parquet_files(table)
    groups = table.converted(entry)
    table.publish(entry, groups)
    whole = parquet_files(table)
    assert len(half) < len(whole)
    assert half.items() <= whole.items(), "the same names with the same content"
    table.publish(entry, table.converted(entry))
    assert parquet_files(table) == whole
    assert table.query("SELECT count(*), count(DISTINCT pk) FROM orders_changes") == [["41", "41"]]


def parquet_files(table: LakeTable) -> dict[str, str | None]:
    listed = table.store.list_objects(f"{table.ledger.lake.key('changes')}/")
    return {each.key: each.etag for each in listed if each.key.endswith(".parquet")}


WAITING = """
import boto3, json, sys, time
from datetime import datetime
from ddb_export.aws.dynamodb import DynamoDBGateway
from ddb_export.aws.object_store import S3ObjectStore
from ddb_export.domain.export import ExportRequest
from ddb_export.domain.layout import Lake
from ddb_export.pipeline.exports import Exports
from ddb_export.pipeline.ledger import Ledger
endpoint, account, bucket, name = sys.argv[1:]
def client(service):
    return boto3.client(service, endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=account, aws_secret_access_key="lab")
dynamodb, store = DynamoDBGateway(client("dynamodb")), S3ObjectStore(client("s3"), bucket)
claim = Ledger(store, Lake(bucket, "tables", name)).claim_of(sys.stdin.readline().strip())
description = Exports(dynamodb, store).find_or_start(claim, claim.claimed_at)
print(description.export_arn, flush=True)
while True:
    time.sleep(0.05)
    dynamodb.describe_export(description.export_arn)
"""


@pytest.mark.scenario("F6")
def test_nothing_sticks_of_a_process_that_is_killed_while_it_waits(table, deployment):
    table.until(DAY + 1)
    deployment.run(0, DAY)
    table.until(2 * DAY + 1)
    fault = table.lab.add_fault("delay_export", account=table.account, hold=True)
    (claim,) = claim_plan(table.ledger, deployment.planned(DAY, 2 * DAY), Destination())
    before = ledger_objects(table)
    command = [sys.executable, "-c", WAITING, table.lab.endpoint_url, table.account, BUCKET, table.name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        process.stdin.write(claim.export + "\n")
        process.stdin.flush()
        export_arn = process.stdout.readline().strip()
        waited = len(table.lab.calls(table.account, operation="DescribeExport"))
        deadline = time.monotonic() + 30
        while len(table.lab.calls(table.account, operation="DescribeExport")) < waited + 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.kill()
    assert ledger_objects(table) == before, "waiting leaves no flag behind"
    following = deployment.planned(DAY, 2 * DAY).plan
    assert [each.action for each in following.exports] == [Action.CONTINUE]
    running = table.exports.find_or_start(table.claim(DAY, 2 * DAY), table.now)
    assert (running.export_arn, running.status) == (export_arn, ExportStatus.IN_PROGRESS)
    table.lab.release(fault)
    deployment.run(DAY, 2 * DAY)
    assert (head(table), len(table.started())) == (2 * DAY, 2)


def ledger_objects(table: LakeTable) -> set[str]:
    return {each.key for each in table.store.list_objects(f"{table.ledger.lake.ledger}/")}


@pytest.mark.scenario("F41")
@pytest.mark.parametrize("died", ["before the request", "before the answer", "while it runs"])
def test_a_first_deployment_that_died_and_is_repeated_makes_one_full_export(table, died):
    table.until(DAY + 1)
    first, repeated = Deployment(table), Deployment(table)
    (base,) = claim_plan(table.ledger, first.planned(0, DAY), Destination())
    if died == "before the answer":
        table.dynamodb.start_export(base.request, base.client_token)
    if died == "while it runs":
        table.exports.find_or_start(base, table.now)
    table.until(3 * DAY + 1)  # the token is forgotten by then
    plan = repeated.run(2 * DAY, 3 * DAY)
    assert (plan.base.action, plan.base.export_time) == (Action.CONTINUE, at(DAY))
    full = [each for each in table.started() if each["client_token"] == base.client_token]
    assert len(table.started()) - len(full) == 2, "the windows of two days"
    assert (len(full), head(table)) == (1, 3 * DAY)
    assert repeated.run(2 * DAY, 3 * DAY).exports == ()


@pytest.mark.scenario("F13")
def test_a_table_that_was_made_again_is_claimed_only_as_a_new_base(table, deployment):
    table.until(DAY + 1)
    deployment.run(0, DAY)
    table.aws("dynamodb").delete_table(TableName=table.name)
    table.create()
    table.until(3 * DAY)
    before = claims(table)
    for interval in ((DAY, 2 * DAY), (DAY, None)):  # a window behind the old base, and the old base itself
        with pytest.raises(TableIdentityError, match=r"deleted and created again.*new_base: true"):
            table.ledger.claim([replace(table.wanted(*interval), beside_chain=True)], table.table_id, table.now)
    assert claims(table) == before
    assert deployment.run(new_base=True).base.kind is ClaimKind.BASE
    assert (head(table), claims(table)[-1]["chain"]) == (3 * DAY - 1 / 12, 2)


def planned(start: float, end: float) -> Any:
    """A window as the planner would plan it."""
    from ddb_export.domain.planning import PlannedExport
    from ddb_export.domain.window import Window

    return PlannedExport(ClaimKind.WINDOW, Action.EXPORT, "test", window=Window(at(start), at(end)))


@pytest.mark.scenario("F10")
@pytest.mark.parametrize("is_verified", [True, False])
def test_a_base_at_the_moment_of_a_snapshot_takes_over_its_export_and_opens_its_chain(table, is_verified):
    table.until(30)
    table.verified(1)
    snapshot = table.ledger.claim([replace(table.wanted(20), beside_chain=True)], table.table_id, table.now)[0]
    if is_verified:
        table.work.verify(snapshot, table.export(snapshot), None, table.now)
    wanted = replace(table.wanted(20), closes_chain=1)
    base, again = (table.ledger.claim([wanted], table.table_id, table.now)[0] for _ in range(2))
    assert (base.kind, base.chain, base.export) == (ClaimKind.BASE, 2, snapshot.export)
    assert again == base
    if not is_verified:
        table.work.verify(base, table.export(base), None, table.now)
    chain = table.ledger.read()
    assert (chain.number, chain.head, len(table.started())) == (2, at(20), 2)
    assert table.ledger.claim_of(snapshot.export).kind is ClaimKind.BASE


@pytest.mark.scenario("F10")
def test_the_base_of_a_chain_that_was_closed_is_not_begun_any_more(table):
    table.until(30)
    table.verified(1)
    left, begun, _ = (
        table.ledger.claim([replace(table.wanted(hour), closes_chain=chain)], table.table_id, table.now)[0]
        for chain, hour in ((1, 20), (2, 21), (3, 22))
    )
    table.export(begun)
    require_open_chain(table.exports, table.ledger, begun)
    with pytest.raises(PlanError, match=r"its chain 2 was closed by full-20260301T2200Z-a1.*full_export: true"):
        require_open_chain(table.exports, table.ledger, left)


@pytest.mark.scenario("F10")
def test_a_snapshot_does_not_satisfy_a_base_that_was_planned_before_another_run_opened_a_chain(table):
    table.until(30)
    table.verified(1)
    table.ledger.claim([replace(table.wanted(20), beside_chain=True)], table.table_id, table.now)
    wanted = [replace(table.wanted(hour), closes_chain=1) for hour in (22, 20)]
    theirs, ours = (table.ledger.claim([each], table.table_id, table.now)[0] for each in wanted)
    assert (theirs.chain, ours) == (2, theirs)


@pytest.mark.scenario("F10")
def test_a_base_at_the_moment_of_a_snapshot_is_planned_as_what_exists(table, deployment):
    table.until(DAY + 1)
    deployment.run(0, DAY)
    table.until(DAY + 2)
    moment = deployment.run(full_export=True).base.export_time
    planned = deployment.planned(new_base=True)
    assert (planned.plan.base.action, planned.plan.base.export_time) == (Action.CONTINUE, moment)
    assert estimate_run(table.dynamodb, table.ledger, table.store, planned).billed == ()
    (base,) = claim_plan(table.ledger, planned, Destination())
    assert (base.kind, base.chain, len(table.started())) == (ClaimKind.BASE, 2, 2)


def again(deployment: Deployment, start: float, end: float) -> PlannedRun:
    """Plan what a person asks to be exported again."""
    return deployment.planned(wanted=Stretch(at(start), at(end)), re_export=True)


@pytest.mark.scenario("F6")
@pytest.mark.parametrize("is_settled", [False, True])
def test_a_next_attempt_that_is_damaged_is_exported_again_when_asked_for(table, deployment, is_settled):
    for day in (1, 2, 3):
        table.until(day * DAY + 1)
        deployment.run((day - 1) * DAY, day * DAY)
    if is_settled:
        table.ledger.summarise(table.ledger.read(), ())
    (damaged,) = claim_plan(table.ledger, again(deployment, DAY, 2 * DAY), Destination())
    table.export(damaged)
    (asked,) = again(deployment, DAY, 2 * DAY).plan.windows
    assert (asked.action, asked.attempt) == (Action.EXPORT_AGAIN, 3)
    assert asked.reason.startswith("attempt 2 is COMPLETED, but not verified")


@pytest.mark.scenario("F6", "F10")
def test_an_earlier_run_is_cleared_and_rebuilds_what_stands_once_recovery_has_passed_a_next_attempt(table, deployment):
    for day in (1, 2, 3):
        table.until(day * DAY + 1)
        kept = deployment.run((day - 1) * DAY, day * DAY)
    (left,) = claim_plan(table.ledger, again(deployment, 2 * DAY, 3 * DAY), Destination())
    table.until(40 * DAY)
    run = replay_run(table.dynamodb, table.ledger, table.name, kept, table.table_id)
    assert [(each.action, each.attempt) for each in run.plan.windows] == [(Action.REBUILD, 1)]
    assert [claim.attempt for claim in claim_plan(table.ledger, run, Destination())] == [1]
    assert table.ledger.note_names("left/") == {left.export}
    earliest = run.recovery.earliest
    last = table.lab.calls(table.account)[-1]["sequence"]
    assert standing_entry(table.exports, table.ledger, left, earliest).attempt == 1
    assert not table.lab.calls(table.account, service="dynamodb", after=last)


@pytest.mark.scenario("F34")
def test_a_window_behind_a_hole_is_rebuilt_though_recovery_has_passed_its_next_attempt(table, deployment):
    table.until(6 * DAY)
    deployment.run(0, DAY)
    for day in (3, 4):
        table.verified(day * DAY, (day + 1) * DAY)
    table.ledger.summarise(table.ledger.read(), ())
    claim_plan(table.ledger, again(deployment, 3 * DAY, 4 * DAY), Destination())
    table.until(40 * DAY)
    covered = deployment.planned(3 * DAY, 4 * DAY, RunKind.BACKFILL).plan
    assert [(each.action, each.attempt) for each in covered.exports] == [(Action.REBUILD, 1)]
