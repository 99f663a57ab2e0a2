"""Folders of YAML files: layers, places, and errors that stay with their file."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from ddb_export.config.loader import load_tables
from ddb_export.config.model import TableConfiguration
from ddb_export.config.problems import InvalidFileError
from ddb_export.config.synonyms import _WORDS_OF_KEYS, choice, keys_meant
from ddb_export.domain.export_filter import ExportFilter
from ddb_export.domain.retention import Retention
from ddb_export.exceptions import ConfigurationError

DEFAULTS = "bucket: lake\nprefix: p\ndatabase: db\nschedule: '@daily'\nstart_date: 2026-01-31\n"
TABLE = "table: Flights\n" + DEFAULTS
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write files into the folder ``tables``, below the working directory."""
    monkeypatch.chdir(tmp_path)
    folder = Path("tables")
    folder.mkdir()

    def write_files(**files: str) -> Path:
        for name, text in files.items():
            (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        return folder

    return write_files


def messages(folder: Path) -> list[str]:
    errors = load_tables(folder, on_error="collect").errors
    return [str(problem) for error in errors if isinstance(error, InvalidFileError) for problem in error.errors]


def test_one_table_per_file_in_the_order_of_names(write: Write) -> None:
    folder = write(b=TABLE, a="table: Airports\n" + DEFAULTS, c="# nothing but a comment\n")
    (folder / "z.yml").write_text("table: Planes\n" + DEFAULTS, encoding="utf-8")
    (folder / "example.yaml.sample").write_text("not: read", encoding="utf-8")
    (folder / ".hidden.yaml").write_text("not: read", encoding="utf-8")
    assert [table.table for table in load_tables(folder)] == ["Airports", "Flights", "Planes"]


def test_defaults_of_folder_and_file_and_table_in_layers(write: Write) -> None:
    folder = write(
        _defaults=DEFAULTS + "retries: 1\nowner: folder\nathena: {workgroup: folder, output_location: s3://out/x}\n",
        a="defaults:\n  retries: 2\n  athena: {workgroup: file}\ntables:\n- table: Aaa\n- table: Bbb\n  retries: 3\n"
        "  schedule: null\n",
        b="table: Ccc\n",
    )
    first, second, third = load_tables(folder)
    assert (first.retries, second.retries, third.retries) == (2, 3, 1)
    assert (first.schedule, second.schedule) == ("@daily", None)
    assert {table.owner for table in (first, second, third)} == {"folder"}
    assert (first.athena.workgroup, third.athena.workgroup) == ("file", "folder")
    assert first.athena.output_location == third.athena.output_location == "s3://out/x/"


@pytest.mark.parametrize("written", ["0.1", "25", "0.000000001", "1000000.000000001", "'12.50'", "007"])
def test_an_amount_is_what_was_written(write: Write, written: str) -> None:
    folder = write(a=TABLE + f"budget:\n  run: {written}\nprices: {{full_export_per_gb: {written}}}\n")
    (table,) = load_tables(folder)
    assert table.budget.run == Decimal(written.strip("'"))
    assert table.own_prices == {"full_export_per_gb": f"{table.budget.run:f}"}


def test_budgets_have_layers_like_athena(write: Write) -> None:
    folder = write(
        _defaults="budget: {run: 5}\nprices: {full_export_per_gb: 0.2}\n",
        a=TABLE + "prices: {s3_put_per_thousand: 0.01}\n",
    )
    (table,) = load_tables(folder)
    assert table.budget.run == 5
    assert table.own_prices == {"full_export_per_gb": "0.2", "s3_put_per_thousand": "0.01"}


def test_a_filter_is_taken_whole_from_the_nearest_layer(write: Write) -> None:
    """One statement by several keys: the folder's projection below the table's expression would lose attributes silently."""
    folder = write(
        _defaults=DEFAULTS + "filter: {expression: 'price > :p', projection: 'id, price', values: {':p': {N: '5'}}}\n",
        a="defaults: {filter: {expression: '#s = :o', names: {'#s': state}, values: {':o': {S: open}}}}\ntables:\n"
        "- {table: Aaa}\n- {table: Bbb, filter: {expression: 'price > :p', values: {':p': {N: '9'}}}}\n- {table: Ccc, filter: null}\n",
        b="table: Ddd\n",
    )
    found = {table.name: table.export_filter for table in load_tables(folder)}
    assert found["Aaa"] == ExportFilter.of("#s = :o", names={"#s": "state"}, values={":o": {"S": "open"}})
    assert found["Bbb"] == ExportFilter.of("price > :p", values={":p": {"N": "9"}})
    assert found["Ccc"] is None
    assert found["Ddd"] == ExportFilter.of("price > :p", "id, price", values={":p": {"N": "5"}})


def test_a_contract_is_layered_by_column_and_its_entities_are_taken_whole(write: Write) -> None:
    """What the folder hashes or drops stays so, whatever else a table says of the column."""
    folder = write(
        _defaults=DEFAULTS + "views: true\ncontract:\n  column_limit: 50\n  hash_conn_id: key\n"
        "  columns: {email: {hash: true}, ssn: {drop: true}, at: {type: timestamp, unit: s}}\n"
        "  entities: {attribute: pk, tables: {order: 'ORDER#*', user: 'USER#*'}}\n",
        a="table: Aaa\ncontract:\n  on_violation: fail\n  columns: {email: {name: mail}, at: {unit: ms}, price: {type: bigint}}\n"
        "  entities: {attribute: kind, tables: {flight: 'F#*'}}\n",
        b="table: Bbb\ncontract: {columns: {ssn: {type: string}}}\n",
    )
    tables, errors = load_tables(folder, on_error="collect")
    contract = tables[0].contract
    assert (contract.column_limit, contract.on_violation, contract.hash_conn_id) == (50, "fail", "key")
    assert {name: column.model_dump(exclude_defaults=True) for name, column in contract.columns.items()} == {
        "email": {"hash": True, "name": "mail"},
        "ssn": {"drop": True},
        "at": {"type": "timestamp", "unit": "ms"},
        "price": {"type": "bigint"},
    }
    assert contract.entities.model_dump() == {"attribute": "kind", "tables": {"flight": "F#*"}}
    assert [str(error) for error in errors] == [
        (
            "tables/b.yaml:2:22: contract.columns.ssn.drop true leaves no column that the other keys could be about"
            " ('drop' is in tables/_defaults.yaml:10). Remedy: leave out the other keys, or drop"
        )
    ]


def test_retention_and_alerts_are_layered_key_by_key_and_lists_taken_whole(write: Write) -> None:
    folder = write(
        _defaults=DEFAULTS
        + "retention: {raw: {keep: 90d, tier: {after: 30d, storage_class: GLACIER}}, object_tags: {team: a, env: p}}\n"
        "alerts: {horizon: 12h, notifiers: [{notifier: sns, arguments: {target_arn: x}}]}\ncompaction: {policy: automatic}\n",
        a="table: Aaa\nretention: {raw: {keep: 60d, tier: {after: 35d}}, object_tags: {team: b}}\n"
        "alerts: {notifiers: [{notifier: slack}]}\ncompaction: {target_file_bytes: 1GiB}\n",
        b="table: Bbb\nretention: {raw: {tier: null}}\nalerts: {runbook: ours.md}\n",
    )
    first, second = load_tables(folder)
    day = timedelta(days=1)
    assert first.retention.retention == Retention(60 * day, 35 * day, "GLACIER", {"team": "b", "env": "p"})
    assert second.retention.retention == Retention(90 * day, None, None, {"team": "a", "env": "p"})
    assert [(each.notifier.rpartition(".")[2], each.arguments) for each in first.alerts.notifiers] == [
        ("SlackNotifier", {})
    ]
    assert (first.alerts.horizon, second.alerts.horizon) == (day / 2, day / 2)
    assert (second.alerts.runbook, len(second.alerts.notifiers)) == ("ours.md", 1)
    assert (first.compaction.policy, first.compaction.target_file_bytes) == ("automatic", 1 << 30)


def test_anchors_and_merge_keys_work(write: Write) -> None:
    folder = write(
        a="x-common: &common {bucket: lake, prefix: p, database: db}\n"
        "defaults: {schedule: &when '0 6 * * *', start_date: 2026-01-31}\n"
        "tables:\n- {<<: *common, table: Aaa}\n- {table: Bbb, prefix: q, <<: *common, schedule: *when}\n"
    )
    first, second = load_tables(folder)
    assert (first.prefix, second.prefix, second.schedule) == ("p", "q", "0 6 * * *")


@pytest.mark.scenario("F38")
@pytest.mark.parametrize(
    ("written", "hour"),
    [
        ("2026-01-31", 0),
        ("2026-01-31 06:00:00", 6),
        ("'2026-01-31T06:00:00'", 6),
        ("2026-01-31T06:00:00Z", 6),
        ("2026-01-31T06:00:00+02:00", 4),
    ],
)
def test_times_without_a_zone_are_utc_whatever_the_schedules_zone_and_the_machines(
    write: Write, written: str, hour: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        text = TABLE.replace("2026-01-31", written) + "timezone: America/New_York\n"
        (table,) = load_tables(write(a=text))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert table.start_date == datetime(2026, 1, 31, hour, tzinfo=UTC)
    assert table.start_date.tzinfo is UTC


@pytest.mark.parametrize("digits", ["012345678901", "012345670123", "123456789012", "'012345678901'"])
def test_an_account_id_is_what_was_written(write: Write, digits: str) -> None:
    (table,) = load_tables(write(a=TABLE + f"bucket_owner: {digits}\n"))
    assert table.bucket_owner == digits.strip("'")


OWNER = "write the 12 digits of an AWS account in quotes, such as '012345678901'"
PLAIN = "write plain text, a number, a list or a mapping"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TABLE.replace("schedule", "shedule"), "5:1: unknown key 'shedule'. Remedy: write 'schedule'"),
        (
            TABLE + "aws_secret: hunter2\n",
            (
                "7:1: unknown key 'aws_secret'. Remedy: remove it; the keys are table, bucket, prefix, database, schedule,"
                f" start_date, {', '.join(list(TableConfiguration.model_fields)[6:])}"
            ),
        ),
        (TABLE + "catchup: 'no'\n", "7:10: catchup 'no' is text. Remedy: write true or false"),
        (
            TABLE.replace("'@daily'", "1:15"),
            (
                "5:11: schedule 1:15 is a number. Remedy: write a cron expression such as '0 0 * * *', @hourly or @daily,"
                " or null for runs by hand only"
            ),
        ),
        (
            TABLE.replace("'@daily'", "@daily"),
            (
                "5:11: not valid YAML: found character '@' that cannot start any token. Remedy: put the value in quotes,"
                " such as '@daily'"
            ),
        ),
        (TABLE + "bucket_owner: 1234\n", f"7:15: bucket_owner '1234' is not an account id. Remedy: {OWNER}"),
        (TABLE + "bucket_owner: 0x1F\n", f"7:15: bucket_owner 0x1F is a number. Remedy: {OWNER}"),
        (
            TABLE + "budget:\n  run: 1:30\n",
            "8:8: budget.run '1:30' is no amount. Remedy: write an amount in USD, such as 25 or 0.114",
        ),
        (
            TABLE + "athena:\n  workgrop: x\n",
            "8:3: unknown key 'athena.workgrop'. Remedy: write 'workgroup'",
        ),
        (
            TABLE + "tags:\n- a\n- 5\n",
            "9:3: tags[1] 5 is a number. Remedy: write 1 to 100 characters of text",
        ),
        (
            TABLE.replace("bucket: lake\n", "").replace("prefix: p\n", ""),
            (
                "1:1: the required keys 'bucket', 'prefix' are missing. Remedy: add bucket: the name of an S3 bucket, 3 to"
                " 63 lower-case letters, digits, '-', '.'"
            ),
        ),
        (TABLE + "bucket: b\n", "7:1: the key 'bucket' is given twice, first in line 2. Remedy: keep one of them"),
        (
            TABLE + "base_time: 2026-13-45\n",
            "7:12: 2026-13-45 is no valid timestamp. Remedy: correct it, or put it in quotes",
        ),
        (
            TABLE + "\tname: x\n",
            (
                "7:1: not valid YAML: found character '\\t' that cannot start any token. Remedy: indent with spaces, not"
                " with tabs"
            ),
        ),
        (
            TABLE + "---\n" + TABLE,
            (
                "7:1: not valid YAML: but found another document. Remedy: keep one document per file; several tables go"
                " into the list 'tables'"
            ),
        ),
        (
            TABLE + "name: *x\n",
            "7:7: not valid YAML: found undefined alias 'x'. Remedy: define the anchor (&name) above the alias (*name)",
        ),
        *(
            (
                TABLE.replace("'@daily'", cron),
                (
                    f"5:11: not valid YAML: an alias (*name) cannot be read here: {reason}. Remedy: put the value in quotes,"
                    " such as '*/15 * * * *'"
                ),
            )
            for cron, reason in (
                ("*/15 * * * *", "expected alphabetic or numeric character, but found '/'"),
                ("* 6 * * *", "expected alphabetic or numeric character, but found ' '"),
                ("*15 * * * *", "found undefined alias '15'"),
            )
        ),
        (
            TABLE + "athena: &a {workgroup: *a}\n",
            "7:9: an alias refers to the value that it stands in. Remedy: write the value out",
        ),
        (
            TABLE + "name: !!python/object/apply:os.system ['true']\n",
            f"7:7: the YAML tag '!!python/object/apply:os.system' is not supported. Remedy: {PLAIN}",
        ),
        ("- a\n", "1:1: the file holds a list. Remedy: write the keys of one table, or 'tables:' and a list"),
        (
            "tables: Flights\n",
            "1:9: 'tables' is text. Remedy: write a list, each item beginning with '- table: '",
        ),
        ("tables:\n- Flights\n", "2:3: a table of the list is text. Remedy: write it as '- table: NAME'"),
        ("tables: []\ndefault: {}\n", "2:1: unknown key 'default' beside 'tables'. Remedy: write 'defaults'"),
        ("tabels:\n- table: Aaa\n- table: Bbb\n", "1:1: unknown key 'tabels'. Remedy: write 'tables'"),
        ("table:\n- table: Aaa\n", "1:1: 'table' is a list. Remedy: write 'tables' for several tables"),
        ("default: {retries: 3}\n", "1:1: unknown key 'default'. Remedy: write 'defaults'"),
        ("default:\n", "1:1: unknown key 'default'. Remedy: write 'defaults'"),
        ("defaults: {}\ntabels: []\n", "2:1: unknown key 'tabels' beside 'defaults'. Remedy: write 'tables'"),
        (
            "tables: []\nname: x\n",
            "2:1: unknown key 'name' beside 'tables'. Remedy: move it into a table of the list 'tables'",
        ),
        (
            "tables: []\nbucket: x\n",
            "2:1: unknown key 'bucket' beside 'tables'. Remedy: move it below 'defaults', or into a table of the list 'tables'",
        ),
        (TABLE.replace("table", "tabels"), "1:1: unknown key 'tabels'. Remedy: write 'table'"),
        (TABLE + "paused: true\n", "7:1: unknown key 'paused'. Remedy: write 'paused_at_creation'"),
        (
            TABLE + "account: 123456789012\n",
            (
                "7:1: unknown key 'account'. Remedy: write 'role_arn' (a role of the table's account) or 'bucket_owner' (the"
                " account that owns the bucket)"
            ),
        ),
        (TABLE + "kms: alias/x\n", "7:1: unknown key 'kms'. Remedy: write 'kms_key'"),
        (TABLE + "KMS-key: alias/x\n", "7:1: unknown key 'KMS-key'. Remedy: write 'kms_key'"),
        (TABLE + "role: x\n", "7:1: unknown key 'role'. Remedy: write 'role_arn'"),
        (TABLE + "connection: x\n", "7:1: unknown key 'connection'. Remedy: write 'aws_conn_id'"),
        (
            TABLE + "view: NEW_IMAGE\n",
            (
                "7:1: unknown key 'view'. Remedy: write 'export_view' (what an export holds of each change) or 'views' (true"
                " for helper views in Athena)"
            ),
        ),
        (TABLE.replace("schedule:", "cron:"), "5:1: unknown key 'cron'. Remedy: write 'schedule'"),
        (TABLE + "workgroup: x\n", "7:1: unknown key 'workgroup'. Remedy: move it into 'athena'"),
        (
            "defaults: {name: x}\ntables: []\n",
            "1:12: 'name' cannot have a default. Remedy: write it at each table",
        ),
        ("defaults: {retries: 3}\n", "1:1: the file has defaults but no tables. Remedy: add the list 'tables'"),
        (
            "a: " + "[" * 30 + "]" * 30,
            "1:24: nested more than 20 levels deep. Remedy: write a flat mapping",
        ),
        ("a: \x07\n", "1:1: the file holds a character that YAML does not allow. Remedy: remove the control character"),
    ],
)
def test_each_error_is_one_line_with_its_place(write: Write, text: str, message: str) -> None:
    assert messages(write(a=text)) == [f"tables/a.yaml:{message}"]


def test_every_misspelt_key_of_a_files_top_is_named(write: Write) -> None:
    assert messages(write(a="default: {retries: 3}\ntabels:\n- table: Aaa\n")) == [
        "tables/a.yaml:1:1: unknown key 'default'. Remedy: write 'defaults'",
        "tables/a.yaml:2:1: unknown key 'tabels'. Remedy: write 'tables'",
    ]


@pytest.mark.parametrize(
    ("key", "remedy"), [("defaults", "write its keys without it"), ("tables", "move it into a file of another name")]
)
def test_a_defaults_file_is_defaults_as_a_whole(write: Write, key: str, remedy: str) -> None:
    assert messages(write(_defaults=f"{key}:\n", a=TABLE)) == [
        f"tables/_defaults.yaml:1:1: '{key}' stands in a file that is defaults as a whole. Remedy: {remedy}"
    ]


def test_each_word_for_a_key_leads_to_a_key() -> None:
    names = list(TableConfiguration.model_fields)
    words = [word for listed in _WORDS_OF_KEYS.values() for word in listed.split()]
    assert len(words) == len(set(words))
    assert not set(words) & set(names)
    for word in words:
        assert choice(keys_meant(word, names))


def test_a_value_of_a_default_is_blamed_once_where_it_was_written(write: Write) -> None:
    folder = write(
        _defaults=DEFAULTS + "retries: many\n", a="tables:\n- table: Aaa\n- table: Bbb\n- table: Ccc\n  retries: 1\n"
    )
    tables, errors = load_tables(folder, on_error="collect")
    assert [table.table for table in tables] == ["Ccc"]
    assert [str(error) for error in errors] == [
        "tables/_defaults.yaml:6:10: retries 'many' is text. Remedy: write a whole number from 0 to 100"
    ]


def test_unreadable_defaults_stop_every_table(write: Write) -> None:
    tables, errors = load_tables(write(_defaults="a: [", a=TABLE), on_error="collect")
    assert tables == ()
    assert [str(error) for error in errors] == [
        (
            "tables/_defaults.yaml:1:5: not valid YAML: expected the node content, but found '<stream end>'. Remedy: check"
            " indentation, colons and quotes in this line and the one before"
        )
    ]


def test_a_broken_file_leaves_the_others_alone(write: Write) -> None:
    folder = write(
        a="table: [", b=TABLE, c="shedule: x\nretries: -1\n" + TABLE.replace("Flights", "Planes").replace("lake", "L")
    )
    tables, errors = load_tables(folder, on_error="collect")
    assert [table.table for table in tables] == ["Flights"]
    assert [str(error) for error in errors] == [
        (
            "tables/a.yaml:1:9: not valid YAML: expected the node content, but found '<stream end>'. Remedy: check"
            " indentation, colons and quotes in this line and the one before"
        ),
        "tables/c.yaml:1:1: unknown key 'shedule' (the first of 3 errors in this file). Remedy: write 'schedule'",
    ]
    second = errors[1]
    assert isinstance(second, InvalidFileError)
    assert second.path == "tables/c.yaml"
    assert [(problem.line, problem.column) for problem in second.errors] == [(1, 1), (4, 9), (2, 10)]
    with pytest.raises(InvalidFileError) as caught:
        load_tables(folder)
    assert "(the first of 4 errors in 2 files)" in str(caught.value)
    assert len(caught.value.errors) == 4


def test_in_one_file_the_tables_that_are_right_stay(write: Write) -> None:
    folder = write(_defaults=DEFAULTS, a="tables:\n- table: Aaa\n- table: Bbb\n  retries: -1\n")
    tables, errors = load_tables(folder, on_error="collect")
    assert [table.table for table in tables] == ["Aaa"]
    assert len(errors) == 1


@pytest.mark.parametrize(
    ("first", "second", "shared", "other_line"),
    [
        ("table: Aaa", "table: Aaa", "the DAG 'ddb_export__Aaa'", ("Aaa", "Aaa")),
        ("table: A.a", "table: A-a", "the Glue table 'a_a_snapshots'", ("A.a", "A-a")),
        ("table: Aaa", "table: Aaa_changes", "the Glue table 'aaa_changes'", ("Aaa", "Aaa_changes")),
        ("table: Aaa", "table: raw\n  prefix: p/Aaa", "the folder s3://lake/p/Aaa/", ("Aaa", "raw")),
    ],
)
def test_tables_that_would_share_a_name_or_a_folder_are_both_refused(
    write: Write, first: str, second: str, shared: str, other_line: tuple[str, str]
) -> None:
    folder = write(_defaults=DEFAULTS, a=f"tables:\n- {first}\n- table: Good\n", b=f"# b\ntables:\n- {second}\n")
    one, other = other_line
    assert [table.name for table in load_tables(folder, on_error="collect").tables] == ["Good"]
    remedy = "Remedy: give one of them another 'name'"
    assert messages(folder) == [
        f"tables/a.yaml:2:10: table '{one}' would share {shared} with table '{other}' in tables/b.yaml:3. {remedy}",
        f"tables/b.yaml:3:10: table '{other}' would share {shared} with table '{one}' in tables/a.yaml:2. {remedy}",
    ]


def test_a_name_ends_the_collision(write: Write) -> None:
    folder = write(_defaults=DEFAULTS, a="tables:\n- table: Aaa\n- table: Aaa\n  name: other\n")
    assert [table.dag_id for table in load_tables(folder)] == ["ddb_export__Aaa", "ddb_export__other"]


def test_files_that_cannot_be_read(write: Write) -> None:
    folder = write(b=TABLE)
    (folder / "a.yaml").write_bytes(b"table: Flights\nname: \xff\n")
    (folder / "c.yaml").symlink_to("nowhere")
    assert messages(folder) == [
        "tables/a.yaml:2:1: the file is not UTF-8 text. Remedy: save it as UTF-8",
        (
            "tables/c.yaml:1:1: the file cannot be read (No such file or directory). Remedy: check that it exists and may"
            " be read"
        ),
    ]


def test_a_folder_that_is_not_there() -> None:
    message = (
        "folder nowhere: cannot be read (No such file or directory). Remedy: create the folder, or set"
        " DDB_EXPORT_TABLES_DIR to the folder of your tables"
    )
    with pytest.raises(ConfigurationError) as caught:
        load_tables(Path("nowhere"))
    assert str(caught.value) == message
    tables, (error,) = load_tables(Path("nowhere"), on_error="collect")
    assert (tables, str(error)) == ((), message)


def test_aliases_that_multiply_are_read_once(write: Write) -> None:
    lines = ["x-a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"x-a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 15)]
    begun = time.perf_counter()
    assert load_tables(write(a="\n".join([*lines, "tables: []", ""]))) == ()
    assert time.perf_counter() - begun < 5


def test_errors_survive_a_process_boundary(write: Write) -> None:
    with pytest.raises(InvalidFileError) as caught:
        load_tables(write(a="table: ab\nretries: -1\n"))
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.errors) == (str(caught.value), caught.value.errors)


def test_the_sample_is_a_table(write: Write) -> None:
    sample = Path(__file__).parents[2] / "dags" / "tables" / "example.yaml.sample"
    (table,) = load_tables(write(example=sample.read_text(encoding="utf-8")))
    assert table.dag_id == "ddb_export__Flights"


def test_configuration_imports_neither_airflow_nor_aws() -> None:
    code = (
        "import json, sys, time; begun = time.perf_counter(); import ddb_export.config.loader;"
        " print(json.dumps([time.perf_counter() - begun, sorted({name.split('.')[0] for name in sys.modules})]))"
    )
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    seconds, modules = json.loads(output)
    print(f"import of the loader: {seconds * 1000:.0f} ms")
    assert not {"airflow", "boto3", "botocore", "pyarrow", "pendulum", "orjson"} & set(modules)


def test_five_hundred_tables(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write(**{f"table{number}": TABLE.replace("Flights", f"Table{number}") for number in range(500)})
    begun = time.process_time()
    tables = load_tables(folder)
    with capsys.disabled():
        print(f"\n500 tables in 500 files: {time.process_time() - begun:.2f} s of CPU")
    assert len(tables) == 500
