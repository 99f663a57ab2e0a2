"""``ddb-export policy``: what AWS must allow for a table, as JSON that can be pasted; without AWS and without Airflow."""

from __future__ import annotations

import argparse
import json
import re
from typing import TYPE_CHECKING, Any

from ddb_export.cli.command import Command
from ddb_export.cli.console import Console
from ddb_export.cli.tables import add_table_arguments, named_table
from ddb_export.exceptions import UsageError

if TYPE_CHECKING:
    from ddb_export.config.model import TableConfiguration
    from ddb_export.domain.policy import PolicySubject

EMPTY_DOCUMENT: dict[str, Any] = {
    "ok": False,
    "table": None,
    "variant": None,
    "role_policy": None,
    "bucket_policy": None,
    "key_policy": None,
    "grants": [],
    "notes": [],
    "errors": [],
}

_VARIANTS = ("runs", "no-data", "replay", "lifecycle", "prune")
_DOCUMENTS = ("role", "bucket", "key")
_ROLE = re.compile(r"arn:(aws[a-z-]*):iam::([0-9]{12}):role/\S+")
_TABLE = re.compile(r"arn:([^:]+):dynamodb:[^:]+:([0-9]{12}):table/.+")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``policy``."""
    add_table_arguments(parser)
    parser.add_argument(
        "--variant",
        choices=_VARIANTS,
        default="runs",
        help="runs: all that the DAG does (default); no-data: never reads a data file; replay: starts no export;"
        " lifecycle, prune: what these commands do, nothing else",
    )
    parser.add_argument(
        "--document",
        choices=_DOCUMENTS,
        default="role",
        help="which policy is printed (default: role); bucket and key only where the table needs them",
    )
    parser.add_argument("--role-arn", metavar="ARN", help="the role that runs the DAG")


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Print one policy; with ``--json`` all of them, and the reason of each statement."""
    table = named_table(arguments).configuration
    if table is None:
        raise UsageError(
            f"table {arguments.table}", "a lake's URI does not say what its runs need", "give a configured name"
        )
    subject = subject_of(table, arguments.region, arguments.role_arn or table.role_arn)
    document = _document(table, subject, arguments.variant)
    notes = document["notes"] if not console.as_json else ()
    printed = [] if console.as_json else lines(document, arguments.document)
    for note in notes:
        console.warn(f"note: {note}")
    return console.result(document, printed)


def subject_of(table: TableConfiguration, region: str | None, role_arn: str | None) -> PolicySubject:
    """Return what a table's permissions depend on.

    :param region: region where the table's YAML names none. :param role_arn: the role that runs the DAG.
    :raises UsageError: the role is no role, belongs to another account than the table, or account or region are not known.
    """
    from ddb_export.domain.policy import PolicySubject

    partition, account = _account(table, role_arn)
    region = table.region or region
    if region is None:
        raise UsageError(
            f"table {table.name}",
            "neither its YAML nor the command names its region",
            "give --region, or the key 'region'",
        )
    bucket, _, folder = table.athena_output_location.removeprefix("s3://").partition("/")
    subject = PolicySubject(
        partition=partition,
        account=account,
        region=region,
        table=table.table_name,
        bucket=table.bucket,
        bucket_account=table.bucket_owner or account,
        folder=table.folder,
        database=table.database,
        workgroup=table.athena.workgroup,
        results_bucket=bucket,
        results_folder=folder.strip("/"),
        **_catalog_of(table),
        kms_key=table.kms_key,
        role_arn=role_arn,
    )
    if role_arn is None and (subject.is_cross_account or subject.kms_key):
        raise UsageError(
            f"table {table.name}",
            "the policy of its bucket or key has to name the role that it lets in",
            "give --role-arn, the role that runs the DAG",
        )
    return subject


def _catalog_of(table: TableConfiguration) -> dict[str, Any]:
    names = table.glue_tables
    return {
        "typed_tables": {output: names[output] for output in ("snapshots", "changes") if output in table.outputs},
        "raw_tables": tuple(names[each] for each in ("raw_snapshots", "raw_changes")) if "raw" in table.outputs else (),
        "views": tuple(names[each] for each in table.view_names) if table.views else (),
        "partition_index": table.glue.partition_index,
    }


def _account(table: TableConfiguration, role_arn: str | None) -> tuple[str, str]:
    """Return partition and account: exports of a table are started in its own account."""
    role = _ROLE.fullmatch(role_arn) if role_arn is not None else None
    if role_arn is not None and role is None:
        raise UsageError(
            f"--role-arn {role_arn}",
            "it is no role's ARN",
            "write arn:aws:iam::111122223333:role/NAME, without a session",
        )
    found = _TABLE.fullmatch(table.table)
    if found and role and found.groups() != role.groups():
        raise UsageError(
            f"--role-arn {role_arn}",
            f"it is not in account {found[2]} of the table, and DynamoDB exports no table of another account",
            "name a role of the table's account; a worker elsewhere assumes it",
        )
    known = role or found
    if known is None:
        raise UsageError(
            f"table {table.name}",
            "its account is not known",
            "give --role-arn, the role that runs the DAG, or declare the table by its ARN",
        )
    return known[1], known[2]


def _document(table: TableConfiguration, subject: PolicySubject, variant: str) -> dict[str, Any]:
    from ddb_export.domain.policy import Variant, bucket_policy, grants, key_policy, role_policy

    granted = grants(subject, Variant(variant))
    return {
        **EMPTY_DOCUMENT,
        "ok": True,
        "table": table.name,
        "variant": variant,
        "role_policy": role_policy(granted),
        "bucket_policy": bucket_policy(subject, granted),
        "key_policy": key_policy(subject, granted),
        "grants": [grant.to_json() for grant in granted],
        "notes": list(_notes(subject, variant)),
    }


def _notes(subject: PolicySubject, variant: str) -> list[str]:
    notes = []
    if subject.is_cross_account:
        notes.append(f"account {subject.bucket_account} has to add --document bucket to the policy of {subject.bucket}")
    if subject.kms_key:
        notes.append("add --document key to the key's policy; do not replace it, or nobody can manage the key")
    else:
        notes.append(
            "a KMS key of your own on the table, or as the bucket's default, needs kms:Decrypt and kms:GenerateDataKey too"
        )
    if variant == "no-data":
        notes.append(
            "verify at level manifest; scan, convert, publish and ledger rebuild read data and cannot run with this"
        )
    return notes


def lines(document: dict[str, Any], which: str) -> list[str]:
    """Return one policy as text that can be pasted.

    :param which: ``role``, ``bucket`` or ``key``.
    :raises UsageError: the table needs no such policy.
    """
    policy = document[f"{which}_policy"]
    if policy is None:
        cause, remedy = {
            "bucket": (
                "its bucket is in the table's own account",
                "use --document role; if it is not, set bucket_owner",
            ),
            "key": ("no KMS key is configured", "use --document role; if there is one, set kms_key"),
        }[which]
        raise UsageError(f"table {document['table']}", f"it needs no policy of a {which}: {cause}", remedy)
    return [json.dumps(policy, indent=2)]


COMMAND = Command(
    name="policy",
    summary="print the least that IAM, bucket and KMS key must allow for a table",
    description=(
        "Print the IAM policy of the role that runs a table's DAG: what this table's\n"
        "configuration needs and nothing more. AWS is not asked. --json has all policies\n"
        "and the reason and source of each statement."
    ),
    example=(
        "ddb-export policy orders --role-arn arn:aws:iam::111122223333:role/lake > role.json\n"
        "  ddb-export policy orders --role-arn … --document bucket\n"
        "  ddb-export policy orders --role-arn … --variant no-data"
    ),
    add_arguments=add_arguments,
    run=run,
    empty_document=EMPTY_DOCUMENT,
)
