"""The rules of the doctor: facts in, findings out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ddb_export.domain.doctor import (
    BucketFacts,
    Caller,
    Declared,
    Encryption,
    Facts,
    Finding,
    Fix,
    Grants,
    KeyFacts,
    Level,
    RunningExports,
    TableFacts,
)
from ddb_export.domain.doctor_grants import known_by_simulation, known_by_trying, required_grants
from ddb_export.domain.doctor_rules import examine, worst
from ddb_export.domain.lifecycle import LifecycleRule
from ddb_export.domain.plan import PointInTimeRecovery
from ddb_export.domain.retention import TIER_TAG, Retention
from ddb_export.exceptions import (
    DdbExportError,
    ExportThrottledError,
    NotReachableError,
    PermissionDeniedError,
    TableMissingError,
)

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ACCOUNT = "111122223333"
ARN = f"arn:aws:dynamodb:us-east-1:{ACCOUNT}:table/orders"
KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1"
DECLARED = Declared(name="o", table="orders", bucket="lake", folder="d/o", database="lake", schedule="@daily")
GOOD = Facts(
    caller=Caller(f"arn:aws:iam::{ACCOUNT}:user/me", ACCOUNT),
    table=TableFacts(ARN, "ACTIVE", 4_200_000_000),
    recovery=PointInTimeRecovery(enabled=True, earliest=NOW - timedelta(days=3), period=timedelta(days=35)),
    now=NOW,
    skew=timedelta(seconds=0.4),
    running=RunningExports(2, all_seen=True),
    bucket=BucketFacts("us-east-1", owned_as_expected=True),
    public_access=frozenset({"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"}),
    encryption=Encryption("AES256", None),
    lifecycle=(),
    key=None,
    database=True,
    workgroup="ENABLED",
    grants=Grants(allowed=("s3:PutObject on it",), simulated=True),
)
DENIED = PermissionDeniedError("s3://lake", "GetX answered AccessDenied", "grant GetX")


def found(check: str, declared: Declared = DECLARED, **facts: Any) -> Finding:
    """The one finding of a check that is not ok, or else the one that is."""
    of_check = [each for each in examine(declared, replace(GOOD, **facts)) if each.check == check]
    assert len(of_check) == 1
    return of_check[0]


def test_all_is_well():
    findings = examine(DECLARED, GOOD)
    assert [each.check for each in findings] == [
        "clock", "identity", "table", "recovery", "schedule", "quota", "bucket", "region", "public access",
        "encryption", "lifecycle", "database", "athena", "permissions",
    ]  # fmt: skip
    assert worst(findings) is Level.OK
    assert all(each.remedy == "" for each in findings)


BAD: dict[str, tuple[str, dict[str, Any], Level, str]] = {
    "no table": ("table", {"table": TableMissingError("orders", "no", "no")}, Level.FAIL, "there is no table orders"),
    "pitr off": ("recovery", {"recovery": PointInTimeRecovery(enabled=False)}, Level.FAIL, "is off"),
    "clock": ("clock", {"skew": timedelta(minutes=-6)}, Level.FAIL, "360 s behind"),
    "clock a bit": ("clock", {"skew": timedelta(seconds=40)}, Level.WARN, "40 s ahead"),
    "quota": ("quota", {"running": RunningExports(299, all_seen=True)}, Level.WARN, "299 of 300"),
    "bucket gone": (
        "bucket",
        {"bucket": NotReachableError("s3://lake", "gone", "x", code="NoSuchBucket")},
        Level.FAIL,
        "there is no such bucket",
    ),
    "bucket denied": ("bucket", {"bucket": DENIED}, Level.FAIL, "AccessDenied"),
    "owner": ("bucket", {"bucket": BucketFacts("us-east-1", owned_as_expected=False)}, Level.FAIL, ACCOUNT),
    "region": (
        "region",
        {"bucket": BucketFacts("eu-west-1", owned_as_expected=True)},
        Level.WARN,
        "bills the transfer",
    ),
    "public": ("public access", {"public_access": frozenset({"BlockPublicAcls"})}, Level.WARN, "BlockPublicPolicy"),
    "public unseen": ("public access", {"public_access": DENIED}, Level.WARN, "could not be looked at"),
    "key off": ("kms key", {"key": KeyFacts(KEY, "Disabled", False, ACCOUNT, True)}, Level.FAIL, "is Disabled"),
    "key unusable": ("kms key", {"key": KeyFacts(KEY, "Enabled", False, ACCOUNT, False)}, Level.FAIL, "no data key"),
    "key gone": (
        "kms key",
        {"key": NotReachableError("KMS key 1", "gone", "x", code="NotFoundException")},
        Level.FAIL,
        "gone",
    ),
    "key elsewhere": (
        "kms key",
        {"key": KeyFacts(KEY.replace("us-east-1", "eu-west-1"), "Enabled", False, ACCOUNT, True)},
        Level.FAIL,
        "is not in the bucket's region, us-east-1",
    ),
    "key of another kind": (
        "kms key",
        {"key": KeyFacts(KEY, "Enabled", False, ACCOUNT, False, DdbExportError(KEY, "InvalidKeyUsageException", "x"))},
        Level.FAIL,
        "InvalidKeyUsageException",
    ),
    "key not asked": ("kms key", {"key": NotReachableError("KMS key 1", "timeout", "x")}, Level.WARN, "timeout"),
    "key not tried": (
        "kms key",
        {"key": KeyFacts(KEY, "Enabled", False, ACCOUNT, None, ExportThrottledError(KEY, "slow down", "x"))},
        Level.WARN,
        "slow down",
    ),
    "clock not asked": ("clock", {"skew": None}, Level.WARN, "could not be asked"),
    "busy": ("database", {"database": ExportThrottledError("Glue", "slow down", "x")}, Level.WARN, "slow down"),
    "database": ("database", {"database": False}, Level.FAIL, "there is no Glue database lake"),
    "workgroup": ("athena", {"workgroup": "DISABLED"}, Level.FAIL, "is DISABLED"),
    "denied": (
        "permission",
        {"grants": Grants(denied=("s3:PutObject on it",))},
        Level.FAIL,
        "s3:PutObject on it is denied",
    ),
}


@pytest.mark.parametrize(("check", "facts", "level", "words"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_named_with_one_remedy(check, facts, level, words):
    finding = found(check, **facts)
    assert finding.level is level
    assert words in finding.found
    assert finding.remedy


@pytest.mark.parametrize(
    ("facts", "fix"),
    [
        ({"recovery": PointInTimeRecovery(enabled=False)}, Fix.PITR),
        ({"database": False}, Fix.DATABASE),
        ({"bucket": NotReachableError("s3://lake", "gone", "x", code="NoSuchBucket")}, Fix.BUCKET),
        ({"bucket": DENIED}, None),
        ({"public_access": frozenset()}, None),
    ],
)
def test_only_three_things_can_be_fixed(facts, fix):
    findings = examine(DECLARED, replace(GOOD, **facts))
    assert [each.fix for each in findings if each.fix] == ([fix] if fix else [])
    assert all(f"ddb-export doctor o --fix {each.fix}" in each.remedy for each in findings if each.fix)


@pytest.mark.parametrize(
    ("schedule", "days", "level"),
    [
        ("*/15 * * * *", 35, Level.OK),
        ("@weekly", 35, Level.OK),
        ("@monthly", 35, Level.WARN),
        ("@yearly", 35, Level.FAIL),
        ("@daily", 1, Level.FAIL),
        ("@daily", 2, Level.WARN),
        ("@hourly", 3, Level.WARN),
        (None, 1, Level.OK),
    ],
)
def test_schedule_is_held_against_recovery(schedule, days, level):
    recovery = PointInTimeRecovery(enabled=True, period=timedelta(days=days))
    assert found("schedule", replace(DECLARED, schedule=schedule), recovery=recovery).level is level


@pytest.mark.parametrize(
    ("rule", "level"),
    [
        (LifecycleRule("r", "", deletes=True), Level.FAIL),
        (LifecycleRule("r", "d/", deletes=True), Level.FAIL),
        (LifecycleRule("r", "d/o/ledger/claims/", deletes=True), Level.FAIL),
        (LifecycleRule("r", "d/o/l", moves_to=frozenset({"DEEP_ARCHIVE"})), Level.FAIL),
        (LifecycleRule("r", "d/o/raw/", deletes=True), Level.WARN),
        (LifecycleRule("r", "d/", deletes=True, larger_than=10 * 2**20), Level.WARN),
        (LifecycleRule("r", "d/other/", deletes=True), Level.OK),
        (LifecycleRule("r", "d/o2", deletes=True), Level.OK),
        (LifecycleRule("r", "", (("team", "bank"),), deletes=True), Level.OK),
        (LifecycleRule("r", "", (("team", "shop"),), deletes=True), Level.WARN),
        (LifecycleRule("r", "d/o/ledger/", (("team", "shop"),), deletes=True), Level.OK),
        (LifecycleRule("r", "", (("team", "shop"), ("cost", "1"), ("more", "")), deletes=True), Level.OK),
        (LifecycleRule("r", "d/", (("team", "shop"), ("cost", "1")), moves_to=frozenset({"GLACIER"})), Level.WARN),
        (LifecycleRule("r", "", ((TIER_TAG, "DEEP_ARCHIVE"),), deletes=True), Level.WARN),
        (LifecycleRule("r", "", ((TIER_TAG, "GLACIER"),), moves_to=frozenset({"GLACIER"})), Level.WARN),
        (LifecycleRule("r", "", ((TIER_TAG, "DEEP_ARCHIVE"),), moves_to=frozenset({"DEEP_ARCHIVE"})), Level.OK),
        (LifecycleRule("r", "", moves_to=frozenset({"STANDARD_IA", "GLACIER_IR"})), Level.OK),
        (LifecycleRule("r", ""), Level.OK),
    ],
)
def test_lifecycle_rules_that_would_eat_the_ledger_or_what_we_tagged(rule, level):
    retention = Retention(storage_class="DEEP_ARCHIVE", object_tags={"team": "shop", "cost": "1"})
    assert found("lifecycle", replace(DECLARED, retention=retention), lifecycle=(rule,)).level is level


def test_awss_own_key_cannot_serve_another_account():
    declared = replace(DECLARED, bucket_owner="444455556666", kms_key="alias/aws/s3")
    finding = found("kms key", declared, key=KeyFacts(KEY, "Enabled", True, ACCOUNT, True))
    assert (finding.level, "serves one account only" in finding.found) == (Level.FAIL, True)


def test_what_iam_may_not_be_asked_is_a_warning_not_a_verdict():
    finding = found("permissions", grants=Grants(unknown=("glue:CreateTable",)))
    assert (finding.level, "glue:CreateTable" in finding.found) == (Level.WARN, True)


def test_who_asks_for_raw_exports_alone_need_not_read_data():
    def reads(declared: Declared) -> set[str]:
        asked = required_grants(declared, TableFacts(ARN, "ACTIVE", 0))
        return {each.resource for each in asked if "s3:GetObject" in each.actions and "/raw/" in each.resource}

    typed = replace(DECLARED, typed_tables={"changes": "o_changes"})
    assert reads(typed) == {"arn:aws:s3:::lake/d/o/raw/*"}
    assert reads(replace(DECLARED, raw_tables=("o_raw_changes",))) == {"arn:aws:s3:::lake/d/o/raw/*/manifest-*"}


def test_a_bucket_of_another_account_is_never_created_in_ours():
    gone = NotReachableError("s3://lake", "gone", "x", code="NoSuchBucket")
    finding = found("bucket", replace(DECLARED, bucket_owner="444455556666"), bucket=gone)
    assert (finding.level, finding.fix) == (Level.FAIL, None)
    assert "in account 444455556666" in finding.remedy


SILENT = NotReachableError("Athena workgroup primary", "timeout", "check the network")


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (NotReachableError("w", "GetWorkGroup answered it", "x", code="InvalidRequestException"), "athena.workgroup"),
        (SILENT, "check the network"),
    ],
)
def test_a_remedy_follows_from_what_the_error_says(state, words):
    finding = found("athena", workgroup=state)
    assert (finding.level, words in finding.remedy) == (Level.FAIL, True)


@pytest.mark.parametrize(
    ("facts", "first", "remedy"),
    [
        ({"skew": timedelta(minutes=-6)}, "clock", "set the clock by NTP"),
        ({"caller": PermissionDeniedError("AWS credentials", "expired", "renew them")}, "identity", "renew them"),
    ],
)
def test_what_a_wrong_clock_or_identity_brings_about_is_laid_at_nobody_elses_door(facts, first, remedy):
    refused = dict.fromkeys(("caller", "table", "recovery", "running", "bucket", "database", "workgroup"), DENIED)
    nothing = dict.fromkeys(("public_access", "encryption", "lifecycle", "key"))
    findings = examine(DECLARED, replace(GOOD, **{**refused, **nothing, "grants": Grants(), **facts}))
    failed = [each for each in findings if each.level is Level.FAIL]
    assert [each.check for each in failed] == [first]
    assert remedy in failed[0].remedy
    others = {each.remedy for each in findings if each.check not in ("clock", "identity")}
    assert others == {f"{'set the clock by NTP' if first == 'clock' else 'put the identity right'}, then ask again"}


def test_who_is_answered_has_an_identity_whatever_sts_says():
    finding = found("identity", caller=NotReachableError("AWS credentials", "no such host", "check the network"))
    assert finding.level is Level.WARN


def test_a_call_is_a_witness_of_its_own_resource_only():
    required = list(required_grants(replace(DECLARED, typed_tables={"changes": "o_changes"}), TableFacts(ARN, "", 0)))
    tried = {"s3:PutObject on s3://lake/d/o/raw/": True, "s3:PutObject on s3://lake/d/o/changes/": False}
    known = known_by_trying(required, tried)
    assert known.denied == ("s3:PutObject on s3://lake/d/o/changes/",)
    assert "s3:PutObject on arn:aws:s3:::lake/d/o/raw/*" not in known.unknown
    assert "s3:PutObject on arn:aws:s3:::lake/d/o/changes/*" not in known.unknown
    assert "s3:PutObject on arn:aws:s3:::lake/d/o/quarantine/*" in known.unknown
    assert "s3:PutObject on arn:aws:s3:::lake/d/o/ledger/*" in known.unknown


@pytest.mark.parametrize(
    ("made", "simulated", "owner", "ends"),
    [
        (True, False, ACCOUNT, ("allowed", "unknown")),
        (True, True, ACCOUNT, ("allowed", "denied")),
        (True, False, "444455556666", ("allowed", "unknown")),
        (False, False, ACCOUNT, ("denied", "denied")),
        (False, True, ACCOUNT, ("denied", "denied")),
        (None, False, ACCOUNT, ("unknown", "unknown")),
        (None, False, "444455556666", ("denied", "denied")),
    ],
)
def test_a_keys_own_policy_is_seen_by_no_simulation(made, simulated, owner, ends):
    key = f"arn:aws:kms:us-east-1:{owner}:key/1"
    uses = {f"kms:GenerateDataKey on {key}": simulated, f"kms:Decrypt on {key}": False}
    tried = {} if made is None else {f"kms:GenerateDataKey on {key}": made}
    known = known_by_simulation(uses, tried, ACCOUNT)
    standing = {each: name for name in ("allowed", "denied", "unknown") for each in getattr(known, name)}
    assert tuple(standing[each] for each in uses) == ends
    assert sum(map(len, (known.allowed, known.denied, known.unknown))) == len(uses)


def test_the_key_that_was_found_stands_in_the_place_of_a_policys_wildcards():
    declared = replace(DECLARED, kms_key="alias/lake")
    key = KeyFacts(KEY, "Enabled", False, ACCOUNT, True)
    asked = list(required_grants(declared, TableFacts(ARN, "ACTIVE", 0), "us-east-1", key))
    of_key = [each for each in asked if "kms:Decrypt" in each.actions]
    assert [(each.resource, each.context) for each in of_key] == [(KEY, (("kms:ResourceAliases", ("alias/lake",)),))]
