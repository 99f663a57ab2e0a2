"""Looks at everything that has to be right before a table's first run: asks AWS, changes nothing, bills nothing.

What it asks beyond what runs ask for (the bucket's settings, the key, the workgroup, IAM) may be forbidden to the role: then the
finding says so and warns. :mod:`ddb_export.domain.doctor_rules` judges; :func:`fix` is the only thing here that changes something.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ddb_export.aws.bucket import BucketGateway
from ddb_export.aws.catalog import DatabaseGateway, WorkgroupGateway
from ddb_export.aws.dynamodb import DynamoDBGateway
from ddb_export.aws.identity import IdentityGateway
from ddb_export.aws.kms import KeyGateway
from ddb_export.domain.doctor import BucketFacts, Caller, Declared, Facts, Finding, Fix, Grants, KeyFacts, TableFacts
from ddb_export.domain.doctor_grants import ActionsOn, required_grants
from ddb_export.domain.doctor_rules import examine
from ddb_export.exceptions import DdbExportError, NotReachableError, PermissionDeniedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

T = TypeVar("T")
Clients = Callable[[str], Any]
"""Gives the boto3 client of a service by its name, such as ``s3``."""

_PAGES_OF_EXPORTS = 20
_NO_ENTRY = "no-such-object"
_NO_MANIFEST = "no-such-export/manifest-summary.json"
_NO_DATA_FILE = "no-such-export/AWSDynamoDB/data/no-such-file.json.gz"
"""Names that no object has; which of the last two a role must be able to read depends on whether its runs read data."""
_NO_EXPORT = "01000000000000-00000000"


class Doctor:
    """Examines one table.

    :param clients: gives boto3 clients, all of one identity and the table's region.
    :param declared: what the configuration says of the table.
    """

    def __init__(self, clients: Clients, declared: Declared) -> None:
        self._declared = declared
        self._dynamodb = DynamoDBGateway(clients("dynamodb"))
        self._bucket = BucketGateway(clients("s3"), declared.bucket)
        self._databases = DatabaseGateway(clients("glue"))
        self._workgroups = WorkgroupGateway(clients("athena"))
        self._identity = IdentityGateway(clients("sts"), clients("iam"))
        self._keys = KeyGateway(clients("kms"))

    def examine(self) -> list[Finding]:
        """Return all findings, in the order in which a person would put them right."""
        return examine(self._declared, self.facts())

    def facts(self) -> Facts:
        """Ask AWS everything; what it refuses is part of the answer."""
        declared = self._declared
        caller = _asked(self._identity.caller)
        table = _asked(lambda: self._dynamodb.look(declared.table))
        recovery = _asked(lambda: self._dynamodb.recovery(declared.table)[0])
        running = _asked(lambda: self._dynamodb.running_exports(_PAGES_OF_EXPORTS))
        now, here = self._dynamodb.answered_at, datetime.now(UTC)
        owner = declared.bucket_owner or (table.account if isinstance(table, TableFacts) else None)
        bucket = _asked(lambda: self._bucket.look(owner))
        answers = isinstance(bucket, BucketFacts)
        encryption = _asked(self._bucket.encryption) if answers else None
        facts = Facts(
            caller=caller,
            table=table,
            recovery=recovery,
            now=now,
            skew=here - now,
            running=running,
            bucket=bucket,
            public_access=_asked(self._bucket.public_access_block) if answers else None,
            encryption=encryption,
            key=self._key(getattr(encryption, "key", None)) if answers else None,
            lifecycle=_asked(self._bucket.lifecycle) if answers else None,
            database=_asked(lambda: self._databases.exists(declared.database)),
            workgroup=_asked(lambda: self._workgroups.state(declared.workgroup)),
            grants=Grants(),
        )
        return replace(facts, grants=self._grants(facts))

    def fix(self, what: Fix) -> str:
        """Put one thing right that was asked for by name.

        :return: what was done, in words.
        :raises DdbExportError: AWS refused it.
        """
        declared = self._declared
        if what is Fix.PITR:
            self._dynamodb.enable_recovery(declared.table)
            return f"point-in-time recovery of {declared.table} is on; the first export is possible some minutes later"
        if what is Fix.DATABASE:
            self._databases.create(declared.database)
            return f"Glue database {declared.database} is there"
        region = self._dynamodb.look(declared.table).region
        self._bucket.create(region)
        return f"{declared.bucket_uri} is there, in {region}, with Block Public Access and encryption"

    def _key(self, by_default: str | None) -> KeyFacts | DdbExportError | None:
        """Look at the key that files are encrypted with: the configuration's, else that of the bucket."""
        key = self._declared.kms_key or by_default
        return _asked(lambda: self._keys.look(key)) if key else None

    def _grants(self, facts: Facts) -> Grants:
        """Find out what is allowed: what was asked or tried is known, and the rest is left to IAM's simulation where that is allowed.

        S3 is tried even so: such a call meets the bucket's own policy, which a simulation does not.
        """
        tried = dict(self._tried(facts))
        if not isinstance(facts.caller, Caller) or not isinstance(facts.table, TableFacts):
            return _judged(tried, ())
        required = list(required_grants(self._declared, facts.table))
        try:
            principal = self._identity.principal(facts.caller)
            simulated = dict(self._simulated(principal, required)) if principal else None
        except (PermissionDeniedError, NotReachableError):
            simulated = None
        if simulated is None:
            known = {each.partition(" on ")[0] for each in tried}
            actions = dict.fromkeys(action for each in required for action in each.actions if action not in known)
            return _judged(tried, tuple(actions))
        refused = {each: False for each, ok in tried.items() if not ok}
        # What only the policy of a bucket or table allows, a simulation takes for denied; a call that was answered is the better witness.
        seen = {each: ok or _was_tried(each, tried) for each, ok in simulated.items()}
        return replace(_judged({**seen, **refused}, ()), simulated=True)

    def _simulated(self, principal: str, required: Sequence[ActionsOn]) -> Iterator[tuple[str, bool]]:
        for each in required:
            allowed = self._identity.allowed(principal, each)
            for action, shown in zip(each.actions, each.shown(), strict=True):
                yield shown, action in allowed

    def _tried(self, facts: Facts) -> Iterator[tuple[str, bool]]:
        """Yield what calls that change nothing have shown to be allowed, or not."""
        yield from _shown_by(facts, self._declared)
        if isinstance(facts.table, TableFacts):
            arn, answered = facts.table.arn, self._dynamodb
            yield f"dynamodb:DescribeTimeToLive on {arn}", _is_allowed(lambda: answered.ttl_attribute(arn))
            yield f"dynamodb:ListExports on {arn}", _is_allowed(lambda: next(answered.list_exports(arn), None))
            unknown = f"{arn}/export/{_NO_EXPORT}"
            yield f"dynamodb:DescribeExport on {unknown}", _is_allowed(lambda: answered.describe_export(unknown))
        if facts.database is True:
            for table in self._declared.typed_tables.values():
                name, databases = f"{self._declared.database}/{table}", self._databases
                asked = partial(databases.has_table, self._declared.database, table)
                yield f"glue:GetTable on {name}", _is_allowed(asked)
        if isinstance(facts.bucket, BucketFacts):
            folder, bucket = self._declared.folder, f"s3://{self._declared.bucket}"
            yield f"s3:ListBucket on {bucket}", self._bucket.may_list(folder)
            in_raw = _NO_DATA_FILE if self._declared.typed_tables or not self._declared.raw_tables else _NO_MANIFEST
            for place, name in (("ledger", _NO_ENTRY), ("raw", in_raw)):
                key = f"{folder}/{place}/{name}"
                yield f"s3:GetObject on {bucket}/{folder}/{place}/", self._bucket.may_get(key)
                yield f"s3:PutObject on {bucket}/{folder}/{place}/", self._bucket.may_put(key)


def _shown_by(facts: Facts, declared: Declared) -> Iterator[tuple[str, bool]]:
    """Yield what the facts themselves prove; what they were refused is a finding of its own."""
    if isinstance(facts.table, TableFacts):
        yield f"dynamodb:DescribeTable on {facts.table.arn}", True
        if not isinstance(facts.recovery, DdbExportError):
            yield f"dynamodb:DescribeContinuousBackups on {facts.table.arn}", True
    if facts.database is True:
        yield f"glue:GetDatabase on {declared.database}", True


def _was_tried(simulated: str, tried: Mapping[str, bool]) -> bool:
    """Tell whether a call has shown that an action is allowed on a resource, or on the folder of S3 that it lies in."""
    action, _, resource = simulated.partition(" on ")
    place = re.sub("^arn:[^:]+:s3:::", "s3://", resource)
    if place == resource:
        return tried.get(simulated, False)
    shown = (each.partition(" on ") for each, ok in tried.items() if ok)
    return any(
        each == action and (place == where or (where.endswith("/") and place.startswith(where)))
        for each, _, where in shown
    )


def _is_allowed(question: Callable[[], object]) -> bool:
    """Tell whether a question may be asked, whatever its answer."""
    return not isinstance(_asked(question), PermissionDeniedError)


def _judged(known: Mapping[str, bool], unknown: tuple[str, ...]) -> Grants:
    return Grants(
        allowed=tuple(each for each, ok in known.items() if ok),
        denied=tuple(each for each, ok in known.items() if not ok),
        unknown=unknown,
    )


def _asked(question: Callable[[], T]) -> T | DdbExportError:
    """Return an answer, or the error that the question ended with: it is an answer too."""
    try:
        return question()
    except DdbExportError as error:
        return error
