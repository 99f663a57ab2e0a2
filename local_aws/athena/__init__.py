"""The lab's Athena: real SQL (sqlglot and DuckDB) over exactly the files that Glue's partitions name.

`install` replaces ministack's handlers of queries; workgroups, named queries and the rest stay ministack's own.
"""

from __future__ import annotations

from local_aws import hooks
from local_aws.athena import dialect, service


def install() -> None:
    """Put our operations in the place of ministack's, which looks them up in its module's globals for each request."""
    athena = hooks.module("ministack.services.athena")
    dialect.quiet()
    for name, handler in service.HANDLERS.items():
        if not hasattr(athena, name):
            raise RuntimeError(f"ministack.services.athena.{name} is gone: pin ministack {hooks.VERSION}")
        setattr(athena, name, service.answering(handler))
