"""The clock that evidence is dated by: the lake's own, because workers' clocks differ, and of two publications the later one counts."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ddb_export.aws.object_store import ObjectStore


def clock_of(store: ObjectStore) -> Callable[[], datetime]:
    """Return what tells the present (UTC, whole seconds): the lake's bucket is asked once, and seconds are counted from then on.

    :raises NotReachableError: there is no such bucket.
    """
    asked, at = store.now(), time.monotonic()
    return lambda: asked + timedelta(seconds=int(time.monotonic() - at))
