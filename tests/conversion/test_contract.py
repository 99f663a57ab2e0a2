"""Contracts in the conversion: both paths agree, the inverse holds through real files, and what is dropped or hashed is nowhere."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ddb_export.conversion.batch import ExactBlockEncoder, RowFormat
from ddb_export.conversion.inverse import read_items, read_rows, to_old_image
from ddb_export.conversion.parquet import ConvertedFile, convert_data_file, scan_and_convert_data_file
from ddb_export.conversion.scan import scan_data_file
from ddb_export.domain.attribute_value import items_equal
from ddb_export.domain.contract import ColumnRule, Contract, OnViolation
from ddb_export.domain.export import ExportType
from ddb_export.domain.schema import SchemaDocument
from ddb_export.exceptions import ConfigurationError, ConversionError
from tests.conversion.data_files import item_lines, lines_of
from tests.conversion.dynamodb_strategies import changes, items, names, numbers, texts, values

RELAXED = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=80)
KEY = b"a key of the owner's"

scalar_types = st.one_of(
    st.sampled_from(["string", "bigint", "boolean", "binary", "decimal(38,2)", "decimal(10,4)", "decimal(38,38)"]),
)
member_names = st.sampled_from(["a", "A", "a.b", "zipCode", "ä", "back`quote", "x"])


def _struct(members: dict[str, str]) -> str:
    inner = ",".join("`" + name.replace("`", "``") + "`:" + kind for name, kind in members.items())
    return f"struct<{inner}>"


types = st.recursive(
    st.one_of(scalar_types, scalar_types.map(lambda kind: f"array<{kind}>"), st.just("timestamp")),
    lambda inner: st.dictionaries(member_names, inner, min_size=1, max_size=3).map(_struct),
    max_leaves=5,
)
epochs = st.one_of(
    st.integers(-3 * 10**9, 3 * 10**11).map(str),
    st.integers(-3 * 10**18, 3 * 10**18).map(lambda micros: f"{micros // 10**6}.{abs(micros) % 10**6:06d}"),
    st.sampled_from(
        ["0", "-2208988800", "-2208988801", "253402214400", "253402214401", "1.0000001", "1E9", "1" + "0" * 20]
    ),
)
maps = st.dictionaries(
    member_names,
    st.one_of(
        texts.map(lambda text: {"S": text}),
        st.one_of(numbers(), epochs).map(lambda number: {"N": number}),
        st.booleans().map(lambda value: {"BOOL": value}),
        st.lists(texts, max_size=3).map(lambda inner: {"L": [{"S": text} for text in inner]}),
        st.just({"NULL": True}),
        values,
    ),
    max_size=3,
)
rows = st.dictionaries(
    st.sampled_from("pqrs"),
    st.one_of(
        values,
        epochs.map(lambda number: {"N": number}),
        maps.map(lambda members: {"M": members}),
        st.lists(texts, max_size=3).map(lambda inner: {"L": [{"S": text} for text in inner]}),
        st.lists(st.booleans(), max_size=3).map(lambda inner: {"L": [{"BOOL": value} for value in inner]}),
    ),
    max_size=4,
)


few_names = st.sampled_from("pqrs")


@st.composite
def contracts(draw: st.DrawFn, attributes: st.SearchStrategy[str] = few_names) -> Contract:
    rules = []
    for attribute in sorted(draw(st.sets(attributes, max_size=4))):
        what = draw(st.sampled_from(["drop", "hash", "type", "type", "type", "name"]))
        if what == "type":
            kind = draw(types)
            unit = draw(st.sampled_from(["s", "ms", "us"])) if "timestamp" in kind else None
            rules.append(ColumnRule(attribute, kind, unit))
        elif what == "name":
            rules.append(ColumnRule(attribute, name=f"renamed_{len(rules)}"))
        else:
            rules.append(ColumnRule(attribute, drop=what == "drop", hash=what == "hash"))
    on_violation = draw(st.sampled_from([OnViolation.OVERFLOW, OnViolation.OVERFLOW, OnViolation.QUARANTINE]))
    return Contract(tuple(rules), draw(st.sampled_from([2, 1000])), on_violation, key=KEY)


def convert(
    content: bytes,
    contract: Contract,
    folder: Path,
    export_type: str = "FULL_EXPORT",
    schema: SchemaDocument | None = None,
) -> ConvertedFile:
    if schema is None:
        schema = SchemaDocument().extend(scan_data_file(io.BytesIO(content), export_type).statistics, contract=contract)
    return convert_data_file(
        io.BytesIO(content),
        export_type=export_type,
        schema=schema,
        table_id="table-id",
        destination=folder / "part.parquet",
        ttl_attribute="p",
        quarantine_destination=folder / "part.jsonl",
        contract=contract,
    )


def check(block: bytes, export_type: ExportType, contract: Contract) -> None:
    schema = SchemaDocument().extend(scan_data_file(io.BytesIO(block), export_type).statistics, contract=contract)
    row_format = RowFormat(export_type, schema.columns, "table-id", "p", contract=contract)
    expected = ExactBlockEncoder(row_format).encode(block)
    with tempfile.TemporaryDirectory() as folder:
        converted = convert(block, contract, Path(folder), export_type, schema)
        table = pq.read_table(Path(folder, "part.parquet")).replace_schema_metadata(None)
        quarantine = Path(folder, "part.jsonl")
        kept = [json.loads(line) for line in quarantine.read_text().split("\n")[:-1]] if quarantine.exists() else []
    assert table.equals(pa.Table.from_batches([expected.batch]))
    assert dict(converted.overflowed) == expected.overflowed
    assert converted.rows + converted.quarantined == converted.digest.lines == expected.lines
    assert [(line["line"] - 1, line["reason"]) for line in kept] == [each[:2] for each in expected.quarantined]


@RELAXED
@given(st.lists(rows, max_size=6), contracts())
def test_both_paths_agree_on_items(written: list[dict[str, Any]], contract: Contract) -> None:
    check(item_lines(written * 15) + b"broken\n", ExportType.FULL_EXPORT, contract)


@RELAXED
@given(st.lists(st.tuples(changes(), rows, rows), max_size=4), contracts(), contracts(names))
def test_both_paths_agree_on_changes(
    written: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]], contract: Contract, other: Contract
) -> None:
    records = []
    for record, new, old in written:
        images = {"NewImage": new, "OldImage": old}
        records.append({**record, **{name: image for name, image in images.items() if name in record}})
    check(lines_of([record for record, _, _ in written] * 15), ExportType.INCREMENTAL_EXPORT, other)
    check(lines_of(records * 15), ExportType.INCREMENTAL_EXPORT, contract)


@RELAXED
@given(st.lists(st.one_of(rows, items), max_size=6), contracts())
def test_what_is_left_of_items_survives(written: list[dict[str, Any]], contract: Contract) -> None:
    with tempfile.TemporaryDirectory() as folder:
        converted = convert(item_lines(written), contract, Path(folder))
        read = list(read_items(Path(folder, "part.parquet")))
        quarantine = Path(folder, "part.jsonl")
        moved = [json.loads(line)["line"] for line in quarantine.open()] if converted.quarantined else []
    expected = [contract.redacted(item) for number, item in enumerate(written, 1) if number not in moved]
    assert len(read) == len(expected) == converted.rows
    for before, after in zip(expected, read, strict=True):
        assert items_equal(before, after), (before, after)


@RELAXED
@given(st.lists(rows, max_size=6), contracts())
def test_a_guessed_schema_gives_the_same_file(written: list[dict[str, Any]], contract: Contract) -> None:
    content = item_lines(written)
    with tempfile.TemporaryDirectory() as folder:
        guessed = scan_and_convert_data_file(
            io.BytesIO(content),
            export_type="FULL_EXPORT",
            published=SchemaDocument(),
            table_id="table-id",
            destination=Path(folder, "guessed.parquet"),
            contract=contract,
        )
        convert(content, contract, Path(folder))
        assert guessed.schema == SchemaDocument().extend(guessed.scanned.statistics, contract=contract)
        assert Path(folder, "guessed.parquet").read_bytes() == Path(folder, "part.parquet").read_bytes()


SECRET = "jane@example.com"
DROPPED = "4111-1111"
PII = Contract((ColumnRule("card", drop=True), ColumnRule("email", hash=True)), key=KEY)


def change(number: int, **more: Any) -> dict[str, Any]:
    image = {"id": {"S": str(number)}, "email": {"S": SECRET}, "card": {"M": {"number": {"S": DROPPED}}}}
    return {
        "Metadata": {"WriteTimestampMicros": {"N": str(1768386096366933 + number)}},
        "Keys": {"id": {"S": str(number)}},
        "OldImage": image,
        "NewImage": {**image, **more},
    }


def test_dropped_and_hashed_values_are_in_no_output(tmp_path: Path) -> None:
    broken = json.dumps(change(1)).replace("NewImage", "NewImage:").encode()[:-1]
    odd = [change(2, email={"N": "5"}), change(3, email={"NULL": True}), change(4, email={"SS": [SECRET]})]
    content = lines_of([change(number) for number in range(300)] + odd) + broken + b"\n"
    converted = convert(content, PII, tmp_path, "INCREMENTAL_EXPORT")
    read = list(read_rows(tmp_path / "part.parquet"))
    text = (
        repr(read) + (tmp_path / "part.jsonl").read_text() + (tmp_path / "part.parquet").read_bytes().decode("latin-1")
    )
    for value in (SECRET, DROPPED, "number"):
        assert value not in text
    expected = hmac.digest(KEY, f'{{"S":"{SECRET}"}}'.encode(), "sha256").hex()
    contract_columns, item = read[0]
    assert item == {"id": {"S": "0"}, "email": {"S": expected}}
    assert to_old_image(contract_columns) == item
    assert read[-2][1]["email"] == {"NULL": True}
    assert (converted.rows, converted.quarantined) == (303, 1)
    assert json.loads((tmp_path / "part.jsonl").read_text()) == {
        "file": "data file",
        "line": 304,
        "reason": "the line is not JSON",
        "bytes": len(broken),
        "sha256": hashlib.sha256(broken).hexdigest(),
    }


def test_equal_values_have_equal_hashes_however_they_are_written() -> None:
    pairs: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"N": "1.50"}, {"N": "15E-1"}),
        ({"NS": ["2", "1.0"]}, {"NS": ["1", "2.0"]}),
        ({"SS": ["b", "a"]}, {"SS": ["a", "b"]}),
        ({"M": {"b": {"N": "1"}, "a": {"S": ""}}}, {"M": {"a": {"S": ""}, "b": {"N": "1.0"}}}),
    ]
    for first, second in pairs:
        assert PII.hash_of(first) == PII.hash_of(second)
    assert PII.hash_of({"S": "1"}) != PII.hash_of({"N": "1"})
    assert PII.hash_of({"S": "1"}) != PII.with_key("other").hash_of({"S": "1"})


def test_null_stays_null_on_both_paths() -> None:
    record = change(1, email={"NULL": True})
    record["OldImage"] = record["NewImage"]
    check(lines_of([record] * 200), ExportType.INCREMENTAL_EXPORT, PII)
    assert PII.redacted({"email": {"NULL": True}}) == {"email": {"NULL": True}}


@pytest.mark.parametrize("number", ["-2208988801", "253402214401", "-2208988800", "253402214400", "999999999999999999"])
def test_both_paths_agree_on_the_first_and_the_last_timestamp(number: str) -> None:
    contract = Contract((ColumnRule("p", "timestamp", "s"),))
    check(item_lines([{"p": {"N": "0"}}, {"p": {"N": number}}] * 100), ExportType.FULL_EXPORT, contract)


def test_without_a_key_nothing_is_hashed(tmp_path: Path) -> None:
    contract = PII.with_key(None)
    with pytest.raises(
        ConfigurationError, match=r"^contract: it hashes 'email', and the key is not at hand. Remedy: put a key"
    ):
        convert(lines_of([change(1)]), contract, tmp_path, "INCREMENTAL_EXPORT")
    assert KEY.decode() not in repr(PII) + json.dumps(PII.to_json())


def test_a_ttl_that_is_hashed_or_dropped_still_expires(tmp_path: Path) -> None:
    record = change(1)
    record["OldImage"]["p"] = {"N": "5"}
    for rule in (ColumnRule("p", drop=True), ColumnRule("p", hash=True)):
        convert(lines_of([record] * 200), Contract((rule,), key=KEY), tmp_path, "INCREMENTAL_EXPORT")
        assert {contract["_ttl_expired"] for contract, _ in read_rows(tmp_path / "part.parquet")} == {True}


TYPED = Contract(
    (
        ColumnRule("at", "timestamp", "ms", "created_at"),
        ColumnRule("address", "struct<zipCode:string,geo:struct<lat:decimal(38,6)>,tags:array<string>>"),
        ColumnRule("code", "string"),
        ColumnRule("flags", "array<boolean>"),
        ColumnRule("price", "decimal(10,2)"),
    )
)
ITEM = {
    "at": {"N": "1768386096366.933"},
    "address": {"M": {"zipCode": {"S": "10115"}, "geo": {"M": {"lat": {"N": "52.53"}}}, "tags": {"L": [{"S": "a"}]}}},
    "code": {"N": "007"},
    "flags": {"L": [{"BOOL": True}]},
    "price": {"N": "12.5"},
}


def test_declared_types(tmp_path: Path) -> None:
    odd: list[dict[str, Any]] = [
        {"address": {"M": {"zipCode": {"NULL": True}}}},
        {"address": {"M": {"street": {"S": "not declared"}}}},
        {"address": {"M": {}}},
        {"at": {"N": "0.0001"}},
        {"price": {"N": "123456789"}},
    ]
    convert(item_lines([ITEM] * 150 + odd), TYPED, tmp_path)
    opened = pq.ParquetFile(tmp_path / "part.parquet")
    kinds = {field.name: str(field.type) for field in opened.schema_arrow}
    assert kinds["created_at"] == "timestamp[us, tz=UTC]"
    assert kinds["price"] == "decimal128(10, 2)"
    assert kinds["code"] == "string"
    assert kinds["address"].startswith("struct<zipcode: string, geo: struct<lat: decimal128(38, 6)>, tags: list<")
    table = opened.read()
    assert table["created_at"][0].as_py() == datetime(2026, 1, 14, 10, 21, 36, 366933, UTC)
    assert table["address"][0].as_py()["geo"]["lat"].as_tuple().digits[:4] == (5, 2, 5, 3)
    overflow = [text is not None for text in table["_overflow"].to_pylist()]
    assert overflow == [False] * 150 + [True, True, False, True, True]
    footer = json.loads(opened.schema_arrow.metadata[b"ddb_export.columns"])
    assert footer["created_at"] == {"attribute": "at", "dynamodb_type": "N", "unit": "ms"}
    assert footer["address"]["members"]["zipcode"] == {"attribute": "zipCode", "dynamodb_type": "S"}
    items_read = list(read_items(tmp_path / "part.parquet"))
    assert all(items_equal(*pair) for pair in zip([ITEM] * 150 + odd, items_read, strict=True))


def test_what_violates_is_moved_or_fails_with_its_place(tmp_path: Path) -> None:
    content = item_lines([ITEM] * 3000 + [{**ITEM, "price": {"S": "free"}, "new": {"S": "x"}}] + [ITEM])
    moving = Contract(TYPED.rules, on_violation=OnViolation.QUARANTINE)
    converted = convert(content, moving, tmp_path)
    (line,) = (tmp_path / "part.jsonl").read_text().splitlines()
    assert (converted.rows, converted.quarantined, converted.overflowed) == (3001, 1, {})
    reason = "attribute 'price': the value does not fit the column price decimal(10,2)"
    assert (json.loads(line)["line"], json.loads(line)["reason"]) == (3001, reason)
    failing = Contract(TYPED.rules, on_violation=OnViolation.FAIL)
    with pytest.raises(
        ConversionError, match=r"^data file, line 3001: attribute 'price': the value does not fit .* Remedy: set "
    ):
        convert(content, failing, tmp_path)
    assert not (tmp_path / "part.parquet").exists()


def test_versions_tell_what_files_hold_and_nothing_else() -> None:
    assert Contract(column_limit=5, quarantine_limit="1%").version == ""
    assert TYPED.version == Contract(TYPED.rules, on_violation=OnViolation.FAIL).version != ""
    assert TYPED.version != Contract(TYPED.rules, on_violation=OnViolation.QUARANTINE).version
    assert PII.version != PII.with_key("another").version
    assert PII.version == Contract(PII.rules[::-1], key=KEY).version


def test_a_quarantine_limit_counts_lines_or_percent() -> None:
    for limit, lines, most in (("0", 10, 0), ("5", 10, 5), ("0.1%", 10_000, 10), ("0.1%", 9_999, 9), ("100%", 3, 3)):
        contract = Contract(quarantine_limit=limit)
        contract.require_quarantine("x", most, lines)
        with pytest.raises(ConversionError, match=rf"^x: {most + 1} of {lines} lines were quarantined, more than"):
            contract.require_quarantine("x", most + 1, lines)
    Contract().require_quarantine("x", 10, 10)
