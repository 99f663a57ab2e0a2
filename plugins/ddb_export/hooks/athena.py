"""Airflow's own hook for Athena, over a role that is assumed; in a module of its own, because it is loaded only where Athena is asked."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from airflow.providers.amazon.aws.hooks.athena import AthenaHook
from airflow.providers.amazon.aws.utils.waiter_with_logging import wait

from ddb_export.hooks.assumed_role import AssumedRoleHook


class AssumedRoleAthenaHook(AssumedRoleHook, AthenaHook):
    """:class:`AthenaHook`, with :class:`AssumedRoleHook`'s role."""


@contextmanager
def without_a_line_per_poll() -> Iterator[None]:
    """Keep the provider's waiters from writing a line each time they ask, which may be each second."""
    said = logging.getLogger(wait.__module__)
    before = said.level
    said.setLevel(logging.WARNING)
    try:
        yield
    finally:
        said.setLevel(before)
