"""``ddb-export verify``: whether an export is whole and unchanged."""

from __future__ import annotations

import argparse
from typing import Any

from ddb_export.cli.arguments import add_aws_arguments
from ddb_export.cli.command import Command
from ddb_export.cli.console import Console, count, error_line, readable_bytes
from ddb_export.cli.places import Places

_PROBLEMS_SHOWN = 20

EMPTY_DOCUMENT: dict[str, Any] = {
    "ok": False,
    "export_arn": None,
    "export_type": None,
    "table_arn": None,
    "table_id": None,
    "export_time": None,
    "from": None,
    "to": None,
    "files": None,
    "items": None,
    "bytes": None,
    "level": None,
    "manifest_md5": None,
    "errors": [],
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``verify``."""
    add_source_argument(parser)
    parser.add_argument(
        "--level",
        choices=("bytes", "manifest"),
        default="bytes",
        help="bytes (default): read every data file; manifest: only manifests, and sizes and ETags from a listing",
    )
    add_aws_arguments(parser)


def add_source_argument(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names the export."""
    parser.add_argument(
        "uri",
        metavar="URI",
        help="a manifest-summary.json, its folder, or a folder that holds exactly one export; s3:// or local",
    )


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Verify and print the report."""
    from ddb_export.domain.manifest import EXPORTS_FOLDER
    from ddb_export.pipeline.location import locate_export
    from ddb_export.pipeline.retention_records import removal_beside
    from ddb_export.pipeline.verification import VerificationLevel, read_manifests, verify_export

    store, path = Places(arguments).open(arguments.uri)
    location = locate_export(store, path)
    manifests = read_manifests(store, location)
    report = verify_export(
        store,
        manifests,
        level=VerificationLevel(arguments.level),
        progress=console.phase("verify", len(manifests.files)),
    )
    document = report.to_json()
    raw_folder, below, _ = location.folder.rpartition(f"/{EXPORTS_FOLDER}/")
    if not report.ok and below and (removal := removal_beside(store, raw_folder)):
        remedy = "look at what is published: ddb-export gaps; restore the files only if you need them again"
        document["errors"].insert(0, {"file": store.uri(raw_folder), "cause": removal.words, "remedy": remedy})
    return console.result(document, lines(document))


def lines(document: dict[str, Any]) -> list[str]:
    """Return a report for people."""
    if document["from"]:
        what = f"changes from {document['from']} to {document['to']}"
    else:
        what = f"full export as of {document['export_time']}"
    report = [
        f"{'verified' if document['ok'] else 'NOT VERIFIED'}: {document['export_arn']}",
        f"  table      {document['table_arn']} ({document['table_id']})",
        f"  content    {what}",
        f"  data       {count(document['items'], 'item')} in {count(document['files'], 'file')}, {readable_bytes(document['bytes'])}",
        f"  checked    level {document['level']}, checksums of the manifests: {document['manifest_md5']}",
    ]
    errors = document["errors"]
    report += [f"  problem    {error_line(error)}" for error in errors[:_PROBLEMS_SHOWN]]
    if len(errors) > _PROBLEMS_SHOWN:
        report.append(f"  problem    … and {len(errors) - _PROBLEMS_SHOWN} more; --json shows all")
    return report


COMMAND = Command(
    name="verify",
    summary="check an export's manifests and files against each other",
    description=(
        "Check that an export is whole and unchanged: the MD5s of its manifests, the\n"
        "sum of their counts, and of every data file its MD5 and its number of items."
    ),
    example="ddb-export verify s3://my-bucket/exports/AWSDynamoDB/01715685260608-c488b4e1",
    add_arguments=add_arguments,
    run=run,
    empty_document=EMPTY_DOCUMENT,
)
