"""The policies of one table: what its role may do, and what a bucket in another account and a KMS key must say to it.

Three documents are made of a :class:`PolicySubject` and of the :class:`Grant` objects that :func:`ddb_export.domain.policy.grants` finds for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

VERSION = "2012-10-17"
USE_KEY = "UseKey"
"""Sid of what a KMS key's policy has to allow as well."""
GLUE_SOURCE = "SAR, AWS Glue: resource types catalog, database, table"

_KEY_ARN = re.compile(r"arn:[^:]+:kms:(?P<region>[^:]+):(?P<account>[^:]+):(?P<kind>key|alias)/(?P<name>.+)")


class Variant(StrEnum):
    """What a role is for.

    ``RUNS``: all that a table's DAG does. ``NO_DATA``: export, verify at level ``manifest``, keep the ledger, and never read a data file.
    ``REPLAY``: all of it except starting exports: verify, convert and publish what exists. ``LIFECYCLE``: what ``ddb-export lifecycle``
    does on request, and nothing that runs do; for a person, or a role of its own. ``PRUNE``: likewise what ``ddb-export prune`` does.
    """

    RUNS = "runs"
    NO_DATA = "no-data"
    REPLAY = "replay"
    LIFECYCLE = "lifecycle"
    PRUNE = "prune"


@dataclass(frozen=True, slots=True)
class PolicySubject:
    """One table, as far as permissions depend on it.

    :param partition: ``aws``, ``aws-cn``, ``aws-us-gov``.
    :param account: account of the table, its catalog and its role; exports of another account's table do not exist (DynamoDB, "API operations
        supported by resource-based policies").
    :param table: name of the DynamoDB table.
    :param bucket: bucket of the lake. :param bucket_account: who owns it. :param bucket_region: its region; None if it is not known, as
        from a configuration alone: a bucket's name does not say it, and an export may go to another region than the table's.
    :param folder: key prefix of the table in the bucket, without slashes at its ends.
    :param database: Glue database. :param typed_tables: ``snapshots`` and ``changes`` → Glue table, as far as the lake publishes them.
    :param raw_tables: Glue tables over the raw exports. :param views: names of the helper views, as Glue has them.
    :param partition_index: whether tables get an index of their partitions.
    :param workgroup: Athena workgroup. :param results_bucket: bucket of Athena's results.
    :param results_folder: key prefix of these results, without slashes at its ends; may be empty.
    :param kms_key: key id, ``alias/NAME``, or an ARN of either, that encrypts the exported objects; None for S3's own keys.
    :param role_arn: the role that runs the DAG; None if it is not known.
    """

    partition: str
    account: str
    region: str
    table: str
    bucket: str
    bucket_account: str
    folder: str
    database: str
    workgroup: str
    results_bucket: str
    results_folder: str
    typed_tables: Mapping[str, str] = field(default_factory=dict)
    raw_tables: tuple[str, ...] = ()
    views: tuple[str, ...] = ()
    partition_index: bool = False
    kms_key: str | None = None
    role_arn: str | None = None
    bucket_region: str | None = None

    @property
    def table_arn(self) -> str:
        """ARN of the DynamoDB table."""
        return f"arn:{self.partition}:dynamodb:{self.region}:{self.account}:table/{self.table}"

    @property
    def is_cross_account(self) -> bool:
        """Whether the bucket belongs to another account than the table."""
        return self.bucket_account != self.account

    @property
    def reads_data(self) -> bool:
        """Whether runs read what was exported; who wants raw exports registered and nothing else gets them verified at level ``manifest``."""
        return bool(self.typed_tables) or not self.raw_tables

    def lake(self, *patterns: str) -> tuple[str, ...]:
        """ARNs of objects in the table's folder; patterns may hold ``*``, which stands for slashes too."""
        return tuple(f"{self.bucket_arn}/{_literal(self.folder)}/{pattern}" for pattern in patterns)

    @property
    def bucket_arn(self) -> str:
        """ARN of the lake's bucket."""
        return f"arn:{self.partition}:s3:::{self.bucket}"

    @property
    def results_arn(self) -> str:
        """ARN of the bucket of Athena's results."""
        return f"arn:{self.partition}:s3:::{self.results_bucket}"

    @property
    def results_objects(self) -> str:
        """ARN, with a wildcard, of Athena's results."""
        folder = f"{_literal(self.results_folder)}/" if self.results_folder else ""
        return f"{self.results_arn}/{folder}*"

    def glue(self, *paths: str) -> tuple[str, ...]:
        """ARNs of things in the Data Catalog."""
        return tuple(f"arn:{self.partition}:glue:{self.region}:{self.account}:{path}" for path in paths)

    def glue_tables(self, names: Iterable[str]) -> tuple[str, ...]:
        """ARNs that a call about tables of the lake's database asks for."""
        return self.glue("catalog", f"database/{self.database}", *(f"table/{self.database}/{name}" for name in names))

    def key_grant(self, actions: tuple[str, ...], reason: str, source: str) -> Grant | None:
        """Return the use of the KMS key, None without one.

        Policies know no ARN of aliases (KMS, "Use aliases to control access to KMS keys"). S3 looks for a bare id or alias in the bucket's
        region and in the account of who writes (S3, "Specifying server-side encryption with AWS KMS"): where that region is not known, any is
        allowed. An alias is narrowed down by its condition, an id stands for one key, or a multi-region key's replicas.
        """
        if self.kms_key is None:
            return None
        found = _KEY_ARN.fullmatch(self.kms_key)
        region, account = (found["region"], found["account"]) if found else (self.bucket_region or "*", self.account)
        if found:
            alias, name = (f"alias/{found['name']}", "*") if found["kind"] == "alias" else (None, found["name"])
        else:
            alias, name = (self.kms_key, "*") if self.kms_key.startswith("alias/") else (None, self.kms_key)
        return Grant(
            USE_KEY,
            actions,
            (f"arn:{self.partition}:kms:{region}:{account}:key/{name}",),
            reason,
            source,
            unseen=frozenset(actions),
            conditions={"ForAnyValue:StringEquals": {"kms:ResourceAliases": alias}} if alias else {},
        )


@dataclass(frozen=True, slots=True)
class Grant:
    """One statement, and why it is there.

    :param sid: letters and digits. :param reason: what fails without it, in words. :param source: where AWS says so.
    :param unseen: actions that no record of our calls shows, because AWS does them in the caller's name or only when something breaks.
    :param conditions: the statement's Condition. :param denies: whether this takes away instead.
    """

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    reason: str
    source: str
    unseen: frozenset[str] = frozenset()
    conditions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    denies: bool = False

    def statement(self) -> dict[str, Any]:
        """Return the statement of a policy of a role."""
        return {
            "Sid": self.sid,
            "Effect": "Deny" if self.denies else "Allow",
            "Action": _one_or_more(self.actions),
            "Resource": _one_or_more(self.resources),
            **({"Condition": self.conditions} if self.conditions else {}),
        }

    def to_json(self) -> dict[str, Any]:
        """Return it for ``--json``, with what the statement cannot say."""
        return {
            "sid": self.sid,
            "reason": self.reason,
            "source": self.source,
            "actions": list(self.actions),
            "resources": list(self.resources),
            "unseen": sorted(self.unseen),
        }


def role_policy(granted: Sequence[Grant]) -> dict[str, Any]:
    """Return the identity-based policy of the role that runs the DAG."""
    return {"Version": VERSION, "Statement": [grant.statement() for grant in granted]}


def bucket_policy(subject: PolicySubject, granted: Sequence[Grant]) -> dict[str, Any] | None:
    """Return what the policy of a bucket in another account must say; None where the bucket needs none.

    Across accounts both sides must allow (IAM, "Cross-account policy evaluation logic").

    :raises ValueError: the role is not known.
    """
    if not subject.is_cross_account:
        return None
    principal = _principal(subject)
    mine = (subject.bucket_arn, f"{subject.bucket_arn}/")
    statements = []
    for grant in granted:
        resources = tuple(arn for arn in grant.resources if arn == mine[0] or arn.startswith(mine[1]))
        if resources and not grant.denies:
            statement = grant.statement()
            statements.append(
                {
                    "Sid": grant.sid,
                    "Effect": "Allow",
                    "Principal": principal,
                    "Action": statement["Action"],
                    "Resource": _one_or_more(resources),
                }
            )
    return {"Version": VERSION, "Statement": statements}


def key_policy(subject: PolicySubject, granted: Sequence[Grant]) -> dict[str, Any] | None:
    """Return the statement that the KMS key's policy must have too; None without a key of one's own.

    It is to be added: a key whose policy says only this has no administrator any more (KMS, "Key policies").

    :raises ValueError: the role is not known.
    """
    using = [grant for grant in granted if grant.sid == USE_KEY]
    if not using:
        return None
    statement = {
        "Sid": USE_KEY,
        "Effect": "Allow",
        "Principal": _principal(subject),
        "Action": _one_or_more(using[0].actions),
        # In a key's policy "*" is the key itself.
        "Resource": "*",
    }
    return {"Version": VERSION, "Statement": [statement]}


def _principal(subject: PolicySubject) -> dict[str, str]:
    if subject.role_arn is None:
        raise ValueError("the policy of a bucket or key names the role that it lets in")
    return {"AWS": subject.role_arn}


def _literal(text: str) -> str:
    """Return a name that IAM takes as it stands (IAM, "Policy variables", special characters): ``*`` may be part of a key."""
    return re.sub(r"[*?$]", lambda found: f"${{{found[0]}}}", text)


def _one_or_more(values: Sequence[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else list(values)
