"""Which IAM actions on which resources a call needs, more exactly than ministack says.

Source: Service Authorization Reference (DynamoDB: ListExports and ExportTableToPointInTime on the table, DescribeExport on the export; Glue: each
call on catalog, database and table; Athena: each call on the workgroup of its query).
"""

from __future__ import annotations

from typing import Any

from local_aws import hooks

Need = tuple[str, str]
_FREE = frozenset({"sts:GetCallerIdentity"})
"""Actions that no policy has to allow (STS API reference)."""


def needs(
    service: str, operation: str, action: str | None, resource: str, *, parameters: dict[str, Any], place: str
) -> tuple[Need, ...]:
    """Actions and resource ARNs that must all be allowed.

    ``action`` and ``resource`` are ministack's answer, which stands where this module knows nothing better; ``place`` is
    ``region:account`` as it stands in ARNs.
    """
    if action is None or action in _FREE:
        return ()
    if service == "dynamodb" and operation in ("DescribeExport", "ListExports", "ExportTableToPointInTime"):
        named = parameters.get("ExportArn") or parameters.get("TableArn") or "*"
        return ((action, str(named)),)
    if service == "glue":
        return tuple((action, f"arn:aws:glue:{place}:{path}") for path in _glue_paths(operation, parameters))
    if service == "athena":
        return ((action, f"arn:aws:athena:{place}:workgroup/{_workgroup(parameters)}"),)
    return ((action, resource),)


def _glue_paths(operation: str, parameters: dict[str, Any]) -> list[str]:
    if "Database" in operation:
        return ["catalog", f"database/{parameters.get('Name', '*')}"]
    database = parameters.get("DatabaseName")
    if database is None:
        return ["catalog"]
    table = parameters.get("TableName") or parameters.get("Name") or "*"
    return ["catalog", f"database/{database}", f"table/{database}/{table}"]


def _workgroup(parameters: dict[str, Any]) -> str:
    query = hooks.athena()._executions.get(parameters.get("QueryExecutionId")) or {}
    return str(parameters.get("WorkGroup") or query.get("WorkGroup") or "primary")
