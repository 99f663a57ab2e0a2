"""The permissions that a table's runs need, resource by resource, and what is known of them.

There are two witnesses. A call that changes nothing and was answered, or refused, shows what it asked for, where it asked, and nothing else.
IAM's simulation speaks of everything, but sees the caller's own policies only: what the policy of a bucket or key allows, it takes for denied.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ddb_export.domain.doctor import Declared, Grants, KeyFacts, TableFacts
from ddb_export.domain.policy import Grant, PolicySubject, Variant, grants
from ddb_export.domain.policy_documents import USE_KEY

MAKE_DATA_KEY = "kms:GenerateDataKey"
_DATABASE_ALONE = frozenset({"glue:GetDatabase"})
"""Actions that Glue asks of catalog and database only (SAR, AWS Glue), although one statement names them with those of tables."""


@dataclass(frozen=True, slots=True)
class ActionsOn:
    """Actions on one resource.

    :param resource: its ARN, as the policy has it. :param context: condition key → values, that the policy's conditions name.
    """

    resource: str
    actions: tuple[str, ...]
    context: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def shown(self) -> tuple[str, ...]:
        """Return ``action on resource`` for each action."""
        return tuple(f"{action} on {self.resource}" for action in self.actions)


def required_grants(
    declared: Declared, table: TableFacts, bucket_region: str | None = None, key: KeyFacts | None = None
) -> Iterator[ActionsOn]:
    """Yield what the role that runs the table's DAG must be allowed to do: what ``ddb-export policy`` prints.

    :param bucket_region: region of the bucket, if it is known. :param key: the key of the exported files, if KMS described it: it then
        stands in the place of the wildcards that a policy needs for an alias, or for a region that the configuration does not say.
    """
    # Who asks for raw exports alone need not be allowed to read a data file.
    variant = Variant.NO_DATA if declared.raw_tables and not declared.typed_tables else Variant.RUNS
    for grant in grants(policy_subject(declared, table, bucket_region), variant):
        if grant.denies:
            continue
        exact = replace(grant, resources=(key.arn,)) if key and grant.sid == USE_KEY else grant
        yield from _one_by_one(exact)


def _one_by_one(grant: Grant) -> Iterator[ActionsOn]:
    context = [
        (key, tuple([value] if isinstance(value, str) else value))
        for keys in grant.conditions.values()
        for key, value in keys.items()
    ]
    for resource in grant.resources:
        foreign = _DATABASE_ALONE if ":table/" in resource else frozenset[str]()
        actions = tuple(action for action in grant.actions if action not in foreign)
        yield ActionsOn(resource, actions, tuple(context))


def policy_subject(declared: Declared, table: TableFacts, bucket_region: str | None = None) -> PolicySubject:
    """Return what the permissions of a table depend on, now that its ARN, and perhaps the bucket's region, is known."""
    results_bucket, _, results_folder = declared.athena_output.removeprefix("s3://").partition("/")
    return PolicySubject(
        partition=table.arn.split(":")[1],
        account=table.account,
        region=table.region,
        table=table.arn.rpartition("/")[2],
        bucket=declared.bucket,
        bucket_account=declared.bucket_owner or table.account,
        bucket_region=bucket_region,
        folder=declared.folder,
        database=declared.database,
        workgroup=declared.workgroup,
        results_bucket=results_bucket or declared.bucket,
        results_folder=(results_folder or f"{declared.folder}/athena-results").strip("/"),
        typed_tables=declared.typed_tables,
        raw_tables=declared.raw_tables,
        views=declared.views,
        partition_index=declared.partition_index,
        kms_key=declared.kms_key,
    )


def known_by_trying(required: Sequence[ActionsOn], tried: Mapping[str, bool]) -> Grants:
    """Return what calls that change nothing have shown; whatever none of them has shown of its own resource stays unknown.

    :param tried: ``action on resource`` → it was allowed; a resource of S3 is ``s3://bucket``, or a folder of it with a slash at its end.
    """
    needed = dict.fromkeys(shown for each in required for shown in each.shown())
    return _judged(tried, tuple(each for each in needed if _witness(each, tried) is None))


def known_by_simulation(simulated: Mapping[str, bool], tried: Mapping[str, bool], account: str) -> Grants:
    """Return what IAM's simulation says, except where a call was answered or refused: it is the better witness.

    :param simulated: ``action on resource`` → it is allowed. :param tried: as for :func:`known_by_trying`.
    :param account: the caller's: a key of the same one may let the caller in by its own policy alone (KMS, "Key policies").
    """
    refused = {each: False for each, ok in tried.items() if not ok}
    judged = dict(refused)
    unknown = []
    for each, ok in simulated.items():
        seen = _witness(each, tried)
        if seen is None and not ok and _may_be_let_in_by_key(each, simulated, tried, account):
            unknown.append(each)
        elif seen is not False:
            judged[each] = ok or seen is True
    return replace(_judged(judged, tuple(unknown)), simulated=True)


def _may_be_let_in_by_key(denied: str, simulated: Mapping[str, bool], tried: Mapping[str, bool], account: str) -> bool:
    """Tell whether a simulation that denies the use of a key proves nothing, because the key's policy may allow it.

    It proves nothing once the key has made a data key that the simulation denied, nor where the key is the caller's account's own and was
    not tried.
    """
    _, _, resource = denied.partition(" on ")
    if not re.match("arn:[^:]+:kms:", resource):
        return False
    making = f"{MAKE_DATA_KEY} on {resource}"
    made = tried.get(making)
    return (made is True and not simulated.get(making, True)) or (made is None and resource.split(":")[4] == account)


def _witness(needed: str, tried: Mapping[str, bool]) -> bool | None:
    """Return what a call has shown of an action on a resource, or on the folder of S3 that it lies in; None if none did."""
    if needed in tried:
        return tried[needed]
    action, _, resource = needed.partition(" on ")
    place = re.sub("^arn:[^:]+:s3:::", "s3://", resource)
    if place == resource:
        return None
    for each, ok in tried.items():
        tried_action, _, where = each.partition(" on ")
        if tried_action == action and (place == where or (where.endswith("/") and place.startswith(where))):
            return ok
    return None


def _judged(known: Mapping[str, bool], unknown: tuple[str, ...]) -> Grants:
    return Grants(
        allowed=tuple(each for each, ok in known.items() if ok),
        denied=tuple(each for each, ok in known.items() if not ok),
        unknown=unknown,
    )
