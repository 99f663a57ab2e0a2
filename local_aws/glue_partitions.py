"""Glue's partitions: single and batch calls, Expression, paging and segments (over ministack's store).

Batch calls answer HTTP 200 and tell the fate of each partition in `Errors[]`; a caller who does not read that list
loses partitions silently (source: botocore's glue model).
"""

from __future__ import annotations

import time
import zlib
from typing import Any

from local_aws import hooks
from local_aws.faults import Faults
from local_aws.glue_catalog import (
    Answer,
    GlueError,
    Request,
    decode_token,
    encode_token,
    error_detail,
    key_of,
    members_of,
    stores,
    table_of,
)
from local_aws.glue_expression import ExpressionError, compile_expression, typed_values

# ASSUMPTION: without MaxResults a page is as large as it may be.
_DEFAULT_PAGE = 1000

Partition = dict[str, Any]

_MOST_INDEXES = 3
_faults: list[Faults] = []


def refuse_by(faults: Faults) -> None:
    """Let the lab's faults refuse single partitions inside the answers of batch calls."""
    _faults[:] = [faults]


def _refused(operation: str, values: list[str]) -> GlueError | None:
    subject = {"service": "glue", "operation": operation, "partition": "/".join(values)}
    account = hooks.responses().get_account_id()
    fault = next((found for each in _faults if (found := each.claim("refuse_partition", account, subject))), None)
    if fault is None:
        return None
    return GlueError(fault.get("code", "ThrottlingException"), fault.get("message", "Rate exceeded"))


def partition_keys(table: dict[str, Any]) -> dict[str, str]:
    """The partition keys of `table` in order: name in lower case, Hive type."""
    return {key["Name"].lower(): key.get("Type") or "string" for key in table.get("PartitionKeys") or []}


def partitions_of(table: dict[str, Any]) -> list[Partition]:
    """The stored partitions of `table`, live objects in the order of their creation."""
    found: list[Partition] = stores()._partitions.setdefault(key_of(table), [])
    return found


def create_partition(request: Request) -> Answer:
    """CreatePartition."""
    table = table_of(request)
    _add(table, request["PartitionInput"])
    return {}


def update_partition(request: Request) -> Answer:
    """UpdatePartition; PartitionInput may carry other values, which moves the partition."""
    _replace(table_of(request), request["PartitionValueList"], request["PartitionInput"])
    return {}


def delete_partition(request: Request) -> Answer:
    """DeletePartition."""
    _remove(table_of(request), request["PartitionValues"])
    return {}


def get_partition(request: Request) -> Answer:
    """GetPartition."""
    return {"Partition": _find(table_of(request), request["PartitionValues"])}


def batch_create_partition(request: Request) -> Answer:
    """BatchCreatePartition, at most 100; what exists already is told in Errors, the others are created."""
    table = table_of(request)
    inputs = request["PartitionInputList"]
    # ASSUMPTION: a wrong number of values fails the whole call before anything is created.
    for given in inputs:
        _check_values(table, given.get("Values", []))
    known = {tuple(partition["Values"]) for partition in partitions_of(table)}
    errors = []
    for given in inputs:
        if tuple(given.get("Values", [])) in known:
            errors.append({"PartitionValues": given.get("Values", []), "ErrorDetail": error_detail(_exists())})
            continue
        if refusal := _refused("BatchCreatePartition", given.get("Values", [])):
            errors.append({"PartitionValues": given.get("Values", []), "ErrorDetail": error_detail(refusal)})
            continue
        known.add(tuple(given.get("Values", [])))
        partitions_of(table).append(_partition(table, given, int(time.time())))
    return {"Errors": errors}


def batch_update_partition(request: Request) -> Answer:
    """BatchUpdatePartition, 1 to 100; each entry is keyed by its PartitionValueList."""
    table = table_of(request)
    errors = []
    for entry in request["Entries"]:
        try:
            if refusal := _refused("BatchUpdatePartition", entry["PartitionValueList"]):
                raise refusal
            _replace(table, entry["PartitionValueList"], entry["PartitionInput"])
        except GlueError as error:
            errors.append({"PartitionValueList": entry["PartitionValueList"], "ErrorDetail": error_detail(error)})
    return {"Errors": errors}


def batch_delete_partition(request: Request) -> Answer:
    """BatchDeletePartition, at most 25."""
    table = table_of(request)
    errors = []
    for named in request["PartitionsToDelete"]:
        try:
            _remove(table, named["Values"])
        except GlueError as error:
            errors.append({"PartitionValues": named["Values"], "ErrorDetail": error_detail(error)})
    return {"Errors": errors}


def batch_get_partition(request: Request) -> Answer:
    """BatchGetPartition, at most 1000.

    ASSUMPTION: UnprocessedKeys names what was not there, too; the lab has no other reason to leave a key unprocessed.
    """
    by_values = {tuple(partition["Values"]): partition for partition in partitions_of(table_of(request))}
    found, missing = [], []
    for named in request["PartitionsToGet"]:
        partition = by_values.get(tuple(named["Values"]))
        if partition is None:
            missing.append(named)
        else:
            found.append(partition)
    return {"Partitions": found, "UnprocessedKeys": missing}


def get_partitions(request: Request) -> Answer:
    """GetPartitions with Expression, Segment, ExcludeColumnSchema and pages that hold while partitions come and go.

    A page goes on behind the values where the last one ended, in the order of values.
    """
    table = table_of(request)
    after = decode_token(request.get("NextToken"))
    limit = int(request.get("MaxResults") or _DEFAULT_PAGE)
    chosen = sorted(_selected(table, request), key=lambda partition: list(partition["Values"]))
    if after is not None:
        chosen = [partition for partition in chosen if list(partition["Values"]) > after]
    shown = chosen[:limit]
    if request.get("ExcludeColumnSchema"):
        shown = [_without_columns(partition) for partition in shown]
    answer: Answer = {"Partitions": shown}
    if len(chosen) > limit:
        answer["NextToken"] = encode_token(chosen[limit - 1]["Values"])
    return answer


def _selected(table: dict[str, Any], request: Request) -> list[Partition]:
    partitions = list(partitions_of(table))
    segment = request.get("Segment")
    if segment:
        number, total = segment["SegmentNumber"], segment["TotalSegments"]
        partitions = [p for p in partitions if zlib.crc32("\0".join(p["Values"]).encode()) % total == number]
    expression = (request.get("Expression") or "").strip()
    if not expression:
        return partitions
    keys = partition_keys(table)
    try:
        matches = compile_expression(expression, keys)
        return [partition for partition in partitions if matches(typed_values(partition["Values"], keys))]
    except ExpressionError as error:
        raise GlueError("InvalidInputException", str(error)) from error


def _without_columns(partition: Partition) -> Partition:
    descriptor = {key: value for key, value in partition.get("StorageDescriptor", {}).items() if key != "Columns"}
    return {**partition, "StorageDescriptor": descriptor}


def _partition(table: dict[str, Any], given: dict[str, Any], created: int) -> Partition:
    partition = members_of("PartitionInput", given)
    for column in (partition.get("StorageDescriptor") or {}).get("Columns", []):
        column["Name"] = column["Name"].lower()
    return {
        **partition,
        "DatabaseName": table["DatabaseName"],
        "TableName": table["Name"],
        "CreationTime": created,
        "CatalogId": hooks.responses().get_account_id(),
    }


def _check_values(table: dict[str, Any], values: list[str]) -> None:
    if len(values) != len(table.get("PartitionKeys") or []):
        raise GlueError(
            "InvalidInputException", "The number of partition keys do not match the number of partition values"
        )


def _exists() -> GlueError:
    return GlueError("AlreadyExistsException", "Partition already exists.")


def _index(table: dict[str, Any], values: list[str]) -> int | None:
    for index, partition in enumerate(partitions_of(table)):
        if list(partition["Values"]) == list(values):
            return index
    return None


def _find(table: dict[str, Any], values: list[str]) -> Partition:
    index = _index(table, values)
    if index is None:
        raise GlueError("EntityNotFoundException", "Cannot find partition.")
    return partitions_of(table)[index]


def _add(table: dict[str, Any], given: dict[str, Any]) -> None:
    values = given.get("Values", [])
    _check_values(table, values)
    if _index(table, values) is not None:
        raise _exists()
    partitions_of(table).append(_partition(table, given, int(time.time())))


def _replace(table: dict[str, Any], values: list[str], given: dict[str, Any]) -> None:
    old = _find(table, values)
    renamed = given.get("Values") or values
    _check_values(table, renamed)
    if list(renamed) != list(values) and _index(table, renamed) is not None:
        raise _exists()
    new = _partition(table, {**given, "Values": renamed}, old["CreationTime"])
    partitions_of(table)[partitions_of(table).index(old)] = new


def _remove(table: dict[str, Any], values: list[str]) -> None:
    partitions_of(table).remove(_find(table, values))


# ---- indexes


def create_partition_index(request: Request) -> Answer:
    """CreatePartitionIndex: at most three of a table; the lab's are ACTIVE at once."""
    table = table_of(request)
    wanted = request["PartitionIndex"]
    indexes = stores()._partition_indexes.setdefault(key_of(table), [])
    types = partition_keys(table)
    unknown = [key for key in wanted["Keys"] if key.lower() not in types]
    if unknown:
        raise GlueError("InvalidInputException", f"Index keys {unknown} are no partition keys of {table['Name']}.")
    keys = [{"Name": key.lower(), "Type": types[key.lower()]} for key in wanted["Keys"]]
    # ASSUMPTION: an index of the same name, or of the same keys, exists already.
    if any(index["IndexName"] == wanted["IndexName"] or index["Keys"] == keys for index in indexes):
        raise GlueError("AlreadyExistsException", f"Index {wanted['IndexName']} already exists.")
    if len(indexes) >= _MOST_INDEXES:
        raise GlueError("ResourceNumberLimitExceededException", f"Number of indexes exceeds {_MOST_INDEXES}.")
    indexes.append({"IndexName": wanted["IndexName"], "Keys": keys, "IndexStatus": "ACTIVE"})
    return {}


def get_partition_indexes(request: Request) -> Answer:
    """GetPartitionIndexes."""
    table = table_of(request)
    return {"PartitionIndexDescriptorList": stores()._partition_indexes.get(key_of(table), [])}
