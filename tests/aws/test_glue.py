"""The gateway to Glue against the lab: upserts that can be repeated, and errors inside answers of HTTP 200."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from ddb_export.aws.glue import PARTITIONS_PER_CALL, GlueColumn, GlueGateway, GluePartition, GlueTable
from ddb_export.aws.glue_indexes import ensure_partition_index
from ddb_export.exceptions import DdbExportError, PublishError
from local_aws.client import Lab

TABLE = GlueTable(
    database="lake",
    name="orders_changes",
    location="s3://lake/orders/changes/",
    made_for="s3://lake/orders",
    columns=(GlueColumn("_op", "string"), GlueColumn("id", "string", "attribute ID")),
    partition_keys=(GlueColumn("dt", "string"), GlueColumn("export_window", "string")),
    description="changes",
)
MORE = replace(TABLE, columns=(*TABLE.columns, GlueColumn("price", "decimal(38,2)")))


@pytest.fixture
def client(aws: Callable[..., Any]) -> Any:
    made = aws("glue")
    made.create_database(DatabaseInput={"Name": "lake"})
    return made


@pytest.fixture
def glue(client: Any) -> GlueGateway:
    return GlueGateway(client, sleep=lambda _: None)


def partition(number: int, generation: str = "g-1") -> GluePartition:
    values = ("2026-03-01", f"w{number:04}")
    return GluePartition(values, f"s3://lake/orders/changes/{number}/{generation}/", TABLE.columns, {"n": str(number)})


def stored(client: Any) -> dict[str, Any]:
    return dict(client.get_table(DatabaseName="lake", Name=TABLE.name)["Table"])


def columns(client: Any) -> list[str]:
    return [column["Name"] for column in stored(client)["StorageDescriptor"]["Columns"]]


def locations(client: Any) -> dict[str, str]:
    pages = client.get_paginator("get_partitions").paginate(DatabaseName="lake", TableName=TABLE.name)
    return {each["Values"][1]: each["StorageDescriptor"]["Location"] for page in pages for each in page["Partitions"]}


def test_table_is_created_once(glue, client):
    assert not glue.has_table("lake", TABLE.name)
    assert glue.upsert_table(TABLE)
    assert glue.has_table("lake", TABLE.name)
    assert not glue.upsert_table(TABLE)
    found = stored(client)
    assert (found["TableType"], found["Parameters"]["classification"]) == ("EXTERNAL_TABLE", "parquet")
    assert found["StorageDescriptor"]["Columns"][1] == {"Name": "id", "Type": "string", "Comment": "attribute ID"}
    assert [key["Name"] for key in found["PartitionKeys"]] == ["dt", "export_window"]


def test_new_columns_come_last_and_none_goes(glue, client):
    glue.upsert_table(TABLE)
    assert glue.upsert_table(MORE)
    assert columns(client) == ["_op", "id", "price"]
    assert not glue.upsert_table(TABLE)
    assert columns(client) == ["_op", "id", "price"]


@pytest.mark.scenario("F23")
def test_published_column_keeps_its_type(glue, client):
    glue.upsert_table(TABLE)
    changed = replace(TABLE, columns=(TABLE.columns[0], GlueColumn("id", "bigint")))
    with pytest.raises(PublishError, match=r"column id of lake\.orders_changes: it is string in Glue and bigint"):
        glue.upsert_table(changed)
    assert stored(client)["StorageDescriptor"]["Columns"][1]["Type"] == "string"


def test_table_of_someone_else_is_not_touched(glue, client):
    client.create_table(
        DatabaseName="lake",
        TableInput={"Name": TABLE.name, "StorageDescriptor": {"Columns": [], "Location": "s3://x/"}},
    )
    before = stored(client)
    with pytest.raises(PublishError, match="was not made for s3://lake/orders"):
        glue.upsert_table(TABLE)
    assert stored(client) == before


def test_table_of_another_lake_is_not_touched(glue):
    glue.upsert_table(TABLE)
    with pytest.raises(PublishError, match="was not made for s3://other/orders"):
        glue.upsert_table(replace(TABLE, made_for="s3://other/orders"))


def test_what_others_added_stays(glue, client):
    glue.upsert_table(TABLE)
    changed = {**TABLE.to_api(), "Owner": "ann", "Parameters": {**TABLE.to_api()["Parameters"], "theirs": "1"}}
    client.update_table(DatabaseName="lake", TableInput=changed)
    assert glue.upsert_table(MORE)
    assert (stored(client)["Owner"], stored(client)["Parameters"]["theirs"]) == ("ann", "1")


def test_missing_database_is_named_with_its_remedy(glue):
    with pytest.raises(PublishError, match=r"Glue database nowhere: .*aws glue create-database"):
        glue.upsert_table(replace(TABLE, database="nowhere"))


@pytest.mark.scenario("F5")
def test_racing_upserts_keep_every_column(glue, client):
    def add(number: int) -> None:
        glue.upsert_table(replace(TABLE, columns=(*TABLE.columns, GlueColumn(f"c{number}", "string"))))

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(add, range(4)))
    assert sorted(columns(client)) == ["_op", "c0", "c1", "c2", "c3", "id"]


def test_update_keeps_no_old_versions(glue, client, lab: Lab, account: str):
    glue.upsert_table(TABLE)
    glue.upsert_table(MORE)
    assert len(lab.calls(account, "glue", "UpdateTable")) == 1
    assert len(client.get_table_versions(DatabaseName="lake", TableName=TABLE.name)["TableVersions"]) <= 1


@pytest.mark.scenario("F29")
def test_partitions_that_exist_are_replaced(glue, client):
    glue.upsert_table(TABLE)
    glue.upsert_partitions(TABLE, [partition(1), partition(2)])
    glue.upsert_partitions(TABLE, [partition(2, "g-2"), partition(3)])
    assert locations(client) == {
        "w0001": "s3://lake/orders/changes/1/g-1/",
        "w0002": "s3://lake/orders/changes/2/g-2/",
        "w0003": "s3://lake/orders/changes/3/g-1/",
    }


def test_many_partitions_go_in_batches(glue, client, lab: Lab, account: str):
    glue.upsert_table(TABLE)
    glue.upsert_partitions(TABLE, [partition(number) for number in range(PARTITIONS_PER_CALL + 1)])
    assert len(locations(client)) == PARTITIONS_PER_CALL + 1
    assert len(lab.calls(account, "glue", "BatchCreatePartition")) == 2


def test_partition_that_glue_refuses_is_named(glue):
    glue.upsert_table(TABLE)
    wrong = replace(partition(1), values=("only-one",))
    with pytest.raises(DdbExportError, match="Remedy") as refused:
        glue.upsert_partitions(TABLE, [wrong])
    assert "\n" not in str(refused.value)


def test_no_partitions_are_no_call(glue, lab: Lab, account: str):
    glue.upsert_partitions(TABLE, [])
    assert lab.calls(account, "glue", "BatchCreatePartition") == []


@pytest.mark.scenario("F29")
@pytest.mark.parametrize("operation", ["BatchCreatePartition", "BatchUpdatePartition"])
def test_throttled_partition_is_tried_again_and_the_others_once(glue, client, lab: Lab, account: str, operation):
    glue.upsert_table(TABLE)
    if operation == "BatchUpdatePartition":
        glue.upsert_partitions(TABLE, [partition(number, "g-0") for number in range(3)])
    lab.clear_calls(account)
    lab.add_fault("refuse_partition", account=account, operation=operation, times=2, match={"partition": ".*/w0001"})
    glue.upsert_partitions(TABLE, [partition(number) for number in range(3)])
    assert all(location.endswith("/g-1/") for location in locations(client).values())
    assert len(locations(client)) == 3
    assert len(lab.calls(account, "glue", operation)) == 3


def test_partition_that_stays_throttled_is_named(glue, lab: Lab, account: str):
    glue.upsert_table(TABLE)
    lab.add_fault("refuse_partition", account=account, times=None, match={"partition": ".*/w0001"})
    with pytest.raises(PublishError, match=r"w0001.*ThrottlingException") as refused:
        glue.upsert_partitions(TABLE, [partition(0), partition(1)])
    assert refused.value.code == "ThrottlingException"


def test_other_refusals_are_not_tried_again(glue, lab: Lab, account: str):
    glue.upsert_table(TABLE)
    lab.add_fault("refuse_partition", account=account, times=None, code="AccessDeniedException", message="no")
    with pytest.raises(PublishError, match="AccessDeniedException: no"):
        glue.upsert_partitions(TABLE, [partition(1)])
    assert len(lab.calls(account, "glue", "BatchCreatePartition")) == 1


def test_partition_index_is_made_once(glue, client):
    glue.upsert_table(TABLE)
    keys = [key.name for key in TABLE.partition_keys]
    assert ensure_partition_index(glue, "lake", TABLE.name, keys)
    assert not ensure_partition_index(glue, "lake", TABLE.name, keys)
    glue.upsert_table(MORE)
    assert stored(client)["Parameters"]["partition_filtering.enabled"] == "true"
    made = client.get_partition_indexes(DatabaseName="lake", TableName=TABLE.name)["PartitionIndexDescriptorList"]
    assert [(index["IndexName"], [key["Name"] for key in index["Keys"]]) for index in made] == [("ddb_export", keys)]


def test_fourth_partition_index_is_refused_with_its_remedy(glue, client):
    keys = tuple(GlueColumn(f"k{number}", "string") for number in range(4))
    table = replace(TABLE, partition_keys=keys)
    glue.upsert_table(table)
    for key in keys[1:]:
        index = {"IndexName": f"theirs-{key.name}", "Keys": [key.name]}
        client.create_partition_index(DatabaseName="lake", TableName=TABLE.name, PartitionIndex=index)
    with pytest.raises(PublishError, match=r"as many indexes as Glue allows.*partition_index: false"):
        ensure_partition_index(glue, "lake", TABLE.name, [keys[0].name])
