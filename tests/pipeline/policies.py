"""The table whose printed policies tests hold an account to."""

from __future__ import annotations

from typing import Any

from ddb_export.domain.policy import PolicySubject
from tests.pipeline.tables import BUCKET


def subject_of(account: str, **more: Any) -> PolicySubject:
    """Return what the permissions of the table ``orders`` depend on; :class:`~tests.pipeline.tables.LakeTable` makes it."""
    plain: dict[str, Any] = {
        "partition": "aws",
        "account": account,
        "region": "us-east-1",
        "table": "orders",
        "bucket": BUCKET,
        "bucket_account": account,
        "folder": "tables/orders",
        "database": "lake",
        "workgroup": "primary",
        "results_bucket": BUCKET,
        "results_folder": "",
        "typed_tables": {"snapshots": "orders_snapshots", "changes": "orders_changes"},
    }
    return PolicySubject(**{**plain, **more})
