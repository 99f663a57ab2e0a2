"""Tables of the command line: a configured name, or the URI of a table's folder in the lake."""

from __future__ import annotations

import argparse
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from ddb_export.cli.arguments import add_aws_arguments
from ddb_export.cli.places import Places
from ddb_export.domain.layout import Lake
from ddb_export.exceptions import NotReachableError, UsageError

if TYPE_CHECKING:
    from ddb_export.aws.object_store import ObjectStore
    from ddb_export.config.model import TableConfiguration
    from ddb_export.domain.contract import Contract
    from ddb_export.domain.cost import Prices
    from ddb_export.domain.evidence import DeclaredTable, Owner
    from ddb_export.pipeline.ledger import Ledger


@dataclass(frozen=True, slots=True)
class NamedTable:
    """A table that a person named.

    :param lake: its folder. :param store: the place of the folder.
    :param configuration: what its YAML says; None if it was named by URI.
    """

    lake: Lake
    store: ObjectStore
    configuration: TableConfiguration | None


TABLES_HELP = "folder of the tables' YAML (default: DDB_EXPORT_TABLES_DIR, or dags/tables)"


def tables_folder() -> Path:
    """Return the folder of the tables' YAML where no argument names one."""
    return Path(os.environ.get("DDB_EXPORT_TABLES_DIR") or "dags/tables")


def add_table_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name one table."""
    parser.add_argument("table", metavar="TABLE", help="a configured name, or s3://bucket/prefix/name")
    add_tables_argument(parser)
    add_aws_arguments(parser)


def add_tables_argument(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names the folder of the tables' YAML."""
    parser.add_argument("--tables", metavar="DIR", type=Path, default=tables_folder(), help=TABLES_HELP)


def named_table(arguments: argparse.Namespace) -> NamedTable:
    """Return the table that the arguments name.

    :raises UsageError: no such table is configured. :raises ConfigurationError: the YAML cannot be used.
    """
    if "/" in arguments.table:
        store, path = Places(arguments).open(arguments.table)
        prefix, _, name = path.rpartition("/")
        bucket = "" if store.uri("").startswith("/") else arguments.table.split("/")[2]
        return NamedTable(Lake(bucket, prefix, name), store, None)
    return opened_table(configured_table(arguments), arguments)


def opened_table(table: TableConfiguration, arguments: argparse.Namespace) -> NamedTable:
    """Return a configured table and the place of its folder; the arguments' region and role become the table's where they name none.

    :raises ConfigurationError: its bucket cannot be looked at so.
    """
    use_place_of(table, arguments)
    store, _ = Places(arguments).open(table.lake_uri)
    return NamedTable(Lake(table.bucket, table.prefix, table.name), store, table)


def use_place_of(table: TableConfiguration, arguments: argparse.Namespace) -> None:
    """Let clients be made for a table's region and role, as its DAG has them.

    Who names a profile or a role says whose credentials are meant: the table's own role is not assumed then.
    """
    if arguments.region is None:
        arguments.region = table.region
    if arguments.profile is None and arguments.assumed_role is None:
        arguments.assumed_role = table.role_arn


def declared_table(table: TableConfiguration) -> DeclaredTable:
    """Return which DynamoDB table a configuration means: exports of a table are started by a role of its own account."""
    from ddb_export.domain.evidence import DeclaredTable

    return DeclaredTable(table.table, table.region, table.role_arn.split(":")[4] if table.role_arn else None)


def owned_ledger(table: NamedTable) -> tuple[Ledger, Owner]:
    """Return a table's ledger and whose it is.

    :raises NotReachableError: there is none. :raises OwnershipError: it is another table's than the one that is configured.
    """
    from ddb_export.pipeline.ledger import Ledger

    ledger = Ledger(table.store, table.lake)
    owner = ledger.read().owner
    if owner is None:
        raise NotReachableError(
            table.store.uri(table.lake.ledger), "there is no ledger", "check the table's bucket, prefix and name"
        )
    if table.configuration:
        owner.require_declared(declared_table(table.configuration))
    return ledger, owner


def prices_for(table: NamedTable, arn: str) -> Prices:
    """Return the prices of a table's region, with those that its configuration replaces.

    :param arn: of the DynamoDB table.
    """
    from ddb_export.domain.cost import prices_of

    return prices_of(arn.split(":")[3], table.configuration.own_prices if table.configuration else {})


HASH_KEY_VARIABLE = "DDB_EXPORT_HASH_KEY"
"""The environment variable that holds the key of a contract's hashes: on the command line everybody could see it."""


def contract_of(table: TableConfiguration) -> Contract:
    """Return a table's contract, with the key of its hashes if the environment has one."""
    return table.contract.contract.with_key(os.environ.get(HASH_KEY_VARIABLE))


def configured_table(arguments: argparse.Namespace) -> TableConfiguration:
    """Return the configuration of the table ``arguments.table`` in the folder ``arguments.tables``.

    :raises UsageError: no such table is configured. :raises ConfigurationError: the YAML cannot be used.
    """
    return configured_tables([arguments.table], arguments.tables)[0]


def configured_tables(names: Sequence[str], folder: Path) -> list[TableConfiguration]:
    """Return the configurations of tables in a folder of YAML, in the order of their names, each once.

    :raises UsageError: one of them is not configured. :raises ConfigurationError: the YAML cannot be used.
    """
    from ddb_export.config.loader import load_tables

    known = {table.name: table for table in load_tables(folder)}
    for name in names:
        if name not in known:
            raise unknown_table(name, known, folder)
    return [known[name] for name in dict.fromkeys(names)]


def unknown_table(name: str, known: Collection[str], folder: Path) -> UsageError:
    """Return the error that no YAML of a folder names a table.

    :param known: names of the tables that there are.
    """
    near = get_close_matches(name, known, n=1)
    advice = f"did you mean {near[0]}?" if near else f"configured are: {', '.join(sorted(known)) or 'none'}"
    return UsageError(f"table {name}", f"no YAML below {folder} names it", f"{advice} Or give s3://bucket/prefix/name")
