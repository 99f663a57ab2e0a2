"""What STS does and ministack 1.5.33 does only with its IAM switched on: a role is assumed by whom its trust policy lets in.

Source: IAM user guide, "How to use an external ID", and STS API reference, AssumeRole: whatever is missing, the answer is AccessDenied, which does
not say whether there is such a role.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from local_aws import hooks
from local_aws.api_call import ApiCall
from local_aws.service_errors import ErrorAnswer, service_error


def refused_role(call: ApiCall) -> ErrorAnswer | None:
    """403 AccessDenied if there is no such role, or it does not trust the caller."""
    if call.service != "sts" or call.operation != "AssumeRole":
        return None
    arn = str(call.parameters.get("RoleArn") or "")
    account, name = (arn.split(":")[4], arn.rsplit("/", 1)[-1]) if arn.count(":") >= 5 else ("", "")
    role = hooks.iam()._roles.get_scoped(account, None, name) if account else None
    if role is not None and _trusts(role, call):
        return None
    message = f"User: arn:aws:iam::{call.account}:root is not authorized to perform: sts:AssumeRole on resource: {arn}"
    return service_error("sts", "AccessDenied", message, 403)


def _trusts(role: Mapping[str, Any], call: ApiCall) -> bool:
    """Whether a statement lets the caller's account in. Of conditions the lab understands that on the external id."""
    document = role.get("AssumeRolePolicyDocument") or "{}"
    policy = json.loads(document) if isinstance(document, str) else document
    statements = policy.get("Statement") or []
    for statement in [statements] if isinstance(statements, dict) else statements:
        accounts = set(_accounts(statement.get("Principal") or {}))
        wanted = (statement.get("Condition") or {}).get("StringEquals", {}).get("sts:ExternalId")
        given = call.parameters.get("ExternalId")
        if statement.get("Effect") == "Allow" and accounts & {"*", call.account} and wanted in (None, given):
            return True
    return False


def _accounts(principal: Mapping[str, Any] | str) -> Iterator[str]:
    named = principal if isinstance(principal, str) else principal.get("AWS") or []
    for each in [named] if isinstance(named, str) else named:
        yield each.split(":")[4] if each.startswith("arn:") else each
