"""The partition index of a table in the Glue Data Catalog, and the switch by which Athena uses it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ddb_export.aws.errors import aws_errors, error_code
from ddb_export.exceptions import PublishError

if TYPE_CHECKING:
    from ddb_export.aws.glue import GlueGateway

PARTITION_INDEX = "ddb_export"
"""Name of the one index that we make; another name would make another index."""

FILTERING = "partition_filtering.enabled"
"""Table parameter without which Athena uses no index (Athena user guide, "Optimize queries with AWS Glue partition indexing and
filtering")."""

_TRIES = 5


def ensure_partition_index(glue: GlueGateway, database: str, name: str, keys: Sequence[str]) -> bool:
    """Let Glue filter partitions by an index, and let Athena use it.

    Glue builds it in the background: queries are right before, and faster afterwards, so that nothing waits for it.

    :param keys: partition keys, beginning with the first.
    :return: whether anything was written.
    :raises PublishError: the table has as many indexes as Glue allows, or others kept changing the table.
    """
    is_new = _create(glue, database, name, keys)
    for _ in range(_TRIES):
        with aws_errors(f"{database}.{name}"):
            found: dict[str, Any] = glue.client.get_table(DatabaseName=database, Name=name)["Table"]
        if found.get("Parameters", {}).get(FILTERING) == "true":
            return is_new
        # What GetTable answers beside the members of a TableInput cannot be sent back.
        members = glue.client.meta.service_model.shape_for("TableInput").members
        wanted = {key: value for key, value in found.items() if key in members}
        wanted["Parameters"] = {**found.get("Parameters", {}), FILTERING: "true"}
        if _update(glue, database, wanted, found.get("VersionId")):
            return True
    raise PublishError(f"{database}.{name}", f"others changed it {_TRIES} times meanwhile", "clear this task")


def _create(glue: GlueGateway, database: str, name: str, keys: Sequence[str]) -> bool:
    from botocore.exceptions import ClientError

    index = {"IndexName": PARTITION_INDEX, "Keys": list(keys)}
    with aws_errors(f"partition index of {database}.{name}"):
        try:
            glue.client.create_partition_index(DatabaseName=database, TableName=name, PartitionIndex=index)
        except ClientError as error:
            if error_code(error) == "AlreadyExistsException":
                return False
            if error_code(error) == "ResourceNumberLimitExceededException":
                raise PublishError(
                    f"partition index of {database}.{name}",
                    "the table has as many indexes as Glue allows",
                    "delete one of them, or set glue: {partition_index: false}",
                    code="ResourceNumberLimitExceededException",
                ) from error
            raise
    return True


def _update(glue: GlueGateway, database: str, wanted: dict[str, Any], version: str | None) -> bool:
    from botocore.exceptions import ClientError

    with aws_errors(f"{database}.{wanted['Name']}"):
        try:
            glue.client.update_table(
                DatabaseName=database,
                TableInput=wanted,
                SkipArchive=True,
                **({"VersionId": version} if version else {}),
            )
        except ClientError as error:
            if error_code(error) == "ConcurrentModificationException":
                return False
            raise
    return True
