"""The lab's Athena reads exactly the files that Glue's partitions name, with the types that Glue declares."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tests.local_aws.athena_lake import Lake

COLUMNS = {"pk": "string", "n": "bigint", "amount": "decimal(38,2)"}
OPENX: dict[str, Any] = {
    "InputFormat": "org.apache.hadoop.mapred.TextInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
    "SerdeInfo": {"SerializationLibrary": "org.openx.data.jsonserde.JsonSerDe"},
}


@pytest.fixture
def lake(aws: Callable[..., Any], account: str) -> Lake:
    return Lake(aws, account)


def rows(first: int, count: int) -> pa.Table:
    numbers = range(first, first + count)
    return pa.table(
        {
            "PK": [f"k{number}" for number in numbers],
            "n": pa.array(numbers, pa.int64()),
            "amount": pa.array([Decimal(number) / 4 for number in numbers], pa.decimal128(38, 2)),
        }
    )


@pytest.fixture
def daily(lake: Lake) -> Lake:
    """Two days: one in its folder, one outside the table's location."""
    lake.table("daily", COLUMNS, lake.uri("daily/"), {"dt": "string"})
    lake.put("daily/dt=1/part-0.parquet", rows(0, 100))
    lake.put("far/away/part-0.parquet", rows(1000, 10))
    lake.partition("daily", ["2026-03-01"], lake.uri("daily/dt=1/"), COLUMNS)
    lake.partition("daily", ["2026-03-02"], lake.uri("far/away/"), COLUMNS)
    return lake


def test_a_partition_outside_the_tables_location_is_read(daily: Lake):
    found = daily.values("SELECT dt, count(*), min(pk) FROM daily GROUP BY dt ORDER BY dt")
    assert found == [["2026-03-01", "100", "k0"], ["2026-03-02", "10", "k1000"]]


def test_files_under_the_tables_location_that_no_partition_names_are_not_read(daily: Lake):
    daily.put("daily/stray.parquet", rows(5000, 7))
    daily.put("daily/dt=3/part-0.parquet", rows(6000, 7))
    assert daily.values("SELECT count(*) FROM daily") == [["110"]]


def test_of_two_generations_only_the_named_one_is_read(lake: Lake):
    lake.table("changes", COLUMNS, lake.uri("changes/"), {"dt": "string", "export_window": "string"})
    lake.put("changes/dt=1/export_window=w/aaaa/part-0.parquet", rows(0, 5))
    lake.put("changes/dt=1/export_window=w/bbbb/part-0.parquet", rows(100, 6))
    lake.put("changes/dt=1/export_window=w/_live.json", b'{"generation": "bbbb"}')
    lake.partition("changes", ["1", "w"], lake.uri("changes/dt=1/export_window=w/bbbb/"), COLUMNS)
    assert lake.values("SELECT count(*), min(n) FROM changes") == [["6", "100"]]
    entry = {"Values": ["1", "w"], "StorageDescriptor": {"Location": lake.uri("changes/dt=1/export_window=w/aaaa")}}
    lake.glue.batch_update_partition(
        DatabaseName="lake",
        TableName="changes",
        Entries=[{"PartitionValueList": ["1", "w"], "PartitionInput": entry}],
    )
    assert lake.values("SELECT count(*), min(n) FROM changes") == [["5", "0"]]


def test_hidden_files_and_folders_are_skipped_and_sub_folders_read(daily: Lake):
    for name in ("_live.json", ".staging", ".staging/part.parquet", "_tmp/deep/part.parquet", "sub/_SUCCESS"):
        daily.put(f"daily/dt=1/{name}", b"no parquet")
    daily.put("daily/dt=1/sub/deeper/part-1.parquet", rows(200, 3))
    daily.put("daily/dt=1/empty.parquet", b"")
    assert daily.values("SELECT count(*) FROM daily WHERE dt = '2026-03-01'") == [["103"]]


def test_a_location_without_files_has_no_rows(lake: Lake):
    lake.table("nothing", COLUMNS, lake.uri("nothing/"))
    answer = lake.ask("SELECT * FROM nothing")
    assert answer.rows == [["pk", "n", "amount"]]


def test_a_partition_with_an_older_set_of_columns_reads_null(daily: Lake):
    daily.put("old/part-0.parquet", rows(2000, 2).select(["n", "PK"]))
    daily.partition("daily", ["2026-02-01"], daily.uri("old/"), {"pk": "string", "n": "bigint"})
    found = daily.values("SELECT pk, n, amount FROM daily WHERE dt < '2026-02-15' ORDER BY n")
    assert found == [["k2000", "2000", None], ["k2001", "2001", None]]
    assert daily.values("SELECT count(*), count(amount) FROM daily") == [["112", "110"]]


def test_a_file_column_of_another_type_is_bad_data(daily: Lake):
    daily.put("bad/part-0.parquet", pa.table({"pk": ["a"], "n": ["one"]}))
    daily.partition("daily", ["2026-03-03"], daily.uri("bad/"), COLUMNS)
    reason = daily.failure("SELECT n FROM daily")
    assert reason.startswith("HIVE_BAD_DATA: Field n's type VARCHAR in parquet file s3://")
    assert daily.values("SELECT count(n) FROM daily WHERE dt <= '2026-03-02'") == [["110"]]


def test_a_partition_that_declares_another_type_is_a_schema_mismatch(daily: Lake):
    daily.partition("daily", ["2026-03-04"], daily.uri("none/"), {"pk": "string", "n": "string"})
    reason = daily.failure("SELECT pk FROM daily")
    assert reason.startswith("HIVE_PARTITION_SCHEMA_MISMATCH: There is a mismatch")
    assert "partition 'dt=2026-03-04' declared column 'n' as type 'string'" in reason


def test_what_is_no_parquet_is_bad_data(daily: Lake):
    daily.put("daily/dt=1/part-9.parquet", b"not parquet at all")
    assert daily.failure("SELECT * FROM daily").startswith("HIVE_BAD_DATA: Not valid Parquet file: s3://")


def test_a_foreign_bucket_is_denied(lake: Lake, aws: Callable[..., Any], account: str):
    foreign = f"foreign-{account}"
    aws("s3", account="888888888888").create_bucket(Bucket=foreign)
    lake.table("theirs", COLUMNS, f"s3://{foreign}/data/")
    reason = lake.failure("SELECT * FROM theirs")
    assert reason == f"PERMISSION_DENIED: Permission denied on S3 path: s3://{foreign}/data/"


def test_partition_columns_have_their_declared_types(lake: Lake):
    lake.table("typed", {"n": "bigint"}, lake.uri("typed/"), {"day": "date", "hour": "int"})
    lake.put("a/f.parquet", rows(0, 2).select(["n"]))
    lake.partition("typed", ["2026-03-01", "9"], lake.uri("a/"))
    lake.partition("typed", ["2026-03-02", "10"], lake.uri("a/"))
    found = lake.values(
        "SELECT day, hour, count(*) FROM typed WHERE hour > 8 AND day > date '2026-03-01' GROUP BY 1, 2"
    )
    assert found == [["2026-03-02", "10", "2"]]


def test_only_the_partitions_that_the_query_needs_are_read(daily: Lake):
    daily.put("daily/dt=1/part-9.parquet", b"would fail the query if it were read")
    for condition in (
        "dt = '2026-03-02'",
        "dt IN ('2026-03-02', '2027-01-01') AND n > 0",
        "d.dt > '2026-03-01' AND d.dt LIKE '2026%'",
        "substr(dt, 9) = '02'",
    ):
        assert daily.values(f"SELECT count(*) FROM daily d WHERE {condition}") == [["10"]]
    daily.failure("SELECT count(n) FROM daily d WHERE dt = '2026-03-02' OR n = 1")


def test_an_outer_join_does_not_prune_what_it_must_read(daily: Lake):
    sql = """SELECT count(*) FROM (SELECT 'k1' AS pk UNION ALL SELECT 'x') a
             LEFT JOIN daily d ON a.pk = d.pk WHERE d.dt IS NULL"""
    assert daily.values(sql) == [["1"]]


def test_scanned_bytes_are_those_of_the_chunks_that_were_read(lake: Lake):
    table = rows(0, 5000)
    lake.table("once", COLUMNS, lake.uri("once/"))
    size = lake.put("once/part-0.parquet", table)
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    group = pq.read_metadata(buffer).row_group(0)
    chunks = [group.column(index).total_compressed_size for index in range(3)]
    assert lake.scanned("SELECT sum(n) FROM once") == chunks[1]
    assert lake.scanned("SELECT * FROM once") == sum(chunks) < size
    assert lake.scanned("SELECT 1") == 0


def test_answers_equal_pyarrows_own(lake: Lake):
    table = rows(0, 20_000).append_column("city", pa.array([f"c{number % 7}" for number in range(20_000)]))
    lake.table("facts", {**COLUMNS, "city": "string"}, lake.uri("facts/"), {"part": "int"})
    for part in range(4):
        lake.put(f"facts/{part}/f.parquet", table.slice(part * 5000, 5000))
        lake.partition("facts", [str(part)], lake.uri(f"facts/{part}/"))
    expected = table.group_by("city").aggregate([("n", "sum"), ("amount", "sum"), ("PK", "count")]).sort_by("city")
    found = lake.values("SELECT city, sum(n), sum(amount), count(pk) FROM facts GROUP BY city ORDER BY city")
    assert found == [
        [row["city"], str(row["n_sum"]), str(row["amount_sum"]), str(row["PK_count"])] for row in expected.to_pylist()
    ]
    assert lake.values("SELECT count(*), max(amount) FROM facts") == [["20000", str(pc.max(table["amount"]))]]


def test_values_are_exact_in_athenas_text(lake: Lake):
    moment = datetime(2026, 3, 1, 23, 59, 59, 123_456, tzinfo=UTC)
    table = pa.table(
        {
            "big": pa.array([Decimal("12345678901234567890123456789012345.678")], pa.decimal128(38, 3)),
            "at": pa.array([moment], pa.timestamp("us", "UTC")),
            "raw": pa.array([b"\x00\xff"], pa.binary()),
            "yes": pa.array([True]),
            "names": pa.array([["a", None]], pa.list_(pa.string())),
            "number": pa.array([2**62 + 1], pa.int64()),
            "text": pa.array(['it\'s "x", \n']),
            "none": pa.array([None], pa.string()),
        }
    )
    declared = {
        "big": "decimal(38,3)",
        "at": "timestamp",
        "raw": "binary",
        "yes": "boolean",
        "names": "array<string>",
        "number": "bigint",
        "text": "string",
        "none": "string",
    }
    lake.table("exact", declared, lake.uri("exact/"))
    lake.put("exact/f.parquet", table)
    (found,) = lake.values("SELECT * FROM exact")
    assert found == [
        "12345678901234567890123456789012345.678",
        "2026-03-01 23:59:59.123",
        "00 ff",
        "true",
        "[a, null]",
        str(2**62 + 1),
        'it\'s "x", \n',
        None,
    ]
    later = (moment + timedelta(days=1)).strftime("%Y-%m-%d")
    assert lake.values(f"SELECT count(*) FROM exact WHERE at < timestamp '{later} 00:00:00'") == [["1"]]


def test_path_is_a_hidden_column(daily: Lake):
    found = daily.values("""SELECT DISTINCT "$path" FROM daily WHERE dt = '2026-03-02'""")
    assert found == [[daily.uri("far/away/part-0.parquet")]]
    assert daily.ask("SELECT * FROM daily WHERE \"$path\" LIKE '%away%' LIMIT 1").rows[0] == ["pk", "n", "amount", "dt"]


# ---- JSON and symlinks


def json_lines(*lines: dict[str, Any]) -> bytes:
    return gzip.compress("\n".join(json.dumps(line) for line in lines).encode())


@pytest.fixture
def raw(lake: Lake) -> Lake:
    body = json_lines(
        {"Item": {"pk": {"S": "a"}, "Amount": {"N": "12345678901234567890.12"}}},
        {"Item": {"PK": {"S": "b"}}, "more": [1]},
    )
    lake.put("raw/data/one.json.gz", body)
    lake.put("raw/data/two.json.gz", json_lines({"Item": {"pk": {"S": "not listed"}}}))
    lake.put("lists/files.txt", f"{lake.uri('raw/data/one.json.gz')}\n".encode())
    return lake


ITEM = {"item": "struct<pk:struct<S:string>,amount:struct<N:string>>"}


def test_openx_json_is_read_without_regard_to_case(raw: Lake):
    raw.table("raw", ITEM, raw.uri("raw/data/"), **OPENX)
    found = raw.values("SELECT Item.pk.S, CAST(raw.item.Amount.N AS decimal(38,2)) FROM raw ORDER BY 1")
    assert found == [["a", "12345678901234567890.12"], ["b", None], ["not listed", None]]


def test_a_symlink_manifest_names_the_files(raw: Lake):
    symlink = {**OPENX, "InputFormat": "org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat"}
    raw.table("linked", ITEM, raw.uri("lists/"), **symlink)
    assert raw.values("SELECT count(*), max(item.pk.s) FROM linked") == [["2", "b"]]


def test_malformed_json_fails_unless_it_is_to_be_ignored(lake: Lake):
    lake.put("broken/f.json", b'{"pk": "a"}\n{"pk": \n')
    lake.table("strict", {"pk": "string"}, lake.uri("broken/"), **OPENX)
    assert lake.failure("SELECT * FROM strict").startswith("HIVE_CURSOR_ERROR: Row is not a valid JSON Object")
    lenient = {**OPENX["SerdeInfo"], "Parameters": {"ignore.malformed.json": "true"}}
    lake.table("lenient", {"pk": "string"}, lake.uri("broken/"), **{**OPENX, "SerdeInfo": lenient})
    assert lake.values("SELECT pk FROM lenient ORDER BY pk") == [["a"], [None]]


def test_case_sensitive_json_uses_the_mapping(lake: Lake):
    lake.put("cased/f.json", b'{"userId": 7, "userid": 8}\n')
    parameters = {"case.insensitive": "false", "mapping.user": "userId"}
    serde = {**OPENX["SerdeInfo"], "Parameters": parameters}
    lake.table("cased", {"user": "bigint", "userid": "bigint"}, lake.uri("cased/"), **{**OPENX, "SerdeInfo": serde})
    assert lake.values('SELECT "user", userid FROM cased') == [["7", "8"]]
    lake.table("folded", {"userid": "bigint"}, lake.uri("cased/"), **OPENX)
    assert "Duplicate key" in lake.failure("SELECT * FROM folded")


def test_another_serde_is_refused(lake: Lake):
    lake.put("text/f.txt", b"a,b\n")
    text = {**OPENX, "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.serde2.OpenCSVSerde"}}
    lake.table("csv", {"a": "string"}, lake.uri("text/"), **text)
    assert lake.failure("SELECT * FROM csv").startswith("NOT_SUPPORTED: ")
