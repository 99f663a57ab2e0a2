"""The lab's Athena as a client meets it: states, reasons, pages, idempotence, catalog statements, SQL in Trino's manner."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from botocore.exceptions import ClientError

from tests.local_aws.athena_lake import Lake

PARQUET_TABLE = "CREATE EXTERNAL TABLE IF NOT EXISTS `lake`.`t` (`pk` string COMMENT 'the key', n bigint) PARTITIONED BY (dt string)"


@pytest.fixture
def lake(aws: Callable[..., Any], account: str) -> Lake:
    lake = Lake(aws, account)
    lake.put("t/dt=1/f.parquet", pa.table({"pk": ["a", "b"], "n": [1, 2]}))
    lake.put("t/dt=2/f.parquet", pa.table({"pk": ["c"], "n": [3]}))
    done = lake.ask(f"{PARQUET_TABLE} STORED AS PARQUET LOCATION '{lake.uri('t/')}' TBLPROPERTIES ('owner'='x')")
    assert done.state == "SUCCEEDED", done.reason
    assert lake.ask("MSCK REPAIR TABLE t").state == "SUCCEEDED"
    return lake


def refusal(call: Callable[..., Any], **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


# ---- the API


def test_a_query_writes_its_answer_to_s3(lake: Lake):
    answer = lake.ask("SELECT pk, n, CAST(NULL AS varchar) AS nothing FROM t ORDER BY n")
    location = answer.execution["ResultConfiguration"]["OutputLocation"]
    assert location == f"{lake.output}{answer.execution['QueryExecutionId']}.csv"
    key = location.removeprefix(lake.uri(""))
    body = lake.s3.get_object(Bucket=lake.bucket, Key=key)["Body"].read().decode()
    assert body.startswith('"pk","n","nothing"\n"a","1",\n')
    assert list(csv.reader(io.StringIO(body)))[3] == ["c", "3", ""]
    assert lake.s3.head_object(Bucket=lake.bucket, Key=f"{key}.metadata")
    assert answer.execution["StatementType"] == "DML"


def test_columns_carry_athenas_types(lake: Lake):
    query_id = lake.start("SELECT pk, n, 1.50 AS d, date '2026-01-01' AS day, ARRAY[1] AS a, count(*) OVER () FROM t")
    lake.wait(query_id)
    info = lake.athena.get_query_results(QueryExecutionId=query_id)["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]
    assert [(column["Name"], column["Type"]) for column in info] == [
        ("pk", "varchar"),
        ("n", "bigint"),
        ("d", "decimal"),
        ("day", "date"),
        ("a", "array"),
        ("_col5", "bigint"),
    ]
    assert (info[2]["Precision"], info[2]["Scale"]) == (3, 2)


def test_results_come_in_pages_with_one_header(lake: Lake):
    query_id = lake.start("SELECT x FROM UNNEST(sequence(1, 2500)) AS t(x) ORDER BY x")
    lake.wait(query_id)
    first = lake.athena.get_query_results(QueryExecutionId=query_id)["ResultSet"]["Rows"]
    assert (len(first), first[0]["Data"][0]["VarCharValue"]) == (1000, "x")
    rows = lake.ask("SELECT x FROM UNNEST(sequence(1, 2500)) AS t(x) ORDER BY x").rows
    assert rows == [["x"], *[[str(number)] for number in range(1, 2501)]]


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT * FROM nope", "TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog.lake.nope' does not exist"),
        ("SELECT 1\nFROM no.t", "SCHEMA_NOT_FOUND: line 2:9: Schema 'no' does not exist"),
        ("SELECT * FROM other.lake.t", "CATALOG_NOT_FOUND: line 1:26: Catalog 'other' does not exist"),
        ("SELECT n, nope FROM t", "COLUMN_NOT_FOUND: line 1:11: Column 'nope' cannot be resolved"),
        ("SELECT nope(n) FROM t", "FUNCTION_NOT_FOUND: line 1:8: Function 'nope' not registered"),
        ("SELECT CAST(pk AS bigint) FROM t", "INVALID_CAST_ARGUMENT: "),
        ("SELECT pk, count(*) FROM t", "EXPRESSION_NOT_AGGREGATE: "),
        ("SELECT * FROM read_text('/etc/passwd')", "FUNCTION_NOT_FOUND: "),
        ("INSERT INTO t VALUES ('a', 1, '1')", "NOT_SUPPORTED: "),
        ("CREATE TABLE u AS SELECT 1 AS x", "NOT_SUPPORTED: "),
        ("UNLOAD (SELECT 1) TO 's3://lake/u' WITH (format = 'PARQUET')", "NOT_SUPPORTED: "),
        ("VACUUM t", "NOT_SUPPORTED: "),
    ],
)
def test_failures_are_named_as_athena_names_them(lake: Lake, sql: str, reason: str):
    assert lake.failure(sql).startswith(reason)


def test_a_failed_query_has_no_results(lake: Lake):
    query_id = lake.start("SELECT * FROM nope")
    error = lake.wait(query_id)["Status"]["AthenaError"]
    assert (error["ErrorCategory"], error["Retryable"]) == (2, False)
    assert refusal(lake.athena.get_query_results, QueryExecutionId=query_id)[0] == "InvalidRequestException"


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELEC 1", "line 1:7: mismatched input '1'"),
        ("SELECT 1; SELECT 2", "Only one sql statement is allowed."),
        ("SELECT * FROM t WHERE", "line 1:17: mismatched input 'WHERE'"),
    ],
)
def test_what_cannot_be_parsed_is_refused_at_once(lake: Lake, sql: str, message: str):
    code, text = refusal(lake.start, sql=sql)
    assert code == "InvalidRequestException"
    assert text.startswith(message)


def test_a_location_is_needed_and_must_be_the_accounts_own(lake: Lake, aws: Callable[..., Any], account: str):
    assert "No output location provided" in refusal(lake.athena.start_query_execution, QueryString="SELECT 1")[1]
    aws("s3", account="888888888888").create_bucket(Bucket=f"foreign-{account}")
    for bucket in (f"foreign-{account}", f"absent-{account}"):
        wanted = {"OutputLocation": f"s3://{bucket}/"}
        code, text = refusal(lake.athena.start_query_execution, QueryString="SELECT 1", ResultConfiguration=wanted)
        assert (code, text.split(".")[0]) == (
            "InvalidRequestException",
            f"Unable to verify/create output bucket {bucket}",
        )


def test_a_workgroup_gives_the_location(lake: Lake):
    configuration = {"ResultConfiguration": {"OutputLocation": lake.uri("group/")}}
    lake.athena.create_work_group(Name="team", Configuration=configuration)
    query_id = lake.athena.start_query_execution(QueryString="SELECT 1", WorkGroup="team")["QueryExecutionId"]
    assert lake.wait(query_id)["ResultConfiguration"]["OutputLocation"] == lake.uri(f"group/{query_id}.csv")
    assert lake.athena.list_query_executions(WorkGroup="team")["QueryExecutionIds"] == [query_id]
    assert refusal(lake.start, sql="SELECT 1", WorkGroup="nope")[1] == "WorkGroup nope is not found."


def test_the_same_token_is_the_same_query(lake: Lake):
    token = "t" * 32
    first = lake.start("SELECT 1", ClientRequestToken=token)
    assert lake.start("SELECT 1", ClientRequestToken=token) == first
    assert refusal(lake.start, sql="SELECT 2", ClientRequestToken=token)[1] == "Idempotent parameters do not match"


def test_a_running_query_can_be_stopped(lake: Lake):
    pairs = "UNNEST(sequence(1, 100000)) AS a(x) CROSS JOIN UNNEST(sequence(1, 100000)) AS b(y)"
    query_id = lake.start(f"SELECT count(*) FROM {pairs} WHERE (x * y) % 7 = 3")
    assert lake.athena.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]["Status"]["State"] in (
        "QUEUED",
        "RUNNING",
    )
    started = time.monotonic()
    lake.athena.stop_query_execution(QueryExecutionId=query_id)
    assert lake.wait(query_id)["Status"]["State"] == "CANCELLED"
    assert lake.values("SELECT 1") == [["1"]]
    assert time.monotonic() - started < 5


def test_queries_of_another_account_are_not_seen(lake: Lake, aws: Callable[..., Any]):
    query_id = lake.start("SELECT 1")
    other = aws("athena", account="888888888888")
    assert refusal(other.get_query_execution, QueryExecutionId=query_id)[0] == "InvalidRequestException"


def test_parameters_are_literals_only(lake: Lake):
    sql = "SELECT count(*) FROM t WHERE pk = ? AND n < ?"
    assert lake.values(sql, ExecutionParameters=["'a'", "5"]) == [["1"]]
    assert lake.values(sql, ExecutionParameters=["'x'' OR 1=1 --'", "5"]) == [["0"]]
    assert "no literal" in refusal(lake.start, sql=sql, ExecutionParameters=["pk", "5"])[1]


# ---- catalog statements


def test_create_table_is_seen_by_glue(lake: Lake):
    table = lake.glue.get_table(DatabaseName="lake", Name="t")["Table"]
    assert table["PartitionKeys"] == [{"Name": "dt", "Type": "string"}]
    assert table["StorageDescriptor"]["Columns"][0] == {"Name": "pk", "Type": "string", "Comment": "the key"}
    assert table["Parameters"]["owner"] == "x"
    assert table["StorageDescriptor"]["SerdeInfo"]["SerializationLibrary"].endswith("ParquetHiveSerDe")


def test_partitions_are_added_where_they_are_said_to_be(lake: Lake):
    add = f"PARTITION (dt='9') LOCATION '{lake.uri('t/dt=1/')}'"
    assert lake.ask(f"ALTER TABLE lake.t ADD {add}").state == "SUCCEEDED"
    assert "Partition already exists" in lake.failure(f"ALTER TABLE t ADD {add}")
    assert lake.ask(f"ALTER TABLE t ADD IF NOT EXISTS {add}").state == "SUCCEEDED"
    assert lake.ask("SHOW PARTITIONS t").rows == [["dt=1"], ["dt=2"], ["dt=9"]]
    assert lake.values("SELECT count(*) FROM t WHERE dt = '9'") == [["2"]]
    assert lake.ask("ALTER TABLE t DROP PARTITION (dt='9')").state == "SUCCEEDED"
    assert lake.values("SELECT count(*) FROM t") == [["3"]]


def test_databases_and_tables_come_and_go(lake: Lake):
    assert lake.ask("CREATE DATABASE IF NOT EXISTS more COMMENT 'x' LOCATION 's3://lake/more/'").state == "SUCCEEDED"
    assert "already exists" in lake.failure("CREATE DATABASE more")
    assert lake.ask("SHOW DATABASES").rows == [["lake"], ["more"]]
    assert lake.ask("SHOW TABLES IN lake").rows == [["t"]]
    assert "is not empty" in lake.failure("DROP DATABASE lake")
    assert lake.ask("DROP DATABASE more").state == "SUCCEEDED"
    assert lake.ask("DROP TABLE t").state == "SUCCEEDED"
    assert "Table not found" in lake.failure("DROP TABLE t")
    assert lake.ask("DROP TABLE IF EXISTS t").state == "SUCCEEDED"
    assert lake.ask("DESCRIBE t").state == "FAILED"


def test_describe_lists_columns_and_keys(lake: Lake):
    fields = [row[0].split("\t")[0].strip() for row in lake.ask("DESCRIBE lake.t").rows if row[0]]
    assert fields[:3] == ["pk", "n", "dt"]


def test_views_are_kept_in_glue_and_answered(lake: Lake):
    assert lake.ask("CREATE VIEW sums AS SELECT dt, sum(n) AS total FROM t GROUP BY dt").state == "SUCCEEDED"
    view = lake.glue.get_table(DatabaseName="lake", Name="sums")["Table"]
    assert (view["TableType"], view["Parameters"]["presto_view"]) == ("VIRTUAL_VIEW", "true")
    assert view["StorageDescriptor"]["Columns"] == [
        {"Name": "dt", "Type": "string"},
        {"Name": "total", "Type": "bigint"},
    ]
    assert lake.ask("CREATE OR REPLACE VIEW twice AS SELECT dt, total * 2 AS t2 FROM lake.sums").state == "SUCCEEDED"
    assert lake.values("SELECT * FROM twice ORDER BY dt") == [["1", "6"], ["2", "6"]]
    assert lake.failure("CREATE VIEW sums AS SELECT 1 AS x").startswith("ALREADY_EXISTS")
    assert lake.ask("DROP VIEW twice").state == "SUCCEEDED"
    assert lake.failure("SELECT * FROM twice").startswith("TABLE_NOT_FOUND")


# ---- SQL in Trino's manner


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("""json_extract_scalar('{"a": {"b": [1, 2]}}', '$.a.b[1]')""", "2"),
        ("""json_extract('{"a": {"b": 1}}', '$.a')""", '{"b":1}'),
        ("from_iso8601_timestamp('2026-03-01T01:00:00+01:00')", "2026-03-01 00:00:00.000 UTC"),
        ("date_diff('day', timestamp '2026-01-01 12:00:00', timestamp '2026-01-02 11:00:00')", "0"),
        ("date_add('day', date_diff('day', date '2026-01-01', date '2026-01-03'), date '2026-01-01')", "2026-01-03"),
        ("date '2026-01-01' + interval '1' day", "2026-01-02"),
        ("approx_distinct(n)", "3"),
        ("max_by(pk, n)", "c"),
        ("try_cast('x' AS bigint)", None),
        ("element_at(ARRAY[1, 2], 2)", "2"),
        ("element_at(map(ARRAY['a'], ARRAY[7]), 'a')", "7"),
        ("cardinality(ARRAY[1, 2]) + cardinality(map(ARRAY['a'], ARRAY[1]))", "3"),
        ("7 / 2", "3"),
        ("sum(n)", "6"),
        ("count_if(n > 1)", "2"),
        ("array_agg(n ORDER BY n DESC)", "[3, 2, 1]"),
        ("slice(ARRAY[1, 2, 3, 4], 2, 2)", "[2, 3]"),
        ("array_position(ARRAY[1], 9)", "0"),
        ("transform(ARRAY[1, 2], x -> x * 10)", "[10, 20]"),
        ("to_hex(to_utf8('hi'))", "6869"),
        ("from_utf8(X'6869')", "hi"),
        ("CAST(ROW(1, 'x') AS ROW(a int, b varchar))", "{a=1, b=x}"),
        ("DECIMAL '1.50' * 2", "3.00"),
        ("CAST('1e10' AS double)", "1.0E10"),
        ("json_array_contains('[1, 2]', 2)", "true"),
        ("format('%s-%s', 'a', 1)", "a-1"),
        ("date_format(timestamp '2026-03-01 12:34:56', '%Y-%m-%d %H:%i')", "2026-03-01 12:34"),
        ("regexp_like('abc', 'b.')", "true"),
        ("timestamp '2026-03-01 00:00:00 UTC'", "2026-03-01 00:00:00.000 UTC"),
    ],
)
def test_functions_answer_as_trinos_do(lake: Lake, expression: str, expected: str | None):
    assert lake.values(f"SELECT {expression} FROM t HAVING count(*) > 0") == [[expected]]


def test_sums_over_bigint_overflow(lake: Lake):
    reason = lake.failure("SELECT sum(x) FROM (VALUES 9223372036854775807, 1) AS v(x)")
    assert reason.startswith("NUMERIC_VALUE_OUT_OF_RANGE")


def test_joins_ctes_windows_and_unnest(lake: Lake):
    sql = """
        WITH big AS (SELECT pk, n, ARRAY[n, n * 10] AS ns FROM lake.t WHERE n > 1)
        SELECT b.pk, x, row_number() OVER (PARTITION BY b.pk ORDER BY x DESC) AS place
        FROM big b JOIN awsdatacatalog.lake.t ON t.pk = b.pk CROSS JOIN UNNEST(b.ns) AS u(x)
        ORDER BY 1, 2"""
    assert lake.values(sql) == [["b", "2", "2"], ["b", "20", "1"], ["c", "3", "2"], ["c", "30", "1"]]


def test_a_cte_hides_a_table_of_its_name(lake: Lake):
    assert lake.values("WITH t AS (SELECT 7 AS n) SELECT n FROM t") == [["7"]]


def test_names_of_reserved_words_and_quotes_are_only_names(lake: Lake):
    lake.put("odd/f.parquet", pa.table({"order": ["x"], 'a"b': ["y"]}))
    lake.table("select", {"order": "string", 'a"b': "string"}, lake.uri("odd/"))
    assert lake.values('SELECT "order", "a""b" FROM "lake"."select"') == [["x", "y"]]
    assert lake.values("""SELECT count(*) FROM "select" WHERE "order" = 'x''; DROP TABLE t; --'""") == [["0"]]
