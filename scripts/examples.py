"""Writes the tables of ``docs/items-to-columns.md``: each example is converted, and its Parquet file shown (``make examples``).

A section (``## ``) is a table of its own. Its code blocks follow each other in time: ``json`` is an export (``json NEW_IMAGE`` one of that view), ``yaml``
a contract that holds from then on, ``sh`` a ``ddb-export widen``, after which all exports of the section are shown again, with the wider columns.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import shlex
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from ddb_export.config.contract import ContractConfiguration
from ddb_export.conversion.parquet import convert_data_file
from ddb_export.conversion.scan import scan_data_file
from ddb_export.domain.contract import Contract
from ddb_export.domain.overflow import OverflowLine, overflow_reasons
from ddb_export.domain.schema import SchemaDocument, glue_columns
from ddb_export.domain.statistics import ExportStatistics
from ddb_export.domain.widening import Widening
from ddb_export.domain.wider_columns import Wish, decide
from ddb_export.exceptions import ConversionError

PAGE = Path(__file__).parents[1] / "docs" / "items-to-columns.md"
TTL_ATTRIBUTE = "expires"
KEY = b"example"
_BLOCK = re.compile(
    r"```(?P<kind>json|yaml|sh)(?: (?P<view>NEW_IMAGE))?\n(?P<content>.*?)```\n"
    r"(?:\n\|[^\n]*\n(?:\|[^\n]*\n)+)?(?:\nIn quarantine: [^\n]*\n)?(?:\nFails: [^\n]*\n)?",
    re.DOTALL,
)


def written(page: str) -> str:
    """Return the page with its tables made anew."""
    sections = re.split(r"(?m)^(?=## )", page)
    return "".join("".join(_section(each)) for each in sections)


def _section(text: str) -> Iterator[str]:
    table, position = _Table(), 0
    for block in _BLOCK.finditer(text):
        yield text[position : block.start()]
        view = f" {block['view']}" if block["view"] else ""
        shown = table.show(block["kind"], block["view"], block["content"])
        yield f"```{block['kind']}{view}\n{block['content']}```\n" + (f"\n{shown}" if shown else "")
        position = block.end()
    yield text[position:]


class _Table:
    """A table through the blocks of its section."""

    def __init__(self) -> None:
        self._schema = SchemaDocument()
        self._contract = Contract()
        self._exports: list[tuple[str, str | None]] = []

    def show(self, kind: str, view: str | None, content: str) -> str:
        """Do what a block says, and return what follows it."""
        if kind == "yaml":
            declared = ContractConfiguration.declare(yaml.safe_load(content)["contract"]).contract
            self._contract = replace(declared, key=KEY)
            return ""
        if kind == "sh":
            self._widen(retype="--retype" in shlex.split(content))
            shown = [self._converted(*export) for export in self._exports]
            return "\n".join([shown[0], *(each.split("\n", 2)[2] for each in shown[1:])]).replace("\n\n", "\n")
        self._exports.append((content, view))
        self._schema = self._schema.extend(_statistics(content), contract=self._contract)
        return self._converted(content, view)

    def _widen(self, *, retype: bool) -> None:
        lines = []
        for content, view in self._exports:
            with tempfile.TemporaryDirectory() as folder:
                overflowed = self._convert(content, view, Path(folder)).overflowed
            found = overflow_reasons(overflowed, _statistics(content), self._schema)
            columns = {column.attribute: column for column in self._schema.columns}
            lines += [OverflowLine(name, columns.get(name), reasons, ("export",)) for name, reasons in found.items()]
        merged = ExportStatistics.merge_all(_statistics(content) for content, _ in self._exports)
        decision = decide(self._schema, lines, merged, Wish(retype=retype), contract=self._contract)
        now = datetime.now(UTC)
        widening = Widening(1, self._schema.version, decision.changes, decision.added, decision.refilled, now)
        self._schema = widening.apply(self._schema)

    def _convert(self, content: str, view: str | None, folder: Path) -> Any:
        return convert_data_file(
            io.BytesIO(gzip.compress(content.encode())),
            export_type=_kind(content),
            schema=self._schema,
            table_id="",
            destination=folder / "part.parquet",
            ttl_attribute=TTL_ATTRIBUTE,
            view=view,
            quarantine_destination=folder / "quarantine.jsonl",
            file="data.json.gz",
            contract=self._contract,
        )

    def _converted(self, content: str, view: str | None) -> str:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            try:
                self._convert(content, view, folder)
            except ConversionError as error:
                return f"Fails: {error}\n"
            rows = pq.read_table(folder / "part.parquet").to_pylist()
            quarantine = folder / "quarantine.jsonl"
            kept = [json.loads(each) for each in quarantine.read_text().splitlines()] if quarantine.exists() else []
        columns = [(name, glue) for name, glue in glue_columns(self._schema, _kind(content)) if name != "_table_id"]
        table = "\n".join(_table(columns, rows)) + "\n"
        notes = [f"line {each['line']}: {each['reason']}" for each in kept]
        return table + (f"\nIn quarantine: {'; '.join(notes)}\n" if notes else "")


def _kind(content: str) -> str:
    return "FULL_EXPORT" if content.startswith('{"Item"') else "INCREMENTAL_EXPORT"


def _statistics(content: str) -> ExportStatistics:
    return scan_data_file(io.BytesIO(gzip.compress(content.encode())), _kind(content)).statistics


def _table(columns: list[tuple[str, str]], rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    yield "| " + " | ".join(f"`{name} {glue}`" for name, glue in columns) + " |"
    yield "|" + "---|" * len(columns)
    for row in rows:
        yield "| " + " | ".join(_cell(row[name]) for name, _ in columns) + " |"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return "`" + _text(value).replace("|", "\\|") + "`"


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}={_text(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_text(each) for each in value) + "]"
    if isinstance(value, bytes):
        return "bytes " + base64.b16encode(value).decode()
    if isinstance(value, Decimal):
        return format(value, "f")
    return value.isoformat() if hasattr(value, "isoformat") else str(value) if value != "" else '""'


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{PAGE.name}: written\n")
