"""Facts → findings: what has to be right before a table's first run, each with the one remedy if it is not.

A remedy follows from what the error says: what nobody could be asked is a warning, and what a wrong clock or identity brings about is not
laid at the door of the bucket.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import islice, pairwise

from ddb_export.domain.cost import size_in_words
from ddb_export.domain.doctor import BucketFacts, Declared, Encryption, Facts, Finding, Fix, KeyFacts, Level, TableFacts
from ddb_export.domain.doctor_lifecycle import lifecycle_findings
from ddb_export.domain.schedule import iterate_boundaries
from ddb_export.domain.utc import iso
from ddb_export.exceptions import (
    DdbExportError,
    ExportThrottledError,
    NotReachableError,
    PermissionDeniedError,
    TableMissingError,
)

MOST_EXPORTS = 300
"""Exports that may run at a time in an account and region (Developer Guide, "Service, account, and table quotas": 300 full ones, and 300
incremental ones). Both kinds are held against it together here, because ListExports need not tell them apart: that errs on the safe side."""

_BLOCKS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
_SKEW_WARNS = timedelta(seconds=30)
_SKEW_FAILS = timedelta(minutes=5)
_MISSED_RUNS = 2
_SHORT_PERIOD = timedelta(days=7)
_BOUNDARIES_LOOKED_AT = 400
_NO_SUCH_KEY = frozenset({"InvalidArnException", "NotFoundException", "ValidationException"})
"""Codes of KMS that say that nothing can be found by that name (KMS API reference, DescribeKey)."""
_NO_SUCH_WORKGROUP = "InvalidRequestException"
"""Athena's only word for a workgroup that does not exist (Athena API reference, GetWorkGroup)."""


def examine(declared: Declared, facts: Facts) -> list[Finding]:
    """Return what is to be said of a table, in the order in which a person would put it right."""
    return [
        _clock(facts),
        _identity(facts),
        _table(declared, facts),
        *_recovery(declared, facts),
        _quota(declared, facts),
        *_bucket(declared, facts),
        *_settings_of_bucket(declared, facts),
        _database(declared, facts),
        _workgroup(declared, facts),
        *_permissions(declared, facts),
    ]


def worst(findings: list[Finding]) -> Level:
    """Return the worst level: ``fail``, ``warn`` or ``ok``."""
    levels = {finding.level for finding in findings}
    return next((level for level in (Level.FAIL, Level.WARN) if level in levels), Level.OK)


def _identity(facts: Facts) -> Finding:
    caller = facts.caller
    if isinstance(caller, DdbExportError):
        # Who is answered by DynamoDB has an identity, whatever STS says; runs do not ask STS who they are.
        if _is_clock_off(facts) or _is_answered(facts.table):
            return _not_seen("identity", "the identity", caller, facts)
        return Finding("identity", Level.FAIL, f"{caller.thing}: {caller.cause}", caller.remedy)
    return Finding("identity", Level.OK, caller.arn)


def _clock(facts: Facts) -> Finding:
    if facts.skew is None:
        remedy = "look at what the other lines say of DynamoDB, and compare the clock by NTP"
        return Finding("clock", Level.WARN, "AWS's time could not be asked: DynamoDB did not answer", remedy)
    ahead = "ahead of" if facts.skew > timedelta(0) else "behind"
    seconds = abs(facts.skew) // timedelta(seconds=1)
    found = f"this machine's clock is {seconds} s {ahead} AWS's"
    if _is_clock_off(facts):
        # AWS refuses signatures that are more than five minutes off (IAM User Guide, "Signature Version 4").
        return Finding("clock", Level.FAIL, found, "set the clock by NTP: AWS refuses signatures five minutes off")
    if abs(facts.skew) >= _SKEW_WARNS:
        return Finding("clock", Level.WARN, found, "set the clock by NTP")
    return Finding("clock", Level.OK, found if seconds > 1 else "agrees with AWS's")


def _table(declared: Declared, facts: Facts) -> Finding:
    table = facts.table
    if isinstance(table, TableMissingError):
        remedy = "check the key 'table', the region and the account, or create the table"
        return Finding("table", Level.FAIL, f"there is no table {declared.table}", remedy)
    if isinstance(table, DdbExportError):
        return _failed("table", table, facts)
    found = f"{table.arn}, {table.status}, {size_in_words(table.size)}"
    if table.status not in ("ACTIVE", "UPDATING"):
        return Finding("table", Level.WARN, found, "wait until it is ACTIVE")
    return Finding("table", Level.OK, found)


def _recovery(declared: Declared, facts: Facts) -> Iterator[Finding]:
    recovery = facts.recovery
    if isinstance(recovery, TableMissingError):
        return
    if isinstance(recovery, DdbExportError):
        yield _failed("recovery", recovery, facts)
        return
    if not recovery.enabled:
        remedy = f"switch point-in-time recovery on: ddb-export doctor {declared.name} --fix pitr"
        yield Finding(
            "recovery", Level.FAIL, "point-in-time recovery is off, so nothing can be exported", remedy, Fix.PITR
        )
        return
    days = recovery.period // timedelta(days=1) if recovery.period else 35
    earliest = f", now back to {iso(recovery.earliest)}" if recovery.earliest else ""
    yield Finding("recovery", Level.OK, f"on, {days} days{earliest}")
    yield _schedule(declared, facts, timedelta(days=days))


def _schedule(declared: Declared, facts: Facts, period: timedelta) -> Finding:
    if declared.schedule is None:
        return Finding("schedule", Level.OK, "none: the table runs by hand only")
    boundaries = islice(iterate_boundaries(declared.schedule, declared.timezone, facts.now), _BOUNDARIES_LOOKED_AT)
    longest = max(later - earlier for earlier, later in pairwise(boundaries))
    found = f"'{declared.schedule}' runs every {_length(longest)} at most, recovery reaches back {_length(period)}"
    if longest >= period:
        remedy = "run more often than that, or lengthen the recovery period (at most 35 days)"
        return Finding("schedule", Level.FAIL, f"{found}: windows would be lost", remedy)
    if longest * (1 + _MISSED_RUNS) > period:
        remedy = "run more often, or lengthen the recovery period (at most 35 days)"
        return Finding("schedule", Level.WARN, f"{found}: {_MISSED_RUNS} missed runs would lose data", remedy)
    if period < _SHORT_PERIOD:
        remedy = "lengthen the recovery period, so that an outage over a long weekend loses nothing"
        return Finding("schedule", Level.WARN, found, remedy)
    return Finding("schedule", Level.OK, found)


def _quota(declared: Declared, facts: Facts) -> Finding:
    running = facts.running
    if isinstance(running, DdbExportError):
        return _not_seen("quota", "exports in progress", running, facts)
    free = MOST_EXPORTS - running.count
    found = f"{running.count} of {MOST_EXPORTS} exports at a time in progress in this account and region"
    if not running.all_seen:
        found = f"at least {found}"
    if free < declared.windows_at_once:
        return Finding("quota", Level.WARN, found, "stagger the schedules of your tables; runs wait until exports end")
    return Finding("quota", Level.OK, found)


def _bucket(declared: Declared, facts: Facts) -> Iterator[Finding]:
    bucket = facts.bucket
    if isinstance(bucket, DdbExportError) and _is_no_verdict(bucket, facts):
        yield _not_seen("bucket", declared.bucket_uri, bucket, facts)
        return
    if isinstance(bucket, PermissionDeniedError):
        found = f"{declared.bucket_uri} may not be looked at ({bucket.cause})"
        yield Finding("bucket", Level.FAIL, found, _admit(declared, facts.table))
        return
    if isinstance(bucket, DdbExportError):
        missing = bucket.code in ("NoSuchBucket", "NotFound", "404")
        found = f"{declared.bucket_uri}: " + ("there is no such bucket" if missing else bucket.cause)
        # What is created belongs to the caller's account, which must be the one that is configured.
        can_fix = missing and not declared.bucket_owner
        remedy = f"create it: ddb-export doctor {declared.name} --fix bucket" if can_fix else bucket.remedy
        if missing and declared.bucket_owner:
            remedy = f"create it in account {declared.bucket_owner}, or correct bucket and bucket_owner"
        yield Finding("bucket", Level.FAIL, found, remedy, Fix.BUCKET if can_fix else None)
        return
    owner = declared.bucket_owner or (
        facts.table.account if isinstance(facts.table, TableFacts) else "the table's account"
    )
    if not bucket.owned_as_expected:
        remedy = "set bucket_owner to the account that owns the bucket, and let its policy admit the role"
        yield Finding("bucket", Level.FAIL, f"{declared.bucket_uri} does not belong to {owner}", remedy)
    else:
        yield Finding("bucket", Level.OK, f"{declared.bucket_uri} answers and belongs to {owner}")
    yield from _region(facts, bucket.region)


def _admit(declared: Declared, table: TableFacts | DdbExportError) -> str:
    """Say who has to let the role in: S3 does not say whose a bucket is that may not be looked at."""
    owner = declared.bucket_owner
    statements = f"what ddb-export policy {declared.name} --document bucket prints"
    if owner and not (isinstance(table, TableFacts) and owner == table.account):
        return f"let account {owner} add {statements} to the bucket's policy, and grant the role s3:ListBucket on it"
    return f"grant the role s3:ListBucket on it; if the bucket is another account's, set bucket_owner and let that account add {statements}"


def _region(facts: Facts, region: str | None) -> Iterator[Finding]:
    if not isinstance(facts.table, TableFacts) or region is None:
        return
    if region == facts.table.region:
        yield Finding("region", Level.OK, f"table and bucket are in {region}")
        return
    found = f"the table is in {facts.table.region}, the bucket in {region}"
    yield Finding("region", Level.WARN, f"{found}: AWS bills the transfer", "use a bucket in the table's region")


def _settings_of_bucket(declared: Declared, facts: Facts) -> Iterator[Finding]:
    if facts.public_access is not None:
        yield _public_access(declared, facts, facts.public_access)
    if facts.encryption is not None:
        yield _encryption(declared, facts, facts.encryption)
    if facts.key is not None:
        yield _key(declared, facts, facts.key)
    if isinstance(facts.lifecycle, DdbExportError):
        yield _not_seen("lifecycle", "the bucket's lifecycle rules", facts.lifecycle, facts)
    elif facts.lifecycle is not None:
        yield from lifecycle_findings(declared, facts.lifecycle)


def _public_access(declared: Declared, facts: Facts, on: frozenset[str] | DdbExportError) -> Finding:
    remedy = (
        f"aws s3api put-public-access-block --bucket {declared.bucket} --public-access-block-configuration "
        + ",".join(f"{name}=true" for name in _BLOCKS)
    )
    if isinstance(on, DdbExportError):
        return _not_seen("public access", "Block Public Access", on, facts)
    off = [name for name in _BLOCKS if name not in on]
    if off:
        return Finding("public access", Level.WARN, f"Block Public Access is off for {', '.join(off)}", remedy)
    return Finding("public access", Level.OK, "blocked")


def _encryption(declared: Declared, facts: Facts, encryption: Encryption | DdbExportError) -> Finding:
    if isinstance(encryption, DdbExportError):
        return _not_seen("encryption", "the bucket's default encryption", encryption, facts)
    by_default = f"{encryption.algorithm}{f' with {encryption.key}' if encryption.key else ''} by default"
    exports = f"exports with {declared.kms_key}" if declared.kms_key else "exports with S3's own keys (AES256)"
    return Finding("encryption", Level.OK, f"{by_default}; {exports}")


def _key(declared: Declared, facts: Facts, key: KeyFacts | DdbExportError) -> Finding:
    region = facts.bucket.region if isinstance(facts.bucket, BucketFacts) else None
    arn = key.arn if isinstance(key, KeyFacts) else declared.kms_key or ""
    if region and arn.startswith("arn:") and arn.split(":")[3] != region:
        # S3 encrypts with keys of its own region only (S3 User Guide, "Specifying server-side encryption with AWS KMS").
        found = f"{arn} is not in the bucket's region, {region}: exports would end as FAILED with KmsNotFoundException"
        return Finding("kms key", Level.FAIL, found, f"name a key of {region} in kms_key")
    if isinstance(key, DdbExportError):
        if key.code not in _NO_SUCH_KEY:
            return _not_seen("kms key", "the key", key, facts)
        remedy = f"correct kms_key, or create the key in the bucket's region{f', {region}' if region else ''}"
        if declared.kms_key is None:
            remedy = "correct the key of the bucket's default encryption"
        return Finding("kms key", Level.FAIL, f"{key.thing}: {key.cause}", remedy)
    return _key_found(declared, facts, key)


def _key_found(declared: Declared, facts: Facts, key: KeyFacts) -> Finding:
    if key.state != "Enabled":
        return Finding("kms key", Level.FAIL, f"{key.arn} is {key.state}", "enable the key, or name another in kms_key")
    table, owner = facts.table, declared.bucket_owner
    if key.by_aws and owner and isinstance(table, TableFacts) and owner != table.account:
        remedy = "use a key of your own, whose policy can admit the other account"
        return Finding("kms key", Level.FAIL, f"{key.arn} is managed by AWS and serves one account only", remedy)
    if key.usable is None and key.refusal:
        return _not_seen("kms key", f"whether a data key can be made with {key.arn}", key.refusal, facts)
    if key.usable:
        return Finding("kms key", Level.OK, f"{key.arn}, usable")
    found = f"{key.arn}: no data key can be made with it"
    if key.refusal and not isinstance(key.refusal, PermissionDeniedError):
        remedy = "name a symmetric key for encryption in kms_key"
        return Finding("kms key", Level.FAIL, f"{found}, {key.refusal.cause}", remedy)
    remedy = "grant kms:GenerateDataKey and kms:Decrypt on it to the role, in the key's policy too"
    return Finding("kms key", Level.FAIL, found, remedy)


def _database(declared: Declared, facts: Facts) -> Finding:
    if isinstance(facts.database, DdbExportError):
        return _failed("database", facts.database, facts)
    if not facts.database:
        remedy = f"create it: ddb-export doctor {declared.name} --fix database"
        return Finding("database", Level.FAIL, f"there is no Glue database {declared.database}", remedy, Fix.DATABASE)
    return Finding("database", Level.OK, f"{declared.database} exists")


def _workgroup(declared: Declared, facts: Facts) -> Finding:
    state = facts.workgroup
    if isinstance(state, PermissionDeniedError):
        return _not_seen("athena", f"workgroup {declared.workgroup}", state, facts)
    if isinstance(state, DdbExportError):
        if state.code != _NO_SUCH_WORKGROUP:
            return _failed("athena", state, facts)
        remedy = "correct athena.workgroup, or create the workgroup"
        return Finding("athena", Level.FAIL, f"workgroup {declared.workgroup}: {state.cause}", remedy)
    if state != "ENABLED":
        return Finding("athena", Level.FAIL, f"workgroup {declared.workgroup} is {state}", "enable the workgroup")
    return Finding("athena", Level.OK, f"workgroup {declared.workgroup} is enabled")


def _permissions(declared: Declared, facts: Facts) -> Iterator[Finding]:
    grants = facts.grants
    by = "by IAM's simulation" if grants.simulated else "by calls that change nothing"
    if grants.denied:
        for each in grants.denied:
            yield Finding("permission", Level.FAIL, f"{each} is denied, {by}", "grant it to the role that runs the DAG")
    elif grants.allowed:
        yield Finding("permissions", Level.OK, f"{len(grants.allowed)} are granted, {by}")
    if grants.unknown:
        named = "; ".join(_by_actions(grants.unknown))
        found = f"cannot be tried without doing it: {named}"
        remedy = "allow iam:SimulatePrincipalPolicy to the caller, or compare the role with ddb-export policy"
        if grants.simulated:
            found = f"the role's own policies do not allow it, but the key's may: {named}"
            remedy = f"compare the key's policy with ddb-export policy {declared.name} --document key"
        yield Finding("permissions", Level.WARN, found, remedy)


def _length(length: timedelta) -> str:
    days, rest = divmod(length, timedelta(days=1))
    if days:
        return f"{days} day{'s' * (days != 1)}" + (f" {rest // timedelta(hours=1)} h" if rest else "")
    return f"{length // timedelta(minutes=1)} min"


def _by_actions(each_alone: Sequence[str]) -> Iterator[str]:
    """Yield permissions in as few words as they can be said: resources with the same actions together."""
    actions: dict[str, list[str]] = {}
    for each in each_alone:
        action, _, resource = each.partition(" on ")
        actions.setdefault(resource, []).append(action)
    resources: dict[tuple[str, ...], list[str]] = {}
    for resource, found in actions.items():
        resources.setdefault(tuple(found), []).append(resource)
    for names, places in resources.items():
        yield f"{', '.join(names)} on {', '.join(places)}"


def _failed(check: str, error: DdbExportError, facts: Facts) -> Finding:
    """Judge by an error of what runs ask for, too."""
    if _is_no_verdict(error, facts):
        return _not_seen(check, error.thing, error, facts)
    return Finding(check, Level.FAIL, f"{error.thing}: {error.cause}", error.remedy)


def _not_seen(check: str, what: str, error: DdbExportError, facts: Facts) -> Finding:
    first = _to_do_first(facts) if isinstance(error, PermissionDeniedError) else None
    return Finding(check, Level.WARN, f"{what} could not be looked at: {error.cause}", first or error.remedy)


def _is_no_verdict(error: DdbExportError, facts: Facts) -> bool:
    """Tell whether an error says nothing of the thing that was asked for."""
    refused = isinstance(error, PermissionDeniedError)
    return isinstance(error, ExportThrottledError) or (refused and _to_do_first(facts) is not None)


def _to_do_first(facts: Facts) -> str | None:
    """Say what has to be put right before any refusal can be believed; None if nothing has."""
    if _is_clock_off(facts):
        return "set the clock by NTP, then ask again"
    if isinstance(facts.caller, PermissionDeniedError) and not _is_answered(facts.table):
        return "put the identity right, then ask again"
    return None


def _is_clock_off(facts: Facts) -> bool:
    """Tell whether AWS refuses whatever is signed by this clock."""
    return facts.skew is not None and abs(facts.skew) >= _SKEW_FAILS


def _is_answered(answer: object) -> bool:
    """Tell whether a service took the caller for somebody; that there is no such thing is an answer, too."""
    return not isinstance(answer, NotReachableError | ExportThrottledError)
