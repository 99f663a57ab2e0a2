"""The lab's Glue: databases, tables, versions and partitions, as botocore's model and AWS's limits have them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

DAYS = 30


def table_input(name: str = "Orders", **more: Any) -> dict[str, Any]:
    return {
        "Name": name,
        "TableType": "EXTERNAL_TABLE",
        "StorageDescriptor": {"Columns": [{"Name": "Pk", "Type": "string"}], "Location": "s3://lake/orders/"},
        "PartitionKeys": [{"Name": "Dt", "Type": "string"}, {"Name": "number", "Type": "int"}],
        **more,
    }


def partition_input(day: int, location: str | None = None) -> dict[str, Any]:
    descriptor = {"Columns": [{"Name": "pk", "Type": "string"}], "Location": location or f"s3://lake/{day}/"}
    return {"Values": [f"2026-03-{day:02}", str(day)], "StorageDescriptor": descriptor}


@pytest.fixture
def glue(aws: Callable[..., Any]) -> Any:
    client = aws("glue")
    client.create_database(DatabaseInput={"Name": "Lake"})
    client.create_table(DatabaseName="lake", TableInput=table_input())
    return client


@pytest.fixture
def named() -> dict[str, str]:
    return {"DatabaseName": "lake", "TableName": "orders"}


@pytest.fixture
def partitioned(glue: Any, named: dict[str, str]) -> Any:
    inputs = [partition_input(day) for day in range(1, DAYS + 1)]
    assert glue.batch_create_partition(**named, PartitionInputList=inputs)["Errors"] == []
    return glue


def refusal(call: Callable[..., Any], **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def numbers(partitions: list[dict[str, Any]]) -> list[int]:
    return [int(partition["Values"][1]) for partition in partitions]


# ---- databases, tables, versions


def test_names_are_folded_to_lower_case(glue: Any):
    table = glue.get_table(DatabaseName="LAKE", Name="ORDERS")["Table"]
    assert (table["DatabaseName"], table["Name"]) == ("lake", "orders")
    assert [key["Name"] for key in table["PartitionKeys"]] == ["dt", "number"]
    assert table["StorageDescriptor"]["Columns"][0]["Name"] == "pk"


def test_what_exists_or_lacks_has_the_errors_of_the_model(glue: Any):
    assert refusal(glue.create_database, DatabaseInput={"Name": "LAKE"})[0] == "AlreadyExistsException"
    assert (
        refusal(glue.create_table, DatabaseName="lake", TableInput=table_input("ORDERS"))[0] == "AlreadyExistsException"
    )
    assert refusal(glue.create_table, DatabaseName="no", TableInput=table_input())[0] == "EntityNotFoundException"
    assert refusal(glue.get_table, DatabaseName="lake", Name="no")[0] == "EntityNotFoundException"
    assert refusal(glue.get_partitions, DatabaseName="lake", TableName="no")[0] == "EntityNotFoundException"


def test_tables_of_another_account_are_not_seen(glue: Any, aws: Callable[..., Any]):
    other = aws("glue", account="999999999999")
    assert refusal(other.get_table, DatabaseName="lake", Name="orders")[0] == "EntityNotFoundException"


def test_update_table_replaces_the_definition(glue: Any):
    glue.update_table(DatabaseName="lake", TableInput=table_input(Parameters={"a": "1"}))
    glue.update_table(DatabaseName="lake", TableInput=table_input(Description="new"))
    table = glue.get_table(DatabaseName="lake", Name="orders")["Table"]
    assert (table.get("Parameters"), table["Description"]) == (None, "new")


def test_a_stale_version_is_a_concurrent_modification(glue: Any):
    version = glue.get_table(DatabaseName="lake", Name="orders")["Table"]["VersionId"]
    glue.update_table(DatabaseName="lake", TableInput=table_input(), VersionId=version)
    code, _ = refusal(glue.update_table, DatabaseName="lake", TableInput=table_input(), VersionId=version)
    assert code == "ConcurrentModificationException"


def test_update_archives_a_version_unless_told_to_skip(glue: Any, named: dict[str, str]):
    def versions() -> list[str]:
        return [version["VersionId"] for version in glue.get_table_versions(**named)["TableVersions"]]

    (first,) = versions()
    glue.update_table(DatabaseName="lake", TableInput=table_input(Description="two"))
    assert len(versions()) == 2
    glue.update_table(DatabaseName="lake", TableInput=table_input(Description="three"), SkipArchive=True)
    assert len(versions()) == 2
    assert versions()[-1] == first
    old = glue.get_table_version(**named, VersionId=first)["TableVersion"]["Table"]
    assert "Description" not in old


def test_lists_come_in_pages(glue: Any):
    for number in range(5):
        glue.create_table(DatabaseName="lake", TableInput=table_input(f"t{number}"))
    pages = glue.get_paginator("get_tables").paginate(DatabaseName="lake", PaginationConfig={"PageSize": 2})
    names = [[table["Name"] for table in page["TableList"]] for page in pages]
    assert names == [["orders", "t0"], ["t1", "t2"], ["t3", "t4"]]


# ---- partitions


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("dt = '2026-03-03'", [3]),
        ("'2026-03-03' = dt", [3]),
        ("number <> 1 AND number != 2 AND number < 4", [3]),
        ("number > 28", [29, 30]),
        ("number >= 29 AND (dt <= '2026-03-29')", [29]),
        ("number IN (1, 9, 30)", [1, 9, 30]),
        ("number NOT IN (1) and number < 3", [2]),
        ("dt BETWEEN '2026-03-02' AND '2026-03-03'", [2, 3]),
        ("dt LIKE '2026-03-2_'", list(range(20, 30))),
        ("DT like '%-30' or number = 1", [1, 30]),
        ("NOT (number >= 3)", [1, 2]),
        ("dt IS NULL", []),
        ("dt IS NOT NULL AND number = 10", [10]),
        ("dt = 'it''s'", []),
    ],
)
def test_expression_filters_partitions(partitioned: Any, named: dict[str, str], expression: str, expected: list[int]):
    found = partitioned.get_partitions(**named, Expression=expression)["Partitions"]
    assert numbers(found) == expected


@pytest.mark.parametrize("expression", ["price = 1", "number = 'x'", "dt =", "dt = '1'; DROP", "upper(dt) = 'X'"])
def test_a_wrong_expression_is_an_invalid_input(partitioned: Any, named: dict[str, str], expression: str):
    assert refusal(partitioned.get_partitions, **named, Expression=expression)[0] == "InvalidInputException"


def test_partitions_come_in_pages_and_segments(partitioned: Any, named: dict[str, str]):
    pages = partitioned.get_paginator("get_partitions").paginate(**named, PaginationConfig={"PageSize": 7})
    sizes = [numbers(page["Partitions"]) for page in pages]
    assert [len(size) for size in sizes] == [7, 7, 7, 7, 2]
    assert sorted(itertools.chain(*sizes)) == list(range(1, DAYS + 1))
    segments = [
        numbers(partitioned.get_partitions(**named, Segment={"SegmentNumber": n, "TotalSegments": 3})["Partitions"])
        for n in range(3)
    ]
    assert sorted(itertools.chain(*segments)) == list(range(1, DAYS + 1))


def test_a_page_goes_on_where_it_ended_when_partitions_vanish(partitioned: Any, named: dict[str, str]):
    first = partitioned.get_partitions(**named, MaxResults=10)
    partitioned.delete_partition(**named, PartitionValues=["2026-03-10", "10"])
    second = partitioned.get_partitions(**named, MaxResults=10, NextToken=first["NextToken"])
    assert numbers(second["Partitions"]) == list(range(11, 21))


def test_exclude_column_schema_leaves_the_location(partitioned: Any, named: dict[str, str]):
    (found,) = partitioned.get_partitions(**named, MaxResults=1, ExcludeColumnSchema=True)["Partitions"]
    assert found["StorageDescriptor"] == {"Location": "s3://lake/1/"}


def test_batch_create_tells_of_each_partition_that_exists(partitioned: Any, named: dict[str, str]):
    inputs = [partition_input(1, "s3://other/"), partition_input(31)]
    (error,) = partitioned.batch_create_partition(**named, PartitionInputList=inputs)["Errors"]
    assert error["PartitionValues"] == ["2026-03-01", "1"]
    assert error["ErrorDetail"]["ErrorCode"] == "AlreadyExistsException"
    kept = partitioned.get_partition(**named, PartitionValues=["2026-03-01", "1"])["Partition"]
    assert kept["StorageDescriptor"]["Location"] == "s3://lake/1/"
    assert partitioned.get_partition(**named, PartitionValues=["2026-03-31", "31"])


def test_batch_update_switches_locations_and_tells_of_what_is_not_there(partitioned: Any, named: dict[str, str]):
    entries = [
        {"PartitionValueList": ["2026-03-01", "1"], "PartitionInput": partition_input(1, "s3://new/")},
        {"PartitionValueList": ["2027-01-01", "1"], "PartitionInput": {"Values": ["2027-01-01", "1"]}},
    ]
    (error,) = partitioned.batch_update_partition(**named, Entries=entries)["Errors"]
    assert error["PartitionValueList"] == ["2027-01-01", "1"]
    assert error["ErrorDetail"]["ErrorCode"] == "EntityNotFoundException"
    found = partitioned.get_partition(**named, PartitionValues=["2026-03-01", "1"])["Partition"]
    assert found["StorageDescriptor"]["Location"] == "s3://new/"


def test_batch_delete_and_get(partitioned: Any, named: dict[str, str]):
    first, second = {"Values": ["2026-03-01", "1"]}, {"Values": ["2026-03-02", "2"]}
    (error,) = partitioned.batch_delete_partition(**named, PartitionsToDelete=[first, first])["Errors"]
    assert error["ErrorDetail"]["ErrorCode"] == "EntityNotFoundException"
    answer = partitioned.batch_get_partition(**named, PartitionsToGet=[first, second])
    assert numbers(answer["Partitions"]) == [2]
    assert answer["UnprocessedKeys"] == [first]


@pytest.mark.parametrize(
    ("operation", "member", "element", "limit"),
    [
        ("batch_create_partition", "PartitionInputList", partition_input(1), 100),
        ("batch_delete_partition", "PartitionsToDelete", {"Values": ["a", "1"]}, 25),
        ("batch_get_partition", "PartitionsToGet", {"Values": ["a", "1"]}, 1000),
        ("batch_update_partition", "Entries", {"PartitionValueList": ["a", "1"], "PartitionInput": {}}, 100),
    ],
)
def test_batches_over_the_limit_are_refused_whole(
    glue: Any, named: dict[str, str], operation: str, member: str, element: dict[str, Any], limit: int
):
    code, message = refusal(getattr(glue, operation), **named, **{member: [element] * (limit + 1)})
    assert code == "ValidationException"
    assert message.endswith(f"failed to satisfy constraint: Member must have length less than or equal to {limit}")
    assert glue.get_partitions(**named)["Partitions"] == []


def test_pages_over_the_limit_are_refused(glue: Any, named: dict[str, str]):
    assert refusal(glue.get_partitions, **named, MaxResults=1001)[0] == "ValidationException"
    assert refusal(glue.get_partitions, **named, NextToken="nonsense")[0] == "InvalidInputException"


def test_values_must_be_as_many_as_keys(glue: Any, named: dict[str, str]):
    code, _ = refusal(glue.create_partition, **named, PartitionInput={"Values": ["2026-03-01"]})
    assert code == "InvalidInputException"


def test_reset_forgets_versions(glue: Any, named: dict[str, str], lab: Any, account: str):
    glue.update_table(DatabaseName="lake", TableInput=table_input())
    lab.reset(account)
    glue.create_database(DatabaseInput={"Name": "lake"})
    glue.create_table(DatabaseName="lake", TableInput=table_input())
    assert len(glue.get_table_versions(**named)["TableVersions"]) == 1
