"""Every private part of ministack that the lab uses, named in one table, and the only place that imports ministack.

ministack (pinned in ``requirements.txt``) has no public API for what the lab needs. :data:`HOOKS` names each private
function or store with the shape that the lab relies on; :func:`problems` compares the table with the installed
version. The server refuses to start, and a test fails, when an upgrade changed any of them.
"""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from dataclasses import dataclass
from typing import Any

VERSION = "1.5.33"


@dataclass(frozen=True)
class Hook:
    """One private name: the module, the attribute, and its signature (functions) or type name (objects)."""

    module: str
    attribute: str
    shape: str


_DYNAMODB = "ministack.services.dynamodb"
_S3 = "ministack.services.s3"
_KMS = "ministack.services.kms"
_GLUE = "ministack.services.glue"
_ATHENA = "ministack.services.athena"
_IAM = "ministack.services.iam"
_RESPONSES = "ministack.core.responses"
_ROUTER = "ministack.core.router"
_ACTIONS = "ministack.core.iam_actions"

HOOKS: tuple[Hook, ...] = (
    # The store that every write passes: wrapped to keep the change log.
    Hook(_DYNAMODB, "_set_item", "(table, pk_val, sk_val, item)"),
    Hook(_DYNAMODB, "_remove_item", "(table, pk_val, sk_val)"),
    Hook(_DYNAMODB, "_items_replaced", "(table)"),
    Hook(_DYNAMODB, "_delete_table", "(data)"),
    Hook(_DYNAMODB, "_tables", "AccountRegionScopedDict"),
    Hook(_DYNAMODB, "_emit_stream_event", "(table_name, event_name, old_item, new_item, replicate)"),
    Hook(_DYNAMODB, "_build_change_record", "(table, event_name, old_item, new_item, view_type)"),
    Hook(_DYNAMODB, "_stream_records", "AccountRegionScopedDict"),
    Hook(_DYNAMODB, "_normalize_table_name", "(value)"),
    # Operations that the lab replaces or calls; looked up in module globals for each request.
    Hook(_DYNAMODB, "_put_item", "(data)"),
    Hook(_DYNAMODB, "_update_item", "(data)"),
    Hook(_DYNAMODB, "_delete_item", "(data)"),
    Hook(_DYNAMODB, "_export_table_to_point_in_time", "(data)"),
    Hook(_DYNAMODB, "_describe_export", "(data)"),
    Hook(_DYNAMODB, "_list_exports", "(data)"),
    Hook(_DYNAMODB, "_describe_continuous_backups", "(data)"),
    Hook(_DYNAMODB, "_update_continuous_backups", "(data)"),
    Hook(_DYNAMODB, "_describe_ttl", "(data)"),
    Hook(_DYNAMODB, "_update_ttl", "(data)"),
    # ministack's own reaper looks only here; the lab keeps TTL settings itself, so that it stays empty.
    Hook(_DYNAMODB, "_ttl_settings", "AccountRegionScopedDict"),
    # Replaced by the lab's clock.
    Hook(_DYNAMODB, "time", "module"),
    Hook("ministack.services.dynamodb_streams", "time", "module"),
    Hook(_DYNAMODB, "now_iso", "()"),
    Hook(_S3, "now_iso", "()"),
    # Filtered exports use ministack's expression evaluator.
    Hook(_DYNAMODB, "_evaluate_condition", "(expr, item, attr_values, attr_names, slot)"),
    Hook(_DYNAMODB, "_project_item", "(item, proj_expr, attr_names)"),
    # S3, as an export sees it.
    Hook(
        _S3,
        "handle_request",
        "(method, path, headers, body, query_params, signed_path, enforce_bucket_region, internal,"
        " access_point_region, access_point)",
    ),
    Hook(_S3, "_bucket_owner_account", "(name)"),
    Hook(_S3, "bucket_region", "(name)"),
    Hook(_S3, "_parse_bucket_key", "(path, headers)"),
    Hook(_KMS, "_resolve_key", "(key_id_or_arn)"),
    # The catalog and the queries: local_aws/glue.py and local_aws/athena put their operations in front.
    Hook(_GLUE, "_handle_request_sync", "(method, path, headers, body, query_params)"),
    Hook(_GLUE, "reset", "()"),
    Hook(_GLUE, "_databases", "AccountRegionScopedDict"),
    Hook(_GLUE, "_tables", "AccountRegionScopedDict"),
    Hook(_GLUE, "_partitions", "AccountRegionScopedDict"),
    Hook(_GLUE, "_partition_indexes", "AccountRegionScopedDict"),
    Hook(_GLUE, "_table_column_statistics", "AccountRegionScopedDict"),
    Hook(_GLUE, "_partition_column_statistics", "AccountRegionScopedDict"),
    Hook(_ATHENA, "_executions", "AccountRegionScopedDict"),
    Hook(_ATHENA, "_workgroups", "AccountRegionScopedDict"),
    # Request scope and answers.
    Hook(_RESPONSES, "_request_account_id", "ContextVar"),
    Hook(_RESPONSES, "set_request_account_id", "(access_key_id)"),
    Hook(_RESPONSES, "get_account_id", "()"),
    Hook(_RESPONSES, "get_region", "()"),
    Hook(_RESPONSES, "request_scope", "(account_id, region)"),
    Hook(_RESPONSES, "json_response", "(data, status, content_type)"),
    Hook(_RESPONSES, "error_response_json", "(code, message, status, extra, message_key, content_type)"),
    Hook(_RESPONSES, "AccountScopedDict", "class with _data"),
    # Roles, whose trust policies the lab reads.
    Hook(_IAM, "_roles", "AccountScopedDict"),
    Hook(_RESPONSES, "AccountRegionScopedDict", "class with _data"),
    Hook(_ROUTER, "detect_service", "(method, path, headers, query_params)"),
    Hook(_ROUTER, "extract_access_key_id", "(headers, query_params)"),
    Hook(_ROUTER, "extract_region", "(headers, query_params)"),
    Hook(_ACTIONS, "extract_iam_action", "(service, method, path, headers, body, query_params)"),
    Hook(_ACTIONS, "extract_resource_arn", "(service, method, path, headers, body, query_params, region, account_id)"),
    Hook("ministack.app", "app", "(scope, receive, send)"),
    Hook("ministack.app", "_routing_params", "(method, path, headers, body, query_params)"),
    Hook("ministack.app", "_reset_all_state", "()"),
    Hook("ministack.app", "_get_reset_lock", "()"),
    Hook("ministack.app", "_extract_s3_vhost_bucket", "(host)"),
)


def module(name: str) -> Any:
    """The module ``name`` (untyped: ministack carries no type hints that the lab could rely on)."""
    return importlib.import_module(name)


def dynamodb() -> Any:
    """``ministack.services.dynamodb``."""
    return module(_DYNAMODB)


def s3() -> Any:
    """``ministack.services.s3``."""
    return module(_S3)


def kms() -> Any:
    """``ministack.services.kms``."""
    return module(_KMS)


def athena() -> Any:
    """``ministack.services.athena``."""
    return module(_ATHENA)


def iam() -> Any:
    """``ministack.services.iam``."""
    return module(_IAM)


def responses() -> Any:
    """``ministack.core.responses``."""
    return module(_RESPONSES)


def router() -> Any:
    """``ministack.core.router``."""
    return module(_ROUTER)


def iam_actions() -> Any:
    """``ministack.core.iam_actions``."""
    return module(_ACTIONS)


def app() -> Any:
    """``ministack.app``."""
    return module("ministack.app")


def shape_of(value: object) -> str:
    """The shape that :data:`HOOKS` records: a function's parameters, a class's slots, else the type's name."""
    if isinstance(value, type):
        return "class with " + ", ".join(getattr(value, "__slots__", ()))
    if inspect.isfunction(value):
        return "(" + ", ".join(inspect.signature(value).parameters) + ")"
    return type(value).__name__


def problems() -> list[str]:
    """What differs between :data:`HOOKS` and the installed ministack, one line each; empty when all is well.

    Call it before the lab installs its replacements, because it looks at ministack as it was imported.
    """
    found = []
    for hook in HOOKS:
        name = f"{hook.module}.{hook.attribute}"
        value = getattr(module(hook.module), hook.attribute, None)
        if value is None:
            found.append(f"{name} is gone: the lab needs {hook.shape}")
        elif shape_of(value) != hook.shape:
            found.append(f"{name} has the shape {shape_of(value)}: the lab needs {hook.shape}")
    return found


if __name__ == "__main__":
    json.dump({"hooks": len(HOOKS), "problems": problems()}, sys.stdout)
