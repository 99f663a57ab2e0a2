"""Glue's databases, tables and table versions, as the service answers them (over ministack's stores).

ministack 1.5.33 keeps names as written, merges UpdateTable into the old table, archives no versions and never pages.
Here names are folded to lower case, UpdateTable replaces the definition, versions are kept and lists come in pages
(sources: botocore's glue model, aws-export facts on Glue: SkipArchive, VersionId).
"""

from __future__ import annotations

import base64
import binascii
import copy
import json
import re
import time
from functools import lru_cache
from typing import Any

from local_aws import hooks
from local_aws.glue_model import service_model

Request = dict[str, Any]
Answer = dict[str, Any]

# ASSUMPTION: the page that Glue returns when no MaxResults is given; its documentation names only the maxima.
DEFAULT_PAGE = 100


class GlueError(Exception):
    """An exception of Glue's model: `code` is its name there, the text its message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def stores() -> Any:
    """Ministack's Glue module, whose stores (`_databases`, `_tables`, `_partitions`) hold the catalog."""
    return hooks.module("ministack.services.glue")


@lru_cache(maxsize=1)
def _versions() -> Any:
    return hooks.responses().AccountRegionScopedDict()


def reset() -> None:
    """Forget every archived table version, in all accounts."""
    _versions().clear()


def folded(request: Request, member: str) -> str:
    """The name that `request` gives in `member`, in lower case as Glue stores it."""
    return str(request.get(member) or "").lower()


def members_of(shape: str, given: dict[str, Any]) -> dict[str, Any]:
    """Those members of `given` that `shape` of Glue's model has and that are not null."""
    known = service_model("glue").shape_for(shape).members
    return {name: copy.deepcopy(value) for name, value in given.items() if name in known and value is not None}


def encode_token(position: Any) -> str:
    """An opaque NextToken that carries `position`."""
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode()


def decode_token(token: str | None) -> Any:
    """What `encode_token` put into the token, None without one; raises InvalidInputException for any other text."""
    if not token:
        return None
    try:
        return json.loads(base64.urlsafe_b64decode(token.encode()))
    except (binascii.Error, ValueError) as error:
        raise GlueError("InvalidInputException", "Invalid pagination token") from error


def page(items: list[Any], request: Request, list_member: str) -> Answer:
    """One page of `items` as `list_member`, with NextToken if more follow."""
    start = decode_token(request.get("NextToken")) or 0
    end = start + int(request.get("MaxResults") or DEFAULT_PAGE)
    answer: Answer = {list_member: items[start:end]}
    if end < len(items):
        answer["NextToken"] = encode_token(end)
    return answer


# ---- databases


def database_of(request: Request, member: str = "DatabaseName") -> dict[str, Any]:
    """The database that `request` names; raises EntityNotFoundException."""
    name = folded(request, member)
    found: dict[str, Any] | None = stores()._databases.get(name)
    if found is None:
        raise GlueError("EntityNotFoundException", f"Database {name} not found.")
    return found


def create_database(request: Request) -> Answer:
    """CreateDatabase."""
    given = members_of("DatabaseInput", request["DatabaseInput"])
    name = str(given["Name"]).lower()
    databases = stores()._databases
    if name in databases:
        raise GlueError("AlreadyExistsException", "Database already exists.")
    databases[name] = {
        **given,
        "Name": name,
        "CreateTime": int(time.time()),
        "CatalogId": hooks.responses().get_account_id(),
    }
    return {}


def get_database(request: Request) -> Answer:
    """GetDatabase."""
    return {"Database": database_of(request, "Name")}


def get_databases(request: Request) -> Answer:
    """GetDatabases, in the order of names."""
    databases = stores()._databases
    return page([databases[name] for name in sorted(databases)], request, "DatabaseList")


def update_database(request: Request) -> Answer:
    """UpdateDatabase: the given definition takes the place of the old one."""
    old = database_of(request, "Name")
    given = members_of("DatabaseInput", request["DatabaseInput"])
    stores()._databases[old["Name"]] = {**given, **{key: old[key] for key in ("Name", "CreateTime", "CatalogId")}}
    return {}


def delete_database(request: Request) -> Answer:
    """DeleteDatabase with all its tables."""
    name = database_of(request, "Name")["Name"]
    for table in _tables_of(name):
        _forget(name, table["Name"])
    stores()._databases.pop(name)
    return {}


# ---- tables


def table_of(request: Request, member: str = "TableName") -> dict[str, Any]:
    """The table that `request` names; raises EntityNotFoundException for the database or the table."""
    database = database_of(request)["Name"]
    name = folded(request, member)
    found: dict[str, Any] | None = stores()._tables.get(f"{database}/{name}")
    if found is None:
        raise GlueError("EntityNotFoundException", f"Table {name} not found.")
    return found


def key_of(table: dict[str, Any]) -> str:
    """The key of `table` in ministack's stores."""
    return f"{table['DatabaseName']}/{table['Name']}"


def create_table(request: Request) -> Answer:
    """CreateTable."""
    database = database_of(request)["Name"]
    _refuse_table_formats(request, "OpenTableFormatInput")
    # ASSUMPTION: the first version of a table is called "0".
    table = _definition(database, request["TableInput"], version=0, created=int(time.time()))
    if key_of(table) in stores()._tables:
        raise GlueError("AlreadyExistsException", "Table already exists.")
    stores()._tables[key_of(table)] = table
    return {}


def get_table(request: Request) -> Answer:
    """GetTable."""
    return {"Table": table_of(request, "Name")}


def get_tables(request: Request) -> Answer:
    """GetTables, in the order of names; Expression is a regular expression, a lone `*` stands for anything."""
    tables = _tables_of(database_of(request)["Name"])
    expression = request.get("Expression")
    if expression:
        # ASSUMPTION: Hive's `a*|b*` is understood as well as a true regular expression.
        text = expression if ".*" in expression else expression.replace("*", ".*")
        try:
            pattern = re.compile(text, re.IGNORECASE)
        except re.error as error:
            raise GlueError("InvalidInputException", f"Invalid expression {expression}") from error
        tables = [table for table in tables if pattern.fullmatch(table["Name"])]
    return page(tables, request, "TableList")


def update_table(request: Request) -> Answer:
    """UpdateTable: replaces the definition, archives the old one unless SkipArchive, checks VersionId if given."""
    given = request["TableInput"]
    _refuse_table_formats(request, "UpdateOpenTableFormatInput")
    old = table_of({"DatabaseName": request["DatabaseName"], "TableName": given["Name"]})
    expected = request.get("VersionId")
    if expected is not None and str(expected) != old["VersionId"]:
        raise GlueError(
            "ConcurrentModificationException",
            f"Update table failed due to concurrent modifications. Current version is {old['VersionId']}, not {expected}.",
        )
    if not request.get("SkipArchive"):
        _versions().setdefault(key_of(old), []).append(copy.deepcopy(old))
    table = _definition(old["DatabaseName"], given, version=int(old["VersionId"]) + 1, created=old["CreateTime"])
    stores()._tables[key_of(table)] = table
    return {}


def delete_table(request: Request) -> Answer:
    """DeleteTable with its partitions and versions."""
    table = table_of(request, "Name")
    _forget(table["DatabaseName"], table["Name"])
    return {}


def batch_delete_table(request: Request) -> Answer:
    """BatchDeleteTable: what is not there is told in Errors."""
    database_of(request)
    errors = []
    for name in request["TablesToDelete"]:
        try:
            delete_table({"DatabaseName": request["DatabaseName"], "Name": name})
        except GlueError as error:
            errors.append({"TableName": name, "ErrorDetail": error_detail(error)})
    return {"Errors": errors}


def error_detail(error: GlueError) -> dict[str, str]:
    """`error` as an ErrorDetail of a batch call."""
    return {"ErrorCode": error.code, "ErrorMessage": str(error)}


def _definition(database: str, given: dict[str, Any], version: int, created: int) -> dict[str, Any]:
    table = members_of("TableInput", given)
    descriptor = table.get("StorageDescriptor") or {}
    for column in [*descriptor.get("Columns", []), *table.get("PartitionKeys", [])]:
        column["Name"] = column["Name"].lower()
    return {
        **table,
        "Name": str(given["Name"]).lower(),
        "DatabaseName": database,
        "CreateTime": created,
        "UpdateTime": int(time.time()),
        "IsRegisteredWithLakeFormation": False,
        "CatalogId": hooks.responses().get_account_id(),
        "VersionId": str(version),
    }


def _refuse_table_formats(request: Request, member: str) -> None:
    if request.get(member):
        raise GlueError(
            "InvalidInputException", f"{member} is not supported by the lab: write the Iceberg metadata yourself"
        )


def _tables_of(database: str) -> list[dict[str, Any]]:
    tables = stores()._tables
    return [tables[key] for key in sorted(tables) if key.partition("/")[0] == database]


def _forget(database: str, name: str) -> None:
    key = f"{database}/{name}"
    glue = stores()
    for store in (
        glue._tables,
        glue._partitions,
        glue._partition_indexes,
        glue._table_column_statistics,
        glue._partition_column_statistics,
        _versions(),
    ):
        store.pop(key, None)


# ---- table versions


def get_table_versions(request: Request) -> Answer:
    """GetTableVersions: the current version first, then the archived ones, newest first."""
    return page(_all_versions(table_of(request)), request, "TableVersions")


def get_table_version(request: Request) -> Answer:
    """GetTableVersion, the current one without VersionId."""
    versions = _all_versions(table_of(request))
    wanted = request.get("VersionId")
    for version in versions:
        if wanted in (None, version["VersionId"]):
            return {"TableVersion": version}
    raise GlueError("EntityNotFoundException", f"Version {wanted} of table {folded(request, 'TableName')} not found.")


def delete_table_version(request: Request) -> Answer:
    """DeleteTableVersion of an archived version."""
    table = table_of(request)
    wanted = str(request["VersionId"])
    archived = _versions().get(key_of(table), [])
    kept = [version for version in archived if version["VersionId"] != wanted]
    if len(kept) == len(archived):
        raise GlueError("EntityNotFoundException", f"Version {wanted} of table {table['Name']} not found.")
    _versions()[key_of(table)] = kept
    return {}


def batch_delete_table_version(request: Request) -> Answer:
    """BatchDeleteTableVersion: what is not there is told in Errors."""
    name = table_of(request)["Name"]
    errors = []
    for version in request["VersionIds"]:
        try:
            delete_table_version({**request, "VersionId": version})
        except GlueError as error:
            errors.append({"TableName": name, "VersionId": version, "ErrorDetail": error_detail(error)})
    return {"Errors": errors}


def _all_versions(table: dict[str, Any]) -> list[dict[str, Any]]:
    states = [table, *reversed(_versions().get(key_of(table), []))]
    return [{"Table": state, "VersionId": state["VersionId"]} for state in states]
