"""``ddb-export compact``: few large files in place of many small ones, at a price that is named first."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ddb_export.cli.clients import client_of
from ddb_export.cli.command import Command
from ddb_export.cli.console import Console, count, readable_bytes
from ddb_export.cli.plan_request import read_time
from ddb_export.cli.tables import NamedTable, add_table_arguments, named_table, owned_ledger, prices_for
from ddb_export.exceptions import UsageError

if TYPE_CHECKING:
    from ddb_export.domain.compaction import CompactionEstimate
    from ddb_export.pipeline.compaction import CompactionOutcome, CompactionPlan, TableCompaction

EMPTY_DOCUMENT: dict[str, Any] = {
    "ok": False,
    "table": None,
    "planned_only": None,
    "target_bytes": None,
    "partitions": [],
    "left": [],
    "files_before": None,
    "files_after": None,
    "bytes": None,
    "requests": None,
    "usd": None,
    "basis": [],
    "errors": [],
}

_MOST_LINES = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``compact``."""
    add_table_arguments(parser)
    parser.add_argument("--plan", action="store_true", help="say what would be done and what it costs; write nothing")
    parser.add_argument("--from", dest="start", metavar="TIME", help="partitions whose data begins from here … (UTC)")
    parser.add_argument("--to", dest="end", metavar="TIME", help="… and before here (UTC)")
    parser.add_argument(
        "--target", metavar="SIZE", help="size that files are merged up to (default: as in YAML, or 128MiB)"
    )


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Plan, and unless only that was asked for, compact."""
    from ddb_export.domain.compaction import budget_error, estimate_compaction

    start, end = _time(arguments.start, "--from"), _time(arguments.end, "--to")
    if start and end and start >= end:
        raise UsageError("--to", "it is not after --from", "give a later time")
    asked = None if arguments.target is None else _size(arguments.target)
    table = named_table(arguments)
    target = asked or _target_of(table)
    compaction, arn = _compaction(arguments, table)
    plan = compaction.plan(target, start, end)
    estimated = estimate_compaction(plan.compactions, prices_for(table, arn))
    document = _document(plan, estimated, table.lake.name, target)
    if arguments.plan or plan.is_empty:
        return console.result({**document, "ok": True, "planned_only": True}, _lines(document, done=None))
    budget = table.configuration.budget.run if table.configuration else None
    if dear := budget_error(table.lake.name, estimated, budget):
        document["errors"] = [{"file": dear.thing, "cause": dear.cause, "remedy": dear.remedy}]
        return console.result({**document, "planned_only": True}, _lines(document, done=None))
    from ddb_export.pipeline.clock import clock_of

    done = compaction.run(plan, clock_of(table.store), _progress(console))
    document.update(ok=True, planned_only=False)
    changed = [{"partition": each, "reason": "others changed it meanwhile"} for each in done.left]
    document["left"] = [*document["left"], *changed]
    return console.result(document, _lines(document, done=done))


def _time(text: str | None, option: str) -> datetime | None:
    return None if text is None else read_time(text, option)


def _size(text: str) -> int:
    from ddb_export.config.sizes import ACCEPTED, format_size, parse_size
    from ddb_export.domain.compaction import LARGEST_TARGET, SMALLEST_TARGET

    try:
        size = parse_size(text)
    except ValueError:
        raise UsageError("--target", f"'{text}' is no size", f"write {ACCEPTED}") from None
    if not SMALLEST_TARGET <= size <= LARGEST_TARGET:
        limits = f"{format_size(SMALLEST_TARGET)} and {format_size(LARGEST_TARGET)}"
        raise UsageError("--target", f"{text} is not between {limits}", f"write a size between {limits}")
    return size


def _target_of(table: NamedTable) -> int:
    from ddb_export.domain.compaction import TARGET_FILE_BYTES

    return table.configuration.compaction.target_file_bytes if table.configuration else TARGET_FILE_BYTES


def _compaction(arguments: argparse.Namespace, table: NamedTable) -> tuple[TableCompaction, str]:
    from ddb_export.aws.glue import GlueGateway
    from ddb_export.pipeline.compaction import TableCompaction
    from ddb_export.pipeline.tasks import TableWork

    ledger, owner = owned_ledger(table)
    client = client_of(arguments, "glue", owner.table_arn.split(":")[3])
    return TableCompaction(TableWork(ledger, table.store), GlueGateway(client)), owner.table_arn


def _progress(console: Console) -> Callable[[int, int], None]:
    advance: Callable[[int, int], None] | None = None
    before = 0

    def step(done: int, of: int) -> None:
        nonlocal advance, before
        advance = advance or console.phase("merge", of)
        advance(done - before, 0)
        before = done

    return step


def _document(plan: CompactionPlan, estimated: CompactionEstimate, name: str, target: int) -> dict[str, Any]:
    return {
        **EMPTY_DOCUMENT,
        "table": name,
        "target_bytes": target,
        "partitions": [
            {
                "partition": each.entry.partition,
                "glue_table": each.entry.glue_table,
                "files_before": each.entry.files,
                "files_after": len(each.merges),
                "bytes": each.bytes_read,
                "generation": each.name,
                "made_from": each.made_from,
            }
            for each in plan.compactions
        ],
        "left": [{"partition": partition, "reason": reason} for partition, reason in plan.left],
        "files_before": estimated.files_before,
        "files_after": estimated.files_after,
        "bytes": estimated.bytes_read,
        "requests": estimated.reads + estimated.writes,
        "usd": f"{estimated.usd:f}",
        "basis": list(estimated.basis),
    }


def _lines(document: dict[str, Any], *, done: CompactionOutcome | None) -> list[str]:
    from ddb_export.config.sizes import format_size
    from ddb_export.domain.cost import usd

    partitions, target = document["partitions"], format_size(document["target_bytes"])
    if not partitions:
        report = [f"{document['table']}: nothing to compact; no partition would have half as many files of {target}"]
    elif done is None:
        report = [f"{document['table']}: would be compacted to files of up to {target}"]
    else:
        report = [f"{document['table']}: {count(len(done.done), 'partition')} compacted"]
    for each in partitions[:_MOST_LINES]:
        before, after = count(each["files_before"], "file"), count(each["files_after"], "file")
        report.append(f"  partition  {each['partition']}: {before} become {after}, {readable_bytes(each['bytes'])}")
    if len(partitions) > _MOST_LINES:
        report.append(f"  partition  {len(partitions) - _MOST_LINES} more; --json has them all")
    if partitions:
        files = f"{count(document['files_before'], 'file')} become {document['files_after']}"
        price = usd(Decimal(document["usd"]))
        report.append(f"  rewrite    {files}, {readable_bytes(document['bytes'])}; about {price}")
        report += [f"  basis      {line}" for line in document["basis"]]
    report += [f"  stays      {each['partition']}: {each['reason']}" for each in document["left"][:_MOST_LINES]]
    return report


COMMAND = Command(
    name="compact",
    summary="merge the many small files of partitions into few large ones",
    description=(
        "Write a new generation of partitions that consist of many small Parquet files:\n"
        "the same rows in the same order, in files of up to --target. Readers are\n"
        "switched partition by partition. Nothing is exported, and nothing is read\n"
        "from raw. Interrupted, the same command goes on."
    ),
    example="ddb-export compact orders --plan\n  ddb-export compact orders --from 2026-01-01 --to 2026-02-01",
    add_arguments=add_arguments,
    run=run,
    empty_document=EMPTY_DOCUMENT,
)
