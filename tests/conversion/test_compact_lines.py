"""Lines that are as long as what was decoded from them hide nothing; others are looked at more closely."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ddb_export.conversion.checked import checked_runs, checked_slots
from ddb_export.conversion.compact_lines import holds_nothing_else
from ddb_export.conversion.typed_lines import LineDecoder
from ddb_export.domain.export import ExportType

ITEMS: list[dict[str, Any]] = [
    {
        "id": {"S": "a"},
        "größe": {"N": "-1.5"},
        "b": {"B": "AAE="},
        "yes": {"BOOL": True},
        "no": {"BOOL": False},
        "none": {"NULL": True},
        "words": {"SS": ["x", 'quoted " and \\ and é', ""]},
        "numbers": {"NS": ["1", "2.25"]},
        "binaries": {"BS": ["AA==", ""]},
        "list": {"L": [{"S": 'a\n"b"\\'}, {"N": "1"}, {"L": []}]},
        "map": {"M": {"x": {"S": "\t"}, "y": {"M": {}}}},
    },
    {"id": {"S": 'line\nfeed, "quotes", \\ and 東京 \b\f\r\t'}, "map": {"M": {}}},
    {"id": {"S": ""}},
]


def compact(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


LINES = {
    ExportType.FULL_EXPORT: [compact({"Item": item}) for item in ITEMS],
    ExportType.INCREMENTAL_EXPORT: [
        compact({"Metadata": {"WriteTimestampMicros": {"N": micros}}, "Keys": {"id": item["id"]}, **images})
        for item in ITEMS
        for micros in ("1", "1768386096366933")
        for images in ({"NewImage": item}, {"OldImage": item}, {"OldImage": item, "NewImage": item}, {})
    ],
}


def nothing_else(lines: list[bytes], export_type: ExportType) -> bool:
    """What is said of lines that the typed decoder takes, once it knows their shape."""
    decoder = LineDecoder(export_type)
    for _ in checked_runs(LINES[export_type] * 40, decoder):
        pass
    run = decoder.decode(lines, set())
    assert len(run.line_of_row) == len(lines)
    assert not run.images.exact
    kinds = [(images, checked_slots(images, decoder.scales)) for images in (run.images, run.keys, run.old_images)]
    return holds_nothing_else(run, kinds, lines)


@pytest.mark.parametrize("export_type", list(ExportType))
def test_compact_lines_need_no_closer_look(export_type: ExportType) -> None:
    assert nothing_else(LINES[export_type] * 2, export_type)


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        (b'"id":{"S":"a"}', b'"id":{"S":"b"},"id":{"S":"a"}'),
        (b'"id":{"S":"a"}', b'"id":{"S":"b","S":"a"}'),
        (b'"yes":{"BOOL":true}', b'"yes":{"BOOL":false},"yes":{"BOOL":true}'),
        (b'"none":{"NULL":true}', b'"none":{"NULL":true,"NULL":true}'),
        (b'"map":', b'"map": '),
        (b'"id":', b'"id" :'),
        (b'{"S":"a"}', b'{"S":"\\u0061"}'),
    ],
)
@pytest.mark.parametrize("export_type", list(ExportType))
def test_one_line_with_more_in_it_shows(export_type: ExportType, text: bytes, instead: bytes) -> None:
    lines = LINES[export_type]
    spoiled = lines[0].replace(text, instead, 1)
    assert spoiled != lines[0]
    assert not nothing_else([*lines, spoiled, *lines], export_type)
