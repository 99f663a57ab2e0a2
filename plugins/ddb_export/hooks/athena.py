"""Airflow's own hook for Athena, over a role that is assumed; in a module of its own, because it is loaded only where Athena is asked."""

from __future__ import annotations

from airflow.providers.amazon.aws.hooks.athena import AthenaHook

from ddb_export.hooks.assumed_role import AssumedRoleHook


class AssumedRoleAthenaHook(AssumedRoleHook, AthenaHook):
    """:class:`AthenaHook`, with :class:`AssumedRoleHook`'s role."""
