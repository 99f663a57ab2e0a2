"""What KMS does and ministack 1.5.33 does not: a key of another account is used by its ARN.

Source: KMS developer guide, "Allowing users in other accounts to use a KMS key". The key's policy is not asked: the lab enforces no permission
of KMS.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import Any

from local_aws.api_call import ApiCall

_ACROSS_ACCOUNTS = frozenset({"Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey"})
_KEY_ARN = re.compile(r"arn:aws[a-z-]*:kms:[^:]+:([0-9]{12}):(?:key|alias)/")


def in_the_keys_account(scope: MutableMapping[str, Any], call: ApiCall) -> Any:
    """The request as one of the key's own account, if it names a key of another account than the caller's."""
    found = _KEY_ARN.match(str(call.parameters.get("KeyId") or ""))
    if found is None or found[1] == call.account or call.operation not in _ACROSS_ACCOUNTS:
        return scope
    owner = b"Credential=" + found[1].encode()
    headers = [
        (name, re.sub(rb"Credential=[^/]+", owner, value) if name.lower() == b"authorization" else value)
        for name, value in scope["headers"]
    ]
    return {**scope, "headers": headers}
