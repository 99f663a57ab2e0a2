"""Looks at everything that has to be right before a table's first run: asks AWS, changes nothing, bills nothing.

What it asks beyond what runs ask for (the bucket's settings, the key, the workgroup, IAM) may be forbidden to the role: then the
finding says so and warns. :mod:`ddb_export.domain.doctor_rules` judges; :func:`fix` is the only thing here that changes something.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

from ddb_export.aws.bucket import BucketGateway
from ddb_export.aws.catalog import DatabaseGateway, WorkgroupGateway
from ddb_export.aws.dynamodb import DynamoDBGateway
from ddb_export.aws.identity import IdentityGateway
from ddb_export.aws.kms import KeyGateway
from ddb_export.domain.doctor import BucketFacts, Declared, Facts, Finding, Fix, Grants, KeyFacts, TableFacts
from ddb_export.domain.doctor_rules import examine
from ddb_export.exceptions import DdbExportError, NotReachableError, PermissionDeniedError
from ddb_export.pipeline.doctor_grants import GrantFinder, asked

_PAGES_OF_EXPORTS = 20


class Clients(Protocol):
    """Makes boto3 clients, all of one identity."""

    def __call__(self, service: str, region: str | None = None, /) -> Any:
        """Return the client of a service.

        :param service: boto3's name of it, such as ``s3``. :param region: None for the table's.
        """


class Doctor:
    """Examines one table.

    :param clients: makes boto3 clients.
    :param declared: what the configuration says of the table.
    """

    def __init__(self, clients: Clients, declared: Declared) -> None:
        self._declared = declared
        self._clients = clients
        self._dynamodb = DynamoDBGateway(clients("dynamodb"))
        self._bucket = BucketGateway(clients("s3"), declared.bucket)
        self._databases = DatabaseGateway(clients("glue"))
        self._workgroups = WorkgroupGateway(clients("athena"))
        self._identity = IdentityGateway(clients("sts"), clients("iam"))

    def examine(self) -> list[Finding]:
        """Return all findings, in the order in which a person would put them right.

        :raises NotReachableError: neither STS nor DynamoDB can be reached, so that nothing can be said of the table.
        """
        return examine(self._declared, self.facts())

    def facts(self) -> Facts:
        """Ask AWS everything; what it refuses is part of the answer.

        :raises NotReachableError: as for :meth:`examine`.
        """
        declared = self._declared
        caller = asked(self._identity.caller)
        table = asked(lambda: self._dynamodb.look(declared.table))
        if _is_out_of_reach(caller) and isinstance(table, NotReachableError) and _is_out_of_reach(table):
            raise table
        recovery = asked(lambda: self._dynamodb.recovery(declared.table)[0])
        running = asked(lambda: self._dynamodb.running_exports(_PAGES_OF_EXPORTS))
        owner = declared.bucket_owner or (table.account if isinstance(table, TableFacts) else None)
        bucket = asked(lambda: self._bucket.look(owner))
        answers = isinstance(bucket, BucketFacts)
        encryption = asked(self._bucket.encryption) if answers else None
        facts = Facts(
            caller=caller,
            table=table,
            recovery=recovery,
            now=self._dynamodb.answered_at,
            skew=self._dynamodb.skew,
            running=running,
            bucket=bucket,
            public_access=asked(self._bucket.public_access_block) if answers else None,
            encryption=encryption,
            key=self._key(getattr(encryption, "key", None), bucket.region) if isinstance(bucket, BucketFacts) else None,
            lifecycle=asked(self._bucket.lifecycle) if answers else None,
            database=asked(lambda: self._databases.exists(declared.database)),
            workgroup=asked(lambda: self._workgroups.state(declared.workgroup)),
            grants=Grants(),
        )
        finder = GrantFinder(declared, self._dynamodb, self._bucket, self._databases, self._identity)
        return replace(facts, grants=finder.find(facts))

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

    def _key(self, by_default: str | None, region: str | None) -> KeyFacts | DdbExportError | None:
        """Look at the key that files are encrypted with, the configuration's or else the bucket's, where S3 looks for it: in the bucket's region."""
        key = self._declared.kms_key or by_default
        return asked(lambda: KeyGateway(self._clients("kms", region)).look(key)) if key else None


def _is_out_of_reach(answer: object) -> bool:
    """Tell whether a question was not answered at all; a refusal is an answer."""
    return isinstance(answer, NotReachableError) and not isinstance(answer, PermissionDeniedError)
