"""The Glue catalog in memory, in the shape of a boto3 client, and a count that stands for Athena."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tests.model.store import BUCKET, Bucket, Caller

if TYPE_CHECKING:
    from collections.abc import Mapping

DATABASE = "lake"


@dataclass(frozen=True)
class Partition:
    """A partition as readers find it.

    :param location: key of its folder, with a final slash.
    """

    table: str
    values: tuple[str, ...]
    location: str
    parameters: Mapping[str, str]


@dataclass
class Catalog:
    """Tables and partitions by their names; ``version`` counts what was changed."""

    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    partitions: dict[str, dict[tuple[str, ...], dict[str, Any]]] = field(default_factory=dict)

    def visible(self, output: str) -> list[Partition]:
        """Return the partitions of every table of an output."""
        return [
            Partition(
                name,
                values,
                partition["StorageDescriptor"]["Location"].removeprefix(f"s3://{BUCKET}/"),
                partition.get("Parameters", {}),
            )
            for name, partitions in sorted(self.partitions.items())
            if name.endswith(f"_{output}")
            for values, partition in sorted(partitions.items())
        ]


class GlueClient:
    """A client of the model, as one worker has it."""

    def __init__(self, catalog: Catalog, caller: Caller) -> None:
        self._catalog = catalog
        self._caller = caller

    def get_table(self, DatabaseName: str, Name: str) -> dict[str, Any]:  # noqa: N803  # boto3's
        return self._call("GetTable", lambda: {"Table": copy.deepcopy(self._table("GetTable", Name))})

    def create_table(self, DatabaseName: str, TableInput: dict[str, Any]) -> dict[str, Any]:  # noqa: N803
        def effect() -> dict[str, Any]:
            name = TableInput["Name"]
            if name in self._catalog.tables:
                raise _refusal("CreateTable", "AlreadyExistsException")
            self._catalog.tables[name] = {**copy.deepcopy(TableInput), "VersionId": "0"}
            self._catalog.partitions[name] = {}
            return {}

        return self._call("CreateTable", effect)

    def update_table(
        self,
        DatabaseName: str,  # noqa: N803
        TableInput: dict[str, Any],  # noqa: N803
        SkipArchive: bool,  # noqa: N803
        VersionId: str | None = None,  # noqa: N803
    ) -> dict[str, Any]:
        def effect() -> dict[str, Any]:
            table = self._table("UpdateTable", TableInput["Name"])
            if VersionId is not None and VersionId != table["VersionId"]:
                raise _refusal("UpdateTable", "ConcurrentModificationException")
            version = str(int(table["VersionId"]) + 1)
            self._catalog.tables[TableInput["Name"]] = {**copy.deepcopy(TableInput), "VersionId": version}
            return {}

        return self._call("UpdateTable", effect)

    def batch_create_partition(
        self,
        DatabaseName: str,  # noqa: N803
        TableName: str,  # noqa: N803
        PartitionInputList: list[dict[str, Any]],  # noqa: N803
    ) -> dict[str, Any]:
        def effect() -> dict[str, Any]:
            self._table("BatchCreatePartition", TableName)
            errors = []
            for each in PartitionInputList:
                values = tuple(each["Values"])
                if values in self._catalog.partitions[TableName]:
                    detail = {"ErrorCode": "AlreadyExistsException", "ErrorMessage": "Partition already exists."}
                    errors.append({"PartitionValues": list(values), "ErrorDetail": detail})
                else:
                    self._catalog.partitions[TableName][values] = copy.deepcopy(each)
            return {"Errors": errors} if errors else {}

        return self._call("BatchCreatePartition", effect)

    def batch_get_partition(
        self,
        DatabaseName: str,  # noqa: N803
        TableName: str,  # noqa: N803
        PartitionsToGet: list[dict[str, Any]],  # noqa: N803
    ) -> dict[str, Any]:
        def effect() -> dict[str, Any]:
            self._table("BatchGetPartition", TableName)
            known = self._catalog.partitions[TableName]
            found = [(tuple(each["Values"]), each) for each in PartitionsToGet]
            return {
                "Partitions": [{"Values": list(v), **copy.deepcopy(known[v])} for v, _ in found if v in known],
                "UnprocessedKeys": [each for v, each in found if v not in known],
            }

        return self._call("BatchGetPartition", effect)

    def get_partition(self, DatabaseName: str, TableName: str, PartitionValues: list[str]) -> dict[str, Any]:  # noqa: N803
        def effect() -> dict[str, Any]:
            self._table("GetPartition", TableName)
            known = self._catalog.partitions[TableName].get(tuple(PartitionValues))
            if known is None:
                raise _refusal("GetPartition", "EntityNotFoundException")
            return {"Partition": {"Values": list(PartitionValues), **copy.deepcopy(known)}}

        return self._call("GetPartition", effect)

    def batch_update_partition(
        self,
        DatabaseName: str,  # noqa: N803
        TableName: str,  # noqa: N803
        Entries: list[dict[str, Any]],  # noqa: N803
    ) -> dict[str, Any]:
        def effect() -> dict[str, Any]:
            errors = []
            for each in Entries:
                values = tuple(each["PartitionValueList"])
                if values in self._catalog.partitions[TableName]:
                    self._catalog.partitions[TableName][values] = copy.deepcopy(each["PartitionInput"])
                else:
                    detail = {"ErrorCode": "EntityNotFoundException", "ErrorMessage": "Partition not found."}
                    errors.append({"PartitionValueList": list(values), "ErrorDetail": detail})
            return {"Errors": errors} if errors else {}

        return self._call("BatchUpdatePartition", effect)

    def delete_partition(self, DatabaseName: str, TableName: str, PartitionValues: list[str]) -> dict[str, Any]:  # noqa: N803
        def effect() -> dict[str, Any]:
            self._table("DeletePartition", TableName)
            if self._catalog.partitions[TableName].pop(tuple(PartitionValues), None) is None:
                raise _refusal("DeletePartition", "EntityNotFoundException")
            return {}

        return self._call("DeletePartition", effect)

    def _table(self, operation: str, name: str) -> dict[str, Any]:
        if name not in self._catalog.tables:
            raise _refusal(operation, "EntityNotFoundException")
        return self._catalog.tables[name]

    def _call(self, operation: str, effect: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        return self._caller.call("glue", operation, effect)


class AthenaCounter:
    """What the check task asks of Airflow's Athena hook: a count of rows in some partitions.

    :param rows_of: counts the rows below a location.
    """

    def __init__(self, catalog: Catalog, bucket: Bucket, caller: Caller, rows_of: Callable[[str], int]) -> None:
        self._catalog = catalog
        self._bucket = bucket
        self._caller = caller
        self._rows_of = rows_of
        self._answers: dict[str, int] = {}

    def run_query(self, query: str, context: Any, output: Any, workgroup: str | None = None) -> str:
        """Count at once; Athena skips files whose name begins with ``_`` or ``.``."""
        found = re.search(r'FROM "[^"]*"\."([^"]*)" WHERE (.*)$', query)
        assert found, query
        chosen = {tuple(re.findall(r"= '([^']*)'", each)) for each in found[2].split(" OR ")}

        def effect() -> str:
            partitions = self._catalog.partitions.get(found[1], {})
            locations = [
                each["StorageDescriptor"]["Location"].removeprefix(f"s3://{BUCKET}/")
                for values, each in partitions.items()
                if values in chosen
            ]
            name = f"query-{len(self._answers)}"
            self._answers[name] = sum(map(self._rows_of, locations))
            return name

        return self._caller.call("athena", "StartQueryExecution", effect)

    def poll_query_status(self, query_id: str, **_: Any) -> str:
        """Every query has succeeded."""
        return "SUCCEEDED"

    def get_state_change_reason(self, query_id: str) -> str:
        """No query fails."""
        return ""

    def get_query_results(self, query_id: str) -> dict[str, Any]:
        """Return the count as Athena does: a row of names, then a row of texts."""
        row = {"Data": [{"VarCharValue": str(self._answers[query_id])}]}
        return {"ResultSet": {"Rows": [{"Data": []}, row]}}


def _refusal(operation: str, code: str) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    return ClientError(response, operation)
