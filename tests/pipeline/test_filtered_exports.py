"""Filtered exports, from the claim to readers: what is asked for, what must agree, and what a filtered lake cannot know."""

from __future__ import annotations

import gzip
import json
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.session import get_session

from ddb_export.aws.dynamodb import DynamoDBGateway
from ddb_export.domain.export import ExportViewType
from ddb_export.domain.export_filter import ExportFilter
from ddb_export.domain.ledger import ClaimKind
from ddb_export.domain.planning import ChainEnd, PlanRequest, RunKind
from ddb_export.domain.window import Stretch, Window
from ddb_export.exceptions import ConfigurationError, ExportRefusedError, PlanError, VerificationError
from ddb_export.pipeline.planning import Destination, claim_plan, plan_run
from ddb_export.pipeline.rebuild import rebuild_ledger
from tests.pipeline.tables import LakeTable, at
from tests.pipeline.test_chain_lives import DAY, Deployment

OPEN = ExportFilter.of(
    "#state = :open AND amount > :least",
    names={"#state": "state"},
    values={":open": {"S": "open"}, ":least": {"N": "0.10"}},
)


@pytest.fixture
def table(lab, account, aws) -> LakeTable:
    return LakeTable(lab, account, aws)


def order(table: LakeTable, hours: float, pk: str, state: str, amount: str = "1") -> None:
    table.put(hours, pk, state={"S": state}, amount={"N": amount})


def published(table: LakeTable, start: float, end: float | None = None, export_filter: ExportFilter = OPEN) -> Any:
    claim = table.claim(start, end, export_filter=export_filter)
    entry = table.work.verify(claim, table.export(claim), None, table.now)
    return table.publish(entry, table.converted(entry))


def test_a_filtered_chain_holds_what_matched_and_not_what_stopped_to(table: LakeTable):
    order(table, 1, "a", "open")
    order(table, 2, "b", "closed")
    order(table, 3, "c", "open", "0.1")
    table.until(5)
    published(table, 4)
    order(table, 6, "a", "closed")
    order(table, 7, "b", "open")
    order(table, 8, "d", "open")
    table.delete(9, "d")
    order(table, 10, "e", "open")
    table.delete(11, "e")
    table.until(29)
    published(table, 4, 28)
    assert table.query("SELECT pk FROM orders_snapshots ORDER BY 1") == [["a"]]
    # b came to match. a stopped to, and left no record: whoever reads the lake takes it for open.
    assert table.query("SELECT pk, _op FROM orders_changes ORDER BY 1") == [["b", "MODIFY"]]
    found = table.aws("glue").get_table(DatabaseName="lake", Name="orders_changes")["Table"]
    assert "no replica" in found["Parameters"]["ddb_export.filter"]
    assert '"open"' not in json.dumps(found["Parameters"])
    (partition,) = table.aws("glue").get_partitions(DatabaseName="lake", TableName="orders_changes")["Partitions"]
    assert partition["Parameters"]["ddb_export.filter"] == str(OPEN)


def test_the_table_has_the_filter_of_the_chain_whichever_export_was_published_last(table: LakeTable):
    table.until(5)
    published(table, 4)
    (old,) = table.ledger.read().verified_subjects.values()
    table.until(30)
    changed = ExportFilter.of("attribute_exists(pk)")
    wanted = replace(table.wanted(28.5, export_filter=changed), closes_chain=1)
    (claim,) = table.ledger.claim([wanted], table.table_id, table.now)
    entry = table.work.verify(claim, table.export(claim), None, table.now)
    for each in (entry, old):
        table.publish(each, table.converted(each))
        found = table.aws("glue").get_table(DatabaseName="lake", Name="orders_snapshots")["Table"]["Parameters"]
        assert found["ddb_export.filter"].startswith(str(changed))


def test_a_projection_and_a_key_condition(table: LakeTable):
    order(table, 1, "a", "open")
    order(table, 2, "b", "open", "2")
    table.until(5)
    wanted = ExportFilter.of(projection="pk, sk, amount", key_condition="pk = :b", values={":b": {"S": "b"}})
    published(table, 4, export_filter=wanted)
    assert table.query("SELECT pk, sk, amount FROM orders_snapshots") == [["b", "0", "2"]]
    assert {column.attribute for column in table.ledger.read_schema().columns} == {"pk", "sk", "amount"}


def test_an_export_under_another_filter_is_not_taken(table: LakeTable):
    table.until(5)
    claim = table.claim(4, export_filter=OPEN)
    started = table.dynamodb.start_export(replace(claim.request, export_filter=None), "by hand")
    with pytest.raises(ExportRefusedError, match="FilterSpecification is absent, asked for was FilterExpression"):
        table.exports.require_agreement(claim, started)
    with pytest.raises(VerificationError, match="FilterSpecification is absent"):
        table.work.verify(claim, table.ended(started), None, table.now)
    found = table.export(claim)
    assert found.export_filter == OPEN
    assert found.export_arn != started.export_arn
    assert len(table.started()) == 2


def test_a_filter_that_dynamodb_refuses_can_be_corrected(table: LakeTable):
    """What was refused never began, so the next attempt may ask for something else."""
    table.until(5)
    claim = table.claim(4, export_filter=ExportFilter(expression="attribute_exists("))
    with pytest.raises(ExportRefusedError) as raised:
        table.export(claim)
    assert raised.value.code == "ValidationException"
    corrected = table.ledger.next_attempt(
        claim, table.table_id, table.now, "was refused", replace(claim.request, export_filter=OPEN)
    )
    assert table.export(corrected).export_filter == OPEN
    assert table.ledger.read().base_claim.request.export_filter == OPEN


def test_nothing_is_claimed_behind_a_base_whose_filter_dynamodb_refuses_so_that_it_can_be_corrected(table: LakeTable):
    """Nobody looks for two days; the third run has another filter."""
    deployment, wrong = Deployment(table), ExportFilter(expression="attribute_exists(")
    for day in (1, 2):
        table.until(day * DAY + 1)
        run = deployment.planned((day - 1) * DAY, day * DAY, export_filter=wrong)
        (base,) = claim_plan(table.ledger, run, Destination(export_filter=wrong))
        with pytest.raises(ExportRefusedError):
            table.export(base)
    table.until(3 * DAY + 1)
    run = deployment.planned(2 * DAY, 3 * DAY, export_filter=OPEN)
    assert claim_plan(table.ledger, run, Destination(export_filter=OPEN)) == [base]
    asked = replace(base.request, export_filter=OPEN)
    corrected = table.ledger.next_attempt(base, table.table_id, table.now, "was refused", asked)
    table.work.verify(corrected, table.export(corrected), None, table.now)
    run = deployment.planned(2 * DAY, 3 * DAY, export_filter=OPEN)
    assert [each.window for each in run.plan.windows] == [Window(at(24), at(48)), Window(at(48), at(72))]


def test_a_filter_that_dynamodb_refuses_is_given_up_with_its_chain_once_windows_were_claimed(table: LakeTable):
    """Restoring it would help nobody; a ``base_time`` in the past has windows in the very first run."""
    deployment, wrong = Deployment(table), ExportFilter(expression="attribute_exists(")
    table.until(2 * DAY + 1)
    run = deployment.planned(DAY, 2 * DAY, export_filter=wrong, base_time=at(DAY))
    base, _ = claim_plan(table.ledger, run, Destination(export_filter=wrong))
    asked = replace(base.request, export_filter=OPEN)
    with pytest.raises(PlanError, match=r"if DynamoDB refuses that one, trigger .*new_base: true"):
        table.ledger.next_attempt(base, table.table_id, table.now, "was refused", asked)
    table.until(3 * DAY + 1)
    with pytest.raises(PlanError, match=r"if DynamoDB refuses that one, trigger .*new_base: true"):
        deployment.planned(2 * DAY, 3 * DAY, export_filter=OPEN)
    run = deployment.planned(2 * DAY, 3 * DAY, export_filter=OPEN, on_chain_end=ChainEnd.NEW_BASE)
    (base,) = claim_plan(table.ledger, run, Destination(export_filter=OPEN))
    table.work.verify(base, table.export(base), None, table.now)
    assert table.ledger.read().head == at(3 * DAY)


def test_a_lost_ledger_is_rebuilt_under_the_configured_filter(table: LakeTable):
    order(table, 1, "a", "open")
    table.until(5)
    published(table, 4)
    for stored in list(table.store.list_objects(table.ledger.lake.ledger)):
        table.aws("s3").delete_object(Bucket=table.store.bucket, Key=stored.key)
    rebuilt = rebuild_ledger(table.store, table.ledger.lake, table.now, apply=True, export_filter=OPEN)
    assert "as configured" in rebuilt.rebuilt.notes[-1]
    chain = table.ledger.read()
    assert (chain.base_claim.request.export_filter, chain.head) == (OPEN, at(4))


def test_a_botocore_that_knows_no_filter_is_refused_before_anything_is_claimed(table: LakeTable, tmp_path: Path):
    table.until(25)
    old = DynamoDBGateway(_old_client(table, tmp_path))
    request = PlanRequest(
        kind=RunKind.SCHEDULED,
        now=table.now,
        settle=timedelta(minutes=5),
        interval=Stretch(at(0), at(24)),
        view=ExportViewType.NEW_AND_OLD_IMAGES,
        outputs=("snapshots",),
        export_filter=OPEN,
    )
    with pytest.raises(
        ConfigurationError, match=r"has no FilterSpecification.*Remedy: upgrade boto3 and botocore to 1\."
    ):
        plan_run(old, table.ledger, table.name, request, lambda _start, _end: ())
    planned = plan_run(old, table.ledger, table.name, replace(request, export_filter=None), lambda _start, _end: ())
    assert planned.plan.base.kind is ClaimKind.BASE


def _old_client(table: LakeTable, folder: Path) -> Any:
    """A client whose model is the installed one without filters, as an older botocore has it."""
    loader = get_session().get_component("data_loader")
    model = deepcopy(loader.load_service_model("dynamodb", "service-2"))
    for shape in ("ExportTableToPointInTimeInput", "ExportDescription"):
        del model["shapes"][shape]["members"]["FilterSpecification"]
    target = folder / "dynamodb" / "2012-08-10"
    target.mkdir(parents=True)
    (target / "service-2.json.gz").write_bytes(gzip.compress(json.dumps(model).encode()))
    session = get_session()
    session.set_config_variable("data_path", str(folder))
    newer = table.aws("dynamodb").meta
    return boto3.Session(
        aws_access_key_id=table.account,
        aws_secret_access_key="lab",
        region_name=newer.region_name,
        botocore_session=session,
    ).client("dynamodb", endpoint_url=newer.endpoint_url)
