"""The clock that evidence is dated by and held against: S3's, never that of the machine at hand."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ddb_export.cli.clients import client_of

if TYPE_CHECKING:
    from ddb_export.cli.tables import NamedTable


def clock_of(arguments: argparse.Namespace, table: NamedTable) -> Callable[[], datetime]:
    """Return what tells the present (UTC, whole seconds): S3 is asked once, and seconds are counted from then on.

    Where the lake is a local folder, it is this machine's clock: nobody else has dated anything there.

    :raises NotReachableError: there is no such bucket.
    """
    from ddb_export.aws.object_lifecycle import ObjectLifecycle

    if not table.lake.bucket:
        return lambda: datetime.now(UTC).replace(microsecond=0)
    owner = table.configuration.bucket_owner if table.configuration else None
    asked, at = ObjectLifecycle(client_of(arguments, "s3"), table.lake.bucket, owner).now(), time.monotonic()
    return lambda: asked + timedelta(seconds=int(time.monotonic() - at))
