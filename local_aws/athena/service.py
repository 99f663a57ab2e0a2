"""Athena's query operations: start, watch, read, stop and list queries of the calling account.

A query runs on a thread of its own, a few at a time; until then it is QUEUED. States, reasons and limits follow
botocore's athena model; what it leaves open is marked.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
from sqlglot import exp

from local_aws import hooks
from local_aws.athena import ddl, dialect, results, statements
from local_aws.athena.engine import Session
from local_aws.athena.errors import SYSTEM_ERROR, QueryFailed, RequestRefused
from local_aws.athena.results import Result
from local_aws.athena.storage import Storage, StorageError, split_uri
from local_aws.glue_model import violation_message, violations

Request = dict[str, Any]
Answer = dict[str, Any]

_RUNNING_AT_ONCE = 4
_INTERRUPT_SECONDS = 0.05
_ENGINE = "Athena engine version 3"
_FINAL = frozenset({"SUCCEEDED", "FAILED", "CANCELLED"})
_slots: dict[asyncio.AbstractEventLoop, asyncio.Semaphore] = {}
_tasks: set[asyncio.Task[None]] = set()


@dataclass
class _Query:
    """What the model does not show of a query: its statement, its result and how to stop it."""

    statement: exp.Expr
    database: str
    location: str
    token: str
    request: Request
    result: Result = field(default_factory=Result)
    connection: duckdb.DuckDBPyConnection | None = None
    let_go: bool = False


def start_query_execution(request: Request) -> Answer:
    """StartQueryExecution; the same ClientRequestToken with the same request gives the same query."""
    workgroup = _workgroup(request.get("WorkGroup") or "primary")
    known = _by_token(request)
    if known is not None:
        return {"QueryExecutionId": known}
    location = _output_location(request, workgroup)
    statement = dialect.parse(request["QueryString"])
    if request.get("ExecutionParameters"):
        statement = dialect.bind_parameters(statement, request["ExecutionParameters"])
    storage = Storage(hooks.responses().get_account_id(), hooks.responses().get_region())
    try:
        storage.check_bucket(location)
    except StorageError as error:
        # ASSUMPTION: Athena's words when the bucket is missing or not the caller's.
        raise RequestRefused(f"Unable to verify/create output bucket {split_uri(location)[0]}. {error.code}") from error
    execution = _execution(request, workgroup["Name"], location, statement)
    _executions()[execution["QueryExecutionId"]] = execution
    task = asyncio.get_running_loop().create_task(_run(execution, storage))
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return {"QueryExecutionId": execution["QueryExecutionId"]}


def get_query_execution(request: Request) -> Answer:
    """GetQueryExecution."""
    return {"QueryExecution": _shown(_find(request["QueryExecutionId"]))}


def batch_get_query_execution(request: Request) -> Answer:
    """BatchGetQueryExecution, at most 50."""
    found, missing = [], []
    for query_id in request["QueryExecutionIds"]:
        execution = _executions().get(query_id)
        if execution is None:
            text = f"QueryExecution {query_id} was not found"
            missing.append({"QueryExecutionId": query_id, "ErrorCode": "INVALID_INPUT", "ErrorMessage": text})
        else:
            found.append(_shown(execution))
    return {"QueryExecutions": found, "UnprocessedQueryExecutionIds": missing}


def get_query_results(request: Request) -> Answer:
    """GetQueryResults: pages of at most 1000 rows, the header of a query counts as one."""
    execution = _find(request["QueryExecutionId"])
    state = execution["Status"]["State"]
    if state != "SUCCEEDED":
        # ASSUMPTION: Athena's words.
        text = "Query did not finish successfully. Final" if state in _FINAL else "Query has not yet finished. Current"
        raise RequestRefused(f"{text} query state: {state}", athena_code="INVALID_QUERY_EXECUTION_STATE")
    result: Result = execution["_query"].result
    header: list[results.Row] = [[column.name for column in result.columns]] if result.header else []
    start, limit = _offset(request.get("NextToken")), int(request.get("MaxResults") or 1000)
    total = len(header) + len(result.rows)
    shown = header[start : start + limit]
    shown += result.rows[max(0, start - len(header)) : max(0, start + limit - len(header))]
    answer: Answer = {
        "UpdateCount": 0,
        "ResultSet": {
            "Rows": [{"Data": [{} if text is None else {"VarCharValue": text} for text in row]} for row in shown],
            "ResultSetMetadata": {"ColumnInfo": [column.info() for column in result.columns]},
        },
    }
    if start + limit < total:
        answer["NextToken"] = _token(start + limit)
    return answer


def stop_query_execution(request: Request) -> Answer:
    """StopQueryExecution; a query that has ended stays as it is."""
    execution = _find(request["QueryExecutionId"])
    if execution["Status"]["State"] not in _FINAL:
        _end(execution, "CANCELLED", "Query cancelled by user")
        _interrupt(execution["_query"])
    return {}


def list_query_executions(request: Request) -> Answer:
    """ListQueryExecutions of a workgroup, newest first, at most 50 in a page."""
    name = _workgroup(request.get("WorkGroup") or "primary")["Name"]
    own = [query_id for query_id, execution in list(_executions().items()) if execution["WorkGroup"] == name]
    newest, start = own[::-1], _offset(request.get("NextToken"))
    end = start + int(request.get("MaxResults") or 50)
    answer: Answer = {"QueryExecutionIds": newest[start:end]}
    if end < len(newest):
        answer["NextToken"] = _token(end)
    return answer


HANDLERS: dict[str, tuple[str, Callable[[Request], Answer]]] = {
    "_start_query_execution": ("StartQueryExecution", start_query_execution),
    "_get_query_execution": ("GetQueryExecution", get_query_execution),
    "_batch_get_query_execution": ("BatchGetQueryExecution", batch_get_query_execution),
    "_get_query_results": ("GetQueryResults", get_query_results),
    "_stop_query_execution": ("StopQueryExecution", stop_query_execution),
    "_list_query_executions": ("ListQueryExecutions", list_query_executions),
}


def answering(handler: tuple[str, Callable[[Request], Answer]]) -> Callable[[Request], Any]:
    """The operation as ministack wants a handler: a request in, an HTTP answer out."""
    operation, function = handler

    def answer(request: Request) -> Any:
        responses = hooks.responses()
        kind = "application/x-amz-json-1.1"
        try:
            _check(operation, request)
            return responses.json_response(function(request), content_type=kind)
        except RequestRefused as error:
            extra = {"AthenaErrorCode": error.athena_code} if error.athena_code else None
            return responses.error_response_json(
                error.error, error.message, 400, extra, message_key="Message", content_type=kind
            )

    return answer


def _check(operation: str, request: Request) -> None:
    found = violations("athena", operation, request)
    if found:
        # ASSUMPTION: Athena answers InvalidRequestException where other services say ValidationException.
        raise RequestRefused(violation_message(found))


async def _run(execution: dict[str, Any], storage: Storage) -> None:
    slots = _slots.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(_RUNNING_AT_ONCE))
    async with slots:
        if execution["Status"]["State"] in _FINAL:
            execution["_query"].let_go = True
            return
        execution["Status"]["State"] = "RUNNING"
        started = time.time()
        execution["Statistics"]["QueryQueueTimeInMillis"] = int(
            (started - execution["Status"]["SubmissionDateTime"]) * 1000
        )
        try:
            await asyncio.to_thread(_work, execution, storage)
        except asyncio.CancelledError:
            # The lab stops: a thread cannot be cancelled, and the process waits for it.
            _interrupt(execution["_query"])
            raise
        elapsed = int((time.time() - started) * 1000)
        execution["Statistics"]["EngineExecutionTimeInMillis"] = elapsed
        execution["Statistics"]["TotalExecutionTimeInMillis"] = elapsed


def _interrupt(query: _Query) -> None:
    threading.Thread(target=_interrupt_until_it_ends, args=(query,), daemon=True).start()


def _interrupt_until_it_ends(query: _Query) -> None:
    # An interruption between two statements is forgotten: it is repeated until the query's thread lets go.
    while not query.let_go:
        connection = query.connection
        if connection is not None:
            with contextlib.suppress(duckdb.Error):
                connection.interrupt()
        time.sleep(_INTERRUPT_SECONDS)


def _work(execution: dict[str, Any], storage: Storage) -> None:
    query: _Query = execution["_query"]
    try:
        query.result = _result(query, storage)
        execution["Statistics"]["DataScannedInBytes"] = query.result.scanned
        _write(execution, query.result, storage)
        _end(execution, "SUCCEEDED", None)
    except QueryFailed as error:
        _fail(execution, error)
    except Exception as error:  # noqa: BLE001 whatever happens, the query must end
        _fail(execution, QueryFailed("GENERIC_INTERNAL_ERROR", f"{type(error).__name__}: {error}", SYSTEM_ERROR))
    finally:
        query.let_go = True


def _result(query: _Query, storage: Storage) -> Result:
    if not statements.is_query(query.statement):
        return ddl.run(query.statement, query.request["QueryString"], query.database, storage)
    folder = Path(tempfile.mkdtemp(prefix="lab-athena-"))
    session = Session(storage, folder, query.database)
    query.connection = session.connection
    try:
        return session.run(query.statement)
    finally:
        query.connection = None
        session.close()
        shutil.rmtree(folder, ignore_errors=True)


def _write(execution: dict[str, Any], result: Result, storage: Storage) -> None:
    location = execution["ResultConfiguration"]["OutputLocation"]
    try:
        storage.write(location, results.csv_of(result), "application/octet-stream")
        # ASSUMPTION: Athena's .metadata is a binary format without documentation; ours names columns and types.
        names = "\n".join(f"{column.name}\t{column.type}" for column in result.columns)
        storage.write(f"{location}.metadata", names.encode(), "application/octet-stream")
    except StorageError as error:
        text = f"Access denied when writing output to url: {location}. {error}"
        raise QueryFailed("PERMISSION_DENIED" if error.status == 403 else "HIVE_WRITER_OPEN_ERROR", text) from error


def _fail(execution: dict[str, Any], error: QueryFailed) -> None:
    if execution["Status"]["State"] in _FINAL:
        return
    _end(execution, "FAILED", str(error))
    execution["Status"]["AthenaError"] = {
        "ErrorCategory": error.category,
        "ErrorType": error.error_type,
        "Retryable": False,
        "ErrorMessage": str(error),
    }


def _end(execution: dict[str, Any], state: str, reason: str | None) -> None:
    status = execution["Status"]
    if status["State"] in _FINAL:
        return
    if reason is not None:
        status["StateChangeReason"] = reason
    status["CompletionDateTime"] = time.time()
    status["State"] = state


def _execution(request: Request, workgroup: str, location: str, statement: exp.Expr) -> dict[str, Any]:
    query_id = str(uuid.uuid4())
    context = request.get("QueryExecutionContext") or {}
    database = context.get("Database") or "default"
    extension = "csv" if statements.is_query(statement) else "txt"
    return {
        "QueryExecutionId": query_id,
        "Query": request["QueryString"],
        "StatementType": statements.statement_type(statement),
        "SubstatementType": statements.substatement_type(statement),
        "ResultConfiguration": {
            **(request.get("ResultConfiguration") or {}),
            "OutputLocation": f"{location.rstrip('/')}/{query_id}.{extension}",
        },
        "QueryExecutionContext": {key: value for key, value in context.items() if value},
        "ExecutionParameters": request.get("ExecutionParameters"),
        "Status": {"State": "QUEUED", "SubmissionDateTime": time.time()},
        "Statistics": {"DataScannedInBytes": 0, "EngineExecutionTimeInMillis": 0},
        "WorkGroup": workgroup,
        "EngineVersion": {"SelectedEngineVersion": "AUTO", "EffectiveEngineVersion": _ENGINE},
        "_query": _Query(statement, database, location, request.get("ClientRequestToken") or query_id, request),
    }


def _shown(execution: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in execution.items() if not key.startswith("_") and value is not None}


def _executions() -> Any:
    return hooks.module("ministack.services.athena")._executions


def _find(query_id: str) -> dict[str, Any]:
    found: dict[str, Any] | None = _executions().get(query_id)
    if found is None:
        raise RequestRefused(f"QueryExecution {query_id} was not found")
    return found


def _by_token(request: Request) -> str | None:
    token = request.get("ClientRequestToken")
    for query_id, execution in list(_executions().items()) if token else []:
        if execution["_query"].token != token:
            continue
        if execution["_query"].request != request:
            raise RequestRefused("Idempotent parameters do not match")
        return str(query_id)
    return None


def _workgroup(name: str) -> dict[str, Any]:
    found: dict[str, Any] | None = hooks.module("ministack.services.athena")._workgroups.get(name)
    if found is None:
        raise RequestRefused(f"WorkGroup {name} is not found.")
    if found.get("State") == "DISABLED":
        raise RequestRefused(f"WorkGroup {name} is disabled.")
    return found


def _output_location(request: Request, workgroup: dict[str, Any]) -> str:
    configuration = workgroup.get("Configuration") or {}
    of_workgroup = (configuration.get("ResultConfiguration") or {}).get("OutputLocation")
    asked = (request.get("ResultConfiguration") or {}).get("OutputLocation")
    enforced = configuration.get("EnforceWorkGroupConfiguration")
    location = of_workgroup if of_workgroup and enforced else asked or of_workgroup
    if not location:
        raise RequestRefused(
            "No output location provided. An output location is required either through the Workgroup result"
            " configuration setting or as an API input."
        )
    try:
        split_uri(location)
    except ValueError as error:
        raise RequestRefused(f"outputLocation is not a valid S3 path: {location}") from error
    return str(location)


def _token(offset: int) -> str:
    return base64.urlsafe_b64encode(str(offset).encode()).decode()


def _offset(token: str | None) -> int:
    try:
        return int(base64.urlsafe_b64decode(token.encode())) if token else 0
    except (binascii.Error, ValueError) as error:
        raise RequestRefused("The pagination token is invalid") from error
