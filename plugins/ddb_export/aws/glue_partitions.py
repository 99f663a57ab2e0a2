"""Calls of the Glue Data Catalog about partitions that are there: they are read, and made to point elsewhere.

Unlike :meth:`GlueGateway.upsert_partitions <ddb_export.aws.glue.GlueGateway.upsert_partitions>`, nothing here makes a partition: one that was taken
out of the catalog meanwhile stays out.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ddb_export.aws.errors import aws_errors, error_code
from ddb_export.aws.glue import BUSY, PARTITIONS_PER_CALL
from ddb_export.exceptions import PublishError

if TYPE_CHECKING:
    from ddb_export.aws.glue import GlueGateway

PARTITIONS_PER_READ = 1000
"""Most entries of BatchGetPartition (Glue API reference)."""

_TRIES = 6
_FIRST_PAUSE = 0.2
# Glue API reference, "PartitionInput structure": what BatchGetPartition answers besides cannot be sent back.
_INPUT = ("Values", "LastAccessTime", "StorageDescriptor", "Parameters", "LastAnalyzedTime")


@dataclass(frozen=True, slots=True)
class Move:
    """A partition that is to point at another folder.

    :param found: the partition as :func:`read_partitions` gave it; its columns and all else stay.
    :param location: ``s3://`` URI of the folder, with a final slash. :param parameters: what its parameters say then besides.
    """

    found: Mapping[str, Any]
    location: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def values(self) -> tuple[str, ...]:
        """The partition's values."""
        return tuple(self.found["Values"])

    def to_api(self) -> dict[str, Any]:
        """Return Glue's PartitionInput."""
        kept = {key: self.found[key] for key in _INPUT if self.found.get(key) is not None}
        return {
            **kept,
            "StorageDescriptor": {**self.found["StorageDescriptor"], "Location": self.location},
            "Parameters": {**self.found.get("Parameters", {}), **self.parameters},
        }


def read_partitions(
    glue: GlueGateway, database: str, table: str, values: Sequence[tuple[str, ...]]
) -> dict[tuple[str, ...], Mapping[str, Any]]:
    """Return those of the partitions that are in the catalog, by their values, as Glue describes them.

    :param values: values of each, one string for each partition key.
    :raises PublishError: Glue refused.
    """
    found: dict[tuple[str, ...], Mapping[str, Any]] = {}
    for first in range(0, len(values), PARTITIONS_PER_READ):
        wanted = [{"Values": list(each)} for each in values[first : first + PARTITIONS_PER_READ]]
        while wanted:
            with aws_errors(f"{database}.{table}"):
                answer = glue.client.batch_get_partition(DatabaseName=database, TableName=table, PartitionsToGet=wanted)
            read = {tuple(partition["Values"]): partition for partition in answer.get("Partitions", ())}
            found |= read
            wanted = answer.get("UnprocessedKeys", ())
            if not read:
                # Which are not there and which Glue had no time for, the answer does not tell apart.
                found |= _one_by_one(glue, database, table, [tuple(each["Values"]) for each in wanted])
                break
    return found


def _one_by_one(
    glue: GlueGateway, database: str, table: str, values: Sequence[tuple[str, ...]]
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    from botocore.exceptions import ClientError

    for each in values:
        with aws_errors(f"{database}.{table}"):
            try:
                answer = glue.client.get_partition(DatabaseName=database, TableName=table, PartitionValues=list(each))
            except ClientError as error:
                if error_code(error) == "EntityNotFoundException":
                    continue
                raise
        yield each, answer["Partition"]


def move_partitions(
    glue: GlueGateway, database: str, table: str, moves: Sequence[Move], sleep: Callable[[float], None] = time.sleep
) -> set[tuple[str, ...]]:
    """Make partitions point elsewhere, each at once; return the values of those that do. Others are in the catalog no more.

    :raises PublishError: Glue refused one, or had no time for it again and again; it is named with Glue's reason.
    """
    moved: set[tuple[str, ...]] = set()
    for first in range(0, len(moves), PARTITIONS_PER_CALL):
        moved |= _move(glue, database, table, moves[first : first + PARTITIONS_PER_CALL], sleep)
    return moved


def _move(
    glue: GlueGateway, database: str, table: str, moves: Sequence[Move], sleep: Callable[[float], None]
) -> set[tuple[str, ...]]:
    waiting = {move.values: move for move in moves}
    gone: set[tuple[str, ...]] = set()
    for number in range(_TRIES):
        errors = _update(glue, database, table, list(waiting.values()))
        for values, error in errors.items():
            code = error.get("ErrorDetail", {}).get("ErrorCode")
            if code == "EntityNotFoundException":
                gone.add(values)
            elif code not in BUSY or number == _TRIES - 1:
                raise PublishError(
                    f"partition {list(values)} of {database}.{table}",
                    f"Glue: {code}: {error.get('ErrorDetail', {}).get('ErrorMessage')}",
                    "do it again; if it stays so, ask who manages the catalog",
                    code=code,
                )
        waiting = {values: waiting[values] for values in errors.keys() - gone}
        if not waiting:
            break
        sleep(_FIRST_PAUSE * 2**number * random.uniform(0.5, 1.5))  # noqa: S311  # no secret
    return {move.values for move in moves} - gone


def _update(
    glue: GlueGateway, database: str, table: str, moves: Sequence[Move]
) -> dict[tuple[str, ...], Mapping[str, Any]]:
    with aws_errors(f"{database}.{table}"):
        answer = glue.client.batch_update_partition(
            DatabaseName=database,
            TableName=table,
            Entries=[{"PartitionValueList": list(move.values), "PartitionInput": move.to_api()} for move in moves],
        )
    return {tuple(error["PartitionValueList"]): error for error in answer.get("Errors", ())}
