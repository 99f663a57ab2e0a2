"""Policies of several tables as one: what each table's own policy allows and denies, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddb_export.domain.policy import Grant, PolicySubject, Variant, bucket_policy, grants, role_policy
from ddb_export.domain.policy_merging import merged, merged_bucket_policy, merged_key_policy, most_in_one, size
from tests.domain.test_policy import EVERYTHING, KEY, ORDERS

NAMES = ("orders", "flights", "crews", "airports")
KEYS = (None, KEY, "alias/lake", "alias/other", f"arn:aws:kms:eu-west-1:999988887777:key/{KEY}")


def named(subject: PolicySubject, name: str) -> PolicySubject:
    """Return another table with the same settings."""
    return replace(
        subject,
        table=name,
        folder=f"dynamodb/{name}",
        results_folder=f"dynamodb/{name}/athena-results",
        typed_tables={output: f"{name}_{output}" for output in subject.typed_tables},
        raw_tables=tuple(each.replace("orders", name) for each in subject.raw_tables),
        views=tuple(each.replace("orders", name) for each in subject.views),
    )


@st.composite
def tables(draw: st.DrawFn) -> list[PolicySubject]:
    """Draw tables of one account that differ in all that a configuration may say."""
    found = []
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True)):
        subject = named(draw(st.sampled_from([ORDERS, EVERYTHING])), name)
        outputs = draw(st.sets(st.sampled_from(["snapshots", "changes"])))
        changed = replace(
            subject,
            region=draw(st.sampled_from(["eu-west-1", "us-east-1"])),
            typed_tables={output: f"{name}_{output}" for output in outputs},
            partition_index=draw(st.booleans()),
            kms_key=draw(st.sampled_from(KEYS)),
            results_bucket=draw(st.sampled_from(["my-lake", "results"])),
            bucket=draw(st.sampled_from(["my-lake", "other-lake"])),
        )
        found.append(changed)
    return found


def said(granted: Iterable[Grant]) -> set[tuple[str, str, str, str]]:
    """List what a policy says, each pair of action and resource with its effect and condition, from its JSON."""
    return {
        (statement["Effect"], action, resource, repr(statement.get("Condition")))
        for statement in role_policy(list(granted))["Statement"]
        for action in many(statement["Action"])
        for resource in many(statement["Resource"])
    }


def many(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]


@given(tables(), st.sampled_from(Variant))
def test_tables_together_are_granted_what_each_is_alone_and_nothing_more(
    subjects: list[PolicySubject], variant: Variant
):
    granted = [grants(each, variant) for each in subjects]
    together = merged(granted)
    assert said(together) == said(grant for each in granted for grant in each)
    sids = [each.sid for each in together]
    assert len(set(sids)) == len(sids)
    assert all(sid.isalnum() for sid in sids)
    assert all(len(set(each.resources)) == len(each.resources) for each in together)


@given(tables())
def test_a_bucket_admits_to_each_table_what_its_own_statements_do(subjects: list[PolicySubject]):
    there = [replace(each, bucket="my-lake", bucket_account="999988887777") for each in subjects]
    granted = [grants(each, Variant.RUNS) for each in there]
    together = merged_bucket_policy(there, granted)
    alone = [bucket_policy(each, grants_) for each, grants_ in zip(there, granted, strict=True)]
    assert pairs([together]) == pairs(alone)


def pairs(policies: Sequence[dict[str, Any] | None]) -> set[tuple[str, str]]:
    return {
        (action, resource)
        for policy in policies
        for statement in (policy or {})["Statement"]
        for action in many(statement["Action"])
        for resource in many(statement["Resource"])
    }


def test_several_buckets_and_keys_have_no_policy_in_common():
    crews = replace(named(EVERYTHING, "crews"), bucket="other-lake", kms_key="alias/other")
    granted = [grants(each, Variant.RUNS) for each in (EVERYTHING, crews, ORDERS)]
    assert merged_bucket_policy([EVERYTHING, crews, ORDERS], granted) is None
    assert merged_key_policy([EVERYTHING, crews, ORDERS], granted) is None
    both = [EVERYTHING, ORDERS]
    assert merged_key_policy(both, [granted[0], granted[2]]) == merged_key_policy([EVERYTHING], granted[:1])


@pytest.mark.parametrize("subject", [ORDERS, EVERYTHING], ids=["small", "everything"])
def test_as_many_share_a_policy_as_fit(subject: PolicySubject):
    granted = [grants(named(subject, f"orders{each:03}"), Variant.RUNS) for each in range(12)]
    number = most_in_one(granted, 6_144)
    assert 1 <= number < 12
    assert size(merged(granted[:number])) <= 6_144 < size(merged(granted[: number + 1]))
    assert most_in_one(granted, 100) == 0
    assert most_in_one(granted, 10**6) == 12
