"""The ledger over S3 and over a local folder: claims race, answers are lost, and one winner stands."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config

from ddb_export.aws.object_store import LocalObjectStore, ObjectStore, S3ObjectStore
from ddb_export.domain.export import ExportRequest, ExportViewType
from ddb_export.domain.layout import Lake
from ddb_export.domain.ledger import Chain, ClaimKind, Owner
from ddb_export.domain.planning import (
    Action,
    Plan,
    PlannedExport,
    PointInTimeRecovery,
    TableIdentity,
)
from ddb_export.domain.statistics import AttributeStatistics, ExportStatistics
from ddb_export.domain.window import Window
from ddb_export.exceptions import ClaimConflictError, EmptyLedgerError, LedgerError, OwnershipError, TableIdentityError
from ddb_export.pipeline.ledger import Ledger, Wanted
from ddb_export.pipeline.planning import Destination, PlannedRun, claim_plan, require_first_run
from local_aws.client import Lab
from tests.domain.histories import ARN, History, at
from tests.domain.test_ledger import window

RECOVERY = PointInTimeRecovery(enabled=True)
NOW = datetime(2026, 3, 9, tzinfo=UTC)
LAKE = Lake("lake", "tables", "orders")


@pytest.fixture(params=["s3", "local"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "local":
        return LocalObjectStore(tmp_path)
    client = request.getfixturevalue("aws")("s3")
    client.create_bucket(Bucket="lake")
    return S3ObjectStore(client, "lake")


@pytest.fixture
def ledger(store: ObjectStore) -> Ledger:
    return Ledger(store, LAKE)


def wanted(start: float, end: float | None = None, **fields: Any) -> Wanted:
    if end is None:
        return Wanted(ClaimKind.BASE, ExportRequest(ARN, "lake", LAKE.key("raw"), at(hours=start)), "test", **fields)
    span = Window(at(hours=start), at(hours=end))
    return Wanted(ClaimKind.WINDOW, ExportRequest(ARN, "lake", LAKE.key("raw"), window=span), "test", **fields)


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Run ``work`` in many threads; a refusal is returned, not raised."""

    def guarded(index: int) -> Any:
        try:
            return work(index)
        except ClaimConflictError as error:
            return error

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(guarded, range(count)))


def test_empty_ledger_is_an_empty_chain(ledger):
    assert ledger.read() == Chain()


@pytest.mark.scenario("F5")
def test_racing_for_the_same_windows_makes_each_claim_once(ledger):
    each = [wanted(0), wanted(0, 1), wanted(1, 2), wanted(2, 3)]
    results = at_once(8, lambda index: ledger.claim(each, "id", NOW + timedelta(seconds=index)))
    assert all(result == results[0] for result in results)
    chain = ledger.read()
    assert [claim.sequence for claim in chain.claims] == [1, 2, 3, 4]
    assert {claim.claimed_at for claim in chain.claims} <= {NOW + timedelta(seconds=index) for index in range(8)}


@pytest.mark.scenario("F5")
def test_racing_for_overlapping_windows_leaves_no_overlap(ledger):
    spans = [(start / 4, start / 4 + 0.5) for start in range(12)]
    random.Random(7).shuffle(spans)
    at_once(12, lambda index: ledger.claim([wanted(*spans[index])], "id", NOW))
    chain = ledger.read()
    assert [claim.sequence for claim in chain.claims] == list(range(1, len(chain.claims) + 1))
    assert not any(one.overlaps(other) for one, other in combinations([claim.window for claim in chain.claims], 2))
    assert len(chain.claims) >= 4


@pytest.mark.scenario("F5")
def test_racing_first_runs_make_one_base(ledger):
    results = at_once(8, lambda index: ledger.claim([wanted(index)], "id", NOW)[0])
    assert len(set(results)) == 1
    assert len(ledger.read().claims) == 1


@pytest.mark.scenario("F5")
def test_racing_attempts_after_a_failure_are_one_attempt(ledger):
    (claim,) = ledger.claim([wanted(0, 1)], "id", NOW)
    results = at_once(8, lambda index: ledger.next_attempt(claim, "id", NOW + timedelta(seconds=index), "FAILED"))
    assert {result.attempt for result in results} == {2}
    assert len(ledger.read().claims) == 2


@pytest.mark.scenario("F13")
def test_next_attempt_for_another_table_is_refused(ledger):
    (claim,) = ledger.claim([wanted(0, 1)], "id", NOW)
    with pytest.raises(TableIdentityError, match="deleted and created again"):
        ledger.next_attempt(claim, "id-2", NOW, "FAILED")


def test_a_claim_keeps_the_request_that_it_was_made_with(ledger):
    (claim,) = ledger.claim([wanted(0, 1)], "id", NOW)
    changed = wanted(0, 1)
    other = replace(changed, request=replace(changed.request, kms_key="other", view=ExportViewType.NEW_IMAGE))
    assert ledger.claim([other], "id", NOW) == [claim]


@pytest.mark.scenario("F5")
def test_a_run_whose_base_another_run_made_elsewhere_plans_again(ledger):
    ledger.claim([wanted(3)], "id", NOW)
    mine = PlannedExport(ClaimKind.BASE, Action.EXPORT, "test", at(hours=1))
    run = PlannedRun(Plan(mine, (window(1, 2),), at(hours=2)), TableIdentity(ARN, "id"), Chain(), RECOVERY, NOW)
    with pytest.raises(ClaimConflictError, match="plan again"):
        claim_plan(ledger, run, Destination())
    assert len(ledger.read().claims) == 1


def test_plan_of_a_ledger_that_is_read_back_is_empty_when_all_is_done(ledger):
    history = History(now=at(days=3, hours=1))
    made = history.scheduled(at(days=2), at(days=3), base_time=at(days=1))
    run = PlannedRun(made, TableIdentity(ARN, "id-1"), Chain(), RECOVERY, history.now)
    claims = claim_plan(ledger, run, Destination())
    assert claims == claim_plan(ledger, run, Destination())
    for claim in claims:
        ledger.record_verified(history.verify(claim))
    history.chain = ledger.read()
    assert history.chain.head == at(days=3)
    assert [each.action for each in history.scheduled(at(days=2), at(days=3)).exports] == [Action.PUBLISH] * 3


def test_evidence_is_written_once(ledger):
    history = History()
    (claim,) = ledger.claim([wanted(0, 1)], "id", NOW)
    first = history.verify(claim)
    assert ledger.record_verified(first) == first
    assert ledger.record_verified(replace(first, verified_at=NOW + timedelta(hours=1))) == first
    assert ledger.read().verified == {claim.export: first}


def test_owner_is_the_first_to_come(ledger, store):
    owners = at_once(4, lambda index: ledger.own(ARN, NOW + timedelta(seconds=index)))
    assert len(set(owners)) == 1
    with pytest.raises(OwnershipError, match="belongs to"):
        ledger.own("other", NOW)
    newer = {**Owner(ARN, "orders", NOW).to_json(), "format": 2}
    store.put(f"{LAKE.ledger}/owner.json", json.dumps(newer).encode())
    store.put(f"{LAKE.ledger}/claims/000000000001.json", b'{"of": "a newer form"}')
    with pytest.raises(OwnershipError, match="upgrade ddb_export"):
        ledger.read()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff"])
def test_damaged_entry_is_named_in_one_line(ledger, store, content):
    ledger.claim([wanted(0, 1)], "id", NOW)
    store.put(f"{LAKE.ledger}/claims/000000000001.json", content)
    with pytest.raises(LedgerError, match=r"000000000001\.json.*Remedy") as refused:
        ledger.read()
    assert "\n" not in str(refused.value)


def test_missing_claim_is_named(ledger, store):
    ledger.claim([wanted(0, 1), wanted(1, 2)], "id", NOW)
    store.delete(f"{LAKE.ledger}/claims/000000000001.json")
    with pytest.raises(LedgerError, match="claim 1 is missing"):
        ledger.read()


def test_empty_ledger_beside_raw_exports_is_no_first_run(ledger, store):
    require_first_run(ledger, store, [])
    with pytest.raises(EmptyLedgerError, match="an earlier run"):
        require_first_run(ledger, store, ["an earlier run"])
    store.put(f"{LAKE.raw('full-20260101T0000Z-a1')}/AWSDynamoDB/x", b"")
    with pytest.raises(EmptyLedgerError, match="full-20260101T0000Z-a1"):
        require_first_run(ledger, store, [])


def statistics(*attributes: str) -> ExportStatistics:
    from ddb_export.domain.statistics import NumberWidth

    seen = {name: AttributeStatistics({"S": 1}, NumberWidth(), NumberWidth()) for name in attributes}
    return replace(ExportStatistics.merge_all([]), attributes=seen)


@pytest.mark.scenario("F23")
def test_racing_schema_extensions_agree(ledger):
    at_once(6, lambda index: ledger.extend_schema(statistics("pk", f"a{index}", f"b{index % 2}")))
    schema = ledger.read_schema()
    assert sorted(column.name for column in schema.columns) == ["a0", "a1", "a2", "a3", "a4", "a5", "b0", "b1", "pk"]
    for version in range(1, schema.version):
        older = ledger.read_schema(version).columns
        assert schema.columns[: len(older)] == older
    assert ledger.extend_schema(statistics("a1", "pk")) == schema


def test_shown_schema_is_made_up_for(ledger, store):
    schema = ledger.extend_schema(statistics("pk"))
    store.delete(f"{LAKE.ledger}/schema.json")
    ledger.extend_schema(statistics("pk"))
    assert json.loads(store.read(f"{LAKE.ledger}/schema.json").content) == schema.to_json()


@pytest.mark.scenario("F3")
def test_claim_whose_answer_was_lost_is_written_once(lab: Lab, account: str, aws: Callable[..., Any]):
    """The connection breaks after S3 stored the claim; botocore's own retry then meets its first try."""
    retrying = Config(
        retries={"total_max_attempts": 3, "mode": "standard"}, read_timeout=0.5, s3={"addressing_style": "path"}
    )
    aws("s3").create_bucket(Bucket="lake")
    ledger = Ledger(S3ObjectStore(aws("s3", config=retrying), "lake"), LAKE)
    lost = lab.add_fault("hold", account=account, service="s3", operation="PutObject", when="after")
    (claim,) = ledger.claim([wanted(0, 1)], "id", NOW)
    lab.release(lost)
    assert 412 in [call["status"] for call in lab.calls(account, "s3", "PutObject")]
    assert ledger.read().claims == (claim,)


@pytest.mark.scenario("F3")
def test_claim_of_a_writer_that_died_is_found_by_the_next(lab: Lab, account: str, aws: Callable[..., Any]):
    aws("s3").create_bucket(Bucket="lake")
    ledger = Ledger(S3ObjectStore(aws("s3"), "lake"), LAKE)
    fault = lab.add_fault("hold", account=account, service="s3", operation="PutObject", when="after")
    with ThreadPoolExecutor(1) as thread:
        slow = thread.submit(ledger.claim, [wanted(0, 1)], "id", NOW)
        lab.wait_until_held(fault)
        (found,) = ledger.claim([wanted(0, 1)], "id", NOW + timedelta(hours=1))
        lab.release(fault)
        assert slow.result() == [found]
    assert len(ledger.read().claims) == 1


def test_full_export_at_another_moment_is_a_snapshot_beside_the_chain(tmp_path: Path):
    """The operator alone, run each day, makes a full export each day; the chain stays where it was."""
    ledger = Ledger(LocalObjectStore(tmp_path), Lake("lake", "prefix", "orders"))
    moments = [datetime(2026, 3, day, tzinfo=UTC) for day in (1, 2, 2)]
    requests = [
        ExportRequest("arn:aws:dynamodb:r:1:table/orders", "lake", ledger.lake.key("raw"), each) for each in moments
    ]
    claims = [
        ledger.claim([Wanted(ClaimKind.BASE, request, "test", beside_chain=True)], "id", moments[0])[0]
        for request in requests
    ]
    assert [claim.kind for claim in claims] == [ClaimKind.BASE, ClaimKind.SNAPSHOT, ClaimKind.SNAPSHOT]
    assert claims[1] == claims[2]
    assert ledger.read().base_claim == claims[0]
