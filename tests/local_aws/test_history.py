"""The change log against histories that are generated: exports tell of exactly the writes that happened."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local_aws.client import LabError

VALUES = st.one_of(
    st.text(max_size=4).map(lambda text: {"S": text}),
    st.integers(-5, 5).map(lambda number: {"N": str(number)}),
    st.sets(st.sampled_from("abc"), min_size=1).map(lambda members: {"SS": sorted(members)}),
    st.booleans().map(lambda truth: {"BOOL": truth}),
    st.lists(st.just({"NULL": True}), max_size=2).map(lambda members: {"L": members}),
)
# Times lie on a coarse grid, so that several writes of one key, and of one moment, meet at the windows' borders.
WRITES = st.lists(
    st.tuples(
        st.integers(1, 24),
        st.sampled_from(["PutItem", "PutItem", "UpdateItem", "DeleteItem"]),
        st.sampled_from("abcd"),
        st.integers(0, 1),
        VALUES,
    ),
    max_size=30,
)
STEP = 5


def key_of(item: dict[str, Any]) -> tuple[str, str]:
    return item["pk"]["S"], item["sk"]["N"]


def normal(item: dict[str, Any]) -> str:
    ordered = {
        name: {tag: sorted(value) if tag == "SS" else value for tag, value in attribute.items()}
        for name, attribute in item.items()
    }
    return json.dumps(ordered, sort_keys=True)


def table_of(items: list[dict[str, Any]]) -> dict[tuple[str, str], str]:
    return {key_of(item): normal(item) for item in items}


def replayed(writes: list[tuple[Any, ...]], until: int) -> dict[tuple[str, str], str]:
    """The table after the writes before the grid time ``until``, computed apart from the lab."""
    items: dict[tuple[str, str], dict[str, Any]] = {}
    for when, operation, pk, sk, value in sorted(writes, key=lambda write: write[0]):
        key = (pk, str(sk))
        base = {"pk": {"S": pk}, "sk": {"N": str(sk)}}
        if when >= until:
            continue
        if operation == "DeleteItem":
            items.pop(key, None)
        elif operation == "PutItem":
            items[key] = {**base, "v": value}
        else:
            items[key] = {**items.get(key, base), "u": value}
    return {key: normal(item) for key, item in items.items()}


def line(exporting: Any, write: tuple[Any, ...]) -> dict[str, Any]:
    when, operation, pk, sk, value = write
    made: dict[str, Any] = exporting.write(
        when * STEP, operation, pk, sk, **({"v": value} if operation == "PutItem" else {})
    )
    if operation == "UpdateItem":
        made["request"] |= {"UpdateExpression": "SET u = :u", "ExpressionAttributeValues": {":u": value}}
    return made


def applied(base: dict[tuple[str, str], str], records: list[dict[str, Any]]) -> dict[tuple[str, str], str]:
    items = dict(base)
    for record in records:
        items.pop(key_of(record["Keys"]), None)
        if "NewImage" in record:
            items[key_of(record["NewImage"])] = normal(record["NewImage"])
    return items


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(writes=WRITES, base=st.integers(3, 8), cut=st.integers(12, 18))
def test_exports_equal_the_history_that_made_them(exporting, writes, base, cut):
    exporting.begin()
    exporting.lab.settings(exporting.account, export_seconds=0.0)
    exporting.lay_down(*(line(exporting, write) for write in writes), until=300)
    full = table_of([record["Item"] for record in exporting.full(base * STEP).records])
    assert full == replayed(writes, base)
    first, second = exporting.window(base * STEP, cut * STEP), exporting.window(cut * STEP, 25 * STEP)
    after_first = applied(full, first.records)
    assert after_first == replayed(writes, cut) == table_of([r["Item"] for r in exporting.full(cut * STEP).records])
    assert applied(after_first, second.records) == table_of(exporting.live_items()) == replayed(writes, 100)
    for export, before in ((first, full), (second, after_first)):
        keys = [key_of(record["Keys"]) for record in export.records]
        assert len(keys) == len(set(keys)) == export.description["ItemCount"]
        for record in export.records:
            old = before.get(key_of(record["Keys"]))
            assert (normal(record["OldImage"]) if "OldImage" in record else None) == old


def test_times_are_strictly_increasing(exporting):
    writes = [exporting.write(30, "PutItem", f"k{number}") for number in range(50)]
    exporting.lay_down(*writes, until=60)
    records = exporting.window(20, 40).records
    times = sorted(int(record["Metadata"]["WriteTimestampMicros"]["N"]) for record in records)
    assert times == list(range(times[0], times[0] + 50))


def test_every_way_of_writing_is_logged(exporting):
    dynamodb, table = exporting.dynamodb, exporting.table

    def item(pk: str, **more: Any) -> dict[str, Any]:
        return {"pk": {"S": pk}, "sk": {"N": "0"}, **more}

    exporting.lab.set_clock("2026-03-01T00:30:00Z", exporting.account)
    dynamodb.put_item(TableName=table, Item=item("put"))
    dynamodb.update_item(
        TableName=table, Key=item("update"), UpdateExpression="SET v = :v", ExpressionAttributeValues={":v": {"S": "1"}}
    )
    dynamodb.batch_write_item(RequestItems={table: [{"PutRequest": {"Item": item("batch")}}]})
    dynamodb.transact_write_items(TransactItems=[{"Put": {"TableName": table, "Item": item("transact")}}])
    dynamodb.execute_statement(Statement=f"INSERT INTO {table} VALUE {{'pk': 'partiql', 'sk': 0}}")
    exporting.lab.set_clock("2026-03-01T00:50:00Z", exporting.account)
    dynamodb.put_item(TableName=table, Item=item("put"))
    update = f"UPDATE {table} SET v = 'x' WHERE pk = 'put' AND sk = 0"
    insert = f"INSERT INTO {table} VALUE {{'pk': 'rolled-back', 'sk': 0}}"
    double = f"INSERT INTO {table} VALUE {{'pk': 'batch', 'sk': 0}}"
    statements = [{"Statement": text} for text in (update, insert, double)]
    with pytest.raises(ClientError, match="cancelled"):
        dynamodb.execute_transaction(TransactStatements=statements)
    exporting.lab.advance_clock(3600, exporting.account)
    records = exporting.window(20, 40).records
    assert {record["Keys"]["pk"]["S"] for record in records} == {"put", "update", "batch", "transact", "partiql"}
    assert {int(record["Metadata"]["WriteTimestampMicros"]["N"]) // 60_000_000 % 60 for record in records} == {30}
    assert exporting.window(45, 65).records == []


def test_history_is_refused_with_line_and_cause(exporting):
    lab, account = exporting.lab, exporting.account
    exporting.lay_down(exporting.write(30, "PutItem", "a"), until=31)
    with pytest.raises(LabError, match=r"line 1 is dated 2026-03-01T00:10:00.000000Z, before the account's last write"):
        lab.write_history(account, [exporting.write(10, "PutItem", "b")])
    bad = exporting.write(40, "PutItem", "c")
    del bad["request"]["Item"]["sk"]
    with pytest.raises(LabError, match=r"line 2: PutItem failed: .*Missing the key sk"):
        lab.write_history(account, [exporting.write(39, "PutItem", "b"), bad])
    assert {key_of(item)[0] for item in exporting.live_items()} == {"a", "b"}
    with pytest.raises(LabError, match="line 1 is no history line"):
        lab.write_history(account, [{"time": "2026-03-01T05:00:00Z"}])
    with pytest.raises(LabError, match="'Scan' is not one of"):
        lab.write_history(account, [exporting.write(50, "PutItem", "d") | {"operation": "Scan"}])


def test_history_is_fast_enough_for_a_demo(exporting):
    writes = [
        exporting.write(number / 100, "PutItem", f"k{number % 500}", n={"N": str(number)}) for number in range(6000)
    ]
    began = time.monotonic()
    exporting.lay_down(*writes, until=120)
    assert len(writes) / (time.monotonic() - began) > 3000
    assert exporting.full(100).description["ItemCount"] == 500
    assert exporting.lab.clock(exporting.account).isoformat().startswith("2026-03-01T02:00")
