"""What a table's role is granted: its configuration's own things, and each grant with its reason and source."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ddb_export.domain.policy import Grant, PolicySubject, Variant, bucket_policy, grants, key_policy, role_policy

ORDERS = PolicySubject(
    partition="aws",
    account="111122223333",
    region="eu-west-1",
    table="orders",
    bucket="my-lake",
    bucket_account="111122223333",
    folder="dynamodb/orders",
    database="lake",
    workgroup="primary",
    results_bucket="my-lake",
    results_folder="dynamodb/orders/athena-results",
    typed_tables={"snapshots": "orders_snapshots", "changes": "orders_changes"},
    role_arn="arn:aws:iam::111122223333:role/lake",
)
EVERYTHING = replace(
    ORDERS,
    bucket_account="999988887777",
    results_bucket="results",
    raw_tables=("orders_raw_snapshots", "orders_raw_changes"),
    views=("orders_latest",),
    partition_index=True,
    kms_key="alias/lake",
)
KEY = "1234abcd-12ab-34cd-56ef-1234567890ab"


def actions(subject: PolicySubject, variant: Variant = Variant.RUNS) -> set[str]:
    return {action for grant in grants(subject, variant) if not grant.denies for action in grant.actions}


def grant(subject: PolicySubject, sid: str, variant: Variant = Variant.RUNS) -> Grant:
    return next(each for each in grants(subject, variant) if each.sid == sid)


@pytest.mark.parametrize("variant", Variant)
@pytest.mark.parametrize("subject", [ORDERS, EVERYTHING], ids=["small", "everything"])
def test_each_grant_has_reason_source_and_things_of_this_table_only(subject: PolicySubject, variant: Variant):
    granted = grants(subject, variant)
    assert len({each.sid for each in granted}) == len(granted)
    for each in granted:
        assert each.sid.isalnum()
        assert each.reason
        assert each.source
        assert each.unseen <= set(each.actions)
        assert "*" not in each.resources
        assert not any("*" in action for action in each.actions)
        assert all("orders" in arn or arn.startswith(THE_WIDER_ONES) for arn in each.resources), each


THE_WIDER_ONES = (
    "arn:aws:s3:::my-lake",
    "arn:aws:s3:::results",
    "arn:aws:glue:eu-west-1:111122223333:catalog",
    "arn:aws:glue:eu-west-1:111122223333:database/lake",
    "arn:aws:athena:eu-west-1:111122223333:workgroup/primary",
    "arn:aws:kms:*:111122223333:key/",
)


@pytest.mark.parametrize("variant", Variant)
def test_no_variant_reads_items_or_deletes_what_is_shown(variant: Variant):
    granted = actions(EVERYTHING, variant)
    assert not granted & {
        "dynamodb:GetItem",
        "dynamodb:Query",
        "dynamodb:Scan",
        "glue:DeleteTable",
        "s3:PutBucketPolicy",
    }
    deleting = [each for each in grants(EVERYTHING, variant) if "s3:DeleteObject" in each.actions]
    deleted = [arn for each in deleting for arn in each.resources]
    # What may be deleted on request are data files of exports, or converted files; evidence and manifests by nobody.
    endings = {
        Variant.LIFECYCLE: ("/raw/*/data/*",),
        Variant.PRUNE: ("/snapshots/*", "/changes/*", "/quarantine/*"),
    }.get(variant, ("/_live.json",))
    assert all(arn.endswith(endings) for arn in deleted)
    reading = [arn for each in grants(EVERYTHING, variant) if "s3:GetObject" in each.actions for arn in each.resources]
    on_request = variant in (Variant.LIFECYCLE, Variant.PRUNE)
    assert not on_request or not any("/data/" in arn or arn.endswith("/raw/*") for arn in reading)


def test_a_role_fits_into_one_managed_policy():
    # IAM quotas: 6,144 characters without white space.
    assert len(json.dumps(role_policy(grants(EVERYTHING, Variant.RUNS)), separators=(",", ":"))) < 6144


def test_a_lake_without_outputs_needs_neither_glue_nor_athena():
    bare = replace(ORDERS, typed_tables={})
    assert {each.split(":")[0] for each in actions(bare)} == {"dynamodb", "s3"}
    only_snapshots = replace(ORDERS, typed_tables={"snapshots": "orders_snapshots"})
    assert {"glue:DeletePartition", "s3:DeleteObject"}.isdisjoint(actions(only_snapshots))


def test_no_data_reads_manifests_alone_and_forbids_the_rest():
    reading = [
        arn
        for each in grants(EVERYTHING, Variant.NO_DATA)
        if "s3:GetObject" in each.actions and not each.denies
        for arn in each.resources
    ]
    assert reading == [*EVERYTHING.lake("ledger/*"), *EVERYTHING.lake("raw/*/manifest-*")]
    denied = grant(EVERYTHING, "NeverReadData", Variant.NO_DATA)
    assert denied.statement()["Effect"] == "Deny"
    assert denied.resources == EVERYTHING.lake("raw/*/data/*", "snapshots/*", "changes/*", "quarantine/*", "archive/*")
    assert grant(EVERYTHING, "PublishTables", Variant.NO_DATA).resources[2:] == EVERYTHING.glue(
        "table/lake/orders_raw_snapshots", "table/lake/orders_raw_changes"
    )
    assert not {each for each in actions(EVERYTHING, Variant.NO_DATA) if each.startswith("athena:")}


@pytest.mark.parametrize("variant", [Variant.RUNS, Variant.REPLAY])
def test_who_registers_raw_exports_alone_reads_no_data_in_any_variant(variant: Variant):
    raw_alone = replace(ORDERS, typed_tables={}, raw_tables=("orders_raw_snapshots", "orders_raw_changes"))
    granted = grants(raw_alone, variant)
    reading = [arn for each in granted if "s3:GetObject" in each.actions for arn in each.resources]
    assert reading == [*raw_alone.lake("ledger/*"), *raw_alone.lake("raw/*/manifest-*")]
    assert not any(each.denies for each in granted)
    assert {each.split(":")[0] for each in actions(raw_alone, variant)} == {"dynamodb", "s3", "glue"}


def test_replay_is_all_but_starting_exports():
    gone = actions(EVERYTHING) - actions(EVERYTHING, Variant.REPLAY)
    assert gone == {"dynamodb:ExportTableToPointInTime", "s3:PutObjectAcl", "kms:GenerateDataKey"}
    writing = [each for each in grants(ORDERS, Variant.REPLAY) if "s3:PutObject" in each.actions]
    assert not any("/raw/" in arn for each in writing for arn in each.resources)


@pytest.mark.scenario("F30")
def test_a_bucket_of_another_account_allows_what_the_role_may_do_there():
    granted = grants(EVERYTHING, Variant.RUNS)
    policy = bucket_policy(EVERYTHING, granted)
    assert policy
    allowed = {(action, arn) for each in policy["Statement"] for action, arn in pairs(each)}
    mine = {(action, arn) for each in granted for action in each.actions for arn in each.resources if "my-lake" in arn}
    assert allowed == mine
    assert all(each["Principal"] == {"AWS": ORDERS.role_arn} for each in policy["Statement"])
    assert {"s3:PutObject", "s3:PutObjectAcl", "s3:AbortMultipartUpload"} <= {action for action, _ in allowed}
    assert bucket_policy(ORDERS, granted) is None
    with pytest.raises(ValueError, match="names the role"):
        bucket_policy(replace(EVERYTHING, role_arn=None), granted)


def pairs(statement: dict[str, Any]) -> set[tuple[str, str]]:
    listed = [each if isinstance(each, list) else [each] for each in (statement["Action"], statement["Resource"])]
    return {(action, arn) for action in listed[0] for arn in listed[1]}


@pytest.mark.scenario("F30")
@pytest.mark.parametrize(
    ("key", "resource", "alias"),
    [
        (KEY, f"arn:aws:kms:*:111122223333:key/{KEY}", None),
        (f"arn:aws:kms:eu-north-1:999988887777:key/{KEY}", f"arn:aws:kms:eu-north-1:999988887777:key/{KEY}", None),
        ("alias/lake", "arn:aws:kms:*:111122223333:key/*", "alias/lake"),
        ("arn:aws:kms:eu-west-1:999988887777:alias/a/b", "arn:aws:kms:eu-west-1:999988887777:key/*", "alias/a/b"),
    ],
)
def test_a_key_is_named_as_policies_know_it(key: str, resource: str, alias: str | None):
    subject = replace(ORDERS, kms_key=key)
    granted = grants(subject, Variant.RUNS)
    found = grant(subject, "UseKey")
    assert (found.resources, set(found.actions)) == ((resource,), {"kms:Decrypt", "kms:GenerateDataKey"})
    assert found.conditions == ({"ForAnyValue:StringEquals": {"kms:ResourceAliases": alias}} if alias else {})
    policy = key_policy(subject, granted)
    assert policy
    assert policy["Statement"][0]["Principal"] == {"AWS": ORDERS.role_arn}
    assert key_policy(ORDERS, grants(ORDERS, Variant.RUNS)) is None
    known = grant(replace(subject, bucket_region="ap-south-1"), "UseKey").resources
    assert known == (resource.replace("*", "ap-south-1", 1) if ":*:" in resource else resource,)


def test_a_star_in_the_prefix_is_no_wildcard():
    subject = replace(ORDERS, folder="all*/orders")
    assert subject.lake("raw/*") == ("arn:aws:s3:::my-lake/all${*}/orders/raw/*",)
