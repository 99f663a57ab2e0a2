"""Policies that a test lets its account be held to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ddb_export.domain.policy import Variant, grants, role_policy
from tests.pipeline.policies import subject_of


def policy_of(account: str, variant: Variant, *without: str) -> dict[str, Any]:
    """Return the policy of a role for the table ``orders``, as ``ddb-export policy`` prints it.

    :param without: actions that are left out of it.
    """
    granted = grants(subject_of(account), variant)
    kept = [replace(each, actions=tuple(one for one in each.actions if one not in without)) for each in granted]
    return role_policy([each for each in kept if each.actions])
