"""Makes data files and converts them through real files, for the tests of this folder."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ddb_export.conversion.parquet import ConvertedFile, convert_data_file
from ddb_export.conversion.scan import scan_data_file
from ddb_export.domain.schema import SchemaDocument


def lines_of(records: Sequence[Any]) -> bytes:
    """JSON lines as exports write them: compact, UTF-8, with a final newline."""
    return b"".join(
        json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n" for record in records
    )


def item_lines(items: Sequence[Any]) -> bytes:
    """Lines of a full export."""
    return lines_of([{"Item": item} for item in items])


def convert(
    content: bytes,
    destination: Path,
    *,
    export_type: str = "FULL_EXPORT",
    schema: SchemaDocument | None = None,
    compress: bool = True,
    **options: Any,
) -> ConvertedFile:
    """Scan (unless a schema is given) and convert one data file."""
    data = gzip.compress(content, 1) if compress else content
    if schema is None:
        scanned = scan_data_file(io.BytesIO(data), export_type)
        schema = SchemaDocument().extend(scanned.statistics)
    return convert_data_file(
        io.BytesIO(data),
        export_type=export_type,
        schema=schema,
        table_id=options.pop("table_id", "table-id"),
        destination=destination,
        **options,
    )
