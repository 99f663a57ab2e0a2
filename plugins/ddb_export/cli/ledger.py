"""``ddb-export ledger rebuild``: a lost ledger, written again from the raw exports."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ddb_export.cli.command import Command
from ddb_export.cli.console import Console, count
from ddb_export.cli.tables import add_table_arguments, named_table

if TYPE_CHECKING:
    from ddb_export.pipeline.rebuild import Outcome

EMPTY_DOCUMENT: dict[str, Any] = {
    "ok": False,
    "table": None,
    "table_arn": None,
    "applied": False,
    "claims": None,
    "bases": [],
    "verified": [],
    "published": [],
    "columns": None,
    "others": [],
    "notes": [],
    "errors": [],
}

UNCONFIGURED = (
    "no configuration is known, and manifests name no filter: taken for unfiltered; name the table as it is configured if it has"
    " a filter"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``ledger``."""
    parser.add_argument("action", choices=("rebuild",), metavar="rebuild", help="write the ledger again from raw/")
    add_table_arguments(parser)
    parser.add_argument("--apply", action="store_true", help="write it; without this, only say what would be written")
    parser.add_argument(
        "--level",
        choices=("bytes", "manifest"),
        default="manifest",
        help="how far raw exports are verified (default: manifest, which reads no data)",
    )
    parser.add_argument(
        "--database", metavar="NAME", help="Glue database of the table, where it is named by s3:// instead of its YAML"
    )


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Rebuild, or say what would be written."""
    from ddb_export.pipeline.rebuild import rebuild_ledger
    from ddb_export.pipeline.verification import VerificationLevel

    table = named_table(arguments)
    database = arguments.database or (table.configuration.database if table.configuration else None)
    outcome = rebuild_ledger(
        table.store,
        table.lake,
        datetime.now(UTC).replace(microsecond=0),
        apply=arguments.apply,
        level=VerificationLevel(arguments.level),
        database=database,
        bucket_owner=table.configuration.bucket_owner if table.configuration else None,
        export_filter=table.configuration.export_filter if table.configuration else None,
    )
    document = _document(outcome, table.lake.name, applied=arguments.apply)
    if table.configuration is None:
        document["notes"].append(UNCONFIGURED)
    return console.result(document, lines(document))


def _document(outcome: Outcome, name: str, *, applied: bool) -> dict[str, Any]:
    from ddb_export.domain.evidence import ClaimKind
    from ddb_export.domain.utc import iso

    claims = outcome.rebuilt.claims
    bases = [claim for claim in claims if claim.kind is ClaimKind.BASE]
    return {
        **EMPTY_DOCUMENT,
        "ok": not outcome.refused,
        "table": name,
        "table_arn": outcome.rebuilt.table_arn,
        "applied": applied,
        "claims": len(claims),
        "bases": sorted({iso(claim.request.export_time) for claim in bases if claim.request.export_time}),
        "verified": list(outcome.verified),
        "published": list(outcome.published),
        "columns": outcome.columns,
        "others": list(outcome.others),
        "notes": list(outcome.rebuilt.notes),
        "errors": [
            {"file": export, "cause": cause, "remedy": "restore its files, or export it again: from, to and re_export"}
            for export, cause in outcome.refused
        ],
    }


def lines(document: dict[str, Any]) -> list[str]:
    """Return what was done for people."""
    done = "written" if document["applied"] else "would be written (--apply writes it)"
    unverified = document["claims"] - len(document["verified"])
    report = [
        f"{document['table']}: ledger of {document['table_arn']}, {done}",
        f"  claims     {document['claims']}, bases at {', '.join(document['bases']) or 'none'}",
        f"  verified   {len(document['verified'])}; {count(unverified, 'attempt')} without a manifest that holds",
        f"  published  {len(document['published'])}, as their converted files are there and whole",
        f"  schema     {count(document['columns'], 'column')} from converted files",
    ]
    report += [f"  not ours   raw/{name}" for name in document["others"]]
    report += [f"  note       {note}" for note in document["notes"]]
    if not document["applied"]:
        return report
    return [*report, "next: ddb-export gaps shows the chain; the table's next run goes on with it"]


COMMAND = Command(
    name="ledger",
    summary="write a lost ledger again from the raw exports",
    description=(
        "ledger rebuild: verify every raw export below the table's folder, and write the\n"
        "ledger that they prove. Nothing is exported. A rebuild that was interrupted goes on.\n"
        "Exit 0: all of them hold. 1: some do not, which are left unverified."
    ),
    example="ddb-export ledger rebuild orders\n  ddb-export ledger rebuild orders --apply",
    add_arguments=add_arguments,
    run=run,
    empty_document=EMPTY_DOCUMENT,
)
