"""The lab's Glue: what ministack 1.5.33 gets wrong or leaves out, replaced at one seam.

`install` puts our operations in front of ministack's dispatcher; jobs, crawlers, tags and the rest stay its own. The
data live in ministack's stores, so that its reset and its Iceberg REST catalog see the same tables.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable
from typing import Any

from local_aws import glue_catalog, glue_partitions, hooks
from local_aws.glue_catalog import Answer, GlueError, Request
from local_aws.glue_model import violation_message, violations

Operation = Callable[[Request], Answer]

OPERATIONS: dict[str, Operation] = {
    "CreateDatabase": glue_catalog.create_database,
    "GetDatabase": glue_catalog.get_database,
    "GetDatabases": glue_catalog.get_databases,
    "UpdateDatabase": glue_catalog.update_database,
    "DeleteDatabase": glue_catalog.delete_database,
    "CreateTable": glue_catalog.create_table,
    "GetTable": glue_catalog.get_table,
    "GetTables": glue_catalog.get_tables,
    "UpdateTable": glue_catalog.update_table,
    "DeleteTable": glue_catalog.delete_table,
    "BatchDeleteTable": glue_catalog.batch_delete_table,
    "GetTableVersion": glue_catalog.get_table_version,
    "GetTableVersions": glue_catalog.get_table_versions,
    "DeleteTableVersion": glue_catalog.delete_table_version,
    "BatchDeleteTableVersion": glue_catalog.batch_delete_table_version,
    "CreatePartition": glue_partitions.create_partition,
    "UpdatePartition": glue_partitions.update_partition,
    "DeletePartition": glue_partitions.delete_partition,
    "GetPartition": glue_partitions.get_partition,
    "GetPartitions": glue_partitions.get_partitions,
    "BatchCreatePartition": glue_partitions.batch_create_partition,
    "BatchUpdatePartition": glue_partitions.batch_update_partition,
    "BatchDeletePartition": glue_partitions.batch_delete_partition,
    "BatchGetPartition": glue_partitions.batch_get_partition,
    "CreatePartitionIndex": glue_partitions.create_partition_index,
    "GetPartitionIndexes": glue_partitions.get_partition_indexes,
}

# Each request runs on a thread of its own in ministack: one lock makes read-check-write of the catalog atomic.
_LOCK = threading.RLock()


def call(operation: str, request: Request) -> Answer:
    """Do one of OPERATIONS as the account and region of the current request scope.

    Raises GlueError. The answer is a copy: later changes of the catalog do not reach it.
    """
    found = violations("glue", operation, request)
    if found:
        raise GlueError("ValidationException", violation_message(found))
    own_catalog = hooks.responses().get_account_id()
    if request.get("CatalogId") not in (None, own_catalog):
        # ASSUMPTION: without a resource policy, which the lab has not, another account's catalog is closed.
        raise GlueError(
            "AccessDeniedException", f"Account {own_catalog} is denied access to catalog {request['CatalogId']}."
        )
    with _LOCK:
        return json.loads(json.dumps(OPERATIONS[operation](request)))  # type: ignore[no-any-return]


def install() -> None:
    """Put the operations of this room before ministack's, and let its reset forget our versions too."""
    glue = hooks.module("ministack.services.glue")
    if getattr(glue._handle_request_sync, "of_the_lab", False):
        return
    glue._handle_request_sync = _dispatcher(glue._handle_request_sync)
    glue.reset = _reset_with_versions(glue.reset)


def _dispatcher(original: Callable[..., Any]) -> Callable[..., Any]:
    def dispatch(method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]) -> Any:
        target = headers.get("x-amz-target", "")
        service, _, operation = target.partition(".")
        if path.startswith("/iceberg") or service != "AWSGlue" or operation not in OPERATIONS:
            with _LOCK if path.startswith("/iceberg") else contextlib.nullcontext():
                return original(method, path, headers, body, query)
        return _answer(operation, body)

    dispatch.of_the_lab = True  # type: ignore[attr-defined]
    return dispatch


def _answer(operation: str, body: bytes) -> Any:
    responses = hooks.responses()
    try:
        request = json.loads(body) if body else {}
    except json.JSONDecodeError:
        return responses.error_response_json("SerializationException", "The request body is no JSON", 400)
    try:
        return responses.json_response(call(operation, request), content_type="application/x-amz-json-1.1")
    except GlueError as error:
        return responses.error_response_json(
            error.code, str(error), 400, message_key="Message", content_type="application/x-amz-json-1.1"
        )


def _reset_with_versions(original: Callable[[], None]) -> Callable[[], None]:
    def reset() -> None:
        with _LOCK:
            original()
            glue_catalog.reset()

    return reset
