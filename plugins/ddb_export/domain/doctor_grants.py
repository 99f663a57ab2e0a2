"""The permissions that a table's runs need, as IAM can be asked for them: resource by resource."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ddb_export.domain.doctor import Declared, TableFacts
from ddb_export.domain.policy import PolicySubject, Variant, grants


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


def required_grants(declared: Declared, table: TableFacts) -> Iterator[ActionsOn]:
    """Yield what the role that runs the table's DAG must be allowed to do: what ``ddb-export policy`` prints."""
    # Who asks for raw exports alone need not be allowed to read a data file.
    variant = Variant.NO_DATA if declared.raw_tables and not declared.typed_tables else Variant.RUNS
    for grant in grants(policy_subject(declared, table), variant):
        context = [
            (key, tuple([value] if isinstance(value, str) else value))
            for keys in grant.conditions.values()
            for key, value in keys.items()
        ]
        for resource in grant.resources if not grant.denies else ():
            yield ActionsOn(resource, grant.actions, tuple(context))


def policy_subject(declared: Declared, table: TableFacts) -> PolicySubject:
    """Return what the permissions of a table depend on, now that its ARN is known."""
    results_bucket, _, results_folder = declared.athena_output.removeprefix("s3://").partition("/")
    return PolicySubject(
        partition=table.arn.split(":")[1],
        account=table.account,
        region=table.region,
        table=table.arn.rpartition("/")[2],
        bucket=declared.bucket,
        bucket_account=declared.bucket_owner or table.account,
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
