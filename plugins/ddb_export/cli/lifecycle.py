"""``ddb-export lifecycle``: which raw exports may go or move to a cheaper class, and, on request, doing it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ddb_export.cli.clients import client_of
from ddb_export.cli.command import Command
from ddb_export.cli.console import Console, count, readable_bytes
from ddb_export.cli.tables import NamedTable, add_table_arguments, declared_table, named_table
from ddb_export.exceptions import UsageError

if TYPE_CHECKING:
    from ddb_export.domain.retention import Verdict
    from ddb_export.pipeline.retention import Applied, RawRetention, RetentionPlan

EMPTY_DOCUMENT: dict[str, Any] = {
    "ok": False,
    "table": None,
    "applied": False,
    "rule_applied": None,
    "delete": None,
    "tier": None,
    "tag": None,
    "stay": None,
    "gone": None,
    "exports": [],
    "others": {},
    "rule": None,
    "errors": [],
}

_MOST_LINES = 20
_LOST = (
    "without data files the published ones cannot be made again: no widening, no other contract, no further output,"
    " no clearing of scan and convert"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``lifecycle``."""
    add_table_arguments(parser)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--plan", action="store_true", help="say what would be done; the default")
    what.add_argument("--apply", action="store_true", help="tag and delete raw data files as the plan says")
    parser.add_argument(
        "--apply-rules",
        action="store_true",
        help="set the table's own lifecycle rule in the bucket; all other rules stay",
    )


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Plan, and do what was asked for."""
    from ddb_export.domain.retention import Fate

    if arguments.plan and arguments.apply_rules:
        raise UsageError("--plan", "it changes nothing, and --apply-rules does", "leave one of the two out")
    table = named_table(arguments)
    retention = _retention(arguments, table)
    plan = retention.plan()
    done, changed = None, None
    if arguments.apply:
        advance = console.phase("delete", len(plan.of(Fate.DELETE)))
        done = retention.apply(plan, advance)
    if arguments.apply_rules:
        changed = retention.apply_rule(plan)
    document = _document(plan, done, table.lake.name, changed=changed)
    return console.result(document, lines(document))


def _retention(arguments: argparse.Namespace, table: NamedTable) -> RawRetention:
    from ddb_export.aws.object_lifecycle import ObjectLifecycle
    from ddb_export.pipeline.ledger import Ledger
    from ddb_export.pipeline.retention import RawRetention

    configured = table.configuration
    if configured is None:
        raise UsageError(
            arguments.table, "a lake's URI does not say what is to be kept", "name the table as it is configured"
        )
    return RawRetention(
        Ledger(table.store, table.lake),
        ObjectLifecycle(client_of(arguments, "s3"), configured.bucket, configured.bucket_owner),
        configured.retention.retention,
        configured.outputs,
        configured.contract.contract,
        declared=declared_table(configured),
    )


def _document(plan: RetentionPlan, done: Applied | None, name: str, *, changed: bool | None) -> dict[str, Any]:
    from ddb_export.domain.retention import Fate

    failed = done.failed if done else {}
    return {
        **EMPTY_DOCUMENT,
        "ok": not failed,
        "table": name,
        "applied": done is not None,
        "rule_applied": changed,
        "delete": _sum(plan.of(Fate.DELETE)),
        "tier": _sum(plan.of(Fate.TIER)),
        "tag": _sum(plan.to_tag),
        "stay": _sum(plan.of(Fate.STAY)),
        "gone": _sum(plan.of(Fate.GONE)),
        "exports": [verdict.to_json() for verdict in plan.verdicts],
        "others": dict(plan.others),
        "rule": plan.rule,
        "errors": [{"file": error.thing, "cause": error.cause, "remedy": error.remedy} for error in failed.values()],
    }


def _sum(verdicts: Sequence[Verdict]) -> dict[str, int]:
    return {
        "exports": len(verdicts),
        "files": sum(each.entry.files for each in verdicts),
        "bytes": sum(each.entry.bytes_read for each in verdicts),
    }


def lines(document: Mapping[str, Any]) -> list[str]:
    """Return a report for people."""
    by_fate: dict[str, list[Mapping[str, Any]]] = {"delete": [], "tier": [], "stay": []}
    for each in document["exports"]:
        by_fate.setdefault(each["fate"], []).append(each)
    report = [_first_line(document)]
    for fate in ("delete", "tier"):
        report += _limited(
            [f"  {fate:<10} {each['export']}: {_size(each)}; {each['reason']}" for each in by_fate[fate]]
        )
    if document["tag"]["exports"]:
        tags = sorted({f"{name}={value}" for each in document["exports"] for name, value in each["tags"].items()})
        report.append(f"  tag        {count(document['tag']['exports'], 'export')}: {', '.join(tags)}")
    report += _limited([f"  stays      {line}" for line in _reasons(by_fate["stay"])])
    if document["gone"]["exports"]:
        report.append(f"  gone       {count(document['gone']['exports'], 'export')}, {_size(document['gone'])}")
    report += _limited([f"  untouched  raw/{name}: {reason}" for name, reason in document["others"].items()])
    if by_fate["delete"]:
        report.append(f"  lost       {_LOST}")
    return [*report, *_rule(document)]


def _first_line(document: Mapping[str, Any]) -> str:
    delete, tier = document["delete"], document["tier"]
    what = (
        f"{count(delete['exports'], 'raw export')} to delete, {_size(delete)}; {tier['exports']} to tier, {_size(tier)}"
    )
    if document["applied"]:
        state = f"{len(document['errors'])} FAILED, --apply goes on" if document["errors"] else "done"
    else:
        state = (
            "nothing is done yet (--apply does it)"
            if delete["exports"] or document["tag"]["exports"]
            else "nothing to do"
        )
    return f"{document['table']}: {what}: {state}"


def _reasons(stay: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line for each reason, with the exports that it holds for."""
    found: dict[str, list[str]] = {}
    for each in stay:
        found.setdefault(each["reason"], []).append(each["export"])
    shown = {
        reason: names[0] if len(names) == 1 else f"{len(names)} exports, {names[0]} to {names[-1]}"
        for reason, names in found.items()
    }
    return [f"{names}: {reason}" for reason, names in shown.items()]


def _rule(document: Mapping[str, Any]) -> list[str]:
    if document["rule_applied"] is not None:
        return [
            f"  rule       {'set' if document['rule_applied'] else 'as it should be'}; all other rules of the bucket stay"
        ]
    if document["rule"] is None:
        return []
    text = json.dumps(document["rule"], indent=2).splitlines()
    return [
        "  rule       of the bucket, which moves what is tagged (--apply-rules sets it):",
        *(f"    {line}" for line in text),
    ]


def _size(sizes: Mapping[str, Any]) -> str:
    return f"{count(sizes['files'], 'file')}, {readable_bytes(sizes['bytes'])}"


def _limited(found: list[str]) -> list[str]:
    more = len(found) - _MOST_LINES
    return found if more <= 0 else [*found[:_MOST_LINES], f"  {'…':<10} {more} more; --json has them all"]


COMMAND = Command(
    name="lifecycle",
    summary="plan and apply how long raw exports are kept, and where",
    description=(
        "Say which raw exports may go, by the table's retention: never one whose outputs\n"
        "are not all published, whole and exact. Nothing is done without --apply or\n"
        "--apply-rules. The DynamoDB table, the ledger, manifests and outputs stay.\n"
        "Exit 0: planned or done. 1: something of it failed; the same call goes on."
    ),
    example="ddb-export lifecycle orders\n  ddb-export lifecycle orders --apply\n  ddb-export lifecycle orders --apply-rules",
    add_arguments=add_arguments,
    run=run,
    empty_document=EMPTY_DOCUMENT,
)
