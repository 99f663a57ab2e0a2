"""``python -m ddb_export.cli``: the same as ``ddb-export``."""

from __future__ import annotations

import sys

from ddb_export.cli import main

if __name__ == "__main__":
    sys.exit(main())
