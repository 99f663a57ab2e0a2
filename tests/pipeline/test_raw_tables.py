"""Raw exports in the catalog: registered without reading one of their data files, and read as they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from ddb_export.domain.export import ExportViewType
from ddb_export.domain.planning import PlanRequest, RunKind
from ddb_export.exceptions import PermissionDeniedError, PublishError, VerificationError
from ddb_export.pipeline.planning import plan_run
from ddb_export.pipeline.raw_tables import RawTables
from ddb_export.pipeline.verification import VerificationLevel
from local_aws.client import Lab
from tests.pipeline.tables import BUCKET, LakeTable

NUMBER = "-1.2345678901234567890123456789012345678E-10"
TEXT = 'ü "quoted" \\ \n line '


@pytest.fixture
def table(lab: Lab, account: str, aws: Callable[..., Any]) -> LakeTable:
    made = LakeTable(lab, account, aws)
    made.put(0.1, "a", 1, n={"N": NUMBER}, text={"S": TEXT}, ID={"S": "upper"}, id={"S": "lower"})
    made.put(0.2, "b", 2, deep={"M": {"l": {"L": [{"NULL": True}, {"BOOL": False}, {"NS": ["1", "2"]}]}}})
    made.until(2)
    return made


def registered(table: LakeTable, start: float, end: float | None = None) -> Any:
    claim = table.claim(start, end)
    entry = table.work.verify(claim, table.export(claim), None, table.now, VerificationLevel.MANIFEST)
    return RawTables(table.ledger, table.store).publish(entry, table.glue, "lake", table.now)


def test_registering_reads_no_data_file(table: LakeTable, lab: Lab, account: str) -> None:
    lab.deny(account, f"s3:GetObject arn:aws:s3:::{BUCKET}/*/data/*")
    claim = table.claim(1)
    description = table.export(claim)
    with pytest.raises(PermissionDeniedError):
        table.work.verify(claim, description, None, table.now)
    entry = table.work.verify(claim, description, None, table.now, VerificationLevel.MANIFEST)
    done = RawTables(table.ledger, table.store).publish(entry, table.glue, "lake", table.now)
    assert (entry.level, done.rows) == ("manifest", 2)
    assert table.glue.has_table("lake", "orders_raw_snapshots")


def test_raw_rows_are_the_records_as_they_were_written(table: LakeTable) -> None:
    done = registered(table, 1)
    assert (done.output, done.rows, done.glue_table) == ("raw", 2, "lake.orders_raw_snapshots")
    rows = table.query("SELECT item, export_time FROM orders_raw_snapshots")
    items = {item["pk"]["S"]: item for item in (json.loads(row[0] or "") for row in rows)}
    assert {row[1] for row in rows} == {"20260301T0100Z"}
    assert Decimal(items["a"]["n"]["N"]) == Decimal(NUMBER)
    assert items["a"]["text"] == {"S": TEXT}
    assert (items["a"]["ID"], items["a"]["id"]) == ({"S": "upper"}, {"S": "lower"})
    assert items["b"]["deep"]["M"]["l"]["L"][0] == {"NULL": True}


def test_windows_show_keys_and_both_images(table: LakeTable) -> None:
    registered(table, 1)
    table.put(2.1, "a", 1, n={"N": "2"})
    table.delete(2.2, "b", 2)
    table.until(4)
    registered(table, 1, 3)
    rows = table.query(
        "SELECT json_extract_scalar(keys, '$.pk.S'), json_extract_scalar(newimage, '$.n.N'), oldimage IS NULL, dt"
        " FROM orders_raw_changes ORDER BY 1"
    )
    assert rows == [["a", "2", "false", "2026-03-01"], ["b", None, "false", "2026-03-01"]]


def test_registering_again_changes_nothing(table: LakeTable, aws: Callable[..., Any]) -> None:
    first = registered(table, 1)
    entry = table.ledger.verified_entry(first.export)
    assert entry is not None
    again = RawTables(table.ledger, table.store).publish(entry, table.glue, "lake", table.now)
    assert again == first
    assert len(aws("glue").get_partitions(DatabaseName="lake", TableName="orders_raw_snapshots")["Partitions"]) == 1


def test_a_file_that_the_manifest_does_not_name_is_not_shown(table: LakeTable, aws: Callable[..., Any]) -> None:
    claim = table.claim(1)
    entry = table.work.verify(claim, table.export(claim), None, table.now, VerificationLevel.MANIFEST)
    folder = entry.manifest_key.rpartition("/")[0] + "/data/"
    aws("s3").put_object(Bucket=BUCKET, Key=folder + "more.json.gz", Body=b"x")
    with pytest.raises(VerificationError, match=r"more\.json\.gz: its manifest does not name it"):
        RawTables(table.ledger, table.store).publish(entry, table.glue, "lake", table.now)
    assert not table.glue.has_table("lake", "orders_raw_snapshots")


def test_what_is_verified_and_not_registered_is_planned(table: LakeTable) -> None:
    claim = table.claim(1)
    entry = table.work.verify(claim, table.export(claim), None, table.now, VerificationLevel.MANIFEST)
    view = ExportViewType.NEW_AND_OLD_IMAGES
    request = PlanRequest(RunKind.MANUAL, table.now, timedelta(minutes=5), None, view, ("raw",))

    def reason() -> str | None:
        plan = plan_run(table.dynamodb, table.ledger, "orders", request, lambda _start, _end: []).plan
        return plan.base.reason if plan.base else None

    assert reason() == "verified, but raw is not published"
    RawTables(table.ledger, table.store).publish(entry, table.glue, "lake", table.now)
    assert reason() is None


def test_a_table_of_someone_else_is_not_touched(table: LakeTable, aws: Callable[..., Any]) -> None:
    aws("glue").create_table(
        DatabaseName="lake",
        TableInput={"Name": "orders_raw_snapshots", "StorageDescriptor": {"Columns": [], "Location": "s3://x/"}},
    )
    with pytest.raises(PublishError, match="was not made for"):
        registered(table, 1)
