"""A pytest plugin that refuses to run unless the package under test is the copy that it is told of.

``scripts/guards.py`` loads it: a guard that was disabled in a copy which nobody imports would prove nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

COPY = "DDB_EXPORT_COPY"
"""Environment variable with the folder that ``ddb_export`` must come from."""

NOT_THE_COPY = 9
"""Exit code if it comes from elsewhere."""


def pytest_sessionstart() -> None:
    """End the session at once if another package than the copy is imported."""
    import ddb_export

    found = Path(ddb_export.__file__).resolve()
    if Path(os.environ[COPY]).resolve() not in found.parents:
        pytest.exit(f"ddb_export is imported from {found}", returncode=NOT_THE_COPY)
