"""Policies that a test lets its account be held to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ddb_export.domain.policy import PolicySubject, Variant, grants, role_policy
from tests.pipeline.tables import BUCKET


def policy_of(account: str, variant: Variant, *without: str) -> dict[str, Any]:
    """Return the policy of a role for the table ``orders``, as ``ddb-export policy`` prints it.

    :param without: actions that are left out of it.
    """
    subject = PolicySubject(
        partition="aws",
        account=account,
        region="us-east-1",
        table="orders",
        bucket=BUCKET,
        bucket_account=account,
        folder="tables/orders",
        database="lake",
        workgroup="primary",
        results_bucket=BUCKET,
        results_folder="",
        typed_tables={"snapshots": "orders_snapshots", "changes": "orders_changes"},
    )
    granted = grants(subject, variant)
    kept = [replace(each, actions=tuple(one for one in each.actions if one not in without)) for each in granted]
    return role_policy([each for each in kept if each.actions])
