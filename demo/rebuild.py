"""Rebuilds every live item from the lake's Parquet files alone, and holds it against a Scan of the table.

DuckDB finds the newest version of each key in the base and the changes; the exact inverse of the conversion makes an item of
each row. Which files count is said by the ``_live.json`` beside each partition's generations, as for any reader by path.

::

    python -m demo.rebuild build/demo/lake/dynamodb/flights build/demo/table.jsonl
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from ddb_export.conversion.inverse import read_columns, to_item
from ddb_export.domain.attribute_value import items_equal
from ddb_export.domain.layout import LIVE
from ddb_export.domain.schema import Column
from demo.errors import DemoError
from demo.history import KEYS

Item = Mapping[str, Any]
_ROWS = 1000
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Comparison:
    """How rebuilt items and the table differ; keys as texts.

    :param live: how many items the table has.
    """

    live: int
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    different: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether every item of the table was rebuilt, exactly, and no other."""
        return not (self.missing or self.unexpected or self.different)

    def __str__(self) -> str:
        if self.equal:
            return f"all {self.live:,} live items are rebuilt exactly from the Parquet files"
        parts = (("missing", self.missing), ("unexpected", self.unexpected), ("different", self.different))
        found = [f"{len(keys)} {word} ({', '.join(keys[:_SHOWN])} …)" for word, keys in parts if keys]
        return f"of {self.live:,} live items " + ", ".join(found)


def compare(table_folder: Path, items: Iterable[Item], keys: Sequence[str] = KEYS) -> Comparison:
    """Rebuild the live items from a table's folder and compare them with ``items``.

    :param table_folder: copy of the table's folder in the lake; holds ``snapshots/`` and ``changes/``.
    :param items: every item of the table in DynamoDB JSON.
    :param keys: the table's key attributes.
    """
    rebuilt = {_key(item, keys): item for item in rebuild(table_folder, keys)}
    live = {_key(item, keys): item for item in items}
    return Comparison(
        live=len(live),
        missing=tuple(sorted(live.keys() - rebuilt.keys())),
        unexpected=tuple(sorted(rebuilt.keys() - live.keys())),
        different=tuple(
            sorted(key for key in live.keys() & rebuilt.keys() if not items_equal(live[key], rebuilt[key]))
        ),
    )


def rebuild(table_folder: Path, keys: Sequence[str] = KEYS) -> Iterator[dict[str, Any]]:
    """Give every live item, rebuilt from the base and all changes.

    :raises DemoError: there is no base, or two files disagree about a column.
    """
    files = [*live_files(table_folder, "snapshots"), *live_files(table_folder, "changes")]
    columns = _columns(files)
    names = {column.attribute: column.name for column in columns}
    partition_by = ", ".join(f'"{names[key]}"' for key in keys)
    # A snapshot has no _written_at: it lies before every change.
    newest = f"""
        SELECT * FROM read_parquet($files, union_by_name = true, hive_partitioning = false)
        QUALIFY row_number() OVER (PARTITION BY {partition_by} ORDER BY _written_at DESC NULLS LAST) = 1
    """
    with duckdb.connect() as connection:
        found = connection.execute(newest, {"files": [str(file) for file in files]})
        header = [column[0] for column in found.description or ()]
        while rows := found.fetchmany(_ROWS):
            for values in rows:
                row = dict(zip(header, values, strict=True))
                if row.get("_op") != "REMOVE":
                    yield to_item(row, columns)


def live_files(table_folder: Path, output: str) -> list[Path]:
    """Return the Parquet files that readers of an output see.

    :param output: ``snapshots`` or ``changes``.
    :raises DemoError: nothing was published.
    """
    partitions = sorted(table_folder.joinpath(output).rglob(LIVE))
    if not partitions:
        raise DemoError(f"{table_folder / output}", f"it has no {LIVE}, so nothing is published", "run the demo")
    files = []
    for live in partitions:
        generation = live.parent / json.loads(live.read_text())["generation"]
        files += sorted(generation.glob("*.parquet"))
    return files


def read_items(file: Path) -> Iterator[dict[str, Any]]:
    """Give the items of a ``table.jsonl``."""
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _columns(files: Iterable[Path]) -> list[Column]:
    columns: dict[str, Column] = {}
    for file in files:
        for column in read_columns(file):
            if columns.setdefault(column.name, column) != column:
                raise DemoError(
                    str(file), f"its column {column.name} is {column}, elsewhere {columns[column.name]}", "report it"
                )
    return list(columns.values())


def _key(item: Item, keys: Sequence[str]) -> str:
    return json.dumps([item[key] for key in keys])


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare from the command line; the exit code is 0 if everything is equal, else 1."""
    parser = argparse.ArgumentParser(description="Rebuild live items from Parquet files and compare them with a Scan.")
    parser.add_argument("folder", type=Path, help="the table's folder, such as build/demo/lake/dynamodb/flights")
    parser.add_argument("items", type=Path, help="items in DynamoDB JSON, one a line, such as build/demo/table.jsonl")
    parser.add_argument("--key", action="append", help="key attribute; give it twice for a composite key")
    options = parser.parse_args(arguments)
    comparison = compare(options.folder, read_items(options.items), options.key or KEYS)
    print(comparison)
    return 0 if comparison.equal else 1


if __name__ == "__main__":
    sys.exit(main())
