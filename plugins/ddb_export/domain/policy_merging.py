"""Policies of several tables as one: what each of them is granted, and nothing that none of them is.

A role has room for few policies, so tables share one. Statements may only be joined where that widens nothing: an Allow or a Deny speaks of each pair
of its actions and its resources (IAM, "JSON policy elements"), so two of them are one exactly if all but their resources is the same. Where anything else
differs they stay apart, each with a Sid of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from ddb_export.domain.policy_documents import Grant, PolicySubject, bucket_policy, key_policy, role_policy

MANAGED_POLICY_CHARACTERS = 6_144
"""What a managed policy may hold (IAM, "IAM and AWS STS quotas", character limits); it cannot be raised."""
INLINE_POLICIES_CHARACTERS = 10_240
"""What all inline policies of a role may hold together (the same page; "RolePolicySizeQuota" of GetAccountSummary)."""


def merged(granted: Iterable[Sequence[Grant]]) -> list[Grant]:
    """Return the grants of several tables as those of one policy.

    :param granted: the grants of each table, all of one variant.
    :return: in the order in which they are met first; each Sid stands once, the second one as ``KeepViews2``.
    """
    joined: dict[str, Grant] = {}
    for grant in (each for grants in granted for each in grants):
        key = _all_but_resources(grant)
        known = joined.get(key)
        joined[key] = replace(known, resources=_union(known, grant)) if known else grant
    return list(_with_own_sids(joined.values()))


def merged_bucket_policy(
    subjects: Sequence[PolicySubject], granted: Sequence[Sequence[Grant]]
) -> dict[str, Any] | None:
    """Return what the bucket of another account must say of all tables that have it; None where none or several are such buckets.

    :param subjects: tables of one role. :param granted: the grants of each.
    :raises ValueError: the role is not known.
    """
    admitted = [(each, grants) for each, grants in zip(subjects, granted, strict=True) if each.is_cross_account]
    if len({each.bucket for each, _ in admitted}) != 1:
        return None
    return bucket_policy(admitted[0][0], merged(grants for _, grants in admitted))


def merged_key_policy(subjects: Sequence[PolicySubject], granted: Sequence[Sequence[Grant]]) -> dict[str, Any] | None:
    """Return what the one KMS key of these tables must say; None where there is none, or several.

    :param subjects: tables of one role. :param granted: the grants of each.
    :raises ValueError: the role is not known.
    """
    using = [(each, grants) for each, grants in zip(subjects, granted, strict=True) if each.kms_key]
    if len({each.kms_key for each, _ in using}) != 1:
        return None
    return key_policy(using[0][0], merged(grants for _, grants in using))


def size(granted: Sequence[Grant]) -> int:
    """Return the characters of a role's policy as IAM counts them: without white space."""
    return sum(not each.isspace() for each in json.dumps(role_policy(granted)))


def most_in_one(granted: Sequence[Sequence[Grant]], limit: int) -> int:
    """Return how many tables can share a policy, if they are taken in turn; 0 if one alone is too long.

    :param granted: the grants of each table. :param limit: characters that a policy may hold.
    """
    number = 0
    while number < len(granted):
        shares = [granted[first : first + number + 1] for first in range(0, len(granted), number + 1)]
        if any(size(merged(share)) > limit for share in shares):
            break
        number += 1
    return number


def _all_but_resources(grant: Grant) -> str:
    return json.dumps([grant.sid, grant.denies, sorted(grant.actions), grant.conditions], sort_keys=True)


def _union(known: Grant, other: Grant) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*known.resources, *other.resources)))


def _with_own_sids(granted: Iterable[Grant]) -> Iterable[Grant]:
    """A Sid must be unique in its policy (IAM, "IAM JSON policy elements: Sid")."""
    number: dict[str, int] = {}
    for grant in granted:
        number[grant.sid] = number.get(grant.sid, 0) + 1
        yield grant if number[grant.sid] == 1 else replace(grant, sid=f"{grant.sid}{number[grant.sid]}")
