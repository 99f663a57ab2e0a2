"""``ddb-export prune``: files that no reader is shown any more, and, on request, deleting them."""

from __future__ import annotations

import argparse
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ddb_export.cli.clients import client_of
from ddb_export.cli.command import Command
from ddb_export.cli.console import Console, count, readable_bytes
from ddb_export.cli.tables import NamedTable, add_table_arguments, named_table, owned_ledger
from ddb_export.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ddb_export.pipeline.older_generations import OlderGeneration, OlderGenerations

EMPTY_DOCUMENT: dict[str, Any] = {
    "ok": False,
    "table": None,
    "deleted": False,
    "generations": [],
    "pointed_at": [],
    "files": None,
    "bytes": None,
    "errors": [],
}

_MOST_LINES = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``prune``."""
    add_table_arguments(parser)
    parser.add_argument("--delete", action="store_true", help="delete them; else they are only named")
    parser.add_argument(
        "--hours",
        type=float,
        default=24.0,
        metavar="N",
        help="only what was replaced at least so long ago: queries that began before read on (default: 24)",
    )


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Name what is older, and delete it if that was asked for."""
    if not 0 <= arguments.hours < 1_000_000:
        raise UsageError("--hours", f"{arguments.hours} is no stretch of time", "write 0 or more")
    table = named_table(arguments)
    older = _older_generations(arguments, table)
    looked = older.find(table.store.now(), timedelta(hours=arguments.hours))
    found: Sequence[OlderGeneration] = looked.generations
    pointed_at = looked.pointed_at
    if arguments.delete:
        advance = console.phase("delete", len(found))
        told = 0

        def step(done: int, _of: int) -> None:
            nonlocal told
            advance(done - told, 0)
            told = done

        kept = older.delete(found, step)
        found = [each for each in found if each not in kept]
        pointed_at += tuple(each.folder for each in kept)
    document = {
        **EMPTY_DOCUMENT,
        "ok": True,
        "table": table.lake.name,
        "deleted": arguments.delete,
        "generations": [
            {
                "partition": each.partition,
                "generation": each.generation,
                "export": each.export,
                "files": len(each.keys),
                "bytes": each.size,
            }
            for each in found
        ],
        "pointed_at": list(pointed_at),
        "files": sum(len(each.keys) for each in found),
        "bytes": sum(each.size for each in found),
    }
    return console.result(document, _lines(document, found))


def _older_generations(arguments: argparse.Namespace, table: NamedTable) -> OlderGenerations:
    from ddb_export.aws.glue import GlueGateway
    from ddb_export.pipeline.older_generations import OlderGenerations

    ledger, owner = owned_ledger(table)
    client = client_of(arguments, "glue", owner.table_arn.split(":")[3])
    return OlderGenerations(ledger, table.store, GlueGateway(client))


def _lines(document: dict[str, Any], found: Sequence[OlderGeneration]) -> list[str]:
    name = document["table"]
    pointed_at = [
        f"  {folder}: older by the ledger, but Glue or _live.json points at it; it stays"
        for folder in document["pointed_at"]
    ]
    if len(pointed_at) > _MOST_LINES:
        pointed_at[_MOST_LINES:] = [f"  {len(pointed_at) - _MOST_LINES} more that are pointed at; --json has them all"]
    if not found:
        return [f"{name}: no older generation", *pointed_at]
    what = f"{count(len(found), 'older generation')}, {count(document['files'], 'file')}, {readable_bytes(document['bytes'])}"
    report = [f"{name}: {what}{' deleted' if document['deleted'] else ''}"]
    report += [f"  {each.partition}/{each.generation}: {count(len(each.keys), 'file')}" for each in found[:_MOST_LINES]]
    if len(found) > _MOST_LINES:
        report.append(f"  {len(found) - _MOST_LINES} more; --json has them all")
    report += pointed_at
    if not document["deleted"]:
        report.append(f"next: ddb-export prune {name} --delete deletes them; no reader is shown them")
    return report


COMMAND = Command(
    name="prune",
    summary="name or delete files that no reader is shown any more",
    description=(
        "Name the generations of snapshots and changes that others have taken the place\n"
        "of (a widening, another contract, a later attempt, a compaction), and delete\n"
        "them with --delete, their quarantine too. Raw exports and the ledger stay."
    ),
    example="ddb-export prune orders\n  ddb-export prune orders --delete --hours 0",
    add_arguments=add_arguments,
    run=run,
    empty_document=EMPTY_DOCUMENT,
)
