"""Memory is bounded whatever the size of a file: measured on a whole process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.data_sets import repeat_data_file

LIMIT_MEBIBYTES = 300


@pytest.mark.scenario("F19")
def test_converting_a_large_file_stays_under_the_limit(tmp_path: Path) -> None:
    source = tmp_path / "orders.json.gz"
    assert repeat_data_file("orders", source, mebibytes=300, part_mebibytes=6) > 300 << 20
    output = subprocess.run(
        [sys.executable, "-m", "benchmarks.convert_file", str(source), str(tmp_path / "out.parquet")],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ).stdout
    measured = json.loads(output)
    assert measured["quarantined"] == 0
    assert measured["rows"] > 400_000
    assert measured["peak_rss_mebibytes"] < LIMIT_MEBIBYTES, measured
