"""Binds a table of Glue to a DuckDB view over local copies of exactly the files that it consists of.

Each file is copied to the query's folder under a name of ours, grouped with the files of the same shape, and joined with
what its partition says, so that partition keys and `"$path"` are columns. No name or path from outside reaches a
statement except as a quoted identifier or a bound value.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from local_aws.athena import json_serde
from local_aws.athena.catalog import Column, Partition, Table, value_or_null
from local_aws.athena.columns import Incompatible, coercible, conversion, literal
from local_aws.athena.errors import QueryFailed
from local_aws.athena.files import SourceFile, read_object, source_files
from local_aws.athena.hive_types import HiveType, quoted
from local_aws.athena.storage import Storage

PARQUET = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
PATH = "$path"


@dataclass
class _Group:
    """Files of one shape: the DuckDB name and type of each column by its name in lower case, and the local copies."""

    types: dict[str, tuple[str, Any]]
    local: list[str] = field(default_factory=list)
    sources: list[SourceFile] = field(default_factory=list)


@dataclass
class Binder:
    """Makes views of tables in `connection`; `scanned` counts the bytes that Athena would have charged.

    `wanted` are the lower-case names of the columns that the query mentions, None for all of them: Parquet is charged
    by the column chunks that are read, text by whole files.
    """

    connection: duckdb.DuckDBPyConnection
    storage: Storage
    folder: Path
    wanted: frozenset[str] | None
    scanned: int = 0
    _count: int = 0

    def bind(self, table: Table, partitions: list[Partition], *, with_path: bool) -> None:
        """Create the view `database.table` over the files of `partitions` (of the table's location without keys).

        Raises QueryFailed: HIVE_BAD_DATA, HIVE_PARTITION_SCHEMA_MISMATCH, NOT_SUPPORTED for a SerDe, S3's refusals.
        """
        for partition in partitions:
            _check_partition(table, partition)
        groups: dict[str, _Group] = {}
        for source in source_files(table, partitions, self.storage):
            self._add(groups, table, source)
        branches = [self._branch(table, group, with_path=with_path) for group in groups.values()]
        self._view(table, " UNION ALL BY NAME ".join(branches) or _no_rows(table, with_path=with_path))

    def bind_empty(self, table: Table, *, with_path: bool) -> None:
        """Create the view `database.table` without rows and without reading anything: its columns are all it gives."""
        self._view(table, _no_rows(table, with_path=with_path))

    def _view(self, table: Table, query: str) -> None:
        self.connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(table.database)}")
        self.connection.execute(f"CREATE OR REPLACE VIEW {quoted(table.database)}.{quoted(table.name)} AS {query}")

    def _add(self, groups: dict[str, _Group], table: Table, source: SourceFile) -> None:
        self._count += 1
        local = self.folder / f"{self._count:06}.parquet"
        body = read_object(self.storage, source.uri)
        if source.place.serde in json_serde.SERDES:
            json_serde.to_parquet(body, source, table.place.columns, local)
            self.scanned += len(body)
        elif source.place.serde == PARQUET:
            local.write_bytes(body)
            self.scanned += self._charged(local, source.uri)
        else:
            raise QueryFailed("NOT_SUPPORTED", f"The lab reads Parquet and JSON, not the SerDe '{source.place.serde}'")
        types = self._types(local, source.uri)
        signature = json.dumps([[name, found[0], str(found[1])] for name, found in types.items()])
        group = groups.setdefault(signature, _Group(types))
        group.local.append(str(local))
        group.sources.append(source)

    def _charged(self, local: Path, uri: str) -> int:
        try:
            footer = pq.read_metadata(local)
        except (pa.ArrowInvalid, OSError) as error:
            raise _not_parquet(uri) from error
        total = 0
        for index in range(footer.num_row_groups):
            group = footer.row_group(index)
            for chunk in (group.column(number) for number in range(group.num_columns)):
                if self.wanted is None or chunk.path_in_schema.split(".")[0].lower() in self.wanted:
                    total += chunk.total_compressed_size
        return total

    def _types(self, local: Path, uri: str) -> dict[str, tuple[str, Any]]:
        try:
            relation = self.connection.from_parquet(str(local))
        except duckdb.Error as error:
            raise _not_parquet(uri) from error
        types: dict[str, tuple[str, Any]] = {}
        for name, file_type in zip(relation.columns, relation.types, strict=True):
            types.setdefault(name.lower(), (name, file_type))
        return types

    def _branch(self, table: Table, group: _Group, *, with_path: bool) -> str:
        self._count += 1
        mapping = f"_lab_files_{self._count}"
        self._create_mapping(mapping, table, group)
        chosen = [f"{_read(column, group)} AS {quoted(column.name)}" for column in table.place.columns]
        chosen += [f"m.{quoted(f'key_{index}')} AS {quoted(key.name)}" for index, key in enumerate(table.keys)]
        if with_path:
            chosen.append(f"m.uri AS {quoted(PATH)}")
        paths = ", ".join(literal(path) for path in group.local)
        # The copies' names hold digits only; the join column cannot collide with one of the file.
        scan = f"read_parquet([{paths}], filename='_lab_file', union_by_name=false, hive_partitioning=false)"
        return f"SELECT {', '.join(chosen)} FROM {scan} AS f JOIN {mapping} AS m ON f._lab_file = m.local"

    def _create_mapping(self, name: str, table: Table, group: _Group) -> None:
        columns: dict[str, list[str | None]] = {
            "local": list(group.local),
            "uri": [source.uri for source in group.sources],
        }
        for index in range(len(table.keys)):
            columns[f"key_{index}"] = [value_or_null(source.values[index]) for source in group.sources]
        create_key_table(self.connection, name, columns, table.keys)


def create_key_table(
    connection: duckdb.DuckDBPyConnection, name: str, columns: dict[str, list[str | None]], keys: tuple[Column, ...]
) -> None:
    """Create a table `name` of the text `columns`, those called `key_{i}` in the type of the i-th of `keys`.

    Raises QueryFailed if a value does not fit its key's type.
    """
    given = pa.table({column: pa.array(values, pa.string()) for column, values in columns.items()})
    chosen = [quoted(column) for column in columns if not column.startswith("key_")]
    chosen += [f"CAST(key_{index} AS {key.type.duckdb}) AS key_{index}" for index, key in enumerate(keys)]
    connection.register("_lab_given", given)
    try:
        connection.execute(f"CREATE TEMP TABLE {quoted(name)} AS SELECT {', '.join(chosen)} FROM _lab_given")
    except duckdb.ConversionException as error:
        kinds = ", ".join(f"{key.name} {key.type.text}" for key in keys)
        raise QueryFailed("HIVE_INVALID_PARTITION_VALUE", f"Invalid partition value for the keys {kinds}") from error
    finally:
        connection.unregister("_lab_given")


def _read(column: Column, group: _Group) -> str:
    found = group.types.get(column.name)
    if found is None:
        return f"CAST(NULL AS {column.type.duckdb})"
    name, file_type = found
    try:
        return conversion(f"f.{quoted(name)}", file_type, column.type)
    except Incompatible as error:
        raise QueryFailed(
            "HIVE_BAD_DATA",
            f"Field {column.name}'s type {error} in parquet file {group.sources[0].uri} is incompatible with type"
            f" {column.type.text} defined in table schema",
        ) from error


def _no_rows(table: Table, *, with_path: bool) -> str:
    columns: list[tuple[str, HiveType]] = [(column.name, column.type) for column in (*table.place.columns, *table.keys)]
    chosen = [f"CAST(NULL AS {declared.duckdb}) AS {quoted(name)}" for name, declared in columns]
    if with_path:
        chosen.append(f"CAST(NULL AS VARCHAR) AS {quoted(PATH)}")
    return f"SELECT {', '.join(chosen)} WHERE false"


def _check_partition(table: Table, partition: Partition) -> None:
    declared = {column.name: column.type for column in table.place.columns}
    for column in partition.place.columns:
        expected = declared.get(column.name)
        if expected is None or coercible(column.type, expected):
            continue
        label = "/".join(f"{key.name}={text}" for key, text in zip(table.keys, partition.values, strict=True))
        raise QueryFailed(
            "HIVE_PARTITION_SCHEMA_MISMATCH",
            "There is a mismatch between the table and partition schemas. The types are incompatible and cannot be"
            f" coerced. The column '{column.name}' in table '{table.database}.{table.name}' is declared as type"
            f" '{expected.text}', but partition '{label}' declared column '{column.name}' as type '{column.type.text}'.",
        )


def _not_parquet(uri: str) -> QueryFailed:
    return QueryFailed("HIVE_BAD_DATA", f"Not valid Parquet file: {uri} expected magic number: PAR1")
