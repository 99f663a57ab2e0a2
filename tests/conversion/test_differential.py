"""The fast path and the exact path agree on every line: statistics, cells, overflow, quarantine."""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ddb_export.conversion.batch import ExactBlockEncoder, RowFormat
from ddb_export.conversion.data_file import lines_of
from ddb_export.conversion.inverse import read_items
from ddb_export.conversion.parquet import convert_data_file
from ddb_export.conversion.record import InvalidRecordError, parse_record
from ddb_export.conversion.scan import scan_data_file
from ddb_export.conversion.statistics_collector import StatisticsCollector
from ddb_export.domain.attribute_value import items_equal
from ddb_export.domain.export import ExportType, ExportViewType
from ddb_export.domain.schema import SchemaDocument
from ddb_export.domain.statistics import ExportStatistics
from tests.conversion.dynamodb_strategies import changes, items, names, values

RELAXED = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=100)

INVALID_VALUES: list[Any] = [
    *({"S": 1}, {"S": None}, {"N": "one"}, {"N": 1}, {"N": ""}, {"N": "1E126"}, {"N": "1_0"}, {"N": "-"}),
    *({"N": "٣"}, {"N": "9" * 39}, {"N": "1.2.3"}, {"N": " 1"}, {"N": "1-2"}, {"N": "+"}, {"N": "."}),
    *({"B": "?"}, {"B": "aGVsbG8"}, {"B": 1}, {"BOOL": "true"}, {"BOOL": None}, {"NULL": False}, {"NULL": None}),
    *({"SS": []}, {"SS": [1]}, {"NS": ["x"]}, {"NS": []}, {"BS": ["?"]}, {"SS": None}, {"L": {}}, {"M": []}),
    *({"L": [{}]}, {"L": [1]}, {"L": [{"S": 1}]}, {"M": {"a": {"X": "1"}}}, {"M": {"a": {"N": "1", "S": ""}}}),
    *({"L": [{"NULL": False}]}, {"L": [{"B": "?"}]}, {"M": {"a": {"SS": []}}}, {"L": [{"N": "NaN"}]}),
    *({}, {"S": "a", "N": "1"}, {"X": "a"}, None, "a", 1, [], {"S": "a", "S2": "b"}, {"L": [None]}, {"M": None}),
]
INVALID_LINES = [
    *(b"", b" ", b"{", b"[]", b"null", b"{}", b'{"Item":null}', b'{"Item":[]}', b'"x"', b"\xff\xfe", b"\xef\xbb\xbf{}"),
    *(b'{"Item":{"id":{"S":"\xff"}}}', b'{"Item":{"id":{"S":"\\ud800"}}}', b'{"Item":{"id":{"S":"a"}},}'),
    *(b'{"Item":{"id":{"S":"a"},"id":{"S":"b"}}}', b'{"Item":{"id":{"S":"a","S":"b"}}}', b'{"Item":{"x":{"N":NaN}}}'),
    b'{"Item":{"m":{"M":{"a":{"S":"1"},"a":{"S":"2"}}}}}',
    b'{"Item":{"id":{"S":"a"}},"Item":{"id":{"S":"b"}}}',
    b'{"Metadata":{"WriteTimestampMicros":{"N":"1"}},"NewImage":{"id":{"S":"a"}}}',
    b'{"Keys":{"id":{"S":"a"}},"NewImage":{"id":{"S":"a"}}}',
    b'{"Metadata":{"WriteTimestampMicros":{"N":"x"}},"Keys":{"id":{"S":"a"}}}',
    b'{"Metadata":{"WriteTimestampMicros":{"N":"1.5"}},"Keys":{"id":{"S":"a"}}}',
    b'{"Metadata":{"WriteTimestampMicros":{"N":"1"}},"Keys":{"id":{"S":"a"}},"NewImage":null}',
    b'{"Metadata":{"WriteTimestampMicros":{"N":"1"}},"Keys":{"id":{"S":"a"}},"OldImage":{"id":{"S":1}}}',
    b'{"Metadata":{"WriteTimestampMicros":{"N":"1"}},"Keys":{"id":{"S":"a"},"id":{"S":"b"}},"NewImage":{}}',
    b'{"Item":' + b'{"L":[' * 2000 + b"]}" * 2000 + b"}",
    b'{"Item":{"deep":' + b'{"L":[' * 65 + b"]}" * 65 + b"}}",
    b'{"Item":{"deep":' + b'{"L":[' * 5000 + b"]}" * 5000 + b"}}",
    # A name twice, and blanks before so many colons that the names before them are missed by who counts them.
    *(b'{"Item":{"id" :{"S" :"first"},"id":{"S":"second"}}}', b'{"Item":{"id"\t:{"S"\t:"a"},"id":{"S":"b"}}}'),
    *(b'{"Item":{"id" \r :{"S"\r:"a"},"id":{"S":"b"}}}', b'{"Item":{"id"  :{"S":"a","S":"b"}}}'),
    *(b'{"Item" :{"id" :{"S" :"a"}},"Item":{"id":{"S":"b"}}}', b'{"Item" :{"x":{"L":[{"N" :"1","N":"2"}]}}}'),
    b'{"Item" :{"x":{"M":{"a" :{"S" :"1"},"a":{"S":"2"}}}}}',
    b'{"Metadata":{"WriteTimestampMicros":{"N":"1"}},"Keys" :{"id" :{"S" :"a"}},"Keys":{"id":{"S":"b"}},"NewImage":{"id":{"S":"b"}}}',
    b'{"Metadata" :{"WriteTimestampMicros":{"N":"1","N":"2"}},"Keys":{"id":{"S":"a"}},"NewImage":{"id":{"S":"a"}}}',
    b'{"Metadata":{"WriteTimestampMicros":{"N":"1"}},"Keys":{"id":{"S":"a"}},"OldImage":{"ttl" :{"N" :"1"},"ttl":{"N":"2"}}}',
]
VALID_LINES = [
    *(b' { "Item" : { "id" : { "S" : "a b" } } } ', b'{"Item":{"id":{"S":"a"}}}\r', b'{"Item":{}}'),
    *(
        b'{"Item":{"\\u0069d":{"\\u0053":"\\u00e9\\ud83d\\ude00\\/"}}}',
        b'{"Item":{"id":{"S":"a"}},"Extra":{"x":1e999}}',
    ),
    *(b'{"Item":{"json":{"S":"{\\"a\\":\\"b\\\\\\\\\\":1}"}}}', b'{"Item":{"a\\\\":{"S":"\\\\"},"b\\":":{"S":":"}}}'),
    b'{"Item":{"m":{"M":{"a\\\\":{"N":"1.50"}, "b": {"S":"\\u001F"}}}}}',
    *(b'{"Item":{"id" :{"S":"a"}}}', b'{"Item":{"id":{"S":"a : b  : c \\" : d\\\\\\" :"}}}'),
    b'{"Metadata":{"WriteTimestampMicros":"1768386096366933","X":1},"Keys":{"id":{"S":"a"}},"OldImage":{"id":{"S":"a b, c"} }}',
    b'{"Metadata":{"WriteTimestampMicros":{"N":"1768386096366933"}},"Keys":{"id":{"S":"a"}},"OldImage":{"id":{"S":"\\u00E9\\u001F"}}}',
    b'{"Metadata":{"WriteTimestampMicros":{"N":"1768386096366933"}},"Keys":{"id":{"S":"a"}},"OldImage":{"ttl":{"N":"17"}},"NewImage":{}}',
]


def encode_json(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


broken_items = st.dictionaries(names, st.one_of(values, st.sampled_from(INVALID_VALUES)), max_size=4)
lines = st.one_of(
    items.map(lambda item: encode_json({"Item": item})),
    changes().map(encode_json),
    broken_items.map(lambda item: encode_json({"Item": item})),
    st.builds(
        lambda record, part, image: encode_json({**record, part: image}),
        changes(),
        st.sampled_from(["Keys", "OldImage", "NewImage"]),
        broken_items,
    ),
    st.sampled_from(INVALID_LINES + VALID_LINES),
    st.sampled_from(INVALID_VALUES).map(lambda value: encode_json({"Item": {"id": {"S": "x"}, "x": value}})),
)


def exact_statistics(block: bytes, export_type: ExportType) -> ExportStatistics:
    collector = StatisticsCollector()
    for line in lines_of(block):
        collector.lines += 1
        try:
            record = parse_record(line, export_type)
        except InvalidRecordError:
            continue
        collector.keys = collector.keys or frozenset(record.keys or ())
        collector.add(record.item)
    return collector.statistics()


def check(block: bytes, export_type: ExportType, view: ExportViewType | None = None) -> None:
    statistics = scan_data_file(io.BytesIO(block), export_type).statistics
    exact = exact_statistics(block, export_type)
    assert statistics.to_json() == exact.to_json()
    for schema in (SchemaDocument().extend(statistics), SchemaDocument().extend(statistics, column_limit=2)):
        row_format = RowFormat(export_type, schema.columns, "table-id", "ttl", view)
        expected = ExactBlockEncoder(row_format).encode(block)
        with tempfile.TemporaryDirectory() as folder:
            destination, quarantine = Path(folder, "part.parquet"), Path(folder, "quarantine.jsonl")
            converted = convert_data_file(
                io.BytesIO(block),
                export_type=export_type,
                schema=schema,
                table_id="table-id",
                destination=destination,
                ttl_attribute="ttl",
                view=view,
                quarantine_destination=quarantine,
            )
            table = pq.read_table(destination).replace_schema_metadata(None)
            kept = quarantine.read_text().split("\n")[:-1] if quarantine.exists() else []
        assert table.equals(pa.Table.from_batches([expected.batch]))
        assert dict(converted.overflowed) == expected.overflowed
        assert converted.quarantined == len(expected.quarantined) == len(kept)
        assert converted.rows + converted.quarantined == converted.digest.lines == expected.lines
        for text, (index, reason, _) in zip(kept, expected.quarantined, strict=True):
            document = json.loads(text)
            assert (document["line"], document["reason"]) == (index + 1, reason)


@RELAXED
@given(st.lists(lines, max_size=8), st.sampled_from(ExportType), st.sampled_from([None, *ExportViewType]))
def test_both_paths_agree(written: list[bytes], export_type: ExportType, view: ExportViewType | None) -> None:
    # The same lines again, once their shape is known to the typed decoder.
    check(b"\n".join(written * 9), export_type, view)


GOOD_LINES = {
    ExportType.FULL_EXPORT: [encode_json({"Item": {"id": {"S": str(n)}, "x": {"N": f"{n}.5"}}}) for n in range(40)],
    ExportType.INCREMENTAL_EXPORT: [
        encode_json(
            {
                "Metadata": {"WriteTimestampMicros": {"N": str(1768386096366933 + n)}},
                "Keys": {"id": {"S": str(n)}},
                "NewImage": {"id": {"S": str(n)}, "x": {"N": str(n)}, "ttl": {"N": "1"}},
                "OldImage": {"id": {"S": str(n)}, "x": {"L": [{"N": str(n)}]}, "ttl": {"N": str(n * 10**8)}},
            }
        )
        for n in range(40)
    ],
}


@pytest.mark.scenario("F16")
@pytest.mark.parametrize("line", INVALID_LINES + VALID_LINES, ids=lambda line: line[:80].decode(errors="replace"))
def test_both_paths_agree_on_one_odd_line_once_its_shape_is_known(line: bytes) -> None:
    good = GOOD_LINES[export_type := ExportType.FULL_EXPORT if b"Item" in line else ExportType.INCREMENTAL_EXPORT]
    check(b"\n".join([*good, *good, line, *good]), export_type)


@settings(RELAXED, max_examples=30)
@given(st.lists(st.sampled_from(INVALID_LINES + VALID_LINES), min_size=2, max_size=4), st.sampled_from(ExportType))
def test_what_one_odd_line_hides_another_does_not_show(odd: list[bytes], export_type: ExportType) -> None:
    good = GOOD_LINES[export_type]
    check(b"\n".join([*good, *good, *odd, *good]), export_type)


@pytest.mark.parametrize("blank", [b" ", b"\t", b" \r"])
def test_a_blank_in_one_line_hides_no_name_that_another_has_twice(blank: bytes) -> None:
    good = GOOD_LINES[ExportType.FULL_EXPORT]
    undercounted = b'{"Item":{"id":{"S"%b:"a"}}}' % blank
    twice = b'{"Item":{"id":{"S":"a","S":"b"}}}'
    check(b"\n".join([*good, *good, undercounted, twice, *good]), ExportType.FULL_EXPORT)


@pytest.mark.scenario("F16")
@pytest.mark.parametrize("export_type", list(ExportType))
def test_both_paths_agree_on_each_odd_line_between_good_ones(export_type: ExportType) -> None:
    good = [line for lines in GOOD_LINES.values() for line in lines]
    odd = [encode_json({"Item": {"id": {"S": "x"}, "x": value}}) for value in INVALID_VALUES]
    odd += [
        encode_json(
            {
                "Metadata": {"WriteTimestampMicros": {"N": "1768386096366933"}},
                "Keys": {"id": {"S": "x"}},
                "NewImage": {"id": {"S": "x"}},
                part: {"x": value},
            }
        )
        for value in INVALID_VALUES
        for part in ("Keys", "NewImage", "OldImage")
    ]
    check(b"\n".join(good + good + odd + INVALID_LINES + VALID_LINES + good), export_type)


SAMPLES: dict[str, list[Any]] = {
    "S": ["a", ""],
    "N": ["1", "2.5"],
    "B": ["AA==", ""],
    "BOOL": [True, False],
    "NULL": [True],
    "SS": [["a"], ["b", "c"]],
    "NS": [["1"], ["2", "3.5"]],
    "BS": [["AA=="], ["AQ==", ""]],
    "L": [[], [{"N": "1"}]],
    "M": [{}, {"a": {"S": "1"}}],
}


@pytest.mark.parametrize("value", [value for value in INVALID_VALUES if isinstance(value, dict)], ids=str)
def test_invalid_values_are_found_where_the_typed_decoder_expects_their_tags(value: dict[str, Any]) -> None:
    tags = [tag for tag in value if tag in SAMPLES] or ["S", "N"]
    good = [{"id": {"S": "a"}, "x": {tag: sample}} for tag in tags for sample in SAMPLES[tag]]
    lines = [encode_json({"Item": item}) for item in good * (160 // len(good))]
    check(b"\n".join([*lines, encode_json({"Item": {"id": {"S": "a"}, "x": value}}), *lines]), ExportType.FULL_EXPORT)


@pytest.mark.scenario("F20")
@pytest.mark.parametrize("scale", [0, 2, 10, 38])
@pytest.mark.parametrize("tag", ["N", "NS"])
@pytest.mark.parametrize(
    "numbers",
    [
        ["12345678901234567890123456789012345678"],
        ["1234567890123456789012345678.25", "1"],
        ["0.125", "1.5"],
        ["0.123456789012", "9999"],
        ["1E+30", "1.50"],
        ["9223372036854775808", "9223372036854775807", "-9223372036854775808", "-9223372036854775809"],
    ],
)
def test_both_paths_agree_on_numbers_that_a_published_column_may_not_hold(
    scale: int, tag: str, numbers: list[str], tmp_path: Path
) -> None:
    payloads: list[Any] = numbers if tag == "N" else [numbers[:1], numbers]
    block = b"\n".join([encode_json({"Item": {"n": {tag: payload}}}) for payload in payloads] * 80)
    for element in ("int64", "string", f"decimal128(38, {scale})"):
        kind = element if tag == "N" else f"list<{element}>"
        schema = SchemaDocument.from_json(
            {"version": 1, "columns": [{"name": "n", "attribute": "n", "dynamodb_type": tag, "arrow_type": kind}]}
        )
        expected = ExactBlockEncoder(RowFormat(ExportType.FULL_EXPORT, schema.columns, "t")).encode(block)
        destination = tmp_path / "part.parquet"
        convert_data_file(
            io.BytesIO(block), export_type="FULL_EXPORT", schema=schema, table_id="t", destination=destination
        )
        table = pq.read_table(destination).replace_schema_metadata(None)
        assert table.equals(pa.Table.from_batches([expected.batch]))
        items = [json.loads(line)["Item"] for line in block.split(b"\n")]
        assert all(items_equal(*pair) for pair in zip(items, read_items(destination), strict=True))


def test_a_value_with_two_tags_does_not_make_up_for_one_with_none() -> None:
    good = [encode_json({"Item": {"x": value}}) for value in ({"S": "a"}, {"N": "1"})] * 80
    odd = [encode_json({"Item": {"x": value}}) for value in ({"S": "a", "N": "1"}, {})]
    check(b"\n".join([*good, *odd, *good]), ExportType.FULL_EXPORT)


@pytest.mark.scenario("F20")
@pytest.mark.parametrize(
    "later", ["1.5", "1.50", "7", "-0.125", "1E-3", "1234567890123456789.5", "0." + "1" * 38, "1" * 38, "1.2.3"]
)
def test_numbers_are_measured_by_what_earlier_lines_showed(later: str) -> None:
    numbers = ["1.25", "3"] * 100 + [later] * 400 + ["0.75"] * 300
    lines = [encode_json({"Item": {"n": {"N": number}, "s": {"NS": [number]}}}) for number in numbers]
    check(b"\n".join(lines), ExportType.FULL_EXPORT)


@pytest.mark.scenario("F20")
@pytest.mark.parametrize(
    "number", ["1\n2", "1\n", "\n", "1E2", "12345678901234567890", "-0", "007", "1.", ".5", "", "NaN", "1,2"]
)
def test_one_nested_number_is_judged_by_itself(number: str) -> None:
    good = [{"l": {"L": [{"N": "1"}, {"M": {"a": {"N": "2.5"}}}]}, "m": {"M": {"a": {"N": "3"}}}}] * 100
    odd = {"l": {"L": [{"N": "1"}, {"N": number}]}, "m": {"M": {"a": {"N": number}}}}
    check(b"\n".join(encode_json({"Item": item}) for item in [*good, odd, *good]), ExportType.FULL_EXPORT)
