"""Writes the tables of ``docs/items-to-columns.md``: each example is converted, and its Parquet file shown (``make examples``).

A section (``## ``) is a table of its own; its code blocks are exports of it, one after the other.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from ddb_export.conversion.parquet import convert_data_file
from ddb_export.conversion.scan import scan_data_file
from ddb_export.domain.schema import SchemaDocument, glue_columns

PAGE = Path(__file__).parents[1] / "docs" / "items-to-columns.md"
TTL_ATTRIBUTE = "expires"
_BLOCK = re.compile(
    r"```json\n(?P<lines>.*?)```\n(?:\n\|[^\n]*\n(?:\|[^\n]*\n)+)?(?:\nIn quarantine: [^\n]*\n)?", re.DOTALL
)


def written(page: str) -> str:
    """Return the page with its tables made anew."""
    sections = re.split(r"(?m)^(?=## )", page)
    return "".join("".join(_section(each)) for each in sections)


def _section(text: str) -> Iterator[str]:
    schema, position = SchemaDocument(), 0
    for block in _BLOCK.finditer(text):
        yield text[position : block.start()]
        schema, shown = _converted(block["lines"], schema)
        yield f"```json\n{block['lines']}```\n\n{shown}"
        position = block.end()
    yield text[position:]


def _converted(lines: str, schema: SchemaDocument) -> tuple[SchemaDocument, str]:
    kind = "FULL_EXPORT" if lines.startswith('{"Item"') else "INCREMENTAL_EXPORT"
    content = gzip.compress(lines.encode())
    schema = schema.extend(scan_data_file(io.BytesIO(content), kind).statistics)
    with tempfile.TemporaryDirectory() as folder:
        parquet, quarantine = Path(folder) / "part.parquet", Path(folder) / "quarantine.jsonl"
        convert_data_file(
            io.BytesIO(content),
            export_type=kind,
            schema=schema,
            table_id="",
            destination=parquet,
            ttl_attribute=TTL_ATTRIBUTE,
            quarantine_destination=quarantine,
            file="data.json.gz",
        )
        rows = pq.read_table(parquet).to_pylist()
        kept = quarantine.read_text().splitlines() if quarantine.exists() else []
    columns = [(name, glue) for name, glue in glue_columns(schema, kind) if name != "_table_id"]
    table = [
        "| " + " | ".join(f"`{name} {glue}`" for name, glue in columns) + " |",
        "|" + "---|" * len(columns),
        *("| " + " | ".join(_cell(row[name]) for name, _ in columns) + " |" for row in rows),
    ]
    notes = [f"line {each['line']}: {each['reason']}" for each in map(json.loads, kept)]
    return schema, "\n".join(table) + "\n" + (f"\nIn quarantine: {'; '.join(notes)}\n" if notes else "")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return "`" + _text(value).replace("|", "\\|") + "`"


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_text(each) for each in value) + "]"
    if isinstance(value, bytes):
        return "bytes " + base64.b16encode(value).decode()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return format(value, "f")
    return value.isoformat() if hasattr(value, "isoformat") else str(value) if value != "" else '""'


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{PAGE.name}: written\n")
