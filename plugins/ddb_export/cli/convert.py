"""``ddb-export convert``: an export as typed Parquet."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ddb_export.cli import verify
from ddb_export.cli.arguments import add_aws_arguments
from ddb_export.cli.command import Command
from ddb_export.cli.console import Console, count, readable_bytes
from ddb_export.cli.places import Places
from ddb_export.cli.tables import HASH_KEY_VARIABLE, add_tables_argument, configured_table, contract_of
from ddb_export.domain.contract import NO_CONTRACT

if TYPE_CHECKING:
    from ddb_export.pipeline.whole_export import ConversionResult, Destination

EMPTY_DOCUMENT: dict[str, Any] = {
    **verify.EMPTY_DOCUMENT,
    "rows": None,
    "quarantined": None,
    "outputs": [],
    "columns": [],
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``convert``."""
    verify.add_source_argument(parser)
    parser.add_argument(
        "--to",
        metavar="URI",
        required=True,
        help="folder that gets snapshots/ (full export) or changes/ (incremental); s3:// or local",
    )
    parser.add_argument(
        "--ttl-attribute",
        metavar="NAME",
        help="the table's TTL attribute, for the column _ttl_expired of changes",
    )
    parser.add_argument(
        "--key",
        metavar="NAME",
        action="append",
        default=[],
        help="a key attribute of the table, which gets a column whatever the limit leaves out; can be repeated; changes tell their keys",
    )
    parser.add_argument(
        "--table",
        metavar="NAME",
        help=f"convert by this configured table's contract; the key of its hashes is read from {HASH_KEY_VARIABLE}",
    )
    add_tables_argument(parser)
    add_aws_arguments(parser)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Verify, convert, and print what was written."""
    from ddb_export.pipeline.location import locate_export
    from ddb_export.pipeline.whole_export import Destination, convert_export

    contract = NO_CONTRACT if arguments.table is None else contract_of(configured_table(arguments))
    places = Places(arguments)
    store, path = places.open(arguments.uri)
    destination = Destination(*places.open(arguments.to))
    result = convert_export(
        store,
        locate_export(store, path),
        destination,
        ttl_attribute=arguments.ttl_attribute,
        contract=contract,
        keys=arguments.key,
        phases=console.phase,
    )
    document = _document(result, destination)
    if document["quarantined"]:
        console.warn(
            f"{count(document['quarantined'], 'line')} of {arguments.uri} are no valid record and were put into quarantine/."
            " Remedy: look at the reasons there; the other lines are converted"
        )
    return console.result(document, _lines(document))


def _document(result: ConversionResult, destination: Destination) -> dict[str, Any]:
    document: dict[str, Any] = {**EMPTY_DOCUMENT, **result.report.to_json()}
    if result.published and result.schema:
        document["rows"] = result.published.rows
        document["quarantined"] = result.published.quarantined
        document["outputs"] = [
            {"path": destination.uri(path), "rows": rows, "bytes": size} for path, rows, size in result.published.files
        ]
        document["columns"] = [column.to_json() for column in result.schema.columns]
    return document


def _lines(document: dict[str, Any]) -> list[str]:
    lines = verify.lines(document)
    if not document["ok"]:
        return [*lines, "  output     none, because the export did not verify"]
    outputs = document["outputs"]
    size = readable_bytes(sum(each["bytes"] for each in outputs))
    lines.append(
        f"  output     {count(document['rows'], 'row')}, {count(len(document['columns']), 'column')}, "
        f"{count(len(outputs), 'file')}, {size}"
    )
    if document["quarantined"]:
        lines.append(f"  quarantine {document['quarantined']} lines are no valid record; see quarantine/")
    return [*lines, f"  first file {outputs[0]['path']}"]


COMMAND = Command(
    name="convert",
    summary="verify an export, then write it as typed Parquet",
    description=(
        "Verify an export as `ddb-export verify` does; if it holds, write it as typed\n"
        "Parquet, exactly: from every row the item can be rebuilt. Nothing is visible\n"
        "before all of it is. Run again it ends in the same files."
    ),
    example="ddb-export convert ./downloaded-export --to ./lake/orders",
    add_arguments=add_arguments,
    run=run,
    empty_document=EMPTY_DOCUMENT,
)
