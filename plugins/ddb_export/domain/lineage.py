"""What was moved from where to where, as lineage tools know it: the names of datasets, and how much was written.

Datasets are tables and folders, not windows: a new dataset for each day would tear every graph apart. What of a dataset was read or written
is said beside it, as a subset. Names follow OpenLineage's conventions (OpenLineage, "Naming", and ``openlineage.client.naming`` 1.54) for S3
and Glue; it has none for DynamoDB, so that a table is named as Glue's are, by the two parts of its ARN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class DatasetName:
    """A dataset's name in OpenLineage.

    :param namespace: the data source, such as ``s3://company-lake``. :param name: what is meant inside it.
    """

    namespace: str
    name: str


def dynamodb_table(table_arn: str) -> DatasetName:
    """Name a DynamoDB table: ``arn:aws:dynamodb:eu-west-1:111122223333`` and ``table/orders``."""
    namespace, _, name = table_arn.rpartition(":")
    return DatasetName(namespace, name)


def glue_table(table_arn: str, full_name: str) -> DatasetName:
    """Name a table of the catalog: ``arn:aws:glue:eu-west-1:111122223333`` and ``table/lake/orders_changes``.

    :param table_arn: ARN of the DynamoDB table: one identity exports it and writes the catalog of its account and region.
    :param full_name: ``database.table``.
    """
    _, partition, _, region, account, _ = table_arn.split(":", 5)
    return DatasetName(f"arn:{partition}:glue:{region}:{account}", f"table/{full_name.replace('.', '/', 1)}")


def s3_folder(uri: str) -> DatasetName:
    """Name a folder in S3: ``s3://company-lake`` and ``dynamodb/orders/raw``."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return DatasetName(f"s3://{bucket}", key.strip("/"))


@dataclass(frozen=True, slots=True)
class Written:
    """What was written of a dataset.

    :param output: ``snapshots`` or ``changes``, whose columns it has; None where it has none that are known.
    :param rows: how many, ``files`` and ``size`` (bytes) too; None where nobody counted.
    :param partitions: the partitions that were written, by key. :param locations: the folders, as URIs, where there are no partitions.
    :param folder: where the files of a catalog's table lie.
    """

    dataset: DatasetName
    output: str | None = None
    rows: int | None = None
    files: int | None = None
    size: int | None = None
    partitions: tuple[Mapping[str, str], ...] = ()
    locations: tuple[str, ...] = ()
    folder: DatasetName | None = None

    def with_more(self, other: Written) -> Written:
        """Return both as one."""
        return replace(
            self,
            rows=_sum(self.rows, other.rows),
            files=_sum(self.files, other.files),
            size=_sum(self.size, other.size),
            partitions=(*self.partitions, *(each for each in other.partitions if each not in self.partitions)),
            locations=(*self.locations, *(each for each in other.locations if each not in self.locations)),
        )


@dataclass(frozen=True, slots=True)
class Moved:
    """What one export, or a part of it, gave.

    :param read: the dataset that was read. :param read_locations: what of it, as URIs; empty for all of it.
    :param export_arn: DynamoDB's export.
    """

    read: DatasetName
    written: Written
    export_arn: str
    read_locations: tuple[str, ...] = ()


def written_datasets(moved: Sequence[Moved]) -> list[Written]:
    """Return what was written, each dataset once, in order."""
    found: dict[DatasetName, Written] = {}
    for each in moved:
        known = found.get(each.written.dataset)
        found[each.written.dataset] = known.with_more(each.written) if known else each.written
    return list(found.values())


def read_datasets(moved: Sequence[Moved]) -> dict[DatasetName, tuple[str, ...]]:
    """Return what was read, each dataset once, with the locations inside it."""
    found: dict[DatasetName, tuple[str, ...]] = {}
    for each in moved:
        known = found.get(each.read, ())
        found[each.read] = (*known, *(location for location in each.read_locations if location not in known))
    return found


def partition_keys(partition: str) -> dict[str, str]:
    """Return the keys and values of a partition's path, such as ``changes/dt=2026-11-20/export_window=…``."""
    return dict(part.split("=", 1) for part in partition.split("/") if "=" in part)


def _sum(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else one + other
