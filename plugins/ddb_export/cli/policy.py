"""``ddb-export policy``: what AWS must allow for one table or several, as JSON that can be pasted; without AWS and without Airflow."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ddb_export.cli.arguments import add_aws_arguments
from ddb_export.cli.command import Command
from ddb_export.cli.console import Console
from ddb_export.cli.tables import add_tables_argument, configured_tables
from ddb_export.exceptions import UsageError

if TYPE_CHECKING:
    from ddb_export.config.model import TableConfiguration
    from ddb_export.domain.policy import Grant, PolicySubject

EMPTY_DOCUMENT: dict[str, Any] = {
    "ok": False,
    "table": None,
    "tables": [],
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
    parser.add_argument(
        "names", metavar="TABLE", nargs="+", help="configured names; the policy of several has what each of them needs"
    )
    add_tables_argument(parser)
    add_aws_arguments(parser)
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
    for name in arguments.names:
        if "/" in name:
            raise UsageError(f"table {name}", "a lake's URI does not say what its runs need", "give a configured name")
    tables = configured_tables(arguments.names, arguments.tables)
    role_arn = _role_of(tables, arguments.role_arn)
    regions, notes = _regions(tables, arguments)
    subjects = [subject_of(table, region, role_arn) for table, region in zip(tables, regions, strict=True)]
    document = _document([table.name for table in tables], subjects, arguments.variant, notes)
    if not console.as_json:
        _require_one_place(subjects, arguments.document)
    printed = [] if console.as_json else lines(document, arguments.document)
    for note in () if console.as_json else document["notes"]:
        console.warn(f"note: {note}")
    return console.result(document, printed)


def _role_of(tables: Sequence[TableConfiguration], role_arn: str | None) -> str | None:
    """Return the one role that runs the tables' DAGs; None if nobody names it."""
    roles = {role_arn or table.role_arn: table.name for table in tables}
    if len(roles) > 1:
        (one, name), (other, another) = list(roles.items())[:2]
        raise UsageError(
            f"tables {name} and {another}",
            f"they have different roles ({one or 'none in their YAML'}, {other or 'none in their YAML'})",
            "ask for the tables of one role at a time, or give --role-arn",
        )
    return next(iter(roles))


def _regions(tables: Sequence[TableConfiguration], arguments: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Return the region of each table, and what is to be said of it: its own, the command's, or that of this machine's clients."""
    region, notes = arguments.region, []
    nowhere = [table.name for table in tables if table.region is None]
    if nowhere and region is None:
        from ddb_export.aws.clients import configured_region

        region = configured_region(arguments.profile)
        if region is None:
            raise UsageError(
                f"table {nowhere[0]}",
                "neither its YAML, nor the command, nor the AWS configuration of this machine names its region",
                "give --region, or the key 'region'",
            )
        notes.append(f"{', '.join(nowhere)}: {region} is this machine's region; give --region if runs have another")
    return [table.region or region for table in tables], notes


def subject_of(table: TableConfiguration, region: str, role_arn: str | None) -> PolicySubject:
    """Return what a table's permissions depend on.

    :param region: the table's region. :param role_arn: the role that runs the DAG.
    :raises UsageError: the role is no role, belongs to another account than the table, or the account is not known.
    """
    from ddb_export.domain.policy import PolicySubject

    partition, account = _account(table, role_arn)
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


def _document(
    names: Sequence[str], subjects: Sequence[PolicySubject], variant: str, notes: Sequence[str]
) -> dict[str, Any]:
    from ddb_export.domain.policy import Variant, grants, role_policy
    from ddb_export.domain.policy_merging import merged, merged_bucket_policy, merged_key_policy

    _require_one_account(names, subjects)
    granted = [grants(subject, Variant(variant)) for subject in subjects]
    together = merged(granted)
    return {
        **EMPTY_DOCUMENT,
        "ok": True,
        "table": names[0] if len(names) == 1 else None,
        "tables": list(names),
        "variant": variant,
        "role_policy": role_policy(together),
        "bucket_policy": merged_bucket_policy(subjects, granted),
        "key_policy": merged_key_policy(subjects, granted),
        "grants": [grant.to_json() for grant in together],
        "notes": [*notes, *_notes(subjects, variant), *_notes_of_size(granted)],
    }


def _require_one_account(names: Sequence[str], subjects: Sequence[PolicySubject]) -> None:
    """Tables that are named by their ARNs, without a role, may be of different accounts."""
    for name, subject in zip(names, subjects, strict=True):
        if (subject.partition, subject.account) != (subjects[0].partition, subjects[0].account):
            raise UsageError(
                f"tables {names[0]} and {name}",
                f"they are in the accounts {subjects[0].account} and {subject.account}, and a role exports tables of its own",
                "ask for the tables of one account at a time",
            )


def _buckets(subjects: Sequence[PolicySubject]) -> dict[str, str]:
    """Return the buckets of other accounts, each with its account."""
    return {subject.bucket: subject.bucket_account for subject in subjects if subject.is_cross_account}


def _keys(subjects: Sequence[PolicySubject]) -> list[str]:
    return list(dict.fromkeys(subject.kms_key for subject in subjects if subject.kms_key))


def _require_one_place(subjects: Sequence[PolicySubject], which: str) -> None:
    """A bucket, or key, has its own policy, in which the tables of others have no business."""
    places = {"bucket": list(_buckets(subjects)), "key": _keys(subjects)}.get(which, [])
    if len(places) > 1:
        raise UsageError(
            f"--document {which}",
            f"the tables have several: {', '.join(places)}",
            f"ask for the tables of one {which} at a time",
        )


def _notes(subjects: Sequence[PolicySubject], variant: str) -> list[str]:
    notes = [
        f"account {account} has to add --document bucket to the policy of {bucket}"
        for bucket, account in _buckets(subjects).items()
    ]
    if _keys(subjects):
        notes.append("add --document key to the key's policy; do not replace it, or nobody can manage the key")
    if not all(subject.kms_key for subject in subjects):
        notes.append(
            "a KMS key of your own on the table, or as the bucket's default, needs kms:Decrypt and kms:GenerateDataKey too"
        )
    if variant == "no-data":
        notes.append(
            "verify at level manifest; scan, convert, publish and ledger rebuild read data and cannot run with this"
        )
    return notes


def _notes_of_size(granted: Sequence[Sequence[Grant]]) -> list[str]:
    from ddb_export.domain.policy_merging import (
        INLINE_POLICIES_CHARACTERS,
        MANAGED_POLICY_CHARACTERS,
        merged,
        most_in_one,
        size,
    )

    characters = size(merged(granted))
    if characters <= MANAGED_POLICY_CHARACTERS:
        return []
    number = most_in_one(granted, MANAGED_POLICY_CHARACTERS)
    remedy = (
        f"make one managed policy for each {number} of these {len(granted)} tables"
        if number
        else "spread its statements over several managed policies"
    )
    limits = f"{MANAGED_POLICY_CHARACTERS:,} in a managed policy and {INLINE_POLICIES_CHARACTERS:,} in all inline policies of a role together"
    return [f"the role's policy has {characters:,} characters; IAM takes {limits}: {remedy}"]


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
        raise UsageError(f"table {', '.join(document['tables'])}", f"it needs no policy of a {which}: {cause}", remedy)
    return [json.dumps(policy, indent=2)]


COMMAND = Command(
    name="policy",
    summary="print the least that IAM, bucket and KMS key must allow for tables",
    description=(
        "Print the IAM policy of the role that runs a table's DAG: what this table's\n"
        "configuration needs and nothing more; of several tables, what each of them\n"
        "needs, in one policy. AWS is not asked. --json has all policies and the reason\n"
        "and source of each statement."
    ),
    example=(
        "ddb-export policy orders --region eu-central-1 \\\n"
        "    --role-arn arn:aws:iam::111122223333:role/lake\n"
        "  ddb-export policy orders flights crews --role-arn …\n"
        "  ddb-export policy orders --role-arn … --document bucket\n"
        "  ddb-export policy orders --role-arn … --variant no-data"
    ),
    add_arguments=add_arguments,
    run=run,
    empty_document=EMPTY_DOCUMENT,
)
