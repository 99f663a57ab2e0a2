"""Finds out what a table's role may do, by calls that change nothing and by IAM's simulation; :mod:`ddb_export.domain.doctor_grants` judges.

A call is a witness of the very action and resource that it asked for: who may write exports need not be allowed to write outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ddb_export.domain.doctor import BucketFacts, Caller, Declared, Facts, Grants, KeyFacts, TableFacts
from ddb_export.domain.doctor_grants import (
    MAKE_DATA_KEY,
    ActionsOn,
    known_by_simulation,
    known_by_trying,
    policy_subject,
    required_grants,
)
from ddb_export.exceptions import DdbExportError, ExportThrottledError, NotReachableError, PermissionDeniedError

if TYPE_CHECKING:
    from ddb_export.aws.bucket import BucketGateway
    from ddb_export.aws.catalog import DatabaseGateway
    from ddb_export.aws.dynamodb import DynamoDBGateway
    from ddb_export.aws.identity import IdentityGateway
    from ddb_export.domain.policy import PolicySubject

T = TypeVar("T")

_NO_OBJECT = "no-such-object"
_NO_MANIFEST = "no-such-export/manifest-summary.json"
_NO_DATA_FILE = "no-such-export/AWSDynamoDB/data/no-such-file.json.gz"
"""Names that no object has; which of the last two a role must be able to read depends on whether its runs read data."""
_NO_EXPORT = "01000000000000-00000000"


def asked(question: Callable[[], T]) -> T | DdbExportError:
    """Return an answer, or the error that the question ended with: it is an answer too."""
    try:
        return question()
    except DdbExportError as error:
        return error


@dataclass(frozen=True, slots=True)
class GrantFinder:
    """Asks for the permissions of one table's runs.

    :param dynamodb: as the table's runs see it; the others likewise.
    """

    declared: Declared
    dynamodb: DynamoDBGateway
    bucket: BucketGateway
    databases: DatabaseGateway
    identity: IdentityGateway

    def find(self, facts: Facts) -> Grants:
        """Return what is allowed, what is not, and what nobody could say.

        :param facts: what was found out before; its grants are not looked at.
        """
        tried = dict(self._tried(facts))
        if not isinstance(facts.caller, Caller) or not isinstance(facts.table, TableFacts):
            return known_by_trying((), tried)
        region = facts.bucket.region if isinstance(facts.bucket, BucketFacts) else None
        key = facts.key if self.declared.kms_key and isinstance(facts.key, KeyFacts) else None
        required = list(required_grants(self.declared, facts.table, region, key))
        try:
            principal = self.identity.principal(facts.caller)
            simulated = dict(self._simulated(principal, required)) if principal else None
        except (PermissionDeniedError, NotReachableError):
            simulated = None
        if simulated is None:
            return known_by_trying(required, tried)
        return known_by_simulation(simulated, tried, facts.caller.account)

    def _simulated(self, principal: str, required: Sequence[ActionsOn]) -> Iterator[tuple[str, bool]]:
        for each in required:
            allowed = self.identity.allowed(principal, each)
            for action, shown in zip(each.actions, each.shown(), strict=True):
                yield shown, action in allowed

    def _tried(self, facts: Facts) -> Iterator[tuple[str, bool]]:
        """Yield what calls that change nothing have shown to be allowed, or not."""
        if isinstance(facts.table, TableFacts):
            yield from self._tried_on_table(facts, facts.table.arn)
            yield from self._tried_in_catalog(facts, policy_subject(self.declared, facts.table))
        if isinstance(facts.bucket, BucketFacts):
            yield from self._tried_in_bucket()
        key = facts.key
        # Whatever else keeps a key from being used is a finding of its own.
        if isinstance(key, KeyFacts) and (key.usable or isinstance(key.refusal, PermissionDeniedError)):
            yield f"{MAKE_DATA_KEY} on {key.arn}", bool(key.usable)

    def _tried_on_table(self, facts: Facts, arn: str) -> Iterator[tuple[str, bool]]:
        yield f"dynamodb:DescribeTable on {arn}", True
        # What the facts were refused is a finding of its own.
        if not isinstance(facts.recovery, DdbExportError):
            yield f"dynamodb:DescribeContinuousBackups on {arn}", True
        dynamodb, unknown = self.dynamodb, f"{arn}/export/{_NO_EXPORT}"
        yield from _shown(f"dynamodb:DescribeTimeToLive on {arn}", _may(lambda: dynamodb.ttl_attribute(arn)))
        yield from _shown(f"dynamodb:ListExports on {arn}", _may(lambda: next(dynamodb.list_exports(arn), None)))
        yield from _shown(f"dynamodb:DescribeExport on {arn}/export/*", _may(lambda: dynamodb.describe_export(unknown)))

    def _tried_in_catalog(self, facts: Facts, subject: PolicySubject) -> Iterator[tuple[str, bool]]:
        """Glue asks for catalog, database and table at once: an answer shows all three, a refusal speaks of the table."""
        if facts.database is not True:
            return
        database, databases = self.declared.database, self.databases
        shared = subject.glue_tables(())
        yield from ((f"glue:GetDatabase on {arn}", True) for arn in shared)
        for name in (*self.declared.typed_tables.values(), *self.declared.raw_tables, *self.declared.views):
            answer = _may(partial(databases.has_table, database, name))
            yield from _shown(f"glue:GetTable on {subject.glue(f'table/{database}/{name}')[0]}", answer)
            if answer:
                yield from ((f"glue:GetTable on {arn}", True) for arn in shared)

    def _tried_in_bucket(self) -> Iterator[tuple[str, bool]]:
        declared = self.declared
        yield from _shown(f"s3:ListBucket on s3://{declared.bucket}", self.bucket.may_list(declared.folder))
        in_raw = _NO_DATA_FILE if declared.typed_tables or not declared.raw_tables else _NO_MANIFEST
        for place, name in (
            ("ledger", _NO_OBJECT),
            ("raw", in_raw),
            *((each, _NO_OBJECT) for each in declared.typed_tables),
        ):
            may_read = self.bucket.may_get(self._key(place, name))
            yield from _shown(f"s3:GetObject on {self._uri(place)}", may_read)
            yield from self._tried_writing(place, name, may_read=may_read)
        if declared.typed_tables:
            yield from self._tried_writing("quarantine", _NO_OBJECT, may_read=None)

    def _tried_writing(self, place: str, name: str, *, may_read: bool | None) -> Iterator[tuple[str, bool]]:
        """Yield whether a folder may be written to. S3 asks whoever tries it for the right to read, too: without that a refusal says nothing."""
        may_write = self.bucket.may_put(self._key(place, name))
        if may_write or may_read:
            yield from _shown(f"s3:PutObject on {self._uri(place)}", may_write)

    def _key(self, place: str, name: str) -> str:
        return f"{self.declared.folder}/{place}/{name}"

    def _uri(self, place: str) -> str:
        return f"s3://{self.declared.bucket}/{self.declared.folder}/{place}/"


def _may(question: Callable[[], object]) -> bool | None:
    """Tell whether a question may be asked, whatever its answer; None if nobody answered, or had no time to."""
    answer = asked(question)
    if isinstance(answer, PermissionDeniedError):
        return False
    return None if isinstance(answer, NotReachableError | ExportThrottledError) else True


def _shown(what: str, allowed: bool | None) -> Iterator[tuple[str, bool]]:  # noqa: FBT001  # what is shown is a yes or a no
    if allowed is not None:
        yield what, allowed
